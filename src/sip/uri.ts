/** SIP, SIPS, tel and other absolute URIs (RFC 3261 19.1, 25.1; RFC 3966). Runs on the shard.
 *  Hot: several times per datagram, allocates nothing. Nothing is unescaped, only checked. */

import { ascii } from '../base/ascii.ts';
import {
  ALPHA,
  ESCAPE,
  HEX,
  LOWER,
  NOT_HEX,
  PHONE_DIGIT,
  PHONE_DIGIT_LOCAL,
  URI_ANY,
  URI_HEADER,
  URI_PARAM,
  URI_PASSWORD,
  URI_SCHEME,
  URI_USER,
} from '../base/char-class.ts';
import { HOST_KIND, scanHost, scannedHostKind, scannedHostWord, scannedPort, scanPort } from './host.ts';
import { TRANSPORT, transportOf } from './transport.ts';

// Whoever reads a UriView needs these too.
export { HOST_KIND, TRANSPORT };

type Bytes = Uint8Array<SharedArrayBuffer>;

export const SCHEME = { NONE: 0, SIP: 1, SIPS: 2, TEL: 3, OTHER: 4 } as const;

/** What is wrong with a URI, the first thing found. */
export const URI_ERROR = {
  NONE: 0,
  SCHEME: -1,
  USER: -2,
  HOST: -3,
  PORT: -4,
  PARAMETER: -5,
  HEADER: -6,
  /** `%` without two hexadecimal digits. */
  ESCAPE: -7,
  /** transport, maddr, method or ttl stands twice (section 19.1.1). */
  REPEATED: -8,
  /** A byte that may not stand in a URI of another scheme. */
  CHARACTER: -9,
} as const;

const HASH = 0x23;
const PERCENT = 0x25;
const AMPERSAND = 0x26;
const STAR = 0x2a;
const PLUS = 0x2b;
const HYPHEN = 0x2d;
const SLASH = 0x2f;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const SEMICOLON = 0x3b;
const EQUAL = 0x3d;
const QUESTION = 0x3f;
const AT = 0x40;
const LEFT_BRACKET = 0x5b;
const RIGHT_BRACKET = 0x5d;

const LR = ascii('lr');
const TTL = ascii('ttl');
const MADDR = ascii('maddr');
const METHOD = ascii('method');
const TRANSPORT_NAME = ascii('transport');

/** Offsets are absolute, −1 where there is no such part, and valid as long as the bytes. */
export class UriView {
  scheme: number = SCHEME.NONE;
  start = 0;
  end = 0;
  /** Still escaped. Of a tel URI: the number with its visual separators. */
  userStart = -1;
  userEnd = -1;
  /** May be empty: "sip:user:@host". */
  passwordStart = -1;
  passwordEnd = -1;
  /** An IPv6 reference includes its brackets. */
  hostStart = -1;
  hostEnd = -1;
  hostKind: number = HOST_KIND.NONE;
  /** An IPv4 host as a word in network order, else 0. */
  hostWord = 0;
  port = -1;
  /** From the first ";" to the end of the last uri-parameter. */
  paramsStart = -1;
  paramsEnd = -1;
  /** From the first header, after the "?". */
  headersStart = -1;
  headersEnd = -1;
  /** Has the parameter lr, with a value or without. */
  isLoose = false;
  transport: number = TRANSPORT.NONE;
  maddrStart = -1;
  maddrEnd = -1;
  methodStart = -1;
  methodEnd = -1;
  /** 0 … 255, −1 if absent. */
  ttl = -1;
}

/** Reads the URI that fills [start, end). Returns URI_ERROR.NONE or the first error; the view then holds what came
 *  before it. Of a scheme that is not SIP, SIPS or tel only the characters are checked. */
export function parseUri(bytes: Bytes, start: number, end: number, view: UriView): number {
  reset(view, start, end);
  const at = readScheme(bytes, start, end, view);
  if (at === -1) return URI_ERROR.SCHEME;
  if (view.scheme <= SCHEME.SIPS) return readSip(bytes, at, end, view);
  return view.scheme === SCHEME.TEL ? readTel(bytes, at, end, view) : checkOther(bytes, at, end);
}

/** The TRANSPORT that a SIP or SIPS URI asks for. NONE: it leaves the choice. OTHER: none that there is. A sips URI is for TLS
 *  (RFC 3261 26.2.2), over WebSocket for WSS (RFC 7118 5.5); `transport=tls` is written by many, although deprecated. */
export function transportAskedBy({ scheme, transport }: UriView): number {
  return scheme === SCHEME.SIPS ? secureTransportOf(transport) : transport;
}

/** The same of a URI with that transport if it were a sips one. */
export function secureTransportOf(transport: number): number {
  if (transport === TRANSPORT.WS || transport === TRANSPORT.WSS) return TRANSPORT.WSS;
  const isTls = transport === TRANSPORT.NONE || transport === TRANSPORT.TCP || transport === TRANSPORT.TLS;
  return isTls ? TRANSPORT.TLS : TRANSPORT.OTHER;
}

function reset(view: UriView, start: number, end: number): void {
  view.scheme = SCHEME.NONE;
  view.start = start;
  view.end = end;
  view.userStart = view.userEnd = -1;
  view.passwordStart = view.passwordEnd = -1;
  view.hostStart = view.hostEnd = -1;
  view.hostKind = HOST_KIND.NONE;
  view.hostWord = 0;
  view.port = -1;
  view.paramsStart = view.paramsEnd = -1;
  view.headersStart = view.headersEnd = -1;
  view.isLoose = false;
  view.transport = TRANSPORT.NONE;
  view.maddrStart = view.maddrEnd = -1;
  view.methodStart = view.methodEnd = -1;
  view.ttl = -1;
}

/** Returns the index after the colon, or −1. */
function readScheme(bytes: Bytes, start: number, end: number, view: UriView): number {
  if (end - start >= 4) {
    const first = bytes[start]! | 0x20;
    const second = bytes[start + 1]! | 0x20;
    const third = bytes[start + 2]! | 0x20;
    const fourth = bytes[start + 3]!;
    if (first === 0x73 && second === 0x69 && third === 0x70) {
      if (fourth === COLON) {
        view.scheme = SCHEME.SIP;
        return start + 4;
      }
      if ((fourth | 0x20) === 0x73 && end - start > 4 && bytes[start + 4] === COLON) {
        view.scheme = SCHEME.SIPS;
        return start + 5;
      }
    } else if (first === 0x74 && second === 0x65 && third === 0x6c && fourth === COLON) {
      view.scheme = SCHEME.TEL;
      return start + 4;
    }
  }
  if (start >= end || ALPHA[bytes[start]!] !== 1) return -1;
  let at = start + 1;
  while (at < end && URI_SCHEME[bytes[at]!] === 1) at++;
  if (at >= end || bytes[at] !== COLON) return -1;
  view.scheme = SCHEME.OTHER;
  return at + 1;
}

// ---- SIP and SIPS ---------------------------------------------------------------------------------------------------

/** [ userinfo ] hostport uri-parameters [ headers ]
 *
 *  What begins here may be a user or a host, and only a later "@" tells. Most are hosts by their letters, so a host is read
 *  first: if what follows rules out a user, the bytes are walked once. */
function readSip(bytes: Bytes, start: number, end: number, view: UriView): number {
  let hostStart = start;
  let at = scanHost(bytes, start, end);
  if (at !== end) {
    if (at !== -1 && bytes[at] === AT) {
      view.userStart = start;
      view.userEnd = at;
      hostStart = at + 1;
      at = scanHost(bytes, hostStart, end);
    } else if (at === -1 || hasAt(bytes, at, end)) {
      hostStart = readUserinfo(bytes, start, end, view);
      if (hostStart < 0) return hostStart;
      at = scanHost(bytes, hostStart, end);
    }
    if (at === -1) return URI_ERROR.HOST;
  }
  view.hostStart = hostStart;
  view.hostEnd = at;
  view.hostKind = scannedHostKind();
  view.hostWord = scannedHostWord();
  if (at === end) return URI_ERROR.NONE;
  if (bytes[at] === COLON) {
    at = scanPort(bytes, at + 1, end);
    if (at === -1) return URI_ERROR.PORT;
    view.port = scannedPort();
    if (at === end) return URI_ERROR.NONE;
  }
  if (bytes[at] === SEMICOLON) {
    at = readParams(bytes, at, end, view);
    if (at < 0) return at;
    if (at === end) return URI_ERROR.NONE;
  }
  if (bytes[at] === QUESTION) return readHeaders(bytes, at + 1, end, view);
  return view.paramsStart !== -1 ? URI_ERROR.PARAMETER : view.port !== -1 ? URI_ERROR.PORT : URI_ERROR.HOST;
}

function hasAt(bytes: Bytes, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] === AT) return true;
  return false;
}

/** Returns the start of the host or a negative error. A user may hold ";", "?" and "/": what stops the search is the "@",
 *  the ":" of a password or port, or a character that no user has. */
function readUserinfo(bytes: Bytes, start: number, end: number, view: UriView): number {
  let at = start;
  for (; at < end; at++) {
    const kind = URI_USER[bytes[at]!]!;
    if (kind === 0) break;
    if (kind === ESCAPE && !isEscape(bytes, at, end)) return URI_ERROR.ESCAPE;
  }
  if (at === end) return start;
  if (bytes[at] === AT) {
    if (at === start) return URI_ERROR.USER;
    view.userStart = start;
    view.userEnd = at;
    return at + 1;
  }
  return bytes[at] === COLON ? readPassword(bytes, start, at, end, view) : start;
}

/** The colon may begin a password or a port: it is a password if an "@" ends it. */
function readPassword(bytes: Bytes, start: number, colon: number, end: number, view: UriView): number {
  let at = colon + 1;
  for (; at < end; at++) {
    const kind = URI_PASSWORD[bytes[at]!]!;
    if (kind === 0) break;
    if (kind === ESCAPE && !isEscape(bytes, at, end)) return URI_ERROR.ESCAPE;
  }
  if (at === end || bytes[at] !== AT) return start;
  if (colon === start) return URI_ERROR.USER;
  view.userStart = start;
  view.userEnd = colon;
  view.passwordStart = colon + 1;
  view.passwordEnd = at;
  return at + 1;
}

/** *( ";" uri-parameter ) from the first ";" on. Returns the index of what follows or a negative error. */
function readParams(bytes: Bytes, start: number, end: number, view: UriView): number {
  view.paramsStart = start;
  let at = start;
  while (at < end && bytes[at] === SEMICOLON) {
    const nameStart = ++at;
    at = scanEscaped(bytes, at, end, URI_PARAM);
    if (at < 0) return at;
    if (at === nameStart) return URI_ERROR.PARAMETER;
    const nameEnd = at;
    let valueStart = -1;
    if (at < end && bytes[at] === EQUAL) {
      valueStart = ++at;
      at = scanEscaped(bytes, at, end, URI_PARAM);
      if (at < 0) return at;
      if (at === valueStart) return URI_ERROR.PARAMETER;
    }
    const error = notePart(bytes, nameStart, nameEnd, valueStart, at, view);
    if (error !== URI_ERROR.NONE) return error;
  }
  view.paramsEnd = at;
  return at;
}

/** Puts a parameter into the view if it is one that routing reads. The first letter tells most others away. */
function notePart(
  bytes: Bytes,
  nameStart: number,
  nameEnd: number,
  valueStart: number,
  valueEnd: number,
  view: UriView,
): number {
  const first = bytes[nameStart]!;
  const letter = first | 0x20;
  // 'l' 'm' 't', or an escape that may stand for one of them or for any later letter.
  if (letter === 0x6c) {
    if (isName(bytes, nameStart, nameEnd, LR)) view.isLoose = true;
  } else if (letter === 0x74) {
    if (isName(bytes, nameStart, nameEnd, TRANSPORT_NAME)) return noteTransport(bytes, valueStart, valueEnd, view);
    if (isName(bytes, nameStart, nameEnd, TTL)) return noteTtl(bytes, valueStart, valueEnd, view);
  } else if (letter === 0x6d) {
    if (isName(bytes, nameStart, nameEnd, MADDR)) return noteMaddr(bytes, valueStart, valueEnd, view);
    if (isName(bytes, nameStart, nameEnd, METHOD)) return noteMethod(valueStart, valueEnd, view);
  } else if (first === PERCENT) {
    if (isName(bytes, nameStart, nameEnd, LR)) view.isLoose = true;
    if (isName(bytes, nameStart, nameEnd, TRANSPORT_NAME)) return noteTransport(bytes, valueStart, valueEnd, view);
    if (isName(bytes, nameStart, nameEnd, TTL)) return noteTtl(bytes, valueStart, valueEnd, view);
    if (isName(bytes, nameStart, nameEnd, MADDR)) return noteMaddr(bytes, valueStart, valueEnd, view);
    if (isName(bytes, nameStart, nameEnd, METHOD)) return noteMethod(valueStart, valueEnd, view);
  }
  return URI_ERROR.NONE;
}

/** A transport that is no token is one we do not know, and fits other-param. */
function noteTransport(bytes: Bytes, start: number, end: number, view: UriView): number {
  if (view.transport !== TRANSPORT.NONE) return URI_ERROR.REPEATED;
  if (start === -1) return URI_ERROR.PARAMETER;
  view.transport = transportOf(bytes, start, end);
  return URI_ERROR.NONE;
}

function noteTtl(bytes: Bytes, start: number, end: number, view: UriView): number {
  if (view.ttl !== -1) return URI_ERROR.REPEATED;
  if (start === -1 || end - start > 3) return URI_ERROR.PARAMETER;
  let ttl = 0;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte < ZERO || byte > NINE) return URI_ERROR.PARAMETER;
    ttl = ttl * 10 + byte - ZERO;
  }
  if (ttl > 255) return URI_ERROR.PARAMETER;
  view.ttl = ttl;
  return URI_ERROR.NONE;
}

function noteMaddr(bytes: Bytes, start: number, end: number, view: UriView): number {
  if (view.maddrStart !== -1) return URI_ERROR.REPEATED;
  if (start === -1 || scanHost(bytes, start, end) !== end) return URI_ERROR.PARAMETER;
  view.maddrStart = start;
  view.maddrEnd = end;
  return URI_ERROR.NONE;
}

function noteMethod(start: number, end: number, view: UriView): number {
  if (view.methodStart !== -1) return URI_ERROR.REPEATED;
  if (start === -1) return URI_ERROR.PARAMETER;
  view.methodStart = start;
  view.methodEnd = end;
  return URI_ERROR.NONE;
}

/** header *( "&" header ), header = hname "=" hvalue; the value may be empty. */
function readHeaders(bytes: Bytes, start: number, end: number, view: UriView): number {
  view.headersStart = start;
  let at = start;
  for (;;) {
    const nameStart = at;
    at = scanEscaped(bytes, at, end, URI_HEADER);
    if (at < 0) return at;
    if (at === nameStart || at === end || bytes[at] !== EQUAL) return URI_ERROR.HEADER;
    at = scanEscaped(bytes, at + 1, end, URI_HEADER);
    if (at < 0) return at;
    if (at === end) break;
    if (bytes[at] !== AMPERSAND) return URI_ERROR.HEADER;
    at++;
  }
  view.headersEnd = at;
  return URI_ERROR.NONE;
}

// ---- tel and others -------------------------------------------------------------------------------------------------

/** telephone-subscriber of RFC 3966 section 3. Departs from RFC 3966 5.1.5: a local number needs no phone-context, since
 *  many leave it out and it is nothing a server of SIP depends on. */
function readTel(bytes: Bytes, start: number, end: number, view: UriView): number {
  const isGlobal = start < end && bytes[start] === PLUS;
  const digits = isGlobal ? PHONE_DIGIT : PHONE_DIGIT_LOCAL;
  let at = isGlobal ? start + 1 : start;
  let hasDigit = false;
  for (; at < end && digits[bytes[at]!] === 1; at++) if (isPhoneSymbol(bytes[at]!)) hasDigit = true;
  if (!hasDigit) return URI_ERROR.USER;
  view.userStart = start;
  view.userEnd = at;
  if (at === end) return URI_ERROR.NONE;
  if (bytes[at] !== SEMICOLON) return URI_ERROR.USER;
  view.paramsStart = at;
  while (at < end && bytes[at] === SEMICOLON) {
    const nameStart = ++at;
    while (at < end && isPhoneName(bytes[at]!)) at++;
    if (at === nameStart) return URI_ERROR.PARAMETER;
    if (at < end && bytes[at] === EQUAL) {
      const valueStart = ++at;
      at = scanTelValue(bytes, at, end);
      if (at < 0) return at;
      if (at === valueStart) return URI_ERROR.PARAMETER;
    }
  }
  view.paramsEnd = at;
  return at === end ? URI_ERROR.NONE : URI_ERROR.PARAMETER;
}

/** A character that makes a number, not one that only separates. */
function isPhoneSymbol(byte: number): boolean {
  return HEX[byte] !== NOT_HEX || byte === STAR || byte === HASH;
}

/** pname = 1*( alphanum / "-" ) */
function isPhoneName(byte: number): boolean {
  return ALPHA[byte] === 1 || (byte >= ZERO && byte <= NINE) || byte === HYPHEN;
}

/** paramchar, and for the sake of isub any uric but the ";" that begins the next parameter. */
function scanTelValue(bytes: Bytes, start: number, end: number): number {
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === SEMICOLON) return at;
    if (byte === PERCENT && !isEscape(bytes, at, end)) return URI_ERROR.ESCAPE;
    if (URI_ANY[byte] === 0 && URI_PARAM[byte] === 0) return at;
  }
  return end;
}

/** absoluteURI after its scheme: hier-part or opaque-part, so at least one uric. Brackets only where an authority can
 *  hold an IPv6 reference, after "//". */
function checkOther(bytes: Bytes, start: number, end: number): number {
  if (start === end) return URI_ERROR.CHARACTER;
  const hasAuthority = end - start >= 2 && bytes[start] === SLASH && bytes[start + 1] === SLASH;
  for (let at = start; at < end; at++) {
    const byte = bytes[at]!;
    const kind = URI_ANY[byte]!;
    if (kind === ESCAPE) {
      if (!isEscape(bytes, at, end)) return URI_ERROR.ESCAPE;
    } else if (kind === 0 && !(hasAuthority && (byte === LEFT_BRACKET || byte === RIGHT_BRACKET))) {
      return URI_ERROR.CHARACTER;
    }
  }
  return URI_ERROR.NONE;
}

// ---- Escapes --------------------------------------------------------------------------------------------------------

/** End of the run of `table`'s characters that begins at `start`, or URI_ERROR.ESCAPE. */
function scanEscaped(bytes: Bytes, start: number, end: number, table: Uint8Array): number {
  let at = start;
  for (; at < end; at++) {
    const kind = table[bytes[at]!]!;
    if (kind === 0) break;
    if (kind === ESCAPE && !isEscape(bytes, at, end)) return URI_ERROR.ESCAPE;
  }
  return at;
}

/** True if the `%` at `at` is followed by two hexadecimal digits. */
function isEscape(bytes: Bytes, at: number, end: number): boolean {
  return at + 2 < end && HEX[bytes[at + 1]!] !== NOT_HEX && HEX[bytes[at + 2]!] !== NOT_HEX;
}

/** The character that the byte or the valid escape at `at` stands for. An escape is three bytes long. */
export function unescapedAt(bytes: Bytes, at: number): number {
  const byte = bytes[at]!;
  return byte === PERCENT ? (HEX[bytes[at + 1]!]! << 4) | HEX[bytes[at + 2]!]! : byte;
}

/** True if [start, end), its valid escapes undone, is `name` in any case. */
function isName(bytes: Bytes, start: number, end: number, name: Uint8Array): boolean {
  let at = start;
  for (let i = 0; i < name.length; i++) {
    if (at >= end || LOWER[unescapedAt(bytes, at)] !== name[i]) return false;
    at += bytes[at] === PERCENT ? 3 : 1;
  }
  return at === end;
}
