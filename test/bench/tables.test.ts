/** What a terminal shows of a result, from simulated ones of which all is known. */

import { describe, expect, it } from 'vitest';
import { exitCodeOf } from '../../perf/bench/command.ts';
import { ProgressLine } from '../../perf/bench/progress-line.ts';
import type { TurnProgress } from '../../perf/bench/run.ts';
import { renderTables } from '../../perf/bench/tables.ts';
import { type SimulatedContestant, STROWGER_AND_KAMAILIO, simulate } from './simulated-result.ts';

const LIMITED: SimulatedContestant = { ...STROWGER_AND_KAMAILIO[0]!, limitedBy: 'generator' };
const BASELINE: SimulatedContestant = {
  name: 'baseline',
  role: 'baseline',
  ratePerSec: 15_000,
  cpuUs: null,
  delayUs: 300,
};

function tables(contestants: readonly SimulatedContestant[], hasCurve = false, rounds = 3): string {
  return renderTables(simulate({ seed: 1, contestants, rounds }), { hasCurve, width: 80 });
}

describe('the tables', () => {
  it('show both servers side by side, with their ratio', () => {
    const text = tables([...STROWGER_AND_KAMAILIO, BASELINE]);
    for (const line of [
      /^ +calls\/s +messages\/s +retransmissions +failed +CPU per call +limited by$/m,
      /^ {2}Strowger +12,\d{3} \(1\d,\d{3} … 1\d,\d{3}\)/m,
      /^ {2}Kamailio +4,\d{3}/m,
      /^ {2}No server \(baseline\) +15,\d{3}/m,
      /^Session request delay/m,
      /^ +2\.5 % +50 % +97\.5 % +99 % +99\.9 % +99\.99 % +max$/m,
      /^ {2}Kamailio in multiples of Strowger$/m,
      /^ {2}CPU per call +3\.\d × \(/m,
    ]) {
      expect(text).toMatch(line);
    }
  });

  it('tell of a limit of the load as a lower bound', () => {
    const text = tables([LIMITED]);
    expect(text).toMatch(/completed\s+at\s+least\s+12,/);
    expect(text).toMatch(/^warning: Strowger: in 3 of 3 rounds the limit was the load generator\./m);
  });

  it('name why calls failed', () => {
    const text = tables([{ ...STROWGER_AND_KAMAILIO[0]!, failureShare: 0.1 }]);
    expect(text).toMatch(/^ +why it failed +how many$/m);
  });

  it('tell the whole curve downwards', () => {
    expect(tables([...STROWGER_AND_KAMAILIO], true)).toMatch(/^ {2}99\.999 % +\S+/m);
    expect(tables([...STROWGER_AND_KAMAILIO])).not.toContain('99.999 %');
  });

  it('break sentences to the width of the terminal', () => {
    const sentences = tables([LIMITED])
      .split('\n')
      .filter((line) => /^(?:warning|Strowger)/.test(line));
    expect(sentences.length).toBeGreaterThan(0);
    expect(Math.max(...sentences.map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

describe('the exit code', () => {
  const of = (...contestants: SimulatedContestant[]) => exitCodeOf(simulate({ seed: 1, contestants, rounds: 1 }));

  it('is 0 where all went well', () => expect(of(...STROWGER_AND_KAMAILIO)).toBe(0));
  it('is 1 after failed calls, whoever failed', () => {
    expect(of({ ...LIMITED, failureShare: 0.1 })).toBe(1);
    expect(of(STROWGER_AND_KAMAILIO[0]!, { ...STROWGER_AND_KAMAILIO[1]!, failureShare: 0.1 })).toBe(1);
  });
  it('is 3 where the load was the limit of the server that the run is about', () => {
    expect(of(LIMITED)).toBe(3);
    expect(of(STROWGER_AND_KAMAILIO[0]!, { ...STROWGER_AND_KAMAILIO[1]!, limitedBy: 'generator' })).toBe(0);
  });
});

describe('progress', () => {
  const progress: TurnProgress = {
    contestant: 'kamailio',
    role: 'against',
    round: 1,
    rounds: 3,
    totalMs: 8000,
    phase: 'measuring',
    elapsedMs: 4010,
    successful: 4000,
    failed: 0,
    ratePerSec: 999.6,
    serverCpuShare: 0.31,
    generatorCpuShare: 0.42,
  };

  function shown(isTTY: boolean, columns: number, ...all: TurnProgress[]): string {
    let text = '';
    const line = new ProgressLine({ isTTY, columns, write: (more) => (text += more) }, ['call', 'calls']);
    for (const one of all) line.show(one);
    line.end();
    return text;
  }

  it('is one line on a terminal, drawn over and gone at the end', () => {
    expect(shown(true, 200, progress)).toBe(
      '\r\x1b[2Kkamailio, round 2 of 3  ██████████░░░░░░░░░░  measuring 4 s  1,000 calls/s  4,000 so far  server 31 %  SIPp 42 %\r\x1b[2K',
    );
    expect(shown(true, 200, { ...progress, failed: 1 })).toContain('1 failure ');
  });

  it('fits the terminal, or it would not be one line', () => {
    expect(shown(true, 40, progress).split('\r\x1b[2K')[1]).toHaveLength(39);
  });

  it('is a line for each turn in a log', () => {
    expect(shown(false, 80, progress, { ...progress, elapsedMs: 5000 }, { ...progress, round: 2 })).toBe(
      'kamailio, round 2 of 3 …\nkamailio, round 3 of 3 …\n',
    );
  });
});
