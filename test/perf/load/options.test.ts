import { describe, expect, it } from 'vitest';
import { parseOptions, USAGE } from '../../../perf/load/options.ts';
import { SCENARIO_NAMES } from '../../../perf/load/scenarios.ts';

describe('command line of npm run perf', () => {
  it('has a whole run of OPTIONS by default, and what a scenario needs of warm-up', () => {
    const options = { scenario: 'options', rounds: 5, durationMs: 2000, warmUpMs: 1000, window: 64, rate: 0 };
    expect(parseOptions([])).toMatchObject({ ...options, wantsKamailio: true, json: null, isQuick: false });
    expect(parseOptions(['--scenario', 'call'])).toMatchObject({ warmUpMs: 3000 });
    expect(parseOptions(['--rate', '500'])).toMatchObject({ rate: 500, window: 4096 });
  });

  it('goes by UDP, or by so many connections of TCP', () => {
    expect(parseOptions([])).toMatchObject({ transport: 'udp' });
    expect(parseOptions(['--transport', 'tcp'])).toMatchObject({ transport: 'tcp', connections: 10, warmUpMs: 4000 });
    expect(parseOptions(['--transport', 'tcp', '--connections', '3'])).toMatchObject({ connections: 3 });
  });

  it('takes flags for the server as one word', () => {
    expect(parseOptions(['--server-args', '--set  a=b --workers 2'])!.serverArguments).toEqual([
      '--set',
      'a=b',
      '--workers',
      '2',
    ]);
    expect(parseOptions(['--no-kamailio'])!.wantsKamailio).toBe(false);
  });

  it('says in one line what cannot be meant', () => {
    const problem = (...argv: string[]) => {
      try {
        parseOptions(argv);
        return '';
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(problem('--scenario', 'fax')).toBe(`--scenario is one of ${SCENARIO_NAMES.join(', ')}, not "fax"`);
    expect(problem('--rounds', '0')).toBe('--rounds is a number from 1 to 1000, not "0"');
    expect(problem('--window', '1.5')).toBe('--window is a whole number, not "1.5"');
    expect(problem('--users', '')).toContain('--users is a number');
    expect(problem('--transport', 'sctp')).toBe('--transport is one of udp, tcp, not "sctp"');
    expect(problem('--connections', '91')).toBe('--connections is a number from 1 to 90, not "91"');
    expect(problem('--turns', '5')).toContain("Unknown option '--turns'");
  });

  it('has a manual that knows every scenario', () => {
    expect(parseOptions(['--help'])).toBeNull();
    for (const name of SCENARIO_NAMES) expect(USAGE).toContain(`\n  ${name} `);
  });
});
