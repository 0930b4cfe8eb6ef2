/** From the turns with 1 … n workers to the law, and to what a larger machine should do by it. Pure. */

import type { LimitedBy } from '../bench/result.ts';
import type { EngineResult } from '../load/engine-result.ts';
import { limitOf, messagesPerSec } from '../load/figures.ts';
import { type Spread, spreadOf, textOfSpread } from '../load/spread.ts';
import { textTable } from '../load/text-table.ts';
import { ceilingOf, fitScalabilityLaw, kneeOf, peakOf, type ScalabilityLaw, throughputOf } from './scalability-law.ts';
import {
  kernelUsPerMessage,
  messagesPerSecInSeries,
  messagesPerSecOverlapped,
  type Stage,
  type Stages,
  stagesOf,
  workersOfFullDispatcher,
} from './stages.ts';

/** One number of workers. */
export interface ScalePoint {
  readonly workers: number;
  readonly messagesPerSec: Spread;
  readonly stages: Stages;
  /** Of the server's CPUs, how many it kept busy. */
  readonly cpus: number;
  readonly limitedBy: readonly LimitedBy[];
  /** Whether each thread had a CPU of its own and the server was the limit, so that messages/s is what it can do. */
  readonly isParallel: boolean;
}

export interface Prediction {
  readonly law: ScalabilityLaw;
  /** `measured`: fitted to messages/s. `stages`: to what the CPU of each stage allows, because threads took turns on too few
   *  CPUs, or the load was the limit. */
  readonly basis: 'measured' | 'stages';
  readonly kneeWorkers: number;
  readonly peakWorkers: number;
  readonly ceilingPerSec: number;
  /** So many workers fill the dispatcher's CPU, by the stages of the smallest number of workers. */
  readonly fullDispatcherWorkers: number;
  /** A machine with so many cores: one worker fewer, as `workers: auto` has it. */
  readonly machines: readonly {
    readonly cores: number;
    readonly workers: number;
    readonly perSec: number;
    readonly overlappedPerSec: number;
  }[];
}

const PREDICTED_CORES = [4, 8, 16, 32, 64] as const;

export function pointOf(workers: number, results: readonly EngineResult[], serverCpus: number): ScalePoint {
  const limitedBy = results.map((result) => limitOf(result, 0, serverCpus));
  return {
    workers,
    messagesPerSec: spreadOf(results.map(messagesPerSec)),
    stages: stagesOf(results),
    cpus: results.reduce((sum, { serverCpuNs, wallMs }) => sum + serverCpuNs / 1e6 / wallMs, 0) / results.length,
    limitedBy,
    isParallel: serverCpus > workers && limitedBy.every((limit) => limit === 'server'),
  };
}

export function predict(points: readonly ScalePoint[]): Prediction {
  const basis = points.every(({ isParallel }) => isParallel) ? 'measured' : 'stages';
  const law = fitScalabilityLaw(
    points.map(({ workers, messagesPerSec, stages }) => ({
      workers,
      perSec: basis === 'measured' ? messagesPerSec.median : messagesPerSecInSeries(stages, workers),
    })),
  );
  const fewest = points.reduce((least, point) => (point.workers < least.workers ? point : least));
  return {
    law,
    basis,
    kneeWorkers: kneeOf(law),
    peakWorkers: peakOf(law),
    ceilingPerSec: ceilingOf(law),
    fullDispatcherWorkers: workersOfFullDispatcher(fewest.stages),
    machines: PREDICTED_CORES.map((cores) => ({
      cores,
      workers: cores - 1,
      perSec: throughputOf(law, cores - 1),
      overlappedPerSec: messagesPerSecOverlapped(fewest.stages, cores - 1),
    })),
  };
}

export function renderPoints(points: readonly ScalePoint[]): string {
  const cost = ({ usPerMessage, kernelShare }: Stage) => `${usPerMessage.toFixed(2)} (${percent(kernelShare)})`;
  const rows = points.map(({ workers, messagesPerSec, stages, cpus, limitedBy }) => [
    `${workers} ${workers === 1 ? 'worker' : 'workers'}`,
    textOfSpread(messagesPerSec, 0),
    cost(stages.dispatcher),
    cost(stages.shards),
    cost(stages.others),
    kernelUsPerMessage(stages).toFixed(2),
    cpus.toFixed(2),
    [...new Set(limitedBy)].join(', '),
  ]);
  const heads = [
    'CPU µs/message (kernel)',
    'messages/s',
    'dispatcher',
    'shards',
    'others',
    'kernel',
    'CPUs',
    'limited by',
  ];
  return textTable([heads, ...rows]).join('\n');
}

export function renderPrediction({ law, ...prediction }: Prediction, serverCpus: number): string {
  const { lambda, sigma, kappa, error } = law;
  const basis =
    prediction.basis === 'measured'
      ? ['fitted to the messages/s above:']
      : [
          'fitted to what the CPU of the stages above would allow, were each thread alone on one:',
          `  here they shared ${serverCpus}, so κ knows of no cache line that travels between cores, and σ is the dispatcher's part`,
        ];
  const dispatcher = prediction.fullDispatcherWorkers;
  const lines = [
    `Universal Scalability Law, ${basis[0]}`,
    ...basis.slice(1),
    `  λ ${whole(lambda)} messages/s, σ ${sigma.toFixed(4)}, κ ${kappa.toExponential(1)}; the points are ${percent(error)} off`,
    '',
    'PREDICTION, not measured:',
    `  knee at ${workersText(prediction.kneeWorkers)}; ${ceilingText(prediction)}`,
    `  the dispatcher's CPU is full with ${workersText(dispatcher)}, if it and the shards never wait for each other`,
    '',
  ];
  const rows = prediction.machines.map(({ cores, workers, perSec, overlappedPerSec }) => [
    `  ${cores} cores, ${workers} workers`,
    whole(perSec),
    whole(overlappedPerSec),
  ]);
  return [...lines, ...textTable([['  predicted messages/s', 'by the law', 'nothing waits'], ...rows])].join('\n');
}

function ceilingText({ peakWorkers, ceilingPerSec }: Omit<Prediction, 'law'>): string {
  if (ceilingPerSec === Number.POSITIVE_INFINITY) return 'no ceiling within these figures';
  if (peakWorkers === Number.POSITIVE_INFINITY) return `never more than ${whole(ceilingPerSec)} messages/s`;
  return `the most is ${whole(ceilingPerSec)} messages/s at ${workersText(peakWorkers)}, more are slower`;
}

function workersText(workers: number): string {
  if (workers === Number.POSITIVE_INFINITY) return 'no number of workers';
  return `${workers < 10 ? workers.toFixed(1) : whole(workers)} workers`;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}
