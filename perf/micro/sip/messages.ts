/** The messages that the benchmarks of whole messages share: what a proxy sees all day, and what it sees once a year. They
 *  lie in the slots of an arena as recvmmsg would put them, each in many copies that differ in their numbers. */

import { type Arena, createArena } from '../../../src/memory/arena.ts';
import { SLOT, SLOT_HEADER_BYTES, slotOffset } from '../../../src/memory/layout.ts';

const COPIES = 64;
/** Where a number of the copy goes. */
const NUMBER = '########';

const SDP = [
  'v=0',
  'o=alice 2890844526 2890844526 IN IP4 192.0.2.17',
  's=-',
  'c=IN IP4 192.0.2.17',
  't=0 0',
  'm=audio 49170 RTP/AVP 8 0 101',
  'a=rtpmap:8 PCMA/8000',
  'a=rtpmap:101 telephone-event/8000',
  'a=sendrecv',
  '',
].join('\r\n');

const INVITE = withBody(
  [
    'INVITE sip:+12125551212@gateway.example.com;user=phone SIP/2.0',
    `Via: SIP/2.0/UDP 192.0.2.17:5060;rport;branch=z9hG4bKPj${NUMBER}3f0Xf2`,
    'Max-Forwards: 70',
    `From: "Alice" <sip:+13105550100@example.com>;tag=${NUMBER}`,
    'To: <sip:+12125551212@gateway.example.com;user=phone>',
    'Contact: <sip:alice@192.0.2.17:5060;ob>',
    `Call-ID: ${NUMBER}a84b4c76e66710@192.0.2.17`,
    'CSeq: 20718 INVITE',
    'Allow: PRACK, INVITE, ACK, BYE, CANCEL, UPDATE, INFO, SUBSCRIBE, NOTIFY, REFER, OPTIONS',
    'Supported: replaces, 100rel, timer, norefersub',
    'Session-Expires: 1800',
    'Min-SE: 90',
    'P-Asserted-Identity: "Alice" <sip:+13105550100@example.com>',
    'User-Agent: Softphone/4.2 (Linux; x86_64)',
    'Content-Type: application/sdp',
  ],
  SDP,
);

const OPTIONS = withBody([
  'OPTIONS sip:bob@127.0.0.1:8000 SIP/2.0',
  `Via: SIP/2.0/UDP 127.0.0.1:7000;branch=z9hG4bK${NUMBER}0001`,
  'Max-Forwards: 70',
  `From: "Alice" <sip:alice@example.com>;tag=${NUMBER}`,
  'To: <sip:bob@127.0.0.1:8000>',
  `Call-ID: ${NUMBER}-5f3a9c01@127.0.0.1`,
  'CSeq: 1 OPTIONS',
  'Contact: <sip:alice@127.0.0.1:7000>',
  'Accept: application/sdp',
]);

const OK = withBody([
  'SIP/2.0 200 OK',
  `Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKs0123456789abcdef${NUMBER}00`,
  `Via: SIP/2.0/UDP 127.0.0.1:7000;branch=z9hG4bK${NUMBER}0001`,
  `From: "Alice" <sip:alice@example.com>;tag=${NUMBER}`,
  `To: <sip:bob@127.0.0.1:8000>;tag=uas${NUMBER}`,
  `Call-ID: ${NUMBER}-5f3a9c01@127.0.0.1`,
  'CSeq: 1 OPTIONS',
  'Contact: <sip:bob@127.0.0.1:8000>',
  'Accept: application/sdp',
]);

/** After RFC 4475 3.1.1.1: folds everywhere, compact forms, odd case, unknown headers. */
const TORTUOUS = [
  'INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0',
  'TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n',
  'from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8',
  'MaX-fOrWaRdS: 0068',
  `Call-ID: wsinv.${NUMBER}@192.0.2.1`,
  'Content-Length   : 0',
  'cseq: 0009\r\n  INVITE',
  'Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw',
  's :',
  'NewFangledHeader:   newfangled value\r\n continued newfangled value',
  'UnknownHeaderWithUnusualValue: ;;,,;;,;',
  'Content-Type: application/sdp',
  'Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>',
  `v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK${NUMBER}  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239`,
  'm:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33',
  '\r\n',
].join('\r\n');

/** Far more headers than anybody needs, known ones and others. */
const MANY_HEADERS = withBody([
  'INFO sip:bob@example.com SIP/2.0',
  `Via: SIP/2.0/UDP 192.0.2.17:5060;branch=z9hG4bK${NUMBER}`,
  ...Array.from({ length: 20 }, (_, i) => `Record-Route: <sip:10.0.0.${i};lr>`),
  ...Array.from({ length: 40 }, (_, i) => `X-Vendor-${i}: ${'value '.repeat(i % 3)}${i}`),
  'From: <sip:a@example.com>;tag=1',
  'To: <sip:b@example.com>;tag=2',
  `Call-ID: ${NUMBER}@192.0.2.17`,
  'CSeq: 4 INFO',
]);

export const MESSAGES: Readonly<Record<string, string>> = {
  'INVITE with SDP': INVITE,
  OPTIONS,
  '200 to OPTIONS': OK,
  'folds and compact forms': TORTUOUS,
  '65 headers': MANY_HEADERS,
};

/** Copies of one message, in slots `firstSlot` … of an arena; returns where each lies. */
export interface Copies {
  readonly slots: Int32Array;
  readonly starts: Int32Array;
  readonly ends: Int32Array;
}

export function createMessageArena(): Arena {
  return createArena({ shardCount: 1, slotCount: 1024, jumboCount: 1 });
}

export function placeCopies(arena: Arena, text: string): Copies {
  const slots = Int32Array.from({ length: COPIES }, (_, i) => i * 7);
  const starts = slots.map((slot) => slotOffset(arena.map, slot) + SLOT_HEADER_BYTES);
  const ends = starts.map((start, i) => {
    const number = (Math.imul(i + 1, 0x9e3779b1) >>> 0).toString(16).padStart(NUMBER.length, '0');
    const bytes = Buffer.from(text.replaceAll(NUMBER, number), 'latin1');
    arena.bytes.set(bytes, start);
    arena.words[(start - SLOT_HEADER_BYTES + SLOT.LENGTH_WORD * 4) >> 2] = bytes.length;
    return start + bytes.length;
  });
  return { slots, starts, ends };
}

function withBody(lines: readonly string[], body = ''): string {
  return `${[...lines, `Content-Length: ${body.length}`].join('\r\n')}\r\n\r\n${body}`;
}
