/** Results as the harness writes them, from a seeded simulation: what is true of them is known, so that tests can say what a
 *  page must show and what a comparison must find. */

import { build, encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import {
  type BenchResult,
  type Contestant,
  type Delay,
  type DelayName,
  type LimitedBy,
  RESULT_FORMAT,
  type Sample,
  type SearchResult,
  type SearchTrial,
  type Turn,
} from '../../perf/bench/result.ts';

export interface SimulatedContestant {
  readonly name: string;
  readonly role: Contestant['role'];
  readonly version?: string | null;
  readonly ratePerSec: number;
  readonly cpuUs: number | null;
  /** Median of the main delay. */
  readonly delayUs: number;
  readonly limitedBy?: LimitedBy;
  /** 0 … 1. */
  readonly failureShare?: number;
}

export interface Simulation {
  readonly seed: number;
  readonly contestants: readonly SimulatedContestant[];
  readonly rounds: number;
  readonly title?: string | null;
  readonly scenario?: string;
  readonly delays?: readonly DelayName[];
  /** Standard deviation between rounds, as a share. */
  readonly noise?: number;
  /** What all of the machine is slower by in this run, as a factor. */
  readonly slowness?: number;
  readonly durationSec?: number;
  /** Values in each histogram; more would only take longer. */
  readonly histogramSize?: number;
  readonly ratePerSec?: number | null;
  readonly search?: readonly SearchResult[] | null;
  readonly warnings?: readonly string[];
}

/** What a mean delay is multiplied by for the others. */
const DELAY_FACTORS: { readonly [name in DelayName]: number } = {
  sessionRequest: 1,
  registrationRequest: 1,
  response: 1,
  setup: 1.6,
  sessionDisconnect: 0.8,
};

export const STROWGER_AND_KAMAILIO: readonly SimulatedContestant[] = [
  { name: 'strowger', role: 'subject', version: '0.1.0', ratePerSec: 12_400, cpuUs: 71, delayUs: 900 },
  { name: 'kamailio', role: 'against', version: '5.6.3', ratePerSec: 4_300, cpuUs: 221, delayUs: 2_900 },
];

export function simulate(simulation: Simulation): BenchResult {
  const { seed, contestants, rounds, scenario = 'call', ratePerSec = null } = simulation;
  const random = new Random(seed);
  const turns: Turn[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const contestant of contestants) turns.push(simulateTurn(contestant, round, simulation, random));
  }
  return {
    format: RESULT_FORMAT,
    title: simulation.title ?? null,
    startedAt: '2026-11-25T10:59:52.000Z',
    machine: {
      cpu: 'Imaginary CPU @ 3.00GHz',
      cores: 2,
      memoryMib: 7936,
      kernel: 'Linux 6.1.0',
      node: '26.10.0',
      nodeFlags: [],
      revision: 'c787fff',
      sippVersion: '3.6.1',
    },
    load: {
      scenario,
      generator: 'sipp',
      transport: 'udp',
      ratePerSec,
      window: ratePerSec === null ? 100 : null,
      connections: 1,
      users: null,
      durationMs: (simulation.durationSec ?? 10) * 1000,
      amount: null,
      warmUpMs: 2000,
      command: `strowger bench --scenario ${scenario} --against kamailio --duration 10`,
    },
    contestants: contestants.map(({ name, role, version = null }) => ({
      name,
      role,
      version,
      command: role === 'baseline' ? null : `${name} --listen udp:127.0.0.1:5080`,
      target: 'sip:127.0.0.1:5080',
    })),
    turns,
    search: simulation.search ?? null,
    warnings: simulation.warnings ?? [],
  };
}

function simulateTurn(
  { name, cpuUs, delayUs, failureShare = 0, limitedBy = 'server', ...contestant }: SimulatedContestant,
  round: number,
  {
    noise = 0.02,
    slowness = 1,
    durationSec = 10,
    histogramSize = 4000,
    delays = ['sessionRequest', 'setup', 'sessionDisconnect'],
    ratePerSec: asked,
  }: Simulation,
  random: Random,
): Turn {
  const luck = Math.exp(random.normal() * noise);
  const pace = (asked ?? contestant.ratePerSec / slowness) * (asked == null ? luck : 1);
  const series = Array.from({ length: durationSec }, (_, second): Sample => {
    const wobble = Math.exp(random.normal() * 0.03) * (second === 6 && round % 2 === 1 ? 0.8 : 1);
    const p50Us = Math.round((delayUs * slowness) / luck / wobble);
    return {
      atMs: (second + 1) * 1000,
      lengthMs: 1000,
      successful: Math.round(pace * wobble * (1 - failureShare)),
      failed: Math.round(pace * wobble * failureShare),
      retransmissions: 0,
      p50Us,
      p99Us: Math.round(p50Us * 3.2 * Math.exp(random.normal() * 0.1)),
      maxUs: p50Us * 9,
      serverCpuShare: cpuUs === null ? null : Math.min(1, (pace * wobble * cpuUs * slowness) / luck / 1e6),
      generatorCpuShare: Math.min(1, (pace * wobble * 55) / 1e6),
    };
  });
  const successful = series.reduce((sum, sample) => sum + sample.successful, 0);
  const failed = series.reduce((sum, sample) => sum + sample.failed, 0);
  const wallMs = durationSec * 1000;
  return {
    contestant: name,
    round,
    wallMs,
    exchanges: {
      started: successful + failed,
      successful,
      failed,
      failuresByCause:
        failed === 0 ? {} : { timeout: Math.ceil(failed * 0.7), 'unexpected 503': Math.floor(failed * 0.3) },
      skipped: 0,
    },
    messages: { sent: successful * 5, received: successful * 5, retransmissions: failed * 3 },
    delays: Object.fromEntries(
      delays.map((delay) => [
        delay,
        simulateDelay(((delayUs * slowness) / luck) * DELAY_FACTORS[delay], histogramSize, asked != null, random),
      ]),
    ),
    cpu: {
      serverNs: cpuUs === null ? null : Math.round(((cpuUs * slowness) / luck) * successful * 1000),
      generatorNs: [
        { name: 'UAC', ns: Math.round(successful * 30_000) },
        { name: 'UAS', ns: Math.round(successful * 25_000) },
      ],
      harnessNs: wallMs * 1e6 * 0.02,
    },
    drops: { server: cpuUs === null ? null : 0, generator: 0 },
    receiveBufferBytes: { server: 8_388_608, generator: 4_194_304 },
    residentKib: cpuUs === null ? null : { begin: 92_000, end: 93_400 },
    limitedBy,
    series,
  };
}

/** Log-normal with a heavier tail: one in 500 takes five to ten times as long. */
function simulateDelay(medianUs: number, size: number, isCorrected: boolean, random: Random): Delay {
  const values: number[] = [];
  for (let i = 0; i < size; i++) {
    const tail = random.uniform() < 0.002 ? 5 + 5 * random.uniform() : 1;
    values.push(Math.max(1, Math.round(medianUs * Math.exp(random.normal() * 0.45) * tail)));
  }
  return delayOf(values, isCorrected);
}

/** What the harness writes of these values, in microseconds. */
export function delayOf(valuesUs: readonly number[], isCorrected = false): Delay {
  const histogram = build({ bitBucketSize: 64, numberOfSignificantValueDigits: 3, autoResize: true });
  for (const value of valuesUs) histogram.recordValue(value);
  const percentiles = ['2.5', '50', '75', '90', '97.5', '99', '99.9', '99.99'];
  return {
    count: valuesUs.length,
    minUs: valuesUs.reduce((a, b) => Math.min(a, b), Infinity),
    maxUs: valuesUs.reduce((a, b) => Math.max(a, b), 0),
    meanUs: valuesUs.reduce((a, b) => a + b, 0) / valuesUs.length,
    percentilesUs: Object.fromEntries(percentiles.map((p) => [p, histogram.getValueAtPercentile(Number(p))])),
    histogram: encodeIntoCompressedBase64(histogram),
    isCorrected,
  };
}

/** A search as RFC 7502 4.10 makes it, of a server that fails above `limitPerSec`. */
export function simulateSearch(limitPerSec: number): SearchResult {
  const trials: SearchTrial[] = [];
  const sessions = 50_000;
  let [rate, best, weight, decrease, count] = [1000, 0, 0.1, 0.1, 0];
  while (count < 10 && trials.length < 200) {
    const failed = rate > limitPerSec ? Math.ceil((rate - limitPerSec) * 3) : 0;
    const hasPassed = failed === 0;
    trials.push({ ratePerSec: rate, attemptedPerSec: rate, sessions, failed, hasPassed, isRefinement: false });
    if (failed === 0) {
      if (rate > best) best = rate;
      else count++;
      rate = Math.floor(rate + weight * rate);
    } else {
      rate = Math.floor(rate - decrease * rate);
      decrease = Math.max(0.1, decrease / 2);
      weight = Math.max(0.1, weight / 2);
    }
  }
  return {
    parameters: {
      'SIP Transport Protocol': 'UDP',
      'Session Attempt Rate (sessions/s)': '1000',
      'Session Duration (s)': '0',
      'Total Sessions Attempted': String(sessions),
      'Media Streams per Session': '0',
      'Associated Media Protocol': '',
      Codec: '',
      'Establishment Threshold time (s)': '32',
    },
    trials,
    establishmentRatePerSec: best,
    refinedRatePerSec: Math.floor(limitPerSec * 0.998),
    form: [
      { row: 'Session Establishment Rate, "R" (sessions/s)', value: String(best) },
      { row: 'Is DUT acting as a media relay?', value: 'no' },
    ],
    contestant: 'strowger',
    testCase: '6.2',
    limitedBy: 'server',
  };
}

/** Mulberry32: small, seeded, good enough for noise. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 … 1. */
  uniform(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  }

  /** Mean 0, standard deviation 1. */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }
}
