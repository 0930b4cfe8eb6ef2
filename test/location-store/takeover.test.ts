/** A store that goes from one server to another while it is written to: the second has read most of it before the first closes it. */

import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { STORE_STATE } from '../../src/location/store-feed.ts';
import { makeDirectory, phone, restore, StoreWorld } from './store-world.ts';

const MANY = 600;

let directory: string;
let remove: () => void;
beforeEach(() => {
  ({ path: directory, remove } = makeDirectory());
});
afterEach(() => remove());

const aorOf = (number: number) => `sip:user${number}@example.com`;
const segments = () => readdirSync(directory).filter((name) => name.endsWith('.journal'));

/** All AoRs with the CSeq of their first binding. */
function contentOf({ table }: StoreWorld): [string, number][] {
  return table.aors().map((aor) => [aor, table.get(aor)[0]!.cseq ?? -1]);
}

/** A server whose store has some AoRs in the LMDB file and some in the journal. */
async function firstServer(): Promise<StoreWorld> {
  const before = await new StoreWorld(directory).open();
  for (let i = 0; i < MANY; i++) before.set(aorOf(i), [phone(i)]);
  await before.store.close();
  const world = await new StoreWorld(directory).open();
  let change = 0;
  for (let i = 0; i < MANY; i += 7) change = world.set(aorOf(i), [phone(i + 10_000)]);
  await world.committed(change);
  return world;
}

/** One third changed, one removed, some new, in two shards. */
async function change(world: StoreWorld, by: number): Promise<void> {
  const last = [0, 0];
  for (let i = 0; i < MANY; i++) {
    const shard = i & 1;
    if (i % 3 === 0) last[shard] = world.set(aorOf(i), [phone(i + by)], shard);
    if (i % 3 === 1) last[shard] = world.set(aorOf(i), [], shard);
    if (i % 3 === 2) last[shard] = world.set(aorOf(MANY + i), [phone(i + by)], shard);
  }
  for (const [shard, sequence] of last.entries()) await world.committed(sequence, shard);
}

describe('a store that another server will not give back', () => {
  it('is waited for by who knows better, with its table, and has all of that then', async () => {
    const first = await firstServer();
    const second = new StoreWorld(directory, { isLoaded: true });
    second.set(aorOf(MANY), [phone(1)]);
    await second.open();
    expect(second.store.state).toBe(STORE_STATE.FAILED);
    expect(second.events).toEqual([expect.stringContaining('another server uses the location store')]);
    await first.store.close();
    await second.running();
    await second.committed(second.set(aorOf(MANY + 1), [phone(2)]));
    await second.store.close();
    expect(contentOf(await restore(directory))).toEqual([
      [aorOf(MANY), 1],
      [aorOf(MANY + 1), 2],
    ]);
  });
});

describe('a store that is taken over', () => {
  it('has what changed while it was read and after, up to the last change', async () => {
    const first = await firstServer();
    first.store.hold(true);
    const reading = new StoreWorld(directory).preload();
    await change(first, 20_000);
    const second = await reading;
    await change(first, 30_000);
    await first.store.close();
    second.store.takeOver();
    await second.store.ready;
    expect(second.store.state).toBe(STORE_STATE.RUNNING);
    expect(contentOf(second)).toEqual(contentOf(first));
    await change(second, 40_000);
    await second.store.close();
    expect(contentOf(await restore(directory))).toEqual(contentOf(second));
    expect([first.events, second.events]).toEqual([[], []]);
  });

  it('that was not there before is made', async () => {
    const first = await new StoreWorld(directory).open();
    first.store.hold(true);
    const second = await new StoreWorld(directory).preload();
    await first.committed(first.set(aorOf(1), [phone(1)]));
    await first.store.close();
    second.store.takeOver();
    await second.store.ready;
    expect(contentOf(second)).toEqual([[aorOf(1), 1]]);
    await second.store.close();
  });

  it('stays with the first where the second ends before', async () => {
    const first = await firstServer();
    first.store.hold(true);
    const second = await new StoreWorld(directory).preload();
    await second.store.close();
    first.store.hold(false);
    await change(first, 20_000);
    await first.store.close();
    expect(segments(), 'all of it is in the file').toEqual([]);
    expect(contentOf(await restore(directory))).toEqual(contentOf(first));
  });

  it('comes back to the first where the second ends after: with what changed, and goes on', async () => {
    const first = await firstServer();
    first.store.hold(true);
    const second = await new StoreWorld(directory).preload();
    await change(first, 20_000);
    await first.store.close();
    await second.store.close();
    await first.open();
    expect(first.store.state).toBe(STORE_STATE.RUNNING);
    await change(first, 30_000);
    await first.store.close();
    expect(contentOf(await restore(directory))).toEqual(contentOf(first));
  });
});
