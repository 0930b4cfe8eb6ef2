/** The real server over TCP, with the dispatcher and without: what a client sees of its connections. */

import { afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { bodyOf, headerOf, okTo, optionsRequest } from '../../process/sip-texts.ts';
import { UdpPeer } from '../../process/udp-peer.ts';
import { TcpPeer } from './tcp-peer.ts';

const open: { close(): void }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) one.close();
  await endServers();
});

const INTAKES = [
  { intake: 'a dispatcher', flags: ['--workers', '2'] },
  { intake: 'its only shard', flags: ['--workers', '1', '--set', 'dispatcher.thread=shard'] },
];

async function start(...flags: string[]) {
  const server = await ServerProcess.start('--listen', '127.0.0.1:0', ...flags);
  // The same port for both.
  const port = Number(/tcp:127\.0\.0\.1:(\d+)/.exec(server.stdout)![1]);
  expect(server.stdout).toContain(`udp:127.0.0.1:${port}`);
  const connect = async () => {
    const peer = await TcpPeer.connect(port);
    open.push(peer);
    return peer;
  };
  const options = (callId: string, sentBy: string, more = {}) =>
    Buffer.from(
      optionsRequest({ uri: `sip:127.0.0.1:${port}`, callId, sentBy, ...more })
        .toString('latin1')
        .replace('SIP/2.0/UDP', 'SIP/2.0/TCP'),
      'latin1',
    );
  const count = async (name: string) => (await server.counters())[name];
  return { server, port, connect, options, count };
}

/** Responses in a text, by Call-ID. */
function answers(text: string): Record<string, string> {
  const found = text.split(/(?=SIP\/2\.0 \d)/).filter((each) => each.startsWith('SIP/'));
  return Object.fromEntries(found.map((each) => [headerOf(Buffer.from(each), 'Call-ID'), each.slice(8, 11)]));
}

describe.each(INTAKES)('a server whose intake is at $intake', ({ flags }) => {
  it('is up once the thread of the streams has had its first turn: no message waits for that', async () => {
    const preload = [new URL('../../process/plant-start-order.ts', import.meta.url)];
    const server = await ServerProcess.startPreloaded(preload, '--listen', '127.0.0.1:0', ...flags);
    expect(server.stderr.match(/^order: .*$/gm)).toEqual(['order: streams turn', 'order: may serve']);
  });

  it('answers on the connection, and counts', async () => {
    const { server, connect, options, count } = await start(...flags);
    const peers = [await connect(), await connect()];
    for (const [i, peer] of peers.entries()) {
      for (let n = 0; n < 20; n++) peer.send(options(`call-${i}-${n}`, peer.hostPort));
    }
    for (const [i, peer] of peers.entries()) {
      await until('all answers', () => Object.keys(answers(peer.text)).length === 20);
      expect(
        Object.entries(answers(peer.text)).every(([id, code]) => id.startsWith(`call-${i}-`) && code === '200'),
      ).toBe(true);
      expect(headerOf(Buffer.from(peer.text), 'Via')).toContain('SIP/2.0/TCP');
    }
    expect(await server.counters()).toMatchObject({
      stream_accepted_total: 2,
      stream_messages_received_total: 40,
      stream_messages_sent_total: 40,
      requests_answered_total: 40,
      datagrams_received_total: 0,
      datagrams_sent_total: 0,
    });
    for (const peer of peers) peer.socket.end();
    await until('both are over', async () => (await count('stream_closed_peer_total')) === 2);
  });

  it('answers UDP beside TCP, each where it came from', async () => {
    const { port, connect, options } = await start(...flags);
    const [tcp, udp] = [await connect(), await UdpPeer.open()];
    open.push(udp);
    for (let n = 0; n < 10; n++) {
      tcp.send(options(`tcp-${n}`, tcp.hostPort));
      await udp.send(optionsRequest({ uri: `sip:127.0.0.1:${port}`, callId: `udp-${n}`, sentBy: udp.hostPort }), port);
    }
    for (let n = 0; n < 10; n++) {
      expect((await udp.receive(`udp-${n}\r`)).datagram.toString('latin1', 8, 11)).toBe('200');
      await tcp.receive(`tcp-${n}\r`);
    }
    expect(tcp.text).not.toContain('udp-');
  });

  it('sleeps while connections say nothing, and wakes for each message', async () => {
    const { server, connect, options } = await start(...flags);
    const peer = await connect();
    peer.send(options('first', peer.hostPort));
    await peer.receive('first');
    for (let n = 0; n < 5; n++) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      peer.send(options(`later-${n}`, peer.hostPort));
      await peer.receive(`later-${n}\r`);
    }
    expect((await server.observe()).isReady).toBe(true);
  });

  it('takes large messages, and all slots come home', async () => {
    const { server, port, connect, options } = await start(...flags);
    const peer = await connect();
    for (const bytes of [3000, 60_000])
      peer.send(options(`large-${bytes}`, peer.hostPort, { body: Buffer.alloc(bytes) }));
    for (const bytes of [3000, 60_000]) await peer.receive(`large-${bytes}`);
    const udp = await UdpPeer.open();
    open.push(udp);
    await until('every slot is home', async () => {
      // The dispatcher looks when something comes.
      await udp.send(Buffer.from('\r\n\r\n'), port);
      const { freeSlots, slotCount } = await server.observe();
      return freeSlots === slotCount;
    });
  });
});

describe('a message whose end cannot be known is answered, and its connection closed', () => {
  it.each([
    {
      what: '400 without Content-Length',
      from: /Content-Length: 0\r\n/,
      to: '',
      status: 'SIP/2.0 400 Missing Content-Length',
    },
    {
      what: '400 with a negative one',
      from: /: 0\r\n\r\n/,
      to: ': -1\r\n\r\n',
      status: 'SIP/2.0 400 Malformed Content-Length',
    },
    { what: '413 with one beyond the limit', from: /: 0\r\n\r\n/, to: ': 65536\r\n\r\n', status: 'SIP/2.0 413 ' },
    {
      what: '400 with two that differ',
      from: /Content-Length: 0/,
      to: 'Content-Length: 0\r\nl: 1',
      status: 'SIP/2.0 400 Several Content-Length',
    },
    { what: '400 with a lone LF', from: /Max-Forwards: 70\r/, to: 'Max-Forwards: 70', status: 'SIP/2.0 400 Line Not' },
  ])('$what', async ({ from, to, status }) => {
    const { connect, options, count } = await start();
    const peer = await connect();
    const text = options('broken', peer.hostPort).toString('latin1').replace(from, to);
    peer.send(`${text}and more`);
    await peer.receive(status);
    await until('the end of it', () => peer.hasEnded);
    expect(answers(peer.text)).toEqual({ broken: status.slice(8, 11) });
    expect(peer.error).toBeNull();
    peer.socket.end();
    await until('it is counted', async () => (await count('stream_closed_fault_total')) === 1);
    const another = await connect();
    another.send(options('well', another.hostPort));
    await another.receive('SIP/2.0 200');
  });
});

it('a request line without a version is answered 400, and the connection goes on', async () => {
  const { connect, options } = await start();
  const peer = await connect();
  peer.send(options('unversioned', peer.hostPort).toString('latin1').replace(' SIP/2.0', ''));
  await peer.receive('SIP/2.0 400 ');
  peer.send(options('versioned', peer.hostPort));
  await peer.receive('SIP/2.0 200 ');
  expect(answers(peer.text)).toEqual({ unversioned: '400', versioned: '200' });
});

describe.each(INTAKES)(
  '18.1.1, 18.4 in stateless mode, intake at $intake: a request that cannot be delivered',
  ({ flags }) => {
    const startStateless = async () => {
      const { server, port } = await start('--mode', 'stateless', '--trusted', '127.0.0.0/8', ...flags);
      const [caller, callee] = [await UdpPeer.open(), await UdpPeer.open()];
      open.push(caller, callee);
      const call = (callId: string, bytes: number, params = '') =>
        caller.send(
          optionsRequest({
            uri: `sip:bob@${callee.hostPort}${params}`,
            callId,
            sentBy: caller.hostPort,
            body: Buffer.alloc(bytes, 'x'),
          }),
          port,
        );
      return { server, caller, callee, call };
    };

    it('for being long goes by UDP where nobody takes TCP, the first time, too', async () => {
      const { caller, callee, call, server } = await startStateless();
      callee.onArrival = ({ datagram, from }) => void callee.send(okTo(datagram), from.port);
      // A jumbo slot, and ordinary ones.
      for (const [n, bytes] of [1400, 2000, 30_000, 1500].entries()) {
        await call(`long-${n}`, bytes);
        const { datagram } = await callee.receive(`long-${n}\r`);
        expect(headerOf(datagram, 'Via')).toMatch(/^SIP\/2\.0\/UDP /);
        expect(bodyOf(datagram)).toEqual(Buffer.alloc(bytes, 'x'));
        await caller.receive(`long-${n}\r`);
      }
      // TCP is tried once by each shard that has one of them.
      const { stream_opened_total: opened, stream_undelivered_total: undelivered } = await server.counters();
      expect(opened).toBeLessThanOrEqual(2);
      expect(undelivered).toBe(opened);
      expect(callee.arrivals).toHaveLength(4);
    });

    it('by TCP as it asks for is answered 500', async () => {
      const { caller, call, callee } = await startStateless();
      for (const [n, bytes] of [0, 3000, 60_000].entries()) {
        await call(`refused-${n}`, bytes, ';transport=tcp');
        const { datagram } = await caller.receive(`refused-${n}\r`);
        expect(datagram.toString('latin1')).toMatch(/^SIP\/2\.0 500 Next Hop Unreachable\r\n/);
      }
      expect(callee.arrivals).toEqual([]);
    });
  },
);

describe('the thread of the streams', () => {
  it('that crashes is started again: connections are lost, new ones are served, nobody else notices', async () => {
    const { server, connect, options, count } = await start();
    const lost = await connect();
    lost.send(options('before', lost.hostPort));
    await lost.receive('before');
    await server.observe({ crashStreams: true });
    await lost.untilClosed();
    const peer = await connect();
    peer.send(options('after', peer.hostPort));
    await peer.receive('after');
    expect(await count('stream_closed_stop_total')).toBe(1);
    expect((await server.observe()).isReady).toBe(true);
    expect(server.log.some(({ msg }) => msg.includes('the thread of the streams crashed'))).toBe(true);
    server.child.kill('SIGTERM');
    expect(await server.exit).toMatchObject({ code: 0 });
  });

  it('is given time to send what is on its way when the server stops', async () => {
    const { server, connect, options } = await start();
    const peer = await connect();
    for (let n = 0; n < 100; n++) peer.send(options(`call-${n}`, peer.hostPort));
    await peer.receive('call-0\r');
    server.child.kill('SIGTERM');
    expect(await server.exit).toMatchObject({ code: 0 });
    await peer.untilClosed();
    expect(peer.error).toBeNull();
    expect(peer.text.endsWith('\r\n\r\n')).toBe(true);
  });
});
