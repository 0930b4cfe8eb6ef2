/** The resolver (RFC 3263 4.2 and 4.4, RFC 2782) against a name server on loopback, on a clock that the tests advance. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FOUND, NOT_FOUND, newResolvedAddress, PENDING } from '../../src/roles/ports.ts';
import {
  compareSrvTargets,
  orderSrvTargets,
  Resolver,
  type ResolverOptions,
  type SrvTarget,
  selectSrvTarget,
} from '../../src/runtime/resolver.ts';
import { a, aaaa, cname, DnsServer, srv } from './dns-server.ts';

let server: DnsServer;
let resolver: Resolver;
let nowMs: number;
const out = newResolvedAddress();

beforeEach(async () => {
  nowMs = 1_000_000;
  server = await DnsServer.start();
  resolver = newResolver();
});

afterEach(() => {
  resolver.close();
  server.close();
});

function newResolver(options: Partial<ResolverOptions> = {}): Resolver {
  return new Resolver({
    servers: [server.address],
    timeoutMs: 200,
    negativeTtlSec: 30,
    families: 'both',
    now: () => nowMs,
    hostsFile: '/nonexistent',
    ...options,
  });
}

/** What `find` says now: ADDRESS:PORT, or a verdict. */
function found(host: string, port = -1, selector = 0, of = resolver): string {
  const verdict = of.find(host, port, selector, out);
  if (verdict === PENDING) return 'pending';
  if (verdict === NOT_FOUND) return 'not found';
  expect(verdict).toBe(FOUND);
  const bytes = [...new Uint8Array(out.words.buffer, 0, out.family === 4 ? 4 : 16)];
  if (out.family === 4) {
    expect([...out.words.subarray(1)]).toEqual([0, 0, 0]);
    return `${bytes.join('.')}:${out.port}`;
  }
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('');
  const text = hex
    .match(/..../g)!
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
  expect(isIPv6(text)).toBe(true);
  return `[${text}]:${out.port}`;
}

/** What `find` says once it can say something. */
async function resolved(host: string, port = -1, selector = 0, of = resolver): Promise<string> {
  const first = found(host, port, selector, of);
  if (first !== 'pending') return first;
  await of.whenResolved(host, port);
  return found(host, port, selector, of);
}

/** Selectors spread evenly over all 32-bit numbers, signed as a hash gives them. */
function selectors(count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) / count) * 2 ** 32) | 0);
}

describe('RFC 3263 4.2: a name with a port', () => {
  it('is an address look-up, and no SRV record is asked for', async () => {
    server.records = [a('proxy.example', '192.0.2.1'), srv('proxy.example', 0, 0, 5099, 'other.example')];
    expect(found('proxy.example', 5070)).toBe('pending');
    await resolver.whenResolved('proxy.example', 5070);
    expect(found('proxy.example', 5070)).toBe('192.0.2.1:5070');
    expect(server.asked).toEqual(['A proxy.example']);
  });

  it('does so for port 5060 too', async () => {
    server.records = [a('proxy.example', '192.0.2.1'), srv('proxy.example', 0, 0, 5099, 'other.example')];
    expect(await resolved('proxy.example', 5060)).toBe('192.0.2.1:5060');
  });

  it('goes to IPv6 where there is no IPv4 address', async () => {
    server.records = [aaaa('six.example', '2001:db8::17')];
    expect(await resolved('six.example', 5070)).toBe('[2001:db8:0:0:0:0:0:17]:5070');
  });

  it('prefers IPv4 where there are both', async () => {
    server.records = [aaaa('dual.example', '2001:db8::17'), a('dual.example', '192.0.2.4')];
    expect(await resolved('dual.example', 5070)).toBe('192.0.2.4:5070');
  });

  it('uses only families that there are sockets for', async () => {
    server.records = [aaaa('six.example', '2001:db8::17'), a('four.example', '192.0.2.4')];
    const only4 = newResolver({ families: 4 });
    const only6 = newResolver({ families: 6 });
    expect(await resolved('six.example', 5070, 0, only4)).toBe('not found');
    expect(await resolved('four.example', 5070, 0, only6)).toBe('not found');
    expect(await resolved('four.example', 5070, 0, only4)).toBe('192.0.2.4:5070');
    expect(await resolved('six.example', 5070, 0, only6)).toBe('[2001:db8:0:0:0:0:0:17]:5070');
  });

  it('follows an alias', async () => {
    server.records = [cname('www.example', 'real.example'), a('real.example', '192.0.2.9')];
    expect(await resolved('www.example', 5070)).toBe('192.0.2.9:5070');
  });

  it('is not found where the name does not exist', async () => {
    expect(await resolved('nowhere.example', 5070)).toBe('not found');
  });

  it('is not found where the name is none', async () => {
    expect(await resolved('two..dots', 5070)).toBe('not found');
    expect(await resolved(`${'long'.repeat(20)}.example`, 5070)).toBe('not found');
  });

  it('is the same name in capitals and with a final dot', async () => {
    server.records = [a('proxy.example', '192.0.2.1')];
    expect(await resolved('proxy.example', 5070)).toBe('192.0.2.1:5070');
    expect(found('PROXY.Example.', 5070)).toBe('192.0.2.1:5070');
  });
});

describe('RFC 3263 4.2: a name without a port', () => {
  it('goes by its SRV records', async () => {
    server.records = [
      srv('carrier.example', 10, 5, 5080, 'edge.carrier.example'),
      a('edge.carrier.example', '192.0.2.2'),
    ];
    expect(await resolved('carrier.example')).toBe('192.0.2.2:5080');
    expect(server.asked).toEqual(['SRV _sip._udp.carrier.example', 'A edge.carrier.example']);
  });

  it('goes by its address and port 5060 where it has no SRV record', async () => {
    server.records = [a('plain.example', '192.0.2.3')];
    expect(await resolved('plain.example')).toBe('192.0.2.3:5060');
  });

  it('is not found where the SRV target is ".", although it has an address', async () => {
    server.records = [srv('closed.example', 0, 0, 1, '.'), a('closed.example', '192.0.2.3')];
    expect(await resolved('closed.example')).toBe('not found');
  });

  it('is not found, rather than looked up by address, where the SRV question fails', async () => {
    server.mood = 'fails';
    expect(await resolved('plain.example')).toBe('not found');
    expect(server.asked).toEqual(['SRV _sip._udp.plain.example']);
  });

  it('passes over a target without an address, for its own transactions only', async () => {
    server.records = [
      srv('mixed.example', 1, 50, 5061, 'gone.example'),
      srv('mixed.example', 1, 50, 5062, 'here.example'),
      srv('mixed.example', 2, 1, 5063, 'spare.example'),
      a('here.example', '192.0.2.5'),
      a('spare.example', '192.0.2.6'),
    ];
    await resolver.whenResolved('mixed.example', -1);
    for (const selector of selectors(50)) expect(found('mixed.example', -1, selector)).toBe('192.0.2.5:5062');
  });

  it('goes on to the next priority where no target of the first has an address', async () => {
    server.records = [
      srv('spare.example', 1, 0, 5061, 'gone.example'),
      srv('spare.example', 2, 0, 5062, 'here.example'),
      a('here.example', '192.0.2.5'),
    ];
    expect(await resolved('spare.example')).toBe('192.0.2.5:5062');
  });

  it('settles at once for all targets, whichever the selector takes', async () => {
    server.records = [1, 2, 3].flatMap((n) => [
      srv('pool.example', 1, n, 5060, `p${n}.example`),
      a(`p${n}.example`, `192.0.2.${n}`),
    ]);
    expect(found('pool.example')).toBe('pending');
    await resolver.whenResolved('pool.example', -1);
    const seen = new Set(selectors(50).map((selector) => found('pool.example', -1, selector)));
    expect([...seen].sort()).toEqual(['192.0.2.1:5060', '192.0.2.2:5060', '192.0.2.3:5060']);
  });
});

describe('RFC 3263 4.4: the same selector goes to the same place', () => {
  const records = [
    srv('pool.example', 1, 10, 5060, 'a.example'),
    srv('pool.example', 1, 20, 5060, 'b.example'),
    srv('pool.example', 1, 0, 5061, 'b.example'),
    srv('pool.example', 1, 70, 5060, 'c.example'),
    a('a.example', '192.0.2.1'),
    a('b.example', '192.0.2.2'),
    a('b.example', '192.0.2.3'),
    a('b.example', '192.0.2.130'),
    a('c.example', '192.0.2.4'),
  ];

  it('in whatever order the records come, in whichever shard', async () => {
    server.records = records;
    await resolver.whenResolved('pool.example', -1);
    const first = selectors(200).map((selector) => found('pool.example', -1, selector));
    server.records = records.toReversed();
    const other = newResolver();
    await other.whenResolved('pool.example', -1);
    expect(selectors(200).map((selector) => found('pool.example', -1, selector, other))).toEqual(first);
    expect(new Set(first).size).toBe(6);
    other.close();
  });

  it('and lists it first among the candidates', async () => {
    server.records = records;
    await resolver.whenResolved('pool.example', -1);
    for (const selector of selectors(40)) {
      const candidates = resolver.candidates('pool.example', -1, selector);
      expect(resolver.find('pool.example', -1, selector, out)).toBe(FOUND);
      expect(candidates[0]).toEqual(out);
      expect(candidates).toHaveLength(8);
    }
    expect(resolver.candidates('unheard.example', 5060, 1)).toEqual([]);
  });
});

describe('RFC 2782: order and weights', () => {
  const target = (priority: number, weight: number, name: string): SrvTarget => ({
    priority,
    weight,
    port: 5060,
    name,
  });
  const shares = (targets: readonly SrvTarget[]) => {
    const counts = new Map<string, number>();
    for (const selector of selectors(10_000)) {
      const { name } = targets[selectSrvTarget(targets, 0, targets.length, selector)]!;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return counts;
  };

  it('sorts by priority, weight 0 first, then name, whatever the order of arrival', () => {
    const sorted = [target(1, 0, 'z'), target(1, 5, 'a'), target(1, 5, 'b'), target(2, 0, 'a')];
    expect(sorted.toReversed().sort(compareSrvTargets)).toEqual(sorted);
    expect([sorted[2]!, sorted[0]!, sorted[3]!, sorted[1]!].sort(compareSrvTargets)).toEqual(sorted);
  });

  it('selects in proportion to weight', () => {
    const counts = shares([target(1, 10, 'a'), target(1, 30, 'b'), target(1, 60, 'c')]);
    expect(counts.get('a')! / 10_000).toBeCloseTo(0.1, 1);
    expect(counts.get('b')! / 10_000).toBeCloseTo(0.3, 1);
    expect(counts.get('c')! / 10_000).toBeCloseTo(0.6, 1);
  });

  it('gives weight 0 a small chance beside others', () => {
    const counts = shares([target(1, 0, 'zero'), target(1, 99, 'full')]);
    expect(counts.get('zero')).toBe(100);
  });

  it('shares equally where all weights are 0', () => {
    const counts = shares([target(1, 0, 'a'), target(1, 0, 'b')]);
    expect(counts).toEqual(
      new Map([
        ['a', 5000],
        ['b', 5000],
      ]),
    );
  });

  it('selects the only one, at the ends of the selector too', () => {
    for (const selector of [0, -1, 2 ** 31 - 1, -(2 ** 31)]) {
      expect(selectSrvTarget([target(1, 65_535, 'a')], 0, 1, selector)).toBe(0);
      expect(selectSrvTarget([target(1, 1, 'a'), target(1, 1, 'b')], 0, 2, selector)).toBeLessThan(2);
    }
  });

  it('tries every target once, one priority after the other, the selected one first', () => {
    const targets = [target(1, 1, 'a'), target(1, 2, 'b'), target(1, 3, 'c'), target(5, 0, 'd'), target(5, 0, 'e')];
    for (const selector of selectors(100)) {
      const ordered = orderSrvTargets(targets, selector);
      expect(ordered.toSorted(compareSrvTargets)).toEqual(targets);
      expect(ordered.map(({ priority }) => priority)).toEqual([1, 1, 1, 5, 5]);
      expect(ordered[0]).toBe(targets[selectSrvTarget(targets, 0, 3, selector)]);
    }
  });
});

describe('what is remembered', () => {
  it('serves from memory until the TTL is over, then the old answer while it asks again', async () => {
    server.records = [a('proxy.example', '192.0.2.1', 20)];
    await resolved('proxy.example', 5060);
    server.records = [a('proxy.example', '192.0.2.2', 20)];
    nowMs += 19_999;
    expect(found('proxy.example', 5060)).toBe('192.0.2.1:5060');
    expect(server.asked).toHaveLength(1);
    nowMs += 1;
    server.mood = 'holds back';
    expect(found('proxy.example', 5060)).toBe('192.0.2.1:5060');
    await asked(2);
    expect(found('proxy.example', 5060)).toBe('192.0.2.1:5060');
    server.release();
    await until(() => found('proxy.example', 5060) === '192.0.2.2:5060');
    expect(server.asked).toHaveLength(2);
  });

  it('goes by the shortest TTL of an alias and its addresses', async () => {
    server.records = [cname('www.example', 'real.example', 7), a('real.example', '192.0.2.9', 60)];
    await resolved('www.example', 5060);
    nowMs += 7_000;
    found('www.example', 5060);
    await asked(2);
  });

  it('takes a TTL of 0 for 1 s, so that a waiting message finds what it waited for', async () => {
    server.records = [a('brief.example', '192.0.2.1', 0)];
    expect(await resolved('brief.example', 5060)).toBe('192.0.2.1:5060');
  });

  it('remembers for negativeTtlSec that a name does not exist', async () => {
    await resolved('nowhere.example', 5060);
    const count = server.asked.length;
    server.records = [a('nowhere.example', '192.0.2.1')];
    nowMs += 29_999;
    expect(found('nowhere.example', 5060)).toBe('not found');
    expect(server.asked).toHaveLength(count);
    nowMs += 1;
    expect(await resolved('nowhere.example', 5060)).toBe('192.0.2.1:5060');
  });

  it('forgets at once a name that ceased to exist', async () => {
    server.records = [a('proxy.example', '192.0.2.1', 20)];
    await resolved('proxy.example', 5060);
    server.records = [];
    nowMs += 20_000;
    found('proxy.example', 5060);
    await until(() => found('proxy.example', 5060) === 'not found');
  });

  it('remembers SRV records for a minute', async () => {
    server.records = [srv('carrier.example', 1, 1, 5080, 'edge.example'), a('edge.example', '192.0.2.2', 3600)];
    await resolved('carrier.example');
    nowMs += 59_999;
    found('carrier.example');
    nowMs += 1;
    expect(found('carrier.example')).toBe('192.0.2.2:5080');
    await asked(3);
    expect(server.asked.at(-1)).toBe('SRV _sip._udp.carrier.example');
  });
});

describe('a name server in trouble', () => {
  it('that is silent makes a name not found after timeoutMs, and is asked again after 5 s', async () => {
    server.mood = 'is silent';
    const start = performance.now();
    expect(await resolved('proxy.example', 5060, 0, (resolver = newResolver({ families: 4 })))).toBe('not found');
    expect(performance.now() - start).toBeLessThan(400);
    server.mood = 'answers';
    server.records = [a('proxy.example', '192.0.2.1')];
    nowMs += 4_999;
    expect(found('proxy.example', 5060)).toBe('not found');
    nowMs += 1;
    expect(await resolved('proxy.example', 5060)).toBe('192.0.2.1:5060');
  });

  it('does not stop known routes, by SRV or address; it is asked every 5 s; after a day they are given up', async () => {
    server.records = [srv('carrier.example', 1, 1, 5080, 'edge.example'), a('edge.example', '192.0.2.2', 60)];
    await resolved('carrier.example');
    server.mood = 'fails';
    for (let i = 0; i < 3; i++) {
      nowMs += 60_000;
      const { failures } = resolver.statistics;
      expect(found('carrier.example')).toBe('192.0.2.2:5080');
      await until(() => resolver.statistics.failures === failures + 2);
      const count = server.asked.length;
      expect(found('carrier.example')).toBe('192.0.2.2:5080');
      expect(server.asked).toHaveLength(count);
    }
    nowMs += 86_400_000;
    expect(await resolved('carrier.example')).toBe('not found');
  });

  it('learns an answer that comes too late', async () => {
    server.records = [a('slow.example', '192.0.2.1')];
    server.mood = 'holds back';
    const patient = newResolver({ timeoutMs: 1 });
    expect(found('slow.example', 5060, 0, patient)).toBe('pending');
    await patient.whenResolved('slow.example', 5060);
    const verdict = found('slow.example', 5060, 0, patient);
    patient.close();
    expect(verdict).toBe('not found');
  });
});

describe('limits', () => {
  it('asks once for any number of look-ups of a name', async () => {
    server.records = [a('proxy.example', '192.0.2.1')];
    for (let i = 0; i < 100; i++) expect(found('proxy.example', 5060)).toBe('pending');
    await Promise.all(Array.from({ length: 100 }, () => resolver.whenResolved('proxy.example', 5060)));
    expect(found('proxy.example', 5060)).toBe('192.0.2.1:5060');
    expect(server.asked).toEqual(['A proxy.example']);
  });

  it('makes at most maxQueries at once; names beyond are not found for now', async () => {
    server.mood = 'holds back';
    server.records = [1, 2, 3].map((n) => a(`h${n}.example`, `192.0.2.${n}`));
    const narrow = newResolver({ maxQueries: 2, families: 4 });
    expect([1, 2, 3].map((n) => found(`h${n}.example`, 5060, 0, narrow))).toEqual(['pending', 'pending', 'not found']);
    await asked(2);
    server.release();
    await narrow.whenResolved('h1.example', 5060);
    await narrow.whenResolved('h2.example', 5060);
    expect(await resolved('h3.example', 5060, 0, narrow)).toBe('192.0.2.3:5060');
    expect(narrow.statistics.refused).toBe(1);
    narrow.close();
  });

  it('keeps at most maxNames names, and drops those not asked for', async () => {
    server.records = Array.from({ length: 20 }, (_, n) => a(`h${n}.example`, `192.0.2.${n}`));
    const small = newResolver({ maxNames: 4, maxQueries: 2, families: 4 });
    for (let n = 0; n < 20; n++) {
      expect(await resolved('h0.example', 5060, 0, small)).toBe('192.0.2.0:5060');
      expect(await resolved(`h${n}.example`, 5060, 0, small)).toBe(`192.0.2.${n}:5060`);
    }
    const { queries, evicted } = small.statistics;
    expect(queries - evicted).toBe(4);
    // Second chance is not quite least-recently-used: the name in use may be dropped once, while all look used.
    expect(queries).toBeLessThanOrEqual(21);
    small.close();
  });
});

describe('names that need no name server', () => {
  it('are localhost and what lies below it (RFC 6761 6.3)', () => {
    expect(found('localhost')).toBe('127.0.0.1:5060');
    expect(found('sip.localhost', 5070)).toBe('127.0.0.1:5070');
    expect(found('LOCALHOST', 5070, 0, newResolver({ families: 6 }))).toBe('[0:0:0:0:0:0:0:1]:5070');
    expect(server.asked).toEqual([]);
  });

  it('are addresses', () => {
    expect(found('192.0.2.77')).toBe('192.0.2.77:5060');
    expect(found('[2001:db8::1]', 5070)).toBe('[2001:db8:0:0:0:0:0:1]:5070');
    expect(found('192.0.2.77', 5060, 0, newResolver({ families: 6 }))).toBe('not found');
  });

  it('are those of the hosts file, without SRV', () => {
    const directory = mkdtempSync(join(tmpdir(), 'strowger-hosts-'));
    const hostsFile = join(directory, 'hosts');
    writeFileSync(
      hostsFile,
      '# a comment\n192.0.2.50\tGateway gw.example # another\n2001:db8::50 gw.example\nnonsense gw.example\n',
    );
    const listed = newResolver({ hostsFile });
    rmSync(directory, { recursive: true });
    expect(found('gw.example', -1, 0, listed)).toBe('192.0.2.50:5060');
    expect(found('gateway', 5070, 0, listed)).toBe('192.0.2.50:5070');
    expect(found('gw.example', 5070, 0, newResolver({ hostsFile: '/nonexistent' }))).toBe('pending');
    expect(server.asked).toEqual([]);
  });
});

describe('close', () => {
  it('settles what waits, and known names are still found', async () => {
    server.records = [a('known.example', '192.0.2.1')];
    await resolved('known.example', 5060);
    server.mood = 'is silent';
    expect(found('other.example', 5060)).toBe('pending');
    const waiting = resolver.whenResolved('other.example', 5060);
    resolver.close();
    await waiting;
    expect(found('other.example', 5060)).toBe('not found');
    expect(found('known.example', 5060)).toBe('192.0.2.1:5060');
  });
});

/** Resolves once the server was asked `count` questions in all. */
function asked(count: number): Promise<void> {
  return until(() => server.asked.length >= count);
}

/** Resolves once `isTrue`; the test's own time limit is the limit. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve));
}
