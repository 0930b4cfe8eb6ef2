/** The floor of whatever a server answers itself: the bare relay sends each datagram back to where it came from, and that is
 *  what is checked. One round is one request and its answer. Hot. */

import type { DelayName } from '../../bench/result.ts';
import { sameBytes } from '../byte-compare.ts';
import { type Expectation, explain } from '../explanation.ts';
import { Flow, type FlowParts, MAX_FORWARDS, message, numberInVia, ownVia } from '../flow.ts';
import { contactPlace, DOMAIN, type Way } from '../flow-settings.ts';
import { Histogram } from '../histogram.ts';
import { GENERATION, INDEX } from '../stamped-texts.ts';

/** Flag of an exchange that is in its second round. */
const SECOND = 2;

export class EchoFlow extends Flow {
  readonly mainDelay: DelayName;
  readonly delays: Map<DelayName, Histogram>;
  readonly #delay = new Histogram();
  readonly #rounds: number;
  readonly #numberAt: number;

  /** `delay`: the name of what the floor is for. `rounds`: 1, or 2 where the server asks back once. */
  constructor(parts: FlowParts, delay: DelayName, rounds: 1 | 2) {
    super(parts, [echoText(parts.way, []), echoText(parts.way, [CREDENTIALS])], 0);
    this.mainDelay = delay;
    this.delays = new Map([[delay, this.#delay]]);
    this.#rounds = rounds;
    this.#numberAt = echoText(parts.way, []).indexOf('Via: ') + numberInVia(parts.way);
  }

  protected override begin(index: number): void {
    this.#send(index, 0);
  }

  override atClient(start: number, end: number, nowUs: number): void {
    const text = end - start === this.texts.lengths[0] ? 0 : 1;
    const index = end - start < this.texts.lengths[0]! ? -1 : this.exchangeAt(start + this.#numberAt);
    if (index < 0 || !this.#isEcho(index, text, start, end)) {
      this.reject('at the UAC', start, end, (received, current) => explain(received, this.#expectation(current, text)));
      return;
    }
    if (text + 1 < this.#rounds) {
      this.flags[index]! |= SECOND;
      this.#send(index, 1);
      return;
    }
    this.recordMain(index, this.#delay, nowUs);
    this.succeed(index);
  }

  #isEcho(index: number, text: number, start: number, end: number): boolean {
    const length = this.texts.lengths[text]!;
    const isItsTurn = ((this.flags[index]! & SECOND) !== 0) === (text === 1);
    return isItsTurn && end - start === length && sameBytes(this.view, start, this.texts.start(index, text), length);
  }

  #send(index: number, text: number): void {
    this.client.begin(index);
    this.client.add(this.texts.start(index, text), this.texts.lengths[text]!);
  }

  #expectation(index: number, text: number): Expectation {
    const at = this.texts.start(index, text);
    const whole = this.textOf(at, at + this.texts.lengths[text]!);
    return { text: whole, addedVias: 0, addedRecordRoutes: 0, way: this.way };
  }
}

/** As long as what phones send. */
const CREDENTIALS =
  'Authorization: Digest username="user0000000", realm="perf.test", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c0", ' +
  'uri="sip:perf.test", response="6629fae49393a05397450978507c4ef1", algorithm=MD5, qop=auth, nc=00000001, cnonce="0a4f113b"';

function echoText(way: Way, more: readonly string[]): string {
  return message([
    `REGISTER sip:${DOMAIN} SIP/2.0`,
    ownVia(way, 'r'),
    `Max-Forwards: ${MAX_FORWARDS}`,
    `From: <sip:user0000000@${DOMAIN}>;tag=a${INDEX}${GENERATION}`,
    `To: <sip:user0000000@${DOMAIN}>`,
    `Call-ID: ${INDEX}${GENERATION}-5f3a9c01@127.0.0.1`,
    'CSeq: 1000000 REGISTER',
    `Contact: <sip:user0000000@${contactPlace(way)}>`,
    'Expires: 3600',
    ...more,
    'User-Agent: Strowger load engine',
    'Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, MESSAGE, UPDATE',
    'Supported: path',
  ]);
}
