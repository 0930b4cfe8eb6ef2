/** The server of a soak: the real process with its usual settings, reloaded, scraped and robbed of shards while it serves. Cold. */

import { join } from 'node:path';
import { openControlClient } from '../../src/cli/control-client.ts';
import type { ReloadReport } from '../../src/runtime/running-server.ts';
import { FATAL_MAX_FORWARDS } from '../../test/process/fatal-request.ts';
import { ServerProcess, until } from '../../test/process/server-process.ts';
import { callIdOfShard, optionsRequest } from '../../test/process/sip-texts.ts';
import { freeTcpPort } from '../../test/process/tcp-port.ts';
import { freePort, UdpPeer } from '../../test/process/udp-peer.ts';
import { writeTurn } from '../../test/sipp/reload/turning-config.ts';
import type { Kill } from './failed-calls.ts';
import { readScrape, type Scrape } from './metrics-text.ts';

const FILE = 'strowger.yaml';
const SOCKET = 'control.sock';
const RELOAD_LIMIT_MS = 30_000;
const SCRAPE_LIMIT_MS = 10_000;
const BACK_LIMIT_MS = 60_000;
const PLANT_SHORT_LINGERS = new URL('../../test/process/plant-short-lingers.ts', import.meta.url);

export interface SoakedOptions {
  readonly folder: string;
  readonly shards: number;
  readonly domains: number;
  /** Of the next hops. */
  readonly uasPorts: readonly number[];
  /** More settings, `PATH=VALUE`. */
  readonly sets: readonly string[];
  /** Finished transactions linger for a second only: for a short run. */
  readonly isLingeringShort: boolean;
}

export class SoakedServer {
  readonly port: number;
  readonly #options: SoakedOptions;
  readonly #server: ServerProcess;
  readonly #peer: UdpPeer;
  readonly #metricsUrl: string;
  #turn = 0;
  #stopped: Promise<number | null> | null = null;

  private constructor(
    port: number,
    adminPort: number,
    parts: { options: SoakedOptions; server: ServerProcess; peer: UdpPeer },
  ) {
    this.port = port;
    this.#options = parts.options;
    this.#server = parts.server;
    this.#peer = parts.peer;
    this.#metricsUrl = `http://127.0.0.1:${adminPort}/metrics`;
  }

  static async start(options: SoakedOptions): Promise<SoakedServer> {
    const { folder, shards, isLingeringShort } = options;
    const [port, adminPort] = [await freePort(), await freeTcpPort()];
    const file = join(folder, FILE);
    writeTurn(file, 0, partsOf(options));
    const sets = [`control.socket=${join(folder, SOCKET)}`, `location.store=${join(folder, 'location')}`];
    sets.push(`bans.file=${join(folder, 'bans.json')}`, `reload.directory=${join(folder, 'configs')}`);
    if (!isLingeringShort) sets.push('rehearsalMs=400');
    sets.push(...options.sets);
    const server = await ServerProcess.startPreloaded(
      isLingeringShort ? [PLANT_SHORT_LINGERS] : [],
      ...['--config', file, '--mode', 'stateful', '--workers', String(shards)],
      ...['--listen', `udp:127.0.0.1:${port}`, '--admin', `127.0.0.1:${adminPort}`],
      ...sets.flatMap((set) => ['--set', set]),
    );
    return new SoakedServer(port, adminPort, { options, server, peer: await UdpPeer.open() });
  }

  get pid(): number {
    return this.#server.child.pid!;
  }

  /** What it wrote. */
  get output(): string {
    return this.#server.output;
  }

  /** The next configuration. The longest pause of a shard, in milliseconds. */
  async reload(): Promise<number> {
    const { folder } = this.#options;
    writeTurn(join(folder, FILE), ++this.#turn, partsOf(this.#options));
    // A connection for each: nobody keeps one open that is not used for a minute.
    const client = await openControlClient(join(folder, SOCKET));
    const report = (await client.call('reload', {}, RELOAD_LIMIT_MS).finally(() => client.close())) as ReloadReport;
    if (report.result !== 'applied') throw new Error(`reload ${this.#turn}: ${JSON.stringify(report)}`);
    return report.longestPauseMs;
  }

  async scrape(): Promise<Scrape> {
    const response = await fetch(this.#metricsUrl, { signal: AbortSignal.timeout(SCRAPE_LIMIT_MS) });
    if (response.status !== 200) throw new Error(`a scrape was answered ${response.status}`);
    return readScrape(await response.text());
  }

  /** Kills a shard: on a datagram that it throws on, or between two. Resolves once its successor serves. */
  async kill(shard: number, way: Kill['way']): Promise<Kill> {
    const { starts } = (await this.#server.observe()).shards[shard]!;
    const atMs = Date.now();
    if (way === 'command') await this.#server.crashShard(shard);
    else await this.#peer.send(this.#fatalRequest(shard), this.port);
    await until(
      `shard ${shard} is back`,
      async () => {
        const now = (await this.#server.observe()).shards[shard]!;
        return now.starts === starts + 1 && now.isRunning;
      },
      { deadlineMs: BACK_LIMIT_MS, explain: () => this.output },
    );
    return { atMs, shard, way, backAtMs: Date.now() };
  }

  /** The exit code after SIGTERM, also of one that has been stopped before. */
  async stop(): Promise<number | null> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<number | null> {
    this.#peer.close();
    this.#server.child.kill('SIGTERM');
    const { code } = await this.#server.exit;
    await this.#server.kill();
    return code;
  }

  #fatalRequest(shard: number): Buffer {
    return optionsRequest({
      uri: `sip:nobody@127.0.0.1:${this.#options.uasPorts[0]}`,
      callId: callIdOfShard(shard, this.#options.shards),
      sentBy: this.#peer.hostPort,
      maxForwards: FATAL_MAX_FORWARDS,
    });
  }
}

function partsOf({ uasPorts, domains }: SoakedOptions) {
  return { ports: uasPorts, domains };
}
