/** The sketch of who sends most: exact where it can be, bounded where it cannot, and in step with its reader. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createTopSources,
  MANY_PORTS,
  SOURCES,
  type TopSource,
  TopSourcesReader,
  TopSourcesWriter,
} from '../../src/observe/top-sources.ts';

/** A writer and a reader, and what the writer is handed: addresses are small numbers in 10.0.0.0/8. */
class Sketch {
  readonly buffer = createTopSources();
  readonly reader = new TopSourcesReader(this.buffer);
  writer = new TopSourcesWriter(this.buffer);
  readonly #slot = new Int32Array(new SharedArrayBuffer(16));

  /** Datagrams from 10.0.0.`source`, as many as `weight`. */
  send(source: number, weight = 1, port = 5060): void {
    if (!this.writer.isWatched()) return;
    new DataView(this.#slot.buffer).setUint32(0, 0x0a00_0000 + source);
    // What follows an IPv4 address in a slot is left over from before.
    this.#slot.fill(weight, 1);
    this.writer.add(this.#slot, 0, 4, port, weight);
  }

  /** What came in the window that ends now. */
  next(): TopSource[] {
    this.reader.take();
    return this.reader.take();
  }
}

const byAddress = (sources: TopSource[]) => sources.toSorted((a, b) => (a.address < b.address ? -1 : 1));

describe('top sources', () => {
  it('cost nothing while nobody looks', () => {
    const sketch = new Sketch();
    expect(sketch.writer.isWatched()).toBe(false);
    sketch.reader.watch();
    expect(sketch.writer.isWatched()).toBe(true);
    sketch.reader.rest();
    expect(sketch.writer.isWatched()).toBe(false);
  });

  it('are exact while there are few', () => {
    const sketch = new Sketch();
    sketch.reader.watch();
    sketch.send(1, 3);
    sketch.send(2, 1, 5070);
    sketch.send(1, 4);
    expect(byAddress(sketch.next())).toEqual([
      { address: '10.0.0.1', port: 5060, weight: 7, excess: 0 },
      { address: '10.0.0.2', port: 5070, weight: 1, excess: 0 },
    ]);
  });

  it('say that a source has several ports', () => {
    const sketch = new Sketch();
    sketch.reader.watch();
    sketch.send(1, 1, 5060);
    sketch.send(1, 1, 40_000);
    sketch.send(1, 1, 5060);
    expect(sketch.next()).toEqual([{ address: '10.0.0.1', port: MANY_PORTS, weight: 3, excess: 0 }]);
  });

  it('know IPv6 addresses that differ in their end alone', () => {
    const sketch = new Sketch();
    sketch.reader.watch();
    sketch.writer.isWatched();
    const slot = new Int32Array(new SharedArrayBuffer(32));
    const bytes = new DataView(slot.buffer);
    for (const at of [0, 16]) bytes.setUint32(at, 0x2001_0db8);
    bytes.setUint32(12, 1);
    bytes.setUint32(28, 2);
    sketch.writer.add(slot, 0, 6, 5060, 2);
    sketch.writer.add(slot, 4, 6, 5060, 1);
    expect(byAddress(sketch.next())).toEqual([
      { address: '2001:db8::1', port: 5060, weight: 2, excess: 0 },
      { address: '2001:db8::2', port: 5060, weight: 1, excess: 0 },
    ]);
  });

  it('tell each window once, also when nothing comes after it', () => {
    const sketch = new Sketch();
    sketch.reader.watch();
    sketch.send(1, 5);
    expect(sketch.reader.take()).toEqual([]);
    expect(sketch.reader.take()).toMatchObject([{ weight: 5 }]);
    expect(sketch.reader.take()).toEqual([]);
    sketch.send(2, 6);
    expect(sketch.reader.take()).toEqual([]);
    sketch.send(3, 7);
    expect(sketch.reader.take()).toMatchObject([{ address: '10.0.0.2', weight: 6 }]);
    expect(sketch.reader.take()).toMatchObject([{ address: '10.0.0.3', weight: 7 }]);
  });

  it('do not tell a new watcher what an old one did not stay for', () => {
    const sketch = new Sketch();
    sketch.reader.watch();
    sketch.send(1, 5);
    sketch.reader.rest();
    sketch.send(2, 5);
    sketch.reader.watch();
    expect(sketch.reader.take()).toEqual([]);
    sketch.send(3, 5);
    expect(sketch.next()).toMatchObject([{ address: '10.0.0.3', weight: 5 }]);
  });

  it('go on where a writer that died had come to', () => {
    const sketch = new Sketch();
    sketch.reader.watch();
    sketch.send(1, 5);
    sketch.writer = new TopSourcesWriter(sketch.buffer);
    sketch.send(1, 2);
    expect(sketch.next()).toMatchObject([{ address: '10.0.0.1', weight: 7 }]);
  });

  it('have whoever sent more than a SOURCES-th of all, and at most so much too much', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ source: fc.integer({ min: 0, max: 300 }), weight: fc.integer({ min: 1, max: 64 }) }), {
          maxLength: 600,
        }),
        (batches) => {
          const sketch = new Sketch();
          sketch.reader.watch();
          const sent = new Map<string, number>();
          let total = 0;
          for (const { source, weight } of batches) {
            const address = `10.0.${source >> 8}.${source & 255}`;
            sent.set(address, (sent.get(address) ?? 0) + weight);
            total += weight;
            sketch.send(source, weight);
          }
          const found = new Map(sketch.next().map((each) => [each.address, each]));
          expect(found.size).toBeLessThanOrEqual(SOURCES);
          for (const [address, weight] of sent) {
            if (weight > total / SOURCES) expect(found.has(address), address).toBe(true);
          }
          for (const [address, { weight, excess }] of found) {
            expect(weight).toBeGreaterThanOrEqual(sent.get(address)!);
            expect(weight - excess).toBeLessThanOrEqual(sent.get(address)!);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  it('choose every place of a batch about as often', () => {
    const { writer } = new Sketch();
    const hits = new Array(64).fill(0);
    for (let i = 0; i < 64_000; i++) hits[writer.pick(64)]++;
    expect(Math.min(...hits)).toBeGreaterThan(800);
    expect(Math.max(...hits)).toBeLessThan(1200);
    expect(writer.pick(1)).toBe(0);
  });
});

describe('a batch', () => {
  const BATCHES = 300_000;
  const ROUNDS = 3;
  /** V8 at work on the code itself. */
  const MAX_BYTES_PER_BATCH = 1;

  it('takes no memory', () => {
    const sketch = new Sketch();
    sketch.reader.watch();
    const addresses = Int32Array.from({ length: 1024 }, (_, i) => (i * i) % 300);
    const slot = new Int32Array(new SharedArrayBuffer(16));
    const work = () => {
      for (let i = 0; i < BATCHES; i++) {
        if (!sketch.writer.isWatched()) throw new Error('nobody looks');
        slot[0] = addresses[(i + sketch.writer.pick(64)) & 1023]!;
        sketch.writer.add(slot, 0, 4, 5060, 64);
      }
    };
    work();
    const perRound = Array.from({ length: ROUNDS }, () => {
      const before = process.memoryUsage().heapUsed;
      work();
      return (process.memoryUsage().heapUsed - before) / BATCHES;
    });
    expect(Math.min(...perRound.map(Math.abs))).toBeLessThan(MAX_BYTES_PER_BATCH);
  });
});
