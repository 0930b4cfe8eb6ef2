/** Byte classes of the SIP grammar as tables of 256 entries (RFC 3261 25.1). Any thread. Hot: read for every byte, so each
 *  class is one load. An entry is 1 for a member, 0 for anything else; in URI classes `%` is ESCAPE, because two
 *  hexadecimal digits must follow it. */

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';
const DIGITS = '0123456789';
const UNRESERVED = LETTERS + DIGITS + "-_.!~*'()";

/** Mark of `%` in the URI classes. */
export const ESCAPE = 2;

/** token: methods, header names, option tags, parameter names. */
export const TOKEN = classOf(LETTERS + DIGITS + "-.!%*_+`'~");

/** What stands for itself in a quoted string: qdtext but for line ends, and bytes from 0x80 on unchecked. */
export const QUOTED = new Uint8Array(256);
for (let byte = 0x20; byte < 256; byte++) QUOTED[byte] = byte === 0x22 || byte === 0x5c || byte === 0x7f ? 0 : 1;

/** word: the halves of a Call-ID. */
export const WORD = classOf(LETTERS + DIGITS + '-.!%*_+`\'~()<>:\\"/[]?{}');

/** SP and HTAB. */
export const WSP = classOf(' \t');

export const DIGIT = classOf(DIGITS);
export const ALPHA = classOf(LETTERS);

/** Value of a hexadecimal digit in either case, NOT_HEX for anything else. */
export const HEX = new Uint8Array(256).fill(16);
export const NOT_HEX = 16;
for (let value = 0; value < 16; value++) {
  HEX[value.toString(16).charCodeAt(0)] = value;
  HEX[value.toString(16).toUpperCase().charCodeAt(0)] = value;
}

/** Each byte with the ASCII capitals made small. `| 0x20` would also turn CR into `-` and NUL into a space. */
export const LOWER = new Uint8Array(256);
for (let byte = 0; byte < 256; byte++) LOWER[byte] = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;

/** user of a SIP URI; the telephone-subscriber of RFC 2806 adds nothing that may stand there unescaped. */
export const URI_USER = escapedClassOf(UNRESERVED + '&=+$,;?/');
export const URI_PASSWORD = escapedClassOf(UNRESERVED + '&=+$,');
/** paramchar: names and values of uri-parameters. */
export const URI_PARAM = escapedClassOf(UNRESERVED + '[]/:&+$');
/** Names and values of the headers in a URI. */
export const URI_HEADER = escapedClassOf(UNRESERVED + '[]/?:+$');
/** uric: what any other absolute URI is made of. */
export const URI_ANY = escapedClassOf(UNRESERVED + ';/?:@&=+$,');
/** Characters of a scheme after its first letter. */
export const URI_SCHEME = classOf(LETTERS + DIGITS + '+-.');
/** What may stand between the angle brackets of a name-addr whatever the scheme: uric, brackets of an IPv6 reference,
 *  and the `#` of a local telephone number (RFC 3966 section 3). */
export const URI_BYTE = classOf(UNRESERVED + ';/?:@&=+$,%[]#');
/** A telephone number with its visual separators (RFC 3966 section 3). */
export const PHONE_DIGIT = classOf(DIGITS + '-.()');
export const PHONE_DIGIT_LOCAL = classOf(DIGITS + 'abcdefABCDEF*#-.()');

/** Host names: HOST_DIGIT, HOST_LETTER, HOST_HYPHEN, HOST_DOT, 0 for what ends a name.
 *  Departs from RFC 3261 25.1: `_` counts as a letter, since names like `sip_edge.example.com` are in use everywhere. */
export const HOST = new Uint8Array(256);
export const HOST_DIGIT = 1;
export const HOST_LETTER = 2;
export const HOST_HYPHEN = 3;
const HOST_DOT = 4;
for (const digit of DIGITS) HOST[digit.charCodeAt(0)] = HOST_DIGIT;
for (const letter of LETTERS + '_') HOST[letter.charCodeAt(0)] = HOST_LETTER;
HOST[0x2d] = HOST_HYPHEN;
HOST[0x2e] = HOST_DOT;

function classOf(members: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const member of members) table[member.charCodeAt(0)] = 1;
  return table;
}

function escapedClassOf(members: string): Uint8Array {
  const table = classOf(members);
  table[0x25] = ESCAPE;
  return table;
}
