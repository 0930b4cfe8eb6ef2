/** `strowger shard`, `transaction` and `hop` against a real server, with the intake on a thread of its own and without. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ControlClient, openControlClient } from '../../src/cli/control-client.ts';
import type { ListedHop, ListedShard, ShardTransaction } from '../../src/runtime/shard-service.ts';
import { until } from '../process/server-process.ts';
import { callIdOfShard, optionsRequest } from '../process/sip-texts.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';
import { DnsServer } from '../runtime/dns-server.ts';
import { type RunningCommand, startCommand } from './command.ts';

let directory = '';
let server: RunningCommand;
let client: ControlClient;
let port = 0;
const open: { close(): void }[] = [];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'strowger-shard-'));
  port = await freePort();
});
afterEach(async () => {
  client?.close();
  for (const endpoint of open.splice(0)) endpoint.close();
  server.process.kill('SIGKILL');
  await server.finished;
  rmSync(directory, { recursive: true });
});

const environment = () => ({ ...process.env, XDG_RUNTIME_DIR: directory, TMPDIR: directory });

async function serve(...flags: string[]): Promise<void> {
  const sets = ['location.store=off', 'bans.file=off', 'rehearsalMs=0'].flatMap((set) => ['--set', set]);
  server = startCommand(['--listen', `udp:127.0.0.1:${port}`, ...sets, ...flags], environment());
  await server.saw('\n  try ');
  client = await openControlClient(join(directory, `strowger-${port}.sock`));
}

async function peer(): Promise<UdpPeer> {
  const opened = await UdpPeer.open();
  open.push(opened);
  return opened;
}

async function shards(): Promise<readonly ListedShard[]> {
  return ((await client.call('shard.list')) as { shards: ListedShard[] }).shards;
}

describe.each([
  ['own', 2],
  ['shard', 1],
])('a shard that is started again, with dispatcher.thread=%s and %i shards', (thread, workers) => {
  it('loses no datagram, and is not counted as crashed', async () => {
    await serve('--workers', String(workers), '--set', `dispatcher.thread=${thread}`);
    const phone = await peer();
    const sent: string[] = [];
    const timer = setInterval(() => {
      const callId = `${callIdOfShard(workers - 1, workers)}-restart-${sent.length}`;
      sent.push(callId);
      void phone.send(optionsRequest({ uri: `sip:127.0.0.1:${port}`, callId, sentBy: phone.hostPort }), port);
    }, 2);
    await until('calls come', () => phone.arrivals.length > 20);
    for (let restart = 0; restart < 3; restart++) {
      const before = sent.length;
      const answer = await client.call('shard.restart', { shard: workers - 1 });
      expect(answer).toMatchObject({ shard: workers - 1, starts: restart + 2 });
      await until('calls come again', () => phone.arrivals.length > before + 20);
    }
    clearInterval(timer);
    const answered = () =>
      new Set(phone.arrivals.map(({ datagram }) => /^Call-ID: (.*)$/m.exec(`${datagram}`)![1]!.trim()));
    await until('all are answered', () => sent.every((callId) => answered().has(callId)), {
      explain: () => `${answered().size} of ${sent.length}`,
    });
    expect((await shards()).at(-1)).toMatchObject({ isRunning: true, starts: 4, crashes: 0, lastCrash: null });
    expect((await client.call('errors.recent')) as object).toEqual({ errors: [] });
  });

  it('answers what waits for a look-up before it leaves', async () => {
    const dns = await DnsServer.start();
    dns.mood = 'is silent';
    open.push(dns);
    await serve(
      ...['--workers', String(workers), '--set', `dispatcher.thread=${thread}`, '--mode', 'stateless'],
      ...['--set', `dns.servers=["${dns.address}"]`, '--set', 'dns.timeoutMs=20000'],
    );
    const phone = await peer();
    const callId = callIdOfShard(workers - 1, workers);
    await phone.send(optionsRequest({ uri: 'sip:nowhere.example', callId, sentBy: phone.hostPort }), port);
    await until('it waits', async () => (await shards()).at(-1)!.parked === 1);
    expect(await client.call('shard.restart', { shard: workers - 1 })).toMatchObject({ starts: 2 });
    expect((await phone.receive(callId)).datagram.toString('latin1', 8, 11)).toBe('500');
  });
});

describe('what the shards know', () => {
  it('is put together from all of them: transactions, next hops', async () => {
    const hop = await peer();
    await serve('--workers', '2', '--domain', 'example.org', '--next-hop', `sip:${hop.hostPort}`);
    const phone = await peer();
    const callIds = [0, 1].map((shard) => callIdOfShard(shard, 2));
    for (const callId of callIds) {
      await phone.send(optionsRequest({ uri: 'sip:bob@example.org', callId, sentBy: phone.hostPort }), port);
    }
    for (const callId of callIds) await hop.receive(callId);
    const list = async (params: object) => {
      const { transactions, cursor } = (await client.call('transaction.list', params)) as {
        transactions: ShardTransaction[];
        cursor: string | null;
      };
      return { callIds: transactions.map(({ callId }) => callId), transactions, cursor };
    };
    const all = await list({});
    expect(all.callIds).toEqual(callIds);
    expect(all.transactions[1]).toMatchObject({ shard: 1, method: 'OPTIONS', peer: phone.hostPort, pending: 1 });
    expect(await list({ callId: callIds[1] })).toMatchObject({ callIds: [callIds[1]], cursor: null });
    expect(await list({ shard: 0 })).toMatchObject({ callIds: [callIds[0]] });
    const first = await list({ limit: 1 });
    expect(first.callIds).toEqual([callIds[0]]);
    expect((await list({ cursor: first.cursor })).callIds).toEqual([callIds[1]]);
    const { hops } = (await client.call('hops.list')) as { hops: ListedHop[] };
    expect(hops).toMatchObject([{ uri: `sip:${hop.hostPort}`, state: 'up', restingOn: 0, lastFailedAt: null }]);

    const { stdout } = await startCommand(['transaction', 'list', '--call-id', callIds[0]!], environment()).finished;
    const [titles, row] = stdout.trimEnd().split('\n');
    expect(titles).toMatch(/^SHARD +METHOD +STATE +AGE +FROM +BRANCHES +CALL-ID$/);
    expect(row).toMatch(/^ +0 +OPTIONS +trying +\d+\.\d s +127\.0\.0\.1:\d+ +127\.0\.0\.1:\d+ trying +\S+$/);
    const restart = await startCommand(['shard', 'restart', '2'], environment()).finished;
    expect(restart).toEqual({
      code: 1,
      stdout: '',
      stderr: 'strowger: there is no shard 2; there are shards 0 to 1\n',
    });
  });
});
