/** A flow of the load engine without sockets: what it sends can be read as text, and text can be put before it. With a proxy
 *  and a registrar as small as they can be, that do what RFC 3261 wants of them. */

import { type Flow, type FlowParts, Tally } from '../../../perf/load/flow.ts';
import type { Way } from '../../../perf/load/flow-settings.ts';
import { Outbox } from '../../../perf/load/outbox.ts';
import { createArena } from '../../../src/memory/arena.ts';
import { EGRESS_ENTRIES, SLOT_HEADER_BYTES, slotOffset } from '../../../src/memory/layout.ts';

export const STATEFUL: Way = {
  transport: 'udp',
  connections: 1,
  clientPort: 6001,
  agentPort: 6002,
  serverPort: 6003,
  hops: 1,
  isStateful: true,
};
export const STATELESS: Way = { ...STATEFUL, isStateful: false };
export const RELAY: Way = { ...STATELESS, hops: 0 };

const ROOM_SLOTS = 512;
const WINDOW = 4;
const [AGENT, CLIENT] = [0, 1];

export class ExchangeLine<F extends Flow> {
  readonly tally = new Tally();
  readonly flow: F;
  /** What was printed about messages that were wrong. */
  readonly printed: string[] = [];
  readonly #arena = createArena({ shardCount: 1, slotCount: ROOM_SLOTS, jumboCount: 1 });
  readonly #outboxes: readonly [Outbox, Outbox];
  #nowUs = 0;

  constructor(way: Way, create: (parts: FlowParts) => F) {
    const half = EGRESS_ENTRIES / 2;
    const agent = new Outbox(this.#arena, 0, half, 1, way.serverPort);
    const client = new Outbox(this.#arena, half, half, 0, way.serverPort);
    this.#outboxes = [agent, client];
    this.flow = create({
      arena: this.#arena,
      at: slotOffset(this.#arena.map, 1),
      window: WINDOW,
      firstGeneration: 0,
      way,
      client,
      agent,
      tally: this.tally,
      print: (line) => this.printed.push(line),
    });
  }

  /** Starts an exchange; what it sends first. */
  start(): string {
    this.flow.start(this.#nowUs);
    return this.#sentBy(CLIENT)[0]!;
  }

  /** A datagram reaches the UAS; what that sends. */
  atAgent(text: string): string[] {
    const start = this.#place(text);
    this.flow.atAgent(start, start + text.length, (this.#nowUs += 100));
    return this.#sentBy(AGENT);
  }

  /** A datagram reaches the UAC; what that sends. */
  atClient(text: string): string[] {
    const start = this.#place(text);
    this.flow.atClient(start, start + text.length, (this.#nowUs += 100));
    return this.#sentBy(CLIENT);
  }

  /** `successful`, or what the failures are counted by. */
  outcome(): string[] {
    return [...Array<string>(this.tally.successful).fill('successful'), ...this.tally.causes.keys()];
  }

  #place(text: string): number {
    const start = slotOffset(this.#arena.map, 0) + SLOT_HEADER_BYTES;
    this.#arena.bytes.set(Buffer.from(text, 'latin1'), start);
    return start;
  }

  #sentBy(side: number): string[] {
    const outbox = this.#outboxes[side]!;
    const texts = Array.from({ length: outbox.count }, (_, i) => {
      const spans = outbox.spansOf(i);
      let text = '';
      for (let at = 0; at < spans.length; at += 2) {
        text += Buffer.from(this.#arena.bytes.slice(spans[at]!, spans[at]! + spans[at + 1]!)).toString('latin1');
      }
      return text;
    });
    outbox.clear();
    this.flow.afterSending();
    return texts;
  }
}

export interface Forwarding {
  readonly recordRoute?: boolean;
  /** In the place of the Request-URI. */
  readonly contact?: string;
}

/** RFC 3261 16.6, for one hop. */
export function forwardRequest(text: string, { recordRoute = false, contact }: Forwarding = {}): string {
  const [startLine, ...lines] = text.split('\r\n');
  const { serverPort } = STATEFUL;
  return [
    contact === undefined ? startLine! : startLine!.replace(/ \S+ /, ` ${contact} `),
    `Via: SIP/2.0/UDP 127.0.0.1:${serverPort};branch=z9hG4bK1.2`,
    ...(recordRoute ? [`Record-Route: <sip:127.0.0.1:${serverPort};lr>`] : []),
    ...lines.filter((line) => !line.startsWith('Route: ')),
  ]
    .join('\r\n')
    .replace(/\r\nMax-Forwards: (\d+)/, (_, digits) => `\r\nMax-Forwards: ${Number(digits) - 1}`);
}

/** RFC 3261 16.7: takes the top Via off. */
export function forwardResponse(text: string): string {
  return text.replace(/\r\nVia: [^\r]*/, '');
}

/** RFC 3261 8.2.6: what a server answers itself. `headers`: more lines. */
export function answer(request: string, status: string, headers: readonly string[] = []): string {
  const value = (name: string) => new RegExp(`^${name}: .*(?=\r)`, 'm').exec(request)![0];
  const tag = status.startsWith('100') ? '' : ';tag=314159';
  return [
    `SIP/2.0 ${status}`,
    value('Via'),
    value('From'),
    `${value('To')}${tag}`,
    value('Call-ID'),
    value('CSeq'),
    ...headers,
    'Server: small',
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}
