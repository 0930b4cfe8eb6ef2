/** One SIPp process: its command line, the files that it writes, and its end. Cold. */

import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchError } from './bench-error.ts';
import { OwnedProcess, removeFolder, temporaryFolder } from './owned-process.ts';
import {
  type CountRow,
  columnsOf,
  type ExchangeTimes,
  type ResponseTime,
  readCountRow,
  readErrorCodes,
  readExchangeTimes,
  readResponseTimes,
  readStartMs,
  readStatRow,
  type StatRow,
} from './sipp-traces.ts';
import { type HostPort, isBound, textOf } from './udp-sockets.ts';

/** How often SIPp writes down what it has counted. */
const ROW_MS = 500;
/** SIPp's default of 64 KiB overflows when a hundred answers come at once. */
const SOCKET_BUFFER_BYTES = 4 << 20;
/** How often SIPp looks at its clock when nothing comes, in milliseconds. Its default is ten. */
const TICK_MS = 1;
/** With that tick, SIPp 3.6 begins what is due at every fourth or fifth look: this long after it was due at the most, unless
 *  it was held up. */
export const GRAIN_US = 5000;
const ERROR_FILE = 'errors.log';
const MAX_COMPLAINT_CHARS = 200;
const BIND_LIMIT_MS = 20_000;
const POLL_MS = 10;

export const HOW_TO_INSTALL = 'install it (Debian, Ubuntu: apt-get install sip-tester; else see sipp.readthedocs.io)';

/** SIPp's version; null: it is not on the PATH. */
export function sippVersion(): string | null {
  const { stdout, error } = spawnSync('sipp', ['-v'], { encoding: 'utf8' });
  return error === undefined ? (/SIPp (v[\w.]+)/.exec(stdout)?.[1] ?? 'unknown') : null;
}

/** How the UAC of one process loads. */
export interface Pace {
  /** Exchanges a second; null: as many as come back. */
  readonly ratePerSec: number | null;
  /** In flight: just so many without a rate, at the most with one. */
  readonly window: number;
  /** How many in all; null: until `finish`. */
  readonly amount: number | null;
}

export interface SippOptions {
  /** For the tables: UAC 1. */
  readonly name: string;
  readonly file: string;
  /** Times of a line of the log actions; 0: the file is not ours. */
  readonly timeCount: number;
  readonly address: string;
  readonly port: number;
  /** SIPp's -t: u1, t1 … */
  readonly transport: string;
  readonly cpus: readonly number[] | null;
  /** [KEY] in the scenario. */
  readonly keys?: { readonly [key: string]: string };
  /** Without `sip:`: what digest credentials are for, if not the address that is sent to. */
  readonly authenticationUri?: string;
  /** Lines of the injection file, in turn; none: there is no such file. */
  readonly lines?: readonly string[];
  /** Between ACK and BYE. */
  readonly holdMs?: number;
  /** Null: it is a UAS. */
  readonly uac: { readonly to: HostPort; readonly pace: Pace } | null;
  /** False: only the figures; nothing is written down for each exchange. Default: true. */
  readonly isMeasured?: boolean;
  /** True: what went wrong is written down call by call, for `errors`. Default: false. */
  readonly keepsErrors?: boolean;
  /** More of SIPp's own. */
  readonly args?: readonly string[];
}

export class SippProcess {
  readonly name: string;
  readonly port: number;
  readonly scenario: Pick<SippOptions, 'file' | 'timeCount'>;
  readonly #process: OwnedProcess;
  readonly #folder = temporaryFolder();
  readonly #isStream: boolean;
  readonly #stats: GrowingTable<StatRow>;
  readonly #counts: GrowingTable<CountRow>;

  constructor(options: SippOptions) {
    const { name, port, file, timeCount } = options;
    this.name = name;
    this.port = port;
    this.scenario = { file, timeCount };
    this.#isStream = options.transport.startsWith('t');
    this.#stats = new GrowingTable(() => join(this.#folder, 'stat.csv'), readStatRow);
    this.#counts = new GrowingTable(() => this.#fileEndingIn('_counts.csv'), readCountRow);
    this.#process = new OwnedProcess(['sipp', ...this.#argumentsOf(options)], {
      cwd: this.#folder,
      cpus: options.cpus,
      keepsOutput: false,
    });
  }

  #argumentsOf(options: SippOptions): string[] {
    const { address, port, transport, keys = {}, lines = [], uac, isMeasured = true, keepsErrors = false } = options;
    const args = ['-sf', this.#scenarioFile(options), '-i', bracketed(address), '-p', String(port), '-t', transport];
    args.push('-nostdin', '-buff_size', String(SOCKET_BUFFER_BYTES), '-timer_resol', String(TICK_MS));
    args.push('-trace_stat', '-stf', 'stat.csv', '-fd', `${ROW_MS}ms`, '-trace_counts', '-trace_error_codes');
    if (keepsErrors) args.push('-trace_err', '-error_file', ERROR_FILE);
    args.push(...(options.args ?? []));
    for (const [key, value] of Object.entries(keys)) args.push('-key', key, value);
    if (uac === null) return args;
    if (lines.length > 0) {
      writeFileSync(join(this.#folder, 'users.csv'), ['SEQUENTIAL', ...lines, ''].join('\n'));
      args.push('-inf', 'users.csv');
    }
    if (options.authenticationUri !== undefined) args.push('-auth_uri', options.authenticationUri);
    const { ratePerSec, window, amount } = uac.pace;
    if (ratePerSec === null) args.push('-users', String(window));
    else args.push('-r', String(ratePerSec), '-l', String(window));
    if (amount !== null) args.push('-m', String(amount));
    if (isMeasured && options.timeCount > 0) args.push('-trace_logs', '-log_file', 'exchanges.log');
    if (isMeasured && options.timeCount === 0) args.push('-trace_rtt', '-rtt_freq', '1');
    return [...args, textOf(uac.to)];
  }

  /** The scenario as it is, or with the pause between ACK and BYE put in. */
  #scenarioFile({ file, holdMs = 0 }: SippOptions): string {
    if (holdMs === 0) return file;
    const text = readFileSync(file, 'utf8').replace('<!-- hold -->', `<pause milliseconds="${holdMs}"/>`);
    writeFileSync(join(this.#folder, 'scenario.xml'), text);
    return join(this.#folder, 'scenario.xml');
  }

  get pid(): number {
    return this.#process.pid;
  }

  get hasEnded(): boolean {
    return this.#process.hasEnded;
  }

  /** Exit code; null after a signal. */
  get exited(): Promise<number | null> {
    return this.#process.exited;
  }

  /** Throws a BenchError with SIPp's own words if it ends before. */
  async untilBound(): Promise<void> {
    const until = performance.now() + BIND_LIMIT_MS;
    while (!isBound(this.port, this.#isStream ? 'tcp' : 'udp')) {
      if (this.hasEnded || performance.now() > until)
        throw new BenchError(`${this.name} did not start: ${this.complaint() ?? 'SIPp said nothing'}`);
      await sleep(POLL_MS);
    }
  }

  /** What has been counted so far, oldest first. Each call reads only what is new. */
  stats(): readonly StatRow[] {
    return this.#stats.read();
  }

  counts(): readonly CountRow[] {
    return this.#counts.read();
  }

  /** Response codes that came unexpected since then (milliseconds of the epoch). */
  errorCodes(sinceMs: number): { readonly [code: string]: number } {
    const file = this.#fileEndingIn('_error_codes.csv');
    return existsSync(file) ? readErrorCodes(readFileSync(file, 'latin1'), sinceMs) : {};
  }

  /** Its error trace, with `keepsErrors`: each call that failed, and why. */
  errors(): string {
    const file = join(this.#folder, ERROR_FILE);
    return existsSync(file) ? readFileSync(file, 'latin1') : '';
  }

  /** Of a scenario of ours, once it has ended. */
  exchangeTimes(): ExchangeTimes {
    const file = join(this.#folder, 'exchanges.log');
    return readExchangeTimes(existsSync(file) ? readFileSync(file) : new Uint8Array(), this.scenario.timeCount);
  }

  /** Of any other scenario, once it has ended. */
  responseTimes(): readonly ResponseTime[] {
    const file = this.#fileEndingIn('_rtt.csv');
    const [header = '', row = ''] = existsSync(join(this.#folder, 'stat.csv'))
      ? readFileSync(join(this.#folder, 'stat.csv'), 'latin1').split('\n', 2)
      : [];
    const startMs = readStartMs(columnsOf(header), row);
    return existsSync(file) ? readResponseTimes(readFileSync(file, 'latin1'), startMs) : [];
  }

  /** The last failure in SIPp's words, once it has ended by itself; null: there was none. */
  complaint(): string | null {
    const lines = this.#process.output.split(/\r?\n/).map((line) => line.replace(/^[\d-]+\t[\d:.]+\t[\d.]+: /, ''));
    const line = lines.find((text) => text !== '' && !/^(?:Resolving remote host|The following events)/.test(text));
    if (line === undefined) return null;
    return line.length > MAX_COMPLAINT_CHARS ? `${line.slice(0, MAX_COMPLAINT_CHARS)}…` : line;
  }

  /** Begins no more exchanges; it ends when those in flight have. */
  finish(): void {
    this.#process.signal('SIGUSR1');
  }

  async endsWithin(limitMs: number): Promise<boolean> {
    return this.#process.endsWithin(limitMs);
  }

  /** Ends it and removes what it wrote. */
  async remove(): Promise<void> {
    this.#process.kill();
    await this.#process.exited;
    removeFolder(this.#folder);
  }

  /** Ends it, and leaves its files. */
  async kill(): Promise<void> {
    this.#process.kill();
    await this.#process.exited;
  }

  #fileEndingIn(end: string): string {
    const name = readdirSync(this.#folder).find((file) => file.endsWith(end));
    return join(this.#folder, name ?? end);
  }
}

/** A table that a process appends to. */
class GrowingTable<Row> {
  readonly #path: () => string;
  readonly #read: (columns: readonly string[], line: string) => Row | null;
  readonly #rows: Row[] = [];
  #columns: readonly string[] | null = null;
  #offset = 0;
  #rest = '';

  constructor(path: () => string, read: (columns: readonly string[], line: string) => Row | null) {
    this.#path = path;
    this.#read = read;
  }

  read(): readonly Row[] {
    const path = this.#path();
    if (!existsSync(path)) return this.#rows;
    const lines = (this.#rest + this.#newText(path)).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) {
      if (this.#columns === null) {
        this.#columns = columnsOf(line);
        continue;
      }
      const row = this.#read(this.#columns, line);
      if (row !== null) this.#rows.push(row);
    }
    return this.#rows;
  }

  #newText(path: string): string {
    const bytes = Buffer.alloc(statSync(path).size - this.#offset);
    if (bytes.length === 0) return '';
    const file = openSync(path, 'r');
    const count = readSync(file, bytes, 0, bytes.length, this.#offset);
    closeSync(file);
    this.#offset += count;
    return bytes.toString('latin1', 0, count);
  }
}

function bracketed(address: string): string {
  return isIPv6(address) ? `[${address}]` : address;
}
