/** The log: lines for people, one line per distinct error, levels. */

import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { DistinctErrors } from '../../src/observe/distinct-errors.ts';
import { type LogLevel, type LogLevels, openServerLog, prettyLine } from '../../src/runtime/log.ts';

describe('a pretty line', () => {
  it('has time, level, message and fields', () => {
    const event = { level: 'warn', ts: '2026-01-02T03:04:05.678Z', shard: 2, call_id: 'a b', msg: 'shed' };
    expect(prettyLine(JSON.stringify(event))).toBe('03:04:05.678 WARN  shed  shard=2 call_id="a b"\n');
  });

  it('has the stack of an error below it', () => {
    const event = {
      level: 'error',
      ts: '2026-01-02T03:04:05.678Z',
      err: { message: 'm', stack: 'Error: m\n at x' },
      msg: 'died',
    };
    expect(prettyLine(JSON.stringify(event))).toBe('03:04:05.678 ERROR died\n  Error: m\n   at x\n');
  });

  it('never carries control characters of the network to the terminal', () => {
    const event = { level: 'info', ts: '', msg: 'from \u001b[2J\r\n', tag: '\u001b[31m' };
    expect(prettyLine(JSON.stringify(event))).toBe(' INFO  from \\x1b[2J\\x0d\\x0a  tag="\\u001b[31m"\n');
  });

  it('passes on what is not JSON', () => {
    expect(prettyLine('plain\n')).toBe('plain\n');
  });
});

function openLog(level: LogLevel = 'info') {
  const lines: Record<string, unknown>[] = [];
  const state = { nowMs: 0, ended: 0 };
  const errors = new DistinctErrors(() => 0);
  const sink = { write: (text: string) => void lines.push(JSON.parse(text)), end: () => state.ended++, lostLines: 3 };
  const serverLog = openServerLog(
    { level, format: 'json' },
    errors,
    () => sink,
    () => state.nowMs,
  );
  onTestFinished(() => serverLog.end());
  return { serverLog, lines, state, errors };
}

describe('the log of the server', () => {
  it('says an error once, and its repetitions with their count a minute later', () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const { serverLog, lines, state, errors } = openLog();
    const { log } = serverLog;
    const fail = (attempt: number) => log.warn({ err: new Error('ECONNREFUSED'), attempt }, 'the store fails');
    for (let attempt = 1; attempt <= 5; attempt++) fail(attempt);
    log.warn({ err: new Error('EACCES') }, 'the store fails');
    log.info('that is no error');
    log.info('that is no error');
    expect(lines.map(({ msg, attempt }) => [msg, attempt])).toEqual([
      ['the store fails', 1],
      ['the store fails', undefined],
      ['that is no error', undefined],
      ['that is no error', undefined],
    ]);
    state.nowMs = 60_000;
    vi.advanceTimersByTime(10_000);
    expect(lines.at(-1)).toMatchObject({ level: 'warn', msg: 'the store fails', attempt: 5, count: 4 });
    expect(errors.recent()).toMatchObject([{ kind: 'the store fails', count: 6 }]);
  });

  it('says of shards, and of files, each by itself', () => {
    const { serverLog, lines } = openLog();
    for (const shard of [0, 1, 0]) serverLog.log.error({ shard }, 'shard crashed');
    for (const vector of ['a.sip', 'b.sip']) serverLog.log.error({ shard: 0, vector }, 'shard crashed');
    expect(lines.map(({ shard, vector }) => [shard, vector])).toEqual([
      [0, undefined],
      [1, undefined],
      [0, 'a.sip'],
      [0, 'b.sip'],
    ]);
  });

  it('leaves alone what counts by itself', () => {
    const { serverLog, lines, errors } = openLog();
    for (const total of [7, 9]) {
      serverLog.log.warn({ counter: 'jumbo_exhausted_total', count: 2, total }, 'raise limits.jumboSlots');
    }
    expect(lines).toHaveLength(2);
    expect(errors.recent()).toMatchObject([
      {
        kind: 'jumbo_exhausted_total',
        count: 4,
        hint: 'raise limits.jumboSlots',
        text: expect.stringMatching(/Jumbo/),
      },
    ]);
  });

  it('has levels that can be changed, for all and for a part', () => {
    const { serverLog, lines } = openLog();
    const calls = serverLog.log.child({ module: 'calls', shard: 1 });
    const say = () => {
      lines.length = 0;
      serverLog.log.debug('server');
      calls.debug('calls');
      serverLog.log.child({ module: 'calls' }).debug('later child');
      return lines.map(({ msg }) => msg);
    };
    expect(say()).toEqual([]);
    serverLog.setLevel('debug', 'calls');
    expect(say()).toEqual(['calls', 'later child']);
    expect(serverLog.levels).toEqual({ level: 'info', modules: { calls: 'debug' } });
    serverLog.setLevel('debug', null);
    serverLog.setLevel('error', 'calls');
    expect(say()).toEqual(['server']);
    serverLog.setLevel(null, 'calls');
    expect(say()).toEqual(['server', 'calls', 'later child']);
    expect(serverLog.levels).toEqual({ level: 'debug', modules: {} });
  });

  it('takes the level of its logger, as a reload sets it, for that of all, and tells who wants to know', () => {
    const { serverLog, lines } = openLog();
    const calls = serverLog.log.child({ module: 'calls' });
    const bans = serverLog.log.child({ module: 'bans' });
    const told: LogLevels[] = [];
    serverLog.whenLevels((levels) => told.push(levels));
    serverLog.setLevel('error', 'bans');
    serverLog.log.level = 'debug';
    for (const logger of [serverLog.log, calls, bans]) logger.debug('said');
    expect(lines.map(({ module }) => module)).toEqual([undefined, 'calls']);
    expect(told).toEqual([
      { level: 'info', modules: {} },
      { level: 'info', modules: { bans: 'error' } },
      { level: 'debug', modules: { bans: 'error' } },
    ]);
  });

  it('tells how many lines were lost, and ends with its sink', () => {
    const { serverLog, state } = openLog();
    expect(serverLog.lostLines).toBe(3);
    serverLog.end();
    expect(state.ended).toBe(1);
  });
});
