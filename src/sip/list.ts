/** Comma lists (RFC 3261 section 7.3.1). Runs on the shard. Hot: once per list header read, allocates nothing. */

type Bytes = Uint8Array<SharedArrayBuffer>;

const DQUOTE = 0x22;
const COMMA = 0x2c;
const LESS = 0x3c;
const GREATER = 0x3e;
const BACKSLASH = 0x5c;

/** Index of the first comma in [start, end) that stands outside quoted strings and angle brackets, or `end`. A quote or
 *  bracket that is never closed reaches to `end`. */
export function nextComma(bytes: Bytes, start: number, end: number): number {
  let at = start;
  while (at < end) {
    const byte = bytes[at]!;
    if (byte === COMMA) return at;
    if (byte === DQUOTE) at = closingQuote(bytes, at + 1, end);
    else if (byte === LESS) while (at < end && bytes[at] !== GREATER) at++;
    at++;
  }
  return end;
}

/** Index of the quote that closes the string which has `at` inside, or `end`. */
function closingQuote(bytes: Bytes, start: number, end: number): number {
  let at = start;
  while (at < end && bytes[at] !== DQUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}
