/** One value of a Via header field (RFC 3261 20.42, 25.1; rport: RFC 3581; IPv6: RFC 5118 section 4.5).
 *  Runs on the shard. Hot: once or twice per datagram, allocates nothing. */

import { ascii } from '../base/ascii.ts';
import { DIGIT, TOKEN } from '../base/char-class.ts';
import { isHex, readHex } from './branch.ts';
import { HOST_KIND, parsePort, scanHost, scannedHostKind, scannedHostWord, scannedPort, scanPort } from './host.ts';
import { isIpv4, isIpv6 } from './ip-address.ts';
import { isWord, skipLws } from './lexis.ts';
import { ParamView, readParam } from './params.ts';
import { TRANSPORT, transportOf } from './transport.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

/** What is wrong with a Via value, the first thing found. */
export const VIA_ERROR = {
  NONE: 0,
  PROTOCOL: -1,
  SENT_BY: -2,
  PORT: -3,
  PARAMETER: -4,
  /** A parameter of this RFC or of RFC 3581 stands twice. */
  REPEATED: -5,
} as const;

/** `ViaView.rport` without the parameter, and with the parameter but no value. */
export const RPORT_ABSENT = -2;
export const RPORT_EMPTY = -1;

const COMMA = 0x2c;
const SLASH = 0x2f;
const COLON = 0x3a;
const SEMICOLON = 0x3b;
const EQUAL = 0x3d;
const LEFT_BRACKET = 0x5b;
const SPACE = 0x20;
const ZERO = 0x30;

const BRANCH = ascii('branch');
const RECEIVED = ascii('received');
const RPORT = ascii('rport');
const MADDR = ascii('maddr');
const TTL = ascii('ttl');

/** Offsets are absolute, −1 where there is no such part, and valid as long as the bytes. */
export class ViaView {
  /** Index of the comma after the value, or the end of the header. */
  end = 0;
  transport: number = TRANSPORT.NONE;
  transportStart = 0;
  transportEnd = 0;
  /** Host and port, with what white space stands between them. */
  sentByStart = 0;
  sentByEnd = 0;
  hostStart = 0;
  hostEnd = 0;
  hostKind: number = HOST_KIND.NONE;
  /** An IPv4 host as a word in network order, else 0. */
  hostWord = 0;
  port = -1;
  /** From the first ";" to the end of the last parameter. */
  paramsStart = -1;
  paramsEnd = -1;
  branchStart = -1;
  branchEnd = -1;
  /** The address, without the brackets some elements put around IPv6. */
  receivedStart = -1;
  receivedEnd = -1;
  /** The whole parameter `received=…`, without the ";". */
  receivedParamStart = -1;
  receivedParamEnd = -1;
  /** 1 … 65535, RPORT_EMPTY or RPORT_ABSENT. */
  rport = RPORT_ABSENT;
  /** The whole parameter `rport` or `rport=…`, without the ";". */
  rportStart = -1;
  rportEnd = -1;
  maddrStart = -1;
  maddrEnd = -1;
  /** 0 … 255, −1 if absent. */
  ttl = -1;
  /** Our own parameter `i`: the connection that the request came by; 0 if absent or no number of ours. */
  connection = 0;
}

const param = new ParamView();

/** Reads the Via value that begins at or after `start` and ends at a comma or `end`. Returns VIA_ERROR.NONE or the first
 *  error; the view then holds what came before it. Any protocol name, version and transport is accepted. */
export function parseVia(bytes: Bytes, start: number, end: number, view: ViaView): number {
  reset(view, end);
  let at = readProtocol(bytes, start, end, view);
  if (at === -1) return VIA_ERROR.PROTOCOL;

  view.sentByStart = view.hostStart = at;
  at = scanHost(bytes, at, end);
  if (at === -1) return VIA_ERROR.SENT_BY;
  view.hostEnd = view.sentByEnd = at;
  view.hostKind = scannedHostKind();
  view.hostWord = scannedHostWord();
  if (at < end && bytes[at]! <= SPACE) at = skipLws(bytes, at, end);
  if (at < end && bytes[at] === COLON) {
    let portStart = at + 1;
    if (portStart < end && bytes[portStart]! <= SPACE) portStart = skipLws(bytes, portStart, end);
    at = scanPort(bytes, portStart, end);
    if (at === -1) return VIA_ERROR.PORT;
    view.port = scannedPort();
    view.sentByEnd = at;
    if (at < end && bytes[at]! <= SPACE) at = skipLws(bytes, at, end);
  }
  if (at === end) return VIA_ERROR.NONE;
  if (bytes[at] === SEMICOLON) return readParams(bytes, at, end, view);
  view.end = at;
  return bytes[at] === COMMA ? VIA_ERROR.NONE : VIA_ERROR.SENT_BY;
}

function reset(view: ViaView, end: number): void {
  view.end = end;
  view.transport = TRANSPORT.NONE;
  view.transportStart = view.transportEnd = 0;
  view.sentByStart = view.sentByEnd = 0;
  view.hostStart = view.hostEnd = 0;
  view.hostKind = HOST_KIND.NONE;
  view.hostWord = 0;
  view.port = -1;
  view.paramsStart = view.paramsEnd = -1;
  view.branchStart = view.branchEnd = -1;
  view.receivedStart = view.receivedEnd = -1;
  view.receivedParamStart = view.receivedParamEnd = -1;
  view.rport = RPORT_ABSENT;
  view.rportStart = view.rportEnd = -1;
  view.maddrStart = view.maddrEnd = -1;
  view.ttl = -1;
  view.connection = 0;
}

/** sent-protocol LWS, where SLASH is SWS "/" SWS. Returns the start of sent-by, or −1. */
function readProtocol(bytes: Bytes, start: number, end: number, view: ViaView): number {
  // Nearly every Via begins with "SIP/2.0/" and no blanks.
  let at = start;
  if (isSip2(bytes, start, end)) {
    at = start + 8;
    // … and "UDP", one space, and the host.
    if (bytes[at] === 0x55 && bytes[at + 1] === 0x44 && bytes[at + 2] === 0x50 && bytes[at + 3] === SPACE) {
      if (at + 4 < end && bytes[at + 4]! > SPACE) {
        view.transportStart = at;
        view.transportEnd = at + 3;
        view.transport = TRANSPORT.UDP;
        return at + 4;
      }
    }
  } else {
    at = readTokenAndSlash(bytes, skipLws(bytes, start, end), end);
    if (at !== -1) at = readTokenAndSlash(bytes, at, end);
    if (at === -1) return -1;
  }
  if (at < end && bytes[at]! <= SPACE) at = skipLws(bytes, at, end);
  const transportStart = at;
  while (at < end && TOKEN[bytes[at]!] === 1) at++;
  if (at === transportStart) return -1;
  view.transportStart = transportStart;
  view.transportEnd = at;
  view.transport = transportOf(bytes, transportStart, at);
  const sentBy = skipLws(bytes, at, end);
  return sentBy > at ? sentBy : -1;
}

function isSip2(bytes: Bytes, start: number, end: number): boolean {
  return (
    end - start > 8 &&
    bytes[start + 7] === SLASH &&
    bytes[start + 4] === 0x32 &&
    bytes[start + 5] === 0x2e &&
    bytes[start + 6] === ZERO &&
    bytes[start + 3] === SLASH &&
    bytes[start] === 0x53 &&
    bytes[start + 1] === 0x49 &&
    bytes[start + 2] === 0x50
  );
}

function readTokenAndSlash(bytes: Bytes, start: number, end: number): number {
  let at = start;
  while (at < end && TOKEN[bytes[at]!] === 1) at++;
  if (at === start) return -1;
  at = skipLws(bytes, at, end);
  return at < end && bytes[at] === SLASH ? skipLws(bytes, at + 1, end) : -1;
}

function readParams(bytes: Bytes, start: number, end: number, view: ViaView): number {
  let at = start;
  view.paramsStart = start;
  while (at < end && bytes[at] === SEMICOLON) {
    at++;
    if (at < end && bytes[at]! <= SPACE) at = skipLws(bytes, at, end);
    const usualEnd = readUsualBranch(bytes, at, end, view);
    if (usualEnd !== -1) {
      at = view.paramsEnd = usualEnd;
      continue;
    }
    at = readParam(bytes, at, end, param);
    if (at === -1) return VIA_ERROR.PARAMETER;
    view.paramsEnd = param.valueEnd === -1 ? param.nameEnd : param.valueEnd;
    const error = notePart(bytes, view);
    if (error !== VIA_ERROR.NONE) return error;
  }
  view.end = at;
  return at === end || bytes[at] === COMMA ? VIA_ERROR.NONE : VIA_ERROR.PARAMETER;
}

/** The end of the branch at `at` if it is the first and written as nearly everyone does, else −1: then the long way. Saves
 *  a quarter of the time of a usual Via. */
function readUsualBranch(bytes: Bytes, at: number, end: number, view: ViaView): number {
  const valueStart = at + 7;
  const isUsual =
    valueStart < end &&
    bytes[at] === 0x62 &&
    bytes[at + 1] === 0x72 &&
    bytes[at + 2] === 0x61 &&
    bytes[at + 3] === 0x6e &&
    bytes[at + 4] === 0x63 &&
    bytes[at + 5] === 0x68 &&
    bytes[at + 6] === EQUAL &&
    view.branchStart === -1;
  if (!isUsual) return -1;
  let valueEnd = valueStart;
  while (valueEnd < end && TOKEN[bytes[valueEnd]!] === 1) valueEnd++;
  if (valueEnd === valueStart) return -1;
  if (valueEnd < end && bytes[valueEnd] !== SEMICOLON && bytes[valueEnd] !== COMMA) return -1;
  view.branchStart = valueStart;
  view.branchEnd = valueEnd;
  return valueEnd;
}

/** Puts the parameter just read into the view if it is one of ours. The first letter tells most others away. */
function notePart(bytes: Bytes, view: ViaView): number {
  const { nameStart, nameEnd, valueStart, valueEnd } = param;
  const letter = bytes[nameStart]! | 0x20;
  if (letter === 0x62) {
    if (!isWord(bytes, nameStart, nameEnd, BRANCH)) return VIA_ERROR.NONE;
    if (view.branchStart !== -1) return VIA_ERROR.REPEATED;
    if (!param.isToken) return VIA_ERROR.PARAMETER;
    view.branchStart = valueStart;
    view.branchEnd = valueEnd;
  } else if (letter === 0x72) {
    if (isWord(bytes, nameStart, nameEnd, RPORT)) return noteRport(bytes, view);
    if (isWord(bytes, nameStart, nameEnd, RECEIVED)) return noteReceived(bytes, view);
  } else if (letter === 0x6d) {
    if (!isWord(bytes, nameStart, nameEnd, MADDR)) return VIA_ERROR.NONE;
    if (view.maddrStart !== -1) return VIA_ERROR.REPEATED;
    if (valueStart === -1 || scanHost(bytes, valueStart, valueEnd) !== valueEnd) return VIA_ERROR.PARAMETER;
    view.maddrStart = valueStart;
    view.maddrEnd = valueEnd;
  } else if (letter === 0x69) {
    if (nameEnd - nameStart === 1 && isConnection(bytes, valueStart, valueEnd)) {
      view.connection = readHex(bytes, valueStart, valueEnd);
    }
  } else if (letter === 0x74) {
    if (!isWord(bytes, nameStart, nameEnd, TTL)) return VIA_ERROR.NONE;
    if (view.ttl !== -1) return VIA_ERROR.REPEATED;
    view.ttl = parseTtl(bytes, valueStart, valueEnd);
    if (view.ttl === -1) return VIA_ERROR.PARAMETER;
  }
  return VIA_ERROR.NONE;
}

/** response-port = "rport" [ EQUAL 1*DIGIT ] (RFC 3581 section 4). */
function noteRport(bytes: Bytes, view: ViaView): number {
  if (view.rport !== RPORT_ABSENT) return VIA_ERROR.REPEATED;
  view.rportStart = param.nameStart;
  view.rportEnd = view.paramsEnd;
  if (param.valueStart === -1) {
    view.rport = RPORT_EMPTY;
    return VIA_ERROR.NONE;
  }
  const port = parsePort(bytes, param.valueStart, param.valueEnd);
  if (port === -1) return VIA_ERROR.PARAMETER;
  view.rport = port;
  return VIA_ERROR.NONE;
}

function noteReceived(bytes: Bytes, view: ViaView): number {
  if (view.receivedStart !== -1) return VIA_ERROR.REPEATED;
  let { valueStart, valueEnd } = param;
  if (valueStart === -1) return VIA_ERROR.PARAMETER;
  if (bytes[valueStart] === LEFT_BRACKET) {
    // The parameter walker has accepted only an IPv6 reference.
    valueStart++;
    valueEnd--;
  } else if (!isIpv4(bytes, valueStart, valueEnd) && !isIpv6(bytes, valueStart, valueEnd)) {
    return VIA_ERROR.PARAMETER;
  }
  view.receivedStart = valueStart;
  view.receivedEnd = valueEnd;
  view.receivedParamStart = param.nameStart;
  view.receivedParamEnd = view.paramsEnd;
  return VIA_ERROR.NONE;
}

/** ttl = 1*3DIGIT, 0 … 255; −1 if it is none. */
function parseTtl(bytes: Bytes, start: number, end: number): number {
  if (start === -1 || end - start > 3) return -1;
  let ttl = 0;
  for (let at = start; at < end; at++) {
    if (DIGIT[bytes[at]!] !== 1) return -1;
    ttl = ttl * 10 + bytes[at]! - ZERO;
  }
  return ttl <= 255 ? ttl : -1;
}

/** Digits of a connection's number. */
export const CONNECTION_DIGITS = 8;

function isConnection(bytes: Bytes, start: number, end: number): boolean {
  return start !== -1 && end - start === CONNECTION_DIGITS && isHex(bytes, start, end);
}
