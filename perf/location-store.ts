/** How long do a million bindings take into the location store, and back from it after a restart?
 *
 *  `node perf/location-store.ts [AoRs] [sync]`: one producer tells of every AoR as fast as the ring takes it (group commits of
 *  some thousand), then of single ones, each waited for; when the journal is folded
 *  the store is closed, and opened again with an empty table. The data is a
 *  typical phone's. The load is from a warm page cache. */

import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NewBinding } from '../src/location/bindings.ts';
import { createLocationTable, LocationTable, UPDATE } from '../src/location/location-table.ts';
import { createStoreFeed, FeedProducer } from '../src/location/store-feed.ts';
import { openLocationStore } from '../src/runtime/location-store/location-store.ts';
import { storeFile } from '../src/runtime/location-store/record-store.ts';

const COUNT = Number(process.argv[2] ?? 1_000_000);
const isSync = process.argv[3] === 'sync';
const SINGLE_COMMITS = 2000;
const STORE_THREAD = 1;
const AOR = 'sip:user0000000@example.com';
const DIGITS_AT = 'sip:user'.length;
const TEXTS = ['sip:user0123@192.0.2.107:5060', 'f81d4fae7dec11d0a765@192.0.2.7', 'SomeVendor-Softphone-7/release-1'];

const directory = mkdtempSync(join(tmpdir(), 'strowger-store-'));
const texts = new SharedArrayBuffer(4096);
const source = { bytes: new Uint8Array(texts), words: new Int32Array(texts) };
const binding = new NewBinding();

function place(text: string, at: number): [number, number] {
  source.bytes.set(Buffer.from(text), at);
  return [at, at + text.length];
}

function spell(number: number): void {
  for (let digit = 6, rest = number; digit >= 0; digit--, rest = Math.floor(rest / 10)) {
    source.bytes[start + DIGITS_AT + digit] = 0x30 + (rest % 10);
  }
}

async function openAll() {
  const table = createLocationTable({ capacity: COUNT, threadCount: 2 });
  const own = new LocationTable(table, 0, source);
  const feed = createStoreFeed(1);
  const store = await openLocationStore({
    table,
    thread: STORE_THREAD,
    feed,
    shardFds: [],
    directory,
    sync: isSync,
    onEvent: (level, text) => console.log(level, text),
    bury: (thread) => own.bury(thread),
  });
  return { own, store, producer: new FeedProducer(new Int32Array(feed), 0) };
}

function seconds(fromMs: number): string {
  return ((performance.now() - fromMs) / 1000).toFixed(2);
}

[binding.contactStart, binding.contactEnd] = place(TEXTS[0]!, 256);
[binding.callIdStart, binding.callIdEnd] = place(TEXTS[1]!, 512);
[binding.userAgentStart, binding.userAgentEnd] = place(TEXTS[2]!, 768);
binding.expiresMs = Date.now() + 3_600_000;
const [start, end] = place(AOR, 64);

const first = await openAll();
const pause = new Int32Array(new SharedArrayBuffer(4));
let failures = 0;
function register(number: number): number {
  spell(number);
  while (!first.producer.hasRoom(end - start)) Atomics.wait(pause, 0, 0, 1);
  const outcome = first.own.update(start, end, (_, next) => {
    next.add(binding);
    return true;
  });
  if (outcome !== UPDATE.DONE) failures++;
  first.own.quiesce();
  return first.producer.append(source.bytes, start, end);
}

function journalBytes(): number {
  const names = readdirSync(directory).filter((name) => name.endsWith('.journal'));
  return names.reduce((sum, name) => sum + (statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0), 0);
}

const beginMs = performance.now();
let last = 0;
for (let i = 0; i < COUNT; i++) last = register(i);
while (!first.producer.isCommitted(last)) Atomics.wait(pause, 0, 0, 1);
const rate = Math.round(COUNT / ((performance.now() - beginMs) / 1000));
console.log(`${COUNT} AoRs stored in ${seconds(beginMs)} s, ${rate} a second; ${failures} failures`);

const waitsUs: number[] = [];
for (let i = 0; i < SINGLE_COMMITS; i++) {
  const sentMs = performance.now();
  const sequence = register((i * 7919) % COUNT);
  while (!first.producer.isCommitted(sequence)) Atomics.wait(pause, 0, 0, 0.02);
  waitsUs.push((performance.now() - sentMs) * 1000);
}
waitsUs.sort((a, b) => a - b);
const percentile = (p: number) => Math.round(waitsUs[Math.floor((waitsUs.length - 1) * p)]!);
console.log(`one at a time: p50 ${percentile(0.5)} µs, p99 ${percentile(0.99)} µs until committed`);

// As in a server whose users registered over an hour: the journal has what came in the last ten seconds.
const foldMs = performance.now();
while (journalBytes() > COUNT) Atomics.wait(pause, 0, 0, 100);
console.log(`folded after ${seconds(foldMs)} s more`);

const closeMs = performance.now();
await first.store.close();
console.log(`closed in ${seconds(closeMs)} s; ${Math.round(statSync(storeFile(directory)).size / 2 ** 20)} MiB`);

const openMs = performance.now();
const second = await openAll();
const { loaded, lost, durationMs } = second.store.report;
console.log(
  `${loaded} AoRs loaded, ${lost} lost, in ${(durationMs / 1000).toFixed(2)} s (opened in ${seconds(openMs)} s)`,
);
await second.store.close();
rmSync(directory, { recursive: true });
