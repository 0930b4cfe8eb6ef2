/** Requests of all sorts, good and bad, and a network in which they mean something. */

import fc from 'fast-check';
import type { RequestParts } from '../messages.ts';
import type { ElementOptions } from '../virtual-network.ts';

export const ANY_NETWORK: ElementOptions = {
  listen: ['udp:192.0.2.254:5060', 'udp:192.0.2.254:5070', 'udp:[2001:db8::53]:5060'],
  settings: {
    recordRoute: [],
    limits: { transactions: 16_384 },
    domains: [
      { name: 'biloxi.example' },
      { name: 'users.example', users: ['bob', '/1\\d\\d/'] },
      { name: 'nowhere.example', nextHops: ['sip:unknown.invalid'] },
    ],
  },
};

const uri = fc.constantFrom(
  'sip:bob@biloxi.example',
  'sip:BOB@Biloxi.EXAMPLE:5060;user=phone',
  'sip:bob@users.example',
  'sip:alice@users.example',
  'sip:142@users.example',
  'sip:bob@chicago.example',
  'sip:bob@chicago.example:5090;maddr=192.0.2.77;transport=udp',
  'sip:bob@chicago.example;transport=tcp',
  'sip:bob@chicago.example;method=INVITE?Subject=x',
  'sips:bob@biloxi.example',
  'tel:+15550100',
  'sip:192.0.2.254',
  'sip:192.0.2.254:5060;maddr=192.0.2.254',
  'sip:[2001:db8::30]:5080',
  'sip:x@nowhere.example',
  'sip:x@unknown.invalid',
  'sip:255.255.255.255',
  'sip:',
  'http://biloxi.example',
);
const route = fc.constantFrom(
  '<sip:192.0.2.254;lr>',
  '<sip:192.0.2.254:5070;lr>, <sip:[2001:db8::53];lr>',
  '<sip:edge.chicago.example;lr>',
  '<sip:edge.chicago.example>',
  '"A, B" <sip:edge.chicago.example;lr>;x=y, <sip:p2.example;lr>',
  '<tel:+1>',
  'sip:broken',
);
const header = fc.constantFrom(
  'Proxy-Require: foo',
  'Require: foo',
  'Max-Breadth: 3',
  'Max-Breadth: 300',
  'Max-Breadth: 0',
  'Record-Route: <sip:p0.example;lr>',
  'Content-Type: text/plain',
  'Subject: folded\r\n over lines',
  'X: ',
  'bad header',
);
export const anyRequest: fc.Arbitrary<RequestParts> = fc.record(
  {
    method: fc.constantFrom('INVITE', 'OPTIONS', 'BYE', 'REGISTER', 'SUBSCRIBE', 'UNHEARDOF', 'invite'),
    uri,
    route: fc.array(route, { maxLength: 3 }),
    maxForwards: fc.constantFrom(null, 0, 1, 70, 255, 256, 'x'),
    headers: fc.array(header, { maxLength: 3 }),
    body: fc.constantFrom('', 'v=0\r\n', '\0\xff\r\n\r\n'),
    contentLength: fc.constantFrom(null, 0, 999),
    version: fc.constantFrom('SIP/2.0', 'sip/2.0', 'SIP/3.0'),
    to: fc.constantFrom('<sip:bob@biloxi.example>', 'sip:bob@biloxi.example;tag=1', null, '<broken'),
    callId: fc.constantFrom('a@b', null, ''),
    cseq: fc.constantFrom('1 OPTIONS', '4294967296 INVITE', null),
  },
  { requiredKeys: ['method', 'uri'] },
);
