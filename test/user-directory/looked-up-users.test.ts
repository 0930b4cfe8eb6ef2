import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ALGORITHM, type Algorithm } from '../../src/auth/algorithms.ts';
import { CredentialTable, shareCredentials } from '../../src/auth/credential-table.ts';
import { HA1 } from '../../src/auth/ha1-source.ts';
import { CircuitBreaker } from '../../src/runtime/user-directory/circuit-breaker.ts';
import { FAILED_MS, FAILURES, LookedUpUsers, REST_MS } from '../../src/runtime/user-directory/looked-up-users.ts';
import { TimedCache } from '../../src/runtime/user-directory/timed-cache.ts';
import type { Ha1s } from '../../src/runtime/user-directory/user-lookup.ts';
import { bytes, place, view, words } from '../sip/arena-text.ts';
import { ScriptedLookup } from './scripted-lookup.ts';

const SETTINGS = { timeoutMs: 1000, cacheSec: 300, absentSec: 30, maxPending: 4 };
const BOB: Ha1s = [new Uint8Array(16).fill(7), new Uint8Array(32).fill(8), null];
const names = Object.fromEntries(Object.entries(HA1).map(([name, value]) => [value, name]));

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function world() {
  const directory = new ScriptedLookup();
  const events: string[] = [];
  const table = new CredentialTable(
    shareCredentials([
      { realm: 'example.org', users: [{ user: 'alice', password: 'secret' }] },
      { realm: 'example.net', users: [] },
    ]),
  );
  const users = new LookedUpUsers({
    table,
    directory,
    realms: ['example.org', 'example.net'],
    settings: SETTINGS,
    nowMs: () => Date.now(),
    onTrouble: (error) => events.push(`trouble: ${(error as Error).message}`),
    onRecovery: () => events.push('recovery'),
  });
  const target = new Uint8Array(32);
  const look = (user: string | Uint8Array, realm = 0, algorithm: Algorithm = ALGORITHM.MD5): string => {
    const { start, end } = place(user);
    target.fill(0);
    return names[users.lookup(realm, { bytes, view, words }, start, end, algorithm, target)]!;
  };
  /** Has one look-up fail after the other, each of another user. */
  const failAll = async (count: number) => {
    for (let i = 0; i < count; i++) {
      expect(look(`user${i}`)).toBe('PENDING');
      directory.questions.at(-1)!.fail(new Error('no route'));
      await users.whenKnown();
    }
  };
  return { users, directory, events, look, target, failAll };
}

describe('users of a directory', () => {
  it('are not asked for if the table has them', () => {
    const { look, directory } = world();
    expect(look('alice')).toBe('FOUND');
    expect(directory.questions).toEqual([]);
  });

  it('are asked for once, wait, and are known then', async () => {
    const { look, users, directory, target } = world();
    expect([look('bob'), look('bob'), look('bob', 0, ALGORITHM.SHA_256)]).toEqual(['PENDING', 'PENDING', 'PENDING']);
    expect(directory.questions).toMatchObject([{ realm: 'example.org', user: 'bob' }]);
    directory.questions[0]!.answer(BOB);
    await users.whenKnown();
    expect(look('bob')).toBe('FOUND');
    expect([...target]).toEqual([...new Array(16).fill(7), ...new Array(16).fill(0)]);
    expect(look('bob', 0, ALGORITHM.SHA_256)).toBe('FOUND');
    expect([...target]).toEqual(new Array(32).fill(8));
    expect(look('bob', 0, ALGORITHM.SHA_512_256)).toBe('ABSENT');
    expect(directory.questions).toHaveLength(1);
  });

  it('are others in another realm', async () => {
    const { look, users, directory } = world();
    look('bob');
    directory.questions[0]!.answer(BOB);
    await users.whenKnown();
    expect(look('bob', 1)).toBe('PENDING');
    expect(look('alice', 1)).toBe('PENDING');
    expect(directory.questions.map(({ realm }) => realm)).toEqual(['example.org', 'example.net', 'example.net']);
  });

  it('whenKnown is about the look-up that was PENDING last', async () => {
    const { look, users, directory } = world();
    look('bob');
    const bobKnown = vi.fn();
    users.whenKnown().then(bobKnown);
    look('carol');
    const carolKnown = vi.fn();
    users.whenKnown().then(carolKnown);
    directory.questions[1]!.answer(null);
    await vi.advanceTimersByTimeAsync(0);
    expect([bobKnown.mock.calls.length, carolKnown.mock.calls.length]).toEqual([0, 1]);
  });

  it('are remembered for cacheSec, that there is none for absentSec', async () => {
    const { look, users, directory } = world();
    look('bob');
    directory.questions[0]!.answer(BOB);
    await users.whenKnown();
    look('eve');
    directory.questions[1]!.answer(null);
    await users.whenKnown();
    vi.advanceTimersByTime(29_999);
    expect([look('bob'), look('eve')]).toEqual(['FOUND', 'ABSENT']);
    vi.advanceTimersByTime(1);
    expect([look('bob'), look('eve')]).toEqual(['FOUND', 'PENDING']);
    vi.advanceTimersByTime(269_999);
    expect(look('bob')).toBe('FOUND');
    vi.advanceTimersByTime(1);
    expect(look('bob')).toBe('PENDING');
  });

  it.each([['bo\0b'], [Buffer.from([0x62, 0xff])], ['b'.repeat(257)], ['']])(
    'whose name no database can have are none: %j',
    (user) => {
      const { look, directory } = world();
      expect(look(user)).toBe('ABSENT');
      expect(directory.questions).toEqual([]);
    },
  );

  it('are looked for up to maxPending at once', async () => {
    const { look, users, directory } = world();
    expect(['a', 'b', 'c', 'd', 'e', 'a'].map((user) => look(user))).toEqual([
      'PENDING',
      'PENDING',
      'PENDING',
      'PENDING',
      'UNAVAILABLE',
      'PENDING',
    ]);
    directory.questions[0]!.answer(null);
    await users.whenKnown();
    expect(look('e')).toBe('PENDING');
  });
});

describe('a directory that fails', () => {
  it('is not waited for longer than timeoutMs, and its signal aborts', async () => {
    const { look, users, directory } = world();
    expect(look('bob')).toBe('PENDING');
    const known = vi.fn();
    users.whenKnown().then(known);
    await vi.advanceTimersByTimeAsync(999);
    expect(known).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(known).toHaveBeenCalled();
    expect(directory.questions[0]!.signal.aborted).toBe(true);
    expect(look('bob')).toBe('UNAVAILABLE');
    await vi.advanceTimersByTimeAsync(FAILED_MS);
    expect(look('bob')).toBe('PENDING');
    expect(directory.questions).toHaveLength(2);
  });

  it('still answers for whom it has answered before', async () => {
    const { look, users, directory, failAll } = world();
    look('bob');
    directory.questions[0]!.answer(BOB);
    await users.whenKnown();
    await failAll(FAILURES);
    expect([look('bob'), look('alice'), look('carol')]).toEqual(['FOUND', 'FOUND', 'UNAVAILABLE']);
  });

  it('is left alone after failures in a row, then tried with one user', async () => {
    const { look, users, directory, events, failAll } = world();
    await failAll(FAILURES - 1);
    look('bob');
    directory.questions.at(-1)!.answer(null);
    await users.whenKnown();
    await vi.advanceTimersByTimeAsync(FAILED_MS);
    await failAll(FAILURES - 1);
    expect(events).toEqual([]);
    await vi.advanceTimersByTimeAsync(FAILED_MS);
    await failAll(1);
    expect(events).toEqual(['trouble: no route']);
    const asked = directory.questions.length;
    expect(look('carol')).toBe('UNAVAILABLE');
    await vi.advanceTimersByTimeAsync(REST_MS - 1);
    expect(look('carol')).toBe('UNAVAILABLE');
    await vi.advanceTimersByTimeAsync(1);
    expect([look('carol'), look('dave')]).toEqual(['PENDING', 'UNAVAILABLE']);
    directory.questions.at(-1)!.fail(new Error('no route'));
    await users.whenKnown();
    expect(look('dave')).toBe('UNAVAILABLE');
    await vi.advanceTimersByTimeAsync(REST_MS);
    expect(look('dave')).toBe('PENDING');
    directory.questions.at(-1)!.answer(BOB);
    await users.whenKnown();
    expect([look('dave'), look('carol'), look('erin')]).toEqual(['FOUND', 'PENDING', 'PENDING']);
    expect(directory.questions).toHaveLength(asked + 4);
    expect(events).toEqual(['trouble: no route', 'recovery']);
  });

  it('throwing at once is a failure like any other', async () => {
    const { look, users, directory } = world();
    directory.find = () => {
      throw new Error('no');
    };
    expect(look('bob')).toBe('PENDING');
    await users.whenKnown();
    expect(look('bob')).toBe('UNAVAILABLE');
    await vi.advanceTimersByTimeAsync(FAILED_MS);
    expect(look('bob')).toBe('PENDING');
  });

  it('is given up when it is closed, and nothing is asked after that', async () => {
    const { look, users, directory, events } = world();
    look('bob');
    const known = users.whenKnown();
    await users.close();
    await known;
    expect(directory.isClosed).toBe(true);
    expect([look('bob'), look('carol'), look('alice')]).toEqual(['UNAVAILABLE', 'UNAVAILABLE', 'FOUND']);
    expect([directory.questions.length, vi.getTimerCount(), events.length]).toEqual([1, 0, 0]);
  });
});

describe('CircuitBreaker', () => {
  it('lets a late success of an earlier try close it', () => {
    const breaker = new CircuitBreaker(2, 100);
    expect([breaker.failed(0), breaker.failed(0), breaker.failed(0)]).toEqual([false, true, false]);
    expect([breaker.isOpen, breaker.mayTry(99)]).toEqual([true, false]);
    expect([breaker.succeeded(), breaker.isOpen, breaker.mayTry(99)]).toEqual([true, false, true]);
    expect(breaker.succeeded()).toBe(false);
  });
});

describe('TimedCache', () => {
  it('drops what was used least recently', () => {
    const cache = new TimedCache<number>(2);
    cache.set('a', 1, 10);
    cache.set('b', 2, 10);
    expect(cache.get('a', 0)).toBe(1);
    cache.set('c', 3, 10);
    expect(['a', 'b', 'c'].map((key) => cache.get(key, 9))).toEqual([1, undefined, 3]);
    cache.set('a', 4, 20);
    expect([cache.size, cache.get('a', 10), cache.get('c', 10), cache.size]).toEqual([2, 4, undefined, 1]);
  });
});
