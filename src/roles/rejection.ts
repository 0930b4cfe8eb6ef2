/** Why a request is answered instead of forwarded: status, reason phrase and the counter it goes to. Constants, so that
 *  saying no allocates nothing. */

import { type Literal, literal } from '../base/ascii.ts';
import { COUNTER } from '../observe/counters.ts';

export interface Rejection {
  readonly status: number;
  /** "SIP/2.0 400 Malformed CSeq Header\r\n" */
  readonly statusLine: Literal;
  readonly counter: number;
  /** Header lines that say more. */
  readonly headers: Literal;
}

export function rejection(status: number, reason: string, counter: number, headers = ''): Rejection {
  return { status, statusLine: literal(`SIP/2.0 ${status} ${reason}\r\n`), counter, headers: literal(headers) };
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
  missingContentLength: malformed('Missing Content-Length Header'),
  severalMessages: malformed('Body Longer Than Content-Length'),
  entityTooLarge: malformed('Request Entity Too Large', 413),
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
  contentEncoding: rejection(
    415,
    'Unsupported Media Type',
    COUNTER.requests_answered_total,
    'Accept-Encoding: identity\r\n',
  ),
  uriScheme: rejection(416, 'Unsupported URI Scheme', COUNTER.requests_answered_total),
  badExtension: rejection(420, 'Bad Extension', COUNTER.requests_answered_total),
  loopDetected: rejection(482, 'Loop Detected', COUNTER.loops_detected_total),
  merged: rejection(482, 'Merged Request', COUNTER.loops_detected_total),
  tooManyHops: rejection(483, 'Too Many Hops', COUNTER.too_many_hops_total),
  maxBreadthExceeded: rejection(440, 'Max-Breadth Exceeded', COUNTER.max_breadth_exceeded_total),
  relayDenied: rejection(403, 'Relaying Denied', COUNTER.relay_denied_total),
  unknownUser: rejection(404, 'Not Found', COUNTER.requests_answered_total),
  noTransaction: rejection(481, 'Call/Transaction Does Not Exist', COUNTER.requests_answered_total),
  noTarget: rejection(480, 'Temporarily Unavailable', COUNTER.requests_answered_total),
  // RFC 5630 5.3 and 11.2 (warn-code 380).
  sipsNotAllowed: rejection(
    480,
    'Temporarily Unavailable',
    COUNTER.requests_answered_total,
    'Warning: 380 strowger "SIPS Not Allowed"\r\n',
  ),
  flowForged: rejection(403, 'Flow Token Forged', COUNTER.requests_answered_total),
  flowFailed: rejection(430, 'Flow Failed', COUNTER.requests_answered_total),
  unresolvable: rejection(500, 'Next Hop Unresolvable', COUNTER.unresolvable_total),
  unsupportedTransport: rejection(500, 'Next Hop Transport Not Available', COUNTER.unsupported_transport_total),
  noRoom: rejection(503, 'Service Unavailable', COUNTER.parked_exhausted_total),
  overloaded: rejection(503, 'Service Unavailable', COUNTER.overload_rejected_total),
  exhausted: rejection(503, 'Service Unavailable', COUNTER.transactions_exhausted_total),
  draining: rejection(503, 'Service Unavailable', COUNTER.drain_rejected_total),
  malformedContact: malformed('Malformed Contact Header'),
  malformedPath: malformed('Malformed Path Header'),
  badStar: malformed('Contact * Needs To Be Alone With Expires 0'),
  severalFlows: malformed('Several Contacts With One Reg-Id'),
  insecureBinding: rejection(400, 'SIPS Contact Among SIP URIs', COUNTER.registrations_refused_total),
  tooManyContacts: rejection(403, 'Too Many Contacts', COUNTER.registrations_refused_total),
  wrongDomain: rejection(404, 'Not Found', COUNTER.registrations_refused_total),
  noSuchUser: rejection(404, 'Not Found', COUNTER.registrations_refused_total),
  intervalTooBrief: rejection(423, 'Interval Too Brief', COUNTER.registrations_refused_total),
  firstHopLacksOutbound: rejection(439, 'First Hop Lacks Outbound Support', COUNTER.registrations_refused_total),
  outOfOrder: rejection(500, 'CSeq Out Of Order', COUNTER.registrations_refused_total),
  locationFull: rejection(503, 'Service Unavailable', COUNTER.location_full_total),
  storeBehind: rejection(503, 'Service Unavailable', COUNTER.store_behind_total),
  bindingTooLarge: rejection(513, 'Message Too Large', COUNTER.registrations_refused_total),
  notRegistrar: rejection(403, 'No Registrar For This Domain', COUNTER.registrations_refused_total),
  malformedCredentials: malformed('Malformed Credentials'),
  forbidden: rejection(403, 'Forbidden', COUNTER.forbidden_total),
  usersUnavailable: rejection(503, 'Service Unavailable', COUNTER.users_unavailable_total),
  requestTimeout: rejection(408, 'Request Timeout', COUNTER.requests_answered_total),
  requestTerminated: rejection(487, 'Request Terminated', COUNTER.requests_answered_total),
  unreachable: rejection(500, 'Next Hop Unreachable', COUNTER.send_errors_total),
  tooLarge: rejection(513, 'Message Too Large', COUNTER.send_errors_total),
} as const;
