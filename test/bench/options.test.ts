/** What `strowger bench` makes of its command line. */

import { describe, expect, it } from 'vitest';
import { commandLineOf } from '../../perf/bench/command.ts';
import { type BenchOptions, OptionsError, readOptions, readTarget } from '../../perf/bench/options.ts';
import { apportion } from '../../perf/bench/turn.ts';

function read(values: Record<string, string> = {}, target?: string, serverArgs: string[] = []): Promise<BenchOptions> {
  return readOptions({ target, valueFor: (name) => values[name], has: () => false, serverArgs, words: [] });
}

describe('options', () => {
  it('without any are a closed loop of calls on a server of our own, the baseline first', async () => {
    const options = await read();
    expect(options).toMatchObject({
      scenario: 'call',
      subject: { kind: 'strowger' },
      against: null,
      rounds: 1,
      hasBaseline: true,
    });
    expect(options.load).toMatchObject({
      ratePerSec: null,
      window: 64,
      connections: 1,
      durationMs: 10_000,
      warmUpMs: 3000,
    });
  });

  it('compare in three rounds', async () => {
    const options = await read({ against: 'kamailio' });
    expect([options.against, options.rounds, options.load.durationMs]).toEqual([{ kind: 'kamailio' }, 3, 5000]);
    expect((await read({ against: 'server -p {port}' })).against).toEqual({
      kind: 'command',
      command: 'server -p {port}',
    });
  });

  it('at a rate let so many be in flight that a slow answer holds nothing up', async () => {
    expect((await read({ rate: '2000' })).load).toMatchObject({ ratePerSec: 2000, window: 8000 });
    expect((await read({ rate: '2000', hold: '1000' })).load.window).toBe(10_000);
    expect((await read({ rate: '1' })).load.window).toBe(1000);
  });

  it('with an amount have no warm-up', async () => {
    expect((await read({ amount: '20' })).load).toMatchObject({ amount: 20, warmUpMs: 0 });
  });

  it('take a target by address or name', async () => {
    expect((await read({}, 'sip:127.0.0.1:5080')).subject).toEqual({
      kind: 'running',
      at: { host: '127.0.0.1', port: 5080 },
    });
    expect((await read({}, 'localhost')).subject).toMatchObject({ kind: 'running', at: { port: 5060 } });
  });

  it.each<[string, Record<string, string>, string?, string[]?]>([
    ['--rate is a number from 0.01 to 1000000, not fast', { rate: 'fast' }],
    ['--rate is a number from 0.01 to 1000000, not 0', { rate: '0' }],
    ['--users is a whole number, not 1.5', { users: '1.5' }],
    ['--amount and --duration say twice when to end', { amount: '5', duration: '1' }],
    ['--warmup goes with --duration', { amount: '5', warmup: '1' }],
    ['--transport tcp is not measured, only udp', { transport: 'tcp' }],
    ['--window 3 is less than one exchange for each of 5 SIPp processes', { scenario: 'mix', window: '3' }],
    ['--users 1 is less than one for each of 2 SIPp processes', { scenario: 'mix', users: '1' }],
    ['there is no scenario cal: it is one of call, cancel', { scenario: 'cal' }],
    ['--against is kamailio, or a command that starts a server, with {port}', { against: 'opensips' }],
    ['--uas is sipp or none, not some', { uas: 'some' }],
    ['sip:a b is no target', {}, 'sip:a b'],
    ['nowhere.invalid has no address here', {}, 'sip:nowhere.invalid'],
    ['--mode, --workers and --set are for a server that is started here', {}, 'sip:127.0.0.1', ['--workers', '2']],
  ])('refuse in one line: %s', async (line, values, target, serverArgs) => {
    const refusal = await read(values, target, serverArgs).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(OptionsError);
    expect((refusal as Error).message).toContain(line);
    expect((refusal as Error).message).not.toContain('\n');
  });
});

describe('a target', () => {
  it.each([
    ['sip:example.org', 'example.org', 5060],
    ['example.org:5080', 'example.org', 5080],
    ['sip:[2001:db8::1]:5070', '2001:db8::1', 5070],
  ])('%s is %s port %d', (text, host, port) => expect(readTarget(text)).toEqual({ host, port }));

  it.each(['sips:example.org', 'sip:alice@example.org', 'sip:example.org:0', 'sip:example.org:70000', ''])(
    '%j is none',
    (text) => expect(() => readTarget(text)).toThrow(OptionsError),
  );
});

it('shares of a mix are whole and add up', () => {
  expect(apportion(10, [0.25, 0.15, 0.05, 0.3, 0.25])).toEqual([3, 1, 1, 3, 2]);
  expect(apportion(2, [0.25, 0.15, 0.05, 0.3, 0.25]).reduce((a, b) => a + b)).toBe(2);
});

it('the command line of a result can be pasted into a shell', () => {
  expect(commandLineOf(['sip:127.0.0.1:5060', '--title', "it's"])).toBe(
    "strowger bench sip:127.0.0.1:5060 --title 'it'\\''s'",
  );
});
