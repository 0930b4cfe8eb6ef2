/** The end of a server in the midst of calls, and a second server on a port that is taken. */

import { afterEach, describe, expect, it } from 'vitest';
import { STOP_PATIENCE_MS } from '../../process/patience.ts';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { freePort } from '../../process/udp-peer.ts';
import { endLoadGenerators, startUac, startUas } from '../load-generator.ts';

afterEach(async () => {
  await endLoadGenerators();
  await endServers();
});

describe('under load', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('%s ends the process with 0, in time', async (signal) => {
    const port = await freePort();
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    const uas = await startUas();
    const by = `127.0.0.1:${port}`;
    const uac = await startUac({ target: `127.0.0.1:${uas.port}`, by, calls: 5000, perSec: 500 });
    await until('300 calls are forwarded', async () => (await server.counters())['requests_forwarded_total']! > 900, {
      explain: () => uac.explain(),
    });
    const signalledAtMs = performance.now();
    server.child.kill(signal);
    const { code, atMs } = await server.exit;
    expect(code, server.output).toBe(0);
    expect(atMs - signalledAtMs).toBeLessThan(STOP_PATIENCE_MS);
    const said = server.log.map(({ msg }) => msg);
    expect([said[0], said.at(-1)]).toEqual(['stopping', 'stopped']);
    expect(server.log.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
  });
});

describe('a second server on the same port', () => {
  it('says so in one line and exits with 1, and the first goes on', async () => {
    const port = await freePort();
    const first = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    const second = new ServerProcess(['--listen', `udp:127.0.0.1:${port}`]);
    const { code } = await second.exit;
    expect([code, second.stdout]).toEqual([1, '']);
    expect(second.stderr).toMatch(
      new RegExp(`^strowger: udp:127\\.0\\.0\\.1:${port} is taken by another program; .*\n$`),
    );
    expect((await first.observe()).isReady).toBe(true);
  });
});
