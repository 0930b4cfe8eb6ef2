/** What nobody gets to see of a message, and that all the rest stays as it was. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maskSecrets } from '../../../src/runtime/trace/mask.ts';

const NONE = new Set<string>();

function head(...lines: string[]): string {
  return `${['INVITE sip:bob@example.org SIP/2.0', ...lines].join('\r\n')}\r\n\r\n`;
}

function masked(...lines: string[]): string[] {
  return maskSecrets(head(...lines), NONE)
    .split('\r\n')
    .slice(1, -2);
}

function maskedBody(...lines: string[]): string[] {
  const message = head('Content-Type: application/sdp') + lines.join('\r\n');
  return maskSecrets(message, NONE).split('\r\n').slice(3);
}

describe('credentials', () => {
  it.each([
    [
      'Authorization: Digest username="alice", realm="r", nonce="abc", uri="sip:r", response="0123", cnonce="xy", nc=00000001',
      'Authorization: Digest username="alice", realm="r", nonce="abc", uri="sip:r", response="****", cnonce="**", nc=00000001',
    ],
    [
      'PROXY-AUTHORIZATION:digest response = "0a1b" ,cnonce=xyz',
      'PROXY-AUTHORIZATION:digest response = "****" ,cnonce=***',
    ],
    [
      'Authentication-Info: nextnonce="n", rspauth="abcd", cnonce="c"',
      'Authentication-Info: nextnonce="n", rspauth="****", cnonce="*"',
    ],
    ['Authorization: Basic YWxpY2U6c2VjcmV0', 'Authorization: Basic ****************'],
    ['Authorization: Bearer a.b.c, d', 'Authorization: Bearer ****** *'],
    ['Authorization: nonsense', 'Authorization: ********'],
  ])('of %s', (line, expected) => {
    expect(masked(line)).toEqual([expected]);
  });

  it('on folded lines, on each line of several, and where a message ends too early', () => {
    expect(
      masked('Authorization: Digest a="b",', ' response="0123",', '\tcnonce="4"', 'Subject: response="stays"'),
    ).toEqual(['Authorization: Digest a="b",', ' response="****",', '\tcnonce="*"', 'Subject: response="stays"']);
    expect(masked('Authorization: Digest response="1"', 'Authorization: Digest response="2"').join()).not.toMatch(
      /[12]"/,
    );
    expect(maskSecrets('REGISTER sip:r SIP/2.0\r\nAuthorization: Digest response="01234', NONE)).toMatch(
      /response="\*{5}$/,
    );
  });

  it('of challenges are none: they stay', () => {
    const line = 'WWW-Authenticate: Digest realm="r", nonce="abc", opaque="response=x"';
    expect(masked(line)).toEqual([line]);
  });
});

describe('passwords in URIs', () => {
  it.each([
    ['Contact: <sip:alice:secret@192.0.2.1:5060>', 'Contact: <sip:alice:******@192.0.2.1:5060>'],
    ['Route: <sips:a:b@x>, <sip:c:dd@y>', 'Route: <sips:a:*@x>, <sip:c:**@y>'],
  ])('%s', (line, expected) => {
    expect(masked(line)).toEqual([expected]);
  });

  it.each(['Contact: <sip:alice@192.0.2.1:5060;transport=udp>', 'To: "a:b@c" <sip:192.0.2.1:5060>', 'From: <tel:+1>'])(
    'are not seen in %s',
    (line) => {
      expect(masked(line)).toEqual([line]);
    },
  );

  it('stand in the start line, too', () => {
    expect(maskSecrets('INVITE sip:a:pw@b SIP/2.0\r\n\r\n', NONE)).toBe('INVITE sip:a:**@b SIP/2.0\r\n\r\n');
  });
});

describe('keys of media', () => {
  it.each([
    [
      'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZi|2^20|1:32;inline:QUJD|2^20|1:4',
      'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:********************|2^20|1:32;inline:****|2^20|1:4',
    ],
    ['a=crypto:1 NEW key:abc def', 'a=crypto:1 NEW ******* ***'],
    ['k=base64:QUJD', 'k=base64:****'],
    ['a=key-mgmt:mikey AQAFgM0X', 'a=key-mgmt:mikey ********'],
    ['a=ice-pwd:asd88fgpdd777uzjYhagZg', 'a=ice-pwd:**********************'],
  ])('%s', (line, expected) => {
    expect(maskedBody('v=0', line, 'm=audio 49170 RTP/SAVP 0')).toEqual(['v=0', expected, 'm=audio 49170 RTP/SAVP 0']);
  });

  it('in a body that cannot be read go with all of it', () => {
    const message = `${head('e: gzip')}\x1f\x8bdata here`;
    expect(maskSecrets(message, NONE).split('\r\n\r\n')[1]).toBe('****** ****');
  });
});

describe('headers that are named', () => {
  it('lose their value, in any case of the name', () => {
    const message = head('X-Api-Key: a b', ' c', 'x-api-key:d', 'X-Api-Keys: stays');
    expect(
      maskSecrets(message, new Set(['x-api-key']))
        .split('\r\n')
        .slice(1, 5),
    ).toEqual(['X-Api-Key: * *', ' *', 'x-api-key:*', 'X-Api-Keys: stays']);
  });
});

describe('a masked message', () => {
  it('is as long as it was, whatever it is', () => {
    const piece = fc.constantFrom(
      '\r\n',
      '\n',
      ' ',
      ':',
      '"',
      'Authorization',
      'Digest response=',
      'sip:a:b@',
      'a=crypto:1 x inline:',
      '\r\n\r\n',
      'é',
      '\0',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string({ maxLength: 5 })), { maxLength: 40 }), (pieces) => {
        const message = pieces.join('');
        expect(maskSecrets(message, new Set(['x']))).toHaveLength(message.length);
      }),
    );
  });

  it('is the same whether it was looked at closely or not', () => {
    const piece = fc.constantFrom(
      '\r\n',
      '\n',
      ' ',
      ':',
      '=',
      '"',
      'Authorization',
      'Proxy-Authorization',
      'Digest response=',
      'e',
      'k=',
      'sip:a:b@',
      'a=',
      'crypto:1 x inline:',
      'key-mgmt:x y',
      'ice-pwd:',
      '\r\n\r\n',
      'z',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const message = pieces.join('');
        expect(maskSecrets(message, NONE)).toBe(maskSecrets(message, new Set(['x-nowhere'])));
      }),
      { numRuns: 2000 },
    );
  });

  it('takes no long time over a hostile one', () => {
    const began = performance.now();
    for (const text of ['sip:', 'a:', 'inline:', ' \t', 'Authorization: Digest response = ', '\r\n ', 'sip:a:'])
      maskSecrets(`INVITE x SIP/2.0\r\nA: ${text.repeat(65_000 / text.length)}`, NONE);
    // Minutes, if it went over the text once for each of its pieces.
    expect(performance.now() - began).toBeLessThan(20_000);
  });
});
