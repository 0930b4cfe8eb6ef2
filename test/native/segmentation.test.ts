/** Messages of one length to one destination leave as one piece of work for the kernel (UDP_SEGMENT). Seen from outside
 *  nothing of that may show: every message arrives as it was, those to one destination in order. That the kernel really
 *  gets fewer sends is seen in test/native/fragmentation.test.ts, which has a network of its own to count in. */

import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { EGRESS_ENTRIES, EGRESS_FLAG, RECEIVE_BATCH } from '../../src/memory/layout.ts';
import { receiveBatch, sendBatch, socketErrors } from '../../src/runtime/udp-socket.ts';
import { type Egress, open, putEgress, type Received, received, resultOf } from './loopback.ts';

/** Longer than any datagram takes over loopback. */
const PATIENCE_MS = 30_000;
const { EINVAL } = constants.errno;
const hasIpv6 = existsSync('/proc/net/if_inet6') && readFileSync('/proc/net/if_inet6', 'utf8') !== '';

type Destination = Omit<Egress, 'spans'>;

interface Message {
  to: Destination;
  text: Buffer;
}

/** `length` bytes that no other message has, in a few pieces if that is long enough. */
function message(to: Destination, length: number): Message {
  return { to, text: randomBytes(length) };
}

function send(messages: readonly Message[]): number {
  messages.forEach(({ to, text }, entry) => {
    const half = text.length >> 1;
    const spans = entry % 3 === 0 ? [text] : [text.subarray(0, half), text.subarray(half)];
    putEgress(entry, { ...to, spans });
  });
  return sendBatch(0, 0, messages.length);
}

function receiveAll(count: number): Received[] {
  const all: Received[] = [];
  while (all.length < count) {
    const more = receiveBatch(RECEIVE_BATCH, PATIENCE_MS);
    if (more === 0) break;
    for (let i = 0; i < more; i++) all.push(received(i));
  }
  return all;
}

/** Sends all and expects each destination (told apart by `key`) to get what is for it, in order. */
function expectDelivery(
  messages: readonly Message[],
  key: (datagram: Received) => string,
  keyOf: (to: Destination) => string,
) {
  expect(send(messages)).toBe(0);
  expect(messages.map((_, entry) => resultOf(entry)).every((result) => result === 0)).toBe(true);
  const arrived = receiveAll(messages.length);
  expect(arrived.length).toBe(messages.length);
  for (const destination of new Set(messages.map(({ to }) => keyOf(to)))) {
    const sent = messages.filter(({ to }) => keyOf(to) === destination).map(({ text }) => text.toString('hex'));
    const came = arrived.filter((datagram) => key(datagram) === destination);
    expect(came.map(({ payload }) => payload.toString('hex'))).toEqual(sent);
  }
}

/** Of a list of lengths, for one destination. */
function expectLengths(lengths: readonly number[]): void {
  const server = open();
  const client = open();
  const to = { socket: client.index, port: server.port };
  expectDelivery(
    lengths.map((length) => message(to, length)),
    () => 'server',
    () => 'server',
  );
}

describe('a run of messages to one destination', () => {
  it('arrives as single messages when all have one length', () => expectLengths(new Array(32).fill(500)));
  it('ends with a shorter one', () => expectLengths([500, 500, 500, 17, 17, 16, 500]));
  it('ends before a longer one', () => expectLengths([500, 500, 501, 501, 502]));
  it('has no empty one', () => expectLengths([0, 0, 5, 5, 0, 5, 0, 0, 5]));
  it('has none that an Ethernet frame does not hold', () =>
    expectLengths([1452, 1452, 1453, 1453, 2304, 2304, 9000, 9000]));
  it('is no longer than the kernel takes', () => expectLengths(new Array(EGRESS_ENTRIES).fill(20)));
  it('is no larger than a datagram can be', () => expectLengths(new Array(100).fill(1452)));
});

describe('a batch to several destinations', () => {
  it('keeps the order to each, whatever the lengths', () => {
    const servers = [open(), open(), open()];
    const clients = [open(), open({ host: '127.0.0.2' })];
    let seed = 7;
    const random = (limit: number) => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff) % limit;
    const lengths = [0, 100, 100, 100, 101, 400, 400, 1452, 2000];
    for (let round = 0; round < 30; round++) {
      const messages = Array.from({ length: 1 + random(120) }, () =>
        message(
          { socket: clients[random(2)]!.index, port: servers[random(3)]!.port },
          lengths[random(lengths.length)]!,
        ),
      );
      const portOf = (index: number) => clients.find((client) => client.index === index)!.port;
      const serverOf = (index: number) => servers.find((server) => server.index === index)!.port;
      expectDelivery(
        messages,
        (datagram) => `${datagram.port} ${serverOf(datagram.socket)}`,
        (to) => `${portOf(to.socket)} ${to.port}`,
      );
    }
  });

  it('delivers what may leave in any order, and keeps the order of the rest', () => {
    const server = open();
    const client = open();
    const ordered = { socket: client.index, port: server.port };
    const loose = { ...ordered, flags: EGRESS_FLAG.ANY_ORDER };
    const lengths = [0, 100, 100, 101, 400, 1452, 2000];
    const messages = Array.from({ length: 120 }, (_, i) =>
      message((i * i) % 3 === 0 ? ordered : loose, lengths[((i * 7) % 11) % lengths.length]!),
    );
    expect(send(messages)).toBe(0);
    const arrived = receiveAll(messages.length).map(({ payload }) => payload.toString('hex'));
    const sent = messages.map(({ text }) => text.toString('hex'));
    expect([...arrived].sort()).toEqual([...sent].sort());
    const inOrder = new Set(
      messages.filter(({ to, text }) => to === ordered && text.length > 0).map(({ text }) => text.toString('hex')),
    );
    expect(arrived.filter((text) => inOrder.has(text))).toEqual(sent.filter((text) => inOrder.has(text)));
  });

  it('keeps apart what leaves from different addresses of a wildcard socket', () => {
    const server = open();
    const client = open({ host: '0.0.0.0' });
    const sources = [[127, 0, 0, 1], [127, 0, 0, 2], []];
    expectDelivery(
      Array.from({ length: 40 }, (_, i) => {
        const to = { socket: client.index, port: server.port, local: sources[(i * i) % 3]! };
        return message(to, 300);
      }),
      ({ source }) => source.join('.'),
      ({ local }) => (local!.length === 0 ? '127.0.0.1' : local!.join('.')),
    );
  });

  it.skipIf(!hasIpv6)('serves IPv6, and IPv4 from a dual-stack socket', () => {
    const server4 = open();
    const server6 = open({ host: '::1', family: 6 });
    const client = open({ host: '::', family: 6, dualStack: true });
    const loopback = [...new Array(15).fill(0), 1];
    const destinations: Destination[] = [
      { socket: client.index, port: server4.port, local: [127, 0, 0, 2] },
      { socket: client.index, port: server6.port, family: 6, local: loopback },
      { socket: client.index, port: server6.port, family: 6 },
    ];
    expectDelivery(
      Array.from({ length: 60 }, (_, i) => message(destinations[(i * i) % 3]!, 300 + (i % 20 === 0 ? 1 : 0))),
      ({ socket }) => (socket === server4.index ? 'IPv4' : 'IPv6'),
      ({ family }) => (family === 6 ? 'IPv6' : 'IPv4'),
    );
  });

  it('marks each of those that cannot leave, and only those', () => {
    const server = open();
    const client = open();
    const good = { socket: client.index, port: server.port };
    const messages = Array.from({ length: 30 }, (_, i) => message({ ...good, port: i % 3 === 0 ? 0 : good.port }, 200));
    expect(send(messages)).toBe(10);
    expect(messages.map((_, entry) => resultOf(entry))).toEqual(messages.map((_, i) => (i % 3 === 0 ? EINVAL : 0)));
    const sent = messages.filter(({ to }) => to.port !== 0);
    expect(receiveAll(sent.length).map(({ payload }) => payload.toString('hex'))).toEqual(
      sent.map(({ text }) => text.toString('hex')),
    );
  });

  it('goes on after ICMP errors', () => {
    const server = open();
    const client = open();
    const again = { socket: client.index, port: server.port };
    const closed = { ...again, address: [127, 0, 0, 9] };
    for (let round = 0; round < 3; round++) {
      const messages = Array.from({ length: 40 }, (_, i) => message(i % 2 === 0 ? closed : again, 250));
      expect(send(messages)).toBe(0);
      expect(receiveAll(20).length).toBe(20);
    }
    expect(socketErrors(client.index)).toBeGreaterThan(0);
  });
});
