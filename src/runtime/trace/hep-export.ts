/** The HEP export as the main thread sees it: starts the export thread, starts it again should it die, tells the log of its state, and
 *  ends it. Cold. */

import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { type HepTarget, parseHepTarget } from '../../config/hep-target.ts';
import type { Config } from '../../config/schema.ts';
import { EXPORT, openTrace, type TraceMemory } from '../../observe/trace/trace-layout.ts';
import { HEP_STOP, type HepOrder, type HepState, type HepTask } from './hep-task.ts';
import type { TraceReading } from './traced-message.ts';

const RESTART_MS = 1000;
const STOP_LIMIT_MS = 500;

/** What has become of the messages for the collector. */
export interface HepStatus {
  readonly to: string;
  readonly isConnected: boolean;
  readonly sent: number;
  /** Overwritten before they could be sent. */
  readonly dropped: number;
  /** Given to the network, which refused them or broke down. */
  readonly errors: number;
}

export class HepExport {
  readonly #to: string;
  readonly #memory: TraceMemory;
  #task: Omit<HepTask, 'isSuccessor'>;
  readonly #log: Logger;
  #worker: Worker | null = null;
  #isStopping = false;
  #timer: NodeJS.Timeout | null = null;

  /** `hep.to` is not `off`. */
  constructor({ hep }: Pick<Config, 'hep'>, trace: SharedArrayBuffer, reading: TraceReading, log: Logger) {
    this.#to = hep.to;
    this.#memory = openTrace(trace);
    this.#log = log;
    this.#task = {
      trace,
      reading,
      target: parseHepTarget(hep.to) as HepTarget,
      agent: { captureId: hep.captureId, authKey: hep.authKey },
    };
    this.#start(false);
  }

  get status(): HepStatus {
    const { doubles, map } = this.#memory;
    const count = (what: number) => doubles[map.exportDouble + what]!;
    return {
      to: this.#to,
      isConnected: this.#worker !== null && count(EXPORT.IS_CONNECTED) === 1,
      sent: count(EXPORT.SENT),
      dropped: count(EXPORT.DROPPED),
      errors: count(EXPORT.ERRORS),
    };
  }

  /** For messages that are not sent yet. */
  useMaskHeaders(maskHeaders: readonly string[]): void {
    this.#task = { ...this.#task, reading: { ...this.#task.reading, maskHeaders } };
    const order: HepOrder = { maskHeaders };
    this.#worker?.postMessage(order);
  }

  /** Sends what is there, as far as that takes no time. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const worker = this.#worker;
    if (worker === null) return;
    const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()));
    worker.postMessage(HEP_STOP);
    const timer = setTimeout(() => worker.terminate(), STOP_LIMIT_MS);
    await ended;
    clearTimeout(timer);
  }

  #start(isSuccessor: boolean): void {
    const workerData: HepTask = { ...this.#task, isSuccessor };
    const worker = new Worker(moduleBeside('hep-thread'), { workerData, name: 'hep' });
    this.#worker = worker;
    worker.on('message', ({ isUp, reason }: HepState) => {
      if (isUp) this.#log.info({ to: this.#to }, 'the HEP collector is there');
      else
        this.#log.warn(
          { to: this.#to, reason },
          'the HEP collector cannot be reached: messages for it are dropped meanwhile',
        );
    });
    worker.on('error', (error) => this.#log.error({ err: error }, 'the HEP export crashed; starting it again'));
    worker.on('exit', () => {
      this.#worker = null;
      if (this.#isStopping) return;
      this.#timer = setTimeout(() => this.#start(true), RESTART_MS);
    });
  }
}

/** A module of this folder: .ts when run from the sources, .js from dist. */
function moduleBeside(name: string): string {
  return fileURLToPath(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url));
}
