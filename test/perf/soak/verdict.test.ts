/** What a soak's result must not say, and who is to blame for a failed call. */

import { describe, expect, it } from 'vitest';
import type { StatRow } from '../../../perf/bench/sipp-traces.ts';
import { begunBetween, type FailedCall, type Kill, killThatTook, namedCalls } from '../../../perf/soak/failed-calls.ts';
import { contradictions, readScrape, sumOf } from '../../../perf/soak/metrics-text.ts';
import type { Sample, SoakResult } from '../../../perf/soak/result.ts';
import { growthOf, problemsOf } from '../../../perf/soak/verdict.ts';

const KILL: Kill = { atMs: 100_000, shard: 1, way: 'datagram', backAtMs: 100_200 };
const row = (atMs: number, started: number): StatRow => ({
  ...{ atMs, started, successful: 0, failed: 0, retransmissions: 0, causes: {} },
});
const failed = (shard: number, ...begunMs: [number, number]): FailedCall => ({
  callId: '1-2@a',
  shard,
  begunMs,
  why: '',
  isRefused: false,
});

function samplesOf(rss: readonly number[]): Sample[] {
  const zero = { started: 0, failed: 0, retransmissions: 0, transactions: 0, keptMessages: 0, keptMb: 0, slotsFree: 0 };
  const none = { reloads: 0, kills: 0, serverCpus: 0, loadCpus: 0, busyCpus: 0 };
  return rss.map((rssMb, i) => ({ atSec: i * 10, rssMb, ...zero, ...none }));
}

const GOOD: Omit<SoakResult, 'problems'> = {
  format: 'strowger-soak/1',
  startedAt: '2026-01-01T00:00:00.000Z',
  machine: {
    ...{ cpu: 'a', cores: 2, memoryMib: 1, kernel: 'k', node: 'n', nodeFlags: [], revision: null, sippVersion: null },
  },
  command: '',
  settings: {
    ...{ minutes: 60, callsPerSec: 10, capacityPerSec: null, shards: 2, domains: 1 },
    ...{ reloadEverySec: 60, killEverySec: 300, scrapeEverySec: 1 },
  },
  samples: samplesOf([100, 200, 300, 400, 400, 400, 401, 400, 402]),
  calls: { started: 10, successful: 9, failed: 1, refused: 1, retransmissions: 3 },
  kills: [{ ...KILL, lostCalls: 2 }],
  otherFailures: [],
  reloads: { count: 1, longestPauseMs: 1 },
  scrapes: { count: 1, medianMs: 1, longestMs: 1 },
  counters: { strowger_datagrams_sent_total: 5, strowger_shard_crashes_total: 1, strowger_late_responses_total: 1 },
  rest: { transactions: 0, keptMessages: 0, slotsMissing: 0, jumboSlotsMissing: 0, parked: 0, afterSec: 40 },
  exitCode: 0,
};

describe('the verdict', () => {
  it('has nothing against a run in which only the calls of killed shards failed', () => {
    expect(problemsOf(GOOD)).toEqual([]);
  });

  it.each([
    ['a call that nobody killed', { otherFailures: [failed(0, 1, 2)] }, /shard 0, which nobody killed/],
    ['a failed call without a name', { calls: { ...GOOD.calls, started: 11, failed: 2 } }, /1 more calls failed/],
    ['a call without an end', { calls: { ...GOOD.calls, started: 11 } }, /1 calls came to no end/],
    [
      'a counter of trouble',
      { counters: { ...GOOD.counters, strowger_send_errors_total: 4 } },
      /send_errors_total is 4/,
    ],
    ['a counter it never heard of', { counters: { ...GOOD.counters, strowger_new_total: 1 } }, /new_total is 1/],
    ['a crash of its own', { counters: { ...GOOD.counters, strowger_shard_crashes_total: 2 } }, /2 shards crashed/],
    ['a transaction that stays', { rest: { ...GOOD.rest, transactions: 1 } }, /transactions is 1, 40 s after/],
    ['a slot that is gone', { rest: { ...GOOD.rest, slotsMissing: 2 } }, /slotsMissing is 2/],
    ['memory that grows', { samples: samplesOf([100, 200, 300, 400, 410, 420, 430, 440, 450]) }, /RSS grew by 7.3 %/],
    ['a bad end', { exitCode: 1 }, /exit code 1/],
  ])('has %s', (_, difference, words) => {
    const problems = problemsOf({ ...GOOD, ...difference });
    expect(
      problems.some((line) => words.test(line)),
      problems.join('\n'),
    ).toBe(true);
  });

  it('has late responses where no shard was killed, too, but no crash', () => {
    const counters = { strowger_late_responses_total: 1, strowger_timeouts_total: 1 };
    const calls = { ...GOOD.calls, successful: 10, failed: 0, refused: 0 };
    expect(problemsOf({ ...GOOD, kills: [], calls, counters })).toEqual([
      'strowger_timeouts_total is 1, which nothing explains',
    ]);
  });

  it('does not count the first third as growth', () => {
    expect(growthOf(samplesOf([1, 50, 100, 200, 200, 200, 202, 202, 202]))).toBeCloseTo(0.01);
  });
});

describe('a failed call', () => {
  it('is named by the error trace, whose entries may lack their end of line', () => {
    const entry = (words: string) => `2026-11-29\t21:34:40.843301\t1795988080.843301: ${words}`;
    const timeout = (callId: string) =>
      `Call-Id: ${callId}, receive timeout on message x:3 without label: aborting call`;
    const errors = [
      'The following events occurred:\n',
      entry(timeout('1461-4841@127.0.0.1')),
      entry(timeout('1462-4841@127.0.0.1')),
      entry(
        "Continuing call on unexpected message for Call-Id '7-4841@127.0.0.1': while expecting '100', received 'SIP/2.0 180\n",
      ),
      entry(
        "Continuing call on unexpected message for Call-Id '6-4841@127.0.0.1': while expecting '100', received 'SIP/2.0 503 Busy\n",
      ),
      entry(
        "Continuing call on unexpected message for Call-Id '5-4841@127.0.0.1': while expecting '100', received 'SIP/2.0 503 Busy\n",
      ),
      entry(timeout('5-4841@127.0.0.1')),
      'Call-ID: 8-4841@127.0.0.1\n',
      entry("Aborting call on UDP retransmission timeout for Call-ID '9-4841@127.0.0.1'\n"),
    ].join('');
    const named = namedCalls(errors);
    expect(Array.from(named, ([callId, { isRefused }]) => [Number.parseInt(callId, 10), isRefused])).toEqual([
      [1461, false],
      [1462, false],
      [6, true],
      [5, false],
      [9, false],
    ]);
    expect(named.get('1462-4841@127.0.0.1')!.why).toMatch(/^Call-Id: 1462-.*receive timeout/);
  });

  it('was begun when its number came up', () => {
    const rows = [row(1000, 5), row(1500, 9), row(2000, 20)];
    expect(begunBetween('5-1@a', rows)).toEqual([0, 1000]);
    expect(begunBetween('10-1@a', rows)).toEqual([1500, 2000]);
    expect(begunBetween('21-1@a', rows)).toEqual([2000, Number.POSITIVE_INFINITY]);
  });

  it('is lost with its shard if that had it, and not otherwise', () => {
    expect(killThatTook(failed(1, 99_500, 100_000), [KILL])).toBe(KILL);
    expect(killThatTook(failed(1, 100_100, 100_600), [KILL])).toBe(KILL);
    expect(killThatTook(failed(0, 99_500, 100_000), [KILL])).toBeNull();
    expect(killThatTook(failed(1, 90_000, 90_500), [KILL])).toBeNull();
    expect(killThatTook(failed(1, 101_500, 102_000), [KILL])).toBeNull();
  });
});

describe('a scrape', () => {
  const text = (calls: number) =>
    `# TYPE a_total counter\na_total{thread="x"} ${calls}\na_total{thread="y"} 2\n# TYPE b gauge\nb NaN\n`;

  it('is read', () => {
    expect(sumOf(readScrape(text(3)), 'a_total')).toBe(5);
    expect(sumOf(readScrape(text(3)), 'a_total', 'thread="y"')).toBe(2);
  });

  it.each([
    ['cut off', 'a 1'],
    ['without a type', 'a 1\n'],
    ['without a number', '# TYPE a gauge\na one\n'],
    ['with a sample twice', '# TYPE a gauge\na 1\na 1\n'],
  ])('is refused %s', (_, broken) => {
    expect(() => readScrape(broken)).toThrow();
  });

  it('contradicts the one before if a counter falls or a sample is gone', () => {
    expect(contradictions(readScrape(text(3)), readScrape(text(4)))).toEqual([]);
    expect(contradictions(readScrape(text(3)), readScrape(text(2)))).toEqual(['a_total{thread="x"} fell from 3 to 2']);
    expect(contradictions(readScrape(text(3)), readScrape('# TYPE b gauge\nb 1\n'))).toHaveLength(2);
  });
});
