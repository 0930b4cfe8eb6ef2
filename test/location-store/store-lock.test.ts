import { fork } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StoreInUseError, StoreLock } from '../../src/runtime/location-store/store-lock.ts';
import { makeDirectory } from './store-world.ts';

let directory: string;
let remove: () => void;
beforeEach(() => {
  ({ path: directory, remove } = makeDirectory());
});
afterEach(() => remove());

describe('the lock of a store', () => {
  it('is held by one at a time', async () => {
    const lock = await StoreLock.acquire(directory);
    expect(lock.isHeld()).toBe(true);
    await expect(StoreLock.acquire(directory)).rejects.toThrow(StoreInUseError);
    expect(lock.isHeld()).toBe(true);
    lock.release();
    expect(readdirSync(directory)).toEqual([]);
    const next = await StoreLock.acquire(directory);
    next.release();
  });

  it('is won by exactly one of many that find what a dead server left', async () => {
    writeFileSync(join(directory, 'location.lock'), '');
    const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => StoreLock.acquire(directory)));
    const won = attempts.filter((attempt) => attempt.status === 'fulfilled');
    expect(won).toHaveLength(1);
    expect(won[0]!.value.isHeld()).toBe(true);
    for (const attempt of attempts)
      if (attempt.status === 'rejected') expect(attempt.reason).toBeInstanceOf(StoreInUseError);
    won[0]!.value.release();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('of a process that was killed is free at once', async () => {
    const holder = fork(fileURLToPath(new URL('./lock-holder.ts', import.meta.url)), [directory]);
    await new Promise((resolve) => holder.once('message', resolve));
    await expect(StoreLock.acquire(directory)).rejects.toThrow(directory);
    const ended = new Promise((resolve) => holder.once('exit', resolve));
    holder.kill('SIGKILL');
    await ended;
    const lock = await StoreLock.acquire(directory);
    lock.release();
  });

  it('knows when its socket was taken away', async () => {
    const lock = await StoreLock.acquire(directory);
    rmSync(join(directory, 'location.lock'));
    expect(lock.isHeld()).toBe(false);
    const other = await StoreLock.acquire(directory);
    expect(lock.isHeld()).toBe(false);
    lock.release();
    expect(other.isHeld()).toBe(true);
    other.release();
  });

  it('fits a directory whose name is longer than a socket address, and none that is not there', async () => {
    const long = join(directory, 'd'.repeat(200));
    mkdirSync(long);
    const lock = await StoreLock.acquire(long);
    await expect(StoreLock.acquire(long)).rejects.toThrow(StoreInUseError);
    lock.release();
    await expect(StoreLock.acquire(join(directory, 'none'))).rejects.toThrow('ENOENT');
  });
});
