/** Calls over IPv6, over one socket for both families, from one family to the other; and replies of a wildcard socket,
 *  which leave from the address that was asked. */

import { afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess } from '../../process/server-process.ts';
import { callIdOfShard, okTo, optionsRequest } from '../../process/sip-texts.ts';
import { freePort, UdpPeer } from '../../process/udp-peer.ts';
import { endLoadGenerators, runUac, startUas } from '../load-generator.ts';

afterEach(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 50;
/** Each message goes once (-nr): one that is lost fails its call, one that is late on a busy machine does not. */
const retransmits = false;
const ALL_WELL = { successful: CALLS, failed: 0, retransmissions: 0 };

describe('calls', () => {
  it('go over IPv6', async () => {
    const port = await freePort('::1');
    await ServerProcess.start('--listen', `udp:[::1]:${port}`);
    const uas = await startUas({ retransmits, address: '::1' });
    const route = { retransmits, address: '::1', target: `[::1]:${uas.port}`, by: `[::1]:${port}` };
    expect(await runUac({ ...route, calls: CALLS, perSec: 100 })).toMatchObject(ALL_WELL);
  });

  it('of both families share a dual-stack socket', async () => {
    const port = await freePort('::');
    await ServerProcess.start('--listen', `udp:*:${port}`);
    const [uas4, uas6] = [await startUas({ retransmits }), await startUas({ retransmits, address: '::1' })];
    const [figures4, figures6] = await Promise.all([
      runUac({ retransmits, target: `127.0.0.1:${uas4.port}`, by: `127.0.0.1:${port}`, calls: CALLS, perSec: 100 }),
      runUac({
        retransmits,
        address: '::1',
        target: `[::1]:${uas6.port}`,
        by: `[::1]:${port}`,
        calls: CALLS,
        perSec: 100,
      }),
    ]);
    expect(figures4).toMatchObject(ALL_WELL);
    expect(figures6).toMatchObject(ALL_WELL);
  });

  it.each([
    { from: '127.0.0.1', to: '::1' },
    { from: '::1', to: '127.0.0.1' },
  ])('go from $from to $to through two sockets', async ({ from, to }) => {
    const bracketed = (address: string) => (address.includes(':') ? `[${address}]` : address);
    const [port, uas] = [await freePort(from), await startUas({ retransmits, address: to })];
    const sockets = [`udp:${bracketed(from)}:${port}`, `udp:${bracketed(to)}:${await freePort(to)}`];
    const listen = sockets.flatMap((socket) => ['--listen', socket]);
    const server = await ServerProcess.start(...listen, '--next-hop', `sip:${bracketed(to)}:${uas.port}`);
    const target = `${bracketed(from)}:${port}`;
    expect(await runUac({ retransmits, address: from, target, calls: CALLS, perSec: 100 })).toMatchObject(ALL_WELL);
    expect(await server.counters()).toMatchObject({ requests_forwarded_total: CALLS * 3, send_errors_total: 0 });
  });
});

describe('a wildcard socket', () => {
  it.each(['0.0.0.0', '*'])('on %s answers from the address that was asked', async (host) => {
    const port = await freePort(host === '*' ? '::' : host);
    await ServerProcess.start('--listen', `udp:${host}:${port}`);
    const client = await UdpPeer.open();
    for (const asked of ['127.0.0.1', '127.0.0.2', '127.3.2.1']) {
      const callId = callIdOfShard(0, 2);
      await client.send(optionsRequest({ uri: `sip:${asked}:${port}`, callId, sentBy: client.hostPort }), port, asked);
      const { from, datagram } = await client.receive(callId);
      expect(datagram.toString('latin1')).toMatch(/^SIP\/2\.0 200 OK\r\n/);
      expect([from.address, from.port]).toEqual([asked, port]);
    }
    client.close();
  });

  it('forwards a response from the address its request came to', async () => {
    const port = await freePort('0.0.0.0');
    await ServerProcess.start('--listen', `udp:0.0.0.0:${port}`);
    const [client, callee] = [await UdpPeer.open(), await UdpPeer.open()];
    callee.onArrival = ({ datagram, from }) => void callee.send(okTo(datagram), from.port, '127.0.0.2');
    const callId = callIdOfShard(1, 2);
    const request = optionsRequest({ uri: `sip:bob@${callee.hostPort}`, callId, sentBy: client.hostPort });
    await client.send(request, port, '127.0.0.2');
    const { from } = await client.receive('SIP/2.0 200');
    expect([from.address, from.port]).toEqual(['127.0.0.2', port]);
    for (const peer of [client, callee]) peer.close();
  });
});
