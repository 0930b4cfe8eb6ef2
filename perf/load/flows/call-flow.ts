/** A call: INVITE, 100, 180, 200, ACK, BYE, 200, the server staying on its path (Record-Route). The caller follows the route set
 *  it learns, and the call is done once the UAS has the ACK and the caller the 200 to its BYE. Straight to the UAS, or to a
 *  user whose contact the server looks up. Hot. */

import type { DelayName } from '../../bench/result.ts';
import { sameBytes } from '../byte-compare.ts';
import { explain, type Finding } from '../explanation.ts';
import { type FlowParts, MAX_FORWARDS, maxForwardsIn, message, ownVia } from '../flow.ts';
import { agentPlace, clientPlace, contactPlace, DOMAIN, type Way } from '../flow-settings.ts';
import { ForwardingFlow } from '../forwarding-flow.ts';
import { LINE } from '../header-lines.ts';
import { Histogram } from '../histogram.ts';
import type { RandomUsers } from '../random-users.ts';
import { ServerAnswers, statusAt } from '../server-answers.ts';
import { GENERATION, INDEX, USER } from '../stamped-texts.ts';

/** INVITE_LINE is the start line with which the INVITE arrives; the two parts of REFUSED_ACK stand around the To of a refusal. */
const TEXT = {
  INVITE: 0,
  INVITE_LINE: 1,
  RINGING: 2,
  OK: 3,
  ACK: 4,
  BYE: 5,
  BYE_OK: 6,
  REFUSED_ACK: 7,
  REFUSED_ACK_END: 8,
} as const;

const INVITED = 2;
const RANG = 4;
const ANSWERED = 8;
const ACKED = 16;
const BYE_SEEN = 32;
const BYE_ANSWERED = 64;

const LETTER_OF_BYE = 0x62;
const CAPITAL = { A: 0x41, B: 0x42, I: 0x49, R: 0x52 } as const;

/** The longest Record-Route that is learned. */
const MAX_ROUTE_BYTES = 256;
/** What a Record-Route line has in front of what a Route line is. */
const RECORD_BYTES = 'Record-'.length;

export class CallFlow extends ForwardingFlow {
  readonly mainDelay = 'setup';
  readonly #setup = new Histogram();
  readonly #sessionRequest = new Histogram();
  readonly #sessionDisconnect = new Histogram();
  readonly delays = new Map<DelayName, Histogram>([
    ['setup', this.#setup],
    ['sessionRequest', this.#sessionRequest],
    ['sessionDisconnect', this.#sessionDisconnect],
  ]);
  readonly #answers: ServerAnswers;
  readonly #users: RandomUsers | null;
  readonly #byeAt: Int32Array;
  readonly #routeBytes: Int32Array;
  readonly #forwardsIn: Int32Array;

  /** `users`: call one of them at random by his address-of-record; null: call the UAS. */
  constructor(parts: FlowParts, users: RandomUsers | null) {
    const texts = textsOf(parts.way, users !== null);
    super(parts, texts, MAX_ROUTE_BYTES);
    this.#users = users;
    this.#answers = new ServerAnswers(parts.arena, texts[TEXT.INVITE]!);
    this.#byeAt = new Int32Array(parts.window);
    this.#routeBytes = new Int32Array(parts.window);
    this.#forwardsIn = Int32Array.from(texts, maxForwardsIn);
  }

  protected override begin(index: number): void {
    if (this.#users !== null) this.texts.stampUser(index, this.#users.next());
    const at = this.texts.start(index, TEXT.INVITE);
    this.sendMaxForwards(at + this.#forwardsIn[TEXT.INVITE]!);
    this.client.begin(index);
    this.client.add(at, this.texts.lengths[TEXT.INVITE]!);
  }

  // ---- The UAS ------------------------------------------------------------------------------------------------------

  override atAgent(start: number, end: number, nowUs: number): void {
    const method = this.bytes[start];
    if (method === CAPITAL.I) this.#invited(start, end, nowUs);
    else if (method === CAPITAL.A) this.#acknowledged(start, end);
    else if (method === CAPITAL.B) this.#bye(start, end);
    else this.#rejectAtAgent(start, end);
  }

  #invited(start: number, end: number, nowUs: number): void {
    const via = this.ownViaOf(TEXT.INVITE, end);
    const index = via < start ? -1 : this.exchangeAt(via + this.numberAt);
    if (index < 0 || !this.isForwarded(index, TEXT.INVITE, TEXT.INVITE_LINE, start, end, 1)) {
      this.#rejectAtAgent(start, end);
      return;
    }
    if ((this.flags[index]! & INVITED) !== 0) {
      this.again('at the UAS', start, end);
      return;
    }
    this.flags[index]! |= INVITED;
    this.transit.record(nowUs - this.dueAt[index]!);
    this.#learnRoute(index);
    const vias = start + this.startLines[TEXT.INVITE_LINE]!;
    this.respond(index, TEXT.RINGING, vias, via + this.viaBytes);
    this.respond(index, TEXT.OK, vias, via + this.viaBytes);
  }

  #acknowledged(start: number, end: number): void {
    const via = this.ownViaOf(TEXT.ACK, end);
    const index = via < start ? -1 : this.exchangeAt(via + this.numberAt);
    if (index < 0 || !this.isForwarded(index, TEXT.ACK, TEXT.ACK, start, end, 0)) this.#rejectAtAgent(start, end);
    else if ((this.flags[index]! & ACKED) !== 0) this.again('at the UAS', start, end);
    else {
      this.flags[index]! |= ACKED;
      this.#endIfDone(index);
    }
  }

  #bye(start: number, end: number): void {
    const via = this.ownViaOf(TEXT.BYE, end);
    const index = via < start ? -1 : this.exchangeAt(via + this.numberAt);
    if (index < 0 || !this.isForwarded(index, TEXT.BYE, TEXT.BYE, start, end, 0)) this.#rejectAtAgent(start, end);
    else if ((this.flags[index]! & BYE_SEEN) !== 0) this.again('at the UAS', start, end);
    else {
      this.flags[index]! |= BYE_SEEN;
      this.respond(index, TEXT.BYE_OK, start + this.startLines[TEXT.BYE]!, via + this.viaBytes);
    }
  }

  /** Keeps the Record-Route of the INVITE that was just checked. */
  #learnRoute(index: number): void {
    const { routeAt, routeBytes } = this.added;
    const length = routeBytes <= MAX_ROUTE_BYTES ? routeBytes : 0;
    const room = this.texts.area(index) + this.texts.roomAt;
    for (let i = 0; i < length; i++) this.bytes[room + i] = this.bytes[routeAt + i]!;
    this.#routeBytes[index] = length;
  }

  // ---- The caller ---------------------------------------------------------------------------------------------------

  override atClient(start: number, end: number, nowUs: number): void {
    const status = statusAt(this.bytes, start, end);
    if (status !== 180 && status !== 200) {
      this.#ofServer(status, start, end);
      return;
    }
    const via = this.#viaBehindRoute(status === 180 ? TEXT.RINGING : TEXT.OK, start, end);
    const index = this.exchangeAt(via + this.numberAt);
    if (index < 0) this.#rejectAtClient(start, end);
    else if (status === 180) this.#ringing(index, start, end, nowUs);
    else if (this.bytes[via + this.letterAt] === LETTER_OF_BYE) this.#byeAnswered(index, start, end, nowUs);
    else this.#answered(index, start, end, nowUs);
  }

  #viaBehindRoute(text: number, start: number, end: number): number {
    const at = start + this.startLines[text]!;
    return this.bytes[at] === CAPITAL.R ? this.afterLine(at, end) : at;
  }

  #ringing(index: number, start: number, end: number, nowUs: number): void {
    const route = this.texts.area(index) + this.texts.roomAt;
    if (!this.isResponse(index, TEXT.RINGING, start, end, route, this.#routeBytes[index]!)) {
      this.#rejectAtClient(start, end);
      return;
    }
    if ((this.flags[index]! & RANG) !== 0) {
      this.again('at the UAC', start, end);
      return;
    }
    this.flags[index]! |= RANG;
    this.#sessionRequest.record(nowUs - this.dueAt[index]!);
  }

  #answered(index: number, start: number, end: number, nowUs: number): void {
    const route = this.texts.area(index) + this.texts.roomAt;
    const routeBytes = this.#routeBytes[index]!;
    if (!this.isResponse(index, TEXT.OK, start, end, route, routeBytes)) {
      this.#rejectAtClient(start, end);
      return;
    }
    if ((this.flags[index]! & ANSWERED) !== 0) {
      this.again('at the UAC', start, end);
      return;
    }
    this.flags[index]! |= ANSWERED;
    this.recordMain(index, this.#setup, nowUs);
    this.#byeAt[index] = nowUs;
    this.#inDialog(index, TEXT.ACK, route, routeBytes);
    this.#inDialog(index, TEXT.BYE, route, routeBytes);
  }

  /** ACK or BYE, along the route that was learned (RFC 3261 12.2.1.1). */
  #inDialog(index: number, text: number, route: number, routeBytes: number): void {
    const at = this.texts.start(index, text);
    const line = this.startLines[text]!;
    this.sendMaxForwards(at + this.#forwardsIn[text]!);
    this.client.begin(index);
    this.client.add(at, line);
    if (routeBytes > 0) this.client.add(route + RECORD_BYTES, routeBytes - RECORD_BYTES);
    this.client.add(at + line, this.texts.lengths[text]! - line);
  }

  #byeAnswered(index: number, start: number, end: number, nowUs: number): void {
    if (!this.isResponse(index, TEXT.BYE_OK, start, end, 0, 0) || (this.flags[index]! & BYE_SEEN) === 0) {
      this.#rejectAtClient(start, end);
      return;
    }
    if ((this.flags[index]! & BYE_ANSWERED) !== 0) {
      this.again('at the UAC', start, end);
      return;
    }
    this.flags[index]! |= BYE_ANSWERED;
    this.#sessionDisconnect.record(nowUs - this.#byeAt[index]!);
    this.#endIfDone(index);
  }

  #endIfDone(index: number): void {
    const flags = this.flags[index]!;
    if ((flags & (ACKED | BYE_ANSWERED)) !== (ACKED | BYE_ANSWERED)) return;
    if ((flags & RANG) !== 0) this.succeed(index);
    else this.fail(index, 'no 180');
  }

  /** The server's own: a 100, or a refusal, which needs an ACK. */
  #ofServer(status: number, start: number, end: number): void {
    const answers = this.#answers;
    const number = answers.read(start, end, this.numberAt);
    const index = number < 0 ? -1 : this.exchangeAt(number);
    if (index < 0) {
      this.#rejectAtClient(start, end);
      return;
    }
    if (this.bytes[number - this.numberAt + this.letterAt] === LETTER_OF_BYE) {
      this.#rejectAtClient(start, end);
      return;
    }
    const request = this.texts.start(index, TEXT.INVITE);
    const cause = answers.causeOf(request, end, status >= 200);
    if (status === 100 && cause === null) return;
    if (status >= 300 && cause === null) {
      this.#acknowledgeRefusal(index);
      this.refuse(index, status, start, end);
    } else {
      this.#rejectAtClient(start, end, cause);
    }
  }

  /** RFC 3261 17.1.1.3. */
  #acknowledgeRefusal(index: number): void {
    const { lines } = this.#answers;
    this.client.begin(index);
    this.client.add(this.texts.start(index, TEXT.REFUSED_ACK), this.texts.lengths[TEXT.REFUSED_ACK]!);
    this.client.add(lines.starts[LINE.TO]!, lines.ends[LINE.TO]! - lines.starts[LINE.TO]!);
    this.client.add(this.texts.start(index, TEXT.REFUSED_ACK_END), this.texts.lengths[TEXT.REFUSED_ACK_END]!);
  }

  // ---- What should not happen ---------------------------------------------------------------------------------------

  #rejectAtAgent(start: number, end: number): void {
    this.reject('at the UAS', start, end, (received, index) => {
      const method = received.split(' ', 1)[0];
      if (method === 'INVITE') return explain(received, this.expectation(index, TEXT.INVITE, TEXT.INVITE_LINE, 1, 1));
      if (method === 'ACK') return explain(received, this.expectation(index, TEXT.ACK, TEXT.ACK, 1, 0));
      if (method === 'BYE') return explain(received, this.expectation(index, TEXT.BYE, TEXT.BYE, 1, 0));
      return explain(received, null);
    });
  }

  #rejectAtClient(start: number, end: number, cause: string | null = null): void {
    this.reject('at the UAC', start, end, (received, index) => {
      if (cause !== null) return { cause, sentence: `${cause} in a response of the server is not as it was sent` };
      const status = statusAt(this.bytes, start, end);
      if (status !== 180 && status !== 200) return explain(received, null);
      const isBye = /^CSeq: \d+ BYE\r$/m.test(received);
      const text = status === 180 ? TEXT.RINGING : isBye ? TEXT.BYE_OK : TEXT.OK;
      return (
        this.#explainRoute(index, text, start) ??
        explain(received, this.expectation(index, text, text, 0, isBye ? 0 : 1))
      );
    });
  }

  /** The Record-Route must come back as the UAS got it, or the route set is another one for each of them. */
  #explainRoute(index: number, text: number, start: number): Finding | null {
    const at = start + this.startLines[text]!;
    const length = this.#routeBytes[index]!;
    if (text === TEXT.BYE_OK || length === 0 || this.bytes[at] !== CAPITAL.R) return null;
    if (sameBytes(this.view, at, this.texts.area(index) + this.texts.roomAt, length)) return null;
    return { cause: 'record-route', sentence: 'Record-Route is not what the UAS got' };
  }
}

const OFFER = sdp('alice', 49170, ['0 PCMU/8000', '8 PCMA/8000', '18 G729/8000', '101 telephone-event/8000']);
const ANSWER = sdp('bob', 49174, ['0 PCMU/8000', '101 telephone-event/8000']);

function sdp(user: string, port: number, codecs: readonly string[]): string {
  const payloads = codecs.map((codec) => codec.split(' ')[0]).join(' ');
  return [
    'v=0',
    `o=${user} 2890844526 2890844526 IN IP4 127.0.0.1`,
    's=-',
    'c=IN IP4 127.0.0.1',
    't=0 0',
    `m=audio ${port} RTP/AVP ${payloads}`,
    ...codecs.map((codec) => `a=rtpmap:${codec}`),
    'a=sendrecv',
    '',
  ].join('\r\n');
}

/** The 180 and the 200 to the INVITE have start lines of other lengths; the Via is found behind each. */
function textsOf(way: Way, isLocated: boolean): string[] {
  const user = isLocated ? `user${USER}` : 'bob';
  const contact = `sip:${user}@${isLocated ? contactPlace(way) : agentPlace(way)}`;
  const called = isLocated ? `sip:${user}@${DOMAIN}` : contact;
  const maxForwards = `Max-Forwards: ${MAX_FORWARDS - way.hops}`;
  const from = `From: "Alice at Perf" <sip:alice@${DOMAIN}>;tag=a${INDEX}${GENERATION}`;
  const to = `To: <sip:${user}@${isLocated ? DOMAIN : `127.0.0.1:${way.agentPort}`}>`;
  const toWithTag = `${to};tag=b${INDEX}${GENERATION}`;
  const callId = `Call-ID: ${INDEX}${GENERATION}-5f3a9c01@127.0.0.1`;
  const agent = 'User-Agent: Strowger load engine';
  const allow = 'Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, MESSAGE, UPDATE';
  const invite = message(
    [
      `INVITE ${called} SIP/2.0`,
      ownVia(way, 'i'),
      maxForwards,
      // Every proxy adds it where it is not there (RFC 5393 5.3.3), but hardly any does.
      'Max-Breadth: 60',
      from,
      to,
      callId,
      'CSeq: 1 INVITE',
      `Contact: <sip:alice@${clientPlace(way)}>`,
      agent,
      allow,
      'Supported: replaces, timer',
      'Session-Expires: 1800;refresher=uac',
      'Min-SE: 90',
      `P-Preferred-Identity: <sip:alice@${DOMAIN}>`,
    ],
    OFFER,
  );
  const inDialog = (method: string, letter: string, cseq: number) =>
    message([
      `${method} ${contact} SIP/2.0`,
      ownVia(way, letter),
      maxForwards,
      'Max-Breadth: 60',
      from,
      toWithTag,
      callId,
      `CSeq: ${cseq} ${method}`,
      agent,
    ]);
  const response = (status: string, letter: string, cseq: string, more: readonly string[], body = '') =>
    message(
      [
        `SIP/2.0 ${status}`,
        ownVia(way, letter),
        from,
        toWithTag,
        callId,
        `CSeq: ${cseq}`,
        `Contact: <${contact}>`,
        ...more,
      ],
      body,
    );
  return [
    invite,
    way.hops === 0 ? `INVITE ${called} SIP/2.0\r\n` : `INVITE ${contact} SIP/2.0\r\n`,
    response('180 Ringing', 'i', '1 INVITE', [agent]),
    response('200 OK', 'i', '1 INVITE', [agent, allow, 'Supported: replaces, timer'], ANSWER),
    inDialog('ACK', 'a', 1),
    inDialog('BYE', 'b', 2),
    response('200 OK', 'b', '2 BYE', [agent]),
    `${[`ACK ${called} SIP/2.0`, ownVia(way, 'i'), `Max-Forwards: ${MAX_FORWARDS}`, from, ''].join('\r\n')}`,
    `${['', callId, 'CSeq: 1 ACK', 'Content-Length: 0', '', ''].join('\r\n')}`,
  ];
}
