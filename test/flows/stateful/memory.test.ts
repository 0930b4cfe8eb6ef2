/** What a transaction takes of memory, while it runs and until it is forgotten: each figure of src/transaction/README.md. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FIRST_LINE } from '../../../src/base/cache-lines.ts';
import { createArena } from '../../../src/memory/arena.ts';
import { KeptMessages } from '../../../src/memory/kept-messages.ts';
import { ClientTransactions } from '../../../src/transaction/client-transactions.ts';
import { ServerTransactions } from '../../../src/transaction/server-transactions.ts';
import { TimerValues } from '../../../src/transaction/timer-settings.ts';
import { TimerWheel } from '../../../src/transaction/timer-wheel.ts';
import { RECORD_WORDS, SNAPSHOT_NUMBERS } from '../../../src/transaction/transaction-records.ts';
import { request } from '../messages.ts';
import { ALICE, BOB, type VirtualElement } from '../virtual-network.ts';
import { Call, openProxy, replyOf, requestOf, responseOf } from './call.ts';

/** A power of two, as the default of `limits.transactions` is: of buckets there are as many. */
const CAPACITY = 65_536;
const INVITE_BYTES = 900;
const RESPONSE_BYTES = 500;
const BYE_BYTES = 400;
const CALLS_PER_SEC = 10_000;
const TIMERS = new TimerValues(500, 4000, 5000);

/** Bytes of the typed arrays that something has. A collection in between only lowers the figure of one round. */
function arrayBytesOf(create: () => unknown): number {
  const keep: unknown[] = [];
  const rounds = Array.from({ length: 3 }, () => {
    const before = process.memoryUsage().arrayBuffers;
    keep.push(create());
    return process.memoryUsage().arrayBuffers - before;
  });
  return Math.max(...rounds);
}

/** Bytes of the block that keeps a message. */
function blockBytesOf(length: number): number {
  const kept = new KeptMessages(createArena({ shardCount: 1, slotCount: 128, jumboCount: 1, keptBytes: 8192 }), 0);
  kept.take(length);
  return kept.reachedBytes;
}

const clock = { nowMs: 0 };
const wheel = new TimerWheel(1, 10, 0);
const newServers = (capacity: number) => new ServerTransactions(capacity, clock, wheel, 0, TIMERS);
const newClients = (capacity: number) => new ClientTransactions(capacity, clock, wheel, 0, TIMERS, () => 1);

const RECORD_BYTES = RECORD_WORDS * 4;
const TIMER_BYTES =
  (arrayBytesOf(() => new TimerWheel(2 * CAPACITY, 10, 0)) - arrayBytesOf(() => new TimerWheel(CAPACITY, 10, 0))) /
  CAPACITY;
/** How many transactions began with each snapshot of the configuration. */
const COUNTS_BYTES = SNAPSHOT_NUMBERS * 4;
const BUCKET_BYTES = (arrayBytesOf(() => newServers(CAPACITY)) - COUNTS_BYTES - FIRST_LINE) / CAPACITY - RECORD_BYTES;
const SERVER_BYTES = RECORD_BYTES + TIMER_BYTES + BUCKET_BYTES;
const CLIENT_BYTES = RECORD_BYTES + TIMER_BYTES;
const INVITE_BLOCK = blockBytesOf(INVITE_BYTES);
const RESPONSE_BLOCK = blockBytesOf(RESPONSE_BYTES);
const BYE_BLOCK = blockBytesOf(BYE_BYTES);

/** A message made as long as said by its body. */
function padTo(bytes: number, write: (body: string) => string): string {
  const body = 'x'.repeat(bytes - write('').length);
  // Content-Length itself becomes longer.
  const text = write(body);
  return write(body.slice(text.length - bytes));
}

function usageOf(proxy: VirtualElement): readonly [number, number, number] {
  const { serverTransactions, clientTransactions, keptMessages } = proxy.occupancy();
  return [serverTransactions, clientTransactions, keptMessages];
}

/** Bob's answer, as long as said once our Via is taken off. */
function answerTo(sent: string, status: string): string {
  const via = sent.split('\r\n')[1]!;
  return padTo(RESPONSE_BYTES + via.length + 2, (body) => replyOf(BOB, sent, status, { body }));
}

describe('a server transaction and a client transaction', () => {
  it('have records of 128 bytes each, two cache lines', () => {
    expect(RECORD_BYTES).toBe(128);
    expect(newServers(CAPACITY).words.byteLength).toBe(CAPACITY * RECORD_BYTES);
    expect(newClients(CAPACITY).words.byteLength).toBe(CAPACITY * RECORD_BYTES);
    expect(arrayBytesOf(() => newClients(CAPACITY))).toBe(FIRST_LINE + CAPACITY * RECORD_BYTES);
  });

  it('have a timer of 14 bytes on a wheel of 16.5 KiB', () => {
    expect(TIMER_BYTES).toBe(14);
    expect(arrayBytesOf(() => new TimerWheel(CAPACITY, 10, 0)) - CAPACITY * TIMER_BYTES).toBe(16.5 * 1024);
  });

  it('have a bucket of 4 bytes, two where the capacity is just above a power of two', () => {
    expect(BUCKET_BYTES).toBe(4);
    const bytes = arrayBytesOf(() => newServers(CAPACITY + 1)) - (CAPACITY + 1) * RECORD_BYTES;
    expect(bytes - COUNTS_BYTES - FIRST_LINE).toBe(2 * CAPACITY * 4);
  });
});

describe('kept messages of a call', () => {
  const invite = padTo(INVITE_BYTES, (body) => request({ body }));

  it('are the INVITE and its last provisional response while it rings, and none after a 2xx', () => {
    expect(invite).toHaveLength(INVITE_BYTES);
    const proxy = openProxy();
    const sent = requestOf(proxy.receive(invite, ALICE), 'INVITE').text;
    expect(usageOf(proxy)).toEqual([1, 1, 1]);
    proxy.receive(replyOf(BOB, sent, '180 Ringing'), BOB);
    expect(usageOf(proxy)).toEqual([1, 1, 2]);
    proxy.receive(replyOf(BOB, sent, '183 Session Progress'), BOB);
    expect(usageOf(proxy)).toEqual([1, 1, 2]);
    proxy.receive(answerTo(sent, '200 OK'), BOB);
    expect(usageOf(proxy)).toEqual([1, 1, 0]);
    proxy.receive(request({ method: 'ACK', via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKack' }), ALICE);
    expect(usageOf(proxy)).toEqual([1, 1, 0]);
  });

  it('are gone with all else of the INVITE after Timers L and M, 32 s', () => {
    const call = new Call();
    call.reply(BOB, '200 OK');
    call.advance(31_900);
    expect(usageOf(call.proxy)).toEqual([1, 1, 0]);
    call.advance(200);
    expect(usageOf(call.proxy)).toEqual([0, 0, 0]);
  });

  it('are the BYE, then its response alone; the branch goes after Timer K, the rest after Timer J', () => {
    const call = new Call({ request: { method: 'BYE' } });
    expect(usageOf(call.proxy)).toEqual([1, 1, 1]);
    const [final] = call.proxy.receive(answerTo(call.reached(BOB).text, '200 OK'), BOB);
    expect(final!.text).toHaveLength(RESPONSE_BYTES);
    expect(usageOf(call.proxy)).toEqual([1, 1, 1]);
    call.advance(4900);
    expect(usageOf(call.proxy)).toEqual([1, 1, 1]);
    call.advance(200);
    expect(usageOf(call.proxy)).toEqual([1, 0, 1]);
    call.advance(26_800);
    expect(usageOf(call.proxy)).toEqual([1, 0, 1]);
    call.advance(200);
    expect(usageOf(call.proxy)).toEqual([0, 0, 0]);
  });

  it('are the response and our ACK after a refusal, then the ACK until Timer D', () => {
    const call = new Call();
    const final = responseOf(call.reply(BOB, '486 Busy Here'), 486);
    expect(usageOf(call.proxy)).toEqual([1, 1, 2]);
    call.acknowledge(final);
    expect(usageOf(call.proxy)).toEqual([1, 1, 1]);
    call.advance(31_900);
    expect(usageOf(call.proxy)).toEqual([1, 1, 1]);
    call.advance(200);
    expect(usageOf(call.proxy)).toEqual([0, 0, 0]);
  });

  it('are in blocks of 1,088 and 576 bytes', () => {
    expect([INVITE_BLOCK, RESPONSE_BLOCK, BYE_BLOCK]).toEqual([1088, 576, 576]);
  });
});

describe('src/transaction/README.md', () => {
  const readme = readFileSync(join(import.meta.dirname, '../../../src/transaction/README.md'), 'utf8');
  const number = (value: number) => value.toLocaleString('en', { maximumFractionDigits: 1 });
  const rowsAfter = (heading: string) =>
    readme
      .slice(readme.indexOf(heading))
      .split('\n\n')[1]!
      .split('\n')
      .slice(2)
      .map((line) =>
        line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim()),
      );

  it('has the bytes of each part', () => {
    expect(rowsAfter('What each part takes')).toEqual([
      ['record', number(RECORD_BYTES), number(RECORD_BYTES)],
      ['timer on the wheel', number(TIMER_BYTES), number(TIMER_BYTES)],
      ['bucket', number(BUCKET_BYTES), ''],
      ['together', number(SERVER_BYTES), number(CLIENT_BYTES)],
    ]);
  });

  it('has the bytes of a call and of 10,000 a second', () => {
    const both = SERVER_BYTES + CLIENT_BYTES;
    const row = (what: string, blocks: string, bytes: number, howLong: string, seconds: number) => [
      what,
      blocks,
      number(bytes),
      howLong,
      `${number((CALLS_PER_SEC * seconds * bytes) / 1e6)} MB`,
    ];
    expect(rowsAfter('What a call takes')).toEqual([
      row('INVITE that rings', 'INVITE, 180', both + INVITE_BLOCK + RESPONSE_BLOCK, 'each second', 1),
      row('INVITE answered: server', 'none', SERVER_BYTES, 'L, 32 s', 32),
      row('INVITE answered: client', 'none', CLIENT_BYTES, 'M, 32 s', 32),
      row('BYE answered: server', '200', SERVER_BYTES + RESPONSE_BLOCK, 'J, 32 s', 32),
      row('BYE answered: client', 'none', CLIENT_BYTES, 'K, 5 s', 5),
    ]);
  });

  it('has the sums', () => {
    const answered = 32 * (SERVER_BYTES + CLIENT_BYTES);
    const bytes = CALLS_PER_SEC * (answered + 32 * (SERVER_BYTES + RESPONSE_BLOCK) + 5 * CLIENT_BYTES);
    const megabytes = (sum: number) => `${(sum / 1e6).toFixed(0)} MB`;
    const prose = readme.replace(/\s+/g, ' ');
    expect(prose).toContain(
      `${number(CALLS_PER_SEC * 64)} server and ${number(CALLS_PER_SEC * 37)} client transactions`,
    );
    expect(prose).toContain(
      `${megabytes(bytes)}, ${megabytes(CALLS_PER_SEC * 32 * RESPONSE_BLOCK)} of it kept messages`,
    );
  });
});
