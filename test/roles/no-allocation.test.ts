/** The element allocates nothing for what it sees all day: an OPTIONS forwarded and its 200 forwarded back, and a whole call
 *  through the stateful proxy. */

import { expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { type Arena, createArena } from '../../src/memory/arena.ts';
import { EGRESS, EGRESS_STRIDE_BYTES, SLOT, SLOT_HEADER_BYTES, slotOffset } from '../../src/memory/layout.ts';
import { readCounters } from '../../src/observe/counters.ts';
import type { Element } from '../../src/roles/element.ts';
import { replyTo, request } from '../flows/messages.ts';
import { addressBytes } from '../flows/virtual-network.ts';
import { plainElement } from './plain-element.ts';

const PAIRS = 100_000;
const BATCH_PAIRS = 32;
const ROUNDS = 3;
/** The figure. V8 at work on the code itself is part of it. */
const MAX_BYTES_PER_MESSAGE = 32;

const NUMBER_DIGITS = 8;
const BRANCH_DIGITS = 26;

function createElement(arena: Arena, mode: 'stateless' | 'stateful'): Element {
  let secret = 1;
  return plainElement(arena, 0, {
    config: configSchema.parse({
      mode,
      listen: ['udp:192.0.2.254:5060'],
      trusted: ['192.0.2.0/24'],
      timers: { t1Ms: 10, t2Ms: 40, t4Ms: 50 },
      limits: { transactions: 4096 },
    }),
    random: () => {
      secret = (Math.imul(secret, 1_664_525) + 1_013_904_223) | 0;
      return secret;
    },
  });
}

function fill(arena: Arena, slot: number, text: string, from: string): void {
  const word = slotOffset(arena.map, slot) >> 2;
  arena.words[word + SLOT.LENGTH_WORD] = text.length;
  arena.words[word + SLOT.FAMILY_WORD] = 4;
  arena.words[word + SLOT.PORT_WORD] = 5060;
  arena.bytes.set(addressBytes(from), (word + SLOT.SOURCE_WORD) * 4);
  arena.bytes.set(Buffer.from(text, 'latin1'), word * 4 + SLOT_HEADER_BYTES);
}

/** Bytes of garbage for each of `messages`. The lowest of a few rounds: a collection or the test runner's own work in between
 *  would only add. */
function leastGarbage(serveAll: () => void, messages: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.memoryUsage().heapUsed;
    serveAll();
    least = Math.min(least, Math.abs(process.memoryUsage().heapUsed - before) / messages);
  }
  return least;
}

it(`serves ${PAIRS} OPTIONS and as many 200s with less than ${MAX_BYTES_PER_MESSAGE} bytes of garbage each`, () => {
  const arena = createArena({ shardCount: 1, slotCount: 128, jumboCount: 1 });
  const element = createElement(arena, 'stateless');
  for (let pair = 0; pair < BATCH_PAIRS; pair++) {
    const options = request({
      method: 'OPTIONS',
      uri: 'sip:bob@192.0.2.30:5080',
      via: `SIP/2.0/UDP 192.0.2.10:5060;rport;branch=z9hG4bK${pair}`,
      callId: `${pair}@192.0.2.10`,
    });
    const ours = `SIP/2.0/UDP 192.0.2.254:5060;branch=z9hG4bKs${'0123456789abcdef01234567'}00`;
    const ok = replyTo(options).replace('Via:', `Via: ${ours}\r\nVia:`);
    fill(arena, 2 * pair, options, '192.0.2.10');
    fill(arena, 2 * pair + 1, ok, '192.0.2.30');
  }
  const serveAll = () => {
    for (let done = 0; done < PAIRS; done += BATCH_PAIRS) {
      for (let slot = 0; slot < 2 * BATCH_PAIRS; slot++) element.serve(slot);
      element.flush();
    }
  };
  const least = leastGarbage(serveAll, 2 * PAIRS);
  const counted = readCounters(arena);
  expect(counted.requests_forwarded_total).toBe(PAIRS * ROUNDS);
  expect(counted.responses_forwarded_total).toBe(PAIRS * ROUNDS);
  expect(least).toBeLessThan(MAX_BYTES_PER_MESSAGE);
});

/** One message of a call in its slot, with the places where each call differs. */
class CallMessage {
  readonly slot: number;
  readonly #arena: Arena;
  readonly #start: number;
  readonly #numbers: readonly number[];
  readonly #branch: number;

  /** In `text`, "########" stands for the call's number, and 26 "*" for our branch. */
  constructor(arena: Arena, slot: number, text: string, from: string) {
    this.#arena = arena;
    this.slot = slot;
    fill(arena, slot, text, from);
    this.#start = slotOffset(arena.map, slot) + SLOT_HEADER_BYTES;
    this.#numbers = [...text.matchAll(/#{8}/g)].map(({ index }) => index);
    this.#branch = text.indexOf('*'.repeat(BRANCH_DIGITS));
  }

  /** Writes the call's number, and our branch from where it stands in the arena. */
  become(call: number, branchAt: number): void {
    const { bytes } = this.#arena;
    for (let i = 0; i < this.#numbers.length; i++) {
      let rest = call;
      for (let digit = NUMBER_DIGITS - 1; digit >= 0; digit--) {
        bytes[this.#start + this.#numbers[i]! + digit] = 0x30 + (rest % 10);
        rest = Math.trunc(rest / 10);
      }
    }
    if (this.#branch !== -1) bytes.copyWithin(this.#start + this.#branch, branchAt, branchAt + BRANCH_DIGITS);
  }
}

const CALLS = 30_000;

it(`carries ${CALLS} calls with less than ${MAX_BYTES_PER_MESSAGE} bytes of garbage for each message`, () => {
  const arena = createArena({ shardCount: 1, slotCount: 128, jumboCount: 1, keptBytes: 16 << 20 });
  const element = createElement(arena, 'stateful');
  const head = (method: string, cseq: number, tag: string) => ({
    method,
    uri: 'sip:bob@192.0.2.30:5080',
    via: `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK${method}########`,
    callId: '########@192.0.2.10',
    cseq: `${cseq} ${method}`,
    to: `<sip:bob@biloxi.example>${tag}`,
  });
  const ourVia = `Via: SIP/2.0/UDP 192.0.2.254:5060;branch=z9hG4bKs${'*'.repeat(BRANCH_DIGITS)}\r\nVia:`;
  const invite = request(head('INVITE', 1, ''));
  const bye = request(head('BYE', 2, ';tag=314159'));
  const messages = [
    invite,
    replyTo(invite, '180 Ringing').replace('Via:', ourVia),
    replyTo(invite).replace('Via:', ourVia),
    request({ ...head('ACK', 1, ';tag=314159') }),
    bye,
    replyTo(bye).replace('Via:', ourVia),
  ].map((text, slot) => new CallMessage(arena, slot, text, slot % 3 === 0 || slot === 4 ? '192.0.2.10' : '192.0.2.30'));
  let call = 0;
  let now = 0;
  const serveAll = () => {
    for (let done = 0; done < CALLS; done++) {
      call++;
      if (call % 2 === 0) element.advance(++now);
      let branchAt = 0;
      for (let i = 0; i < messages.length; i++) {
        const message = messages[i]!;
        message.become(call, branchAt);
        element.serve(message.slot);
        // The 100 is entry 0, the INVITE entry 1; the BYE is alone.
        if (i === 0 || i === 4) branchAt = branchIn(arena, i === 0 ? 1 : 0);
        element.flush();
      }
    }
  };
  const least = leastGarbage(serveAll, CALLS * messages.length);
  const counted = readCounters(arena);
  expect(counted.server_transactions_total).toBe(2 * CALLS * ROUNDS);
  expect(counted.responses_forwarded_total).toBe(3 * CALLS * ROUNDS);
  expect(counted.transactions_exhausted_total).toBe(0);
  expect(least).toBeLessThan(MAX_BYTES_PER_MESSAGE);
});

const BRANCH_MARK = Buffer.from('branch=z9hG4bKs');

/** Where the changing digits of our branch stand in the lines put on top of the request in an egress entry. */
function branchIn(arena: Arena, entry: number): number {
  const spans = ((arena.map.egress + entry * EGRESS_STRIDE_BYTES) >> 2) + EGRESS.SPANS_WORD;
  const { bytes, words } = arena;
  const start = words[spans + 2]!;
  for (let at = start, end = start + words[spans + 3]!; at < end; at++) {
    let matched = 0;
    while (matched < BRANCH_MARK.length && bytes[at + matched] === BRANCH_MARK[matched]) matched++;
    if (matched === BRANCH_MARK.length) return at + matched;
  }
  return -1;
}
