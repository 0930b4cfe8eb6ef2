/** What the supervisor makes of shards that crash again and again, in a real server. */

import { existsSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../process/server-process.ts';

afterEach(endServers);

/** As in supervisor.ts. */
const CRASHES_OF_A_LOOP = 5;

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
