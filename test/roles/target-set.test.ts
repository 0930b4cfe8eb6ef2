import { describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { HopHealth, KnownHops } from '../../src/roles/proxy/hop-health.ts';
import { type NextHop, NextHops } from '../../src/roles/proxy/target-set.ts';

const REST_MS = 30_000;
const SELECTORS = Array.from({ length: 10_000 }, (_, i) => i);

const make = (settings: unknown) => new NextHops(configSchema.parse(settings));
/** Of next hops that were made alone. */
const healthOf = ({ uris }: NextHops) => {
  const known = new KnownHops();
  for (const uri of uris) known.take(uri);
  return new HopHealth(known, REST_MS);
};
const textOf = (hop: NextHop | null) => (hop === null ? null : `${hop.host}:${hop.port}`);
const hostOf = (hop: NextHop | null) => hop?.host ?? null;

/** Share of each host among the choices for many calls. */
function sharesOf(choose: (selector: number) => NextHop | null): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const selector of SELECTORS) {
    const host = String(hostOf(choose(selector)));
    counts[host] = (counts[host] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).map(([host, count]) => [host, count / SELECTORS.length]));
}

describe('16.5, the next hops of our domains', () => {
  const hops = make({
    domains: ['biloxi.example', { name: 'atlanta.example', nextHops: ['sip:192.0.2.41:5080', 'sip:two.example'] }],
    nextHops: ['sip:192.0.2.30:5070'],
  });

  it('are those of the domain, else the common ones', () => {
    expect(textOf(hops.choose(0, 0))).toBe('192.0.2.30:5070');
    expect(new Set(SELECTORS.map((selector) => textOf(hops.choose(1, selector))))).toEqual(
      new Set(['192.0.2.41:5080', 'two.example:-1']),
    );
  });

  it('are the common ones for our bare addresses', () => {
    expect(textOf(hops.choose(-1, 0))).toBe('192.0.2.30:5070');
    expect(textOf(hops.choose(-2, 7))).toBe('192.0.2.30:5070');
  });

  it('may be none', () => {
    const none = make({ domains: ['biloxi.example'] });
    const health = healthOf(none);
    expect(none.uris.length).toBe(0);
    for (const domain of [0, -2]) {
      expect(none.choose(domain, 5)).toBeNull();
      expect(none.first(domain, 5, health, 0)).toBeNull();
      expect(none.order(domain, 5, health, 0)).toEqual([]);
    }
  });

  it('know an address as such, a name as one to look up, and go where a maddr says', () => {
    const of = (uri: string) => make({ nextHops: [uri] }).choose(-1, 0)!;
    expect(of('sip:192.0.2.30')).toMatchObject({ family: 4, port: -1, uri: 'sip:192.0.2.30' });
    expect([...new Uint8Array(of('sip:192.0.2.30').words.buffer, 0, 4)]).toEqual([192, 0, 2, 30]);
    expect(of('sip:[2001:db8::1]:5070')).toMatchObject({ family: 6, port: 5070 });
    expect(of('sip:hop.example')).toMatchObject({ family: 0, host: 'hop.example' });
    expect(of('sip:hop.example;maddr=192.0.2.9')).toMatchObject({ family: 4, host: '192.0.2.9' });
  });

  it('have ids below their count, the same for the same URI', () => {
    const several = make({
      domains: [
        { name: 'a.example', nextHops: ['sip:one', 'sip:two'] },
        { name: 'b.example', nextHops: [{ uri: 'sip:two', priority: 3 }, 'sip:three'] },
      ],
      nextHops: ['sip:one'],
    });
    const health = healthOf(several);
    const idsOf = (domain: number) =>
      Object.fromEntries(several.order(domain, 0, health, 0).map(({ host, id }) => [host, id]));
    const [common, a, b] = [idsOf(-1), idsOf(0), idsOf(1)];
    expect(several.uris.length).toBe(3);
    expect(new Set([common.one, a.two, b.three])).toEqual(new Set([0, 1, 2]));
    expect([a.one, b.two]).toEqual([common.one, a.two]);
  });
});

describe('16.11, the choice of a stateless proxy', () => {
  it('depends on the selector alone, whatever its sign', () => {
    const hops = make({ nextHops: ['sip:one', 'sip:two', 'sip:three'] });
    for (const selector of [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)]) {
      const hop = hops.choose(-1, selector);
      expect(hop).not.toBeNull();
      hops.choose(-1, selector + 1);
      expect(hops.choose(-1, selector)).toBe(hop);
    }
  });

  it('is as the weights say, for selectors in a row and for those of one shard', () => {
    const hops = make({
      nextHops: [
        { uri: 'sip:one', weight: 1 },
        { uri: 'sip:three', weight: 3 },
      ],
    });
    for (const shards of [1, 2, 4]) {
      const shares = sharesOf((selector) => hops.choose(-1, selector * shards));
      expect(shares.one).toBeCloseTo(0.25, 1);
      expect(shares.three).toBeCloseTo(0.75, 1);
    }
  });

  it('stays within the lowest priority', () => {
    const hops = make({
      nextHops: [
        { uri: 'sip:backup', priority: 7, weight: 65_535 },
        { uri: 'sip:main', priority: 2 },
      ],
    });
    expect(sharesOf((selector) => hops.choose(-1, selector))).toEqual({ main: 1 });
  });

  it('spares weight 0, unless there is nothing else', () => {
    const one = make({ nextHops: [{ uri: 'sip:spare', weight: 0 }, 'sip:main'] });
    expect(sharesOf((selector) => one.choose(-1, selector))).toEqual({ main: 1 });
    const none = make({
      nextHops: [
        { uri: 'sip:a', weight: 0 },
        { uri: 'sip:b', weight: 0 },
      ],
    });
    expect(sharesOf((selector) => none.choose(-1, selector)).a).toBeCloseTo(0.5, 1);
  });

  it('holds for the largest list', () => {
    const uris = Array.from({ length: 64 }, (_, i) => ({ uri: `sip:h${i}`, weight: 65_535 }));
    const hops = make({ nextHops: uris });
    const shares = sharesOf((selector) => hops.choose(-1, selector));
    expect(Object.keys(shares)).toHaveLength(64);
    expect(Math.max(...Object.values(shares))).toBeLessThan(2 / 64);
  });
});

describe('next hops that failed', () => {
  const hops = make({
    nextHops: [
      { uri: 'sip:a', weight: 1 },
      { uri: 'sip:b', weight: 2 },
      { uri: 'sip:c', weight: 3 },
      { uri: 'sip:d', priority: 1 },
      { uri: 'sip:e', priority: 1 },
      { uri: 'sip:last', priority: 2 },
    ],
  });
  const ids = new Map(hops.order(-1, 0, healthOf(hops), 0).map(({ host, id }): [string, number] => [host, id]));
  const healthWithout = (...hosts: string[]) => {
    const health = healthOf(hops);
    for (const host of hosts) health.fail(ids.get(host)!, 0);
    return health;
  };
  const sharesWithout = (...hosts: string[]) => {
    const health = healthWithout(...hosts);
    return sharesOf((selector) => hops.first(-1, selector, health, 1));
  };

  it('leave the choice to weights and priority while none rests', () => {
    const health = healthWithout();
    for (const selector of SELECTORS) expect(hops.first(-1, selector, health, 0)).toBe(hops.choose(-1, selector));
    const shares = sharesWithout();
    expect([shares.a, shares.b, shares.c].map((share) => Math.round(share! * 60) / 10)).toEqual([
      expect.closeTo(1, 0),
      expect.closeTo(2, 0),
      expect.closeTo(3, 0),
    ]);
  });

  it('have their calls spread over the others of their priority by weight, and no other call moves', () => {
    const shares = sharesWithout('b');
    expect(Object.keys(shares).sort()).toEqual(['a', 'c']);
    expect(shares.a).toBeCloseTo(0.25, 1);
    const health = healthWithout('b');
    for (const selector of SELECTORS) {
      const before = hops.choose(-1, selector)!;
      if (before.host !== 'b') expect(hops.first(-1, selector, health, 1)).toBe(before);
    }
  });

  it('leave it to the next priority when all of theirs rest', () => {
    const shares = sharesWithout('a', 'b', 'c');
    expect(Object.keys(shares).sort()).toEqual(['d', 'e']);
    expect(shares.d).toBeCloseTo(0.5, 1);
    expect(sharesWithout('a', 'b', 'c', 'd', 'e')).toEqual({ last: 1 });
  });

  it('are tried as if none had when all rest', () => {
    const health = healthWithout('a', 'b', 'c', 'd', 'e', 'last');
    for (const selector of SELECTORS) expect(hops.first(-1, selector, health, 1)).toBe(hops.choose(-1, selector));
  });

  it('serve again after their rest', () => {
    const health = healthWithout('a', 'b', 'c');
    expect(hops.first(-1, 7, health, REST_MS - 1)?.priority).toBe(1);
    expect(hops.first(-1, 7, health, REST_MS)?.priority).toBe(0);
  });
});

describe('RFC 3263 4.3, the order of a call', () => {
  const hops = make({
    nextHops: [
      { uri: 'sip:a', weight: 5 },
      { uri: 'sip:d', priority: 1 },
      { uri: 'sip:b', weight: 1 },
      { uri: 'sip:spare', weight: 0 },
      { uri: 'sip:c', weight: 2 },
      { uri: 'sip:e', priority: 1 },
    ],
  });
  const awake = healthOf(hops);

  it('has each of them once, by priority, weight 0 last of its own', () => {
    for (const selector of SELECTORS.slice(0, 1000)) {
      const order = hops.order(-1, selector, awake, 0);
      expect(new Set(order).size).toBe(6);
      expect(order.map(({ priority }) => priority)).toEqual([0, 0, 0, 0, 1, 1]);
      expect(order[3]!.host).toBe('spare');
    }
  });

  it('begins with the first, whoever rests', () => {
    for (let mask = 0; mask < 1 << hops.uris.length; mask++) {
      const health = healthOf(hops);
      for (let id = 0; id < hops.uris.length; id++) if ((mask >> id) & 1) health.fail(id, 0);
      for (const selector of [0, 1, 2, -1, -77, 123_456_789]) {
        const order = hops.order(-1, selector, health, 1);
        expect(order[0]).toBe(hops.first(-1, selector, health, 1));
        const resting = order.map(({ id }) => health.isResting(id, 1));
        expect(resting).toEqual([...resting].sort((a, b) => Number(a) - Number(b)));
        expect(new Set(order).size).toBe(hops.uris.length);
      }
    }
  });

  it('is drawn by weight at each place, without replacement', () => {
    const seconds = { b: 0, c: 0 };
    let afterA = 0;
    for (const selector of SELECTORS) {
      const [first, second] = hops.order(-1, selector, awake, 0);
      if (first!.host !== 'a') continue;
      afterA++;
      seconds[second!.host as 'b' | 'c']++;
    }
    expect(afterA / SELECTORS.length).toBeCloseTo(5 / 8, 1);
    expect(seconds.c / afterA).toBeCloseTo(2 / 3, 1);
  });
});

describe('the hot choices', () => {
  it('allocate nothing', () => {
    const hops = make({ nextHops: Array.from({ length: 8 }, (_, i) => ({ uri: `sip:h${i}`, priority: i >> 2 })) });
    const health = healthOf(hops);
    for (const id of [0, 1, 2]) health.fail(id, 0);
    let sum = 0;
    const chooseAll = () => {
      for (let i = 0; i < 100_000; i++) sum += hops.choose(-1, i)!.id + hops.first(-1, i, health, 1)!.id;
    };
    let least = Number.POSITIVE_INFINITY;
    // The lowest of a few rounds: a collection or the test runner's own work in between would only add.
    for (let round = 0; round < 5; round++) {
      const before = process.memoryUsage().heapUsed;
      chooseAll();
      least = Math.min(least, Math.abs(process.memoryUsage().heapUsed - before) / 200_000);
    }
    expect(sum).toBeGreaterThan(0);
    expect(least).toBeLessThan(1);
  });
});
