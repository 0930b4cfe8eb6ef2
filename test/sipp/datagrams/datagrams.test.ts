/** The largest datagrams there are, byte for byte, and a storm of broken ones in the midst of calls. */

import { afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { callIdOfShard, okTo, optionsRequest } from '../../process/sip-texts.ts';
import { freePort, UdpPeer } from '../../process/udp-peer.ts';
import { endLoadGenerators, runUac, startUas } from '../load-generator.ts';

const peers: UdpPeer[] = [];
afterEach(async () => {
  for (const peer of peers.splice(0)) peer.close();
  await endLoadGenerators();
  await endServers();
});

async function openPeer(): Promise<UdpPeer> {
  const peer = await UdpPeer.open();
  peers.push(peer);
  return peer;
}

/** UDP over IPv4: 65,535 less the headers. */
const LARGEST = 65_507;
/** Bytes of each value, every one of them. */
const FILLER = Buffer.from(Array.from({ length: LARGEST }, (_, i) => (i * 31 + (i >> 8)) & 0xff));

/** What the server added: our Via on top and the Max-Breadth behind it, one hop less. */
function withoutOurHop(forwarded: Buffer): Buffer {
  const text = forwarded.toString('latin1').replace(/\r\nVia: [^\r]*\r\nMax-Breadth: 60/i, '');
  return Buffer.from(text.replace('Max-Forwards: 69', 'Max-Forwards: 70'), 'latin1');
}

function withoutTopVia(message: Buffer): Buffer {
  return Buffer.from(message.toString('latin1').replace(/\r\nVia: [^\r]*/i, ''), 'latin1');
}

/** A request of exactly `bytes` bytes. */
function requestOf(bytes: number, fields: { uri: string; callId: string; sentBy: string }): Buffer {
  const probe = optionsRequest({ ...fields, body: Buffer.alloc(Math.max(0, bytes - 1000)) });
  const request = optionsRequest({
    ...fields,
    body: FILLER.subarray(0, Math.max(0, bytes - 1000) + bytes - probe.length),
  });
  return request.length === bytes ? request : Buffer.concat([request, FILLER]).subarray(0, bytes);
}

describe('large datagrams', () => {
  it.each([2304, 2305, 9000, 65_000])('of %i bytes cross the server byte for byte', async (bytes) => {
    const port = await freePort();
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    const [client, callee] = [await openPeer(), await openPeer()];
    const callId = callIdOfShard(0, 2);
    const request = requestOf(bytes, { uri: `sip:bob@${callee.hostPort}`, callId, sentBy: client.hostPort });
    expect(request).toHaveLength(bytes);
    await client.send(request, port);
    const { datagram: forwarded, from } = await callee.receive(callId);
    expect(withoutOurHop(forwarded).equals(request)).toBe(true);

    const response = okTo(forwarded, FILLER.subarray(0, bytes));
    const largest = response.length <= LARGEST ? response : okTo(forwarded, FILLER.subarray(0, LARGEST - 700));
    await callee.send(largest, from.port);
    expect(withoutTopVia(largest).equals((await client.receive('SIP/2.0 200')).datagram)).toBe(true);
    if (bytes > 2304) expect((await server.counters())['jumbo_datagrams_total']).toBeGreaterThan(0);
  });

  it('leave with the last byte UDP can carry, in both directions', async () => {
    const port = await freePort();
    await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    const [client, callee] = [await openPeer(), await openPeer()];
    const fields = { uri: `sip:bob@${callee.hostPort}`, sentBy: client.hostPort };
    // How much our hop adds, told by a small request of the same shape.
    const small = requestOf(2000, { ...fields, callId: callIdOfShard(1, 2) });
    await client.send(small, port);
    const added = (await callee.receive('OPTIONS')).datagram.length - small.length;
    const callId = callIdOfShard(1, 2);
    await client.send(requestOf(LARGEST - added, { ...fields, callId }), port);
    const { datagram: forwarded, from } = await callee.receive(callId);
    expect(forwarded).toHaveLength(LARGEST);

    const head = okTo(forwarded, FILLER.subarray(0, 60_000)).length - 60_000;
    const response = okTo(forwarded, FILLER.subarray(0, LARGEST - head));
    expect(response).toHaveLength(LARGEST);
    await callee.send(response, from.port);
    expect(withoutTopVia(response).equals((await client.receive('SIP/2.0 200')).datagram)).toBe(true);
  });

  it('that no longer fit with our Via are answered 513', async () => {
    const port = await freePort();
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    const [client, callee] = [await openPeer(), await openPeer()];
    const fields = { uri: `sip:bob@${callee.hostPort}`, sentBy: client.hostPort };
    await client.send(requestOf(LARGEST, { ...fields, callId: callIdOfShard(0, 2) }), port);
    await client.receive('SIP/2.0 513 ');
    expect(await server.counters()).toMatchObject({ send_errors_total: 1, shard_crashes_total: 0 });
    expect(callee.arrivals).toEqual([]);
  });
});

const STORM_DATAGRAMS = 10_000;
/** Datagrams sent before the server must have taken those of the gust before: a receive buffer holds them easily. */
const STORM_GUST = 500;
const CALLS = 300;

describe('a storm of broken datagrams', () => {
  it('fails no call and no shard', async () => {
    const port = await freePort();
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    const [uas, attacker] = [await startUas(), await openPeer()];
    const storm = blow(attacker, port, server);
    const calls = runUac({
      target: `127.0.0.1:${uas.port}`,
      by: `127.0.0.1:${port}`,
      calls: CALLS,
      perSec: 100,
    });
    const [figures] = await Promise.all([calls, storm]);
    // Not how often SIPp sent something again: a machine whose queues the storm fills may drop what it likes.
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    const counters = await server.counters();
    expect(counters).toMatchObject({ shard_crashes_total: 0 });
    expect(counters['junk_datagrams_total']).toBeGreaterThan(STORM_DATAGRAMS / 4);
    expect(counters['malformed_requests_total']).toBeGreaterThan(0);
  });
});

/** Half of it random bytes, half requests with some bytes changed. The same each time. */
async function blow(attacker: UdpPeer, port: number, server: ServerProcess): Promise<void> {
  const next = xorshift(0x5eed);
  const fields = { uri: `sip:127.0.0.1:${port}`, callId: 'storm', sentBy: attacker.hostPort };
  const model = optionsRequest({ ...fields, body: Buffer.from('v=0') });
  for (let i = 0; i < STORM_DATAGRAMS; i++) {
    const isNoise = i % 2 === 0;
    const datagram = isNoise ? Buffer.alloc(1 + (next() % 1500)) : Buffer.from(model);
    const changes = isNoise ? datagram.length : 1 + (next() % 8);
    for (let change = 0; change < changes; change++) {
      datagram[isNoise ? change : next() % datagram.length] = next() & 0xff;
    }
    const sent = attacker.send(datagram, port);
    if (i % STORM_GUST !== 0) continue;
    await sent;
    await until('the server has taken the gust', async () => {
      return (await server.counters())['datagrams_received_total']! > i - STORM_GUST;
    });
  }
}

function xorshift(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}
