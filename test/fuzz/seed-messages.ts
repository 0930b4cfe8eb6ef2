/** What the fuzzer starts from: the vectors of RFC 4475 and RFC 5118, and messages that take every way through the element. */

import { readdirSync, readFileSync } from 'node:fs';
import { message, request } from '../flows/messages.ts';

const VECTORS = new URL('../vectors/', import.meta.url);

/** A Via as this server writes it: to socket 0, and to wildcard socket 0 at 10.1.2.3. */
const OUR_VIA = 'SIP/2.0/UDP 192.0.2.254:5060;branch=z9hG4bKs0123456789abcdef0123456700';
const OUR_WILDCARD_VIA = 'SIP/2.0/UDP edge.example:5060;branch=z9hG4bKs0123456789abcdef01234567000a010203';
const CALLER_VIA = 'SIP/2.0/UDP 192.0.2.10:5060;rport=5062;received=192.0.2.11;branch=z9hG4bK77';

const SDP =
  'v=0\r\no=alice 1 1 IN IP4 192.0.2.17\r\ns=-\r\nc=IN IP4 192.0.2.17\r\nt=0 0\r\nm=audio 49170 RTP/AVP 8\r\n';

function response(status: string, vias: readonly string[], headers: readonly string[] = [], body = ''): string {
  const lines = [
    ...vias.map((via) => `Via: ${via}`),
    'From: "Alice \\" A." <sip:alice@atlanta.example>;tag=9fxced76sl',
    'To: Bob <sip:bob@biloxi.example>;tag=8321234356',
    'Call-ID: 3848276298220188511@atlanta.example',
    'CSeq: 1 INVITE',
    'Contact: <sip:bob@client.biloxi.example;transport=udp>',
    ...headers,
    `Content-Length: ${body.length}`,
  ];
  return message(`SIP/2.0 ${status}`, lines) + body;
}

const REQUESTS = [
  request({ headers: ['Contact: <sip:alice@192.0.2.10>', 'Content-Type: application/sdp'], body: SDP }),
  request({ method: 'ACK', to: 'Bob <sip:bob@biloxi.example>;tag=1' }),
  request({ method: 'ACK', uri: 'sip:bob@pending.example', cseq: '2 ACK' }),
  request({ method: 'CANCEL', maxForwards: null }),
  request({ method: 'BYE', uri: 'sip:bob@[2001:db8::7]:5080', to: '<sip:bob@biloxi.example>;tag=1' }),
  request({ method: 'REGISTER', uri: 'sip:biloxi.example', headers: ['Contact: *', 'Expires: 0'] }),
  request({ method: 'OPTIONS', uri: 'sip:192.0.2.254', maxForwards: 0 }),
  request({ method: 'OPTIONS', uri: 'sip:edge.example', via: 'SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bK1' }),
  request({ method: 'OPTIONS', uri: 'sip:chicago.example;maddr=192.0.2.254;transport=udp' }),
  request({ uri: 'tel:+1-201-555-0123;phone-context=example.com' }),
  request({ uri: 'sips:bob@biloxi.example' }),
  request({ uri: 'mailto:bob@biloxi.example' }),
  request({ uri: 'sip:bob@chicago.example:5070;maddr=192.0.2.254;ttl=1;x=y' }),
  request({ route: ['<sip:192.0.2.254;lr>', '<sip:edge.chicago.example;lr>, "S, 1" <sip:strict.example>;p="<,>"'] }),
  request({ route: ['<sip:192.0.2.254;lr>'] }),
  request({ route: ['<sip:192.0.2.254:5060;lr>, <sip:edge.example;lr>, <sip:[2001:db8::53];lr>'] }),
  request({ uri: 'sip:192.0.2.254;lr', route: ['<sip:p1.example;lr>', '<sip:bob@chicago.example;user=phone>'] }),
  request({ uri: 'sip:edge.example;lr', route: ['<sip:bob@biloxi.example?Subject=x>'] }),
  request({ route: ['<sip:p1.example>, <sip:p2.example;maddr=192.0.2.1;transport=udp>'] }),
  request({ headers: ['Proxy-Require: foo, bar', 'Proxy-Require: baz', 'Proxy-Authorization: Digest a="b, c"'] }),
  request({ via: [OUR_VIA, CALLER_VIA], uri: 'sip:bob@chicago.example' }),
  request({ via: 'SIP/2.0/UDP atlanta.example;maddr=192.0.2.9;ttl=3, SIP/2.0/TCP 10.0.0.1 ;branch=1;x="a,b"' }),
  request({ via: 'SIP / 2.0 / UDP\r\n  [2001:db8::9] : 5060 ; rport\r\n ;received=[2001:db8::1];branch = z9hG4bK1' }),
  request({ from: 'f <sip:a@b>;tag=1', to: 'sip:c@d', callId: '<weird>"id"@[x]', cseq: '2147483647  INVITE' }),
  request({ method: 'NOTIFY', version: 'sip/2.0', headers: ['s :', 'Subject: a\r\n b\r\n\tc', 'X-\xe9: no'] }),
  request({ method: 'INFO', headers: Array.from({ length: 20 }, (_, i) => `Record-Route: <sip:10.0.0.${i};lr>`) }),
  request({ via: Array.from({ length: 12 }, (_, i) => `SIP/2.0/UDP 10.0.0.${i};branch=z9hG4bK${i} \t`) }),
];

const RESPONSES = [
  response('200 OK', [OUR_VIA, CALLER_VIA], ['Content-Type: application/sdp'], SDP),
  response('180 Ringing', [`${OUR_VIA}, ${CALLER_VIA}`]),
  response('100 Trying', [OUR_WILDCARD_VIA, 'SIP/2.0/UDP pending.example;branch=z9hG4bK9']),
  response('404 Nicht gefunden \xfc', [
    OUR_VIA,
    'SIP/2.0/UDP [2001:db8::9];maddr=192.0.2.77;branch=z9hG4bK9',
    CALLER_VIA,
  ]),
  response('503 ', [OUR_VIA]),
  response('200 OK', [CALLER_VIA, OUR_VIA]),
  response('200 OK', [OUR_VIA, 'SIP/2.0/TCP 192.0.2.10:5060;branch=z9hG4bK9']),
];

const STUN = Buffer.from('000100002112a442000102030405060708090a0b', 'hex');
const STUN_ATTRIBUTES = Buffer.from('000100142112a442000102030405060708090a0b7ffe000361626300802200046e616d65', 'hex');

/** Lines that change the way a message takes. */
export const LINES: readonly string[] = [
  'Route: <sip:192.0.2.254;lr>',
  'Route: <sip:chicago.example;lr>',
  'Route: <sip:strict.example>,<sip:192.0.2.254;lr>',
  `Via: ${OUR_VIA}`,
  `v: ${CALLER_VIA}, ${CALLER_VIA}`,
  'Via: SIP/2.0/UDP 192.0.2.9\r\n ;rport ',
  'Max-Forwards: 0',
  'max-forwards : 256',
  'Content-Length: 0',
  'l: 99999999999999999999',
  'To: <sip:a@b>;tag=',
  'From: <sip:a@b>;tag=x;tag=y',
  'i: another@call',
  'Call-ID:',
  'CSeq: 4294967296 INVITE',
  'Proxy-Require: \r\n x',
  'Contact: *',
  ' : folded nothing',
  ':',
  '',
];

/** The bytes of every seed message. */
export function readSeedMessages(): Uint8Array[] {
  const vectors = ['rfc4475', 'rfc5118'].flatMap((folder) => {
    const files = readdirSync(new URL(folder, VECTORS)).filter((file) => file.endsWith('.dat'));
    return files.sort().map((file) => readFileSync(new URL(`${folder}/${file}`, VECTORS)));
  });
  const texts = [...REQUESTS, ...REQUESTS, ...RESPONSES, ...RESPONSES].map((text) => Buffer.from(text, 'latin1'));
  return [...texts, ...vectors, STUN, STUN_ATTRIBUTES, Buffer.from('\r\n\r\n')];
}
