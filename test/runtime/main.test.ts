/** `startServer` in this process: sockets all or none, what it tells, and its end. */

import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { startServer } from '../../src/runtime/main.ts';
import type { RunningServer } from '../../src/runtime/running-server.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';

const log = pino({ level: 'silent' });
const servers: RunningServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(...listen: string[]): Promise<RunningServer> {
  const { config } = loadConfig({ flags: { listen, workers: '1', mode: 'stateless' } });
  const server = await startServer(config!, log);
  servers.push(server);
  return server;
}

describe('startServer', () => {
  it('tells the ports it was given, and is ready', async () => {
    const server = await start('udp:127.0.0.1:0', 'udp:[::1]:0');
    const { listening, shards, mode } = server.describe();
    expect(listening[0]).toMatch(/^udp:127\.0\.0\.1:[1-9]\d*$/);
    expect(listening[1]).toMatch(/^udp:\[::1\]:[1-9]\d*$/);
    expect([shards, mode]).toEqual([1, 'stateless']);
    expect(server.status()).toMatchObject({ isReady: true, shards: [{ shard: 0, isRunning: true, crashes: 0 }] });
    expect(Object.values(server.stats()).every((count) => Number.isInteger(count))).toBe(true);
  });

  it('opens every socket or none', async () => {
    const occupant = await UdpPeer.open();
    const port = await freePort();
    const taken = `udp:127.0.0.1:${occupant.port}`;
    await expect(start(`udp:127.0.0.1:${port}`, taken)).rejects.toMatchObject({ code: 'EADDRINUSE', listen: taken });
    occupant.close();
    expect((await start(`udp:127.0.0.1:${port}`)).describe().listening).toEqual([`udp:127.0.0.1:${port}`]);
  });

  it('stops once, however often it is told to, and gives its port back', async () => {
    const server = await start('udp:127.0.0.1:0');
    const [text] = server.describe().listening;
    await Promise.all([server.stop(), server.stop()]);
    expect(await server.finished).toBe(0);
    expect(server.status()).toMatchObject({ isReady: false });
    expect((await start(text!)).describe().listening).toEqual([text]);
  });
});
