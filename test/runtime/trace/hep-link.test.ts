/** The way to a collector: over UDP and TCP, to one that is not there, that goes, that hangs. */

import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { type HepLink, openHepLink } from '../../../src/runtime/trace/hep-link.ts';
import { until } from '../../process/server-process.ts';
import { freeTcpPort } from '../../process/tcp-port.ts';
import { freePort, UdpPeer } from '../../process/udp-peer.ts';

const PACKET = Buffer.from('HEP3\0\x06');

let link: HepLink | null = null;
let sent = 0;
let lost = 0;
let states: [boolean, string][] = [];
const servers: Server[] = [];
const sockets: Socket[] = [];
const peers: UdpPeer[] = [];
afterEach(() => {
  link?.close();
  for (const peer of peers.splice(0)) peer.close();
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

function open(transport: 'udp' | 'tcp', port: number, host = '127.0.0.1'): HepLink {
  sent = lost = 0;
  states = [];
  link = openHepLink(
    { transport, host, port },
    {
      onState: (isUp, reason) => states.push([isUp, reason]),
      onSent: (count) => {
        sent += count;
      },
      onLost: (count) => {
        lost += count;
      },
    },
  );
  return link;
}

function send(to: HepLink, packet = PACKET): void {
  to.area.set(packet, to.next);
  to.add(to.next + packet.length);
}

async function listen(port: number, onSocket: (socket: Socket) => void): Promise<Server> {
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  servers.push(server);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

describe('over UDP', () => {
  it('packets arrive, and it is up once nothing has come back', async () => {
    const peer = await UdpPeer.open();
    peers.push(peer);
    const to = open('udp', peer.port, 'localhost');
    await until('it has room', () => to.hasRoom);
    send(to);
    to.flush();
    expect((await peer.receive('HEP3')).datagram).toEqual(PACKET);
    await until('it is up', () => states.length > 0);
    expect([states, sent, lost]).toEqual([[[true, '']], 1, 0]);
  });

  it('a collector that is not there is noticed, and found when it is', async () => {
    const port = await freePort();
    const to = open('udp', port);
    await until('it is down', () => {
      if (to.hasRoom) send(to);
      to.flush();
      return states.length > 0;
    });
    expect(states).toEqual([[false, 'ECONNREFUSED']]);
    const collector = createSocket('udp4');
    let arrived = 0;
    collector.on('message', () => arrived++);
    collector.bind(port, '127.0.0.1');
    await once(collector, 'listening');
    await until('packets arrive', () => {
      if (to.hasRoom) send(to);
      to.flush();
      return arrived > 0;
    });
    await until('it is up', () => states.at(-1)![0]);
    expect(states.filter(([isUp]) => isUp)).toHaveLength(1);
    collector.close();
  });

  it('an address that the kernel refuses is told, and tried again', async () => {
    // Without SO_BROADCAST, as an address without a route.
    const to = open('udp', 9060, '255.255.255.255');
    await until('it is down', () => {
      if (to.hasRoom) send(to);
      to.flush();
      return states.length > 0;
    });
    expect([states, to.hasRoom]).toEqual([[[false, 'EACCES']], false]);
  });

  it('one that is closed before its name is known stays closed', async () => {
    const to = open('udp', 9060, 'localhost');
    to.close();
    const looked = promisify(lookup);
    // Look-ups take turns: this one is answered after that of the link.
    await looked('localhost');
    await looked('localhost');
    expect(to.hasRoom).toBe(false);
  });

  it('a name that nobody knows is told, and it has no room', async () => {
    const to = open('udp', 9060, 'nowhere.invalid');
    await until('it is down', () => states.length > 0);
    expect([states[0]![0], to.hasRoom]).toEqual([false, false]);
  });
});

describe('over TCP', () => {
  it('packets arrive, one after the other', async () => {
    let received = Buffer.alloc(0);
    const server = await listen(0, (socket) =>
      socket.on('data', (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]);
      }),
    );
    const to = open('tcp', (server.address() as AddressInfo).port);
    await until('it has room', () => to.hasRoom);
    for (let i = 0; i < 3; i++) send(to);
    to.flush();
    await until('all is there', () => received.length === 3 * PACKET.length);
    await until('it is up', () => states.length > 0);
    expect([states, sent, lost]).toEqual([[[true, '']], 3, 0]);
  });

  it('a collector that is not there is tried again, and found', async () => {
    const port = await freeTcpPort();
    const to = open('tcp', port);
    await until('it is down', () => states.length > 0);
    expect([states, to.hasRoom]).toEqual([[[false, 'ECONNREFUSED']], false]);
    await listen(port, (socket) => socket.resume());
    await until('it has room', () => to.hasRoom);
  });

  it('one that accepts only to close is never up, and told once', async () => {
    let accepted = 0;
    const server = await listen(0, (socket) => {
      accepted++;
      socket.destroy();
    });
    open('tcp', (server.address() as AddressInfo).port);
    await until('it was tried twice', () => accepted >= 2);
    expect(states).toHaveLength(1);
    expect(states[0]![0]).toBe(false);
  });

  it('one that reads nothing takes no more than the limit', async () => {
    const server = await listen(0, (socket) => socket.pause());
    const to = open('tcp', (server.address() as AddressInfo).port);
    await until('it has room', () => to.hasRoom);
    const packet = Buffer.alloc(60_000);
    let packets = 0;
    while (packets < 10_000 && to.hasRoom) {
      send(to, packet);
      to.flush();
      packets++;
      if (packets % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(packets).toBeLessThan(10_000);
    for (const socket of sockets) socket.destroy();
    await until('what it did not take is lost', () => lost > 0);
    expect(sent + lost).toBe(packets);
  });
});
