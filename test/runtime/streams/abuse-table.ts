/** The tables of docs/transports.md, row by row, against a real server: how each abuse ends, what counts it, and that others are served
 *  all the while. */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { optionsRequest } from '../../process/sip-texts.ts';
import { UdpPeer } from '../../process/udp-peer.ts';
import { TcpPeer } from './tcp-peer.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const document = readFileSync(new URL('docs/transports.md', `file://${root}`), 'utf8');

export const PER_SOURCE = 8;
export const IN_ALL = 10;

export interface Row {
  /** Of the table. */
  readonly counter: string;
  /** How many more the counter has then. */
  readonly count: number;
  run(): Promise<void>;
}

/** A server of which few connections are asked, and not for long. */
export class AbusedServer {
  readonly process: ServerProcess;
  /** Closed after each row. */
  readonly open: { close(): void }[] = [];
  #callCount = 0;

  private constructor(process: ServerProcess) {
    this.process = process;
  }

  /** On 127.0.0.1 by UDP and TCP, and what else there is in `listen`. */
  static async start(listen: readonly string[], settings: readonly string[]): Promise<AbusedServer> {
    const own = [
      'streams.messageSec=1',
      'streams.silentSec=2',
      `streams.connectionsPerSource=${PER_SOURCE}`,
      `streams.connections=${IN_ALL}`,
      'streams.queueBytes=65536',
      // One source floods: it is not to be taken for overload.
      'limits.overloadMark=0.01',
      'limits.rejectMark=0.001',
    ];
    const process = await ServerProcess.start(
      ...['--mode', 'stateful', ...['127.0.0.1:0', ...listen].flatMap((point) => ['--listen', point])],
      ...[...own, ...settings].flatMap((setting) => ['--set', setting]),
    );
    return new AbusedServer(process);
  }

  portOf(transport: string): number {
    return Number(new RegExp(`\\b${transport}:127\\.0\\.0\\.1:(\\d+)`).exec(this.process.stdout)![1]);
  }

  async count(counter: string): Promise<number> {
    return (await this.process.counters())[counter]!;
  }

  async openConnections(): Promise<number> {
    const all = Object.entries(await this.process.counters());
    const sum = (pattern: RegExp) => all.reduce((total, [name, value]) => total + (pattern.test(name) ? value : 0), 0);
    return sum(/^stream_(accepted|opened)_total$/) - sum(/^stream_closed_/);
  }

  /** A call of its own each time. */
  newCallId(): string {
    return `call-${++this.#callCount}`;
  }

  /** An OPTIONS for the server. */
  ask(fields: { readonly headers?: readonly string[]; readonly body?: Buffer; readonly by?: string } = {}): string {
    const { by = 'TCP', ...others } = fields;
    const uri = `sip:127.0.0.1:${this.portOf('tcp')}`;
    const request = optionsRequest({ uri, callId: this.newCallId(), sentBy: '127.0.0.1:9', ...others });
    return request.toString('latin1').replace('SIP/2.0/UDP', `SIP/2.0/${by}`);
  }

  async peer(port = this.portOf('tcp'), from = '127.0.0.1'): Promise<TcpPeer> {
    const one = await TcpPeer.connect(port, { localAddress: from });
    this.open.push(one);
    return one;
  }

  /** Another source is served by UDP and by a new connection. */
  async expectServed(): Promise<void> {
    const udp = await UdpPeer.open();
    this.open.push(udp);
    const [callId, udpPort] = [this.newCallId(), this.portOf('udp')];
    const sentBy = `127.0.0.1:${udp.port}`;
    await udp.send(optionsRequest({ uri: `sip:127.0.0.1:${udpPort}`, callId, sentBy }), udpPort);
    await udp.receive(`Call-ID: ${callId}\r`);
    const one = await this.peer(this.portOf('tcp'), '127.0.0.9');
    one.send(this.ask());
    await one.receive('SIP/2.0 200');
    one.close();
  }

  /** Connects `count` times; how many of them are reset, once that are `atLeast` so many. */
  async resetOf(port: number, count: number, atLeast: number, from: (i: number) => string): Promise<number> {
    const refusedBefore = await this.count('stream_refused_total');
    const peers: TcpPeer[] = [];
    for (let i = 0; i < count; i++) {
      const socket = await TcpPeer.connect(port, { localAddress: from(i) }).catch((error: NodeJS.ErrnoException) => {
        expect(error.code).toBe('ECONNRESET');
        return null;
      });
      if (socket !== null) peers.push(socket);
    }
    this.open.push(...peers);
    let refused = 0;
    await until('some are turned away', async () => {
      refused = (await this.count('stream_refused_total')) - refusedBefore;
      return refused >= atLeast && refused + peers.filter(({ isClosed }) => !isClosed).length === count;
    });
    return refused;
  }

  /** All connections of the test are closed, and the server has seen it. */
  async closeAll(): Promise<void> {
    for (const one of this.open.splice(0)) one.close();
    await until('all connections are over', async () => (await this.openConnections()) === 0);
  }

  strowger(...args: string[]): void {
    const control = `${this.process.folder}/control.sock`;
    execFileSync(process.execPath, ['bin/strowger.js', ...args, '--control', control], { cwd: root });
  }
}

/** The rows of the table that follows a heading. */
function tableUnder(heading: string): { readonly what: string; readonly counter: string }[] {
  const [, after = ''] = document.split(`\n${heading}\n`);
  const [section = ''] = after.split(/\n##/);
  return [...section.matchAll(/^\| (?!what comes)([^|]+) \| [^|]+ \| `(\w+)` \|$/gm)].map(([, what, counter]) => ({
    what: what!,
    counter: counter!,
  }));
}

/** The tests of one table. */
export function tryTable(heading: string, rows: Readonly<Record<string, Row>>, server: () => AbusedServer): void {
  afterEach(() => server().closeAll());
  afterAll(endServers);

  describe(heading, () => {
    it('is in the document, and all that is there is tried', () => {
      const tried = Object.entries(rows).map(([what, { counter }]) => ({ what, counter }));
      expect(tried).toEqual(tableUnder(heading));
    });

    it.each(Object.entries(rows))('%s', async (_, { counter, count, run }) => {
      const abused = server();
      const before = await abused.count(counter);
      await run();
      await until(`${counter} has ${count} more`, async () => (await abused.count(counter)) - before >= count, {
        explain: () => `it had ${before}`,
      });
      expect((await abused.count(counter)) - before).toBe(count);
      await abused.expectServed();
    });
  });
}
