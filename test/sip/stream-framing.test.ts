import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MessageIndex } from '../../src/sip/message-index.ts';
import { MESSAGE_ERROR, parseMessage } from '../../src/sip/parse-message.ts';
import { FRAME, FRAME_FAULT, StreamFramer } from '../../src/sip/stream-framing.ts';

const LIMIT = 4096;

/** What a framer makes of a stream that arrives in chunks: messages, keep-alives, and how it ends. */
interface Reading {
  readonly messages: string[];
  pings: number;
  fault: number;
  /** The header section that came with the fault. */
  faulty: string;
  /** What is left over. */
  rest: string;
}

function read(chunks: readonly string[], limit = LIMIT): Reading {
  const framer = new StreamFramer(limit);
  const reading: Reading = { messages: [], pings: 0, fault: FRAME_FAULT.NONE, faulty: '', rest: '' };
  for (const chunk of chunks) {
    // In the middle of something larger, as bytes of a socket are.
    const text = reading.rest + chunk;
    const bytes = Buffer.from(`#${text}#`, 'latin1');
    const end = bytes.length - 1;
    let at = 1;
    const view = viewOf(bytes);
    const next = () => framer.next(bytes, view, at, end);
    for (let frame = next(); frame !== FRAME.PARTIAL; frame = next()) {
      const found = bytes.toString('latin1', at, at + framer.frameBytes);
      if (frame === FRAME.FAULT) return { ...reading, fault: framer.fault, faulty: found, rest: '' };
      if (frame === FRAME.MESSAGE) reading.messages.push(found);
      if (frame === FRAME.PING) reading.pings++;
      expect(framer.frameBytes).toBeGreaterThan(0);
      at += framer.frameBytes;
    }
    reading.rest = bytes.toString('latin1', at, end);
  }
  return reading;
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

const CLEAN = { pings: 0, fault: FRAME_FAULT.NONE, faulty: '', rest: '' };

function message(body = '', lengthHeader = `Content-Length: ${body.length}\r\n`): string {
  return `MESSAGE sip:b@example.org SIP/2.0\r\nVia: SIP/2.0/TCP a\r\n${lengthHeader}Call-ID: c\r\n\r\n${body}`;
}

const OK = 'SIP/2.0 200 OK\r\nl: 0\r\n\r\n';

describe('18.3 a message ends where its Content-Length says', () => {
  it.each([
    { what: 'without a body', text: message() },
    { what: 'with a body', text: message('hello\r\n\r\nMESSAGE') },
    { what: 'a response', text: OK },
    { what: 'compact form', text: message('hello', 'l: 5\r\n') },
    { what: 'in capitals, white space around the colon', text: message('hello', 'CONTENT-LENGTH \t:  5 \r\n') },
    { what: 'folded', text: message('hello', 'Content-Length:\r\n \t5\r\n') },
    { what: 'the same twice', text: message('hello', 'l: 5\r\nContent-Length: 05\r\n') },
    { what: 'the last header', text: 'BYE sip:b SIP/2.0\r\nContent-Length: 3\r\n\r\nabc' },
    {
      what: 'headers that begin like it',
      text: message('hi', 'Content-Language: 9\r\nLanguage: 8\r\nc: 7\r\nl: 2\r\n'),
    },
    { what: 'another version of SIP', text: message('x').replace('SIP/2.0\r', 'sip/3.1415\r') },
  ])('$what', ({ text }) => {
    expect(read([text])).toEqual({ ...CLEAN, messages: [text] });
    expect(read([text + text + text])).toEqual({ ...CLEAN, messages: [text, text, text] });
    expect(read([...text]), 'byte by byte').toEqual({ ...CLEAN, messages: [text] });
    for (let cut = 1; cut < text.length; cut++) {
      expect(read([text.slice(0, cut), text.slice(cut) + OK]).messages).toEqual([text, OK]);
    }
  });

  it('what is not whole waits', () => {
    const text = message('hello');
    for (let cut = 1; cut < text.length; cut++) {
      expect(read([text.slice(0, cut)])).toEqual({ ...CLEAN, messages: [], rest: text.slice(0, cut) });
    }
  });

  it('knows within a message that it is, and how long it will be once its headers are there', () => {
    const framer = new StreamFramer(LIMIT);
    const bytes = Buffer.from(message('hello'), 'latin1');
    const view = viewOf(bytes);
    expect([framer.isWithin, framer.messageBytes]).toEqual([false, 0]);
    framer.next(bytes, view, 0, 1);
    expect([framer.isWithin, framer.messageBytes]).toEqual([true, 0]);
    framer.next(bytes, view, 0, bytes.length - 1);
    expect([framer.isWithin, framer.messageBytes]).toEqual([true, bytes.length]);
    expect(framer.next(bytes, view, 0, bytes.length)).toBe(FRAME.MESSAGE);
    expect(framer.isWithin).toBe(false);
  });
});

describe('7.5 line ends between messages', () => {
  it('are ignored', () => {
    expect(read([`\r\n${OK}\r\n${OK}\n${OK}\r`]).messages).toEqual([OK, OK, OK]);
  });
});

describe('RFC 5626 4.4.1 keep-alives', () => {
  it.each([
    { text: '\r\n\r\n', pings: 1 },
    { text: '\r\n', pings: 0 },
    { text: '\r\n\r\n\r\n', pings: 1 },
    { text: '\r\n\r\n\r\n\r\n', pings: 2 },
    { text: `\r\n\r\n${OK}\r\n\r\n`, pings: 2 },
    { text: `\r\n${OK}\r\n`, pings: 0 },
    { text: '\r\r\n\r\n', pings: 1 },
    { text: '\n\r\n', pings: 0 },
    { text: '\r\n\n\r\n', pings: 0 },
  ])('$text are $pings', ({ text, pings }) => {
    expect(read([text]).pings).toBe(pings);
    expect(read([...text]).pings, 'byte by byte').toBe(pings);
  });
});

describe('a message whose end cannot be known', () => {
  it.each([
    { what: '20.14 no Content-Length', header: '', fault: FRAME_FAULT.NO_CONTENT_LENGTH },
    { what: 'a negative one', header: 'Content-Length: -1\r\n', fault: FRAME_FAULT.BAD_CONTENT_LENGTH },
    { what: 'one that is no number', header: 'Content-Length: 5x\r\n', fault: FRAME_FAULT.BAD_CONTENT_LENGTH },
    { what: 'an empty one', header: 'Content-Length:\r\n', fault: FRAME_FAULT.BAD_CONTENT_LENGTH },
    { what: 'two in one', header: 'l: 5, 5\r\n', fault: FRAME_FAULT.BAD_CONTENT_LENGTH },
    { what: 'two that differ', header: 'l: 5\r\nl: 6\r\n', fault: FRAME_FAULT.BAD_CONTENT_LENGTH },
    { what: 'a right one behind a wrong one', header: 'l: x\r\nl: 5\r\n', fault: FRAME_FAULT.BAD_CONTENT_LENGTH },
    { what: 'one beyond the limit', header: `l: ${LIMIT}\r\n`, fault: FRAME_FAULT.TOO_LARGE },
    { what: 'a huge one', header: `l: ${'9'.repeat(500)}\r\n`, fault: FRAME_FAULT.TOO_LARGE },
    { what: '2 to the power of 32', header: 'l: 4294967296\r\n', fault: FRAME_FAULT.TOO_LARGE },
    { what: 'a line that ends in LF alone', header: 'l: 5\n', fault: FRAME_FAULT.LINE_END },
    { what: 'an empty line that is LF alone', header: 'l: 5\r\n\n', fault: FRAME_FAULT.LINE_END },
  ])('$what: comes with its header section, and nothing after it is read', ({ header, fault }) => {
    const text = message('', header);
    const faulty = header.endsWith('\n\n') ? text.slice(0, text.indexOf('\n\n') + 2) : text;
    expect(read([`${OK}${text}hello${OK}`])).toEqual({ ...CLEAN, messages: [OK], fault, faulty });
    expect(read([...OK, ...text, ...OK])).toEqual({ ...CLEAN, messages: [OK], fault, faulty });
  });

  it.each([
    { what: 'the headers are longer than the limit', text: message('', `X: ${'x'.repeat(LIMIT)}\r\nl: 0\r\n`) },
    { what: 'the start line is', text: `MESSAGE sip:${'x'.repeat(LIMIT)} SIP/2.0\r\n\r\n` },
  ])('$what', ({ text }) => {
    expect(read([text])).toEqual({ ...CLEAN, messages: [], fault: FRAME_FAULT.LONG_HEADERS });
    expect(read([...text])).toEqual({ ...CLEAN, messages: [], fault: FRAME_FAULT.LONG_HEADERS });
  });

  it('one of exactly the limit is whole', () => {
    const longest = message(
      'x'.repeat(LIMIT - message('', 'Content-Length: 1234\r\n').length),
      'Content-Length: 1234\r\n',
    );
    const text = longest.replace('1234', `${LIMIT - longest.indexOf('\r\n\r\n') - 4}`);
    expect(text).toHaveLength(LIMIT);
    expect(read([text, OK]).messages).toEqual([text, OK]);
    expect(read([text, OK], LIMIT - 1).fault).toBe(FRAME_FAULT.TOO_LARGE);
  });
});

describe('what is no SIP', () => {
  it.each([
    { what: 'a TLS handshake', text: '\x16\x03\x01\x02\x00\x01' },
    { what: 'HTTP', text: 'GET / HTTP/1.1\r\nHost: a\r\n' },
    { what: 'STUN, which is for datagrams', text: '\x00\x01\x00\x00\x21\x12\xa4\x42' },
    { what: 'a header without a start line', text: 'Via: a\r\n' },
    { what: 'a request line of another scheme without a version', text: 'GET http://a\r\n' },
    { what: 'a URI alone', text: 'sip:a@b\r\n' },
    { what: 'a blank', text: ' MESSAGE' },
  ])('$what is told at once', ({ text }) => {
    expect(read([text])).toEqual({ ...CLEAN, messages: [], fault: FRAME_FAULT.GARBAGE });
    expect(read([`${OK}${text}`])).toEqual({ ...CLEAN, messages: [OK], fault: FRAME_FAULT.GARBAGE });
  });
});

it.each(['MESSAGE sip:a@b', 'MESSAGE SIPS:a@b', 'MESSAGE sip:a@b 2.0'])(
  'a request line without a version is framed like others: %s',
  (line) => {
    const text = OK.replace(/^[^\r]*/, line);
    expect(read([text, OK])).toEqual({ ...CLEAN, messages: [text, OK] });
  },
);

describe('any bytes', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      '\r\n',
      '\r',
      '\n',
      OK,
      'l: 3\r\n',
      'Content-Length: 1',
      ' SIP/2.0',
      ': ',
      'INVITE sip:x SIP/2.0\r\n',
    ),
    fc.string({ unit: 'binary', maxLength: 5 }),
  );
  const stream = fc.array(piece, { maxLength: 20 }).map((pieces) => pieces.join(''));

  it('are read the same in one piece and in any other', () => {
    fc.assert(
      fc.property(stream, fc.array(fc.nat(40), { maxLength: 30 }), (text, cuts) => {
        const latin = Buffer.from(text, 'latin1').toString('latin1');
        const chunks: string[] = [];
        let at = 0;
        for (const cut of cuts) chunks.push(latin.slice(at, (at += cut)));
        chunks.push(latin.slice(at));
        expect(read(chunks, 200)).toEqual(read([latin], 200));
      }),
      { numRuns: 2000 },
    );
  });

  it('make messages that the parser ends where they end, or refuses', () => {
    fc.assert(
      fc.property(stream, (text) => {
        for (const found of read([Buffer.from(text, 'latin1').toString('latin1')], 300).messages) {
          const shared = new SharedArrayBuffer((found.length + 3) & ~3);
          const bytes = new Uint8Array(shared);
          bytes.set(Buffer.from(found, 'latin1'));
          const index = new MessageIndex();
          const error = parseMessage(bytes, new Int32Array(shared), 0, found.length, index);
          if (error === MESSAGE_ERROR.NONE) expect(index.end).toBe(found.length);
        }
      }),
      { numRuns: 3000 },
    );
  });

  it('messages that were put together come apart again', () => {
    const body = fc
      .string({ unit: 'binary', maxLength: 60 })
      .map((text) => Buffer.from(text, 'latin1').toString('latin1'));
    fc.assert(
      fc.property(fc.array(body), fc.integer({ min: 1, max: 50 }), (bodies, step) => {
        const messages = bodies.map((text) => message(text));
        const text = messages.join('\r\n');
        const chunks = text.match(new RegExp(`[^]{1,${step}}`, 'g')) ?? [];
        expect(read(chunks).messages).toEqual(messages);
      }),
    );
  });
});
