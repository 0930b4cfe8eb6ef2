/** Reloads (SIGHUP, `strowger reload`): the file is read again, and is taken over as a whole or not at all. What only a new start
 *  changes stays as it is and is named. Main thread, cold; one at a time. */

import type { Logger } from 'pino';
import { areEqual, type ConfigChange, type ConfigChanges, changesBetween, liveConfig } from '../../config/changes.ts';
import { type LoadRequest, loadConfig } from '../../config/load.ts';
import type { Config } from '../../config/schema.ts';
import { fingerprintOf, withoutDefaults, withoutSecrets, writtenConfig } from '../../config/written.ts';
import { REFUSED, RequestError } from '../request-error.ts';
import type { ConfigOperations, ReloadOrder, ReloadReport } from '../running-server.ts';
import type { Exchange } from '../supervisor.ts';
import { KeptConfigs } from './kept-configs.ts';

/** Changes that the log names one by one. */
const LOGGED_CHANGES = 20;
const LOGGED_PROBLEMS = 10;

export interface ReloadParts {
  /** What the server was started with: file, flags and settings of the command line, which stay over the file. */
  readonly origin: LoadRequest;
  /** The text of the file then; null: there was none. */
  readonly text: string | null;
  readonly config: Config;
  /** Where the good ones are kept; null: in memory. */
  readonly directory: string | null;
  /** Makes of a configuration what can be made before anything changes, and returns what has everything take it over. What it throws
   *  is what is wrong with it, a line each. */
  readonly prepare: (config: Config) => () => Promise<Exchange>;
  readonly log: Logger;
}

const NO_EXCHANGE: Exchange = { shards: 0, longestMs: 0 };

interface Next {
  /** As the file says. */
  readonly config: Config;
  readonly text: string;
}

export class Reloads implements ConfigOperations {
  readonly #parts: ReloadParts;
  readonly #kept: KeptConfigs;
  /** What runs. */
  #running: Config;
  /** Settings of the file, when it was taken over last, that are different from what runs. */
  #needsRestart: readonly string[] = [];
  #fingerprint: string;
  #generation = 1;
  #takenAtMs = Date.now();
  #lastResult: 'none' | ReloadReport['result'] | 'failed' = 'none';
  #queue: Promise<unknown> = Promise.resolve();
  applied = 0;
  unchanged = 0;
  failed = 0;

  constructor(parts: ReloadParts) {
    this.#parts = parts;
    this.#running = parts.config;
    this.#fingerprint = fingerprintOf(parts.config);
    this.#kept = new KeptConfigs(parts.directory, (error, unreadable) => {
      if (unreadable !== null) {
        parts.log.warn(
          { err: error, file: unreadable },
          'a configuration that was kept cannot be read: nobody can return to it',
        );
        return;
      }
      parts.log.warn(
        { err: error, directory: parts.directory },
        'configurations cannot be kept there, only in memory; choose another directory with reload.directory',
      );
    });
    if (parts.text !== null) this.#kept.add(parts.text, parts.config.reload.keep, new Date());
  }

  /** What runs. */
  get running(): Config {
    return this.#running;
  }

  state(): ReturnType<ConfigOperations['state']> {
    return {
      file: this.#parts.origin.file ?? null,
      hash: this.#fingerprint,
      generation: this.#generation,
      takenAt: new Date(this.#takenAtMs).toISOString(),
      lastReload: this.#lastResult,
      needsRestart: this.#needsRestart,
    };
  }

  get takenAtMs(): number {
    return this.#takenAtMs;
  }

  show({ hasDefaults }: { hasDefaults: boolean }): ReturnType<ConfigOperations['show']> {
    const written = writtenConfig(this.#running);
    return { ...this.state(), config: withoutSecrets(hasDefaults ? written : withoutDefaults(written)) };
  }

  history(): ReturnType<ConfigOperations['history']> {
    const kept = this.#kept.list.map(({ number, takenAt, file }, back) => ({ back, number, takenAt, file }));
    return { kept };
  }

  diff({ file, back }: { file?: string | undefined; back?: number | undefined }): ConfigChanges {
    const next = back !== undefined ? this.#readKept(back) : this.#readFile(file ?? this.#file());
    return changesBetween(this.#running, next.config);
  }

  reload(order: ReloadOrder): Promise<ReloadReport> {
    return this.#inTurn(() => this.#take('reload', () => this.#readFile(this.#file()), order));
  }

  rollback({ back, ...order }: ReloadOrder & { back: number }): Promise<ReloadReport> {
    return this.#inTurn(() => this.#take('rollback', () => this.#readKept(back), order));
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#queue.then(work);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async #take(what: string, read: () => Next, { isDryRun, isStrict }: ReloadOrder): Promise<ReloadReport> {
    const { log, prepare } = this.#parts;
    try {
      const next = read();
      const { changes, omitted } = changesBetween(this.#running, next.config);
      const waiting = changes.filter(({ reload }) => reload === 'restart').map(({ path }) => path);
      if (isStrict && waiting.length > 0) {
        throw new RequestError(REFUSED, `needs a new start, and nothing has changed: ${waiting.join(', ')}`);
      }
      const live = liveConfig(this.#running, next.config);
      const isSame = areEqual(live, this.#running);
      const takeOver = isSame ? null : prepare(live);
      const report = { result: isSame ? 'unchanged' : 'applied', changes, omitted, longestPauseMs: 0 } as const;
      if (isDryRun) return { ...report, isDryRun, generation: this.#generation, hash: fingerprintOf(live) };
      const exchange = (await takeOver?.()) ?? NO_EXCHANGE;
      this.#note(next, live, isSame);
      this.#say(what, report.result, changes, omitted, exchange);
      const { longestMs: longestPauseMs } = exchange;
      return { ...report, isDryRun, generation: this.#generation, hash: this.#fingerprint, longestPauseMs };
    } catch (error) {
      const refusal = refusalOf(error);
      if (!isDryRun) {
        this.failed++;
        this.#lastResult = 'failed';
        const lines = refusal.message.split('\n');
        const rest = lines.length > LOGGED_PROBLEMS ? ` and ${lines.length - LOGGED_PROBLEMS} more` : '';
        log.error(
          { problems: lines.length, err: error instanceof RequestError ? undefined : error },
          `${what} failed, and nothing has changed: ${lines.slice(0, LOGGED_PROBLEMS).join('; ')}${rest}`,
        );
      }
      throw refusal;
    }
  }

  #note({ config, text }: Next, live: Config, isSame: boolean): void {
    this.#running = live;
    this.#needsRestart = changesBetween(live, config).changes.map(({ path }) => path);
    this.#fingerprint = fingerprintOf(live);
    this.#lastResult = isSame ? 'unchanged' : 'applied';
    if (isSame) {
      this.unchanged++;
    } else {
      this.applied++;
      this.#generation++;
      this.#takenAtMs = Date.now();
    }
    this.#kept.add(text, live.reload.keep, new Date());
  }

  #say(what: string, result: string, changes: readonly ConfigChange[], omitted: number, exchange: Exchange): void {
    const live = changes.filter(({ reload }) => reload === 'live');
    const waiting = changes.filter(({ reload }) => reload === 'restart');
    const text = (list: readonly ConfigChange[]) => list.slice(0, LOGGED_CHANGES).map(sayChange);
    this.#parts.log.info(
      {
        result,
        generation: this.#generation,
        hash: this.#fingerprint,
        ...(live.length === 0 ? {} : { changes: text(live) }),
        more: Math.max(0, live.length - LOGGED_CHANGES) + omitted || undefined,
        pauseMs: Math.round(exchange.longestMs * 10) / 10,
      },
      result === 'applied' ? `${what}: the configuration has been exchanged` : `${what}: nothing has changed`,
    );
    if (waiting.length === 0) return;
    this.#parts.log.warn(
      { settings: waiting.map(({ path }) => path).slice(0, LOGGED_CHANGES) },
      `${what}: some settings need a new start, and stay as they were until then`,
    );
  }

  #file(): string {
    const { file } = this.#parts.origin;
    if (file !== undefined) return file;
    throw new RequestError(REFUSED, 'this server was started without --config: there is no file to read again');
  }

  #readFile(file: string): Next {
    return this.#load({ ...this.#parts.origin, file });
  }

  #readKept(back: number): Next {
    const kept = this.#kept.at(back);
    const count = this.#kept.list.length;
    if (kept !== undefined) return this.#load({ ...this.#parts.origin, text: kept.text, file: kept.file ?? undefined });
    const there = count < 2 ? 'there is no earlier one yet' : `it goes back to ${count - 1}`;
    throw new RequestError(REFUSED, `no configuration is kept that is ${back} before the current one; ${there}`);
  }

  #load(request: LoadRequest): Next {
    const { config, text, problems } = loadConfig(request);
    if (problems !== undefined) throw new RequestError(REFUSED, problems.join('\n'));
    return { config, text: text ?? '' };
  }
}

/** `PATH: BEFORE → AFTER`. */
export function sayChange({ path, before, after }: ConfigChange): string {
  if (before === null) return `${path}: added ${after}`;
  return after === null ? `${path}: removed ${before}` : `${path}: ${before} → ${after}`;
}

function refusalOf(error: unknown): RequestError {
  if (error instanceof RequestError) return error;
  return new RequestError(REFUSED, error instanceof Error ? error.message : String(error));
}
