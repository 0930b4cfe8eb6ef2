/** What the operator is told of trouble, and how often. */

import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { COUNTER_NAMES, type CounterName } from '../../src/observe/counters.ts';
import { TroubleWatch } from '../../src/runtime/trouble.ts';
import { endServers, ServerProcess, until } from '../process/server-process.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';

afterEach(endServers);

/** A watch over counters and a clock that the test moves, and the lines it wrote. */
function watchOver() {
  const counters = Object.fromEntries(COUNTER_NAMES.map((name) => [name, 0])) as Record<CounterName, number>;
  const lines: { level: string; msg: string; counter: string; count: number; total: number }[] = [];
  const clock = { nowMs: 1000 };
  const formatters = { level: (level: string) => ({ level }) };
  const log = pino(
    { base: null, timestamp: false, formatters },
    { write: (line) => void lines.push(JSON.parse(line)) },
  );
  const watch = new TroubleWatch(
    () => ({ ...counters }),
    log,
    () => clock.nowMs,
  );
  return { counters, lines, clock, watch };
}

/** Counters of trouble, and what their line must name. */
const ADVICE: [CounterName, RegExp][] = [
  ['kernel_drops_total', /socket\.receiveBufferBytes.*net\.core\.rmem_max.*workers/],
  ['jumbo_exhausted_total', /limits\.jumboSlots/],
  ['slots_exhausted_total', /limits\.slots/],
  ['shed_requests_total', /workers/],
  ['filtered_requests_total', /workers/],
  ['filters_refused_total', /net\.core\.optmem_max.*limits\.shedInKernel/],
  ['send_congested_total', /socket\.sendBufferBytes/],
  ['send_errors_total', /the kernel refused/],
  ['parked_exhausted_total', /dns\.servers.*limits\.parkedRequests/],
  ['unresolvable_total', /names.*dns\.servers/],
  ['junk_datagrams_total', /not SIP/],
  ['control_unauthorized_total', /token.*admin\.listen/],
  ['hep_dropped_total', /collector.*trace\.recentKiB.*hep\.sample/],
  ['icmp_errors_total', /does not listen/],
];

describe('trouble', () => {
  it.each(ADVICE)('%s is told at once, with what to do about it', (counter, advice) => {
    const { counters, lines, watch } = watchOver();
    counters[counter] = 3;
    watch.check();
    expect(lines).toEqual([{ level: 'warn', counter, count: 3, total: 3, msg: expect.stringMatching(advice) }]);
  });

  it('is not told of what grows in a healthy server', () => {
    const { counters, lines, watch } = watchOver();
    watch.check();
    const troubles = new Set(ADVICE.map(([name]) => name));
    for (const name of COUNTER_NAMES) if (!troubles.has(name)) counters[name] = 1000;
    watch.check();
    expect(lines).toEqual([]);
  });

  it('is told once a minute, with all that came since the last line', () => {
    const { counters, lines, clock, watch } = watchOver();
    counters.shed_requests_total = 5;
    watch.check();
    for (let checks = 0; checks < 11; checks++) {
      clock.nowMs += 5000;
      counters.shed_requests_total += 2;
      watch.check();
    }
    expect(lines).toHaveLength(1);
    clock.nowMs += 5000;
    watch.check();
    expect(lines.map(({ count, total }) => [count, total])).toEqual([
      [5, 5],
      [22, 27],
    ]);
    clock.nowMs += 600_000;
    watch.check();
    expect(lines, 'nothing grew').toHaveLength(2);
  });

  it('of one kind does not hold back the line of another', () => {
    const { counters, lines, watch } = watchOver();
    counters.junk_datagrams_total = 1;
    watch.check();
    counters.icmp_errors_total = 1;
    watch.check();
    expect(lines.map(({ counter }) => counter)).toEqual(['junk_datagrams_total', 'icmp_errors_total']);
  });

  it('is told anew by a counter of the kernel that began again', () => {
    const { counters, lines, clock, watch } = watchOver();
    counters.kernel_drops_total = 2 ** 32 - 1;
    watch.check();
    clock.nowMs += 60_000;
    counters.kernel_drops_total = 7;
    watch.check();
    expect(lines.map(({ count }) => count)).toEqual([2 ** 32 - 1, 7]);
  });
});

describe('a server in trouble', () => {
  it('says so in its log', async () => {
    const [port, client] = [await freePort(), await UdpPeer.open()];
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    for (let i = 0; i < 3; i++) await client.send(Buffer.from([0]), port);
    await until('a warning', () => server.log.some(({ level }) => level === 'warn'));
    expect(server.log.filter(({ level }) => level === 'warn')).toMatchObject([
      { counter: 'junk_datagrams_total', count: 3, total: 3 },
    ]);
    client.close();
  });
});
