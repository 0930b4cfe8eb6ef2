/** The canonical form of an address-of-record, under which bindings are kept and found (RFC 3261 10.3 step 5). Runs on the
 *  shard. Hot where a location is looked up: once per request, allocates nothing.
 *
 *  ```
 *  SIP:%41lice@Example.COM;user=ip?Subject=x   →   sip:Alice@example.com
 *  sips:alice@example.com                      →   sip:alice@example.com
 *  sip:a%40b%3bc@[2001:DB8:0::1]:05060         →   sip:a%40b;c@[2001:db8::1]
 *  ```
 *  Step 5 removes all URI parameters and undoes escapes. Beyond that: the scheme is sip (RFC 5630 5.2: addresses-of-record that
 *  differ in sip and sips alone are equivalent), the host in small letters (19.1.4 compares it without case) and without its
 *  closing dot, addresses as RFC 5952 has them, headers left out (19.1.1 allows none in a To). The user and a password stay as
 *  they are, case and all.
 *
 *  Departs from RFC 3261 19.1.4: the port goes. One server is behind all ports of a domain of ours, and who registers as
 *  "alice@192.0.2.1" wants to be found as "alice@192.0.2.1:5060" too. */

import { ascii } from '../base/ascii.ts';
import { LOWER, URI_PASSWORD, URI_USER } from '../base/char-class.ts';
import { HOST_KIND } from './host.ts';
import { formatIpHost, parseIpAddress } from './ip-address.ts';
import { parseUri, SCHEME, URI_ERROR, UriView, unescapedAt } from './uri.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

/** The canonical form is at most this much longer than the URI (an IPv4-mapped address that was written in hex). */
export const ADDRESS_OF_RECORD_GROWTH_BYTES = 8;

const PERCENT = 0x25;
const DOT = 0x2e;
const COLON = 0x3a;
const AT = 0x40;

const SIP = ascii('sip:');
const HEX_DIGITS = ascii('0123456789ABCDEF');

const view = new UriView();
const address = new Int32Array(new SharedArrayBuffer(16));

/** Writes the canonical form of the SIP or SIPS URI in [start, end) to `target` from `to` on, where there must be room
 *  for `end - start + ADDRESS_OF_RECORD_GROWTH_BYTES`. Returns its length, or a negative URI_ERROR: SCHEME for any other
 *  scheme, as an address-of-record is a SIP or SIPS URI (section 6). Source and target must not overlap. */
export function writeAddressOfRecord(bytes: Bytes, start: number, end: number, target: Bytes, to: number): number {
  const error = parseUri(bytes, start, end, view);
  return error === URI_ERROR.NONE ? writeAddressOfRecordOf(bytes, view, target, to) : error;
}

/** The same of a URI that `parseUri` has found to be one. */
export function writeAddressOfRecordOf(bytes: Bytes, uri: UriView, target: Bytes, to: number): number {
  if (uri.scheme > SCHEME.SIPS) return URI_ERROR.SCHEME;
  let at = to;
  for (let i = 0; i < SIP.length; i++) target[at++] = SIP[i]!;
  if (uri.userStart !== -1) {
    at = writeUnescaped(bytes, uri.userStart, uri.userEnd, URI_USER, target, at);
    if (uri.passwordStart !== -1) {
      target[at++] = COLON;
      at = writeUnescaped(bytes, uri.passwordStart, uri.passwordEnd, URI_PASSWORD, target, at);
    }
    target[at++] = AT;
  }
  return writeHost(bytes, uri, target, at) - to;
}

/** Departs from RFC 3261 10.3: an escape stays, with capital digits, where the character may not stand there
 *  unescaped. Undone, "a%3Ab" would be user "a" with password "b", and "%00" would be a control character in every log. */
function writeUnescaped(
  bytes: Bytes,
  start: number,
  end: number,
  allowed: Uint8Array,
  target: Bytes,
  to: number,
): number {
  let at = to;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte !== PERCENT) {
      target[at++] = byte;
      continue;
    }
    const escaped = unescapedAt(bytes, i);
    i += 2;
    if (allowed[escaped] === 1) {
      target[at++] = escaped;
    } else {
      target[at++] = PERCENT;
      target[at++] = HEX_DIGITS[escaped >>> 4]!;
      target[at++] = HEX_DIGITS[escaped & 15]!;
    }
  }
  return at;
}

function writeHost(bytes: Bytes, uri: UriView, target: Bytes, to: number): number {
  if (uri.hostKind !== HOST_KIND.NAME) {
    const family = parseIpAddress(bytes, uri.hostStart, uri.hostEnd, address, 0);
    return formatIpHost(address, 0, family, target, to);
  }
  let at = to;
  const end = bytes[uri.hostEnd - 1] === DOT ? uri.hostEnd - 1 : uri.hostEnd;
  for (let i = uri.hostStart; i < end; i++) target[at++] = LOWER[bytes[i]!]!;
  return at;
}
