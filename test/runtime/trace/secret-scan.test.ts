/** What is sent without a second look has no secrets: whatever `maskSecrets` masks, the scan has said yes to. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maskSecrets } from '../../../src/runtime/trace/mask.ts';
import { mayHaveSecrets } from '../../../src/runtime/trace/secret-scan.ts';

const NONE = new Set<string>();

/** Of a message that begins `shift` bytes into a word, with what would be a secret before and behind it. */
function scan(message: string, shift = 0): boolean {
  const before = '\nk=clear:x\r'.slice(0, 8).padEnd(8 + shift, '@');
  const bytes = new Uint8Array(new SharedArrayBuffer((before.length + message.length + 32) & -4));
  bytes.set(Buffer.from(`${before}${message}\nk=clear:x`, 'latin1'));
  const start = before.length;
  return mayHaveSecrets(bytes, new Int32Array(bytes.buffer), start, start + message.length);
}

const INVITE = [
  'INVITE sip:bob@example.org;transport=udp SIP/2.0',
  'Via: SIP/2.0/UDP client.example.org:5060;branch=z9hG4bK74bf9;rport',
  'From: "Alice: at work" <sip:alice@example.org>;tag=9fxced76sl',
  'To: <sip:bob@example.org:5070>',
  'Call-ID: 3848276298220188511@client.example.org',
  'CSeq: 1 INVITE',
  'Contact: <sip:alice@client.example.org:5060>',
  'Content-Type: application/sdp',
  'Allow: INVITE, ACK, CANCEL',
  'Event: presence',
  'Priority: urgent',
  'Content-Length: 4',
  '',
  'v=0',
  'o=alice 1 1 IN IP4 192.0.2.1',
  'c=IN IP4 192.0.2.1',
  'm=audio 4000 RTP/AVP 0',
  'a=rtpmap:0 PCMU/8000',
  'a=candidate:1 1 UDP 2130706431 192.0.2.1 4000 typ host',
  '',
].join('\r\n');

describe('the scan for secrets', () => {
  it.each([0, 1, 2, 3])('has nothing against an ordinary call, %i bytes into a word', (shift) => {
    expect(scan(INVITE, shift)).toBe(false);
  });

  it.each([
    'Authorization: Digest response="x"',
    'aUTHENTICATION-INFO: rspauth="x"',
    'Proxy-Authorization: Digest response="x"',
    'Content-Encoding: gzip',
    'e: gzip',
    'E\t:gzip',
    'k=clear:secret',
    'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xxxx',
    'A=ICE-PWD:x',
    'a=key-mgmt:mikey xx',
    'Contact: <sip:alice:secret@192.0.2.1>',
    'X: sips:a:b@c',
  ])('finds %j in any line, after any line end, wherever it lies', (line) => {
    for (const shift of [0, 1, 2, 3]) {
      expect(scan(line, shift)).toBe(true);
      for (const lineEnd of ['\r\n', '\n', '\r']) {
        expect(scan(`${INVITE}${lineEnd}${line}`, shift)).toBe(true);
        expect(scan(`x${lineEnd}${line}${lineEnd}${INVITE}`, shift)).toBe(true);
      }
    }
  });

  it('says yes to all that is masked', () => {
    const piece = fc.constantFrom(
      ...['Authorization: Digest response="x"', 'proxy-authorization: Basic x', 'k=clear:x', 'a=ice-pwd:x', 'e: gzip'],
      ...[
        'a=key-mgmt:mikey x',
        'a=crypto:1 A inline:x',
        'Content-Encoding\t:gzip',
        'sip:alice:pw@',
        'SIPS:a;b:c@',
        ':pw@',
      ],
      ...['auth', 'k=', 'a=', 'Content-', 'sip:', 'alice', '@', ':', ';', '<', '>', '"', ' ', '\t', '\0', 'x', 'é'],
      ...['\r\n', '\n', '\r', '\r\n\r\n', '\u00a0', '\u0085'],
    );
    const message = fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(''));
    let masked = 0;
    fc.assert(
      fc.property(message, fc.integer({ min: 0, max: 3 }), (text, shift) => {
        if (maskSecrets(text, NONE) === text) return;
        masked++;
        expect(scan(text, shift)).toBe(true);
      }),
      { numRuns: 5000 },
    );
    expect(masked).toBeGreaterThan(300);
  });
});
