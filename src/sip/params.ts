/** Parameters of header fields: generic-param = token [ EQUAL ( token / host / quoted-string ) ] (RFC 3261 25.1).
 *  Runs on the shard. Hot: several times per header read, allocates nothing. */

import { TOKEN } from '../base/char-class.ts';
import { scanHost } from './host.ts';
import { isIpv6 } from './ip-address.ts';
import { skipLws, skipQuoted } from './lexis.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

const SPACE = 0x20;
const DQUOTE = 0x22;
const COLON = 0x3a;
const EQUAL = 0x3d;
const LEFT_BRACKET = 0x5b;

/** One parameter. Offsets are absolute; the white space around "=" is in neither span. */
export class ParamView {
  nameStart = 0;
  nameEnd = 0;
  /** −1 without a value. A quoted string includes its quotes, an IPv6 reference its brackets. */
  valueStart = -1;
  valueEnd = -1;
  /** The value is a token: no quoted string, no IPv6 address. */
  isToken = false;
}

/** Reads the parameter that begins at `at`, after its ";" and white space. Returns the index of what follows it and the
 *  white space behind it (`end`, ";", "," or something that is wrong), or −1 if it is no parameter.
 *
 *  Departs from RFC 3261 25.1: any value may be an IPv6 address without brackets, which only `received` may be. */
export function readParam(bytes: Bytes, at: number, end: number, view: ParamView): number {
  let i = at;
  while (i < end && TOKEN[bytes[i]!] === 1) i++;
  if (i === at) return -1;
  view.nameStart = at;
  view.nameEnd = i;
  view.valueStart = view.valueEnd = -1;
  view.isToken = false;
  if (i < end && bytes[i]! <= SPACE) i = skipLws(bytes, i, end);
  if (i >= end || bytes[i] !== EQUAL) return i;
  i++;
  if (i < end && bytes[i]! <= SPACE) i = skipLws(bytes, i, end);
  const valueStart = i;
  while (i < end && TOKEN[bytes[i]!] === 1) i++;
  view.isToken = i > valueStart;
  if (i < end) {
    const byte = bytes[i]!;
    if (byte === COLON) {
      view.isToken = false;
      i = scanBareIpv6(bytes, valueStart, i, end);
    } else if (i === valueStart) {
      i = scanSpecialValue(bytes, byte, i, end);
    }
  }
  if (i <= valueStart) return -1;
  view.valueStart = valueStart;
  view.valueEnd = i;
  return i < end && bytes[i]! <= SPACE ? skipLws(bytes, i, end) : i;
}

/** A value that does not begin with a token character: a quoted string or an IPv6 reference. −1 if it is neither. */
function scanSpecialValue(bytes: Bytes, first: number, at: number, end: number): number {
  if (first === DQUOTE) return skipQuoted(bytes, at, end);
  return first === LEFT_BRACKET ? scanHost(bytes, at, end) : -1;
}

/** An IPv6 address without brackets, whose first colon is at `colon`. */
function scanBareIpv6(bytes: Bytes, start: number, colon: number, end: number): number {
  let at = colon;
  while (at < end && (TOKEN[bytes[at]!] === 1 || bytes[at] === COLON)) at++;
  return isIpv6(bytes, start, at) ? at : -1;
}
