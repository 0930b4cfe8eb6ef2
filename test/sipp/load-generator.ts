/** SIPp as a child process: its scenario, its figures (-trace_stat) and, when calls fail, its own words (-trace_err). */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '../process/server-process.ts';
import { freePort } from '../process/udp-peer.ts';

export interface SippFigures {
  readonly incoming: number;
  readonly outgoing: number;
  readonly successful: number;
  readonly failed: number;
  readonly retransmissions: number;
}

/** Columns of -trace_stat, cumulative. */
const COLUMNS = {
  incoming: 'IncomingCall(C)',
  outgoing: 'OutgoingCall(C)',
  successful: 'SuccessfulCall(C)',
  failed: 'FailedCall(C)',
  retransmissions: 'Retransmissions(C)',
} as const;

/** Longest run of any scenario here, several times over. */
const RUN_DEADLINE_MS = 600_000;
const SHOWN_ERROR_CHARS = 4000;
/** SIPp's default of 64 KiB overflows when a hundred answers come at once. */
const SOCKET_BUFFER_BYTES = 4 << 20;

export interface SippOptions {
  /** Ours. */
  readonly address?: string;
  /** A built-in scenario (uac, uas), or a file as a URL. */
  readonly scenario: string | URL;
  readonly args?: readonly string[];
  /** False (-nr): what is counted to the last message must not depend on how busy the machine is. Default: true. */
  readonly retransmits?: boolean;
}

const running = new Set<SippProcess>();

/** Ends what is left. For afterEach or afterAll. */
export async function endLoadGenerators(): Promise<void> {
  await Promise.all([...running].map((sipp) => sipp.kill()));
}

class SippProcess {
  readonly port: number;
  readonly exit: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #folder = mkdtempSync(join(tmpdir(), 'strowger-sipp-'));
  #output = '';

  constructor(port: number, { address = '127.0.0.1', scenario, args = [], retransmits = true }: SippOptions) {
    this.port = port;
    const scenarioArgs = typeof scenario === 'string' ? ['-sn', scenario] : ['-sf', fileURLToPath(scenario)];
    const traces = ['-trace_stat', '-stf', this.#statFile, '-fd', '1', '-trace_err', '-error_file', this.#errorFile];
    this.#child = spawn(
      'sipp',
      [
        ...scenarioArgs,
        '-i',
        address,
        '-p',
        String(port),
        '-nostdin',
        '-buff_size',
        String(SOCKET_BUFFER_BYTES),
        ...traces,
        ...(retransmits ? [] : ['-nr']),
        ...args,
      ],
      {
        cwd: this.#folder,
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-SHOWN_ERROR_CHARS);
      });
    }
    const limit = setTimeout(() => this.#child.kill('SIGKILL'), RUN_DEADLINE_MS);
    this.exit = new Promise((resolve, reject) => {
      this.#child.on('error', (error) => reject(new Error(`SIPp does not run: ${error.message}; ${HOW_TO_INSTALL}`)));
      this.#child.on('close', (code) => resolve(code));
    });
    this.exit.then(
      () => clearTimeout(limit),
      () => clearTimeout(limit),
    );
    running.add(this);
  }

  /** The figures of the last line SIPp wrote: every second, and at its end. */
  figures(): SippFigures {
    const lines = existsSync(this.#statFile) ? readFileSync(this.#statFile, 'latin1').trim().split('\n') : [];
    const names = lines[0]?.split(';') ?? [];
    const values = lines.length > 1 ? lines.at(-1)!.split(';') : [];
    const entries = Object.entries(COLUMNS).map(([key, column]) => [key, Number(values[names.indexOf(column)] ?? 0)]);
    return Object.fromEntries(entries) as unknown as SippFigures;
  }

  /** Its error trace: each call that failed, and why. */
  errors(): string {
    return existsSync(this.#errorFile) ? readFileSync(this.#errorFile, 'latin1') : '';
  }

  /** What there is to say about a failure. */
  explain(): string {
    return `SIPp's error trace:\n${this.errors().slice(0, SHOWN_ERROR_CHARS)}\nSIPp's screen:\n${this.#output}`;
  }

  async kill(): Promise<void> {
    running.delete(this);
    if (this.#child.exitCode === null) this.#child.kill('SIGKILL');
    await this.exit.catch(() => null);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #statFile(): string {
    return join(this.#folder, 'figures.csv');
  }

  get #errorFile(): string {
    return join(this.#folder, 'errors.log');
  }
}

export type { SippProcess };

const HOW_TO_INSTALL = 'apt-get install sip-tester (Debian), else see https://sipp.readthedocs.io';

function assertSippIsThere(): void {
  if (spawnSync('sipp', ['-v']).error !== undefined)
    throw new Error(`these tests need SIPp on PATH: ${HOW_TO_INSTALL}`);
}

/** The called side; it answers until it is killed. */
export async function startUas(options: Partial<SippOptions> = {}): Promise<SippProcess> {
  assertSippIsThere();
  const { address = '127.0.0.1' } = options;
  const port = await freePort(address);
  const uas = new SippProcess(port, { scenario: 'uas', ...options });
  await until('the UAS has its port', () => isBound(port), { explain: () => uas.explain() });
  return uas;
}

export interface UacOptions extends Partial<SippOptions> {
  /** Host and port of the Request-URI. */
  readonly target: string;
  /** Where the messages are sent if not to the target: `HOST:PORT` of the server. */
  readonly by?: string;
  readonly calls: number;
  readonly perSec: number;
}

/** The calling side; `exit` comes with the last call's end. */
export async function startUac(options: UacOptions): Promise<SippProcess> {
  assertSippIsThere();
  const { address = '127.0.0.1', target, by, calls, perSec, args = [], scenario = 'uac', retransmits = true } = options;
  const load = ['-m', String(calls), '-r', String(perSec), ...(by === undefined ? [] : ['-rsa', by])];
  return new SippProcess(await freePort(address), { address, scenario, args: [...load, ...args, target], retransmits });
}

/** Runs the calls to their end. Throws with SIPp's words unless every call was successful. */
export async function runUac(options: UacOptions): Promise<SippFigures> {
  const uac = await startUac(options);
  const code = await uac.exit;
  const figures = uac.figures();
  if (code !== 0 || figures.failed > 0 || figures.successful !== options.calls) {
    const others = [...running].filter((other) => other !== uac);
    const explanation = [uac, ...others].map((sipp) => sipp.explain()).join('\nAnother SIPp:\n');
    throw new Error(`SIPp ended with ${code}, ${JSON.stringify(figures)}\n${explanation}`);
  }
  await uac.kill();
  return figures;
}

/** The UAS's figures once it has written about `calls` calls. */
export async function figuresOfUas(uas: SippProcess, calls: number): Promise<SippFigures> {
  await until(`the UAS reports ${calls} calls`, () => uas.figures().incoming >= calls, {
    explain: () => `${JSON.stringify(uas.figures())}\n${uas.explain()}`,
  });
  return uas.figures();
}

function isBound(port: number): boolean {
  const hexPort = `:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  return ['udp', 'udp6', 'tcp', 'tcp6'].some((table) => readFileSync(`/proc/net/${table}`, 'latin1').includes(hexPort));
}
