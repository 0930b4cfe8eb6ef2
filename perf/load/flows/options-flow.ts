/** OPTIONS through the server and its 200 back. Hot. */

import { explain } from '../explanation.ts';
import { type FlowParts, IN_FLIGHT, MAX_FORWARDS, maxForwardsIn, message, ownVia } from '../flow.ts';
import { agentPlace, clientPlace, type Way } from '../flow-settings.ts';
import { ForwardingFlow } from '../forwarding-flow.ts';
import { Histogram } from '../histogram.ts';
import { GENERATION, INDEX } from '../stamped-texts.ts';

const TEXT = { OPTIONS: 0, OK: 1 } as const;
const ANSWERED = 2;

export class OptionsFlow extends ForwardingFlow {
  readonly mainDelay = 'response';
  readonly #response = new Histogram();
  readonly delays = new Map([['response', this.#response] as const]);
  readonly #maxForwardsAt: number;

  constructor(parts: FlowParts) {
    const options = optionsText(parts.way);
    super(parts, [options, okText(parts.way)], 0);
    this.#maxForwardsAt = maxForwardsIn(options);
  }

  protected override begin(index: number): void {
    const at = this.texts.start(index, TEXT.OPTIONS);
    this.sendMaxForwards(at + this.#maxForwardsAt);
    this.client.begin(index);
    this.client.add(at, this.texts.lengths[TEXT.OPTIONS]!);
  }

  override atAgent(start: number, end: number, nowUs: number): void {
    const via = this.ownViaOf(TEXT.OPTIONS, end);
    const index = via < start ? -1 : this.exchangeAt(via + this.numberAt);
    if (index < 0 || !this.isForwarded(index, TEXT.OPTIONS, TEXT.OPTIONS, start, end, 0)) {
      this.reject('at the UAS', start, end, (received, current) =>
        explain(received, this.expectation(current, TEXT.OPTIONS, TEXT.OPTIONS, 1, 0)),
      );
      return;
    }
    if ((this.flags[index]! & ANSWERED) !== 0) {
      this.again('at the UAS', start, end);
      return;
    }
    this.flags[index]! |= ANSWERED;
    this.transit.record(nowUs - this.dueAt[index]!);
    this.respond(index, TEXT.OK, start + this.startLines[TEXT.OPTIONS]!, via + this.viaBytes);
  }

  override atClient(start: number, end: number, nowUs: number): void {
    const index = this.exchangeAt(start + this.startLines[TEXT.OK]! + this.numberAt);
    const isExpected = index >= 0 && this.flags[index] === (IN_FLIGHT | ANSWERED);
    if (!isExpected || !this.isResponse(index, TEXT.OK, start, end, 0, 0)) {
      this.reject('at the UAC', start, end, (received, current) =>
        explain(received, this.expectation(current, TEXT.OK, TEXT.OK, 0, 0)),
      );
      return;
    }
    this.recordMain(index, this.#response, nowUs);
    this.succeed(index);
  }
}

function optionsText(way: Way): string {
  return message([
    `OPTIONS sip:bob@${agentPlace(way)} SIP/2.0`,
    ownVia(way, 'o'),
    `Max-Forwards: ${MAX_FORWARDS - way.hops}`,
    // Every proxy adds it where it is not there (RFC 5393 5.3.3), but hardly any does.
    'Max-Breadth: 60',
    `From: "Alice at Perf" <sip:alice@perf.test>;tag=a${INDEX}${GENERATION}`,
    `To: <sip:bob@127.0.0.1:${way.agentPort}>`,
    `Call-ID: ${INDEX}${GENERATION}-5f3a9c01@127.0.0.1`,
    'CSeq: 314159 OPTIONS',
    `Contact: <sip:alice@${clientPlace(way)}>`,
    'User-Agent: Strowger load engine',
    'Accept: application/sdp',
  ]);
}

function okText(way: Way): string {
  return message([
    'SIP/2.0 200 OK',
    ownVia(way, 'o'),
    `From: "Alice at Perf" <sip:alice@perf.test>;tag=a${INDEX}${GENERATION}`,
    `To: <sip:bob@127.0.0.1:${way.agentPort}>;tag=b${INDEX}${GENERATION}`,
    `Call-ID: ${INDEX}${GENERATION}-5f3a9c01@127.0.0.1`,
    'CSeq: 314159 OPTIONS',
    `Contact: <sip:bob@${agentPlace(way)}>`,
    'Accept: application/sdp',
    'Allow: INVITE, ACK, CANCEL, OPTIONS, BYE',
  ]);
}
