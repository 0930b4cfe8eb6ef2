/** Whether a message may have something that `maskSecrets` (mask.ts) masks without being told of further headers: looked for in its
 *  bytes, four at a time, so that the export need not make a text of every message. What it says yes to is looked at again; it never
 *  says no wrongly (test/runtime/trace/secret-scan.test.ts). Runs on the export thread, once per message, allocates nothing. */

type Bytes = Uint8Array<SharedArrayBuffer>;
type Words = Int32Array<SharedArrayBuffer>;

const FOUR_SPACES = 0x20202020;
const FOUR_ATS = 0x40404040;
const FOUR_ONES = 0x01010101;
const FOUR_HIGH_BITS = 0x80808080 | 0;
const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;
const EQUALS = 0x3d;
const AT = 0x40;

/** Bytes that a line with a secret may begin with. */
const BEGINS_SECRET = tableOf('aAcCeEkKpP');
/** Bytes that are in no user and no password as they stand in a URI. */
const ENDS_USER = tableOf(' \t\r\n"<>;@');

function tableOf(characters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const character of characters) table[character.charCodeAt(0)] = 1;
  return table;
}

/** Of the message in [start, end); `words` lies over the bytes, and reaches a word beyond `end`. */
export function mayHaveSecrets(bytes: Bytes, words: Words, start: number, end: number): boolean {
  if (isSecretLine(bytes, start, end)) return true;
  const last = (end - 1) >> 2;
  for (let word = start >> 2; word <= last; word++) {
    const x = words[word]!;
    // Marks bytes below 0x20, which are line ends or tabs, and `@`. A mark may be false; none is missing.
    const y = x ^ FOUR_ATS;
    let marks = (((x - FOUR_SPACES) & ~x) | ((y - FOUR_ONES) & ~y)) & FOUR_HIGH_BITS;
    while (marks !== 0) {
      const at = (word << 2) + ((31 - Math.clz32(marks & -marks)) >> 3);
      marks &= marks - 1;
      const byte = bytes[at]!;
      if (byte === LF || byte === CR) {
        if (BEGINS_SECRET[bytes[at + 1]!] === 1 && isSecretLine(bytes, at + 1, end)) return true;
      } else if (byte === AT && at >= start && at < end && isPassword(bytes, start, at)) {
        return true;
      }
    }
  }
  return false;
}

/** What begins at `at` as a line with a secret does: a header of credentials or of a body's encoding, or a key in SDP. */
function isSecretLine(bytes: Bytes, at: number, end: number): boolean {
  if (at + 2 >= end) return false;
  const second = bytes[at + 1]!;
  switch (bytes[at]! | 0x20) {
    case 0x61: // Authorization, Authentication-Info; a=crypto, a=key-mgmt, a=ice-pwd
      return (second | 0x20) === 0x75 || (second === EQUALS && isKeyAttribute(bytes, at + 2, end));
    case 0x63: // Content-Encoding
      return at + 8 < end && bytes[at + 7] === 0x2d && (bytes[at + 8]! | 0x20) === 0x65;
    case 0x65: // its compact form
      return second === COLON || second === SPACE || second === TAB;
    case 0x6b: // k=
      return second === EQUALS;
    case 0x70: // Proxy-Authorization, Proxy-Authentication-Info
      return at + 6 < end && bytes[at + 5] === 0x2d && (bytes[at + 6]! | 0x20) === 0x61;
    default:
      return false;
  }
}

/** By its first letters. */
function isKeyAttribute(bytes: Bytes, at: number, end: number): boolean {
  const second = at + 1 < end ? bytes[at + 1]! | 0x20 : 0;
  switch (bytes[at]! | 0x20) {
    case 0x63: // crypto
      return second === 0x72;
    case 0x69: // ice-pwd
      return second === 0x63;
    case 0x6b: // key-mgmt
      return second === 0x65;
    default:
      return false;
  }
}

/** Two colons in what stands before the `@` at `at`: that of the scheme, and that of a password (RFC 3261 19.1.1). */
function isPassword(bytes: Bytes, start: number, at: number): boolean {
  let colons = 0;
  for (let i = at - 1; i >= start; i--) {
    const byte = bytes[i]!;
    if (ENDS_USER[byte] === 1) return false;
    if (byte === COLON && ++colons === 2) return true;
  }
  return false;
}
