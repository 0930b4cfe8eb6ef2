/** The resolver (RFC 3263 4) against a name server on loopback, on a clock that the tests advance. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FOUND, NOT_FOUND, newResolvedAddress, PENDING } from '../../src/roles/ports.ts';
import { Resolver, type ResolverOptions } from '../../src/runtime/resolver.ts';
import { TRANSPORT } from '../../src/sip/transport.ts';
import { a, aaaa, cname, DnsServer, naptr, srv, srvAt } from './dns-server.ts';
import { selectors } from './resolver/selectors.ts';

/** Long enough that no answer comes too late because the machine is busy; BRIEF_MS is for tests that wait for the end of it. */
const TIMEOUT_MS = 10_000;
const BRIEF_MS = 200;

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
    timeoutMs: TIMEOUT_MS,
    negativeTtlSec: 30,
    naptr: true,
    families: 'both',
    transports: [TRANSPORT.UDP],
    now: () => nowMs,
    hostsFile: '/nonexistent',
    ...options,
  });
}

/** What `find` says now, or `findNext` after that many attempts: ADDRESS:PORT, or a verdict. */
function found(
  host: string,
  port = -1,
  selector = 0,
  of = resolver,
  attempt = 0,
  transport: number = TRANSPORT.NONE,
): string {
  const verdict =
    attempt === 0
      ? of.find(host, port, transport, selector, out)
      : of.findNext(host, port, transport, selector, attempt, out);
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
async function resolved(
  host: string,
  port = -1,
  selector = 0,
  of = resolver,
  transport: number = TRANSPORT.NONE,
): Promise<string> {
  const first = found(host, port, selector, of, 0, transport);
  if (first !== 'pending') return first;
  await of.whenResolved(host, port, transport);
  return found(host, port, selector, of, 0, transport);
}

/** What attempt 0, 1, 2 … go to, until there is no more. */
function alternatives(host: string, port = -1, selector = 0): string[] {
  const inOrder: string[] = [];
  for (let attempt = 0; ; attempt++) {
    const next = found(host, port, selector, resolver, attempt);
    if (next === 'not found') return inOrder;
    inOrder.push(next);
  }
}

describe('RFC 3263 4.2: a name with a port', () => {
  it('is an address look-up, and no SRV record is asked for', async () => {
    server.records = [a('proxy.example', '192.0.2.1'), srv('proxy.example', 0, 0, 5099, 'other.example')];
    expect(found('proxy.example', 5070)).toBe('pending');
    await resolver.whenResolved('proxy.example', 5070, TRANSPORT.NONE);
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
    expect(server.asked).toEqual(['NAPTR carrier.example', 'SRV _sip._udp.carrier.example', 'A edge.carrier.example']);
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
    server.moodAt.SRV = 'fails';
    server.records = [a('plain.example', '192.0.2.3')];
    expect(await resolved('plain.example')).toBe('not found');
    expect(server.asked).toEqual(['NAPTR plain.example', 'SRV _sip._udp.plain.example']);
  });

  it('passes over a target without an address, for its own transactions only', async () => {
    server.records = [
      srv('mixed.example', 1, 50, 5061, 'gone.example'),
      srv('mixed.example', 1, 50, 5062, 'here.example'),
      srv('mixed.example', 2, 1, 5063, 'spare.example'),
      a('here.example', '192.0.2.5'),
      a('spare.example', '192.0.2.6'),
    ];
    await resolver.whenResolved('mixed.example', -1, TRANSPORT.NONE);
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
    await resolver.whenResolved('pool.example', -1, TRANSPORT.NONE);
    const seen = new Set(selectors(50).map((selector) => found('pool.example', -1, selector)));
    expect([...seen].sort()).toEqual(['192.0.2.1:5060', '192.0.2.2:5060', '192.0.2.3:5060']);
  });
});

describe('RFC 3263 4.1: a name without a port goes by its NAPTR records', () => {
  it('to the SRV records that the one for UDP names, in whichever domain', async () => {
    server.records = [
      naptr('example.com', '50 50 "s" "SIPS+D2T" "" _sips._tcp.example.com'),
      naptr('example.com', '90 50 "s" "SIP+D2T" "" _sip._tcp.example.com'),
      naptr('example.com', '100 50 "s" "SIP+D2U" "" _sip._udp.School.edu.'),
      srvAt('_sip._tcp.example.com', 0, 0, 5060, 'tcp.example.com'),
      srv('example.com', 0, 0, 5060, 'plain.example.com'),
      srv('school.edu', 0, 0, 5070, 'server1.school.edu'),
      a('server1.school.edu', '192.0.2.1'),
    ];
    expect(await resolved('example.com')).toBe('192.0.2.1:5070');
    expect(server.asked).toEqual([
      'NAPTR example.com',
      'SRV _sip._udp.example.com',
      'SRV _sip._udp.school.edu',
      'A server1.school.edu',
    ]);
  });

  it('to the default port of the addresses of what it names, with flag "a"', async () => {
    server.records = [
      naptr('direct.example', '10 10 "A" "sip+d2u" "" gw.direct.example'),
      a('gw.direct.example', '192.0.2.7'),
      a('direct.example', '192.0.2.8'),
    ];
    expect(await resolved('direct.example')).toBe('192.0.2.7:5060');
  });

  it('to no place where there are SIP services, but none over UDP', async () => {
    server.records = [
      naptr('tls.example', '10 10 "s" "SIPS+D2T" "" _sips._tcp.tls.example'),
      naptr('tls.example', '20 10 "s" "SIP+D2T" "" _sip._tcp.tls.example'),
      srv('tls.example', 0, 0, 5060, 'tls.example'),
      a('tls.example', '192.0.2.8'),
    ];
    expect(await resolved('tls.example')).toBe('not found');
  });

  it('and as if there were none, past those of other applications', async () => {
    server.records = [
      naptr('university.example', '100 10 "s" "x-eduroam:radius.tls" "" _radsec._tcp.eduroam.example'),
      srv('university.example', 0, 0, 5065, 'pbx.university.example'),
      a('pbx.university.example', '192.0.2.9'),
    ];
    expect(await resolved('university.example')).toBe('192.0.2.9:5065');
  });

  it('and to SRV records without them, which are asked for at the same time', async () => {
    server.records = [srv('carrier.example', 0, 0, 5080, 'edge.example'), a('edge.example', '192.0.2.2')];
    server.moodAt.NAPTR = 'holds back';
    expect(found('carrier.example')).toBe('pending');
    await asked(2);
    expect(server.asked.toSorted()).toEqual(['NAPTR carrier.example', 'SRV _sip._udp.carrier.example']);
    server.release();
    expect(await resolved('carrier.example')).toBe('192.0.2.2:5080');
    expect(server.asked).toHaveLength(3);
  });

  it('and waits for them, not for the SRV records of the domain', async () => {
    server.records = [
      naptr('other.example', '10 10 "a" "SIP+D2U" "" gw.other.example'),
      a('gw.other.example', '192.0.2.7'),
    ];
    server.moodAt.SRV = 'is silent';
    const start = performance.now();
    expect(await resolved('other.example')).toBe('192.0.2.7:5060');
    expect(performance.now() - start).toBeLessThan(TIMEOUT_MS / 2);
  });

  it('to the address of the name where the SRV records they name do not exist (4.2)', async () => {
    server.records = [
      naptr('half.example', '10 10 "s" "SIP+D2U" "" _sip._udp.nowhere.example'),
      a('half.example', '192.0.2.3'),
    ];
    expect(await resolved('half.example')).toBe('192.0.2.3:5060');
  });

  it('to no place where the address they name does not exist, or the SRV records cannot be had', async () => {
    server.records = [
      naptr('gone.example', '10 10 "a" "SIP+D2U" "" nowhere.example'),
      a('gone.example', '192.0.2.3'),
      naptr('failing.example', '10 10 "s" "SIP+D2U" "" _sip._udp.failing.example'),
      a('failing.example', '192.0.2.3'),
    ];
    expect(await resolved('gone.example')).toBe('not found');
    server.moodAt.SRV = 'fails';
    expect(await resolved('failing.example')).toBe('not found');
  });

  it('by preference, and to the next of the same order where one leads nowhere', async () => {
    server.records = [
      naptr('pref.example', '10 30 "a" "SIP+D2U" "" third.example'),
      naptr('pref.example', '10 20 "s" "SIP+D2U" "" _sip._udp.second.example'),
      naptr('pref.example', '10 10 "a" "SIP+D2U" "" first.example'),
      naptr('pref.example', '20 10 "a" "SIP+D2U" "" other-order.example'),
      srv('second.example', 0, 0, 5062, 'host.second.example'),
      a('host.second.example', '192.0.2.2'),
      a('third.example', '192.0.2.3'),
      a('other-order.example', '192.0.2.4'),
    ];
    expect(await resolved('pref.example')).toBe('192.0.2.2:5062');
    expect(alternatives('pref.example')).toEqual(['192.0.2.2:5062', '192.0.2.3:5060']);
  });

  it('through an alias of the domain, of the SRV name and of the host', async () => {
    server.records = [
      cname('alias.example', 'domain.example'),
      naptr('domain.example', '10 10 "s" "SIP+D2U" "" _sip._udp.services.example'),
      cname('_sip._udp.services.example', '_sip._udp.pool.example'),
      srv('pool.example', 0, 0, 5066, 'www.example'),
      cname('www.example', 'host.example'),
      a('host.example', '192.0.2.6'),
    ];
    expect(await resolved('alias.example')).toBe('192.0.2.6:5066');
  });

  it('not in circles', async () => {
    server.records = [
      // Without a flag, the next NAPTR question would be the same again.
      naptr('self.example', '10 10 "" "SIP+D2U" "" self.example'),
      naptr('circle.example', '10 10 "s" "SIP+D2U" "" circle.example'),
      srvAt('circle.example', 0, 0, 5060, 'circle.example'),
      cname('round.example', 'about.example'),
      cname('about.example', 'round.example'),
      naptr('mill.example', '10 10 "a" "SIP+D2U" "" round.example'),
    ];
    expect(await resolved('self.example')).toBe('not found');
    expect(await resolved('circle.example')).toBe('not found');
    expect(await resolved('mill.example')).toBe('not found');
  });

  it('not where it has a port, is an address or is local', async () => {
    server.records = [a('proxy.example', '192.0.2.1'), naptr('proxy.example', '1 1 "a" "SIP+D2U" "" other.example')];
    expect(await resolved('proxy.example', 5060)).toBe('192.0.2.1:5060');
    expect(found('192.0.2.77')).toBe('192.0.2.77:5060');
    expect(found('localhost')).toBe('127.0.0.1:5060');
    expect(server.asked).toEqual(['A proxy.example']);
  });

  it('unless they are not to be asked for', async () => {
    server.records = [
      naptr('proxy.example', '1 1 "a" "SIP+D2U" "" other.example'),
      srv('proxy.example', 0, 0, 5080, 'edge.example'),
      a('edge.example', '192.0.2.2'),
    ];
    const plain = newResolver({ naptr: false });
    expect(await resolved('proxy.example', -1, 0, plain)).toBe('192.0.2.2:5080');
    expect(server.asked).toEqual(['SRV _sip._udp.proxy.example', 'A edge.example']);
    plain.close();
  });
});

describe('NAPTR questions that stay without an answer', () => {
  const records = [srv('carrier.example', 0, 0, 5080, 'edge.example'), a('edge.example', '192.0.2.2', 86_400)];

  it('count as no NAPTR records, at once where the server says that it failed', async () => {
    server.records = records;
    server.moodAt.NAPTR = 'fails';
    expect(await resolved('carrier.example')).toBe('192.0.2.2:5080');
  });

  it('or after timeoutMs where it says nothing; no message waits for it a second time', async () => {
    server.records = records;
    server.moodAt.NAPTR = 'is silent';
    resolver = newResolver({ timeoutMs: BRIEF_MS });
    expect(await resolved('carrier.example')).toBe('192.0.2.2:5080');
    const naptrQuestions = () => server.asked.filter((question) => question.startsWith('NAPTR')).length;
    const count = naptrQuestions();
    nowMs += 4_999;
    expect(found('carrier.example')).toBe('192.0.2.2:5080');
    expect(naptrQuestions()).toBe(count);
    nowMs += 1;
    expect(found('carrier.example')).toBe('192.0.2.2:5080');
    await until(() => naptrQuestions() > count);
    expect(found('carrier.example')).toBe('192.0.2.2:5080');
  });

  it('do not undo NAPTR records that are known', async () => {
    server.records = [...records, naptr('carrier.example', '1 1 "a" "SIP+D2U" "" edge.example')];
    expect(await resolved('carrier.example')).toBe('192.0.2.2:5060');
    server.moodAt.NAPTR = 'fails';
    nowMs += 60_000;
    const { failures } = resolver.statistics;
    expect(found('carrier.example')).toBe('192.0.2.2:5060');
    await until(() => resolver.statistics.failures > failures);
    expect(found('carrier.example')).toBe('192.0.2.2:5060');
  });

  it('are not found for now where there is no room for one more', async () => {
    server.records = [a('one.example', '192.0.2.1')];
    server.mood = 'holds back';
    const narrow = newResolver({ maxQueries: 2 });
    expect(found('one.example', -1, 0, narrow)).toBe('pending');
    expect(found('two.example', -1, 0, narrow)).toBe('not found');
    expect(narrow.statistics).toMatchObject({ queries: 2, refused: 1 });
    await asked(2);
    server.release();
    expect(await resolved('one.example', -1, 0, narrow)).toBe('192.0.2.1:5060');
    narrow.close();
  });
});

describe('RFC 3263 4.3: alternatives', () => {
  it('are every address of a target, then the next target; priority by priority; none twice', async () => {
    server.records = [
      srv('pool.example', 2, 0, 5060, 'spare.example'),
      srv('pool.example', 2, 0, 5060, 'first.example'),
      srv('pool.example', 1, 0, 5060, 'first.example'),
      a('first.example', '192.0.2.1'),
      a('first.example', '192.0.2.2'),
      a('spare.example', '192.0.2.2'),
      a('spare.example', '192.0.2.3'),
    ];
    await resolver.whenResolved('pool.example', -1, TRANSPORT.NONE);
    const orders = new Set(selectors(100).map((selector) => alternatives('pool.example', -1, selector).join(' ')));
    expect([...orders].sort()).toEqual([
      '192.0.2.1:5060 192.0.2.2:5060 192.0.2.3:5060',
      '192.0.2.2:5060 192.0.2.1:5060 192.0.2.3:5060',
    ]);
  });

  it('spread the load of one that failed over all that are left, and over all their addresses', async () => {
    server.records = [1, 2, 3].flatMap((n) => [
      srv('pool.example', 1, 100, 5060, `p${n}.example`),
      a(`p${n}.example`, `192.0.2.${n}`),
      a(`p${n}.example`, `192.0.2.${n}0`),
    ]);
    await resolver.whenResolved('pool.example', -1, TRANSPORT.NONE);
    const thirds = selectors(3000).map((selector) => alternatives('pool.example', -1, selector)[2]!);
    const counts = ['1', '2', '3', '10', '20', '30'].map(
      (last) => thirds.filter((third) => third === `192.0.2.${last}:5060`).length,
    );
    for (const count of counts) expect(Math.abs(count - 500)).toBeLessThan(100);
  });

  it('are the other addresses of a name with a port', async () => {
    server.records = [1, 2, 3].map((n) => a('three.example', `192.0.2.${n}`));
    await resolver.whenResolved('three.example', 5070, TRANSPORT.NONE);
    expect(alternatives('three.example', 5070).sort()).toEqual(['192.0.2.1:5070', '192.0.2.2:5070', '192.0.2.3:5070']);
  });

  it('of an address, there are none', () => {
    expect(alternatives('192.0.2.77')).toEqual(['192.0.2.77:5060']);
    expect(alternatives('[2001:db8::1]', 5070)).toHaveLength(1);
    expect(alternatives('localhost')).toEqual(['127.0.0.1:5060']);
  });

  it('leave out targets without an address', async () => {
    server.records = [
      srv('mixed.example', 1, 1, 5061, 'gone.example'),
      srv('mixed.example', 1, 1, 5062, 'here.example'),
      srv('mixed.example', 2, 1, 5063, 'gone.example'),
      srv('mixed.example', 3, 1, 5064, 'here.example'),
      a('here.example', '192.0.2.5'),
    ];
    await resolver.whenResolved('mixed.example', -1, TRANSPORT.NONE);
    expect(alternatives('mixed.example')).toEqual(['192.0.2.5:5062', '192.0.2.5:5064']);
  });

  it('are known as soon as the first is, and stay so while a name server is silent', async () => {
    server.records = [
      srv('pool.example', 1, 0, 5060, 'p1.example'),
      srv('pool.example', 2, 0, 5060, 'p2.example'),
      a('p1.example', '192.0.2.1'),
      a('p2.example', '192.0.2.2'),
    ];
    expect(await resolved('pool.example')).toBe('192.0.2.1:5060');
    server.mood = 'is silent';
    nowMs += 3_600_000;
    expect(alternatives('pool.example')).toEqual(['192.0.2.1:5060', '192.0.2.2:5060']);
  });

  it('that new records brought are waited for', async () => {
    server.records = [srv('pool.example', 1, 0, 5060, 'p1.example'), a('p1.example', '192.0.2.1')];
    await resolved('pool.example');
    server.records = [...server.records, srv('pool.example', 2, 0, 5060, 'p2.example'), a('p2.example', '192.0.2.2')];
    nowMs += 60_000;
    found('pool.example');
    await until(() => found('pool.example', -1, 0, resolver, 1) === 'pending');
    expect(found('pool.example')).toBe('192.0.2.1:5060');
    await resolver.whenResolved('pool.example', -1, TRANSPORT.NONE);
    expect(found('pool.example', -1, 0, resolver, 1)).toBe('192.0.2.2:5060');
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
    await resolver.whenResolved('pool.example', -1, TRANSPORT.NONE);
    const first = selectors(2000).map((selector) => found('pool.example', -1, selector));
    server.records = records.toReversed();
    const other = newResolver();
    await other.whenResolved('pool.example', -1, TRANSPORT.NONE);
    expect(selectors(2000).map((selector) => found('pool.example', -1, selector, other))).toEqual(first);
    expect(new Set(first).size).toBe(8);
    other.close();
  });

  it('and on to the same alternatives, the first of which is what find gives', async () => {
    server.records = records;
    await resolver.whenResolved('pool.example', -1, TRANSPORT.NONE);
    for (const selector of selectors(40)) {
      const inOrder = alternatives('pool.example', -1, selector);
      expect(inOrder[0]).toBe(found('pool.example', -1, selector));
      expect(new Set(inOrder).size).toBe(8);
      expect(inOrder).toHaveLength(8);
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

  it('remembers NAPTR and SRV records for a minute', async () => {
    server.records = [
      naptr('carrier.example', '1 1 "s" "SIP+D2U" "" _sip._udp.carrier.example'),
      srv('carrier.example', 1, 1, 5080, 'edge.example'),
      a('edge.example', '192.0.2.2', 3600),
    ];
    await resolved('carrier.example');
    nowMs += 59_999;
    found('carrier.example');
    nowMs += 1;
    expect(server.asked.splice(0)).toHaveLength(3);
    expect(found('carrier.example')).toBe('192.0.2.2:5080');
    await asked(2);
    expect(server.asked.toSorted()).toEqual(['NAPTR carrier.example', 'SRV _sip._udp.carrier.example']);
  });

  it('serves that there are no NAPTR records while it asks again', async () => {
    server.records = [srv('carrier.example', 1, 1, 5080, 'edge.example'), a('edge.example', '192.0.2.2', 3600)];
    await resolved('carrier.example');
    server.records.push(naptr('carrier.example', '1 1 "a" "SIP+D2U" "" edge.example'));
    nowMs += 30_000;
    expect(found('carrier.example')).toBe('192.0.2.2:5080');
    await until(() => found('carrier.example') === '192.0.2.2:5060');
  });
});

describe('a name server in trouble', () => {
  it('that is silent makes a name not found after timeoutMs, and is asked again after 5 s', async () => {
    server.mood = 'is silent';
    const start = performance.now();
    resolver = newResolver({ timeoutMs: BRIEF_MS, families: 4 });
    expect(await resolved('proxy.example', 5060)).toBe('not found');
    expect(performance.now() - start).toBeGreaterThan(BRIEF_MS * 0.9);
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
      await until(() => resolver.statistics.failures === failures + 3);
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
    await patient.whenResolved('slow.example', 5060, TRANSPORT.NONE);
    const verdict = found('slow.example', 5060, 0, patient);
    patient.close();
    expect(verdict).toBe('not found');
  });
});

describe('limits', () => {
  it('asks once for any number of look-ups of a name', async () => {
    server.records = [a('proxy.example', '192.0.2.1')];
    for (let i = 0; i < 100; i++) expect(found('proxy.example', 5060)).toBe('pending');
    await Promise.all(Array.from({ length: 100 }, () => resolver.whenResolved('proxy.example', 5060, TRANSPORT.NONE)));
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
    await narrow.whenResolved('h1.example', 5060, TRANSPORT.NONE);
    await narrow.whenResolved('h2.example', 5060, TRANSPORT.NONE);
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
    const waiting = resolver.whenResolved('other.example', 5060, TRANSPORT.NONE);
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

describe('other settings, as a reload brings them', () => {
  const settings = () => ({ servers: [server.address], timeoutMs: 200, negativeTtlSec: 30, naptr: true });

  it('change nothing where they are the same', async () => {
    server.records = [a('proxy.example', '192.0.2.1')];
    await resolved('proxy.example', 5070);
    resolver.use(settings());
    expect(found('proxy.example', 5070)).toBe('192.0.2.1:5070');
    expect(server.asked).toEqual(['A proxy.example']);
  });

  it('ask other servers, and what is known serves until they have answered', async () => {
    const other = await DnsServer.start([a('proxy.example', '192.0.2.99'), a('new.example', '192.0.2.98')]);
    server.records = [a('proxy.example', '192.0.2.1')];
    await resolved('proxy.example', 5070);
    resolver.use({ ...settings(), servers: [other.address] });
    expect(found('proxy.example', 5070)).toBe('192.0.2.1:5070');
    await expect.poll(() => found('proxy.example', 5070)).toBe('192.0.2.99:5070');
    expect(await resolved('new.example', 5070)).toBe('192.0.2.98:5070');
    expect(server.asked).toEqual(['A proxy.example']);
    other.close();
  });

  it('leave a look-up that is on its way to the servers it was sent to', async () => {
    const other = await DnsServer.start();
    server.records = [a('proxy.example', '192.0.2.1')];
    expect(found('proxy.example', 5070)).toBe('pending');
    resolver.use({ ...settings(), servers: [other.address], timeoutMs: 300 });
    await resolver.whenResolved('proxy.example', 5070, TRANSPORT.NONE);
    expect(found('proxy.example', 5070)).toBe('192.0.2.1:5070');
    other.close();
  });

  it('remember failures for as long as they say now', async () => {
    resolver.use({ ...settings(), negativeTtlSec: 5 });
    expect(await resolved('later.example', 5070)).toBe('not found');
    server.records = [a('later.example', '192.0.2.7')];
    nowMs += 6000;
    expect(await resolved('later.example', 5070)).toBe('192.0.2.7:5070');
  });

  it('ask for NAPTR records or no longer', async () => {
    server.records = [
      naptr('chicago.example', '10 10 "s" "SIP+D2U" "" _sip._udp.alt.example'),
      srvAt('_sip._udp.alt.example', 0, 0, 5071, 'one.example'),
      a('one.example', '192.0.2.5'),
      a('chicago.example', '192.0.2.6'),
    ];
    expect(await resolved('chicago.example')).toBe('192.0.2.5:5071');
    resolver.use({ ...settings(), naptr: false });
    expect(await resolved('chicago.example')).toBe('192.0.2.6:5060');
    resolver.use(settings());
    expect(await resolved('chicago.example')).toBe('192.0.2.5:5071');
  });
});
