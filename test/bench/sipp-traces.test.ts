/** What SIPp 3.6 writes down, read. The bytes are as it wrote them, with fewer columns. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  columnsOf,
  counterAt,
  readCountRow,
  readErrorCodes,
  readExchangeTimes,
  readResponseTimes,
  readStartMs,
  readStatRow,
} from '../../perf/bench/sipp-traces.ts';

const STAT_COLUMNS = columnsOf(
  'StartTime;CurrentTime;TotalCallCreated;SuccessfulCall(C);FailedCall(C);FailedMaxUDPRetrans(C);FailedTimeoutOnRecv(C);FailedUnexpectedMessage(C);Retransmissions(C);\n',
);
const STAT_ROW =
  '2026-11-25\t11:05:09.770881\t1795604709.770881;2026-11-25\t11:05:10.250000\t1795604710.250000;120;100;6;2;1;3;7;\n';

function bytes(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

describe('a row of -trace_stat', () => {
  it('has counters, and causes that add up where they are called alike', () => {
    expect(readStatRow(STAT_COLUMNS, STAT_ROW)).toEqual({
      atMs: 1795604710250,
      started: 120,
      successful: 100,
      failed: 6,
      retransmissions: 7,
      causes: { timeout: 3, 'unexpected message': 3 },
    });
    expect(readStartMs(STAT_COLUMNS, STAT_ROW)).toBeCloseTo(1795604709770.881, 2);
  });

  it('is none while SIPp still writes it', () => {
    expect(readStatRow(STAT_COLUMNS, STAT_ROW.slice(0, 90))).toBeNull();
    expect(readStatRow(STAT_COLUMNS, STAT_COLUMNS.join(';'))).toBeNull();
  });
});

it('a row of -trace_counts adds up what was sent and received, without retransmissions', () => {
  const columns = columnsOf('CurrentTime;1_INVITE_Sent;1_INVITE_Retrans;2_100_Recv;2_100_Unexp;3_180_Recv;\n');
  const row = '2026-11-25\t11:05:10.250000\t1795604710.250000;10;4;9;1;8;\n';
  expect(readCountRow(columns, row)).toEqual({ atMs: 1795604710250, sent: 10, received: 17 });
  expect(readCountRow(columns, '1;2\n')).toBeNull();
});

it('-trace_error_codes is counted by code from a time on', () => {
  const line = (second: number, codes: string) =>
    `2026-11-25\t11:05:${second}.000000\t17956047${second}.000000;2026-11-25\t11:05:${second}.5\t17956047${second}.5;${codes}\n`;
  const text = line(10, '503,503') + line(11, '404,503,') + line(12, '');
  expect(readErrorCodes(text)).toEqual({ 503: 3, 404: 1 });
  expect(readErrorCodes(text, 1795604711_000)).toEqual({ 503: 1, 404: 1 });
});

describe('the lines of our log actions', () => {
  it('become microseconds of the epoch, and what was not there NaN', () => {
    const text = '7;1795604710.000000;250.000000;;;1795604710.000000;900.000000\n';
    const { count, numbers, times } = readExchangeTimes(bytes(text), 3);
    expect([count, [...numbers], times.map((column) => [...column])]).toEqual([
      1,
      [7],
      [[1795604710000250], [Number.NaN], [1795604710000900]],
    ]);
  });

  it('are passed over when they are of another kind or not whole', () => {
    const good = '1;10.0;5.0\n';
    const { count, numbers } = readExchangeTimes(bytes(`${good}The following\n1;2\n3;10.0;5.0;6.0\n${good}4;10.`), 1);
    expect([count, [...numbers]]).toEqual([2, [1, 1]]);
  });

  it('survive the way there and back, whatever the times', () => {
    const time = fc.record({ sec: fc.nat(2 ** 31), usec: fc.nat(999_999) });
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1e9), time, time), { maxLength: 20 }), (lines) => {
        const cell = ({ sec, usec }: { sec: number; usec: number }) => `${sec}.000000;${usec}.000000`;
        const text = lines.map(([number, a, b]) => `${number};${cell(a)};${cell(b)}\n`).join('');
        const { count, numbers, times } = readExchangeTimes(bytes(text), 2);
        expect(count).toBe(lines.length);
        expect([...numbers]).toEqual(lines.map(([number]) => number));
        expect([...times[1]!]).toEqual(lines.map(([, , { sec, usec }]) => sec * 1e6 + usec));
      }),
    );
  });
});

it('-trace_rtt has milliseconds that count from the start', () => {
  const text = 'Date_ms;response_time_ms;rtd_no\n120.5;3;sessionRequest\n130;12;2\n';
  expect(readResponseTimes(text, 1000)).toEqual([
    { endMs: 1120.5, ms: 3, name: 'sessionRequest' },
    { endMs: 1130, ms: 12, name: '2' },
  ]);
});

describe('a counter between two rows', () => {
  const rows = [
    { atMs: 1000, n: 10 },
    { atMs: 1500, n: 30 },
  ];
  it.each([
    [900, 0],
    [1000, 10],
    [1250, 20],
    [1500, 30],
    [9000, 30],
  ])('at %d ms is %d', (atMs, n) => expect(counterAt(rows, atMs, (row) => row.n)).toBe(n));

  it('is 0 where there are no rows', () => expect(counterAt([], 5, () => 1)).toBe(0));
});
