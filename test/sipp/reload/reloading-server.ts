/** A server whose configuration is exchanged again and again under calls: between two next hops, with other settings and domains
 *  coming and going. The calls must not notice, and its memory must not grow. */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openControlClient } from '../../../src/cli/control-client.ts';
import type { ReloadReport } from '../../../src/runtime/running-server.ts';
import { ServerProcess } from '../../process/server-process.ts';
import { freePort } from '../../process/udp-peer.ts';
import { runUac, type SippFigures, startUas } from '../load-generator.ts';
import { writeTurn } from './turning-config.ts';

const UAC = new URL('./uac.xml', import.meta.url);
const UAS = new URL('./uas.xml', import.meta.url);
const PLANT_SHORT_LINGERS = new URL('../../process/plant-short-lingers.ts', import.meta.url);
const RELOAD_LIMIT_MS = 60_000;

export interface ReloadingOptions {
  readonly mode: 'stateful' | 'stateless';
  readonly callsPerSec: number;
  /** Of each round of calls. */
  readonly seconds: number;
  /** Rounds go on until there were so many. */
  readonly reloads: number;
  /** So many come before the first reload. */
  readonly warmRounds?: number;
  readonly pauseMs: number;
  readonly domains: number;
  /** Finished transactions linger for a second only. */
  readonly isLingeringShort?: boolean;
  readonly onRound?: (line: string) => void;
}

export interface ReloadingResult {
  readonly reloads: number;
  readonly figures: SippFigures[];
  /** What each of the two next hops got. */
  readonly callsAt: readonly number[];
  readonly longestPauseMs: number;
  /** After each round, in MB. */
  readonly rssMb: readonly number[];
  readonly counters: Record<string, number>;
}

export async function reloadUnderCalls(options: ReloadingOptions): Promise<ReloadingResult> {
  const { mode, callsPerSec, seconds, pauseMs, domains, warmRounds = 0, isLingeringShort = false, onRound } = options;
  const folder = mkdtempSync(join(tmpdir(), 'strowger-reloads-'));
  const [file, socket] = [join(folder, 'strowger.yaml'), join(folder, 'control.sock')];
  try {
    const uases = [await startUas({ scenario: UAS }), await startUas({ scenario: UAS })];
    const write = (turn: number) =>
      writeTurn(file, turn, { ports: uases.map(({ port }) => port), domains, more: ['reload: {directory: "off"}'] });
    write(0);
    const port = await freePort();
    const server = await ServerProcess.startPreloaded(
      isLingeringShort ? [PLANT_SHORT_LINGERS] : [],
      ...['--config', file, '--listen', `udp:127.0.0.1:${port}`, '--mode', mode],
      // A busy machine is no reason to send anything again.
      ...['--set', 'timers.t1Ms=4000', '--set', `control.socket=${socket}`],
    );
    const client = await openControlClient(socket);
    const result = { reloads: 0, longestPauseMs: 0 };
    const figures: SippFigures[] = [];
    const rssMb: number[] = [];
    while (result.reloads < options.reloads) {
      let isOver = false;
      const calls = runUac({
        scenario: UAC,
        target: `127.0.0.1:${port}`,
        calls: callsPerSec * seconds,
        perSec: callsPerSec,
      }).finally(() => {
        isOver = true;
      });
      // Told once it is awaited.
      calls.catch(() => undefined);
      const isWarming = figures.length < warmRounds;
      while (!isWarming && !isOver && result.reloads < options.reloads) {
        write(++result.reloads);
        const report = (await client.call('reload', {}, RELOAD_LIMIT_MS)) as ReloadReport;
        if (report.result !== 'applied') throw new Error(`reload ${result.reloads}: ${JSON.stringify(report)}`);
        result.longestPauseMs = Math.max(result.longestPauseMs, report.longestPauseMs);
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
      figures.push(await calls);
      rssMb.push(rssMbOf(server.child.pid!));
      onRound?.(`${result.reloads} reloads, ${JSON.stringify(figures.at(-1))}, RSS ${rssMb.at(-1)} MB`);
    }
    client.close();
    const callsAt = uases.map((uas) => uas.figures().incoming);
    return { ...result, figures, callsAt, rssMb, counters: await server.counters() };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function rssMbOf(pid: number): number {
  return Math.round(Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) / 1000);
}
