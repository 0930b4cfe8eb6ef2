/** Why a request is answered instead of forwarded: status, reason phrase and the counter it goes to. Constants, so that
 *  saying no allocates nothing. */

import { ascii } from '../../base/ascii.ts';
import { COUNTER } from '../../observe/counters.ts';

export interface Rejection {
  readonly status: number;
  /** "SIP/2.0 400 Malformed CSeq Header\r\n" */
  readonly statusLine: Uint8Array;
  readonly counter: number;
}

export function rejection(status: number, reason: string, counter: number): Rejection {
  return { status, statusLine: ascii(`SIP/2.0 ${status} ${reason}\r\n`), counter };
}

function malformed(what: string, status = 400): Rejection {
  return rejection(status, what, COUNTER.malformed_requests_total);
}

export const REJECT = {
  requestLine: malformed('Malformed Request-Line'),
  version: malformed('Version Not Supported', 505),
  headerLine: malformed('Malformed Header Field'),
  lineEnd: malformed('Line Not Ended By CRLF'),
  noEmptyLine: malformed('Missing Empty Line After Headers'),
  tooManyHeaders: malformed('Too Many Header Fields'),
  contentLength: malformed('Malformed Content-Length Header'),
  severalContentLengths: malformed('Several Content-Length Headers'),
  shortBody: malformed('Body Shorter Than Content-Length'),
  missingFrom: malformed('Missing From Header'),
  severalFrom: malformed('Several From Headers'),
  malformedFrom: malformed('Malformed From Header'),
  missingTo: malformed('Missing To Header'),
  severalTo: malformed('Several To Headers'),
  malformedTo: malformed('Malformed To Header'),
  missingCallId: malformed('Missing Call-ID Header'),
  severalCallIds: malformed('Several Call-ID Headers'),
  malformedCallId: malformed('Malformed Call-ID Header'),
  missingCSeq: malformed('Missing CSeq Header'),
  severalCSeqs: malformed('Several CSeq Headers'),
  malformedCSeq: malformed('Malformed CSeq Header'),
  cseqMethod: malformed('CSeq Method Does Not Match'),
  severalMaxForwards: malformed('Several Max-Forwards Headers'),
  malformedMaxForwards: malformed('Malformed Max-Forwards Header'),
  malformedUri: malformed('Malformed Request-URI'),
  malformedVia: malformed('Malformed Via Header'),
  malformedRoute: malformed('Malformed Route Header'),
  malformedProxyRequire: malformed('Malformed Proxy-Require Header'),
  uriScheme: rejection(416, 'Unsupported URI Scheme', COUNTER.requests_answered_total),
  badExtension: rejection(420, 'Bad Extension', COUNTER.requests_answered_total),
  loopDetected: rejection(482, 'Loop Detected', COUNTER.loops_detected_total),
  tooManyHops: rejection(483, 'Too Many Hops', COUNTER.too_many_hops_total),
  relayDenied: rejection(403, 'Relaying Denied', COUNTER.relay_denied_total),
  noTarget: rejection(480, 'Temporarily Unavailable', COUNTER.requests_answered_total),
  unresolvable: rejection(500, 'Next Hop Unresolvable', COUNTER.unresolvable_total),
  unsupportedTransport: rejection(500, 'Next Hop Transport Not Available', COUNTER.unsupported_transport_total),
  noRoom: rejection(503, 'Service Unavailable', COUNTER.parked_exhausted_total),
  unreachable: rejection(500, 'Next Hop Unreachable', COUNTER.send_errors_total),
  tooLarge: rejection(513, 'Message Too Large', COUNTER.send_errors_total),
} as const;
