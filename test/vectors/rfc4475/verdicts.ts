/** The 49 messages of RFC 4475, byte for byte from the archive in its Appendix A, and what a stateless proxy does with each.
 *
 *  RFC 4475 speaks of "an element"; for a proxy RFC 3261 16.3 decides: what the proxy needs must be well-formed, anything
 *  else "well-formed or not, SHOULD be ignored and remain unchanged", and unknown methods or header fields are no reason to
 *  refuse. The archive departs from the printed text in two places: `baddn` ends without an empty line, and the Via of
 *  `trws` says host1.examle.com. */

import type { Answer, Drop, Forward, Vector } from '../verdict.ts';

const COM = '203.0.113.1:5060';
const NET = '203.0.113.2:5060';
const ORG = '203.0.113.3:5060';

const drop: Drop = { kind: 'drop' };
const answer = (status: number | readonly number[], headers: readonly string[] = []): Answer => ({ kind: 'answer', status, headers });
const forward = (to: string, edits: Forward['edits'] = []): Forward => ({ kind: 'forward', to, edits });

export const RFC_4475: readonly Vector[] = [
  // ---- 3.1.1 Valid messages -----------------------------------------------------------------------------------------
  {
    name: 'wsinv', section: '3.1.1.1', title: 'A Short Tortuous INVITE', source: '192.0.2.2:5060',
    expected: [forward('203.0.113.5:5060', [['MaX-fOrWaRdS: 0068', 'MaX-fOrWaRdS: 67']])],
    why: 'All elements should treat this as well-formed; proxies forward the unknown header fields unchanged (4475 3.1.1.1). The top Route (folded, with lr) is the next hop (3261 16.6 step 7).',
  },
  {
    name: 'intmeth', section: '3.1.1.2', title: 'Wide Range of Valid Characters',
    expected: [forward(COM)],
    why: 'The Request-URI is not of a domain of ours, so it is the only target (3261 16.5); a method of unusual token characters is no reason to refuse (16.3 step 1). Quoted NUL, UTF-8 and %66 stay as they are.',
  },
  {
    name: 'esc01', section: '3.1.1.3', title: 'Valid Use of the % Escaping Mechanism',
    expected: [forward(NET)],
    why: 'Well-formed (4475 3.1.1.3); the user part holds an escaped "@", the host is example.net. Nothing is unescaped on the way.',
  },
  {
    name: 'escnull', section: '3.1.1.4', title: 'Escaped Nulls in URIs',
    expected: [forward(COM)],
    why: 'Well-formed, parsers must accept it (4475 3.1.1.4); a proxy forwards a REGISTER like any request.',
  },
  {
    name: 'esc02', section: '3.1.1.5', title: 'Use of % When It Is Not an Escape',
    expected: [forward('203.0.113.8:5060')],
    why: 'The method RE%47IST%45R is an unknown one, which a proxy must not refuse (3261 16.3 step 1); C%6Fntact is an unknown header field.',
  },
  {
    name: 'lwsdisp', section: '3.1.1.6', title: 'Message with No LWS between Display Name and <',
    expected: [forward(COM)],
    why: 'A bug of the grammar: elements should accept this request as well-formed (4475 3.1.1.6).',
  },
  {
    name: 'longreq', section: '3.1.1.7', title: 'Long Values in Header Fields',
    expected: [forward(COM)],
    why: 'Well-formed (4475 3.1.1.7): 3,515 bytes, 34 Via header fields in many spellings, none of the top ones with a branch (the hash of 3261 16.11 then covers the other fields).',
  },
  {
    name: 'dblreq', section: '3.1.1.8', title: 'Extra Trailing Octets in a UDP Datagram',
    expected: [forward(COM)], // the octets beyond Content-Length are cut by the test for all vectors
    why: 'Octets beyond Content-Length MUST be discarded (3261 18.3): the INVITE octets would not appear in the forwarded request (4475 3.1.1.8).',
  },
  {
    name: 'semiuri', section: '3.1.1.9', title: 'Semicolon-Separated Parameters in URI User Part', source: '192.0.2.1:5060',
    expected: [forward(COM)],
    why: 'The user part is "user;par=u%40example.net", the host example.com (4475 3.1.1.9).',
  },
  {
    name: 'transports', section: '3.1.1.10', title: 'Varied and Unknown Transport Types',
    expected: [forward(COM)],
    why: 'Processed exactly as if the second and later Via values said UDP (4475 3.1.1.10).',
  },
  {
    name: 'mpart01', section: '3.1.1.11', title: 'Multipart MIME Message', source: '127.0.0.1:5070',
    expected: [
      forward('127.0.0.1:5080', [
        ['MESSAGE sip:kumiko@example.org SIP/2.0', 'MESSAGE sip:127.0.0.1:5080 SIP/2.0'],
        ['Route: <sip:127.0.0.1:5080>', 'Route: <sip:kumiko@example.org>'],
      ]),
    ],
    why: 'The top Route has no lr, so the Request-URI becomes the last Route and that Route the Request-URI (3261 16.6 step 6). The binary body is not touched (16.6 step 1).',
  },
  {
    name: 'unreason', section: '3.1.1.12', title: 'Unusual Reason Phrase',
    expected: [drop],
    why: 'Well-formed, but its Via is not ours: silently discarded (3261 16.11, 18.1.2). With our Via on top it is forwarded, reason phrase unchanged (torture.test.ts does that too).',
  },
  {
    name: 'noreason', section: '3.1.1.13', title: 'Empty Reason Phrase',
    expected: [drop],
    why: 'Well-formed, but its Via is not ours: silently discarded (3261 16.11, 18.1.2). With our Via on top it is forwarded.',
  },

  // ---- 3.1.2 Invalid messages ---------------------------------------------------------------------------------------
  {
    name: 'badinv01', section: '3.1.2.1', title: 'Extraneous Header Field Separators', source: '192.0.2.15:5060',
    expected: [answer(400)],
    why: 'Should be answered 400 (4475 3.1.2.1): a Via is a component the proxy needs (3261 16.3 step 1).',
  },
  {
    name: 'clerr', section: '3.1.2.2', title: 'Content Length Larger Than Message',
    expected: [answer(400)],
    why: 'Over UDP the receiving element should respond 400 (4475 3.1.2.2, 3261 18.3).',
  },
  {
    name: 'ncl', section: '3.1.2.3', title: 'Negative Content-Length', source: '192.0.2.53:5060',
    expected: [answer(400)],
    why: 'Should respond with an error (4475 3.1.2.3). CSeq 0 and Max-Forwards 254 are fine.',
  },
  {
    name: 'scalar02', section: '3.1.2.4', title: 'Request Scalar Fields with Overlarge Values',
    expected: [answer(400)],
    why: 'Should respond 400 due to the CSeq (4475 3.1.2.4); the number must be less than 2**31 (3261 8.1.1.5).',
  },
  {
    name: 'scalarlg', section: '3.1.2.5', title: 'Response Scalar Fields with Overlarge Values',
    expected: [drop],
    why: 'An element receiving this response will simply discard it (4475 3.1.2.5); nor is its Via ours.',
  },
  {
    name: 'quotbal', section: '3.1.2.6', title: 'Unterminated Quoted String in Display Name', source: '192.0.2.59:5060',
    expected: [answer(400), forward(COM)],
    why: 'Should return 400; an element could infer the quote and accept (4475 3.1.2.6).',
  },
  {
    name: 'ltgtruri', section: '3.1.2.7', title: '<> Enclosing Request-URI', source: '192.0.2.5:5060',
    expected: [answer(400), forward(COM, [['<sip:user@example.com>', 'sip:user@example.com']])],
    why: 'It is reasonable always to reject with 400; if forwarded, it must not include the brackets (4475 3.1.2.7).',
  },
  {
    name: 'lwsruri', section: '3.1.2.8', title: 'Malformed SIP Request-URI (embedded LWS)', source: '192.0.2.1:5060',
    expected: [answer(400), forward(COM, [['; lr SIP', ';lr SIP']])],
    why: 'Should respond 400; could ignore the LWS (4475 3.1.2.8).',
  },
  {
    name: 'lwsstart', section: '3.1.2.9', title: 'Multiple SP Separating Request-Line Elements',
    expected: [answer(400), forward(COM, [['INVITE  sip:user@example.com  SIP/2.0', 'INVITE sip:user@example.com SIP/2.0']])],
    why: 'Acceptable to reject; if forwarded, it must not include the extra SP (4475 3.1.2.9).',
  },
  {
    name: 'trws', section: '3.1.2.10', title: 'SP Characters at End of Request-Line',
    expected: [answer(400), forward(COM, [['SIP/2.0  \r\n', 'SIP/2.0\r\n']])],
    why: 'Acceptable to reject; if forwarded, it must not include the extra SP (4475 3.1.2.10).',
  },
  {
    name: 'escruri', section: '3.1.2.11', title: 'Escaped Headers in SIP Request-URI',
    expected: [answer(400), forward(COM, [['?Route=%3Csip:example.com%3E', '']])],
    why: 'Acceptable to reject with 400; a proxy must not let the escaped headers appear in the Request-URI it forwards (4475 3.1.2.11).',
  },
  {
    name: 'baddate', section: '3.1.2.12', title: 'Invalid Time Zone in Date Header Field',
    expected: [forward(COM)],
    why: 'An element would not reject a request because of a malformed Date, nor would a proxy remove it (3261 16.3 step 1).',
  },
  {
    name: 'regbadct', section: '3.1.2.13', title: 'Failure to Enclose name-addr URI in <>', source: '135.180.130.133:5060',
    expected: [forward(COM), answer(400)],
    why: 'A proxy does not need Contact, so it SHOULD ignore the error and leave it unchanged (3261 16.3 step 1); 400 is reasonable for an element (4475 3.1.2.13).',
  },
  {
    name: 'badaspec', section: '3.1.2.14', title: 'Spaces within addr-spec',
    expected: [answer(400), forward(ORG)],
    why: 'Reasonable to reject with 400; liberal elements may ignore the spaces (4475 3.1.2.14).',
  },
  {
    name: 'baddn', section: '3.1.2.15', title: 'Non-token Characters in Display Name',
    expected: [answer(400)],
    why: 'Always reasonable to reject with 400; a proxy must not propagate the error (4475 3.1.2.15). The archived bytes lack the empty line after the header as well.',
  },
  {
    name: 'badvers', section: '3.1.2.16', title: 'Unknown Protocol Version',
    expected: [answer(505)],
    why: 'Should respond 505 Version Not Supported (4475 3.1.2.16). The Via says SIP/7.0 too, and is needed to send the answer.',
  },
  {
    name: 'mismatch01', section: '3.1.2.17', title: 'Start Line and CSeq Method Mismatch',
    expected: [answer(400)],
    why: 'Any element receiving this request will respond 400 (4475 3.1.2.17).',
  },
  {
    name: 'mismatch02', section: '3.1.2.18', title: 'Unknown Method with CSeq Method Mismatch',
    expected: [answer([501, 400])],
    why: 'Should respond 501, 400 is acceptable too (4475 3.1.2.18). It is the mismatch that is refused, not the unknown method (3261 16.3 step 1).',
  },
  {
    name: 'bigcode', section: '3.1.2.19', title: 'Overlarge Response Code', source: '192.0.2.105:5060',
    expected: [drop],
    why: 'An element receiving this response should simply drop it (4475 3.1.2.19).',
  },

  // ---- 3.2 Transaction layer ----------------------------------------------------------------------------------------
  {
    name: 'badbranch', section: '3.2.1', title: 'Missing Transaction Identifier', source: '192.0.2.1:5060',
    expected: [forward(COM), answer(400)],
    why: 'Could reject with 400, preferably statelessly, or fall back to the RFC 2543 identifier (4475 3.2.1): the branch is then hashed from the other fields (3261 16.11).',
  },

  // ---- 3.3 Application layer ----------------------------------------------------------------------------------------
  {
    name: 'insuf', section: '3.3.1', title: 'Missing Required Header Fields', source: '192.0.2.95:5060',
    expected: [answer(400)],
    why: 'Ideally answered 400 (4475 3.3.1), with what there is of the mandatory header fields.',
  },
  {
    name: 'unkscm', section: '3.3.2', title: 'Request-URI with Unknown Scheme',
    expected: [answer(416)],
    why: 'Will be rejected with 416; To holds no routing information (4475 3.3.2, 3261 16.3 step 2).',
  },
  {
    name: 'novelsc', section: '3.3.3', title: 'Request-URI with Known but Atypical Scheme',
    expected: [answer(416)],
    why: 'A scheme that is never meaningful in a Request-URI here: 416 (4475 3.3.3, 3261 16.3 step 2).',
  },
  {
    name: 'unksm2', section: '3.3.4', title: 'Unknown URI Schemes in Header Fields', source: '192.0.2.21:5060',
    expected: [forward(COM)],
    why: 'Proxies should treat this as any other request for this Request-URI (4475 3.3.4).',
  },
  {
    name: 'bext01', section: '3.3.5', title: 'Proxy-Require and Require',
    expected: [answer(420, ['Unsupported: noProxiesSupportThis, norDoAnyProxiesSupportThis'])],
    why: 'A proxy lists the tags of Proxy-Require only (4475 3.3.5, 3261 16.3 step 5); Require is for the UAS.',
  },
  {
    name: 'invut', section: '3.3.6', title: 'Unknown Content-Type',
    expected: [forward(COM)],
    why: 'A proxy would process it just as any other INVITE (4475 3.3.6).',
  },
  {
    name: 'regaut01', section: '3.3.7', title: 'Unknown Authorization Scheme', source: '192.0.2.253:5060',
    expected: [forward(COM)],
    why: 'A proxy treats it as any other REGISTER and forwards Authorization unmodified (4475 3.3.7).',
  },
  {
    name: 'multi01', section: '3.3.8', title: 'Multiple Values in Single Value Required Fields', source: '192.0.2.25:5060',
    expected: [answer(400)],
    why: 'Would be answered 400 (4475 3.3.8).',
  },
  {
    name: 'mcl01', section: '3.3.9', title: 'Multiple Content-Length Values',
    expected: [answer(400)],
    why: 'Should respond with an error: equivalent to an invalid Content-Length (4475 3.3.9).',
  },
  {
    name: 'bcast', section: '3.3.10', title: '200 OK Response with Broadcast Via Header Field Value',
    expected: [drop],
    why: 'Proxies should drop such responses (4475 3.3.10), even where the top Via is theirs.',
  },
  {
    name: 'zeromf', section: '3.3.11', title: 'Max-Forwards of Zero',
    expected: [answer([200, 483])],
    why: 'MUST NOT be forwarded; for OPTIONS the element MAY act as the final recipient (3261 16.3 step 3), else 483.',
  },
  {
    name: 'cparam01', section: '3.3.12', title: 'REGISTER with a Contact Header Parameter',
    expected: [forward(COM)],
    why: 'Valid; a proxy does not touch Contact.',
  },
  {
    name: 'cparam02', section: '3.3.13', title: 'REGISTER with a url-parameter',
    expected: [forward(COM)],
    why: 'Valid; a proxy does not touch Contact.',
  },
  {
    name: 'regescrt', section: '3.3.14', title: 'REGISTER with a URL Escaped Header',
    expected: [forward(COM)],
    why: 'Valid; a proxy does not touch Contact (compact form M).',
  },
  {
    name: 'sdp01', section: '3.3.15', title: 'Unacceptable Accept Offering', source: '192.0.2.15:5060',
    expected: [forward(COM)],
    why: '406 is for the UAS; Accept is nothing a proxy looks at (3261 16.3 step 1).',
  },

  // ---- 3.4 Backward compatibility -----------------------------------------------------------------------------------
  {
    name: 'inv2543', section: '3.4.1', title: 'INVITE with RFC 2543 Syntax',
    expected: [forward(COM)],
    why: 'Should be accepted (4475 3.4.1): no branch, no From tag, no Content-Length (the body is the rest), no Max-Forwards, which is added (3261 16.6 step 3).',
  },
];
