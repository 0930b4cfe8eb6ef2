/** CSeq = 1*DIGIT LWS Method (RFC 3261 20.16, 25.1). Runs on the shard. Hot: once per datagram, allocates nothing. */

import { DIGIT, TOKEN } from '../base/char-class.ts';
import { skipLws } from './lexis.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

/** NUMBER: no number, or not less than 2**31 (section 8.1.1.5). METHOD: no token after it, or something behind. */
export const CSEQ_ERROR = { NONE: 0, NUMBER: -1, METHOD: -2 } as const;

const ZERO = 0x30;
const MAX_NUMBER = 0x7fffffff;

/** Offsets are absolute and valid as long as the bytes. */
export class CSeqView {
  number = 0;
  methodStart = 0;
  methodEnd = 0;
}

/** Reads the CSeq in [start, end), white space around it trimmed. Returns CSEQ_ERROR.NONE or the error. */
export function parseCSeq(bytes: Bytes, start: number, end: number, view: CSeqView): number {
  view.methodStart = view.methodEnd = end;
  let at = start;
  let number = 0;
  while (at < end && DIGIT[bytes[at]!] === 1) {
    number = number * 10 + bytes[at]! - ZERO;
    if (number > MAX_NUMBER) return CSEQ_ERROR.NUMBER;
    at++;
  }
  if (at === start) return CSEQ_ERROR.NUMBER;
  view.number = number;
  const methodStart = skipLws(bytes, at, end);
  if (methodStart === at) return CSEQ_ERROR.METHOD;
  at = methodStart;
  while (at < end && TOKEN[bytes[at]!] === 1) at++;
  if (at === methodStart || at !== end) return CSEQ_ERROR.METHOD;
  view.methodStart = methodStart;
  view.methodEnd = at;
  return CSEQ_ERROR.NONE;
}
