/** One name-addr or addr-spec with its header parameters, as in To, From, Contact, Route and Record-Route
 *  (RFC 3261 20, 20.10, 25.1). Runs on the shard. Hot: several times per datagram, allocates nothing. The URI is delimited
 *  here; `parseUri` reads it. */

import { ascii } from '../base/ascii.ts';
import { ALPHA, QUOTED, TOKEN, URI_BYTE, URI_SCHEME } from '../base/char-class.ts';
import { isWord, skipLws, skipQuoted } from './lexis.ts';
import { ParamView, readParam } from './params.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

/** What is wrong with a value, the first thing found. */
export const NAME_ADDR_ERROR = {
  NONE: 0,
  DISPLAY_NAME: -1,
  /** No URI, a character that no URI has, or a bracket missing. */
  URI: -2,
  PARAMETER: -3,
  /** Two tags. */
  REPEATED: -4,
} as const;

const DQUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const SEMICOLON = 0x3b;
const LESS = 0x3c;
const EQUAL = 0x3d;
const GREATER = 0x3e;
const QUESTION = 0x3f;
const SPACE = 0x20;

const TAG = ascii('tag');

/** Offsets are absolute, −1 where there is no such part, and valid as long as the bytes. */
export class NameAddrView {
  /** Index of the comma after the value, or the end of the header. */
  end = 0;
  /** A quoted string includes its quotes; tokens are trimmed. */
  displayStart = -1;
  displayEnd = -1;
  /** Without angle brackets. */
  uriStart = 0;
  uriEnd = 0;
  /** From the first ";" behind the URI to the end of the last header parameter. */
  paramsStart = -1;
  paramsEnd = -1;
  tagStart = -1;
  tagEnd = -1;
}

const param = new ParamView();

/** Reads the value that begins at or after `start` and ends at a comma or `end`. Returns NAME_ADDR_ERROR.NONE or the first
 *  error. Without angle brackets a ";" or "?" ends the URI, and only the ";" may stand there (section 20). */
export function parseNameAddr(bytes: Bytes, start: number, end: number, view: NameAddrView): number {
  view.end = end;
  view.displayStart = view.displayEnd = -1;
  view.uriStart = view.uriEnd = start;
  view.paramsStart = view.paramsEnd = -1;
  view.tagStart = view.tagEnd = -1;

  if (readUsual(bytes, start, end, view)) return NAME_ADDR_ERROR.NONE;
  const first = skipLws(bytes, start, end);
  if (first >= end) return NAME_ADDR_ERROR.URI;
  const byte = bytes[first]!;
  let at = first;
  if (byte !== LESS) {
    at = byte === DQUOTE ? readQuotedName(bytes, first, end, view) : readTokens(bytes, first, end, view);
    if (at < 0) return NAME_ADDR_ERROR.DISPLAY_NAME;
  }
  at = at < end && bytes[at] === LESS ? readBracketed(bytes, at + 1, end, view) : readBare(bytes, first, end, view);
  if (at < 0) return NAME_ADDR_ERROR.URI;
  if (at < end && bytes[at]! <= SPACE) at = skipLws(bytes, at, end);
  if (at === end) return NAME_ADDR_ERROR.NONE;
  if (bytes[at] === SEMICOLON) return readParams(bytes, at, end, view);
  view.end = at;
  return bytes[at] === COMMA ? NAME_ADDR_ERROR.NONE : NAME_ADDR_ERROR.URI;
}

/** `["Name" ]<sip:…>[;tag=…]` up to the end, as nearly everybody writes From and To: three short loops. False: take the long
 *  way. The loops stop at what is not of their class; a value that ran beyond `end` is not a usual one. */
function readUsual(bytes: Bytes, start: number, end: number, view: NameAddrView): boolean {
  let at = start;
  if (bytes[at] === DQUOTE) {
    at++;
    while (QUOTED[bytes[at]!] === 1) at++;
    if (bytes[at] !== DQUOTE || bytes[at + 1] !== SPACE) return false;
    at += 2;
  }
  const nameEnd = at - 1;
  if (bytes[at] !== LESS) return false;
  const uriStart = at + 1;
  const isSip = bytes[at + 1] === 0x73 && bytes[at + 2] === 0x69 && bytes[at + 3] === 0x70 && bytes[at + 4] === COLON;
  if (!isSip || URI_BYTE[bytes[at + 5]!] !== 1) return false;
  at += 6;
  while (URI_BYTE[bytes[at]!] === 1) at++;
  const uriEnd = at;
  if (bytes[at] !== GREATER || at >= end) return false;
  at++;
  if (at < end) {
    const isTag =
      bytes[at] === SEMICOLON &&
      bytes[at + 1] === 0x74 &&
      bytes[at + 2] === 0x61 &&
      bytes[at + 3] === 0x67 &&
      bytes[at + 4] === EQUAL;
    if (!isTag) return false;
    const tagStart = at + 5;
    let tagEnd = tagStart;
    while (TOKEN[bytes[tagEnd]!] === 1) tagEnd++;
    if (tagEnd !== end || tagEnd === tagStart) return false;
    view.paramsStart = at;
    view.paramsEnd = end;
    view.tagStart = tagStart;
    view.tagEnd = end;
  } else if (at !== end) {
    return false;
  }
  if (nameEnd > start) {
    view.displayStart = start;
    view.displayEnd = nameEnd;
  }
  view.uriStart = uriStart;
  view.uriEnd = uriEnd;
  return true;
}

/** A quoted display name; a "<" must follow. Returns its index, or −1. */
function readQuotedName(bytes: Bytes, start: number, end: number, view: NameAddrView): number {
  const nameEnd = skipQuoted(bytes, start, end);
  if (nameEnd === -1) return -1;
  const at = skipLws(bytes, nameEnd, end);
  if (at >= end || bytes[at] !== LESS) return -1;
  view.displayStart = start;
  view.displayEnd = nameEnd;
  return at;
}

/** A display name of tokens, or the scheme of an addr-spec. Returns the index of the "<", or of the ":" that makes it an
 *  addr-spec, or −1. A "<" right behind the last token is fine, whatever the grammar says (RFC 4475 3.1.1.6). */
function readTokens(bytes: Bytes, start: number, end: number, view: NameAddrView): number {
  let at = start;
  for (;;) {
    const tokenStart = at;
    while (at < end && TOKEN[bytes[at]!] === 1) at++;
    const tokenEnd = at;
    if (at < end && bytes[at] === COLON) return tokenStart === start ? at : -1;
    if (tokenEnd === tokenStart) return -1;
    at = skipLws(bytes, at, end);
    if (at < end && bytes[at] === LESS) {
      view.displayStart = start;
      view.displayEnd = tokenEnd;
      return at;
    }
    if (at === tokenEnd) return -1;
  }
}

/** The URI after "<". Returns the index after ">", or −1. */
function readBracketed(bytes: Bytes, start: number, end: number, view: NameAddrView): number {
  let at = skipScheme(bytes, start, end);
  if (at === -1) return -1;
  while (at < end && URI_BYTE[bytes[at]!] === 1) at++;
  if (at >= end || bytes[at] !== GREATER) return -1;
  view.uriStart = start;
  view.uriEnd = at;
  return at + 1;
}

/** An addr-spec without brackets. Returns its end, or −1. */
function readBare(bytes: Bytes, start: number, end: number, view: NameAddrView): number {
  let at = skipScheme(bytes, start, end);
  if (at === -1) return -1;
  for (; at < end; at++) {
    const byte = bytes[at]!;
    if (byte === SEMICOLON || byte === COMMA || byte === QUESTION || URI_BYTE[byte] === 0) break;
  }
  view.uriStart = start;
  view.uriEnd = at;
  return at;
}

/** Index after the colon of the scheme at `start`, with at least one byte behind it; or −1. */
function skipScheme(bytes: Bytes, start: number, end: number): number {
  if (start >= end || ALPHA[bytes[start]!] !== 1) return -1;
  let at = start + 1;
  while (at < end && URI_SCHEME[bytes[at]!] === 1) at++;
  return at + 1 < end && bytes[at] === COLON && URI_BYTE[bytes[at + 1]!] === 1 ? at + 1 : -1;
}

function readParams(bytes: Bytes, start: number, end: number, view: NameAddrView): number {
  let at = start;
  view.paramsStart = start;
  while (at < end && bytes[at] === SEMICOLON) {
    at++;
    if (at < end && bytes[at]! <= SPACE) at = skipLws(bytes, at, end);
    at = readParam(bytes, at, end, param);
    if (at === -1) return NAME_ADDR_ERROR.PARAMETER;
    view.paramsEnd = param.valueEnd === -1 ? param.nameEnd : param.valueEnd;
    if (isWord(bytes, param.nameStart, param.nameEnd, TAG)) {
      if (view.tagStart !== -1) return NAME_ADDR_ERROR.REPEATED;
      if (!param.isToken) return NAME_ADDR_ERROR.PARAMETER;
      view.tagStart = param.valueStart;
      view.tagEnd = param.valueEnd;
    }
  }
  view.end = at;
  return at === end || bytes[at] === COMMA ? NAME_ADDR_ERROR.NONE : NAME_ADDR_ERROR.PARAMETER;
}
