import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { STORE_STATE } from '../../src/location/store-feed.ts';
import { StoreInUseError } from '../../src/runtime/location-store/store-lock.ts';
import { close, createEventFd, watch } from '../../src/runtime/udp-socket.ts';
import { makeDirectory, phone, restore, StoreWorld, until } from './store-world.ts';

// Each test starts several processes, on a machine that may have other work.
const ALICE = 'sip:alice@example.com';
const BOB = 'sip:bob@example.com';
const MANY = 2000;

let directory: string;
let remove: () => void;
beforeEach(() => {
  ({ path: directory, remove } = makeDirectory());
});
afterEach(() => remove());

const file = () => join(directory, 'location.mdb');
const aorOf = (number: number) => `sip:user${number}@example.com`;

/** Leaves a store with MANY AoRs behind. */
async function fillStore(): Promise<StoreWorld> {
  const world = await new StoreWorld(directory).open();
  let change = 0;
  for (let i = 0; i < MANY; i++) change = world.set(aorOf(i), [phone(i)]);
  await world.committed(change);
  await world.store.close();
  return world;
}

describe('a restart', () => {
  it('brings back what was committed, and nothing that was removed or has expired', async () => {
    const world = await new StoreWorld(directory).open();
    expect(world.store.state).toBe(STORE_STATE.RUNNING);
    const everything = [phone(1), { ...phone(2), path: '<sip:p1.example.com;lr>', q: 500, family: 6, scope: 3 }];
    world.set(ALICE, everything, 0);
    world.set(BOB, [phone(3)], 1);
    world.set('sip:gone@example.com', [phone(4)], 1);
    world.set('sip:late@example.com', [phone(5, Date.now() - 1000)], 1);
    const last = world.set('sip:gone@example.com', [], 1);
    await world.committed(last, 1);
    await world.store.close();

    const after = await restore(directory);
    expect(after.table.aors()).toEqual([ALICE, BOB]);
    expect(after.table.get(ALICE)).toEqual(everything);
    expect(after.store.report).toMatchObject({ loaded: 2, expired: 1, lost: 0 });
    expect(after.events).toEqual([]);
  });

  it.each([false, true])('comes after a stop that commits what is still in the rings (sync: %s)', async (sync) => {
    const world = await new StoreWorld(directory, { sync }).open();
    for (let i = 0; i < MANY; i++) world.set(aorOf(i), [phone(i + 1)], i & 1);
    await world.store.close();
    const after = await restore(directory);
    expect(after.store.report.loaded).toBe(MANY);
    for (let i = 0; i < MANY; i += 97) expect(after.table.get(aorOf(i))[0]!.cseq).toBe(i + 1);
  });
});

describe('the store thread', () => {
  it('wakes the shard whose changes were committed', async () => {
    const fds = [createEventFd(), createEventFd()];
    const woken = [0, 0];
    const watches = fds.map((fd, shard) => watch(fd, () => woken[shard]!++));
    const world = await new StoreWorld(directory, { shardFds: fds }).open();
    const change = world.set(ALICE, [phone(1)], 1);
    await until(() => woken[1]! > 0, 'the wake');
    expect(world.producers[1]!.isCommitted(change)).toBe(true);
    expect(woken[0]).toBe(0);
    await world.store.close();
    for (const each of watches) each.close();
    for (const fd of fds) close(fd);
  });

  it('sweeps expired bindings, without a store as well', async () => {
    const world = await new StoreWorld(null, { sweepPeriodMs: 200 }).open();
    expect(world.store.state).toBe(STORE_STATE.OFF);
    expect(world.producers[0]!.isCommitted(world.set(ALICE, [phone(1, Date.now() + 50)]))).toBe(true);
    await until(() => world.table.aors().length === 0, 'the sweep');
    await world.store.close();
  });

  it('that dies has a successor, which commits what it left', async () => {
    const world = await new StoreWorld(directory).open();
    let change = 0;
    for (let death = 1; death <= 2; death++) {
      for (let i = 0; i < 300; i++) change = world.set(aorOf(i), [phone(death * 1000 + i)], 1);
      // Our own mistake, of which the thread dies: an entry that cannot be.
      const entryWord = world.appendBadEntry(0);
      change = world.set(aorOf(300), [phone(death * 1000 + 300)], 1);
      await until(() => world.events.length >= death, 'the death');
      world.mendEntry(entryWord);
    }
    // Twice in a minute: from now on shards answer from memory, until everything is stored again.
    await world.failed();
    await world.running();
    expect(world.producers[1]!.isCommitted(change)).toBe(true);
    expect(world.events.filter((line) => line.includes('the feed holds no such AoR'))).not.toEqual([]);
    await world.store.close();
    const after = await restore(directory);
    expect(after.store.report).toMatchObject({ loaded: 301, lost: 0 });
    expect(after.table.get(aorOf(300))[0]!.cseq).toBe(2300);
  });
});

describe('a second server on one directory', () => {
  it('is told so, and the first goes on', async () => {
    const first = await new StoreWorld(directory).open();
    await first.committed(first.set(ALICE, [phone(1)]));
    const second = new StoreWorld(directory);
    await expect(second.open()).rejects.toThrow(StoreInUseError);
    expect(second.table.aors()).toEqual([]);
    await first.committed(first.set(BOB, [phone(2)]));
    await first.store.close();
    expect((await restore(directory)).table.aors()).toEqual([ALICE, BOB]);
  });

  it('is let in when there is only what a dead one left', async () => {
    writeFileSync(join(directory, 'location.lock'), '');
    expect((await restore(directory)).store.state).toBe(STORE_STATE.RUNNING);
    expect(readdirSync(directory).filter((name) => name.startsWith('location.lock'))).toEqual([]);
  });
});

describe('a damaged store', () => {
  const asides = () => readdirSync(directory).filter((name) => /\.(?:damaged|version)-/.test(name));
  it('is moved aside, and a new one begun', async () => {
    await fillStore();
    truncateSync(file(), 3 * 4096);
    const world = await new StoreWorld(directory).open();
    expect(asides()).toHaveLength(1);
    expect(world.events).toEqual([
      expect.stringMatching(
        /^error: the location store is damaged \([^\n]+\): moved aside to \S+\.damaged-\S+, and a new/,
      ),
    ]);
    expect(world.store.state).toBe(STORE_STATE.RUNNING);
    await world.committed(world.set(ALICE, [phone(1)]));
    const aors = world.table.aors();
    await world.store.close();
    expect((await restore(directory)).table.aors()).toEqual(aors);
  });

  it('gives back what can still be read', async () => {
    await fillStore();
    const bytes = readFileSync(file());
    // One record's text: its page is sound, the record is not.
    bytes.write('X', bytes.lastIndexOf('call-1234'));
    writeFileSync(file(), bytes);
    const world = await restore(directory);
    expect(world.store.report).toMatchObject({ loaded: MANY - 1, lost: 1 });
    expect(world.events).toEqual([expect.stringContaining('1 AoRs of the location store were damaged')]);
    expect(world.store.state).toBe(STORE_STATE.RUNNING);
  });

  it('of another version is moved aside as well', async () => {
    await fillStore();
    const bytes = readFileSync(file());
    for (let at = bytes.indexOf('strowger location 1'); at >= 0; at = bytes.indexOf('strowger location 1')) {
      bytes.write('9', at + 'strowger location '.length);
    }
    writeFileSync(file(), bytes);
    const world = await restore(directory);
    expect(world.table.aors()).toEqual([]);
    expect(world.events.join()).toContain('is of another version (it says "strowger location 9"');
    expect(asides()).toEqual([expect.stringContaining('location.mdb.version-')]);
    expect(world.store.state).toBe(STORE_STATE.RUNNING);
  });
});

describe('a store that cannot be used', () => {
  it('lets the server run from memory, says so once, and is filled when it can', async () => {
    const path = join(directory, 'store');
    writeFileSync(path, 'a file');
    const world = await new StoreWorld(path).open();
    expect(world.store.state).toBe(STORE_STATE.FAILED);
    for (let i = 0; i < MANY; i++) expect(world.producers[0]!.isCommitted(world.set(aorOf(i), [phone(i)]))).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 350));
    expect(world.events).toEqual([expect.stringMatching(/^error: the location store in .+ fails: .*(EEXIST|ENOTDIR)/)]);
    rmSync(path);
    await world.running();
    expect((await world.told(2))[1]).toBe('info: the location store works again, and has every registration');
    await world.store.close();
    expect((await restore(path)).store.report.loaded).toBe(MANY);
  });

  it('that is removed under the server is made again', async () => {
    const world = await new StoreWorld(directory).open();
    for (let i = 0; i < MANY; i++) world.set(aorOf(i), [phone(i)]);
    rmSync(file());
    await world.failed();
    await world.running();
    expect(await world.told(2)).toHaveLength(2);
    expect(world.events[0]).toContain('its file was removed or replaced');
    await world.store.close();
    expect((await restore(directory)).store.report.loaded).toBe(MANY);
  });

  it('has everything also where changes were dropped because a ring was full', async () => {
    const path = join(directory, 'store');
    writeFileSync(path, 'a file');
    const world = await new StoreWorld(path, { retryMs: 600 }, 4096).open();
    for (let i = 0; i < MANY; i++) world.set(aorOf(i), [phone(i)]);
    rmSync(path);
    await world.running();
    await world.store.close();
    expect((await restore(path)).store.report.loaded).toBe(MANY);
  });
});
