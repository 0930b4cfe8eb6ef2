/** One turn: the load is played on one contestant that is up, and what came of it is written down. The UACs and, where the
 *  scenario has a called side, the UASs are SIPp processes; this one only starts them, reads /proc at the edges of the window
 *  and once a second, and reads what they wrote when all is over. Cold. */

import { setTimeout as sleep } from 'node:timers/promises';
import { allowedCpus, busiestThreadNs, busyNsOf, cpuNsOf, residentKibOf, threadNsOf } from '../load/process-figures.ts';
import { BenchError } from './bench-error.ts';
import type { RunningContestant } from './contestant.ts';
import { type DelaySample, delayOf, histogramsOf, samplesOf } from './delays.ts';
import { limitOf } from './limit.ts';
import { localAddressTowards } from './local-address.ts';
import type { Delay, DelayName, Sample, Turn } from './result.ts';
import { DELAYS } from './result.ts';
import type { Part, Scenario } from './scenario.ts';
import { GRAIN_US, type Pace, SippProcess } from './sipp-process.ts';
import { type CountRow, counterAt, type StatRow } from './sipp-traces.ts';
import { dropsAt, freePorts, type HostPort, isLocalAddress, receiveBufferBytesAt, textOf } from './udp-sockets.ts';

const SAMPLE_MS = 1000;
const POLL_MS = 100;
/** Users that register before the load begins, at a time. */
const REGISTERING_WINDOW = 32;
/** A UAS that has calls left does not end by itself, but it writes a row twice a second; on a busy machine, later. */
const UAS_END_MS = 5000;
const REGISTERING_LIMIT_MS = 60_000;

/** What is played, whoever it is played on. */
export interface Load {
  readonly parts: readonly Part[];
  /** As SIPp writes it: u1, un, t1 … */
  readonly transport: string;
  /** Exchanges a second; null: closed loop, as many as come back. */
  readonly ratePerSec: number | null;
  /** Exchanges in flight: just so many without a rate, at the most with one. */
  readonly window: number;
  /** UACs of each part, with a UAS each where there is one. */
  readonly connections: number;
  /** Exchanges in all; then `durationMs` does not count, and there is no warm-up. Null: as many as fit. */
  readonly amount: number | null;
  readonly durationMs: number;
  readonly warmUpMs: number;
  /** What is in flight at the end of the window has so long to end; then it counts as failed. */
  readonly drainMs: number;
  readonly users: readonly string[];
  readonly password: string;
  readonly domain: string;
  /** Between ACK and BYE of a call. */
  readonly holdMs: number;
  /** False: the target answers by itself. */
  readonly playsUas: boolean;
  /** Ends the turn once so many exchanges have failed; null: never. */
  readonly bailout: number | null;
}

export interface Progress {
  readonly phase: 'registering' | 'warm-up' | 'measuring' | 'drain';
  readonly elapsedMs: number;
  /** Since the turn's start. */
  readonly successful: number;
  readonly failed: number;
  /** Of the last second. */
  readonly ratePerSec: number;
  readonly serverCpuShare: number | null;
  readonly generatorCpuShare: number;
}

export interface PlayedTurn {
  readonly turn: Turn;
  readonly hasBailedOut: boolean;
  /** Exchanges that the UACs began each second, as exactly as their own clock; null: too few to tell, or the scenario does not
   *  write it down. */
  readonly attemptedPerSec: number | null;
  /** Sentences: what makes this turn worth less than it looks. */
  readonly warnings: readonly string[];
}

/** Throws a BenchError with one line if SIPp does not start or users cannot be registered. */
export async function playTurn(
  server: RunningContestant,
  round: number,
  load: Load,
  onProgress: (progress: Progress) => void = () => {},
): Promise<PlayedTurn> {
  const cast = new Cast(server, load);
  try {
    await cast.assemble();
    onProgress({ ...NOTHING_YET, phase: 'registering' });
    await cast.registerUsers();
    return await new Performance(server, round, load, cast, onProgress).play();
  } finally {
    await cast.dismiss();
  }
}

const NOTHING_YET = {
  elapsedMs: 0,
  successful: 0,
  failed: 0,
  ratePerSec: 0,
  serverCpuShare: null,
  generatorCpuShare: 0,
} as const;

// ---- Who plays ------------------------------------------------------------------------------------------------------

/** A UAC to be, and its UAS. */
interface Pair {
  readonly scenario: Scenario;
  readonly name: string;
  readonly pace: Pace;
  readonly users: readonly string[];
  readonly uacPort: number;
  readonly uas: SippProcess | null;
  readonly uasPort: number | null;
}

export interface Uac {
  readonly process: SippProcess;
  readonly scenario: Scenario;
  readonly ratePerSec: number | null;
}

/** All SIPp processes of a turn. */
class Cast {
  readonly #server: RunningContestant;
  readonly #load: Load;
  readonly #pairs: Pair[] = [];
  readonly #all: SippProcess[] = [];
  #address = '127.0.0.1';
  uacs: readonly Uac[] = [];

  constructor(server: RunningContestant, load: Load) {
    this.#server = server;
    this.#load = load;
  }

  /** Ports, and the UASs. */
  async assemble(): Promise<void> {
    const { parts, connections, amount, ratePerSec, window, users, playsUas } = this.#load;
    const at = this.#server.at;
    if (at !== null) this.#address = await localAddressTowards(at.host);
    const names = parts.flatMap(({ scenario }) => Array.from({ length: connections }, (_, i) => ({ scenario, i })));
    const shares = parts.flatMap(({ share }) => Array.from({ length: connections }, () => share / connections));
    const amounts = amount === null ? null : apportion(amount, shares);
    const windows = apportion(window, shares);
    const ports = await freePorts(this.#address, 2 * names.length);
    // No user is registered from two places: a call to it would ring at both.
    const withUsers = names.filter(({ scenario }) => scenario.hasUsers);
    for (const [n, { scenario, i }] of names.entries()) {
      if (amounts?.[n] === 0) continue;
      const label = parts.length > 1 ? `${scenario.name} ` : '';
      const file = at === null ? scenario.baselineUasFile : playsUas ? scenario.uasFile : null;
      const uasPort = file === null ? null : ports[2 * n + 1]!;
      this.#pairs.push({
        scenario,
        name: `${label}UAC ${i + 1}`,
        pace: {
          ratePerSec: ratePerSec === null ? null : ratePerSec * shares[n]!,
          window: Math.max(1, windows[n]!),
          amount: amounts?.[n] ?? null,
        },
        users: usersOf(users, withUsers.indexOf(names[n]!), withUsers.length),
        uacPort: ports[2 * n]!,
        uas: file === null ? null : this.#startUas(`${label}UAS ${i + 1}`, file, uasPort!),
        uasPort,
      });
    }
    await Promise.all(this.#all.map((uas) => uas.untilBound()));
  }

  #startUas(name: string, file: string, port: number): SippProcess {
    const { transport } = this.#load;
    const { cpus } = this.#server;
    const options = {
      name,
      file,
      timeCount: 0,
      address: this.#address,
      port,
      transport,
      cpus: cpus.generator,
      uac: null,
    };
    const uas = new SippProcess(options);
    this.#all.push(uas);
    return uas;
  }

  /** Those of scenarios in which the server must know where users are. */
  async registerUsers(): Promise<void> {
    const at = this.#server.at;
    if (at === null) return;
    for (const pair of this.#pairs.filter(({ scenario }) => scenario.registersFirst)) {
      const [port] = await freePorts(this.#address, 1);
      const file = pair.scenario.uacFile.replace(/[^/]+$/, 'register.xml');
      const sipp = new SippProcess({
        ...this.#common(pair),
        name: 'registrations',
        file,
        timeCount: 2,
        isMeasured: false,
        port: port!,
        uac: { to: at, pace: { ratePerSec: null, window: REGISTERING_WINDOW, amount: pair.users.length } },
      });
      this.#all.push(sipp);
      const isInTime = await sipp.endsWithin(REGISTERING_LIMIT_MS);
      if (!isInTime) throw new BenchError(`${pair.users.length} users did not register within a minute`);
      if ((await sipp.exited) !== 0) {
        throw new BenchError(`users could not be registered: ${sipp.complaint() ?? 'SIPp does not say why'}`);
      }
    }
  }

  /** The load begins. */
  startUacs(): void {
    this.uacs = this.#pairs.map((pair) => {
      const { scenario, pace, name, uacPort, uasPort } = pair;
      const to = this.#server.at ?? { host: this.#address, port: uasPort ?? 0 };
      const process = new SippProcess({
        ...this.#common(pair),
        name,
        file: scenario.uacFile,
        timeCount: scenario.timeCount,
        port: uacPort,
        holdMs: this.#load.holdMs,
        uac: { to, pace },
      });
      this.#all.push(process);
      return { process, scenario, ratePerSec: pace.ratePerSec };
    });
  }

  #common({ users, uasPort, uacPort }: Pair) {
    const { transport, domain, password } = this.#load;
    const uas: HostPort = uasPort === null ? this.#server.at! : { host: this.#address, port: uasPort };
    const contact: HostPort = { host: this.#address, port: uasPort ?? uacPort };
    return {
      address: this.#address,
      transport,
      cpus: this.#server.cpus.generator,
      keys: { uas: textOf(uas), contact: textOf(contact), domain },
      authenticationUri: domain,
      lines: users.map((user) => `${user};[authentication username=${user} password=${password}]`),
    };
  }

  /** UACs and UASs, in this order. */
  get processes(): readonly SippProcess[] {
    return [...this.uacs.map(({ process }) => process), ...this.uases];
  }

  get uases(): readonly SippProcess[] {
    return this.#pairs.flatMap(({ uas }) => (uas === null ? [] : [uas]));
  }

  async dismiss(): Promise<void> {
    await Promise.all(this.#all.map((process) => process.remove()));
  }
}

/** Whole numbers in proportion to the shares (which add up to 1), whose sum is `total`. */
export function apportion(total: number, shares: readonly number[]): number[] {
  let given = 0;
  let sum = 0;
  return shares.map((share) => {
    sum += share;
    const upTo = Math.round(total * sum);
    const part = upTo - given;
    given = upTo;
    return part;
  });
}

/** Every `count`-th of the users; none for the index -1. There are as many users as `count` at the least. */
function usersOf(users: readonly string[], index: number, count: number): readonly string[] {
  return users.filter((_, i) => i % count === index);
}

// ---- How it goes ----------------------------------------------------------------------------------------------------

/** What /proc says at one moment. */
interface Reading {
  /** Milliseconds of the epoch. */
  readonly atMs: number;
  /** By thread; null: its processes are not known. */
  readonly serverThreadNs: ReadonlyMap<string, number> | null;
  readonly serverNs: number | null;
  readonly generatorNs: readonly number[];
  readonly harnessNs: number;
  /** Of the server's CPUs, by whoever; null: it has none for itself. */
  readonly busyNs: number | null;
  /** Of the CPUs that the load may use, by whoever. */
  readonly generatorBusyNs: number;
  readonly residentKib: number | null;
  readonly serverDrops: number | null;
  readonly generatorDrops: number;
}

class Performance {
  readonly #server: RunningContestant;
  readonly #round: number;
  readonly #load: Load;
  readonly #cast: Cast;
  readonly #onProgress: (progress: Progress) => void;
  #serverPids: readonly number[] | null = null;
  #isServerHere = false;
  #startedMs = 0;
  #hasBailedOut = false;
  readonly #lastCpuNs = new Map<SippProcess, number>();
  #buffers: Turn['receiveBufferBytes'] = { server: null, generator: null };
  #last: { reading: Reading; successful: number } | null = null;

  constructor(
    server: RunningContestant,
    round: number,
    load: Load,
    cast: Cast,
    onProgress: (progress: Progress) => void,
  ) {
    this.#server = server;
    this.#round = round;
    this.#load = load;
    this.#cast = cast;
    this.#onProgress = onProgress;
  }

  async play(): Promise<PlayedTurn> {
    const { amount, warmUpMs, durationMs } = this.#load;
    this.#serverPids = this.#server.pids();
    this.#isServerHere = this.#server.at !== null && isLocalAddress(this.#server.at.host);
    this.#startedMs = Date.now();
    this.#cast.startUacs();
    const start = this.#read();
    if (amount === null && warmUpMs > 0) await this.#passes('warm-up', this.#startedMs + warmUpMs, []);
    // Whoever gives up during the warm-up wants to know what failed in it.
    const isWhole = amount !== null || this.#hasBailedOut;
    const readings = [isWhole ? start : this.#read()];
    await this.#passes('measuring', amount === null ? readings[0]!.atMs + durationMs : Infinity, readings);
    await this.#drain();
    return this.#report(readings, this.#buffers, isWhole);
  }

  /** Until that time, or all UACs have ended, or too much has failed; reads once a second and at the end. */
  async #passes(phase: Progress['phase'], untilMs: number, readings: Reading[]): Promise<void> {
    let nextMs = Math.min(Date.now() + SAMPLE_MS, untilMs);
    for (;;) {
      this.#server.check();
      const isOver = Date.now() >= untilMs || this.#hasEnded() || this.#bailsOut();
      if (isOver || Date.now() >= nextMs) {
        const reading = this.#read();
        readings.push(reading);
        this.#tell(phase, reading);
        // A last piece of less than half a second joins the one before.
        nextMs = untilMs - nextMs < 1.5 * SAMPLE_MS ? untilMs : nextMs + SAMPLE_MS;
      }
      if (isOver) return;
      await sleep(Math.max(1, Math.min(POLL_MS, nextMs - Date.now())));
      // With an amount, SIPp ends by itself and takes its figures with it.
      if (this.#load.amount !== null) for (const sipp of this.#cast.processes) this.#cpuNsOf(sipp);
      if (this.#buffers.generator === null) this.#buffers = this.#bufferBytes();
    }
  }

  #hasEnded(): boolean {
    return this.#cast.uacs.every(({ process }) => process.hasEnded);
  }

  #bailsOut(): boolean {
    const { bailout } = this.#load;
    if (bailout === null || this.#sum(({ failed }) => failed) < bailout) return false;
    this.#hasBailedOut = true;
    return true;
  }

  async #drain(): Promise<void> {
    const { drainMs } = this.#load;
    for (const { process } of this.#cast.uacs) process.finish();
    const limitMs = this.#hasBailedOut ? 0 : drainMs;
    await Promise.all(this.#cast.uacs.map(({ process }) => process.endsWithin(limitMs)));
    // Those that are still there have said all they will: their figures are in their files.
    for (const { process } of this.#cast.uacs) await process.kill();
    // A called side writes its last row as it ends.
    const toldMs = Date.now();
    for (const uas of this.#cast.uases) uas.finish();
    const hasSaidAll = (uas: SippProcess) => uas.hasEnded || (uas.counts().at(-1)?.atMs ?? 0) > toldMs;
    while (!this.#cast.uases.every(hasSaidAll) && Date.now() < toldMs + UAS_END_MS) await sleep(POLL_MS);
  }

  #sum(counter: (row: StatRow) => number): number {
    return this.#cast.uacs.reduce((sum, { process }) => sum + lastOf(process.stats(), counter), 0);
  }

  #tell(phase: Progress['phase'], reading: Reading): void {
    const successful = this.#sum((row) => row.successful);
    const last = this.#last;
    const ms = last === null ? 0 : reading.atMs - last.reading.atMs;
    this.#last = { reading, successful };
    if (last === null || ms === 0) return;
    const serverNs = difference(last.reading.serverNs, reading.serverNs);
    this.#onProgress({
      phase,
      elapsedMs: reading.atMs - this.#startedMs,
      successful,
      failed: this.#sum((row) => row.failed),
      ratePerSec: ((successful - last.successful) * 1000) / ms,
      serverCpuShare: serverNs === null ? null : serverNs / 1e6 / ms,
      generatorCpuShare: (total(reading.generatorNs) - total(last.reading.generatorNs)) / 1e6 / ms,
    });
  }

  #read(): Reading {
    const { at, cpus } = this.#server;
    const pids = this.#serverPids;
    const isKnown = pids !== null && pids.length > 0;
    const serverThreadNs = isKnown ? threadNsOf(pids) : null;
    return {
      atMs: Date.now(),
      serverThreadNs,
      serverNs: serverThreadNs === null ? null : total([...serverThreadNs.values()]),
      generatorNs: this.#cast.processes.map((sipp) => this.#cpuNsOf(sipp)),
      harnessNs: cpuNsOf([process.pid]),
      busyNs: cpus.server === null ? null : total(cpus.server.map(busyNsOf)),
      generatorBusyNs: total((cpus.generator ?? allowedCpus()).map(busyNsOf)),
      residentKib: isKnown ? residentKibOf(pids) : null,
      serverDrops: at !== null && this.#isServerHere ? dropsAt(at.port) : null,
      generatorDrops: total(this.#cast.processes.map(({ port }) => dropsAt(port))),
    };
  }

  /** Of a process that has ended: what it had when it was last seen. */
  #cpuNsOf(sipp: SippProcess): number {
    const ns = cpuNsOf([sipp.pid]);
    if (ns > 0) this.#lastCpuNs.set(sipp, ns);
    return this.#lastCpuNs.get(sipp) ?? 0;
  }

  #bufferBytes(): Turn['receiveBufferBytes'] {
    const { at } = this.#server;
    const uac = this.#cast.uacs[0];
    return {
      server: at !== null && this.#isServerHere ? receiveBufferBytesAt(at.port) : null,
      generator: uac === undefined ? null : receiveBufferBytesAt(uac.process.port),
    };
  }

  // ---- What came of it ----

  /** `isWhole`: all of it counts, from SIPp's first row to its last. */
  #report(readings: readonly Reading[], receiveBufferBytes: Turn['receiveBufferBytes'], isWhole: boolean): PlayedTurn {
    const { ratePerSec } = this.#load;
    const [first, last] = [readings[0]!, readings.at(-1)!];
    const [beginMs, endMs] = isWhole ? [-Infinity, Infinity] : [first.atMs, last.atMs];
    const samples = this.#samples(beginMs, endMs);
    const wallMs = this.#load.amount === null ? last.atMs - first.atMs : this.#playedMs(first.atMs, last.atMs);
    const counts = this.#cast.processes.map((process) => process.counts());
    const retransmissions = this.#cast.processes.map((process) => process.stats());
    const window = (rows: readonly CountRow[], counter: (row: CountRow) => number) =>
      counterAt(rows, endMs, counter) - counterAt(rows, beginMs, counter);
    // Who waits for timeouts at the end of an amount has CPU left, which says nothing of the load before.
    const loaded = readings.findLast(({ atMs }) => atMs > first.atMs && atMs <= first.atMs + wallMs) ?? last;
    const exchanges = this.#exchanges(beginMs, endMs, wallMs);
    const generatorNs = this.#cast.processes.map(({ name }, i) => ({
      name,
      ns: last.generatorNs[i]! - first.generatorNs[i]!,
    }));
    const serverNs = difference(first.serverNs, last.serverNs);
    const isOpen = ratePerSec !== null;
    const turn: Turn = {
      contestant: this.#server.contestant.name,
      round: this.#round,
      wallMs,
      exchanges,
      messages: {
        sent: Math.round(total(counts.map((rows) => window(rows, ({ sent }) => sent)))),
        received: Math.round(total(counts.map((rows) => window(rows, ({ received }) => received)))),
        retransmissions: Math.round(
          total(
            retransmissions.map(
              (rows) =>
                counterAt(rows, endMs, (row) => row.retransmissions) -
                counterAt(rows, beginMs, (row) => row.retransmissions),
            ),
          ),
        ),
      },
      delays: this.#delays(samples, isOpen),
      cpu: { serverNs, generatorNs, harnessNs: last.harnessNs - first.harnessNs },
      drops: {
        server: difference(first.serverDrops, last.serverDrops),
        generator: Math.max(0, last.generatorDrops - first.generatorDrops),
      },
      receiveBufferBytes,
      residentKib:
        first.residentKib === null || last.residentKib === null
          ? null
          : { begin: first.residentKib, end: last.residentKib },
      limitedBy: limitOf({
        ratePerSec,
        wallMs,
        successful: exchanges.successful,
        isBaseline: this.#server.at === null,
        cpuMs: loaded.atMs - first.atMs,
        serverNs: difference(first.serverNs, loaded.serverNs),
        serverCpus: this.#server.cpus.server?.length ?? null,
        serverBusyNs: difference(first.busyNs, loaded.busyNs),
        busiestThreadNs: busiestThreadNs(first.serverThreadNs, loaded.serverThreadNs),
        generatorNs: generatorNs.map((_, i) => loaded.generatorNs[i]! - first.generatorNs[i]!),
        generatorBusyNs: loaded.generatorBusyNs - first.generatorBusyNs,
        generatorCpus: (this.#server.cpus.generator ?? allowedCpus()).length,
      }),
      series: this.#series(readings, samples),
    };
    return {
      turn,
      hasBailedOut: this.#hasBailedOut,
      attemptedPerSec: this.#attemptedPerSec(),
      warnings: this.#warnings(beginMs),
    };
  }

  #samples(beginMs: number, endMs: number): DelaySample[] {
    const window = { beginUs: beginMs * 1000, endUs: endMs * 1000 };
    return this.#cast.uacs.flatMap(({ process, scenario, ratePerSec }) => {
      if (scenario.timeCount > 0) {
        return samplesOf(process.exchangeTimes(), scenario, { ratePerSec, grainUs: GRAIN_US }, window);
      }
      return process
        .responseTimes()
        .map(({ endMs: at, ms, name }) => ({ name: delayNamed(name), endUs: at * 1000, us: ms * 1000 }))
        .filter(({ endUs }) => endUs >= window.beginUs && endUs < window.endUs);
    });
  }

  /** From the first exchange's begin to the last one's end, as exactly as SIPp's rows where there are no samples. */
  #playedMs(beginMs: number, endMs: number): number {
    let first = Infinity;
    let last = -Infinity;
    for (const { process, scenario } of this.#cast.uacs) {
      if (scenario.timeCount === 0) continue;
      const { times } = process.exchangeTimes();
      for (const time of times[0]!) first = Math.min(first, time);
      for (const time of times.at(-1)!) last = Math.max(last, time);
    }
    return last > first ? (last - first) / 1000 : endMs - beginMs;
  }

  /** Of those that are written down, which all are when none failed; together as fast as the UACs are each. */
  #attemptedPerSec(): number | null {
    const rates = this.#cast.uacs.map(({ process, scenario }) => {
      if (scenario.timeCount === 0) return Number.NaN;
      const { count, numbers, times } = process.exchangeTimes();
      const begun = times[0]!;
      let [first, last] = [0, 0];
      for (let i = 1; i < count; i++) {
        if (numbers[i]! < numbers[first]!) first = i;
        if (numbers[i]! > numbers[last]!) last = i;
      }
      return count < 2 ? Number.NaN : ((numbers[last]! - numbers[first]!) * 1e6) / (begun[last]! - begun[first]!);
    });
    const sum = total(rates);
    return Number.isFinite(sum) ? sum : null;
  }

  #exchanges(beginMs: number, endMs: number, wallMs: number): Turn['exchanges'] {
    const { ratePerSec, drainMs, amount } = this.#load;
    const causes = new Map<string, number>();
    const add = (cause: string, count: number) => {
      if (count > 0) causes.set(cause, (causes.get(cause) ?? 0) + count);
    };
    let started = 0;
    let successful = 0;
    let failed = 0;
    for (const { process } of this.#cast.uacs) {
      const rows = process.stats();
      const within = (counter: (row: StatRow) => number) =>
        Math.round(counterAt(rows, endMs, counter) - counterAt(rows, beginMs, counter));
      // Whatever fails after the window has been waiting in it.
      const since = (counter: (row: StatRow) => number) =>
        Math.round(lastOf(rows, counter) - counterAt(rows, beginMs, counter));
      started += within((row) => row.started);
      successful += within((row) => row.successful);
      const unfinished = lastOf(rows, (row) => row.started - row.successful - row.failed);
      failed += since((row) => row.failed) + unfinished;
      add(this.#hasBailedOut ? 'in flight when the run ended' : `no end within ${drainMs / 1000} s`, unfinished);
      const names = new Set(rows.flatMap((row) => Object.keys(row.causes)));
      const codes = Object.entries(process.errorCodes(beginMs));
      for (const name of names) {
        let count = since((row) => row.causes[name] ?? 0);
        if (name === 'unexpected message') {
          for (const [code, times] of codes) {
            const known = Math.min(times, count);
            add(`unexpected ${code}`, known);
            count -= known;
          }
        }
        add(name, count);
      }
    }
    const due = ratePerSec === null || amount !== null ? 0 : Math.floor((ratePerSec * wallMs) / 1000);
    const behind = due - started;
    return {
      started,
      successful,
      failed,
      failuresByCause: Object.fromEntries([...causes].sort(([, a], [, b]) => b - a)),
      // A few more or less are the rounding of rows.
      skipped: behind > due / 100 ? behind : 0,
    };
  }

  #delays(samples: readonly DelaySample[], isCorrected: boolean): { [name in DelayName]?: Delay } {
    const histograms = histogramsOf(samples);
    const isOurs = this.#cast.uacs.every(({ scenario }) => scenario.timeCount > 0);
    const delays: { [name in DelayName]?: Delay } = {};
    for (const name of DELAYS) {
      const histogram = histograms.get(name);
      if (histogram === undefined) continue;
      delays[name] = delayOf(histogram, isCorrected && isOurs && this.#beginsExchanges(name));
    }
    return delays;
  }

  /** Whether this delay begins with its exchange, so that there is a time at which it was due. */
  #beginsExchanges(name: DelayName): boolean {
    return this.#cast.uacs.every(({ scenario }) => (scenario.delays[name]?.from ?? 0) === 0);
  }

  #series(readings: readonly Reading[], samples: readonly DelaySample[]): Sample[] {
    const main = new Set(this.#cast.uacs.flatMap(({ scenario }) => scenario.mainDelay ?? []));
    const origin = readings[0]!.atMs;
    const sorted = samples.filter(({ name }) => main.has(name) || main.size === 0);
    const allStats = this.#cast.uacs.map(({ process }) => process.stats());
    const everyStats = this.#cast.processes.map((process) => process.stats());
    const allCounts = this.#cast.processes.map((process) => process.counts());
    return readings.slice(1).map((reading, i) => {
      const before = readings[i]!;
      const lengthMs = Math.max(1, reading.atMs - before.atMs);
      const within = <Row extends { readonly atMs: number }>(
        tables: readonly (readonly Row[])[],
        counter: (row: Row) => number,
      ) =>
        Math.round(
          total(tables.map((rows) => counterAt(rows, reading.atMs, counter) - counterAt(rows, before.atMs, counter))),
        );
      const own = sorted.filter(({ endUs }) => endUs >= before.atMs * 1000 && endUs < reading.atMs * 1000);
      const [histogram] = histogramsOf(own.map((sample) => ({ ...sample, name: 'response' as const }))).values();
      const serverNs = difference(before.serverNs, reading.serverNs);
      return {
        atMs: reading.atMs - origin,
        lengthMs,
        successful: within(allStats, (row) => row.successful),
        failed: within(allStats, (row) => row.failed),
        retransmissions: within(everyStats, (row) => row.retransmissions),
        messages: within(allCounts, (row) => row.sent),
        p50Us: histogram?.getValueAtPercentile(50) ?? null,
        p99Us: histogram?.getValueAtPercentile(99) ?? null,
        maxUs: histogram?.maxValue ?? null,
        serverCpuShare: serverNs === null ? null : serverNs / 1e6 / lengthMs,
        generatorCpuShare: (total(reading.generatorNs) - total(before.generatorNs)) / 1e6 / lengthMs,
      };
    });
  }

  #warnings(beginMs: number): string[] {
    const warnings: string[] = [];
    const early = Math.round(
      total(this.#cast.uacs.map(({ process }) => counterAt(process.stats(), beginMs, (row) => row.failed))),
    );
    const { name } = this.#server.contestant;
    if (early > 0) warnings.push(`${name}: ${early} exchanges failed during the warm-up, which the figures leave out`);
    const complaint = this.#cast.uacs.map(({ process }) => process.complaint()).find((text) => text !== null);
    if (complaint !== undefined) warnings.push(`${name}: SIPp's last words: ${complaint}`);
    return warnings;
  }
}

function delayNamed(name: string): DelayName {
  return (DELAYS as readonly string[]).includes(name) ? (name as DelayName) : 'response';
}

function lastOf(rows: readonly StatRow[], counter: (row: StatRow) => number): number {
  const last = rows.at(-1);
  return last === undefined ? 0 : counter(last);
}

function difference(from: number | null, to: number | null): number | null {
  return from === null || to === null ? null : to - from;
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
