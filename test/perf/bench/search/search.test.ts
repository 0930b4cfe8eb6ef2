import { describe, expect, it } from 'vitest';
import type { Contestant, Turn } from '../../../../perf/bench/result.ts';
import { exitCodeOfSearch } from '../../../../perf/bench/search/bench-search.ts';
import { RFC_PARAMETERS } from '../../../../perf/bench/search/establishment-rate.ts';
import {
  type Device,
  type Display,
  type SearchOptions,
  searchAll,
  type Testbed,
  type TrialOrder,
} from '../../../../perf/bench/search/search.ts';
import { parseTestCases } from '../../../../perf/bench/search/test-cases.ts';

const CONTESTANT: Contestant = {
  name: 'simulated',
  role: 'subject',
  version: null,
  command: null,
  target: 'sip:127.0.0.1:9',
};

const TURN: Turn = {
  contestant: CONTESTANT.name,
  round: 0,
  wallMs: 1000,
  exchanges: { started: 0, successful: 0, failed: 0, failuresByCause: {}, skipped: 0 },
  messages: { sent: 0, received: 0, retransmissions: 0 },
  delays: {},
  cpu: { serverNs: null, generatorNs: [], harnessNs: 0 },
  drops: { server: null, generator: 0 },
  receiveBufferBytes: { server: null, generator: null },
  residentKib: null,
  limitedBy: 'server',
  series: [],
};

/** Devices that fail beyond a rate; which were opened, what they were asked for, and how many are still up. */
class SimulatedTestbed implements Testbed {
  readonly orders: TrialOrder[] = [];
  readonly opened: string[] = [];
  upCount = 0;
  readonly #limitFor: (testCase: string) => number;

  constructor(limitFor: (testCase: string) => number) {
    this.#limitFor = limitFor;
  }

  async open({ id, hasDut }: { readonly id: string; readonly hasDut: boolean }): Promise<Device> {
    this.opened.push(id);
    this.upCount++;
    return {
      contestant: hasDut ? CONTESTANT : { ...CONTESTANT, name: 'baseline', role: 'baseline' },
      transport: 'UDP',
      connections: null,
      notes: ['Back end: none.'],
      run: async (order) => {
        this.orders.push(order);
        const failed = order.ratePerSec > this.#limitFor(order.testCase.id) ? 3 : 0;
        return {
          failed,
          wasOffered: true,
          attemptedPerSec: order.ratePerSec,
          limitedBy: 'server',
          failuresByCause: failed > 0 ? { timeout: failed } : {},
          retransmissions: 0,
          turn: TURN,
        };
      },
      [Symbol.asyncDispose]: async () => void this.upCount--,
    };
  }
}

function optionsFor(cases: string, changes: Partial<SearchOptions> = {}): SearchOptions {
  return {
    cases: parseTestCases(cases),
    parameters: { ...RFC_PARAMETERS, maxTrials: 200 },
    resolution: 0.01,
    sessionDurationSec: { plain: 0, media: 2 },
    establishmentThresholdSec: 32,
    reregistrationWaitSec: 0,
    ...changes,
  };
}

async function play(testbed: Testbed, options: SearchOptions) {
  const lines: string[] = [];
  const display: Display = { line: (text) => void lines.push(text), status: () => {} };
  const found = await searchAll(testbed, options, display);
  return { results: found.map(({ result }) => result), found, text: lines.join('\n') };
}

const valueIn = (form: readonly { row: string; value: string }[], label: string) =>
  form.find(({ row }) => row.startsWith(label))?.value;

describe('a search', () => {
  it('finds the 458 of the example in RFC 7502, Appendix A, and refines it apart', async () => {
    const { results, text } = await play(new SimulatedTestbed(() => 460), optionsFor('6.2'));
    expect(results).toMatchObject([{ testCase: '6.2', establishmentRatePerSec: 458, contestant: 'simulated' }]);
    const { refinedRatePerSec, trials } = results[0]!;
    expect(refinedRatePerSec).toBeGreaterThanOrEqual(458);
    expect(refinedRatePerSec).toBeLessThanOrEqual(460);
    expect(trials.filter(({ isRefinement }) => !isRefinement).at(-1)).toMatchObject({ hasPassed: true });
    expect(text).toContain('R = 458 a second by RFC 7502\n');
    expect(text).toContain("Refined by bisection, which is not the RFC's:");
  });

  it('fills in the form with what was set and what was found', async () => {
    const { results, text } = await play(new SimulatedTestbed(() => 460), optionsFor('6.2'));
    const { form, parameters, trials } = results[0]!;
    expect(valueIn(form, 'Session Establishment Rate')).toBe('458 sessions per second');
    expect(valueIn(form, 'Notes')).toContain('Back end: none.');
    const own = trials.filter(({ isRefinement }) => !isRefinement).length;
    expect(parameters['Total Sessions Attempted']).toBe(`50000 (N) in each trial, ${50_000 * own} in ${own} trials`);
    expect(parameters['Traffic increase weight (w)']).toBe('0.1');
    expect(text).toContain('RFC 7502 5.1  Test Setup Report');
  });

  it('says why trials failed', async () => {
    const { text } = await play(new SimulatedTestbed(() => 460), optionsFor('6.2'));
    expect(text).toContain('failed: 3 of 50000 (timeout 3)');
  });

  it('plays each case on a device of its own, and leaves none up', async () => {
    const testbed = new SimulatedTestbed(() => 460);
    const { results } = await play(testbed, optionsFor('6.1,6.2,6.3,extra'));
    expect(testbed.opened).toEqual(['6.1', '6.2', '6.3', 'extra']);
    expect(results.map(({ testCase }) => testCase)).toEqual(testbed.opened);
    expect(testbed.upCount).toBe(0);
  });

  it('ends the device when a trial cannot be made', async () => {
    const testbed = new SimulatedTestbed(() => {
      throw new Error('SIPp is gone');
    });
    await expect(play(testbed, optionsFor('6.2'))).rejects.toThrow('SIPp is gone');
    expect(testbed.upCount).toBe(0);
  });

  it('holds sessions with media only, unless told otherwise', async () => {
    const testbed = new SimulatedTestbed(() => 460);
    await play(testbed, optionsFor('6.2,6.3'));
    const secOf = (id: string) =>
      new Set(testbed.orders.filter(({ testCase }) => testCase.id === id).map((o) => o.sessionDurationSec));
    expect(secOf('6.2')).toEqual(new Set([0]));
    expect(secOf('6.3')).toEqual(new Set([2]));
  });

  it('names the testbed as the limit of a device that reaches the baseline (6.1)', async () => {
    const { results } = await play(new SimulatedTestbed(() => 460), optionsFor('6.1,6.2'));
    expect(results[1]!.limitedBy).toBe('generator');
    expect(exitCodeOfSearch(results)).toBe(3);
  });

  it('names the device as the limit where the baseline is far above', async () => {
    const { results } = await play(new SimulatedTestbed((id) => (id === '6.1' ? 4600 : 460)), optionsFor('6.1,6.2'));
    expect(results[1]!.limitedBy).toBe('server');
    expect(exitCodeOfSearch(results)).toBe(0);
  });

  it('labels the stateless proxy as no benchmark of the RFC', async () => {
    const { results, text } = await play(new SimulatedTestbed(() => 460), optionsFor('extra'));
    expect(text).toContain('EXTRA ROW beside RFC 7502');
    expect(text).not.toContain('RFC 7502 extra');
    expect(valueIn(results[0]!.form, 'Notes')).toMatch(/^EXTRA ROW, not a benchmark of RFC 7502/);
  });

  it('finds nothing where every rate fails, and fails for it', async () => {
    const { results, found, text } = await play(new SimulatedTestbed(() => 0), optionsFor('6.2'));
    expect(results[0]).toMatchObject({ establishmentRatePerSec: 0, refinedRatePerSec: null });
    expect(found[0]!.turn).toBeNull();
    expect(text).toContain('R was not found');
    expect(exitCodeOfSearch(results)).toBe(1);
  });

  it('doubts a rate that did not have to last', async () => {
    const short = optionsFor('6.2', { parameters: { ...RFC_PARAMETERS, sessions: 458, maxTrials: 200 } });
    const { results } = await play(new SimulatedTestbed(() => 460), short);
    expect(valueIn(results[0]!.form, 'Notes')).toContain('At R, N sessions take only 1.0 s');
    const long = await play(new SimulatedTestbed(() => 460), optionsFor('6.2'));
    expect(valueIn(long.results[0]!.form, 'Notes')).not.toContain('take only');
  });
});

describe('registrations (6.7, 6.8)', () => {
  it('never registers an AoR twice in 6.7, and those of its last passed trial again in 6.8', async () => {
    const testbed = new SimulatedTestbed((id) => (id === '6.8' ? 300 : 460));
    const { results } = await play(testbed, optionsFor('6.8'));
    const prefixesOf = (id: string) => testbed.orders.filter((o) => o.testCase.id === id).map((o) => o.userPrefix);
    const first = prefixesOf('6.7');
    expect(new Set(first).size).toBe(first.length);
    const passed = testbed.orders.filter((o) => o.testCase.id === '6.7' && o.ratePerSec <= 460).at(-1)!;
    expect(new Set(prefixesOf('6.8'))).toEqual(new Set([passed.userPrefix]));
    expect(testbed.opened).toEqual(['6.7']);
    expect(valueIn(results[1]!.form, 'Registration Rate')).toBe('458 registrations per second');
    expect(valueIn(results[1]!.form, 'Re-registration Rate')).toMatch(/^(?:29\d|300) registrations per second$/);
  });

  it('says so where less than five minutes lie in between', async () => {
    const { results } = await play(new SimulatedTestbed(() => 460), optionsFor('6.8'));
    expect(valueIn(results[1]!.form, 'Notes')).toContain('the RFC wants 300 to 600 s');
  });

  it('leaves 6.8 out where nobody is registered', async () => {
    const { results, text } = await play(new SimulatedTestbed(() => 0), optionsFor('6.8'));
    expect(results.map(({ testCase }) => testCase)).toEqual(['6.7']);
    expect(text).toContain('RFC 7502 6.8 is left out');
  });
});
