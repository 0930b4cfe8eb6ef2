/** qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ) (RFC 3261 25.1), in thousandths. Runs on the shard. Hot:
 *  once per contact, allocates nothing. */

type Bytes = Uint8Array<SharedArrayBuffer>;

/** 1.000: also what a contact without a q has (section 20.10 leaves it open, everybody reads it so). */
export const Q_ONE = 1000;

const DOT = 0x2e;
const ZERO = 0x30;
const MAX_CHARS = 5;

/** 0 … 1000; what is no qvalue counts as 1. */
export function parseQ(bytes: Bytes, start: number, end: number): number {
  const whole = bytes[start]! - ZERO;
  if (start >= end || end - start > MAX_CHARS || (whole !== 0 && whole !== 1)) return Q_ONE;
  if (end - start > 1 && bytes[start + 1] !== DOT) return Q_ONE;
  let q = whole * Q_ONE;
  for (let at = start + 2, unit = 100; at < end; at++, unit /= 10) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) return Q_ONE;
    q += digit * unit;
  }
  return Math.min(q, Q_ONE);
}
