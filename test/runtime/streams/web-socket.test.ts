/** RFC 7118 and RFC 6455 at the thread of the streams, over loopback: the test is the intake and the shards. */

import { constants } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { parseCidr } from '../../../src/config/cidr.ts';
import { EGRESS_FLAG } from '../../../src/memory/layout.ts';
import { buildBanTable } from '../../../src/runtime/bans/ban-table.ts';
import type { StreamTask } from '../../../src/runtime/streams/stream-thread.ts';
import { until } from '../../process/server-process.ts';
import { endStreams, StreamWorld } from './stream-world.ts';
import { TcpPeer } from './tcp-peer.ts';
import { frame, OPCODE, refusalOf, upgradedByHand, upgradeRequest, WebSocketPeer } from './web-socket-peer.ts';

const open: { close(): void }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) one.close();
  await endStreams();
});

function world(
  webSocket: Partial<StreamTask['webSocket']> = {},
  settings: Partial<StreamTask['settings']> = {},
  listen: readonly string[] = ['ws:127.0.0.1:0'],
): StreamWorld {
  return new StreamWorld(listen, settings, {}, undefined, webSocket);
}

async function client(streams: StreamWorld, options = {}): Promise<WebSocketPeer> {
  const peer = await WebSocketPeer.connect(urlOf(streams), options);
  open.push(peer);
  return peer;
}

async function raw(connecting: Promise<TcpPeer>): Promise<TcpPeer> {
  const peer = await connecting;
  open.push(peer);
  return peer;
}

function urlOf(streams: StreamWorld): string {
  return `ws://127.0.0.1:${streams.port}/`;
}

function message(body: string, headers = ''): string {
  return `MESSAGE sip:a SIP/2.0\r\n${headers}\r\n${body}`;
}

describe('4.1 the handshake', () => {
  it('agrees upon the subprotocol sip, and upon no extension', async () => {
    const streams = world();
    const peer = await client(streams, { perMessageDeflate: true });
    expect([peer.socket.protocol, peer.socket.extensions]).toEqual(['sip', '']);
    const among = await raw(TcpPeer.connect(streams.port));
    among.send(upgradeRequest().replace('Protocol: sip', 'Protocol: chat, sip'));
    expect(await among.receive('\r\n\r\n')).toContain('Sec-WebSocket-Protocol: sip\r\n');
    await streams.untilCount('stream_upgrades_total', 2);
  });

  it.each([
    { what: 'no subprotocol', protocols: [] },
    { what: 'another one', protocols: ['chat'] },
    { what: 'one that only looks like it', protocols: ['sip2', 'SIP'] },
  ])('is refused with 400 for $what', async ({ protocols }) => {
    const streams = world();
    const { status, text } = await refusalOf(urlOf(streams), protocols);
    expect([status, text]).toEqual([400, 'Sec-WebSocket-Protocol: sip is missing (RFC 7118 4.1)\n']);
    await streams.untilCount('stream_upgrades_refused_total', 1);
    await streams.untilCount('stream_closed_upgrade_total', 1);
  });

  it.each([
    { what: 'another version', from: 'Version: 13', to: 'Version: 99', status: 400 },
    { what: 'no key', from: /Sec-WebSocket-Key.*\r\n/, to: '', status: 400 },
    { what: 'another protocol', from: 'Upgrade: websocket', to: 'Upgrade: h2c', status: 400 },
    { what: 'no HTTP', from: 'GET / HTTP/1.1', to: 'INVITE sip:a SIP/2.0', status: 400 },
    { what: 'too many headers', from: 'Host: ', to: `Cookie: ${'x'.repeat(20_000)}\r\nHost: `, status: 431 },
    { what: 'no upgrade', from: /Upgrade: websocket\r\nConnection: Upgrade\r\n/, to: '', status: 426 },
  ])('is answered $status for $what', async ({ from, to, status }) => {
    const streams = world();
    const peer = await raw(TcpPeer.connect(streams.port));
    peer.send(upgradeRequest().replace(from, to));
    expect(await peer.receive('\r\n\r\n')).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    await peer.untilClosed();
    peer.socket.end();
    await streams.untilCount('stream_upgrades_refused_total', 1);
    await streams.untilCount('stream_closed_upgrade_total', 1);
    expect(streams.messages).toEqual([]);
  });

  it('tells who asks for a page what is here', async () => {
    const streams = world();
    const response = await fetch(`http://127.0.0.1:${streams.port}/`);
    expect([response.status, response.headers.get('upgrade')]).toEqual([426, 'websocket']);
    expect(await response.text()).toBe('This is a SIP server. It speaks WebSocket here, subprotocol sip (RFC 7118).\n');
    expect((await fetch(`http://127.0.0.1:${streams.port}/`, { method: 'POST', body: 'x' })).status).toBe(426);
  });

  it('that is slow, or does not begin, is given up', async () => {
    const streams = world({}, { messageSec: 1, silentSec: 2 });
    const slow = await raw(TcpPeer.connect(streams.port));
    slow.send(upgradeRequest().slice(0, 50));
    const silent = await raw(TcpPeer.connect(streams.port));
    await slow.untilClosed();
    expect(silent.isClosed || silent.hasEnded).toBe(false);
    await silent.untilClosed();
    await streams.untilCount('stream_closed_upgrade_total', 2);
  });

  it('counts for the limits from the start', async () => {
    const streams = world({}, { connections: 3, connectionsPerSource: 2 });
    const arriving = await raw(TcpPeer.connect(streams.port));
    const peer = await client(streams);
    const third = await raw(TcpPeer.connect(streams.port));
    await third.untilClosed();
    await streams.untilCount('stream_refused_total', 1);
    arriving.close();
    await streams.untilCount('stream_closed_upgrade_total', 1);
    (await client(streams)).send(message('again'));
    await streams.receive('again');
    expect(peer.ending).toBeNull();
  });
});

describe('RFC 6455 10.2 origins', () => {
  const PHONE = 'https://phone.example.org';

  it.each([
    { origins: [], origin: 'https://anywhere.example', isServed: true },
    { origins: [], origin: undefined, isServed: true },
    { origins: [PHONE], origin: PHONE, isServed: true },
    { origins: [`${PHONE}:443`], origin: PHONE, isServed: true },
    { origins: ['https://*.example.org'], origin: PHONE, isServed: true },
    { origins: [PHONE, 'none'], origin: undefined, isServed: true },
    { origins: [PHONE], origin: undefined, isServed: false },
    { origins: [PHONE], origin: 'http://phone.example.org', isServed: false },
    { origins: [PHONE], origin: 'https://phone.example.org.evil.example', isServed: false },
    { origins: ['https://*.example.org'], origin: 'https://a.b.example.org', isServed: false },
    { origins: ['https://*.example.org'], origin: 'https://evil.example/.example.org', isServed: false },
    { origins: ['none'], origin: 'none', isServed: false },
    { origins: [PHONE], origin: 'null', isServed: false },
  ])('$origins and $origin: $isServed', async ({ origins, origin, isServed }) => {
    const streams = world({ origins });
    const options = origin === undefined ? {} : { origin };
    if (isServed) {
      await client(streams, options);
      return;
    }
    expect((await refusalOf(urlOf(streams), ['sip'], options)).status).toBe(403);
    await streams.untilCount('stream_foreign_origins_total', 1);
    await streams.untilCount('stream_upgrades_refused_total', 1);
  });
});

describe('4.2 a message', () => {
  it('comes with its source, and answers go by its connection, as text or binary as the client does', async () => {
    const streams = world();
    const [texter, binary] = [await client(streams), await client(streams)];
    texter.send(message('text'));
    const byText = await streams.receive('text');
    expect(byText).toMatchObject({ text: message('text'), socket: 0, source: '127.0.0.1', fault: 0, local: null });
    binary.send(Buffer.from(message('bytes')));
    const { connection } = await streams.receive('bytes');
    expect(connection).not.toBe(byText.connection);
    streams.put('to text', { connection: byText.connection });
    streams.put('to bytes', { connection });
    expect((await texter.receive('to text')).isBinary).toBe(false);
    expect((await binary.receive('to bytes')).isBinary).toBe(true);
  });

  it('that is not UTF-8 goes as binary whatever the client does', async () => {
    const streams = world();
    const peer = await client(streams);
    peer.send(message('hello'));
    const { connection } = await streams.receive('hello');
    streams.put(Buffer.from('utf-8: é', 'utf8'), { connection });
    streams.put(Buffer.from('latin1: é', 'latin1'), { connection });
    expect((await peer.receive('utf-8')).isBinary).toBe(false);
    expect(await peer.receive('latin1')).toEqual({ text: 'latin1: é', isBinary: true });
  });

  it('is one message, whatever its Content-Length says or does not say, and however it is cut into frames', async () => {
    const streams = world();
    const peer = await raw(upgradedByHand(streams.port));
    const [one, two, three] = [message('one', 'l: 30\r\n'), message('two'), message('three')];
    peer.send(Buffer.concat([frame(OPCODE.TEXT, one), frame(OPCODE.TEXT, `\r\n\r\n${two}`)]));
    peer.send(frame(OPCODE.BINARY, three.slice(0, 10), { isLast: false }));
    peer.send(frame(OPCODE.PING, 'between'));
    await peer.receive('between');
    peer.send(frame(OPCODE.CONTINUATION, three.slice(10)));
    await streams.receive('three');
    expect(streams.messages.map(({ text }) => text)).toEqual([one, two, three]);
    expect(streams.count('stream_messages_received_total')).toBe(3);
  });

  it('may come with the request for the WebSocket', async () => {
    const streams = world();
    await raw(upgradedByHand(streams.port, frame(OPCODE.TEXT, message('early'))));
    await streams.receive('early');
  });

  it('of the greatest length passes both ways, and several answers of one turn are several messages', async () => {
    const streams = world();
    const peer = await client(streams);
    peer.send(message('x'.repeat(65_000)));
    const { connection } = await streams.receive('xxx');
    for (const text of ['first', 'y'.repeat(65_000), 'last']) streams.put(text, { connection });
    await peer.receive('last');
    expect(peer.messages.map(({ text }) => text.length)).toEqual([5, 65_000, 4]);
  });
});

describe('6 keep-alives', () => {
  it('two line ends are answered by one, one by none; both are a first message', async () => {
    const streams = world({}, { silentSec: 1, idleSec: 3 });
    const peer = await client(streams);
    peer.send('\r\n');
    peer.send('\r\n\r\n');
    await until('the answer', () => peer.messages.length === 1);
    peer.send(Buffer.from('\r\n\r\n'));
    await until('both answers', () => peer.messages.length === 2);
    expect(peer.messages).toEqual([
      { text: '\r\n', isBinary: false },
      { text: '\r\n', isBinary: true },
    ]);
    expect([streams.count('stream_pings_total'), streams.messages]).toEqual([2, []]);
    // It was not silent: it is closed for being idle, later.
    expect(await peer.untilClosed()).toEqual({ code: 1000, reason: '' });
  });

  it('pings of the client are answered', async () => {
    const streams = world();
    const peer = await client(streams);
    const pong = new Promise((resolve) => peer.socket.once('pong', (data) => resolve(data.toString())));
    peer.socket.ping('there?');
    expect(await pong).toBe('there?');
  });

  it('many pings of one moment are answered by few pongs, the last of them among those', async () => {
    const streams = world();
    const peer = await raw(upgradedByHand(streams.port));
    const before = peer.text.length;
    const count = 5000;
    peer.send(Buffer.concat(Array.from({ length: count }, (_, n) => frame(OPCODE.PING, `ping-${n}!`))));
    await peer.receive(`ping-${count - 1}!`);
    const pongs = peer.text.slice(before).match(/ping-\d+!/g)!;
    expect(pongs.length).toBeLessThan(count / 4);
    expect(pongs.map((pong) => Number(pong.slice(5, -1)))).toEqual(
      pongs.map((pong) => Number(pong.slice(5, -1))).toSorted((a, b) => a - b),
    );
  });

  it('a ping and a request of one moment are both answered', async () => {
    const streams = world();
    const peer = await raw(upgradedByHand(streams.port));
    const request = frame(OPCODE.TEXT, '\r\n\r\n');
    peer.send(Buffer.concat([frame(OPCODE.PING, 'one'), request, frame(OPCODE.PING, 'two'), request]));
    await until('all answers', () => peer.text.endsWith('two\x81\x02\r\n\x81\x02\r\n'), {
      explain: () => JSON.stringify(peer.text),
    });
  });

  it('a client that is silent is pinged, and stays as long as it answers', async () => {
    const streams = world({ pingSec: 1 });
    const peer = await client(streams);
    await until('three pings', () => peer.pings >= 3);
    peer.send(message('still here'));
    await streams.receive('still here');
    expect(streams.count('stream_closed_dead_total')).toBe(0);
  });

  it('one that answers no ping is closed', async () => {
    const streams = world({ pingSec: 1 });
    const peer = await raw(upgradedByHand(streams.port));
    await peer.untilClosed();
    await streams.untilCount('stream_closed_dead_total', 1);
  });
});

describe('a client that does what it must not', () => {
  it.each([
    { what: 'no SIP', bytes: frame(OPCODE.TEXT, 'hello\r\n'), code: 1008, reason: 'junk' },
    { what: 'no line at all', bytes: frame(OPCODE.BINARY, Buffer.alloc(100, 7)), code: 1008, reason: 'junk' },
    { what: 'nothing', bytes: frame(OPCODE.TEXT, ''), code: null, reason: '' },
    {
      what: 'a message that is too long',
      bytes: frame(OPCODE.TEXT, message('x'.repeat(1400))),
      code: 1009,
      reason: 'fault',
    },
    {
      what: 'text that is none',
      bytes: frame(OPCODE.TEXT, Buffer.from(message('é'), 'latin1')),
      code: 1007,
      reason: 'fault',
    },
    {
      what: 'an unmasked frame',
      bytes: frame(OPCODE.TEXT, message('x'), { isMasked: false }),
      code: 1002,
      reason: 'fault',
    },
    { what: 'a frame of no kind', bytes: frame(5, 'x'), code: 1002, reason: 'fault' },
    { what: 'a compressed frame', bytes: Buffer.from([0xc1, 0x80, 0, 0, 0, 0]), code: 1002, reason: 'fault' },
  ])('$what: $code', async ({ bytes, code, reason }) => {
    const streams = world({}, { messageBytes: 1300 });
    const peer = await raw(upgradedByHand(streams.port));
    const before = peer.text.length;
    peer.send(bytes);
    if (code === null) {
      peer.send(frame(OPCODE.TEXT, message('after')));
      await streams.receive('after');
      return;
    }
    await until('a close frame', () => peer.text.length >= before + 4);
    const closing = Buffer.from(peer.text.slice(before), 'latin1');
    expect([closing[0], closing.readUInt16BE(2)]).toEqual([0x80 | OPCODE.CLOSE, code]);
    peer.send(frame(OPCODE.CLOSE, Buffer.from([code >> 8, code & 0xff])));
    await peer.untilClosed();
    peer.socket.end();
    await streams.untilCount(`stream_closed_${reason as 'junk'}_total`, 1);
    expect(streams.messages).toEqual([]);
  });

  it('and does not answer that it is closed, is cut off', async () => {
    const streams = world();
    const peer = await raw(upgradedByHand(streams.port));
    peer.send(frame(OPCODE.TEXT, 'no SIP\r\n'));
    await peer.untilClosed();
    await streams.untilCount('stream_closed_junk_total', 1);
  });

  it('half a message, and then its pieces slowly: closed', async () => {
    const streams = world({}, { messageSec: 1 });
    const peer = await raw(upgradedByHand(streams.port));
    const whole = frame(OPCODE.TEXT, message('x'.repeat(1000)));
    let at = 0;
    const pieces = setInterval(() => peer.send(whole.subarray(at, ++at)), 20);
    open.push({ close: () => clearInterval(pieces) });
    await peer.untilClosed();
    await streams.untilCount('stream_closed_slow_total', 1);
    expect(streams.messages).toEqual([]);
  });

  it.each([
    { what: 'pings', control: frame(OPCODE.PING, 'there?') },
    { what: 'pongs', control: frame(OPCODE.PONG, '') },
    // Its two halves come one after the other.
    { what: 'halves of pings', control: frame(OPCODE.PING, 'there?') },
  ])('a frame of a message and then only $what: closed', async ({ what, control }) => {
    const streams = world({}, { messageSec: 1 });
    const peer = await raw(upgradedByHand(streams.port));
    peer.send(
      Buffer.concat([frame(OPCODE.TEXT, message('whole')), frame(OPCODE.TEXT, message('x'), { isLast: false })]),
    );
    const [first, second] = what.startsWith('halves')
      ? [control.subarray(0, 5), control.subarray(5)]
      : [control, control];
    let count = 0;
    const sending = setInterval(() => peer.send(count++ % 2 === 0 ? first! : second!), 20);
    open.push({ close: () => clearInterval(sending) });
    await peer.untilClosed();
    await streams.untilCount('stream_closed_slow_total', 1);
  });

  it('pings in halves, and no message: not taken for half a message', async () => {
    const streams = world({}, { messageSec: 1, silentSec: 3 });
    const peer = await raw(upgradedByHand(streams.port));
    const ping = frame(OPCODE.PING, 'there?');
    let count = 0;
    const sending = setInterval(() => peer.send(count++ % 2 === 0 ? ping.subarray(0, 5) : ping.subarray(5)), 20);
    open.push({ close: () => clearInterval(sending) });
    await peer.untilClosed();
    await streams.untilCount('stream_closed_idle_total', 1);
  });

  it('half a message and then nothing: closed once no ping is answered', async () => {
    const streams = world({ pingSec: 1 }, { messageSec: 60 });
    const peer = await raw(upgradedByHand(streams.port));
    peer.send(frame(OPCODE.TEXT, message('x')).subarray(0, 20));
    await peer.untilClosed();
    await streams.untilCount('stream_closed_dead_total', 1);
  });

  it('says nothing after the handshake: closed', async () => {
    const streams = world({}, { silentSec: 1 });
    expect((await (await client(streams)).untilClosed()).code).toBe(1000);
    await streams.untilCount('stream_closed_idle_total', 1);
  });

  it('reads nothing: cut off, what waited is undelivered, and others do not notice', async () => {
    const streams = world({}, { queueBytes: 65_536 });
    const [slow, other] = [await client(streams), await client(streams)];
    slow.send(message('slow'));
    other.send(message('other'));
    const [{ connection }, { connection: otherConnection }] = [
      await streams.receive('slow'),
      await streams.receive('other'),
    ];
    slow.socket.pause();
    let sent = 0;
    // What the kernel takes comes first.
    await until('it is cut off', () => {
      streams.put(Buffer.alloc(60_000, 'z'), { connection, tag: ++sent, flags: EGRESS_FLAG.ONLY_CONNECTION });
      return streams.count('stream_closed_unread_total') === 1;
    });
    expect((await streams.fate()).errno).toBeGreaterThan(0);
    expect(streams.count('stream_undelivered_total')).toBeGreaterThan(0);
    streams.put('to the other', { connection: otherConnection });
    await other.receive('to the other');
  });
});

describe('the end', () => {
  it('by a close frame or without one is the end by the peer; a reset is an error', async () => {
    const streams = world();
    const [closing, leaving, resetting] = [
      await client(streams),
      await raw(upgradedByHand(streams.port)),
      await raw(upgradedByHand(streams.port)),
    ];
    closing.socket.close(1000);
    expect((await closing.untilClosed()).code).toBe(1000);
    leaving.socket.end();
    await streams.untilCount('stream_closed_peer_total', 2);
    resetting.socket.resetAndDestroy();
    await streams.untilCount('stream_closed_error_total', 1);
  });

  it('nobody opens another: what names a connection that is gone is undelivered, and so is what names none', async () => {
    const streams = world();
    const peer = await client(streams);
    peer.send(message('hello'));
    const { connection, port } = await streams.receive('hello');
    peer.socket.close();
    await streams.untilCount('stream_closed_peer_total', 1);
    streams.put('by it', { connection, port, tag: 7, mark: 3 });
    streams.put('to it', { port, tag: 8 });
    streams.put('an answer', { connection, port });
    await streams.fate(1);
    const { ENOTCONN } = constants.errno;
    expect(streams.fates).toMatchObject([
      { tag: 7, mark: 3, errno: ENOTCONN },
      { tag: 8, errno: ENOTCONN },
    ]);
    await streams.untilCount('stream_undelivered_total', 3);
    expect(streams.count('stream_opened_total')).toBe(0);
  });

  it('nor does a connection from the same address take the place of another', async () => {
    const streams = world();
    const peer = await client(streams);
    peer.send(message('hello'));
    const { port } = await streams.receive('hello');
    streams.put('without a number', { port, tag: 9 });
    expect(await streams.fate()).toMatchObject({ tag: 9 });
    expect(peer.messages).toEqual([]);
  });

  it('of the thread: 1001, and what waited is sent before', async () => {
    const streams = world();
    const peer = await client(streams);
    peer.send(message('hello'));
    const { connection } = await streams.receive('hello');
    streams.put('the last word', { connection });
    streams.tell('stop');
    await peer.receive('the last word');
    expect((await peer.untilClosed()).code).toBe(1001);
  });

  it('of a banned source: at once', async () => {
    const streams = world();
    const peer = await client(streams);
    const arriving = await raw(TcpPeer.connect(streams.port));
    await streams.untilCount('stream_accepted_total', 2);
    const block = parseCidr('127.0.0.1');
    streams.tell({ bans: buildBanTable(typeof block === 'string' ? [] : [block]) });
    expect((await peer.untilClosed()).code).toBe(1006);
    await arriving.untilClosed();
    await streams.untilCount('stream_closed_banned_total', 1);
    await streams.untilCount('stream_closed_upgrade_total', 1);
  });
});

describe('while the shards are behind', () => {
  it('nothing is read, and nothing is lost', async () => {
    const streams = world();
    streams.isTaking = false;
    const peer = await client(streams);
    const count = 400;
    for (let n = 0; n < count; n++) peer.send(message(`n${n} ${'x'.repeat(20_000)}`));
    await until('it stalls', () => streams.count('stream_stalls_total') > 0);
    streams.isTaking = true;
    streams.take();
    await until('all are there', () => {
      streams.take();
      return streams.messages.length === count;
    });
    expect(streams.messages.map(({ text }) => /n(\d+) /.exec(text)![1])).toEqual(
      Array.from({ length: count }, (_, n) => String(n)),
    );
  });

  it('a client that leaves is heard all the same', async () => {
    const streams = world();
    streams.isTaking = false;
    const filling = await client(streams);
    for (let n = 0; n < 400; n++) filling.send(message('x'.repeat(20_000)));
    await until('it stalls', () => streams.count('stream_stalls_total') > 0);
    const leaving = await client(streams);
    await new Promise<void>((resolve) => {
      leaving.socket.send(message(`the last word ${'x'.repeat(20_000)}`), () => resolve());
    });
    leaving.close();
    await leaving.untilClosed();
    streams.isTaking = true;
    streams.take();
    await until('it is there', () => {
      streams.take();
      return streams.messages.some(({ text }) => text.includes('the last word'));
    });
  });
});

describe('IPv6', () => {
  it('is served as IPv4, and a wildcard knows where the client came to', async () => {
    const streams = world({}, {}, ['ws:[::1]:0', 'ws:*:0']);
    const [six, four] = [
      await WebSocketPeer.connect(`ws://[::1]:${streams.ports[0]}/`),
      await WebSocketPeer.connect(`ws://127.0.0.1:${streams.ports[1]}/`),
    ];
    open.push(six, four);
    six.send(message('six'));
    four.send(message('four'));
    expect(await streams.receive('six')).toMatchObject({ source: '::1', socket: 0, local: null });
    expect(await streams.receive('four')).toMatchObject({ source: '127.0.0.1', socket: 1, local: '127.0.0.1' });
  });
});
