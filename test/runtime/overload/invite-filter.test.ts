/** The program that drops new INVITEs, run by an interpreter; test/runtime/overload/kernel-shedding.test.ts has the kernel run it. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InviteFilter, LINE_BYTES, SEARCHED_BYTES } from '../../../src/runtime/overload/invite-filter.ts';
import { isSheddable } from '../../../src/sip/scan.ts';
import { instructionsOf, problemOf, run } from './classic-bpf.ts';

const filter = new InviteFilter();
filter.share = 1;
const all = instructionsOf(filter.program);
const LEAST_RANDOM = 0;

const VIA = 'Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds';
const FROM = 'From: "Alice" <sip:alice@example.com>;tag=1928301774';
const REST = [
  'Call-ID: a84b4c76e66710@192.0.2.1',
  'CSeq: 314159 INVITE',
  'Contact: <sip:alice@192.0.2.1>',
  'Content-Type: application/sdp',
  'Content-Length: 150',
];
const SDP =
  'v=0\r\no=alice 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n';

function message(lines: readonly string[], body = SDP): Uint8Array {
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1');
}

/** An INVITE with this line of To. */
function invite(to: string, before: readonly string[] = [VIA, 'Max-Forwards: 70', FROM]): Uint8Array {
  return message(['INVITE sip:bob@example.com SIP/2.0', ...before, to, ...REST]);
}

function isDropped(payload: Uint8Array, random = LEAST_RANDOM): boolean {
  return run(all, payload, random) === 0;
}

function isSheddableHere(payload: Uint8Array): boolean {
  const shared = new SharedArrayBuffer((payload.length + 3) & ~3);
  const bytes = new Uint8Array(shared);
  bytes.set(payload);
  return isSheddable(bytes, new Int32Array(shared), 0, payload.length);
}

describe('the program', () => {
  it('is one that the kernel takes', () => {
    expect(problemOf(all)).toBeNull();
  });

  it('takes a datagram whole or not at all', () => {
    expect(new Set(all.filter(({ code }) => code === 6).map(({ operand }) => operand))).toEqual(
      new Set([0, 0xffff_ffff]),
    );
  });

  it('costs a datagram that is no INVITE a few instructions', () => {
    let steps = 0;
    run(all, message(['BYE sip:bob@example.com SIP/2.0', VIA, ...REST]), LEAST_RANDOM, () => steps++);
    expect(steps).toBeLessThan(8);
  });
});

describe('drops an INVITE', () => {
  it.each([
    ['as it is in RFC 3261 24.2', 'To: "Bob" <sip:bob@example.com>'],
    ['with the compact form', 't: <sip:bob@example.com>'],
    ['in any case', 'TO:sip:bob@example.com'],
    ['with parameters that are no tag', 'To: <sip:bob@example.com;user=phone>;x=stag'],
    ['to a user who is called like a tag', 'To: <sip:montag@example.com>'],
  ])('whose To has no tag, %s', (_, to) => {
    expect(isDropped(invite(to))).toBe(true);
  });

  it('whose To is the first header', () => {
    expect(isDropped(message(['INVITE sip:b@c SIP/2.0', 'To: sip:b@c', VIA, FROM, ...REST]))).toBe(true);
  });

  it('wherever the line of To begins in a word of four bytes', () => {
    for (let i = 0; i < 12; i++) {
      const before = [VIA, FROM, `Subject: ${'x'.repeat(i)}`];
      expect(isDropped(invite('To: <sip:bob@example.com>', before)), String(i)).toBe(true);
      expect(isDropped(invite('To: <sip:bob@example.com>;tag=1', before)), String(i)).toBe(false);
    }
  });

  it('as often as the share says', () => {
    const some = new InviteFilter();
    const payload = invite('To: <sip:bob@example.com>');
    for (const share of [0, 0.25, 0.5, 0.999]) {
      some.share = share;
      const program = instructionsOf(some.program);
      expect(problemOf(program)).toBeNull();
      const edge = Math.round(share * 2 ** 32);
      expect(run(program, payload, edge)).not.toBe(0);
      if (edge > 0) expect(run(program, payload, edge - 1)).toBe(0);
    }
  });
});

describe('lets through', () => {
  it.each([
    ['a dialog', 'To: <sip:bob@example.com>;tag=a6c85cf'],
    ['a dialog, in capitals', 'TO: <sip:bob@example.com>;TAG=a6c85cf'],
    ['a dialog, compact', 't: sip:bob@example.com;tag=a6c85cf'],
    ['a dialog, with blanks', 'To: <sip:bob@example.com> ;  tag = a6c85cf'],
    ['a dialog, with a tab', 'To: <sip:bob@example.com>;\ttag=a6c85cf'],
    ['a dialog, with the tag on another line', 'To: <sip:bob@example.com>\r\n ;tag=a6c85cf'],
    ['a dialog, with the tag on another line after a tab', 'To: <sip:bob@example.com>\r\n\t;tag=a6c85cf'],
    ['a dialog, with all of it on another line', 'To:\r\n <sip:bob@example.com>;tag=a6c85cf'],
    ['a dialog, with a blank in front of the colon', 'To : <sip:bob@example.com>;tag=a6c85cf'],
    ['a dialog, with a tab in front of the colon', 't\t: <sip:bob@example.com>;tag=a6c85cf'],
    ['a dialog, with ends of lines that are a line feed', 'To: <sip:bob@example.com>;tag=a\nX: y'],
    ['what it cannot decide: a To on two lines', 'To: <sip:bob@example.com>\r\n ;x=y'],
    ['what it cannot decide: a long To', `To: <sip:${'b'.repeat(LINE_BYTES)}@example.com>`],
    ['what it cannot decide: a header with T before To', 'Timestamp: 1\r\nTo: <sip:bob@example.com>'],
  ])('an INVITE of %s', (_, to) => {
    expect(isDropped(invite(to))).toBe(false);
  });

  it('an INVITE of a dialog whose body looks like a header', () => {
    const lines = ['INVITE sip:bob@example.com SIP/2.0', VIA, FROM, 'To : <sip:bob@example.com>;tag=1', ...REST];
    expect(isDropped(message(lines, '\r\nTo: <sip:bob@example.com>\r\n'.repeat(10)))).toBe(false);
  });

  it('an INVITE whose To comes late', () => {
    const late = ['Record-Route: <sip:192.0.2.7;lr>', `Subject: ${'x'.repeat(SEARCHED_BYTES)}`];
    expect(isDropped(invite('To: <sip:bob@example.com>', late))).toBe(false);
  });

  it.each(['ACK', 'BYE', 'CANCEL', 'OPTIONS', 'REGISTER', 'UPDATE', 'PRACK', 'INVITED', 'invite'])('%s', (method) => {
    const lines = [`${method} sip:bob@example.com SIP/2.0`, VIA, FROM, 'To: <sip:bob@example.com>', ...REST];
    expect(isDropped(message(lines))).toBe(false);
  });

  it.each([
    ['a response', message(['SIP/2.0 180 Ringing', VIA, FROM, 'To: <sip:bob@example.com>', ...REST])],
    ['a keep-alive', Buffer.from('\r\n\r\n')],
    ['STUN', Buffer.concat([Buffer.from([0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42]), Buffer.alloc(12)])],
    ['nothing', Buffer.alloc(0)],
    ['a piece of one', Buffer.from('INVITE sip:bob@example.com SIP/2.0\r\nTo: <sip:b')],
  ])('%s', (_, payload) => {
    expect(isDropped(payload)).toBe(false);
  });

  it('an INVITE cut off anywhere in the line of To', () => {
    const whole = Buffer.from(invite('To: <sip:bob@example.com>;tag=1'));
    for (let length = 0; length <= whole.length; length++) expect(isDropped(whole.subarray(0, length))).toBe(false);
  });
});

describe('nothing that user space would not shed', () => {
  const end = fc.constantFrom('\r\n', '\r\n', '\n');
  const to = fc
    .tuple(
      fc.constantFrom('To', 'To', 'To', 'TO', 't', 'T', 'To ', 'T\t', 'Tos', 'Timestamp', '*to'),
      fc.constantFrom(':', ': ', ': ', ':\r\n ', ':\n\t', ' :'),
      fc.constantFrom('<sip:b@c>', 'sip:b@c', '"tag" <sip:tag@c>', '"a\\";tag" <sip:b@c>', '', '*to:'),
      fc.constantFrom(
        '',
        ';tag=1',
        '; tag=1',
        ';\ttag=1',
        '\r\n ;tag=1',
        ';x;TAG=1',
        ';\r\n tag=1',
        ';x=1',
        ';tag',
        '; \ttag',
      ),
    )
    .map((parts) => parts.join(''));
  const line = fc.oneof(
    to,
    to,
    fc.string({ maxLength: 40 }),
    fc.constantFrom(
      VIA,
      FROM,
      ...REST,
      'X: *to:',
      'Reply-To: <sip:b@c>',
      'Refer-To: <sip:b@c>;tag=1',
      '',
      'to',
      '\ttag',
    ),
  );
  const start = fc.constantFrom(
    ...[
      'INVITE sip:*t@c SIP/2.0',
      'INVITE sip:b@c SIP/2.0',
      'INVITE sip:b@c SIP/2.0',
      'INVITE ',
      'INVITE sip:b@c\nto:',
      'BYE x',
    ],
  );

  it('whatever its headers are', () => {
    let dropped = 0;
    fc.assert(
      fc.property(start, fc.array(fc.tuple(end, line), { minLength: 1, maxLength: 6 }), (first, lines) => {
        const text = first + lines.map((parts) => parts.join('')).join('') + `\r\n\r\n${'x'.repeat(200)}`;
        const payload = Buffer.from(text, 'latin1');
        if (!isDropped(payload)) return;
        dropped++;
        expect(text.startsWith('INVITE ')).toBe(true);
        expect(isSheddableHere(payload)).toBe(true);
      }),
      { numRuns: 5000 },
    );
    expect(dropped).toBeGreaterThan(20);
  });
});
