/** The thread of the streams over loopback: the test is the intake and the shards. */

import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { constants } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { parseCidr } from '../../../src/config/cidr.ts';
import {
  EGRESS_FLAG,
  MAX_DATAGRAM_BYTES,
  RETURNED,
  SLOT,
  SLOT_HEADER_BYTES,
  slotOffset,
} from '../../../src/memory/layout.ts';
import { CLIENT_TAG } from '../../../src/roles/proxy/branches.ts';
import { buildBanTable } from '../../../src/runtime/bans/ban-table.ts';
import { until } from '../../process/server-process.ts';
import { freeTcpPort } from '../../process/tcp-port.ts';
import { endStreams, StreamWorld } from './stream-world.ts';
import { TcpListener, TcpPeer } from './tcp-peer.ts';

const { ECONNREFUSED, ENOTCONN, EMFILE } = constants.errno;
const hasIpv6 = existsSync('/proc/net/if_inet6') && readFileSync('/proc/net/if_inet6', 'utf8') !== '';

const open: { close(): void }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) one.close();
  await endStreams();
});

async function peerOf(world: StreamWorld, options = {}, port = world.port): Promise<TcpPeer> {
  const peer = await TcpPeer.connect(port, options);
  open.push(peer);
  return peer;
}

async function listener(address?: string): Promise<TcpListener> {
  const one = await TcpListener.open(address);
  open.push(one);
  return one;
}

function message(body: string): string {
  return `MESSAGE sip:a SIP/2.0\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

describe('a thread that is not open yet', () => {
  it('says that it has had its turn, and accepts what has come meanwhile once it is told to', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0'], {}, {}, undefined, {}, false, false);
    const turn = new Promise((resolve) => world.worker.once('message', resolve));
    const peer = await peerOf(world);
    peer.send(message('early'));
    expect(await turn).toBe('streams turn');
    // It has begun, and this goes through all that it does in a turn.
    world.tell({ bans: null });
    expect(world.count('stream_accepted_total')).toBe(0);
    world.tell('open');
    await world.receive('early');
    expect(world.count('stream_accepted_total')).toBe(1);
  });

  it('ends as any other', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0'], {}, {}, undefined, {}, false, false);
    const end = new Promise((resolve) => world.worker.once('exit', resolve));
    world.tell('quiet');
    world.tell('stop');
    expect(await end).toBe(0);
  });
});

describe('what connections bring', () => {
  it('comes with its listening point, source and connection', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0', 'tcp:127.0.0.2:0']);
    const [first, second] = [await peerOf(world), await peerOf(world, { host: '127.0.0.2' }, world.ports[1])];
    first.send(message('one') + message('two'));
    second.send(message('three'));
    const [one, two, three] = [await world.receive('one'), await world.receive('two'), await world.receive('three')];
    expect(one).toEqual({
      text: message('one'),
      socket: 0,
      source: '127.0.0.1',
      port: first.port,
      local: null,
      connection: one.connection,
      fault: 0,
    });
    expect(two).toEqual({ ...one, text: message('two') });
    expect(three).toMatchObject({ socket: 1, port: second.port });
    expect(new Set([0, one.connection, three.connection]).size).toBe(3);
    expect(world.count('stream_messages_received_total')).toBe(3);
  });

  it('tells the local address where the listening point is a wildcard', async () => {
    const world = new StreamWorld(['tcp:0.0.0.0:0']);
    for (const host of ['127.0.0.1', '127.0.0.2']) {
      (await peerOf(world, { host })).send(message(host));
      expect(await world.receive(host)).toMatchObject({ local: host, source: '127.0.0.1' });
    }
  });

  it.skipIf(!hasIpv6)('is IPv6, or IPv4 on a dual-stack socket', async () => {
    const world = new StreamWorld(['tcp:*:0', 'tcp:[::1]:0']);
    (await peerOf(world)).send(message('four'));
    (await peerOf(world, { host: '::1' })).send(message('six'));
    (await peerOf(world, { host: '::1' }, world.ports[1])).send(message('one address'));
    expect(await world.receive('four')).toMatchObject({ source: '127.0.0.1', local: '127.0.0.1' });
    expect(await world.receive('six')).toMatchObject({ source: '::1', local: '::1' });
    expect(await world.receive('one address')).toMatchObject({ source: '::1', local: null });
  });

  it('of any length goes through', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0']);
    const peer = await peerOf(world);
    const head = message('x'.repeat(10_000)).length - 10_000;
    for (const bytes of [head + 10_000, MAX_DATAGRAM_BYTES - 1, MAX_DATAGRAM_BYTES]) {
      peer.send(message('x'.repeat(bytes - head)));
      await until('it', () => world.messages.some(({ text }) => text.length === bytes));
    }
  });

  it('is held back, and neither lost nor out of order, while nobody takes it', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0']);
    world.isTaking = false;
    const peer = await peerOf(world);
    const count = 300;
    for (let i = 0; i < count; i++) peer.send(message(`${i}`.padEnd(40_000, '.')));
    await until('it stalls', () => world.count('stream_stalls_total') > 0);
    // A connection that is read beside it is no worse off than the ring.
    world.isTaking = true;
    world.take();
    await world.receive(`\r\n\r\n${count - 1}.`);
    expect(world.messages.map(({ text }) => Number.parseInt(text.split('\r\n\r\n')[1]!, 10))).toEqual(
      Array.from({ length: count }, (_, i) => i),
    );
  });
});

describe('what shards send', () => {
  it('goes over the connection that they name, in order', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0']);
    const [one, other] = [await peerOf(world), await peerOf(world)];
    one.send(message('ask'));
    other.send(message('also'));
    const { connection } = await world.receive('ask');
    for (let i = 0; i < 100; i++) world.put(`${i};`, { connection }, i & 1);
    await until('all', () => one.text.split(';').length === 101);
    const order = one.text.split(';').slice(0, -1).map(Number);
    for (const parity of [0, 1]) {
      const ofShard = order.filter((i) => (i & 1) === parity);
      expect(ofShard).toEqual([...ofShard].sort((a, b) => a - b));
    }
    expect(other.text).toBe('');
  });

  it('goes over any connection to the same place, else over a new one', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0']);
    const there = await listener();
    world.put('first;', { port: there.port });
    world.put('second;', { port: there.port, connection: 12_345 });
    const peer = await there.peer();
    await peer.receive('first;second;');
    world.put('third;', { port: there.port }, 1);
    await peer.receive('third;');
    expect(there.peers).toHaveLength(1);
    peer.send(message('from there'));
    expect(await world.receive('from there')).toMatchObject({ source: '127.0.0.1', port: there.port, socket: 0 });
    peer.close();
    await world.untilCount('stream_closed_error_total', 0);
    await until('it is over', () => world.count('stream_closed_peer_total') === 1);
    world.put('fourth;', { port: there.port });
    await (await there.peer(1)).receive('fourth;');
    const accepted = await peerOf(world);
    accepted.send(message('hello'));
    const { port } = await world.receive('hello');
    world.put('to the source', { port });
    await accepted.receive('to the source');
  });

  it('leaves from the address of its listening point, or the local one that it names', async () => {
    const world = new StreamWorld(['tcp:127.0.0.2:0', 'tcp:0.0.0.0:0']);
    const there = await listener();
    world.put('one', { port: there.port });
    expect((await there.peer(0)).socket.remoteAddress).toBe('127.0.0.2');
    const other = await listener();
    world.put('two', { socket: 1, port: other.port, local: '127.0.0.3' });
    const peer = await other.peer(0);
    expect(peer.socket.remoteAddress).toBe('127.0.0.3');
    peer.send(message('back'));
    expect(await world.receive('back')).toMatchObject({ socket: 1, local: '127.0.0.3' });
  });

  describe('to a peer that has closed its half', () => {
    /** A connection of the server whose peer has closed its half, with a request unanswered. */
    async function halfClosed(world: StreamWorld): Promise<[TcpPeer, number]> {
      const [peer, other] = [await peerOf(world), await peerOf(world)];
      peer.socket.end(message('ask'), 'latin1');
      const { connection } = await world.receive('ask');
      // Whatever else came with the last byte has been looked at when these come.
      for (const text of ['tick', 'tock']) {
        other.send(message(text));
        await world.receive(text);
      }
      return [peer, connection];
    }

    it('goes by that connection, as long as it may be read (3261 18.2.2)', async () => {
      const world = new StreamWorld(['tcp:127.0.0.1:0']);
      const [peer, connection] = await halfClosed(world);
      const there = await listener();
      for (const status of ['100', '180', '200']) {
        world.put(`SIP/2.0 ${status} x\r\n\r\n`, { connection, port: there.port });
        await peer.receive(`SIP/2.0 ${status}`);
      }
      await peer.untilClosed();
      await world.untilCount('stream_closed_peer_total', 1);
      world.put('SIP/2.0 200 again', { connection, port: there.port });
      await (await there.peer()).receive('again');
    });

    it('and is gone altogether goes by a new connection', async () => {
      const world = new StreamWorld(['tcp:127.0.0.1:0']);
      const [peer, connection] = await halfClosed(world);
      const there = await listener();
      peer.socket.destroy();
      world.put('SIP/2.0 200 answer;', { connection, port: there.port });
      await (await there.peer()).receive('answer;');
    });

    it('does not go at all if it is a request by a flow', async () => {
      const world = new StreamWorld(['tcp:127.0.0.1:0']);
      const [, connection] = await halfClosed(world);
      world.put('request;', { connection, tag: 4, flags: EGRESS_FLAG.ONLY_CONNECTION });
      expect(await world.fate()).toMatchObject({ tag: 4, errno: ENOTCONN });
    });
  });

  it('and cannot be delivered is told to the shard that sent it', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0']);
    const port = await freeTcpPort();
    world.put('refused', { port, tag: 5, mark: 77 }, 1);
    world.put('nobody asks', { port }, 1);
    expect(await world.fate()).toEqual({ shard: 1, tag: 5, mark: 77, errno: ECONNREFUSED });
    world.put('gone', { port, connection: 99, flags: EGRESS_FLAG.ONLY_CONNECTION, tag: 6 });
    expect(await world.fate(1)).toEqual({ shard: 0, tag: 6, mark: 0, errno: ENOTCONN });
    await until('all are counted', () => world.count('stream_undelivered_total') === 2);
    expect(world.count('stream_closed_unconnected_total')).toBe(1);
  });

  it('and cannot be delivered comes back as it was received where the shard has it no more', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0'], {}, {}, undefined, {}, true);
    const port = await freeTcpPort();
    const { MOVED, ONLY_CONNECTION } = EGRESS_FLAG;
    const slot = (number: number, text: string, fault = 0) => {
      const { bytes, words, map } = world.arena;
      const offset = slotOffset(map, number);
      words.fill(0, offset >> 2, (offset + SLOT_HEADER_BYTES) >> 2);
      bytes.set(Buffer.from(text), offset + SLOT_HEADER_BYTES);
      words[(offset >> 2) + SLOT.LENGTH_WORD] = text.length;
      words[(offset >> 2) + SLOT.FAMILY_WORD] = 4;
      words[(offset >> 2) + SLOT.PORT_WORD] = 4000 + number;
      words[(offset >> 2) + SLOT.FAULT_WORD] = fault;
      return number + 1;
    };
    world.put('moved as sent', { port, tag: slot(3, 'moved'), flags: MOVED }, 1);
    // Another has the slot long since.
    slot(3, 'overwritten');
    world.put('moved again', { port, tag: slot(4, 'twice', RETURNED.MOVED), flags: MOVED });
    world.put('refused', { port, tag: slot(5, 'plain') });
    world.put('by a flow', { port, tag: slot(6, 'flow'), connection: 99, flags: ONLY_CONNECTION });
    world.put('a response', { port });
    const expected = {
      moved: RETURNED.MOVED,
      twice: RETURNED.UNDELIVERED,
      plain: RETURNED.UNDELIVERED,
      flow: RETURNED.FLOW,
    };
    for (const [n, [text, fault]] of Object.entries(expected).entries()) {
      expect(await world.receive(text)).toMatchObject({ text, fault, port: 4003 + n });
    }
    // And with each what has become of it; nobody asks about the response.
    expect(world.fates.map(({ tag }) => tag).sort()).toEqual([4, 5, 6, 7]);
    expect(world.messages).toHaveLength(4);
  });

  it('comes back as it was received with transactions, too, if it was moved and has none', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0'], {}, {}, undefined, {}, false);
    const port = await freeTcpPort();
    const { MOVED } = EGRESS_FLAG;
    for (const [n, text] of ['asked for TCP', 'moved'].entries()) {
      const { bytes, words, map } = world.arena;
      const offset = slotOffset(map, n);
      words.fill(0, offset >> 2, (offset + SLOT_HEADER_BYTES) >> 2);
      bytes.set(Buffer.from(text), offset + SLOT_HEADER_BYTES);
      words[(offset >> 2) + SLOT.LENGTH_WORD] = text.length;
      words[(offset >> 2) + SLOT.FAMILY_WORD] = 4;
    }
    world.put('asked for TCP, as sent', { port, tag: 1 });
    world.put('a client transaction', { port, tag: CLIENT_TAG | 2, flags: MOVED });
    world.put('moved, as sent', { port, tag: 2, flags: MOVED });
    expect(await world.receive('moved')).toMatchObject({ text: 'moved', fault: RETURNED.MOVED });
    expect(world.messages).toHaveLength(1);
    expect(world.fates.map(({ tag }) => tag)).toEqual([1, CLIENT_TAG | 2, 2]);
  });

  it('leaves without what was received', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0'], {}, {}, undefined, {}, true);
    const there = await listener();
    const { bytes, words, map } = world.arena;
    const offset = slotOffset(map, 7);
    bytes.set(Buffer.from('as received'), offset + SLOT_HEADER_BYTES);
    words[(offset >> 2) + SLOT.LENGTH_WORD] = 'as received'.length;
    world.put('one;', { port: there.port, tag: 8 });
    world.put('two;', { port: there.port });
    await (await there.peer()).receive('two;');
    expect(there.peers[0]!.text).toBe('one;two;');
  });

  it('is refused at once where it is longer than any message', () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0']);
    world.put(Buffer.alloc(MAX_DATAGRAM_BYTES + 1), { port: 9 });
    expect(world.failed).toBe(1);
  });

  it('to a peer that does not read does not hold up the others', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0'], { queueBytes: 65_536 });
    const [slow, fast] = [await peerOf(world), await peerOf(world)];
    slow.send(message('slow'));
    fast.send(message('fast'));
    const [toSlow, toFast] = [(await world.receive('slow')).connection, (await world.receive('fast')).connection];
    slow.socket.pause();
    let sent = 0;
    while (world.count('stream_closed_unread_total') === 0) {
      world.put(Buffer.alloc(60_000, 'x'), { connection: toSlow, flags: EGRESS_FLAG.ONLY_CONNECTION, tag: 1 });
      world.put(`${++sent};`, { connection: toFast });
      await fast.receive(`${sent};`);
    }
    expect((await world.fate()).tag).toBe(1);
  });
});

describe('limits', () => {
  it('turn connections away, in all and of one source', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0'], { connections: 3, connectionsPerSource: 2 });
    const from = (localAddress: string) => peerOf(world, { localAddress });
    /** It may be turned away before it knows that it was connected. */
    const turnedAway = async (localAddress: string) => {
      const socket = connect({ port: world.port, host: '127.0.0.1', localAddress }).on('error', () => undefined);
      await new Promise((resolve) => socket.once('close', resolve));
    };
    const [one, two] = [await from('127.0.0.1'), await from('127.0.0.1')];
    await world.untilCount('stream_accepted_total', 2);
    await turnedAway('127.0.0.1');
    const four = await from('127.0.0.2');
    await world.untilCount('stream_accepted_total', 3);
    await turnedAway('127.0.0.3');
    expect(world.count('stream_refused_total')).toBe(2);
    world.put('no room', { port: 9, tag: 3 });
    expect(await world.fate()).toMatchObject({ tag: 3, errno: EMFILE });
    one.close();
    await until('it is over', () => world.count('stream_closed_peer_total') === 1);
    const five = await from('127.0.0.1');
    five.send(message('welcome'));
    await world.receive('welcome');
    expect([two, four].map(({ isClosed }) => isClosed)).toEqual([false, false]);
  });

  it('of time are watched', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0'], { messageSec: 1, silentSec: 3 });
    const [slow, silent] = [await peerOf(world), await peerOf(world)];
    slow.send('MESSAGE sip:a SIP/2.0\r\n');
    await Promise.all([slow.untilClosed(), silent.untilClosed()]);
    silent.close();
    await until('they are over', () => world.count('stream_closed_idle_total') === 1);
    expect(world.count('stream_closed_slow_total')).toBe(1);
  });
});

describe('banned sources', () => {
  it('are turned away, and lose the connections that they have', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0']);
    const [banned, other] = [
      await peerOf(world, { localAddress: '127.0.0.2' }),
      await peerOf(world, { localAddress: '127.0.0.3' }),
    ];
    await world.untilCount('stream_accepted_total', 2);
    const block = parseCidr('127.0.0.2');
    world.tell({ bans: buildBanTable(typeof block === 'string' ? [] : [block]) });
    await banned.untilClosed();
    await world.untilCount('stream_closed_banned_total', 1);
    const socket = connect({ port: world.port, host: '127.0.0.1', localAddress: '127.0.0.2' });
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('close', resolve));
    await world.untilCount('stream_banned_total', 1);
    other.send(message('still here'));
    await world.receive('still here');
    world.tell({ bans: null });
    await until('they may come again', async () => {
      const again = connect({ port: world.port, host: '127.0.0.1', localAddress: '127.0.0.2' });
      again.on('error', () => undefined).end();
      await new Promise((resolve) => again.once('close', resolve));
      return world.count('stream_accepted_total') === 3;
    });
  });
});

describe('the thread', () => {
  it('ends once all it was told to send has left', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0']);
    const peer = await peerOf(world);
    peer.send(message('hello'));
    const { connection } = await world.receive('hello');
    const over = new Promise((resolve) => world.worker.once('exit', resolve));
    world.tell('quiet');
    world.put(Buffer.alloc(60_000, 'x'), { connection });
    world.put('last', { connection });
    world.tell('stop');
    await peer.receive('last');
    await until('the end of it', () => peer.hasEnded);
    peer.socket.end();
    expect(await over).toBe(0);
    expect(peer.text).toHaveLength(60_004);
  });

  it('ends although a peer does not close', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0']);
    const peer = await peerOf(world);
    peer.send(message('hello'));
    await world.receive('hello');
    const over = new Promise((resolve) => world.worker.once('exit', resolve));
    world.tell('stop');
    expect(await over).toBe(0);
  });

  it('that crashes is followed by one that listens, sends what it has not, and knows no old connections', async () => {
    const world = new StreamWorld(['tcp:127.0.0.1:0']);
    const there = await listener();
    const peer = await peerOf(world);
    peer.send(message('hello'));
    const { connection } = await world.receive('hello');
    const over = new Promise((resolve) => world.worker.once('exit', resolve));
    world.tell('crash');
    await over;
    await peer.untilClosed();
    const waiting = await peerOf(world);
    waiting.send(message('waits in the kernel'));
    world.put('put while nobody was there', { port: there.port });
    world.put('to one that is gone', { connection, flags: EGRESS_FLAG.ONLY_CONNECTION, tag: 4 });
    world.startThread();
    expect((await world.receive('waits in the kernel')).connection).not.toBe(connection);
    await (await there.peer()).receive('put while nobody was there');
    expect(await world.fate()).toMatchObject({ tag: 4, errno: ENOTCONN });
    expect(world.count('stream_closed_stop_total')).toBe(1);
  });
});
