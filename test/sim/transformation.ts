/** What a proxy may do to a message on its way (RFC 3261 16.6, 16.7, RFC 5393 5.3.3), judged from the two texts alone. */

import { isNamed, type Message } from './message.ts';
import { PROXY_ADDRESS, PROXY_PORT, type World } from './world.ts';

const OUR_SENT_BY = `${PROXY_ADDRESS}:${PROXY_PORT}`;
const OUR_VIA = `SIP/2.0/UDP ${OUR_SENT_BY};branch=z9hG4bKs`;
const OUR_RECORD_ROUTE = `Record-Route: <sip:${OUR_SENT_BY};lr>`;
const OUR_ROUTE = `Route: <sip:${OUR_SENT_BY};lr>`;
/** The transaction, the loop part and the socket, in hexadecimal. */
const BRANCH_DIGITS = 26;

export function isOurVia(via: string | undefined): boolean {
  return (
    via?.startsWith(OUR_VIA) === true &&
    /^[0-9a-f]+$/.test(via.slice(OUR_VIA.length)) &&
    via.length === OUR_VIA.length + BRANCH_DIGITS
  );
}

/** What is wrong with a forwarded request, or null. The Request-URI is judged elsewhere. */
export function faultOfRequest(world: World, before: Message, after: Message): string | null {
  if (!isOurVia(after.vias[0])) return 'the top Via of a forwarded request is not ours';
  if (before.method !== after.method || !after.startLine.endsWith(' SIP/2.0')) return 'the start line is changed';
  if (withoutMarks(after.vias[1]) !== withoutMarks(before.vias[0]))
    return 'more than received and rport is changed in a Via';
  if (after.vias.slice(2).join() !== before.vias.slice(1).join()) return 'a lower Via is changed';
  if (after.body !== before.body) return 'the body is changed';
  const hops = before.value('Max-Forwards');
  const hopsAfter = after.values('Max-Forwards');
  if (hopsAfter.length !== 1 || hopsAfter[0] !== (hops === '' ? `${world.config.maxForwards}` : `${Number(hops) - 1}`))
    return 'Max-Forwards is not one less';
  return (
    faultOfBreadth(world, before, after) ?? faultOfRecordRoute(world, before, after) ?? faultOfOthers(before, after)
  );
}

/** What is wrong with a forwarded response, or null. `isReplaced`: a 503 in whose stead the client gets a 500 (16.7 step 6);
 *  `isJoined`: challenges of other branches may have been added (step 7). */
export function faultOfResponse(
  before: Message,
  after: Message,
  isReplaced: boolean,
  isJoined: boolean,
): string | null {
  if (after.startLine !== before.startLine && !(isReplaced && after.status === 500)) return 'a status line is changed';
  if (after.vias.length !== before.vias.length - 1) return 'not one Via less';
  if (after.vias.some((via, i) => via !== before.vias[i + 1])) return 'the Vias below ours are changed';
  if (after.body !== before.body) return 'the body of a response is changed';
  const isKept = (line: string) => !isNamed(line, 'Via');
  const kept = before.lines.filter(isKept);
  const left = after.lines.filter(isKept);
  if (left.join('\n') === kept.join('\n')) return null;
  if (!isJoined) return 'a header of a response is changed';
  const isChallenge = (line: string) => isNamed(line, 'WWW-Authenticate') || isNamed(line, 'Proxy-Authenticate');
  const isSame =
    left.filter((line) => !isChallenge(line)).join('\n') === kept.filter((line) => !isChallenge(line)).join('\n');
  return isSame ? null : 'a header of a response is changed';
}

/** A Via without what 18.2.1 and RFC 3581 let a server write. */
export function withoutMarks(via: string | undefined): string {
  return (via ?? '')
    .split(';')
    .filter((param) => !param.startsWith('received=') && !param.startsWith('rport'))
    .join(';');
}

function faultOfBreadth(world: World, before: Message, after: Message): string | null {
  const breadths = after.values('Max-Breadth');
  if (before.method === 'CANCEL') return breadths.length === 0 ? null : 'a CANCEL has a Max-Breadth';
  const most = Math.min(Number(before.value('Max-Breadth') || world.config.maxBreadth), world.config.maxBreadth);
  const breadth = Number(breadths[0]);
  return breadths.length === 1 && breadth >= 1 && breadth <= most ? null : 'the Max-Breadth is not what it may be';
}

function faultOfRecordRoute(world: World, before: Message, after: Message): string | null {
  const isWanted = (world.config.recordRoute as readonly string[]).includes(before.method);
  const added = after.values('Record-Route').length - before.values('Record-Route').length;
  if (added !== (isWanted ? 1 : 0)) return 'not the Record-Routes that there should be';
  return !isWanted || after.lines.find((line) => isNamed(line, 'Record-Route')) === OUR_RECORD_ROUTE
    ? null
    : 'the first Record-Route is not ours';
}

/** All other lines, in their order; a Route of ours is taken off the front. */
function faultOfOthers(before: Message, after: Message): string | null {
  const isOther = (line: string) =>
    !isNamed(line, 'Via') &&
    !isNamed(line, 'Max-Forwards') &&
    !isNamed(line, 'Max-Breadth') &&
    line !== OUR_RECORD_ROUTE;
  const kept = before.lines.filter(isOther);
  const route = kept.findIndex((line) => isNamed(line, 'Route'));
  if (route !== -1 && kept[route] === OUR_ROUTE) kept.splice(route, 1);
  return kept.join('\n') === after.lines.filter(isOther).join('\n') ? null : 'another header is changed';
}
