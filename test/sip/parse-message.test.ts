import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HEADER_ID, HEADER_NAMES } from '../../src/sip/header-table.ts';
import { MAX_HEADERS, MessageIndex, UNIDENTIFIED } from '../../src/sip/message-index.ts';
import { METHOD } from '../../src/sip/methods.ts';
import { MESSAGE_ERROR, parseMessage } from '../../src/sip/parse-message.ts';
import { parseUri, UriView } from '../../src/sip/uri.ts';
import { bytes, place, textOf, words } from './arena-text.ts';
import { method, token, uri } from './grammar.ts';

/** The headers that parseMessage tells by name itself. */
const CORE: ReadonlySet<number> = new Set([
  HEADER_ID.VIA,
  HEADER_ID.MAX_FORWARDS,
  HEADER_ID.MAX_BREADTH,
  HEADER_ID.ROUTE,
  HEADER_ID.RECORD_ROUTE,
  HEADER_ID.FROM,
  HEADER_ID.TO,
  HEADER_ID.CALL_ID,
  HEADER_ID.CSEQ,
  HEADER_ID.CONTENT_LENGTH,
  HEADER_ID.CONTACT,
  HEADER_ID.EXPIRES,
  HEADER_ID.USER_AGENT,
  HEADER_ID.PROXY_REQUIRE,
]);
const ID_BY_NAME = new Map(
  HEADER_NAMES.flatMap(([id, names]) => names.map((name) => [name.toLowerCase(), id] as const)),
);
const REQUEST = 'OPTIONS sip:a@b SIP/2.0';

const index = new MessageIndex();

function parse(text: string, around?: number): number {
  const { start, end } = place(Buffer.from(text, 'latin1'), around);
  return parseMessage(bytes, words, start, end, index);
}

/** A message of a start line and lines, closed by the empty line. */
function lines(startLine: string, ...headers: readonly string[]): string {
  return `${[startLine, ...headers].join('\r\n')}\r\n\r\n`;
}

function header(i: number): [id: number, value: string | undefined] {
  return [index.idOf(i), textOf(index.valueStart(i), index.valueEnd(i))];
}

// ---- parse ∘ print ---------------------------------------------------------------------------------------------------

interface PrintedHeader {
  readonly name: string;
  readonly beforeColon: string;
  readonly afterColon: string;
  readonly value: string;
  readonly behind: string;
}

const ALL_NAMES = HEADER_NAMES.flatMap(([, names]) => names);
const CORE_NAMES = HEADER_NAMES.filter(([id]) => CORE.has(id)).flatMap(([, names]) => names);
const anyCase = (names: readonly string[]) =>
  fc
    .tuple(fc.constantFrom(...names), fc.nat(2))
    .map(([name, how]) => [name, name.toLowerCase(), name.toUpperCase()][how]!);
/** Names one character away from a known one must not pass for it. */
const nearName = fc
  .tuple(fc.constantFrom(...CORE_NAMES), token, fc.nat(20))
  .map(([name, extra, at]) => name.slice(0, at % (name.length + 1)) + extra[0] + name.slice(at % (name.length + 1)));
const isNotLength = (name: string) => !['content-length', 'l'].includes(name.toLowerCase());
const headerName = fc.oneof(anyCase(CORE_NAMES), anyCase(ALL_NAMES), token, nearName).filter(isNotLength);

const blank = fc.constantFrom('', ' ', '\t', '  \t');
const fold = fc.constantFrom('\r\n ', '\r\n\t', ' \r\n  ', '\r\n \r\n\t');
/** No blank at its ends; folds, separators, quotes, controls and bytes from 0x80 on inside. */
const valuePart = fc.string({ unit: fc.constantFrom(...'aZ0 \t,;:=<>"\\@?[](){}\0\x01\x7f\x80\xff'), maxLength: 12 });
const value = fc
  .tuple(valuePart, fc.array(fc.tuple(fold, valuePart), { maxLength: 2 }))
  .map(([first, more]) =>
    (first + more.map(([line, part]) => line + part).join('')).replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, ''),
  );
const printedHeader: fc.Arbitrary<PrintedHeader> = fc.record({
  name: headerName,
  beforeColon: blank,
  afterColon: fc.oneof(fc.constant(' '), blank, fold),
  value,
  behind: fc.oneof({ weight: 4, arbitrary: fc.constant('') }, blank, fold),
});

const printedMessage = fc.record({
  lead: fc.constantFrom('', '\r\n', '\r\n\r\n'),
  method,
  uri,
  statusCode: fc.option(fc.integer({ min: 100, max: 699 })),
  headers: fc.array(printedHeader, { maxLength: 12 }),
  body: fc.string({ unit: fc.constantFrom(...'ab\r\n:\0\xff '), maxLength: 30 }),
  excess: fc.string({ unit: fc.constantFrom(...'x\r\n'), maxLength: 5 }),
  /** Where the Content-Length stands, if there is one. */
  lengthAt: fc.option(fc.nat(12)),
  lengthName: fc.constantFrom('Content-Length', 'l', 'L', 'CONTENT-LENGTH'),
  around: fc.constantFrom(0x61, 0x3a, 0x20, 0x0a, 0x0d),
});

describe('a printed message', () => {
  it('is parsed into exactly the spans that were printed', () => {
    fc.assert(
      fc.property(printedMessage, (printed) => {
        const { lead, statusCode, body, excess, lengthAt } = printed;
        const isRequest = statusCode === null;
        const startLine = isRequest
          ? `${printed.method} ${printed.uri} SIP/2.0`
          : `SIP/2.0 ${statusCode} Whatever \xe9`;
        const headers = [...printed.headers];
        if (lengthAt !== null) {
          const length = {
            name: printed.lengthName,
            beforeColon: '',
            afterColon: ' ',
            value: String(body.length),
            behind: '',
          };
          headers.splice(lengthAt, 0, length);
        }
        const printedLines = headers.map((h) => `${h.name}${h.beforeColon}:${h.afterColon}${h.value}${h.behind}\r\n`);
        const head = `${startLine}\r\n${printedLines.join('')}`;
        const text = `${lead}${head}\r\n${body}${lengthAt === null ? '' : excess}`;
        const { start, end } = place(Buffer.from(text, 'latin1'), printed.around);

        expect(parseMessage(bytes, words, start, end, index)).toBe(MESSAGE_ERROR.NONE);

        expect(index.isRequest).toBe(isRequest);
        if (isRequest) {
          expect(textOf(index.methodStart, index.methodEnd)).toBe(printed.method);
          expect(textOf(index.uriStart, index.uriEnd)).toBe(printed.uri);
        } else {
          expect(index.statusCode).toBe(statusCode);
        }
        const at = start + lead.length;
        expect(index.start).toBe(at);
        expect(index.headersStart).toBe(at + startLine.length + 2);
        expect(index.headersEnd).toBe(at + head.length);
        expect(index.bodyStart).toBe(at + head.length + 2);
        expect(index.end).toBe(index.bodyStart + body.length);

        expect(index.headerCount).toBe(headers.length);
        let line = index.headersStart;
        const seen = new Map<number, number>();
        let repeated = 0;
        for (const [i, h] of headers.entries()) {
          const id = ID_BY_NAME.get(h.name.toLowerCase()) ?? HEADER_ID.OTHER;
          expect(index.idOf(i), h.name).toBe(CORE.has(id) ? id : UNIDENTIFIED);
          expect(index.lineStart(i)).toBe(line);
          line += printedLines[i]!.length;
          expect(index.lineEnd(i)).toBe(line);
          const written = Buffer.from(bytes.slice(index.valueStart(i), index.valueEnd(i))).toString('latin1');
          expect(written).toBe(h.value);
          // An empty value lies somewhere in its line.
          expect(index.valueStart(i)).toBeGreaterThan(index.lineStart(i));
          expect(index.valueEnd(i)).toBeLessThanOrEqual(index.lineEnd(i));
          if (seen.has(id)) repeated |= CORE.has(id) ? 1 << id : 0;
          else seen.set(id, i);
        }
        expect(index.repeated).toBe(repeated);
        for (const id of CORE) expect(index.first[id]).toBe(seen.get(id) ?? -1);
        for (const id of ID_BY_NAME.values()) expect(index.find(bytes, id)).toBe(seen.get(id) ?? -1);
      }),
      { numRuns: 1000 },
    );
  });

  it('is parsed alike whatever was parsed before', () => {
    fc.assert(
      fc.property(printedHeader, printedHeader, (one, other) => {
        const textWith = (h: PrintedHeader) => lines(REQUEST, `${h.name}: x`);
        parse(textWith(one));
        index.find(bytes, HEADER_ID.SUBJECT);
        parse(textWith(other));
        const fresh = new MessageIndex();
        const { start, end } = place(textWith(other));
        parseMessage(bytes, words, start, end, fresh);
        expect([...index.first]).toEqual([...fresh.first]);
        expect(index.headerCount).toBe(fresh.headerCount);
      }),
    );
  });
});

// ---- Start lines -----------------------------------------------------------------------------------------------------

describe('7.1 Requests', () => {
  it('reads method, Request-URI and version', () => {
    expect(parse(lines('INVITE sip:bob@biloxi.example;x=y SIP/2.0'))).toBe(MESSAGE_ERROR.NONE);
    expect(index.isRequest).toBe(true);
    expect(index.method).toBe(METHOD.INVITE);
    expect(textOf(index.methodStart, index.methodEnd)).toBe('INVITE');
    expect(textOf(index.uriStart, index.uriEnd)).toBe('sip:bob@biloxi.example;x=y');
    expect(index.hasOddVersion).toBe(false);
  });

  it('reads a method of any token characters, compared by case', () => {
    parse(lines("!interesting-Method0123456789_*+`.%indeed'~ sip:a@b SIP/2.0"));
    expect(index.method).toBe(0);
    parse(lines('invite sip:a@b SIP/2.0'));
    expect(index.method).toBe(0);
  });

  it.each(['sip/2.0', 'Sip/2.0', 'SIp/2.0'])('reads the version %s and says that it is odd', (version) => {
    expect(parse(lines(`INVITE sip:a@b ${version}`))).toBe(MESSAGE_ERROR.NONE);
    expect(index.hasOddVersion).toBe(true);
  });

  it('skips CRLFs before the start line (7.5)', () => {
    expect(parse(`\r\n\r\n${lines(REQUEST)}`)).toBe(MESSAGE_ERROR.NONE);
    expect(textOf(index.start, index.start + 7)).toBe('OPTIONS');
  });

  it.each([
    ['OPTIONS  sip:a@b SIP/2.0', MESSAGE_ERROR.REQUEST_LINE],
    ['OPTIONS sip:a@b  SIP/2.0', MESSAGE_ERROR.REQUEST_LINE],
    ['OPTIONS sip:a@b SIP/2.0 ', MESSAGE_ERROR.REQUEST_LINE],
    ['OPTIONS sip:a b SIP/2.0 x', MESSAGE_ERROR.REQUEST_LINE],
    ['OPTIONS sip:a@b\tSIP/2.0', MESSAGE_ERROR.REQUEST_LINE],
    ['OPTIONS  SIP/2.0', MESSAGE_ERROR.REQUEST_LINE],
    ['OPTIONS sip:a@b SIP/2', MESSAGE_ERROR.REQUEST_LINE],
    ['OPTIONS sip:a@b SIP/2.', MESSAGE_ERROR.REQUEST_LINE],
    ['OPTIONS sip:a@b SIP/.0', MESSAGE_ERROR.REQUEST_LINE],
    ['OPTIONS sip:a@b SIP/2.0x', MESSAGE_ERROR.REQUEST_LINE],
    ['OPTIONS sip:a@b SIP/7.0', MESSAGE_ERROR.VERSION],
    ['OPTIONS sip:a@b SIP/2.1', MESSAGE_ERROR.VERSION],
    ['OPTIONS sip:a@b SIP/12.34', MESSAGE_ERROR.VERSION],
    ['GET / HTTP/1.1', MESSAGE_ERROR.NOT_SIP],
    ['OPTIONS sip:a@b', MESSAGE_ERROR.NOT_SIP],
    ['OPTIONS', MESSAGE_ERROR.NOT_SIP],
    ['OPT@ONS sip:a@b SIP/2.0', MESSAGE_ERROR.NOT_SIP],
    ['\0', MESSAGE_ERROR.NOT_SIP],
  ])('%j is error %i', (startLine, error) => {
    expect(parse(lines(startLine, 'Call-ID: 1'))).toBe(error);
  });

  it.each(['OPTIONS sip:a@b', 'OPTIONS sip:a@b SIP', 'OPTIONS sip:a@b HTTP/1.1'])(
    '%j is a broken request line where a Via says that it is SIP',
    (startLine) => {
      expect(parse(lines(startLine, 'v: SIP/2.0/UDP h', 'Call-ID: 1'))).toBe(MESSAGE_ERROR.REQUEST_LINE);
      expect(header(index.first[HEADER_ID.CALL_ID]!)).toEqual([HEADER_ID.CALL_ID, '1']);
      expect(parse(lines(startLine, 'Call-ID: 1'))).toBe(MESSAGE_ERROR.NOT_SIP);
      // With a line end that is none, too.
      expect(parse(`${startLine}\nv: SIP/2.0/UDP h\r\n\r\n`)).toBe(MESSAGE_ERROR.REQUEST_LINE);
      expect(parse(`${startLine}\nCall-ID: 1\r\n\r\n`)).toBe(MESSAGE_ERROR.NOT_SIP);
    },
  );

  it.each(['sip:a b', 'sip:a@b;x SIP/2.0', 'sip:a\tb'])('leaves the blank in %j to the grammar of URIs', (uri) => {
    expect(parse(lines(`OPTIONS ${uri} SIP/2.0`))).toBe(MESSAGE_ERROR.NONE);
    expect(textOf(index.uriStart, index.uriEnd)).toBe(uri);
    expect(parseUri(bytes, index.uriStart, index.uriEnd, new UriView())).toBeLessThan(0);
  });

  it('still indexes the headers of a broken request line, so that it can be answered', () => {
    expect(parse(lines('OPTIONS  sip:a@b SIP/2.0', 'Call-ID: 1'))).toBe(MESSAGE_ERROR.REQUEST_LINE);
    expect(header(index.first[HEADER_ID.CALL_ID]!)).toEqual([HEADER_ID.CALL_ID, '1']);
  });

  it.each(['', '\r\n', 'OPTIONS sip:a@b SIP/2.0', 'x'])('%j, which has no line, is no SIP', (text) => {
    expect(parse(text)).toBe(MESSAGE_ERROR.NOT_SIP);
  });
});

describe('7.2 Responses', () => {
  it.each([
    ['SIP/2.0 200 OK', 200],
    ['SIP/2.0 100 ', 100],
    ['SIP/2.0 699', 699],
    ['sip/2.0 486 Occup\xe9', 486],
    ['SIP/2.0 404   spaces  ', 404],
  ])('%j has the code %i', (statusLine, code) => {
    expect(parse(lines(statusLine))).toBe(MESSAGE_ERROR.NONE);
    expect(index.isRequest).toBe(false);
    expect(index.statusCode).toBe(code);
  });

  it.each([
    'SIP/2.0 099 X',
    'SIP/2.0 700 X',
    'SIP/2.0 20 X',
    'SIP/2.0 2000 X',
    'SIP/2.0 2x0 X',
    'SIP/2.0  200 OK',
    'SIP/2.0 200\tOK',
    'SIP/7.0 200 OK',
    'SIP/2.0',
    'SIP/',
  ])('%j is malformed', (statusLine) => {
    expect(parse(lines(statusLine))).toBe(MESSAGE_ERROR.STATUS_LINE);
    expect(index.isRequest).toBe(false);
  });
});

// ---- Header lines ----------------------------------------------------------------------------------------------------

describe('7.3.1 Header field format', () => {
  it.each([
    ['To:x', 'x'],
    ['To :x', 'x'],
    ['To\t \t:\t x \t', 'x'],
    ['To:\r\n x', 'x'],
    ['To: x\r\n y\r\n\tz', 'x\r\n y\r\n\tz'],
    ['To: x\r\n ', 'x'],
    ['To:', ''],
    ['To: ', ''],
    ['To:\r\n \r\n\t', ''],
    ['To: a:b', 'a:b'],
  ])('%j has the value %j', (line, expected) => {
    expect(parse(lines(REQUEST, line, 'Via: v'))).toBe(MESSAGE_ERROR.NONE);
    expect(header(0)).toEqual([HEADER_ID.TO, expected]);
    expect(header(1)).toEqual([HEADER_ID.VIA, 'v']);
  });

  it.each([
    ['a line without a colon', ['To x']],
    ['a line that is a name only', ['To']],
    ['a line that begins with a colon', [': x']],
    ['a space in the name', ['Call ID: 1']],
    ['a separator in the name', ['Call(ID: 1']],
    ['a byte beyond ASCII in the name', ['Caf\xe9: 1']],
    ['a control character at the beginning of a line', ['\x01To: x']],
    ['a fold of the start line', [' To: x']],
    ['a fold of the start line that has a colon', [' : x']],
  ])('refuses %s', (_what, headers) => {
    expect(parse(lines(REQUEST, ...headers, 'Via: v'))).toBe(MESSAGE_ERROR.HEADER_LINE);
  });

  it.each(['To x', 'V', 'From', 'call-id\t1', 'v foo: x', 'To\0: x'])(
    'does not take the broken line %j for the header it resembles',
    (line) => {
      parse(lines(REQUEST, line, 'Max-Forwards: 70'));
      for (const id of [HEADER_ID.TO, HEADER_ID.FROM, HEADER_ID.VIA, HEADER_ID.CALL_ID])
        expect(index.first[id]).toBe(-1);
      expect(index.first[HEADER_ID.MAX_FORWARDS]).toBe(1);
    },
  );

  it.each([0x3a, 0x20, 0x0a, 0x61])('does not read what lies behind the datagram (%i)', (around) => {
    for (const line of ['V', 'To', 'CSeq', 'Call-ID', 'Content-Length', 'X']) {
      expect(parse(`${REQUEST}\r\n${line}`, around)).not.toBe(MESSAGE_ERROR.NONE);
      for (const id of CORE) expect(index.first[id], line).toBe(-1);
    }
  });

  it.each([
    ['the start line', 'OPTIONS sip:a@b SIP/2.0\nTo: x\r\n\r\n'],
    ['a header line', `${REQUEST}\r\nTo: x\nVia: y\r\n\r\n`],
    ['a fold', `${REQUEST}\r\nTo: x\n y\r\n\r\n`],
    ['the empty line', `${REQUEST}\r\nTo: x\r\n\n`],
    ['every line', `${REQUEST}\nTo: x\n\n`],
  ])('refuses an LF without CR at the end of %s', (_where, text) => {
    expect(parse(text)).toBe(MESSAGE_ERROR.LINE_END);
    expect(textOf(index.valueStart(0), index.valueStart(0) + 1)).toBe('x');
  });

  it('wants an empty line behind the headers', () => {
    expect(parse(`${REQUEST}\r\nTo: x\r\n`)).toBe(MESSAGE_ERROR.NO_EMPTY_LINE);
    expect(parse(`${REQUEST}\r\nTo: x`)).toBe(MESSAGE_ERROR.NO_EMPTY_LINE);
    expect(header(0)).toEqual([HEADER_ID.TO, 'x']);
    expect(parse(`${REQUEST}\r\n`)).toBe(MESSAGE_ERROR.NO_EMPTY_LINE);
  });

  it(`reads ${MAX_HEADERS} headers and refuses one more`, () => {
    const many = Array.from({ length: MAX_HEADERS }, (_, i) => `X-${i}: ${i}`);
    expect(parse(lines(REQUEST, ...many))).toBe(MESSAGE_ERROR.NONE);
    expect(index.headerCount).toBe(MAX_HEADERS);
    expect(header(MAX_HEADERS - 1)[1]).toBe(String(MAX_HEADERS - 1));
    expect(parse(lines(REQUEST, ...many, 'To: x'))).toBe(MESSAGE_ERROR.TOO_MANY_HEADERS);
    expect(index.headerCount).toBe(MAX_HEADERS);
  });

  it('says which core headers stand there twice, in any form', () => {
    parse(lines(REQUEST, 'To: x', 'Via: 1', 't: y', 'v: 2', 'CSeq: 1', 'X: 1', 'X: 2'));
    expect(index.repeated).toBe((1 << HEADER_ID.TO) | (1 << HEADER_ID.VIA));
  });

  it('says so of the others with small ids once they are asked for', () => {
    parse(lines(REQUEST, 'To: x', 'k: a', 'Server: 1', 'Supported: b', 'Server: 2', 'Require: c'));
    expect(index.repeated).toBe(0);
    const first = index.find(bytes, HEADER_ID.SUPPORTED);
    expect(index.repeated).toBe(1 << HEADER_ID.SUPPORTED);
    expect([first, index.next(first), index.next(index.next(first))]).toEqual([1, 3, -1]);
    const server = index.find(bytes, HEADER_ID.SERVER);
    expect([server, index.next(server), index.next(index.find(bytes, HEADER_ID.REQUIRE))]).toEqual([2, 4, -1]);
  });
});

describe('18.3 Framing', () => {
  it('takes the body up to Content-Length and drops what lies beyond', () => {
    expect(parse(`${lines(REQUEST, 'Content-Length: 3')}abcdef`)).toBe(MESSAGE_ERROR.NONE);
    expect(textOf(index.bodyStart, index.end)).toBe('abc');
  });

  it('takes the body to the end of the datagram without Content-Length', () => {
    expect(parse(`${lines(REQUEST)}abc\r\n\r\ndef`)).toBe(MESSAGE_ERROR.NONE);
    expect(textOf(index.bodyStart, index.end)).toBe('abc\r\n\r\ndef');
  });

  it('refuses a body that is shorter than its Content-Length', () => {
    expect(parse(`${lines(REQUEST, 'l: 4')}abc`)).toBe(MESSAGE_ERROR.SHORT_BODY);
    expect(parse(`${lines(REQUEST, 'l: 3')}abc`)).toBe(MESSAGE_ERROR.NONE);
  });

  it.each(['', '-1', '+1', '1 2', '0x1', '1,2', 'a', '1.0'])('refuses Content-Length %j', (length) => {
    expect(parse(`${lines(REQUEST, `Content-Length: ${length}`)}abc`)).toBe(MESSAGE_ERROR.CONTENT_LENGTH);
  });

  it.each(['2147483648', '4294967296', '18446744073709551616', '9'.repeat(400)])(
    'does not overflow with %s',
    (length) => {
      expect(parse(`${lines(REQUEST, `Content-Length: ${length}`)}abc`)).toBe(MESSAGE_ERROR.SHORT_BODY);
    },
  );

  it('reads leading zeros, however many', () => {
    expect(parse(`${lines(REQUEST, `Content-Length: ${'0'.repeat(100)}2`)}abc`)).toBe(MESSAGE_ERROR.NONE);
    expect(textOf(index.bodyStart, index.end)).toBe('ab');
  });

  it('refuses two Content-Lengths, even if they agree', () => {
    expect(parse(lines(REQUEST, 'Content-Length: 0', 'l: 0'))).toBe(MESSAGE_ERROR.SEVERAL_CONTENT_LENGTHS);
  });
});

describe('any bytes at all', () => {
  it('are parsed without reading or pointing outside of the datagram', () => {
    const unit = fc.constantFrom(
      '\r\n',
      '\r',
      '\n',
      ' ',
      ':',
      'V',
      'To',
      'i',
      'l',
      'SIP/2.0',
      'A',
      '200',
      '\0',
      '\xff',
      '0',
    );
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 40 }), fc.constantFrom(0x3a, 0x0a, 0x20, 0x61), (text, around) => {
        const results = [around, 0x00].map((byte) => {
          const error = parse(text, byte);
          const spans = Array.from({ length: index.headerCount }, (_, i) => [
            index.idOf(i),
            index.lineStart(i),
            index.valueStart(i),
            index.valueEnd(i),
            index.lineEnd(i),
          ]);
          return { error, spans, start: index.start, end: index.end, bodyStart: index.bodyStart };
        });
        expect(results[0]).toEqual(results[1]);
        const { start, end } = place(Buffer.from(text, 'latin1'));
        for (const [, lineStart, valueStart, valueEnd, lineEnd] of results[0]!.spans) {
          expect(lineStart).toBeGreaterThanOrEqual(start);
          expect(valueStart).toBeGreaterThanOrEqual(lineStart!);
          expect(valueEnd).toBeGreaterThanOrEqual(valueStart!);
          expect(lineEnd).toBeGreaterThanOrEqual(valueEnd!);
          expect(lineEnd).toBeLessThanOrEqual(end);
        }
      }),
      { numRuns: 1000 },
    );
  });
});
