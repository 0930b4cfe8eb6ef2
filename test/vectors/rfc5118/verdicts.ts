/** The messages of RFC 5118 (10 sections, 12 messages) and what a stateless proxy does with each.
 *
 *  The RFC's archive cannot be sent as it is: its lines end in LF, and the two messages of 4.10 lack the empty line. Here the
 *  header has CRLF and an empty line; the bodies are the archived octets. The printed Content-Length of `ipv6-in-sdp` (268)
 *  and `mult-ip-in-sdp` (181) exceed their bodies under any line ending: corrected to 242 and 180 in NAME.dat (the RFC calls
 *  both valid), kept in NAME-as-printed.dat, which over UDP is a short body. */

import type { Answer, Forward, Vector } from '../verdict.ts';

const answer = (status: number | readonly number[]): Answer => ({ kind: 'answer', status });
const forward = (to: string, edits: Forward['edits'] = []): Forward => ({ kind: 'forward', to, edits });
const source = '[2001:db8::9:1]:5060';

export const RFC_5118: readonly Vector[] = [
  {
    name: 'ipv6-good', section: '4.1', title: 'Valid SIP Message with an IPv6 Reference', source,
    expected: [forward('[2001:db8::10]:5060')],
    why: 'Well-formed; the Request-URI is an address, the default port is 5060 (3263 4.2).',
  },
  {
    name: 'ipv6-bad', section: '4.2', title: 'Invalid SIP Message with an IPv6 Reference', source,
    expected: [answer(400)],
    why: 'The reference lacks its brackets: should respond 400 (5118 4.2).',
  },
  {
    name: 'port-ambiguous', section: '4.3', title: 'Port Ambiguous in a SIP URI', source,
    expected: [forward('[2001:db8::10:5070]:5060')],
    why: 'Well-formed: 5070 is the last group of the address, not a port (5118 4.3).',
  },
  {
    name: 'port-unambiguous', section: '4.4', title: 'Port Unambiguous in a SIP URI', source,
    expected: [forward('[2001:db8::10]:5070')],
    why: 'The port stands outside the brackets (5118 4.4).',
  },
  {
    name: 'via-received-param-with-delim', section: '4.5', title: 'IPv6 received Parameter with Brackets', source,
    expected: [forward('[2001:db8::10]:5060')],
    why: 'Not in the grammar, but implementations must accept it either way (5118 4.5).',
  },
  {
    name: 'via-received-param-no-delim', section: '4.5', title: 'IPv6 received Parameter without Brackets', source,
    expected: [forward('[2001:db8::10]:5060')],
    why: 'Valid: via-received has no brackets (5118 4.5).',
  },
  {
    name: 'ipv6-in-sdp', section: '4.6', title: 'SIP Request with IPv6 Addresses in SDP', source: '[2001:db8::20]:5060',
    expected: [forward('[2001:db8::10]:5060')],
    why: 'Well-formed (5118 4.6).',
  },
  {
    name: 'ipv6-in-sdp-as-printed', section: '4.6', title: 'The Same with the Printed Content-Length', source: '[2001:db8::20]:5060',
    expected: [answer(400)],
    why: 'The datagram ends before the body does: 400 (3261 18.3).',
  },
  {
    name: 'mult-ip-in-header', section: '4.7', title: 'Multiple IP Addresses in SIP Headers', source: '[2001:db8::9:1]:6050',
    expected: [forward('203.0.113.6:5060')],
    why: 'Well-formed: Via values of both families (5118 4.7); the next hop is IPv4 though the request came over IPv6.',
  },
  {
    name: 'mult-ip-in-sdp', section: '4.8', title: 'Multiple IP Addresses in SDP', source,
    expected: [forward('[2001:db8::10]:5060')],
    why: 'Well-formed (5118 4.8).',
  },
  {
    name: 'mult-ip-in-sdp-as-printed', section: '4.8', title: 'The Same with the Printed Content-Length', source,
    expected: [answer(400)],
    why: 'The datagram ends one octet before the body does: 400 (3261 18.3).',
  },
  {
    name: 'ipv4-mapped-ipv6', section: '4.9', title: 'IPv4-Mapped IPv6 Addresses', source: '192.0.2.10:19823',
    expected: [forward('203.0.113.1:5060')],
    why: 'Well-formed; an implementation must be prepared to parse mapped addresses (5118 4.9).',
  },
  {
    name: 'ipv6-bug-abnf-3-colons', section: '4.10', title: 'IPv6 Reference Bug in RFC 3261 ABNF', source,
    expected: [
      forward('[2001:db8::c000:201]:5060'),
      forward('[2001:db8::c000:201]:5060', [['OPTIONS sip:user@[2001:db8:::192.0.2.1]', 'OPTIONS sip:user@[2001:db8::192.0.2.1]']]),
      answer(400),
    ],
    why: 'An implementation must tolerate both constructs, and may repair the extra colon (5118 4.10); the address itself is one no current grammar allows (RFC 4291), so 400 is a defensible last resort.',
  },
  {
    name: 'ipv6-correct-abnf-2-colons', section: '4.10', title: 'IPv6 Reference with an Embedded IPv4 Address', source,
    expected: [forward('[2001:db8::c000:201]:5060')],
    why: 'The correct construct (5118 4.10).',
  },
];
