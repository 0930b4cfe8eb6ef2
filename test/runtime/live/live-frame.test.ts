/** What the live page says of readings: differences, percentiles, and what begins anew in between. */

import { describe, expect, it } from 'vitest';
import { MANY_PORTS } from '../../../src/observe/top-sources.ts';
import { type FrameContext, frameOf, SIGNAL_NAMES } from '../../../src/runtime/live/live-frame.ts';
import { METHOD } from '../../../src/sip/methods.ts';
import { histogramOf, reading, STARTED_AT_MS, shardReading } from './readings.ts';

const CONTEXT: FrameContext = { startedAtMs: STARTED_AT_MS, watchers: 1, errors: [], hops: null };

describe('the first reading', () => {
  it('tells what is, and no rate', () => {
    const frame = frameOf([reading(7, { aors: 3, bindings: 4, notReadyBecause: ['starting'] })], CONTEXT);
    expect(frame).toMatchObject({
      uptimeSec: 7,
      point: null,
      talkers: null,
      notReadyBecause: ['starting'],
      location: { aors: 3, bindings: 4 },
    });
    expect(frame.shards[0]).toMatchObject({ isRunning: true, cpu: null, waiting: null, messagesPerSec: 0 });
    expect(frame.signals.kernel_drops_total).toEqual({ perSec: 0, total: 0 });
  });
});

describe('rates', () => {
  it('are what came in the last second, by method and class', () => {
    const before = { invite_requests_total: 100, bye_requests_total: 50, responses_2xx_total: 7 };
    const now = { invite_requests_total: 350, bye_requests_total: 51, responses_2xx_total: 9, info_requests_total: 1 };
    const { point } = frameOf([reading(1), reading(2, { counters: before }), reading(3, { counters: now })], CONTEXT);
    expect(point!.requests[METHOD.INVITE]).toBe(250);
    expect(point!.requests[METHOD.BYE]).toBe(1);
    expect(point!.requests[METHOD.INFO]).toBe(1);
    expect(point!.requests[METHOD.REGISTER]).toBe(0);
    expect(point!.responses).toEqual([0, 2, 0, 0, 0, 0]);
  });

  it('are per second although a reading came late', () => {
    const late = reading(3.5, { counters: { datagrams_received_total: 500 } });
    expect(frameOf([reading(1), late], CONTEXT).point!.received).toBe(200);
  });

  it('of a total that began anew are what it has since', () => {
    const socket = { text: 'udp:a:1', receiveBufferBytes: 100, queuedBytes: 40 };
    const before = reading(1, { sockets: [{ ...socket, drops: 4_294_967_290, received: 4_294_967_000 }] });
    const now = reading(2, { sockets: [{ ...socket, drops: 3, received: 700 }] });
    const [shown] = frameOf([before, now], CONTEXT).sockets;
    expect(shown).toEqual({ ...socket, receivedPerSec: 700, drops: { perSec: 3, total: 3 } });
  });

  it('count as lost what the kernel, full tables, overload and full send buffers took', () => {
    const counters = {
      kernel_drops_total: 1,
      jumbo_exhausted_total: 2,
      shed_requests_total: 4,
      parked_exhausted_total: 8,
      send_congested_total: 16,
      filtered_requests_total: 32,
      junk_datagrams_total: 1000,
    };
    expect(frameOf([reading(1), reading(2, { counters })], CONTEXT).point!.lost).toBe(63);
  });

  it('are told of every sign of trouble', () => {
    const counters = Object.fromEntries(SIGNAL_NAMES.map((name, i) => [name, i + 1]));
    const { signals } = frameOf([reading(1), reading(2, { counters })], CONTEXT);
    for (const [i, name] of SIGNAL_NAMES.entries()) expect(signals[name]).toEqual({ perSec: i + 1, total: i + 1 });
  });
});

describe('percentiles', () => {
  it('are of all readings there are, and not of what was before', () => {
    const old = { invite: histogramOf(...new Array(500).fill(100_000)) };
    const now = { invite: histogramOf(...new Array(500).fill(100_000), 40, 40, 40, 40) };
    const { point } = frameOf([reading(1, old), reading(2, old), reading(3, now)], CONTEXT);
    expect(point!.invite).toEqual({ perSec: 2, p50Us: 40, p90Us: 46.4, p99Us: 47.84, p999Us: 47.984 });
    expect(point!.other).toBeNull();
  });

  it('of the transit are of all shards together, and of each', () => {
    const shards = [shardReading({ transit: histogramOf(40, 40, 40) }), shardReading({ transit: histogramOf(20_000) })];
    const rest = [shardReading(), shardReading()];
    const frame = frameOf([reading(1, { shards: rest }), reading(2, { shards })], CONTEXT);
    expect(frame.point!.transit!.p50Us).toBeLessThan(48);
    expect(frame.point!.transit!.p999Us).toBeGreaterThan(16_000);
    expect(frame.shards[0]!.p99Us).toBeLessThan(48);
    expect(frame.shards[1]!.p99Us).toBeGreaterThan(16_000);
  });
});

describe('threads', () => {
  it('have shares of a core, run and waited for', () => {
    const shardAt = (ranMs: number, waitedMs: number) => ({
      shards: [shardReading({ cpu: { ranNs: ranMs * 1e6, waitedNs: waitedMs * 1e6 } })],
    });
    const frame = frameOf([reading(1, shardAt(500, 10)), reading(3, shardAt(1000, 110))], CONTEXT);
    expect(frame.shards[0]).toMatchObject({ cpu: 0.25, waiting: 0.05 });
  });

  it('have none between a shard and its successor, whose clock begins anew, and go on counting', () => {
    const before = { shards: [shardReading({ threadId: 100, cpu: { ranNs: 9e9, waitedNs: 0 }, messages: 500 })] };
    const down = {
      shards: [shardReading({ threadId: 100, cpu: null, isRunning: false, crashes: 1, messages: 510 })],
    };
    const after = {
      shards: [shardReading({ threadId: 101, cpu: { ranNs: 2e8, waitedNs: 0 }, starts: 2, crashes: 1, messages: 530 })],
    };
    const readings = [reading(1, before), reading(2, down), reading(3, after)];
    expect(frameOf(readings.slice(0, 2), CONTEXT).shards[0]).toMatchObject({ isRunning: false, cpu: null });
    const [shard] = frameOf(readings, CONTEXT).shards;
    expect(shard).toMatchObject({ isRunning: true, cpu: null, starts: 2, crashes: 1, messagesPerSec: 20 });
    const straight = frameOf([reading(1, before), reading(2, after)], CONTEXT).shards[0];
    expect(straight).toMatchObject({ cpu: null, messagesPerSec: 30 });
  });

  it('are not known where the kernel does not say', () => {
    const without = { shards: [shardReading({ cpu: null })], dispatcher: { isRunning: true, threadId: 0, cpu: null } };
    const frame = frameOf([reading(1, without), reading(2, without)], CONTEXT);
    expect(frame.shards[0]).toMatchObject({ cpu: null, waiting: null });
    expect(frame.dispatcher).toEqual({ isRunning: true, cpu: null, waiting: null });
    expect(frame.main).toMatchObject({ isRunning: true, cpu: null });
  });
});

describe('talkers', () => {
  const from = (address: string, weight: number, port = 5060, excess = 0) => ({ address, port, weight, excess });

  it('are the sum of the seconds, without what may be too much, the loudest first', () => {
    const readings = [
      reading(1),
      reading(2),
      reading(3, { topSources: [from('192.0.2.1', 100), from('192.0.2.2', 50, 5070, 20)] }),
      reading(4, { topSources: [from('192.0.2.1', 200, 5061)] }),
    ];
    expect(frameOf(readings, CONTEXT).talkers).toEqual([
      { address: '192.0.2.1', port: null, perSec: 150, share: 0.9091 },
      { address: '192.0.2.2', port: 5070, perSec: 15, share: 0.0909 },
    ]);
  });

  it('have several ports where one second had', () => {
    const readings = [reading(1), reading(2), reading(3, { topSources: [from('192.0.2.1', 9, MANY_PORTS)] })];
    expect(frameOf(readings, CONTEXT).talkers![0]!.port).toBeNull();
  });

  it('are none in the first seconds, and a dozen at the most', () => {
    const many = Array.from({ length: 40 }, (_, i) => from(`192.0.2.${i}`, i + 1));
    expect(frameOf([reading(1), reading(2, { topSources: many })], CONTEXT).talkers).toEqual([]);
    const talkers = frameOf([reading(1), reading(2), reading(3, { topSources: many })], CONTEXT).talkers!;
    expect(talkers).toHaveLength(12);
    expect(talkers[0]).toMatchObject({ address: '192.0.2.39', perSec: 40 });
  });
});
