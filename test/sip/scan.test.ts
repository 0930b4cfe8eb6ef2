import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashBytes } from '../../src/base/hash.ts';
import { classifyDatagram, DATAGRAM, hashCallId, isSheddable, looksLikeInvite } from '../../src/sip/scan.ts';
import { message, replyTo, request } from '../flows/messages.ts';
import { bytes, place, words } from './arena-text.ts';
import { lws, token } from './grammar.ts';
import { readNaively } from './naive-message.ts';

const BINDING_REQUEST = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, ...Array<number>(12).fill(7)];

function classOf(content: string | readonly number[]): number {
  const { start, end } = place(typeof content === 'string' ? content : Uint8Array.from(content));
  return classifyDatagram(bytes, start, end);
}

function hashOf(text: string, around?: number): number {
  const { start, end } = place(Buffer.from(text, 'latin1'), around);
  return hashCallId(bytes, words, start, end);
}

function isShed(text: string): boolean {
  const { start, end } = place(Buffer.from(text, 'latin1'));
  return isSheddable(bytes, words, start, end);
}

describe('classifyDatagram', () => {
  it.each<readonly [string, string]>([
    ['a request', 'INVITE sip:a@b SIP/2.0\r\n\r\n'],
    ['a response', 'SIP/2.0 200 OK\r\n\r\n'],
    ['a start line behind CRLFs', '\r\n\r\nINVITE sip:a@b SIP/2.0\r\n\r\n'],
    ['the first byte of a method', 'A'],
    ['a method in small letters', 'z'],
    ...[...`-.!%*_+\`'~09`].map(
      (first) => [`a method that begins with ${first}`, `${first}X sip:a@b SIP/2.0`] as const,
    ),
  ])('takes %s for SIP', (_what, text) => {
    expect(classOf(text)).toBe(DATAGRAM.SIP);
  });

  it('takes a STUN binding request for STUN (RFC 5389 section 6)', () => {
    expect(classOf(BINDING_REQUEST)).toBe(DATAGRAM.STUN);
    expect(classOf([1, ...BINDING_REQUEST.slice(1)])).toBe(DATAGRAM.STUN);
  });

  it.each([
    ['of 19 bytes', BINDING_REQUEST.slice(0, 19)],
    ['without the magic cookie', BINDING_REQUEST.map((byte, i) => (i === 7 ? 0x43 : byte))],
    ['behind a CRLF', [13, 10, ...BINDING_REQUEST]],
    ['whose top bits are set', BINDING_REQUEST.map((byte, i) => (i === 0 ? 0x80 : byte))],
  ])('takes STUN %s for junk', (_what, content) => {
    expect(classOf(content)).toBe(DATAGRAM.JUNK);
  });

  it.each(['', '\r\n', '\r\n\r\n', '\n', '\r'])('takes %j for a keep-alive (RFC 5626 4.4.1)', (text) => {
    expect(classOf(text)).toBe(DATAGRAM.KEEPALIVE);
  });

  it.each([
    '\0\0\0\0',
    ' INVITE sip:a@b SIP/2.0',
    '\tx',
    '<',
    '"',
    '[',
    '{',
    '@',
    '\x7f',
    '\xff\xfe',
    '\r\n\0',
    '(',
    ':',
  ])('takes %j for junk', (text) => {
    expect(classOf(text)).toBe(DATAGRAM.JUNK);
  });

  it('takes exactly the token characters for the beginning of SIP, whatever follows', () => {
    const isToken = (byte: number) => /[A-Za-z0-9\-.!%*_+`'~]/.test(String.fromCharCode(byte));
    for (let byte = 0; byte < 256; byte++) {
      if (byte === 0x0d || byte === 0x0a) continue;
      expect(classOf([byte]), String(byte)).toBe(isToken(byte) ? DATAGRAM.SIP : DATAGRAM.JUNK);
    }
  });
});

/** One message of a call with its Call-ID written in some way at some place among other headers. */
const callIdName = fc.constantFrom('Call-ID', 'call-id', 'CALL-ID', 'cAlL-iD', 'i', 'I');
const callId = fc.tuple(token, fc.option(token)).map(([word, host]) => (host === null ? word : `${word}@${host}`));
const blanks = fc.oneof(fc.constantFrom('', ' ', '\t', '   '), lws);
const trap = fc.constantFrom(
  'Call-Info: <sip:x>',
  'Call-I: trap',
  'Call-IDs: trap',
  'Call_ID: trap',
  'In-Reply-To: trap@trap',
  'Identity: trap',
  'ix: trap',
  'X-Call-ID: trap',
  'Subject: a\r\n i: trap',
  'Subject: a\r\n\tCall-ID: trap',
  'Contact: <sip:c>;i=trap',
  'c: application/sdp',
  'i :',
  'Call-ID:',
  'Call-ID:  \t',
);
const placement = fc.record({
  name: callIdName,
  beforeColon: fc.constantFrom('', ' ', '\t', '  '),
  afterColon: blanks,
  behind: fc.constantFrom('', ' ', '\t '),
  before: fc.array(trap, { maxLength: 4 }),
  after: fc.array(trap, { maxLength: 2 }),
  lead: fc.constantFrom('', '\r\n', '\r\n\r\n'),
  startLine: fc.constantFrom('INVITE sip:i:1@b SIP/2.0', 'SIP/2.0 200 OK', 'i sip:a SIP/2.0', 'Call-ID sip:a SIP/2.0'),
  around: fc.constantFrom(0x00, 0x0a, 0x20, 0x3a, 0x69, 0xff),
});
type Placement = typeof placement extends fc.Arbitrary<infer T> ? T : never;

function print(id: string, at: Placement): string {
  const line = `${at.name}${at.beforeColon}:${at.afterColon}${id}${at.behind}`;
  const body = `\r\nCall-ID: body`;
  return at.lead + message(at.startLine, [...at.before, line, ...at.after]) + body;
}

describe('hashCallId', () => {
  it('is the same for every message of a call, in whatever way and place the Call-ID is written', () => {
    fc.assert(
      fc.property(callId, placement, placement, (id, one, other) => {
        expect(hashOf(print(id, one), one.around)).toBe(hashOf(print(id, other), other.around));
      }),
      { numRuns: 1000 },
    );
  });

  it('is the hash of what a naive reader finds', () => {
    fc.assert(
      fc.property(callId, placement, (id, at) => {
        const text = print(id, at);
        const header = readNaively(text).headers.find(({ name, value }) => name === 'call-id' && value !== '')!;
        const hash = hashOf(text, at.around);
        const { start, end } = place(header.value);
        expect(hash).toBe(hashBytes(words, start, end, 0));
        expect(header.value).toBe(id);
      }),
      { numRuns: 1000 },
    );
  });

  it('tells calls apart, also by the case of the Call-ID (20.8)', () => {
    const ids = ['a@b', 'A@b', 'a@B', 'a', 'a@b1', '1', '2'];
    expect(new Set(ids.map((id) => hashOf(request({ callId: id })))).size).toBe(ids.length);
  });

  it('is the same for a request and its response', () => {
    expect(hashOf(replyTo(request()))).toBe(hashOf(request()));
  });

  it.each([
    ['there is no Call-ID', request({ callId: null })],
    ['it is empty', request({ callId: '' })],
    ['it stands behind the empty line', message('INVITE sip:a SIP/2.0', ['To: <sip:a>']) + 'Call-ID: 1\r\n'],
    ['there is one line only', 'INVITE sip:a SIP/2.0'],
    ['there is nothing', ''],
    ['the datagram ends in its name', 'INVITE sip:a SIP/2.0\r\nCall-ID'],
    ['the datagram ends at its colon', 'INVITE sip:a SIP/2.0\r\nCall-ID:'],
    ['the datagram ends in its compact name', 'INVITE sip:a SIP/2.0\r\ni'],
    ['the datagram ends in the white space', 'INVITE sip:a SIP/2.0\r\ni:  \r\n  '],
  ])('is 0 if %s', (_what, text) => {
    expect(hashOf(text)).toBe(0);
    // Nor does it read on behind the datagram.
    expect(hashOf(text, 0x20)).toBe(0);
    expect(hashOf(text, 0x3a)).toBe(0);
  });

  it('takes what is there of a Call-ID that the datagram cuts off', () => {
    expect(hashOf('INVITE sip:a SIP/2.0\r\nCall-ID: ab', 0x63)).toBe(hashOf(request({ callId: 'ab' })));
  });
});

describe('looksLikeInvite', () => {
  it.each([
    ['INVITE', true],
    ['INFO', false],
    ['invite', false],
    ['ACK', false],
    ['BYE', false],
  ])('%s: %s', (method, expected) => {
    const { start } = place(Buffer.from(request({ method }), 'latin1'));
    expect(looksLikeInvite(bytes, start)).toBe(expected);
  });

  it('a response to INVITE: false', () => {
    const { start } = place(Buffer.from('SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n', 'latin1'));
    expect(looksLikeInvite(bytes, start)).toBe(false);
  });
});

describe('isSheddable', () => {
  const NEW = ['INVITE', 'REGISTER', 'OPTIONS', 'MESSAGE', 'SUBSCRIBE', 'PUBLISH', 'ACKNOWLEDGE', 'BYEBYE', 'ack', 'X'];
  const PART_OF_SOMETHING = ['ACK', 'BYE', 'CANCEL', 'PRACK'];

  it.each(NEW)('%s without a To tag may be shed', (method) => {
    expect(isShed(request({ method }))).toBe(true);
  });

  it.each([...NEW, 'UPDATE', 'INFO', 'NOTIFY', 'REFER'])('%s with a To tag may not: it is in a dialog', (method) => {
    expect(isShed(request({ method, to: 'Bob <sip:bob@biloxi.example>;tag=314159' }))).toBe(false);
  });

  it.each(PART_OF_SOMETHING)('%s may not, tag or not', (method) => {
    expect(isShed(request({ method }))).toBe(false);
    expect(isShed(request({ method, to: '<sip:bob@biloxi.example>;tag=1' }))).toBe(false);
    expect(isShed(`\r\n${request({ method })}`)).toBe(false);
  });

  it.each(['100 Trying', '180 Ringing', '200 OK', '487 Request Terminated', '603 Decline'])(
    'a response %s may not, tag or not',
    (status) => {
      expect(isShed(replyTo(request(), status))).toBe(false);
      expect(isShed(replyTo(request(), status).replace(';tag=314159', ''))).toBe(false);
      expect(isShed(replyTo(request(), status).replace('SIP/', 'sip/'))).toBe(false);
    },
  );

  it.each([
    ['To: <sip:bob@b>;tag=1', 'written plainly'],
    ['t: <sip:bob@b>;tag=1', 'in the compact form'],
    ['TO \t:<sip:bob@b>;TAG=1', 'in capitals'],
    ['To: <sip:bob@b> ; tag = 1', 'with white space'],
    ['To: sip:bob@b;x=y;tag=1', 'behind another parameter, without brackets'],
    ['To:\r\n <sip:bob@b>;tag=1', 'folded before the address'],
    ['To: <sip:bob@b>\r\n ;tag=1', 'folded before the tag'],
    ['To: <sip:bob@b>;\r\n\ttag=1', 'folded inside the parameter'],
  ])('sees the tag of %j, %s', (line) => {
    expect(isShed(request({ to: null, headers: [line] }))).toBe(false);
  });

  it.each([
    ['From: <sip:a@b>;tag=1', 'of the From'],
    ['Timestamp: 1;tag=1', 'of another header with T'],
    ['Too: <sip:a@b>;tag=1', 'of a longer name'],
    ['Subject: x\r\n To: <sip:a@b>;tag=1', 'in a fold'],
  ])('does not take the tag of %j for that of the To: it is %s', (line) => {
    expect(isShed(request({ to: null, headers: [line, 'To: <sip:bob@b>'] }))).toBe(true);
  });

  it('may shed what has no To at all', () => {
    expect(isShed(request({ to: null }))).toBe(true);
    expect(isShed('INVITE')).toBe(true);
  });

  it('does not look for a tag in the body', () => {
    expect(isShed(`${request({ to: null })}To: <sip:a@b>;tag=1\r\n`)).toBe(true);
  });
});
