/** What the supervisor makes of shards that crash again and again, or hang, and of a dispatcher that crashes: in a real
 *  server. */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FATAL_MAX_FORWARDS, HANGING_MAX_FORWARDS } from '../process/fatal-request.ts';
import { START_PATIENCE_MS, STOP_PATIENCE_MS } from '../process/patience.ts';
import { endServers, ServerProcess, until } from '../process/server-process.ts';
import { callIdOfShard, optionsRequest } from '../process/sip-texts.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';

const peers: UdpPeer[] = [];
afterEach(async () => {
  for (const peer of peers.splice(0)) peer.close();
  await endServers();
});

const SHARDS = 2;
const JUNK = Buffer.from([0]);
const KEEPALIVE = Buffer.from('\r\n\r\n');

/** As in supervisor.ts. */
const CRASHES_OF_A_LOOP = 5;

describe('threads that cannot start', () => {
  const folder = mkdtempSync(join(tmpdir(), 'strowger-threads-'));
  const fault = join(folder, 'fault');
  const preload = [new URL('../process/plant-start-fault.ts', import.meta.url)];
  beforeEach(() => vi.stubEnv('STROWGER_TEST_THREADS_FAIL', fault));
  afterEach(() => {
    vi.unstubAllEnvs();
    rmSync(fault, { force: true });
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('are tried until they can, and the shard that waited for one serves', async () => {
    const server = await ServerProcess.startPreloaded(preload, '--listen', 'udp:127.0.0.1:0');
    writeFileSync(fault, '');
    const faults = () => server.log.filter(({ msg }) => msg === 'a thread could not start; trying again');
    // A spare thread that was there before may take its place once.
    await until('shard 1 has no thread', async () => {
      const { isRunning } = (await server.observe()).shards[1]!;
      if (isRunning) await server.crashShard(1);
      return !isRunning && faults().length > 0;
    });
    expect((await server.observe()).isReady).toBe(false);
    rmSync(fault);
    await until('shard 1 runs once more', async () => {
      const { isReady, shards } = await server.observe();
      return isReady && shards[1]!.isRunning;
    });
    expect(faults(), 'said once').toHaveLength(1);
  });

  it('at the start end it, with what they say', async () => {
    writeFileSync(fault, '');
    const server = new ServerProcess(['--listen', 'udp:127.0.0.1:0'], preload);
    expect(await server.exit).toMatchObject({ code: 1 });
    expect(server.output).toContain('the planted fault of a start');
  });
});

describe('a shard that crashes', () => {
  it('is started again, and the server is ready again', async () => {
    const server = await ServerProcess.start('--listen', 'udp:127.0.0.1:0');
    expect((await server.observe()).isReady).toBe(true);
    await server.crashShard(1);
    await until('shard 1 runs again', async () => {
      const { isReady, shards } = await server.observe();
      return isReady && shards[1]!.starts === 2;
    });
    expect((await server.observe()).shards).toMatchObject([
      { shard: 0, starts: 1, crashes: 0 },
      { shard: 1, starts: 2, crashes: 1 },
    ]);
    expect((await server.counters())['shard_crashes_total']).toBe(1);
    expect(existsSync(server.crashFolder), 'nothing was in hand').toBe(false);
  });

  it('five times in ten seconds makes the server unready, and it is tried on', async () => {
    const server = await ServerProcess.start('--listen', 'udp:127.0.0.1:0');
    for (let crash = 1; crash <= CRASHES_OF_A_LOOP; crash++) {
      await until('shard 0 runs', async () => {
        const [shard] = (await server.observe()).shards;
        return shard!.isRunning && shard!.starts === crash;
      });
      await server.crashShard(0);
    }
    await until('the fifth crash is noticed', async () => {
      return (await server.observe()).shards[0]!.crashes === CRASHES_OF_A_LOOP;
    });
    expect((await server.observe()).isReady).toBe(false);
    await until('the log says so', () => server.log.some(({ msg }) => msg === 'shards keep crashing: not ready'));
    await until('it is started once more', async () => {
      const [shard] = (await server.observe()).shards;
      return shard!.isRunning && shard!.starts === CRASHES_OF_A_LOOP + 1;
    });
    expect((await server.observe()).isReady, 'while the loop is fresh').toBe(false);
    server.child.kill('SIGTERM');
    expect(await server.exit).toMatchObject({ code: 0 });
  });
});

/** A server of two shards and a client that talks to each. */
async function serverAndClient(preload: readonly URL[] = []) {
  const [port, client] = [await freePort(), await UdpPeer.open()];
  peers.push(client);
  const server = new ServerProcess(['--listen', `udp:127.0.0.1:${port}`, '--workers', `${SHARDS}`], preload);
  await until('it is ready', async () => (await server.observe()).isReady, {
    deadlineMs: START_PATIENCE_MS,
    explain: () => server.output,
  });
  /** To the server itself, which answers. */
  const ordinary = (shard: number) => {
    const callId = callIdOfShard(shard, SHARDS);
    return { callId, datagram: optionsRequest({ uri: `sip:127.0.0.1:${port}`, callId, sentBy: client.hostPort }) };
  };
  /** To be forwarded, which is where the faults of test/process/plant-fault.ts are. */
  const marked = (shard: number, maxForwards: number) =>
    optionsRequest({
      uri: `sip:nobody@${client.hostPort}`,
      callId: callIdOfShard(shard, SHARDS),
      sentBy: client.hostPort,
      maxForwards,
    });
  const send = (datagram: Buffer) => client.send(datagram, port);
  const answerOf = async (shard: number) => {
    const { callId, datagram } = ordinary(shard);
    await send(datagram);
    return (await client.receive(callId)).datagram.toString('latin1');
  };
  return { server, client, ordinary, marked, send, answerOf };
}

/** Slots come home when the dispatcher looks, and it looks when a datagram comes. */
async function untilEverySlotIsHome(server: ServerProcess, send: (datagram: Buffer) => Promise<void>): Promise<void> {
  let free = 'unknown';
  await until(
    'every slot is home',
    async () => {
      await send(KEEPALIVE);
      const { freeSlots, slotCount } = await server.observe();
      free = `${freeSlots} of ${slotCount}`;
      return freeSlots === slotCount;
    },
    { explain: () => free },
  );
}

/** The crash vectors, in the order of their saving. */
function savedVectors(server: ServerProcess): { datagram: string; mode: number }[] {
  const numberOf = (file: string) => Number(/-(\d+)\.sip$/.exec(file)![1]);
  const files = readdirSync(server.crashFolder).sort((a, b) => numberOf(a) - numberOf(b));
  return files.map((file) => {
    const path = join(server.crashFolder, file);
    return { datagram: readFileSync(path, 'latin1'), mode: statSync(path).mode & 0o777 };
  });
}

describe('fatal datagrams in a row', () => {
  it('cost their shard one start each, and it serves what comes after them', async () => {
    const { server, marked, send, answerOf } = await serverAndClient();
    const fatal = Array.from({ length: 3 }, () => marked(0, FATAL_MAX_FORWARDS));
    await Promise.all(fatal.map(send));
    expect(await answerOf(0)).toMatch(/^SIP\/2\.0 200 /);
    expect(await answerOf(1)).toMatch(/^SIP\/2\.0 200 /);
    expect(await server.observe()).toMatchObject({
      isReady: true,
      shards: [
        { starts: 4, crashes: 3, isRunning: true },
        { starts: 1, crashes: 0, isRunning: true },
      ],
    });
    expect(savedVectors(server)).toEqual(
      fatal.map((datagram) => ({ datagram: datagram.toString('latin1'), mode: 0o600 })),
    );
    expect(statSync(server.crashFolder).mode & 0o777).toBe(0o700);
    await untilEverySlotIsHome(server, send);
  });

  it('for two shards at once do the same to both', async () => {
    const { server, marked, send, answerOf } = await serverAndClient();
    const fatal = [0, 1, 0, 1].map((shard) => marked(shard, FATAL_MAX_FORWARDS));
    await Promise.all(fatal.map(send));
    for (const shard of [0, 1]) expect(await answerOf(shard)).toMatch(/^SIP\/2\.0 200 /);
    expect(await server.observe()).toMatchObject({
      isReady: true,
      shards: [
        { starts: 3, crashes: 2, isRunning: true },
        { starts: 3, crashes: 2, isRunning: true },
      ],
    });
    const saved = savedVectors(server);
    expect(saved.map(({ datagram }) => datagram).sort()).toEqual(
      fatal.map((datagram) => datagram.toString('latin1')).sort(),
    );
    expect(saved.every(({ mode }) => mode === 0o600)).toBe(true);
    await untilEverySlotIsHome(server, send);
  });
});

describe('a shard that hangs', () => {
  it('has its thread ended, its datagram saved, and serves again', async () => {
    const { server, client, ordinary, marked, send, answerOf } = await serverAndClient();
    const hanging = marked(1, HANGING_MAX_FORWARDS);
    await send(hanging);
    const waiting = ordinary(1);
    await send(waiting.datagram);
    expect(await answerOf(0), 'meanwhile').toMatch(/^SIP\/2\.0 200 /);
    const { datagram } = await client.receive(waiting.callId);
    expect(datagram.toString('latin1')).toMatch(/^SIP\/2\.0 200 /);
    expect(server.log.map(({ msg, shard }) => [msg, shard])).toContainEqual(['shard hangs; ending its thread', 1]);
    expect(savedVectors(server)).toEqual([{ datagram: hanging.toString('latin1'), mode: 0o600 }]);
    expect(await server.observe()).toMatchObject({
      isReady: true,
      shards: [
        { starts: 1, crashes: 0 },
        { starts: 2, crashes: 1 },
      ],
    });
    await untilEverySlotIsHome(server, send);
  });

  it('does not hold up the end of the server', async () => {
    const { server, marked, send } = await serverAndClient();
    await send(marked(0, HANGING_MAX_FORWARDS));
    await until('it is in hand', async () => (await server.counters())['requests_received_total'] === 1);
    const signalledAtMs = performance.now();
    server.child.kill('SIGTERM');
    const { code, atMs } = await server.exit;
    expect([code, atMs - signalledAtMs < STOP_PATIENCE_MS]).toEqual([0, true]);
  });
});

describe('a dispatcher that crashes', () => {
  const preload = [new URL('../process/plant-dispatcher-fault.ts', import.meta.url)];

  it('is started again; what came before the fatal datagram is served, no slot is lost, shards go on', async () => {
    const { server, client, ordinary, send, answerOf } = await serverAndClient(preload);
    const before = Array.from({ length: 20 }, (_, i) => ordinary(i % SHARDS));
    // Sent to a stopped process, so that all of it is one batch.
    server.child.kill('SIGSTOP');
    await until('it is stopped', () => stateOf(server.child.pid!) === 'T');
    for (const { datagram } of before) await send(datagram);
    await send(JUNK);
    server.child.kill('SIGCONT');
    for (const { callId } of before) await client.receive(callId);
    await until('the crash is logged', () => server.log.some(({ msg }) => msg === 'dispatcher crashed'));
    expect((await server.observe()).threads[SHARDS]).toMatchObject({
      receive_batches_total: 1,
      datagrams_received_total: 21,
    });
    for (const shard of [0, 1]) expect(await answerOf(shard)).toMatch(/^SIP\/2\.0 200 /);
    expect(await server.observe()).toMatchObject({
      isReady: true,
      shards: [
        { starts: 1, crashes: 0 },
        { starts: 1, crashes: 0 },
      ],
    });
    await untilEverySlotIsHome(server, send);
    expect(client.arrivals).toHaveLength(22);
  });

  it('together with a shard does not keep that shard from coming back', async () => {
    const { server, marked, send, answerOf } = await serverAndClient(preload);
    await send(marked(0, FATAL_MAX_FORWARDS));
    await send(JUNK);
    await until('both have crashed', async () => {
      const hasDispatcher = server.log.some(({ msg }) => msg === 'dispatcher crashed');
      return hasDispatcher && (await server.observe()).shards[0]!.crashes === 1;
    });
    expect(await answerOf(0)).toMatch(/^SIP\/2\.0 200 /);
    await untilEverySlotIsHome(server, send);
    expect((await server.observe()).isReady).toBe(true);
  });
});

/** The process state as in proc(5), e.g. T for stopped. */
function stateOf(pid: number): string {
  return /\) (\w) /.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))![1]!;
}

describe('shards that cannot serve at all', () => {
  it('end the start with their error and exit code 1', async () => {
    const preload = [new URL('../process/shard-that-cannot-serve.ts', import.meta.url)];
    const server = new ServerProcess(['--listen', 'udp:127.0.0.1:0', '--workers', '2'], preload);
    const { code } = await server.exit;
    expect(code, server.output).toBe(1);
    expect(server.stdout).toBe('');
    expect(server.stderr).toContain('this shard cannot serve');
  });
});
