/** Request validation (RFC 3261 16.3), in its order: syntax, URI scheme, Max-Forwards, loop, Proxy-Require.
 *  Runs on the shard. Hot: once per request, allocates nothing. What the proxy has no use for is not looked at. */

import { WORD } from '../../base/char-class.ts';
import { parseCSeq } from '../../sip/cseq.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import type { MessageIndex } from '../../sip/message-index.ts';
import { METHOD } from '../../sip/methods.ts';
import { parseNameAddr } from '../../sip/name-addr.ts';
import { MESSAGE_ERROR } from '../../sip/parse-message.ts';
import { parseUri, SCHEME } from '../../sip/uri.ts';
import type { ReceivedRequest } from '../received-request.ts';
import { REJECT, type Rejection } from '../rejection.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

/** Section 20.22: 0 … 255. */
const MAX_MAX_FORWARDS = 255;
const ZERO = 0x30;
const AT = 0x40;
/** Bits of `MessageIndex.repeated`. */
const ONLY_ONCE = (1 << HEADER_ID.FROM) | (1 << HEADER_ID.TO) | (1 << HEADER_ID.CALL_ID) | (1 << HEADER_ID.CSEQ);

/** Step 1. `error` is what `parseMessage` found. Fills the request's views; the top Via has been read before. */
export function checkSyntax(bytes: Bytes, request: ReceivedRequest, error: number): Rejection | null {
  if (error !== MESSAGE_ERROR.NONE) return explain(error);
  const { index } = request;
  const from = index.first[HEADER_ID.FROM]!;
  const to = index.first[HEADER_ID.TO]!;
  const callId = index.first[HEADER_ID.CALL_ID]!;
  const cseq = index.first[HEADER_ID.CSEQ]!;
  if (from === -1) return REJECT.missingFrom;
  if (to === -1) return REJECT.missingTo;
  if (callId === -1) return REJECT.missingCallId;
  if (cseq === -1) return REJECT.missingCSeq;
  if ((index.repeated & ONLY_ONCE) !== 0) return explainRepeated(index.repeated);
  if (!isNameAddr(bytes, index, from, request)) return REJECT.malformedFrom;
  if (!isNameAddr(bytes, index, to, request)) return REJECT.malformedTo;
  if (!isCallId(bytes, index.valueStart(callId), index.valueEnd(callId))) return REJECT.malformedCallId;
  if (parseCSeq(bytes, index.valueStart(cseq), index.valueEnd(cseq), request.cseq) < 0) return REJECT.malformedCSeq;
  if (!isSameMethod(bytes, request)) return REJECT.cseqMethod;
  const { uri } = request;
  if (parseUri(bytes, index.uriStart, index.uriEnd, uri) < 0) return REJECT.malformedUri;
  // Headers are not allowed in a Request-URI (table 1 of section 19.1.1).
  if (uri.headersStart !== -1) return REJECT.malformedUri;
  const malformed = readMaxForwards(bytes, request);
  request.isSound = malformed === null;
  return malformed;
}

/** Step 2. sips needs TLS on every hop (RFC 5630 3.1.3): without it, or WebSockets over it, (`hasSecure`) there is no such scheme here. */
export function checkScheme(request: ReceivedRequest, hasSecure: boolean): Rejection | null {
  const { scheme } = request.uri;
  const isKnown = scheme === SCHEME.SIP || scheme === SCHEME.TEL || (scheme === SCHEME.SIPS && hasSecure);
  return isKnown ? null : REJECT.uriScheme;
}

/** Step 3. An OPTIONS with 0 is answered for ourselves, which is the caller's business (section 11). */
export function checkMaxForwards(request: ReceivedRequest): Rejection | null {
  const isSpent = request.maxForwardsHeader !== -1 && request.maxForwards === 0;
  return isSpent ? REJECT.tooManyHops : null;
}

/** Step 5. No extension is known that a proxy must support, so any option-tag is one too many. ACK cannot be answered and
 *  CANCEL must not carry the header (section 20.29 by analogy with 20.32): theirs is ignored. */
export function checkProxyRequire(request: ReceivedRequest): Rejection | null {
  const { index } = request;
  const header = index.first[HEADER_ID.PROXY_REQUIRE]!;
  if (header === -1 || index.method === METHOD.ACK || index.method === METHOD.CANCEL) return null;
  for (let h = header; h !== -1; h = index.next(h)) {
    if (index.valueEnd(h) > index.valueStart(h)) return REJECT.badExtension;
  }
  return REJECT.malformedProxyRequire;
}

/** Cold. */
function explain(error: number): Rejection {
  switch (error) {
    case MESSAGE_ERROR.REQUEST_LINE:
      return REJECT.requestLine;
    case MESSAGE_ERROR.VERSION:
      return REJECT.version;
    case MESSAGE_ERROR.LINE_END:
      return REJECT.lineEnd;
    case MESSAGE_ERROR.NO_EMPTY_LINE:
      return REJECT.noEmptyLine;
    case MESSAGE_ERROR.TOO_MANY_HEADERS:
      return REJECT.tooManyHeaders;
    case MESSAGE_ERROR.CONTENT_LENGTH:
      return REJECT.contentLength;
    case MESSAGE_ERROR.SEVERAL_CONTENT_LENGTHS:
      return REJECT.severalContentLengths;
    case MESSAGE_ERROR.SHORT_BODY:
      return REJECT.shortBody;
    case MESSAGE_ERROR.NO_CONTENT_LENGTH:
      return REJECT.missingContentLength;
    case MESSAGE_ERROR.SEVERAL_MESSAGES:
      return REJECT.severalMessages;
    case MESSAGE_ERROR.TOO_LARGE:
      return REJECT.entityTooLarge;
    default:
      return REJECT.headerLine;
  }
}

/** Headers that make no sense twice: two From, two CSeq … name no transaction. Cold. */
function explainRepeated(repeated: number): Rejection {
  if ((repeated & (1 << HEADER_ID.FROM)) !== 0) return REJECT.severalFrom;
  if ((repeated & (1 << HEADER_ID.TO)) !== 0) return REJECT.severalTo;
  return (repeated & (1 << HEADER_ID.CALL_ID)) !== 0 ? REJECT.severalCallIds : REJECT.severalCSeqs;
}

/** From and To hold one address each. */
function isNameAddr(bytes: Bytes, index: MessageIndex, header: number, request: ReceivedRequest): boolean {
  const end = index.valueEnd(header);
  const view = index.idOf(header) === HEADER_ID.FROM ? request.from : request.to;
  return parseNameAddr(bytes, index.valueStart(header), end, view) >= 0 && view.end === end;
}

/** callid = word [ "@" word ] (section 25.1). */
function isCallId(bytes: Bytes, start: number, end: number): boolean {
  let at = start;
  while (at < end && WORD[bytes[at]!] === 1) at++;
  if (at === end) return end > start;
  if (bytes[at] !== AT || at === start || at + 1 === end) return false;
  at++;
  while (at < end && WORD[bytes[at]!] === 1) at++;
  return at === end;
}

/** Section 8.1.1.5: the method in the CSeq is that of the request. */
function isSameMethod(bytes: Bytes, request: ReceivedRequest): boolean {
  const { index, cseq } = request;
  const length = index.methodEnd - index.methodStart;
  if (cseq.methodEnd - cseq.methodStart !== length) return false;
  for (let i = 0; i < length; i++) {
    if (bytes[cseq.methodStart + i] !== bytes[index.methodStart + i]) return false;
  }
  return true;
}

function readMaxForwards(bytes: Bytes, request: ReceivedRequest): Rejection | null {
  const { index } = request;
  const header = index.first[HEADER_ID.MAX_FORWARDS]!;
  request.maxForwardsHeader = header;
  if (header === -1) return null;
  if (index.next(header) !== -1) return REJECT.severalMaxForwards;
  const end = index.valueEnd(header);
  let value = 0;
  let at = index.valueStart(header);
  if (at === end) return REJECT.malformedMaxForwards;
  for (; at < end; at++) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) return REJECT.malformedMaxForwards;
    value = value * 10 + digit;
    if (value > MAX_MAX_FORWARDS) return REJECT.malformedMaxForwards;
  }
  request.maxForwards = value;
  return null;
}
