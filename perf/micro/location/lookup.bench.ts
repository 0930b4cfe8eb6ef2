/** What does it cost to find the bindings of an address-of-record, by how many there are, and does it cost more while another
 *  thread writes? AoRs are looked up in no order, so with a million of them the caches miss: at the bucket, and at the record.
 *  Timed are that alone, that and the first binding, AoRs that are not there, a refresh, the sweep where nothing expired; and to
 *  compare with, a bare load of a word of the table at random, each waiting for the one before. The other thread refreshes the
 *  same AoRs as fast as it can. Goal: a look-up under 300 ns at a million, where a bare load takes 100, with and without it.
 *  CPU time of this thread. All of it is in huge pages, as the server has it (runtime/location-service.ts); `--small-pages`: it is not.
 *  `--quick` runs a few rounds only. */

import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { BindingView, NewBinding } from '../../../src/location/bindings.ts';
import {
  createLocationTable,
  LocationTable,
  UPDATE,
  type WriteBindings,
} from '../../../src/location/location-table.ts';
import { NO_RECORD } from '../../../src/location/table-layout.ts';
import { adviseHugePages } from '../../../src/runtime/udp-socket.ts';
import { medianCpuNs } from '../cpu-time.ts';

const QUICK = process.argv.includes('--quick');
const SMALL_PAGES = process.argv.includes('--small-pages');
const ROUNDS = QUICK ? 1000 : 300_000;
const SIZES = QUICK ? [1000] : [10_000, 1_000_000];

const AOR_BYTES = 27;
const INPUT_SIZE = 65_536;
const TEXTS_AT = INPUT_SIZE * AOR_BYTES;
const NOW_MS = 1_800_000_000_000;

interface WriterTask {
  readonly buffer: SharedArrayBuffer;
  readonly size: number;
  readonly stop: Int32Array<SharedArrayBuffer>;
}

/** One thread's table, with AoRs to ask for. */
class Bench {
  readonly table: LocationTable;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #view: BindingView;
  readonly #binding = new NewBinding();
  readonly #write: WriteBindings = (_, next) => {
    next.add(this.#binding);
    return true;
  };
  #state = 0x2545f491;
  checksum = 0;

  constructor(buffer: SharedArrayBuffer, thread: number) {
    const shared = new SharedArrayBuffer(TEXTS_AT + 4096);
    this.#bytes = new Uint8Array(shared);
    this.table = new LocationTable(buffer, thread, { bytes: this.#bytes, words: new Int32Array(shared) });
    this.#view = new BindingView(this.table);
    this.#state ^= thread << 8;
    const binding = this.#binding;
    [binding.contactStart, binding.contactEnd] = this.#put('sip:user0123@192.0.2.107:5060', TEXTS_AT);
    [binding.callIdStart, binding.callIdEnd] = this.#put('f81d4fae7dec11d0a765@192.0.2.7', TEXTS_AT + 256);
    [binding.userAgentStart, binding.userAgentEnd] = this.#put('SomeVendor-Softphone-7/release-1', TEXTS_AT + 512);
    binding.expiresMs = NOW_MS + 3_600_000;
    binding.port = 5060;
  }

  #put(text: string, at: number): [number, number] {
    this.#bytes.set(Buffer.from(text), at);
    return [at, at + text.length];
  }

  /** The inputs become AoRs with numbers from `first` on, below `first + size`, in no order. */
  choose(first: number, size: number): void {
    for (let i = 0; i < INPUT_SIZE; i++) this.#put(aorOf(first + this.#random(size)), i * AOR_BYTES);
  }

  fill(size: number): void {
    for (let i = 0; i < size; i++) {
      this.#put(aorOf(i), 0);
      if (this.table.update(0, AOR_BYTES, this.#write) !== UPDATE.DONE) throw new Error('the table is full');
    }
  }

  readonly lookUp = (): void => {
    const { table } = this;
    const view = this.#view;
    for (let round = 0; round < ROUNDS; round++) {
      const start = (round % INPUT_SIZE) * AOR_BYTES;
      const record = table.lookup(start, start + AOR_BYTES);
      if (record !== NO_RECORD) {
        view.open(record);
        while (view.next()) this.checksum = (Math.imul(this.checksum, 31) + view.contactEnd - view.contactStart) | 0;
      }
      if ((round & 31) === 0) table.quiesce();
    }
  };

  readonly load = (): void => {
    const { words } = this.table;
    const lines = words.length >> 4;
    for (let round = 0; round < ROUNDS; round++) {
      this.#state = (Math.imul(this.#state, 1664525) + 1013904223 + (words[this.#random(lines) << 4]! & 1)) | 1;
    }
    this.checksum += this.#state;
  };

  readonly find = (): void => {
    const { table } = this;
    for (let round = 0; round < ROUNDS; round++) {
      const start = (round % INPUT_SIZE) * AOR_BYTES;
      this.checksum = (Math.imul(this.checksum, 31) + table.lookup(start, start + AOR_BYTES)) | 0;
      if ((round & 31) === 0) table.quiesce();
    }
  };

  readonly refresh = (): void => {
    const { table } = this;
    for (let round = 0; round < ROUNDS; round++) {
      const start = (round % INPUT_SIZE) * AOR_BYTES;
      this.#binding.cseq = round;
      this.checksum += table.update(start, start + AOR_BYTES, this.#write);
      if ((round & 31) === 0) table.quiesce();
    }
  };

  readonly sweep = (): void => {
    for (let round = 0; round < ROUNDS; round += 64) this.checksum += this.table.sweep(NOW_MS, 16);
  };

  #random(bound: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % bound;
  }
}

function aorOf(number: number): string {
  return `sip:user${String(number).padStart(7, '0')}@example.com`;
}

/** Refreshes until it is told to stop; then posts nothing, it just ends. */
function writeOn({ buffer, size, stop }: WriterTask): void {
  const bench = new Bench(buffer, 1);
  bench.choose(0, size);
  Atomics.store(stop, 1, 1);
  Atomics.notify(stop, 1);
  while (Atomics.load(stop, 0) === 0) bench.refresh();
  bench.table.rest();
}

async function measure(size: number): Promise<number> {
  const buffer = createLocationTable({ capacity: size, threadCount: 2 });
  const bench = new Bench(buffer, 0);
  if (!SMALL_PAGES) adviseHugePages(bench.table.searchedArea);
  bench.fill(size);
  const report = (what: string, run: () => void) => {
    const ns = medianCpuNs(ROUNDS, run);
    console.log(`${what.padEnd(44)} ${String(size).padStart(9)} AoRs ${ns.toFixed(1).padStart(8)} ns`);
  };
  bench.choose(size, size);
  report('bare load', bench.load);
  report('look-up of an AoR that is not there', bench.find);
  bench.choose(0, size);
  report('look-up', bench.find);
  report('look-up, contact measured', bench.lookUp);
  report('refresh', bench.refresh);
  report('sweep past an AoR', bench.sweep);

  const stop = new Int32Array(new SharedArrayBuffer(8));
  const workerData: WriterTask = { buffer, size, stop };
  const worker = new Worker(new URL(import.meta.url), { workerData });
  const exit = new Promise((resolve) => worker.once('exit', resolve));
  Atomics.wait(stop, 1, 0, 10_000);
  report('look-up while another thread refreshes', bench.find);
  report('look-up, contact measured, the same', bench.lookUp);
  report('refresh while another thread refreshes', bench.refresh);
  Atomics.store(stop, 0, 1);
  bench.table.rest();
  await exit;
  return bench.checksum;
}

if (isMainThread) {
  let checksum = 0;
  for (const size of SIZES) checksum = (checksum + (await measure(size))) | 0;
  console.log(`checksum ${checksum}`);
} else {
  writeOn(workerData as WriterTask);
}
