/** Calls of SIPp over TCP, from TCP to UDP and the other way round: with Record-Route, so that ACK and BYE cross the proxy, too. */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { freeTcpPort } from '../../process/tcp-port.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../load-generator.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 30;
const MANY = ['-max_socket', '1000'];

describe('a call', () => {
  it.each([
    { caller: 't1', callee: 't1', flags: [] },
    { caller: 'tn', callee: 't1', flags: ['--workers', '1', '--set', 'dispatcher.thread=shard'] },
    { caller: 't1', callee: 'u1', flags: [] },
    { caller: 'u1', callee: 't1', flags: [] },
  ])('from $caller to $callee crosses the proxy with every message', async ({ caller, callee, flags }) => {
    const port = await freeTcpPort();
    const server = await ServerProcess.start('--mode', 'stateful', '--listen', `127.0.0.1:${port}`, ...flags);
    const scenario = (name: string) => new URL(`./${name}.xml`, import.meta.url);
    const uas = await startUas({ retransmits: false, scenario: scenario('uas'), args: ['-t', callee, ...MANY] });
    const figures = await runUac({
      retransmits: false,
      scenario: scenario('uac'),
      target: `127.0.0.1:${uas.port}`,
      by: `127.0.0.1:${port}`,
      calls: CALLS,
      perSec: 50,
      args: ['-t', caller, ...MANY, '-key', 'callee_transport', callee === 'u1' ? 'udp' : 'tcp'],
    });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    await until('all are counted', async () => (await server.counters())['responses_forwarded_total'] === 3 * CALLS);
    expect(await server.counters()).toMatchObject({
      requests_forwarded_total: CALLS * 3,
      malformed_requests_total: 0,
      stray_responses_total: 0,
      stream_undelivered_total: 0,
      // One to the called side for all calls, if it is by TCP.
      stream_opened_total: callee === 'u1' ? 0 : 1,
    });
  });
});
