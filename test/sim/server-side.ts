/** The server side of a simulated user agent (RFC 3261 13.3, 17.2, RFC 6026), and the moods of those who answer. */

import type { SimEvent } from './event-queue.ts';
import type { Message } from './message.ts';
import type { Network } from './network.ts';
import type { Host, World } from './world.ts';
import { contactUri, uriAt } from './world.ts';

export interface ServerPorts {
  readonly world: World;
  readonly network: Network;
  readonly send: (call: number, from: Host, text: string) => void;
  /** A dialog began here: the 2xx has been acknowledged. */
  readonly onAnswered: (host: Host, request: Message, toTag: string) => void;
}

/** How a request is going to be answered. */
interface Mood {
  /** Milliseconds until each provisional response, and what it says. */
  readonly provisionals: readonly { readonly atMs: number; readonly status: number }[];
  /** 0: never. */
  readonly final: number;
  readonly finalAtMs: number;
}

const REASONS: Readonly<Record<number, string>> = { 100: 'Trying', 180: 'Ringing', 183: 'Session Progress', 200: 'OK' };
const FAILURES = [
  302, 300, 305, 380, 400, 401, 403, 404, 407, 408, 415, 420, 480, 484, 486, 488, 500, 503, 504, 600, 603, 604,
];
const REPLIES = [202, 403, 404, 405, 408, 481, 489, 500, 503, 603];

/** A request that reached a user agent. */
export class Incoming {
  readonly request: Message;
  readonly host: Host;
  readonly #ports: ServerPorts;
  readonly #tag: string;
  /** What a retransmission of the request gets again; '' for nothing. */
  #last = '';
  #isFinal = false;
  #isOver = false;
  #isAcknowledged = false;
  #intervalMs: number;
  #resend: SimEvent | null = null;
  #serial = 0;

  constructor(ports: ServerPorts, host: Host, request: Message, serial: number) {
    const { world, network } = ports;
    this.#ports = ports;
    this.host = host;
    this.request = request;
    this.#tag = request.toTag || `t${serial}`;
    this.#intervalMs = world.t1Ms;
    const mood = moodOf(world, host, request);
    for (const { atMs, status } of mood.provisionals) network.later(atMs, () => this.#provisional(status));
    if (mood.final !== 0) network.later(mood.finalAtMs, () => this.#final(mood.final));
  }

  /** The request came again. */
  repeat(): void {
    if (this.#isOver || this.#last === '') return;
    // RFC 6026 7.1: a 2xx is sent again by its own timer.
    const isAccepted = this.#isFinal && this.request.method === 'INVITE' && this.#last.startsWith('SIP/2.0 2');
    if (!isAccepted) this.#send(this.#last);
  }

  acknowledge(): void {
    if (this.#isAcknowledged) return;
    this.#isAcknowledged = true;
    if (this.#resend !== null) this.#resend.isOff = true;
    if (this.#last.startsWith('SIP/2.0 2')) this.#ports.onAnswered(this.host, this.request, this.#tag);
  }

  /** 9.2. */
  cancel(): void {
    if (!this.#isFinal) this.#final(487);
  }

  get isAcknowledged(): boolean {
    return this.#isAcknowledged;
  }

  get finalStatus(): number {
    return this.#isFinal ? Number(this.#last.slice(8, 11)) : 0;
  }

  #provisional(status: number): void {
    if (this.#isFinal) return;
    this.#last = this.#compose(status);
    this.#send(this.#last);
  }

  #final(status: number): void {
    if (this.#isFinal) return;
    const { network, world } = this.#ports;
    this.#isFinal = true;
    this.#last = this.#compose(status);
    this.#send(this.#last);
    if (this.request.method === 'INVITE') this.#resend = network.later(this.#intervalMs, () => this.#sendAgain());
    network.later(64 * world.t1Ms, () => {
      this.#isOver = true;
      if (this.#resend !== null) this.#resend.isOff = true;
    });
  }

  /** Timer G; for a 2xx the same times (13.3.1.4). */
  #sendAgain(): void {
    this.#send(this.#last);
    this.#intervalMs = Math.min(2 * this.#intervalMs, this.#ports.world.t2Ms);
    this.#resend = this.#ports.network.later(this.#intervalMs, () => this.#sendAgain());
  }

  #send(text: string): void {
    this.#ports.send(this.request.call, this.host, text);
  }

  #compose(status: number): string {
    const { world } = this.#ports;
    const { request, host } = this;
    const { random } = world;
    const vias = random.isOneIn(4) ? [`Via: ${request.vias.join(', ')}`] : request.vias.map((via) => `Via: ${via}`);
    const to = request.value('To');
    const isTagged = status === 100 || request.toTag !== '';
    const body = random.isOneIn(3) ? 'v=0\r\n'.repeat(1 + random.below(random.isOneIn(20) ? 600 : 40)) : '';
    return [
      `SIP/2.0 ${status} ${REASONS[status] ?? 'Because'}`,
      ...vias,
      ...(status > 100 && status < 300 ? request.values('Record-Route').map((value) => `Record-Route: ${value}`) : []),
      `From: ${request.value('From')}`,
      `To: ${isTagged ? to : `${to};tag=${this.#tag}`}`,
      `Call-ID: ${request.value('Call-ID')}`,
      `CSeq: ${request.value('CSeq')}`,
      ...this.#contacts(status),
      ...(status === 401 ? [`WWW-Authenticate: Digest realm="${host.name}"`] : []),
      ...(status === 407 ? [`Proxy-Authenticate: Digest realm="${host.name}"`] : []),
      `X-Reply: ${this.#tag} ${request.branch} ${this.#serial++}`,
      `Content-Length: ${body.length}`,
      '',
      body,
    ].join('\r\n');
  }

  #contacts(status: number): string[] {
    const { world } = this.#ports;
    const { random } = world;
    if (status < 300 || status >= 400) return [`Contact: <${uriAt(this.host, 'ua')}>`];
    return Array.from({ length: random.below(4) }, (_, i) => {
      const uri = contactUri(`r${i}`, random, world.callees);
      return `Contact: <${uri}>${random.isOneIn(3) ? `;q=0.${random.below(10)}` : ''}`;
    });
  }
}

function moodOf(world: World, host: Host, request: Message): Mood {
  const { random, t1Ms } = world;
  if (host.kind === 'unavailable') return { provisionals: [], final: 503, finalAtMs: random.below(t1Ms) };
  if (request.method !== 'INVITE') return moodOfOthers(world, request);
  const isInDialog = request.toTag !== '';
  if (random.isOneIn(isInDialog ? 60 : 20)) return { provisionals: [], final: 0, finalAtMs: 0 };
  const provisionals = [];
  let atMs = random.below(10);
  if (random.isOneIn(2)) provisionals.push({ atMs, status: 100 });
  for (let left = random.below(4); left > 0; left--) {
    atMs += random.below(random.isOneIn(4) ? 20 * t1Ms : t1Ms);
    provisionals.push({ atMs, status: random.pick([180, 180, 183, 199]) });
  }
  atMs += random.below(random.isOneIn(3) ? 30 * t1Ms : 4 * t1Ms);
  if (random.isOneIn(40)) atMs += 64 * t1Ms;
  const isRingingForEver = random.isOneIn(15);
  const isAnswered = random.below(100) < (isInDialog ? 85 : 50);
  return { provisionals, final: isRingingForEver ? 0 : isAnswered ? 200 : random.pick(FAILURES), finalAtMs: atMs };
}

function moodOfOthers(world: World, request: Message): Mood {
  const { random, t1Ms } = world;
  if (random.isOneIn(20)) return { provisionals: [], final: 0, finalAtMs: 0 };
  const finalAtMs = random.below(random.isOneIn(6) ? 70 * t1Ms : t1Ms);
  const provisionals = random.isOneIn(8) ? [{ atMs: random.below(t1Ms), status: random.pick([100, 100, 183]) }] : [];
  const isAccepted = random.below(100) < (request.toTag === '' ? 75 : 92);
  return { provisionals, final: isAccepted ? 200 : random.pick(REPLIES), finalAtMs };
}
