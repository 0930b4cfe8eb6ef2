/** What the engine is told, and what it found out in each stage: JSON between two processes. */

import type { DelayName, Sample } from '../bench/result.ts';
import type { Way } from './flow-settings.ts';
import type { HistogramFigures } from './histogram.ts';
import type { ThreadFigures } from './process-figures.ts';
import type { ScenarioName } from './scenarios.ts';

/** How much for how long. */
export interface Stage {
  /** Exchanges in flight: exactly so many in closed loop, at the most in open loop. */
  readonly window: number;
  /** Exchanges a second; 0 is closed loop. */
  readonly rate: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
}

export interface Load {
  readonly scenario: ScenarioName;
  /** Of the bare relay. */
  readonly isFloor: boolean;
  readonly way: Way;
  readonly users: number;
  /** One after the other, at least one. What is in flight at the end of one has a second to end. */
  readonly stages: readonly Stage[];
  /** The server's processes, and the CPUs it may run on. */
  readonly pids: readonly number[];
  readonly serverCpus: readonly number[];
}

export interface EngineResult {
  readonly wallMs: number;
  /** Within the window. */
  readonly started: number;
  readonly successful: number;
  readonly skipped: number;
  readonly sent: number;
  /** What the server sent us. */
  readonly received: number;
  /** From warm-up to drain. */
  readonly failed: number;
  readonly failuresByCause: { readonly [cause: string]: number };
  readonly retransmissions: number;
  /** Came after their exchange had failed. */
  readonly stale: number;
  readonly serverCpuNs: number;
  /** By thread, the busiest first. */
  readonly threads: readonly ThreadFigures[];
  /** Time that others took of the server's CPUs. */
  readonly foreignCpuNs: number;
  readonly residentKib: readonly [begin: number, end: number];
  /** Share of the window that the generator spent on messages and not on looking for them. */
  readonly generatorBusy: number;
  /** Share of the window that the generator was on its CPU: all of it, because it never sleeps, but for what others took. */
  readonly generatorOnCpu: number;
  /** By the generator's V8 within the window; the hot loop itself is to allocate nothing. */
  readonly generatorAllocatedBytes: number;
  /** Datagrams the kernel dropped at the server's socket, and at ours. */
  readonly serverDrops: number;
  readonly ownDrops: number;
  readonly receiveBufferBytes: number;
  readonly delays: { readonly [name in DelayName]?: HistogramFigures };
  readonly transit: HistogramFigures;
  readonly series: readonly Sample[];
}
