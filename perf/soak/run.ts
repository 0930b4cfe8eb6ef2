/** The soak itself: calls at an even rate through a server that is reloaded, scraped and robbed of a shard, each by its own clock, and
 *  looked at from outside. Cold. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeMachine } from '../bench/machine.ts';
import { sippVersion } from '../bench/sipp-process.ts';
import { cpuNsOf, idleNs, residentKibOf } from '../load/process-figures.ts';
import { medianOf } from '../load/spread.ts';
import { CalledSides, Calls, saturate } from './calls.ts';
import { type Kill, killThatTook } from './failed-calls.ts';
import { contradictions, type Scrape, sumOf } from './metrics-text.ts';
import { type Sample, SOAK_FORMAT, type SoakResult, type SoakSettings } from './result.ts';
import { SoakedServer } from './soaked-server.ts';
import { problemsOf } from './verdict.ts';

export interface SoakOptions extends Omit<SoakSettings, 'callsPerSec'> {
  /** Null: half of the capacity, which is found by a saturation where it is null, too. */
  readonly callsPerSec: number | null;
  readonly sampleEverySec: number;
  /** Settings of the server, `PATH=VALUE`. */
  readonly sets: readonly string[];
  readonly isLingeringShort: boolean;
  /** The server and SIPp come before all other programs of the machine. */
  readonly isRealtime: boolean;
  /** As it was typed. */
  readonly command: string;
  readonly say: (line: string) => void;
}

const SATURATION_SEC = 16;
const HALF = 0.5;
/** Finished transactions linger for 32 s; one whose answer was lost with a shard is given up by Timer C, three minutes on. */
const REST_LIMIT_SEC = 240;
const MB = 1e6;

/** Runs to its end, whatever goes wrong on the way; the result says so. Rejects if it cannot be run at all. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  let { capacityPerSec } = options;
  if (options.callsPerSec === null && capacityPerSec === null) {
    capacityPerSec = await capacityOf(options);
    options.say(`saturated: ${Math.round(capacityPerSec)} calls/s`);
  }
  const callsPerSec = options.callsPerSec ?? Math.round(capacityPerSec! * HALF);
  return withServer(options, false, (server, called) =>
    new Soak(options, server, called).run(callsPerSec, capacityPerSec),
  );
}

function capacityOf(options: SoakOptions): Promise<number> {
  return withServer(options, true, (server, { ports }) => saturate(server.port, ports, SATURATION_SEC));
}

async function withServer<Result>(
  { shards, domains, sets, isLingeringShort, isRealtime }: SoakOptions,
  isSaturated: boolean,
  use: (server: SoakedServer, called: CalledSides) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'strowger-soak-'));
  const called = await CalledSides.start(isSaturated);
  let server: SoakedServer | null = null;
  try {
    server = await SoakedServer.start({ folder, shards, domains, uasPorts: called.ports, sets, isLingeringShort });
    if (isRealtime) raise([process.pid, server.pid, ...called.pids]);
    return await use(server, called);
  } finally {
    await server?.stop();
    await called.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** All threads of these processes, and those that they start. Throws if that is not allowed. */
function raise(pids: readonly number[]): void {
  for (const pid of pids) {
    const { status, stderr } = spawnSync('chrt', ['-a', '-r', '-p', '1', String(pid)], { encoding: 'utf8' });
    if (status !== 0) throw new Error(`--realtime: ${stderr || 'chrt (util-linux) is not there'}`);
  }
}

class Soak {
  readonly #options: SoakOptions;
  readonly #server: SoakedServer;
  readonly #called: CalledSides;
  readonly #startedAt = new Date();
  readonly #samples: Sample[] = [];
  readonly #kills: Kill[] = [];
  readonly #problems: string[] = [];
  readonly #scrapeMs: number[] = [];
  readonly #over = new AbortController();
  #scrape: Scrape = { values: new Map(), types: new Map() };
  #reloads = 0;
  #longestPauseMs = 0;
  #cpuBefore = { atMs: 0, serverSec: 0, loadNs: 0, idleNs: 0 };

  constructor(options: SoakOptions, server: SoakedServer, called: CalledSides) {
    this.#options = options;
    this.#server = server;
    this.#called = called;
  }

  async run(callsPerSec: number, capacityPerSec: number | null): Promise<SoakResult> {
    const { minutes, shards, domains, reloadEverySec, killEverySec, scrapeEverySec, sampleEverySec } = this.#options;
    const settings = {
      minutes,
      callsPerSec,
      capacityPerSec,
      shards,
      domains,
      reloadEverySec,
      killEverySec,
      scrapeEverySec,
    };
    this.#scrape = await this.#server.scrape();
    const calls = await Calls.start(this.#server.port, callsPerSec);
    if (this.#options.isRealtime) raise([calls.pid]);
    try {
      this.#noteCpu(calls);
      const chores = [
        this.#every(scrapeEverySec, scrapeEverySec, () => this.#lookAtMetrics()),
        this.#every(reloadEverySec, reloadEverySec, () => this.#reload()),
        // Not when the configuration changes anyway.
        this.#every(killEverySec, killEverySec - reloadEverySec / 2, () => this.#kill()),
        this.#every(sampleEverySec, sampleEverySec, () => this.#sample(calls)),
      ];
      await sleep(minutes * 60_000);
      this.#over.abort();
      await Promise.all(chores);
      if (calls.hasEnded) this.#problems.push('SIPp ended before its time');
      await calls.finish();
      return await this.#resultOf(calls, settings);
    } finally {
      this.#over.abort();
      await calls.end();
    }
  }

  async #resultOf(calls: Calls, settings: SoakSettings): Promise<SoakResult> {
    const rest = await this.#untilAtRest();
    const { started, successful, failed, retransmissions } = calls.figures;
    const failures = calls.failed(this.#options.shards);
    const kills = this.#kills.map((kill) => ({
      ...kill,
      lostCalls: failures.filter((call) => killThatTook(call, this.#kills) === kill).length,
    }));
    const result = {
      format: SOAK_FORMAT,
      startedAt: this.#startedAt.toISOString(),
      machine: describeMachine(sippVersion()),
      command: this.#options.command,
      settings,
      samples: this.#samples,
      calls: {
        started,
        successful,
        failed,
        refused: failures.filter((call) => call.isRefused).length,
        retransmissions,
      },
      kills,
      otherFailures: failures.filter((call) => killThatTook(call, this.#kills) === null),
      reloads: { count: this.#reloads, longestPauseMs: this.#longestPauseMs },
      scrapes: {
        count: this.#scrapeMs.length,
        medianMs: medianOf(this.#scrapeMs),
        longestMs: Math.max(...this.#scrapeMs),
      },
      counters: countersOf(this.#scrape),
      rest,
      exitCode: await this.#server.stop(),
    } as const;
    return { ...result, problems: [...this.#problems, ...problemsOf(result)] };
  }

  /** Again and again until it is over; what goes wrong is a problem, and the next time comes all the same. */
  async #every(periodSec: number, firstSec: number, work: () => Promise<void>): Promise<void> {
    const startedMs = performance.now();
    for (let turn = 0; ; turn++) {
      const dueMs = startedMs + (firstSec + turn * periodSec) * 1000;
      await sleep(Math.max(0, dueMs - performance.now()), undefined, { signal: this.#over.signal }).catch(
        () => undefined,
      );
      if (this.#over.signal.aborted) return;
      try {
        await work();
      } catch (error) {
        this.#problems.push(`${new Date().toISOString()}: ${(error as Error).message}`);
        this.#options.say(this.#problems.at(-1)!);
      }
    }
  }

  async #lookAtMetrics(): Promise<void> {
    const beganMs = performance.now();
    const scrape = await this.#server.scrape();
    this.#scrapeMs.push(performance.now() - beganMs);
    const found = contradictions(this.#scrape, scrape);
    this.#scrape = scrape;
    if (found.length > 0) throw new Error(`a scrape contradicts the one before: ${found.slice(0, 5).join('; ')}`);
  }

  async #reload(): Promise<void> {
    this.#longestPauseMs = Math.max(this.#longestPauseMs, await this.#server.reload());
    this.#reloads++;
  }

  /** The shards in turn, in both ways. */
  async #kill(): Promise<void> {
    const turn = this.#kills.length;
    const { shards } = this.#options;
    const way = Math.floor(turn / shards) % 2 === 0 ? 'datagram' : 'command';
    const kill = await this.#server.kill(turn % shards, way);
    this.#kills.push(kill);
    this.#options.say(`shard ${kill.shard} killed by a ${way}, back after ${kill.backAtMs - kill.atMs} ms`);
  }

  async #sample(calls: Calls): Promise<void> {
    const cpu = this.#cpuBefore;
    const now = this.#noteCpu(calls);
    const wallSec = (now.atMs - cpu.atMs) / 1000;
    const { started, failed, retransmissions } = calls.figures;
    const sample: Sample = {
      atSec: Math.round((Date.now() - this.#startedAt.getTime()) / 1000),
      rssMb: round((residentKibOf([this.#server.pid]) * 1024) / MB, 1),
      ...{ started, failed, retransmissions },
      ...this.#inUse(),
      reloads: this.#reloads,
      kills: this.#kills.length,
      serverCpus: round((now.serverSec - cpu.serverSec) / wallSec, 3),
      loadCpus: round((now.loadNs - cpu.loadNs) / 1e9 / wallSec, 3),
      busyCpus: round(availableParallelism() - (now.idleNs - cpu.idleNs) / 1e9 / wallSec, 3),
    };
    this.#samples.push(sample);
    this.#options.say(JSON.stringify(sample));
  }

  #inUse() {
    const sum = (name: string) => sumOf(this.#scrape, `strowger_${name}`);
    return {
      transactions: sum('transactions'),
      keptMessages: sum('kept_messages'),
      keptMb: round(sum('kept_memory_bytes') / MB, 1),
      slotsFree: sum('slots_free'),
    };
  }

  #noteCpu(calls: Calls) {
    this.#cpuBefore = {
      atMs: performance.now(),
      serverSec: sumOf(this.#scrape, 'process_cpu_seconds_total'),
      loadNs: cpuNsOf([calls.pid, ...this.#called.pids]),
      idleNs: idleNs(),
    };
    return this.#cpuBefore;
  }

  /** Waits until nothing is in use any more, for so long as the longest timer may take. */
  async #untilAtRest(): Promise<SoakResult['rest']> {
    const beganMs = performance.now();
    let saidSec = 0;
    for (;;) {
      const scrape = await this.#server.scrape();
      this.#scrape = scrape;
      const sum = (name: string) => sumOf(scrape, `strowger_${name}`);
      const rest = {
        transactions: sum('transactions'),
        keptMessages: sum('kept_messages'),
        slotsMissing: sum('slots') - sum('slots_free'),
        jumboSlotsMissing: sum('jumbo_slots') - sum('jumbo_slots_free'),
        parked: sum('parked_messages'),
        afterSec: Math.round((performance.now() - beganMs) / 1000),
      };
      const { afterSec, ...inUse } = rest;
      if (afterSec > saidSec) this.#options.say(`at rest? ${JSON.stringify(rest)}`);
      saidSec = Math.max(saidSec, afterSec + 9);
      if (afterSec > REST_LIMIT_SEC || Object.values(inUse).every((count) => count === 0)) return rest;
      await sleep(500);
    }
  }
}

/** Those that are not 0, summed over their labels. */
function countersOf(scrape: Scrape): Record<string, number> {
  const names = [...scrape.types].filter(([, type]) => type === 'counter').map(([name]) => name);
  const sums = names.map((name) => [name, round(sumOf(scrape, name), 3)] as const);
  return Object.fromEntries(sums.filter(([, sum]) => sum !== 0));
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
