/** Debian's Prometheus as a child process, with deploy/prometheus: the same rules and the same scrape, only more often. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse, stringify } from 'yaml';
import { START_PATIENCE_MS } from '../../process/patience.ts';
import { until } from '../../process/server-process.ts';
import { freeTcpPort } from '../../process/tcp-port.ts';

const DEPLOYED = fileURLToPath(new URL('../../../deploy/prometheus/', import.meta.url));
const HOW_TO_INSTALL = 'apt-get install prometheus (Debian), else see https://prometheus.io/download';

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Alert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

export class Prometheus {
  readonly #folder = mkdtempSync(join(tmpdir(), 'strowger-prometheus-'));
  readonly #child: ChildProcess;
  readonly #url: string;
  #output = '';
  #error: Error | null = null;

  private constructor(port: number, target: string) {
    const config = parse(readFileSync(join(DEPLOYED, 'prometheus.yml'), 'utf8'));
    config.global = { scrape_interval: '1s', evaluation_interval: '1s' };
    config.rule_files = config.rule_files.map((file: string) => join(DEPLOYED, file));
    config.scrape_configs[0].static_configs[0].targets = [target];
    const file = join(this.#folder, 'prometheus.yml');
    writeFileSync(file, stringify(config));
    this.#url = `http://127.0.0.1:${port}`;
    this.#child = spawn(
      'prometheus',
      [
        `--config.file=${file}`,
        `--storage.tsdb.path=${join(this.#folder, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
      });
    }
    this.#child.on('error', (error) => {
      this.#error = new Error(`Prometheus does not run: ${error.message}; ${HOW_TO_INSTALL}`);
    });
  }

  /** One that scrapes `target`, HOST:PORT, and has done so at least once. */
  static async start(target: string): Promise<Prometheus> {
    const prometheus = new Prometheus(await freeTcpPort(), target);
    await until('Prometheus has scraped', () => prometheus.#hasScraped(), {
      deadlineMs: START_PATIENCE_MS,
      pollMs: 100,
      explain: () => prometheus.#output,
    });
    return prometheus;
  }

  /** The values of an expression as of now. Throws what Prometheus says against it. */
  async query(expr: string): Promise<Sample[]> {
    const { result } = (await this.#get(`query?query=${encodeURIComponent(expr)}`)) as {
      result: { metric: Record<string, string>; value: [number, string] }[];
    };
    return result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  async alerts(): Promise<readonly Alert[]> {
    return ((await this.#get('alerts')) as { alerts: Alert[] }).alerts;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode === null && this.#error === null) {
      const ended = new Promise((resolve) => this.#child.once('close', resolve));
      this.#child.kill('SIGKILL');
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #hasScraped(): Promise<boolean> {
    if (this.#error !== null) throw this.#error;
    if (this.#child.exitCode !== null) throw new Error(`Prometheus ended at its start:\n${this.#output}`);
    // Until it listens there is nobody to ask.
    const samples = await this.query('up').catch(() => []);
    return samples[0]?.value === 1;
  }

  async #get(path: string): Promise<unknown> {
    const response = await fetch(`${this.#url}/api/v1/${path}`);
    const answer = (await response.json()) as { status: string; data: unknown; error?: string };
    if (answer.status !== 'success') throw new Error(`Prometheus: ${answer.error}`);
    return answer.data;
  }
}
