import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CREDENTIALS_ERROR, DigestCredentials, FIELD, textOver } from '../../src/auth/digest-credentials.ts';
import { bytes, place, view, words } from '../sip/arena-text.ts';

const text = { bytes, view, words };
const credentials = new DigestCredentials(text);
const scratchBuffer = new SharedArrayBuffer(1 << 17);
const scratch = textOver(scratchBuffer);

function read(value: string | Uint8Array): number {
  const { start, end } = place(value);
  return credentials.read(text, start, end);
}

/** What was read, undone of quotes where the view is not plain. */
function fields(value: string): Record<string, string> {
  expect(read(value)).toBe(CREDENTIALS_ERROR.NONE);
  if (!credentials.isPlain) credentials.unquote(scratch);
  const found: Record<string, string> = {};
  for (const [name, field] of Object.entries(FIELD)) {
    if (credentials.has(field)) found[name] = fieldText(field);
  }
  return found;
}

function fieldText(field: number): string {
  return Buffer.from(credentials.text.bytes.slice(credentials.start(field), credentials.end(field))).toString();
}

describe('3261 22.2, its example', () => {
  it('reads every parameter', () => {
    const value = [
      'Digest username="bob",',
      'realm="biloxi.com",',
      'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",',
      'uri="sip:bob@biloxi.com",',
      'qop=auth,',
      'nc=00000001,',
      'cnonce="0a4f113b",',
      'response="6629fae49393a05397450978507c4ef1",',
      'opaque="5ccc069c403ebaf9f0171e9517f40e41"',
    ].join('\r\n        ');
    expect(fields(value)).toEqual({
      USERNAME: 'bob',
      REALM: 'biloxi.com',
      NONCE: 'dcd98b7102dd2f0e8b11d0f600bfb0c093',
      URI: 'sip:bob@biloxi.com',
      QOP: 'auth',
      NC: '00000001',
      CNONCE: '0a4f113b',
      RESPONSE: '6629fae49393a05397450978507c4ef1',
      OPAQUE: '5ccc069c403ebaf9f0171e9517f40e41',
    });
    expect(credentials.text).toBe(text);
  });
});

describe('what phones send', () => {
  it.each([
    ['names and scheme in any case', 'dIGEST UserName="a",REALM="r",Nc=1', { USERNAME: 'a', REALM: 'r', NC: '1' }],
    [
      'quoted tokens',
      'Digest qop="auth",nc="00000001",algorithm="MD5"',
      { QOP: 'auth', NC: '00000001', ALGORITHM: 'MD5' },
    ],
    ['white space everywhere', 'Digest  \t realm = "r"  ,\r\n  uri\t=\r\n "u" ', { REALM: 'r', URI: 'u' }],
    ['empty elements', 'Digest , realm="r",, uri="u",', { REALM: 'r', URI: 'u' }],
    ['empty values', 'Digest username="a",nonce="",response=""', { USERNAME: 'a', NONCE: '', RESPONSE: '' }],
    ['other parameters, twice too', 'Digest x=1,realm="r",auts="a,b\\"",x=2', { REALM: 'r' }],
    ['a comma in quotes', 'Digest username="a,realm=b",realm="r"', { USERNAME: 'a,realm=b', REALM: 'r' }],
  ])('%s', (_name, value, expected) => {
    expect(fields(value)).toEqual(expected);
  });

  it('undoes quoted-pairs and folds in quotes', () => {
    expect(fields('Digest username="a\\"b\\\\c",realm="x\r\n \t y",uri="u"')).toEqual({
      USERNAME: 'a"b\\c',
      REALM: 'x y',
      URI: 'u',
    });
    expect(credentials.text).toBe(scratch);
  });

  it('keeps where the uri stood', () => {
    const { start } = place('Digest uri="u\\v",realm="r"');
    expect(credentials.read(text, start, start + 26)).toBe(CREDENTIALS_ERROR.NONE);
    credentials.unquote(scratch);
    expect([credentials.rawUriStart - start, credentials.rawUriEnd - start]).toEqual([12, 15]);
  });
});

describe('names of parameters', () => {
  const names = ['username', 'realm', 'nonce', 'uri', 'response', 'algorithm', 'cnonce', 'opaque', 'qop', 'nc'];

  it.each(names)('%s is that name only, at any alignment, in any case', (name) => {
    const field = Object.values(FIELD)[names.indexOf(name)]!;
    const present = (param: string) => {
      expect(read(`Digest ${param}=x`)).toBe(CREDENTIALS_ERROR.NONE);
      return Object.values(FIELD).filter((one) => credentials.has(one));
    };
    for (const before of ['', ' ', '  ', '   ', '    ']) {
      expect(present(before + name)).toEqual([field]);
      expect(present(before + name.toUpperCase())).toEqual([field]);
      for (let i = 0; i <= name.length; i++) {
        for (const other of 'z+.!~0Zx') {
          expect(present(before + name.slice(0, i) + other + name.slice(i + 1))).toEqual([]);
          expect(present(before + name.slice(0, i) + other + name.slice(i))).toEqual([]);
        }
        if (i < name.length) expect(present(before + name.slice(0, i) + name.slice(i + 1) + '9')).toEqual([]);
      }
    }
  });
});

describe('what is refused', () => {
  it.each([
    ['Basic dXNlcjpwYXNz', CREDENTIALS_ERROR.OTHER_SCHEME],
    ['Digestive realm="r"', CREDENTIALS_ERROR.OTHER_SCHEME],
    ['', CREDENTIALS_ERROR.MALFORMED],
    ['"Digest" realm="r"', CREDENTIALS_ERROR.MALFORMED],
    ['Digest', CREDENTIALS_ERROR.MALFORMED],
    ['Digest ', CREDENTIALS_ERROR.MALFORMED],
    ['Digest,realm="r"', CREDENTIALS_ERROR.MALFORMED],
    ['Digest realm', CREDENTIALS_ERROR.MALFORMED],
    ['Digest realm=', CREDENTIALS_ERROR.MALFORMED],
    ['Digest realm="r', CREDENTIALS_ERROR.MALFORMED],
    ['Digest realm="r\\"', CREDENTIALS_ERROR.MALFORMED],
    ['Digest realm="r" uri="u"', CREDENTIALS_ERROR.MALFORMED],
    ['Digest realm="r"; uri="u"', CREDENTIALS_ERROR.MALFORMED],
    ['Digest uri=sip:a@b', CREDENTIALS_ERROR.MALFORMED],
    ['Digest realm="r",realm="r"', CREDENTIALS_ERROR.MALFORMED],
    ['Digest nc=1,x=2,NC=1', CREDENTIALS_ERROR.MALFORMED],
    ['Digest username*=UTF-8\'\'a,realm="r"', CREDENTIALS_ERROR.EXTENDED_USERNAME],
    ['Digest username="a",username*=UTF-8\'\'a', CREDENTIALS_ERROR.MALFORMED],
  ])('%j', (value, error) => {
    expect(read(value)).toBe(error);
  });
});

describe('any bytes', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'Digest ',
      'username',
      'realm',
      'uri',
      'nc',
      'qop',
      '="',
      '"',
      '=',
      ',',
      ' ',
      '\\',
      '\r\n ',
      '\r\n',
      'a*',
    ),
    fc.string({ maxLength: 5, unit: 'binary' }),
  );
  const soup = fc.array(piece, { maxLength: 24 }).map((parts) => `Digest ${parts.join('')}`);

  it('are read within their span, or refused', () => {
    fc.assert(
      fc.property(fc.oneof(soup, fc.uint8Array({ maxLength: 80 })), (value) => {
        const { start, end } = place(value, 0x22);
        const error = credentials.read(text, start, end);
        expect(Object.values(CREDENTIALS_ERROR)).toContain(error);
        if (error !== CREDENTIALS_ERROR.NONE) return;
        for (const field of Object.values(FIELD)) {
          if (!credentials.has(field)) continue;
          expect(credentials.start(field)).toBeGreaterThanOrEqual(start);
          expect(credentials.end(field)).toBeLessThanOrEqual(end);
          expect(credentials.lengthOf(field)).toBeGreaterThanOrEqual(0);
        }
        const read = Object.values(FIELD).filter((field) => credentials.has(field));
        credentials.unquote(scratch);
        expect(Object.values(FIELD).filter((field) => credentials.has(field))).toEqual(read);
        expect(credentials.end(FIELD.NC)).toBeLessThanOrEqual(end - start);
      }),
      { numRuns: 20_000 },
    );
  });

  it('come back as they were quoted', () => {
    const anything = fc.string({ maxLength: 30 }).filter((value) => !/[^\x20-\x7e]/.test(value));
    fc.assert(
      fc.property(anything, anything, fc.boolean(), (username, realm, escapesAll) => {
        const quote = (value: string) => `"${value.replace(escapesAll ? /./g : /["\\]/g, '\\$&')}"`;
        expect(fields(`Digest realm=${quote(realm)}, username=${quote(username)}`)).toEqual({
          USERNAME: username,
          REALM: realm,
        });
      }),
      { numRuns: 2000 },
    );
  });
});
