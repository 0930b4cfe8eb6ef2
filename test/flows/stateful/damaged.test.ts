/** Calls whose datagrams arrive damaged: nothing throws, nothing is left over, and what leaves can be read. */

import { expect, it } from 'vitest';
import { replyTo, request, startLineOf, statusOf } from '../messages.ts';
import { ALICE, BOB, createElement, type Endpoint, type Sent, type VirtualElement } from '../virtual-network.ts';
import { CAROL, forkTo, NOTHING_HELD, requestOf } from './call.ts';

const CALLS = 1500;
const STATUSES = [
  '100 Trying',
  '180 Ringing',
  '183 Session Progress',
  '200 OK',
  '302 Moved Temporarily',
  '401 Unauthorized',
  '404 Not Found',
  '407 Proxy Authentication Required',
  '486 Busy Here',
  '487 Request Terminated',
  '503 Service Unavailable',
  '603 Decline',
];
const METHODS = ['INVITE', 'INVITE', 'INVITE', 'OPTIONS', 'MESSAGE', 'BYE', 'CANCEL', 'ACK', 'UNHEARDOF'];
const OCTETS = '\0\r\n"<>;:,@=% \t\xff019AZaz';

/** Mulberry32: a stream of numbers from 0 to 1 for each seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Mischief {
  readonly #random: () => number;
  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }
  below(limit: number): number {
    return Math.trunc(this.#random() * limit);
  }
  one<T>(all: ArrayLike<T>): T {
    return all[this.below(all.length)]!;
  }
  /** The text as it was, one time in two, or with a few octets or lines changed. */
  spoil(text: string): string {
    let spoiled = text;
    for (let count = this.below(2) * this.below(4); count > 0; count--) {
      const at = this.below(spoiled.length);
      const kind = this.below(5);
      if (kind === 0) spoiled = spoiled.slice(0, at) + this.one(OCTETS) + spoiled.slice(at + 1);
      else if (kind === 1) spoiled = spoiled.slice(0, at) + spoiled.slice(at + 1 + this.below(8));
      else if (kind === 2) spoiled = spoiled.slice(0, at) + this.one(OCTETS) + spoiled.slice(at);
      else {
        const lines = spoiled.split('\r\n');
        const line = this.below(lines.length);
        if (kind === 3) lines.splice(line, 1);
        else lines.splice(this.below(lines.length), 0, lines[line]!);
        spoiled = lines.join('\r\n');
      }
    }
    return spoiled;
  }
}

function expectReadable(sent: readonly Sent[], cause: string): void {
  for (const { text } of sent) {
    expect(startLineOf(text), cause).toMatch(/^(SIP\/2\.0 \d{3} |[!-~]+ [^ ]+ SIP\/2\.0$)/);
    expect(text.includes('\r\n\r\n'), cause).toBe(true);
  }
}

/** One call, and whatever answers it gets. */
function play(proxy: VirtualElement, mischief: Mischief, number: number): void {
  const deliver = (text: string, from: Endpoint): Sent[] => {
    const sent = proxy.receive(Buffer.from(text, 'latin1'), from);
    expectReadable(sent, JSON.stringify(text));
    return sent;
  };
  const method = mischief.one(METHODS);
  const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKspoiled${number}`;
  const parts = { method, via, callId: `${number}@spoiled`, headers: ['Contact: <sip:alice@192.0.2.10>'] };
  const sent = deliver(mischief.spoil(request(parts)), ALICE);
  const requests = sent.filter(({ text }) => statusOf(text) === 0);
  for (let step = 0; step < 6; step++) {
    const kind = mischief.below(8);
    if (kind === 0) deliver(mischief.spoil(request({ ...parts, method: 'CANCEL' })), ALICE);
    else if (kind === 1) deliver(mischief.spoil(request({ ...parts, method: 'ACK' })), ALICE);
    else if (kind === 2) deliver(mischief.spoil(request(parts)), ALICE);
    else if (kind === 3) expectReadable(proxy.advance(mischief.one([1, 500, 5000, 40_000])), `time, call ${number}`);
    else if (requests.length > 0) {
      const reached = mischief.one(requests);
      // What we sent may be damaged where it was when it came.
      if (!/\r\n(?:To|t) ?:/i.test(reached.text)) continue;
      requests.push(...deliver(mischief.spoil(replyOrNothing(reached, mischief)), reached.to).filter(isRequest));
    }
  }
}

/** ECONNREFUSED, EMSGSIZE or EAGAIN for one message in ten, but for the last. */
function errnoFor({ to, text }: Sent, network: Mischief): number {
  if (to.address === '192.0.2.35') return 111;
  return text.includes('z9hG4bKlast') || network.below(10) > 0 ? 0 : network.one([111, 90, 11]);
}

const isRequest = ({ text }: Sent) => statusOf(text) === 0;

function replyOrNothing(reached: Sent, mischief: Mischief): string {
  const status = mischief.one(STATUSES);
  const reply = replyTo(reached.text, status);
  const contact = `Contact: <sip:bob@192.0.2.3${mischief.below(6)}:5080>;q=0.${mischief.below(10)}`;
  const challenge = 'WWW-Authenticate: Digest realm="x"';
  return reply.replace(/Contact: [^\r]*/, mischief.one([contact, challenge, `${contact}, <sip:x@chicago.example>`]));
}

it.each([
  ['to a next hop', {}],
  ['to two next hops', { nextHops: ['sip:192.0.2.30:5080', { uri: 'sip:192.0.2.31:5080', priority: 1 }] }],
  ['to a fork', forkTo(BOB, CAROL, { at: { address: '192.0.2.32', port: 5080 }, q: 0.5 })],
  ['with redirects that are followed', { redirects: 'recurse' }],
  ['to a fork, with redirects that are followed', { ...forkTo(BOB, CAROL), redirects: 'recurse' }],
])('%s', (_, settings) => {
  const network = new Mischief(0);
  const proxy = createElement({ mode: 'stateful', settings, refuse: (sent) => errnoFor(sent, network) });
  for (let number = 0; number < CALLS; number++) {
    const mischief = new Mischief(number);
    try {
      play(proxy, mischief, number);
    } catch (error) {
      throw new Error(`call ${number}`, { cause: error });
    }
    if (number % 100 === 0) {
      proxy.advance(900_000);
      expect(proxy.occupancy(), `after call ${number}`).toEqual(NOTHING_HELD);
    }
  }
  proxy.advance(900_000);
  expect(proxy.occupancy()).toEqual(NOTHING_HELD);
  const counters = proxy.counters();
  expect(counters.server_transactions_ended_total).toBe(counters.server_transactions_total);
  expect(counters.client_transactions_ended_total).toBe(counters.client_transactions_total);
  // The proxy still works.
  const sent = proxy.receive(
    request({ method: 'OPTIONS', via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlast' }),
    ALICE,
  );
  expect(requestOf(sent.slice(0, 1), 'OPTIONS').to).toEqual(BOB);
});
