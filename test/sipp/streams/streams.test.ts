/** SIPp over TCP, by one connection for all calls (t1) and by one for each (tn). */

import { afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { freeTcpPort } from '../../process/tcp-port.ts';
import { endLoadGenerators, runUac } from '../load-generator.ts';

afterEach(async () => {
  await endLoadGenerators();
  await endServers();
});

const REQUESTS = 100;
const options = new URL('../options/options-uac.xml', import.meta.url);
const register = new URL('./register-uac.xml', import.meta.url);

async function start(...flags: string[]) {
  const port = await freeTcpPort();
  const server = await ServerProcess.start('--listen', `tcp:127.0.0.1:${port}`, ...flags);
  return { server, target: `127.0.0.1:${port}` };
}

/** SIPp closes its connections at its end. */
async function countersOnceClosed(server: ServerProcess) {
  await until('all connections are closed', async () => {
    const counters = await server.counters();
    return counters['stream_accepted_total'] === counters['stream_closed_peer_total'];
  });
  return server.counters();
}

describe.each([
  { transport: 't1', connections: 1 },
  { transport: 'tn', connections: REQUESTS },
])('by $transport', ({ transport, connections }) => {
  const args = ['-t', transport, '-max_socket', '1000'];

  it('OPTIONS are answered', async () => {
    const { server, target } = await start();
    const load = { scenario: options, target, calls: REQUESTS, perSec: 200, args: [...args, '-key', 'user', ''] };
    expect(await runUac({ ...load, retransmits: false })).toMatchObject({ successful: REQUESTS });
    expect(await countersOnceClosed(server)).toMatchObject({
      requests_answered_total: REQUESTS,
      stream_messages_received_total: REQUESTS,
      stream_messages_sent_total: REQUESTS,
      stream_accepted_total: connections,
      stream_undelivered_total: 0,
    });
  });

  it('users register', async () => {
    const { server, target } = await start('--mode', 'stateful', '--set', 'domains=[example.org]');
    const load = { scenario: register, target, calls: REQUESTS, perSec: 200, args };
    expect(await runUac({ ...load, retransmits: false })).toMatchObject({ successful: REQUESTS });
    expect(await countersOnceClosed(server)).toMatchObject({
      registrations_total: REQUESTS,
      stream_accepted_total: connections,
    });
  });
});
