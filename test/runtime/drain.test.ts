/** When a drain is over, by a clock that the test moves. */

import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type Census, Drain } from '../../src/runtime/drain.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const MINUTE = { deadlineMs: 60_000, lingerMs: 4000 };

/** A drain of a server whose census the test says. */
function drainOf(first: Census) {
  const told: string[] = [];
  const logged: string[] = [];
  const world = { census: first, isBroken: false };
  const drain = new Drain({
    setDraining: (isDraining) => void told.push(isDraining ? 'drain' : 'undrain'),
    census: () => (world.isBroken ? Promise.reject(new Error('no answer')) : Promise.resolve(world.census)),
    onOver: () => void told.push('over'),
    log: pino({ level: 'debug' }, { write: (line: string) => void logged.push(JSON.parse(line).msg) }),
  });
  return { drain, told, logged, world };
}

describe('a drain', () => {
  it('of a server that holds nothing is over at once', async () => {
    const { drain, told, logged } = drainOf({ pending: 0, held: 0 });
    drain.begin(MINUTE);
    await vi.advanceTimersByTimeAsync(0);
    expect(told).toEqual(['drain', 'over']);
    expect(logged).toEqual([]);
  });

  it('lasts until nothing has been pending for as long as it was told', async () => {
    const { drain, told, logged, world } = drainOf({ pending: 3, held: 5 });
    drain.begin(MINUTE);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(drain.status()).toEqual({ isDraining: true, pending: 3, held: 5, deadlineInSec: 50 });
    world.census = { pending: 0, held: 5 };
    await vi.advanceTimersByTimeAsync(3900);
    world.census = { pending: 1, held: 5 };
    await vi.advanceTimersByTimeAsync(200);
    world.census = { pending: 0, held: 5 };
    await vi.advanceTimersByTimeAsync(3900);
    expect(told).toEqual(['drain']);
    await vi.advanceTimersByTimeAsync(300);
    expect(told).toEqual(['drain', 'over']);
    expect(logged).toEqual(['draining', 'drained']);
  });

  it('is over at once when nothing is held any more, and without a wait where none is asked for', async () => {
    const { drain, told, world } = drainOf({ pending: 1, held: 1 });
    drain.begin(MINUTE);
    await vi.advanceTimersByTimeAsync(1000);
    world.census = { pending: 0, held: 0 };
    await vi.advanceTimersByTimeAsync(100);
    expect(told).toEqual(['drain', 'over']);
    const other = drainOf({ pending: 0, held: 7 });
    other.drain.begin({ ...MINUTE, lingerMs: 0 });
    await vi.advanceTimersByTimeAsync(0);
    expect(other.told).toEqual(['drain', 'over']);
  });

  it('ends at its deadline whatever is pending, and says so', async () => {
    const { drain, told, logged } = drainOf({ pending: 2, held: 2 });
    drain.begin({ deadlineMs: 1000, lingerMs: 0 });
    await vi.advanceTimersByTimeAsync(999);
    expect(told).toEqual(['drain']);
    await vi.advanceTimersByTimeAsync(1);
    expect(told).toEqual(['drain', 'over']);
    expect(logged).toEqual(['draining', 'drain: the deadline has come before the end of these']);
  });

  it('takes another deadline, and tells the shards once', async () => {
    const { drain, told } = drainOf({ pending: 2, held: 2 });
    drain.begin(MINUTE);
    await vi.advanceTimersByTimeAsync(50_000);
    drain.begin({ deadlineMs: 30_000, lingerMs: 0 });
    await vi.advanceTimersByTimeAsync(29_900);
    expect(told).toEqual(['drain']);
    await vi.advanceTimersByTimeAsync(100);
    expect(told).toEqual(['drain', 'over']);
  });

  it('can be called off, and begun again', async () => {
    const { drain, told } = drainOf({ pending: 2, held: 2 });
    expect(drain.cancel()).toBe('not draining');
    drain.begin(MINUTE);
    await vi.advanceTimersByTimeAsync(50_000);
    expect(drain.cancel()).toBe('cancelled');
    expect(drain.status()).toMatchObject({ isDraining: false, deadlineInSec: 0 });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toEqual(['drain', 'undrain']);
    drain.begin(MINUTE);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(told).toEqual(['drain', 'undrain', 'drain', 'over']);
    expect(drain.cancel(), 'what is over').toBe('not draining');
  });

  it('that a signal began cannot be called off, nor can what is ordered after it', async () => {
    const { drain, told } = drainOf({ pending: 2, held: 2 });
    drain.begin(MINUTE);
    drain.begin({ ...MINUTE, isFinal: true });
    expect(drain.cancel()).toBe('final');
    drain.begin({ deadlineMs: 90_000, lingerMs: 0 });
    expect(drain.cancel()).toBe('final');
    await vi.advanceTimersByTimeAsync(89_900);
    expect([told, drain.status().isDraining]).toEqual([['drain'], true]);
    await vi.advanceTimersByTimeAsync(100);
    expect(told).toEqual(['drain', 'over']);
  });

  it('whose shards do not answer goes on to its deadline', async () => {
    const { drain, told, world } = drainOf({ pending: 0, held: 1 });
    world.isBroken = true;
    drain.begin({ deadlineMs: 1000, lingerMs: 0 });
    await vi.advanceTimersByTimeAsync(900);
    expect(told).toEqual(['drain']);
    await vi.advanceTimersByTimeAsync(100);
    expect(told).toEqual(['drain', 'over']);
  });

  it('ends with the server', async () => {
    const { drain, told } = drainOf({ pending: 1, held: 1 });
    drain.begin(MINUTE);
    drain.close();
    await vi.advanceTimersByTimeAsync(100_000);
    expect(told).toEqual(['drain']);
  });
});
