/** What must hold of every datagram and what was sent because of it, however broken it is. The verdicts on forwarded messages
 *  come from test/sip/naive-message.ts, not from the parser under test. */

import type { Arena } from '../../src/memory/arena.ts';
import { SLOT_HEADER_BYTES, slotOffset } from '../../src/memory/layout.ts';
import { HEADER_ID } from '../../src/sip/header-table.ts';
import { MessageIndex } from '../../src/sip/message-index.ts';
import { NameAddrView, parseNameAddr } from '../../src/sip/name-addr.ts';
import { MESSAGE_ERROR, parseMessage } from '../../src/sip/parse-message.ts';
import { DATAGRAM, hashCallId } from '../../src/sip/scan.ts';
import {
  type NaiveHeader,
  type NaiveMessage,
  naiveBody,
  naiveHeader,
  readNaively,
  splitList,
} from '../sip/naive-message.ts';
import { type Delivery, latin1 } from './fuzzed-server.ts';

const OUR_VIA =
  /^Via: SIP\/2\.0\/(?:UDP|TCP) (?:[a-z0-9.]+|\[[0-9a-f:]+\]):\d+;branch=z9hG4bKs[0-9a-f]{26}(?:[0-9a-f]{8}|[0-9a-f]{32})?(?:;i=[0-9a-f]{8})?\r\n$/;
const TOKEN = /^[A-Za-z0-9\-.!%*_+`'~]+$/;
const NEVER_SHED = /^(?:ACK|BYE|CANCEL|PRACK) /;

const received = new MessageIndex();
const sent = new MessageIndex();
const toView = new NameAddrView();

/** Says what is wrong with a delivery, or null. `pad`: a jumbo slot for second looks, in nobody's use. */
export function faultOf(arena: Arena, delivery: Delivery, pad: number): string | null {
  if (delivery.fault !== null) return delivery.fault;
  if (delivery.sent.length > 1) return 'two messages are sent for one';
  const text = latin1(delivery.datagram.bytes);
  if (delivery.kind > DATAGRAM.STUN) return delivery.sent.length > 0 ? 'what is no SIP is answered' : null;
  if (delivery.kind === DATAGRAM.STUN) return faultOfStun(text, delivery.sent[0]);
  const isResponse = /^[\r\n]*sip\//i.test(text);
  if (isResponse && delivery.isSheddable) return 'a response is sheddable';
  const [out] = delivery.sent;
  if (out === undefined) return null;
  const isAnswer = /^SIP\/2\.0 /i.test(out);
  if (isResponse)
    return isAnswer ? faultOfForwardedResponse(arena, delivery, text, out, pad) : 'a response becomes a request';
  return isAnswer
    ? faultOfAnswer(arena, delivery, text, out, pad)
    : faultOfForwardedRequest(arena, delivery, text, out, pad);
}

function faultOfStun(text: string, out: string | undefined): string | null {
  if (out === undefined) return null;
  const isAnswer = out.startsWith('\x01\x01') || out.startsWith('\x01\x11');
  const isWhole = ((out.charCodeAt(2) << 8) | out.charCodeAt(3)) === out.length - 20 && out.length % 4 === 0;
  return isAnswer && isWhole && out.slice(4, 20) === text.slice(4, 20) ? null : 'a STUN answer is malformed';
}

// ---- Forwarded messages (16.6, 16.11) --------------------------------------------------------------------------------

function faultOfForwardedRequest(
  arena: Arena,
  delivery: Delivery,
  text: string,
  out: string,
  pad: number,
): string | null {
  const parsed = faultOfParse(arena, delivery, out, pad);
  if (parsed !== null) return `a forwarded request ${parsed}`;
  return faultOfForwarding(text, out) ?? faultOfScan(delivery, readNaively(text));
}

/** What a proxy did to a request beyond 16.6 and 18.2.1, or null. Latin-1. */
export function faultOfForwarding(text: string, out: string): string | null {
  const before = readNaively(text);
  const after = readNaively(out);
  const [method, uri] = before.startLine.split(' ');
  const [methodAfter, uriAfter, version] = after.startLine.split(' ');
  const routes = listOf(before, 'route');
  if (method !== methodAfter || version !== 'SIP/2.0' || !out.startsWith(after.startLine))
    return 'the start line of a request is changed';
  if (uri !== uriAfter && routes.length === 0 && !/maddr/i.test(uri!))
    return 'a Request-URI is changed without a cause';

  if (!before.headers.every(({ name }) => TOKEN.test(name))) return 'a header without a name is forwarded';
  const vias = before.headers.filter(isVia);
  const [ours, top, ...others] = after.headers.filter(isVia);
  if (!OUR_VIA.test(ours?.line ?? '')) return 'the top Via of a forwarded request is not ours';
  if (listOf(after, 'via').length !== listOf(before, 'via').length + 1)
    return 'a forwarded request has not one Via more';
  if (withoutMarks(top!.line) !== withoutMarks(vias[0]!.line))
    return 'more than received and rport is changed in a Via';
  if (linesOf(others) !== linesOf(vias.slice(1))) return 'a lower Via is changed';
  // 16.6 step 9: by a stream it says how long it is, as the last of its headers.
  const isAdded = ours!.line.includes('/TCP ') && !before.headers.some(isContentLength);
  const rest = isAdded ? after.headers.slice(0, -1) : after.headers;
  if (isAdded && !after.headers.slice(-1).some(isContentLength))
    return 'a request leaves by TCP without a Content-Length';
  if (linesOf(before.headers.filter(isOther)) !== linesOf(rest.filter(isOther))) return 'another header is changed';
  if (after.rest !== naiveBody(before)) return 'the body is changed';
  return (
    faultOfMaxForwards(before, after) ??
    faultOfMaxBreadth(method!, before, after) ??
    faultOfRoutes(routes, listOf(after, 'route'))
  );
}

/** Step 3. */
function faultOfMaxForwards(before: NaiveMessage, after: NaiveMessage): string | null {
  const value = naiveHeader(before, 'max-forwards')?.value;
  const wanted = value === undefined ? '70' : String(Number(value) - 1);
  const all = after.headers.filter((header) => header.name === 'max-forwards');
  return all.length === 1 && all[0]!.value === wanted ? null : 'Max-Forwards is not one less';
}

/** RFC 5393 5.3.3: one in every request, as it came if that was a single one of at most 60; none is given to a CANCEL. */
function faultOfMaxBreadth(method: string, before: NaiveMessage, after: NaiveMessage): string | null {
  const came = before.headers.filter(isMaxBreadth);
  const left = after.headers.filter(isMaxBreadth);
  if (came.length === 0) {
    if (method === 'CANCEL') return left.length === 0 ? null : 'a CANCEL gets a Max-Breadth';
    const isBehindOurVia = after.headers[after.headers.findIndex(isVia) + 1] === left[0];
    const isOurs = left.length === 1 && left[0]!.line === 'Max-Breadth: 60\r\n' && isBehindOurVia;
    return isOurs ? null : 'a request has not our Max-Breadth behind our Via';
  }
  const [first] = came;
  const isGood = came.length === 1 && /^\d{1,9}$/.test(first!.value) && Number(first!.value) <= 60;
  if (isGood) return linesOf(left) === linesOf(came) ? null : 'a good Max-Breadth is changed';
  const isMended = left.length === 1 && /^\d+$/.test(left[0]!.value) && Number(left[0]!.value) <= 60;
  return isMended ? null : 'a bad Max-Breadth is not mended';
}

/** 16.4 and step 6: values are taken off the front, one off the end, one put behind. */
function faultOfRoutes(before: readonly string[], after: readonly string[]): string | null {
  const isPart = (part: readonly string[]) =>
    part.length === 0 || before.some((_, from) => part.every((value, i) => value === before[from + i]));
  return isPart(after) || isPart(after.slice(0, -1)) ? null : 'the Route is not a part of what it was';
}

/** The dispatcher must see what a plain reader sees, and never shed what belongs to something. */
function faultOfScan(delivery: Delivery, before: NaiveMessage): string | null {
  if (!delivery.isSheddable) return null;
  if (NEVER_SHED.test(before.startLine)) return 'an ACK, BYE, CANCEL or PRACK is sheddable';
  return /;\s*tag\s*=/i.test(naiveHeader(before, 'to')!.value.replace(/^.*>/s, ''))
    ? 'a request with a To tag is sheddable'
    : null;
}

function faultOfForwardedResponse(
  arena: Arena,
  delivery: Delivery,
  text: string,
  out: string,
  pad: number,
): string | null {
  const before = readNaively(text);
  const after = readNaively(out);
  const parsed = faultOfParse(arena, delivery, out, pad);
  if (parsed !== null) return `a forwarded response ${parsed}`;
  if (!before.headers.every(({ name }) => TOKEN.test(name))) return 'a header without a name is forwarded';
  if (before.startLine.replace(/^SIP/i, 'SIP') !== after.startLine || !out.startsWith(after.startLine))
    return 'a status line is changed';
  const isNotVia = (header: NaiveHeader) => !isVia(header);
  if (linesOf(before.headers.filter(isNotVia)) !== linesOf(after.headers.filter(isNotVia)))
    return 'a header of a response is changed';
  // One Via less; more only where those on top were all ours, which begin with the same sent-by.
  const vias = listOf(before, 'via');
  const left = listOf(after, 'via');
  const gone = vias.slice(0, vias.length - left.length);
  const isTail = left.join('\n') === vias.slice(gone.length).join('\n');
  const isRightCount =
    gone.length === 1 ||
    (gone.length > 1 &&
      gone.every((via) => /192\.0\.2\.254|2001:db8|edge\.example|127\.0\.0\.1|10\.1\.2\.3/i.test(via)));
  if (!isTail || !isRightCount) return 'a forwarded response has not one Via less';
  return after.rest === naiveBody(before) ? null : 'the body of a response is changed';
}

/** Every message of a call has the same hash, and the parser likes what was made of it. */
function faultOfParse(arena: Arena, delivery: Delivery, out: string, pad: number): string | null {
  const start = placeOn(arena, pad, out);
  const end = start + out.length;
  const error = parseMessage(arena.bytes, arena.words, start, end, sent);
  // Our Via and Max-Forwards may be two header lines more than this server itself reads.
  if (error !== MESSAGE_ERROR.NONE && error !== MESSAGE_ERROR.TOO_MANY_HEADERS) return 'does not parse';
  return hashCallId(arena.bytes, arena.words, start, end) === delivery.callIdHash ? null : 'goes to another shard';
}

// ---- Responses of our own (8.2.6) ------------------------------------------------------------------------------------

function faultOfAnswer(arena: Arena, delivery: Delivery, text: string, out: string, pad: number): string | null {
  const { bytes, words } = arena;
  if (/^[\r\n]*ACK /.test(text)) return 'an ACK is answered';
  const start = placeOn(arena, pad, out);
  const error = parseMessage(bytes, words, start, start + out.length, sent);
  if (error !== MESSAGE_ERROR.NONE && error !== MESSAGE_ERROR.TOO_MANY_HEADERS) return 'an own response does not parse';
  // All the Vias there can be leave no room for what stands behind them.
  if (error === MESSAGE_ERROR.TOO_MANY_HEADERS) return null;
  parseMessage(bytes, words, delivery.start, delivery.end, received);
  if (sent.statusCode < 300 && !/^[\r\n]*(?:OPTIONS|REGISTER) /.test(text))
    return 'a request that is neither OPTIONS nor REGISTER succeeds here';
  if (countOf(sent, HEADER_ID.VIA) !== countOf(received, HEADER_ID.VIA)) return 'an own response has other Vias';
  for (const id of [HEADER_ID.FROM, HEADER_ID.CALL_ID, HEADER_ID.CSEQ]) {
    if (headerOf(arena, sent, id) !== headerOf(arena, received, id))
      return 'an own response has another From, Call-ID or CSeq';
  }
  const to = received.first[HEADER_ID.TO]!;
  if (to === -1) return null;
  const toEnd = received.valueEnd(to);
  const isReadable = parseNameAddr(bytes, received.valueStart(to), toEnd, toView) >= 0 && toView.end === toEnd;
  if (!isReadable) return null;
  const hadTag = toView.tagStart !== -1;
  const answered = sent.first[HEADER_ID.TO]!;
  if (answered === -1 || parseNameAddr(bytes, sent.valueStart(answered), sent.valueEnd(answered), toView) < 0)
    return 'the To of an own response cannot be read';
  if (toView.tagStart === -1) return 'an own response has no To tag';
  return hadTag && headerOf(arena, sent, HEADER_ID.TO) !== headerOf(arena, received, HEADER_ID.TO)
    ? 'a To with a tag is changed'
    : null;
}

function countOf(index: MessageIndex, id: number): number {
  let count = 0;
  for (let header = index.first[id]!; header !== -1; header = index.next(header)) count++;
  return count;
}

function headerOf({ bytes }: Arena, index: MessageIndex, id: number): string | undefined {
  const header = index.first[id]!;
  if (header === -1) return undefined;
  // A fold with a lone LF is mended on the way.
  return latin1(bytes.subarray(index.valueStart(header), index.valueEnd(header))).replace(/\r?\n/g, '\r\n');
}

/** Puts a message that was sent into the pad and returns its start. */
function placeOn({ bytes, map }: Arena, pad: number, text: string): number {
  const start = slotOffset(map, pad) + SLOT_HEADER_BYTES;
  Buffer.from(bytes.buffer, bytes.byteOffset + start, text.length).write(text, 'latin1');
  return start;
}

// ---- Naive readings --------------------------------------------------------------------------------------------------

const isVia = ({ name }: NaiveHeader) => name === 'via';
const isMaxBreadth = ({ name }: NaiveHeader) => name === 'max-breadth';
const isOther = ({ name }: NaiveHeader) => !['via', 'route', 'max-forwards', 'max-breadth'].includes(name);

function linesOf(headers: readonly NaiveHeader[]): string {
  return headers.map((header) => header.line).join('');
}

function listOf(message: NaiveMessage, name: string): string[] {
  return message.headers
    .filter((header) => header.name === name)
    .flatMap((header) => splitList(header.value).map((value) => value.trim()));
}

/** A Via line without what 18.2.1 and RFC 3581 let a server write. */
function withoutMarks(line: string): string {
  return line
    .replace(/;[ \t\r\n]*received[ \t\r\n]*=[ \t\r\n]*\[?[0-9a-f:.]+\]?/gi, '')
    .replace(/rport(?:[ \t\r\n]*=[ \t\r\n]*\d+)?/gi, 'rport');
}

function isContentLength({ name }: NaiveHeader): boolean {
  return /^(?:content-length|l)$/i.test(name);
}
