/** Calls that come by WebSocket, where operators look at them: `strowger trace` in all its forms, capture files, and what a collector of
 *  HEP gets. Real servers, and the decoder of Homer. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TracedMessage } from '../../../src/runtime/trace/traced-message.ts';
import { type Run, startCommand } from '../../cli/command.ts';
import { replyTo } from '../../flows/messages.ts';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { UdpPeer } from '../../process/udp-peer.ts';
import { Authority } from '../tls/authority.ts';
import { decodeHep } from '../trace/hep-decoder.ts';
import { decodeAsHomer } from '../trace/homer-decoder.ts';
import { WebSocketPeer } from './web-socket-peer.ts';

const authority = new Authority();
const pair = authority.issue('own', ['IP:127.0.0.1']);
const open: { close(): void }[] = [];
afterAll(() => authority.close());

/** `by`: what the URI of the WebSocket begins with. `host`: of its listening point. */
const ENDS = [
  { by: 'ws', host: '127.0.0.1' },
  { by: 'wss', host: '127.0.0.1' },
  { by: 'ws', host: '*' },
] as const;

interface Call {
  readonly server: ServerProcess;
  readonly callId: string;
  /** HOST:PORT: of the browser, of the server where he came to, of the server by UDP, and of whom he asks. */
  readonly browser: string;
  readonly bySocket: string;
  readonly byUdp: string;
  readonly called: string;
  readonly collector: UdpPeer;
}

async function udpPeer(): Promise<UdpPeer> {
  const peer = await UdpPeer.open();
  open.push(peer);
  return peer;
}

/** An OPTIONS of a browser to somebody by UDP, and its answer. */
async function call({ by, host }: (typeof ENDS)[number]): Promise<Call> {
  const [called, collector] = [await udpPeer(), await udpPeer()];
  const server = await ServerProcess.start(
    ...['--mode', 'stateful', '--listen', 'udp:127.0.0.1:0', '--listen', `${by}:${host}:0`],
    ...[
      `tls.certificates=[{certificate: ${pair.certificate}, key: ${pair.key}}]`,
      `hep.to=udp:${collector.hostPort}`,
      `domains=[{name: example.net, nextHops: ['sip:${called.hostPort}']}]`,
      'trace.sample=1',
    ].flatMap((setting) => ['--set', setting]),
  );
  const portOf = (transport: string) => Number(new RegExp(`\\b${transport}:[^:]+:(\\d+)`).exec(server.stdout)![1]);
  const [udpPort, port] = [portOf('udp'), portOf(by)];
  called.onArrival = ({ datagram }) => {
    const text = datagram.toString('latin1');
    if (text.startsWith('OPTIONS')) void called.send(Buffer.from(replyTo(text), 'latin1'), udpPort);
  };
  const browser = await WebSocketPeer.connect(`${by}://127.0.0.1:${port}/`, { ca: authority.pem });
  open.push(browser);
  const callId = `by-${by}`;
  const lines = [
    'OPTIONS sip:bob@example.net SIP/2.0',
    `Via: SIP/2.0/${by.toUpperCase()} df7jal23ls0d.invalid;branch=z9hG4bK56sdasks`,
    'Max-Forwards: 70',
    'From: <sip:alice@example.org>;tag=1',
    'To: <sip:bob@example.net>',
    `Call-ID: ${callId}`,
    'CSeq: 1 OPTIONS',
    'Authorization: Digest username="alice", response="0123456789abcdef"',
  ];
  browser.send(`${lines.join('\r\n')}\r\n\r\n`);
  await browser.receive('SIP/2.0 200');
  return {
    server,
    callId,
    browser: `127.0.0.1:${browser.localPort}`,
    bySocket: `127.0.0.1:${port}`,
    byUdp: `127.0.0.1:${udpPort}`,
    called: called.hostPort,
    collector,
  };
}

/** The four messages: who sent each to whom, and what it begins with. */
function legs({ browser, bySocket, byUdp, called }: Call) {
  return [
    { from: browser, to: bySocket, begins: 'OPTIONS ' },
    { from: byUdp, to: called, begins: 'OPTIONS ' },
    { from: called, to: byUdp, begins: 'SIP/2.0 200 ' },
    { from: bySocket, to: browser, begins: 'SIP/2.0 200 ' },
  ];
}

function trace({ server }: Call, ...args: string[]): Promise<Run> {
  const control = join(server.folder, 'control.sock');
  return startCommand(['trace', ...args, '--control', control], { ...process.env, LANG: 'C.UTF-8' }).finished;
}

describe.each(ENDS)('a call by $by at $host', (end) => {
  let made: Call;
  beforeAll(async () => {
    made = await call(end);
  });
  afterAll(async () => {
    for (const one of open.splice(0)) one.close();
    await endServers();
  });

  it('is traced with its transport and both ends, as text, as JSON and as a ladder, secrets masked', async () => {
    const expected = legs(made);
    const transports = [end.by, 'udp', 'udp', end.by];

    const json = await trace(made, 'show', made.callId, '--json');
    const messages = json.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as TracedMessage);
    expect(
      messages.map(({ direction, peer, local, transport }) => ({
        transport,
        from: direction === 'in' ? peer : local,
        to: direction === 'in' ? local : peer,
      })),
    ).toEqual(expected.map(({ from, to }, i) => ({ transport: transports[i], from, to })));
    expect(messages.map(({ error, isCut }) => ({ error, isCut }))).toEqual(
      expected.map(() => ({ error: null, isCut: false })),
    );
    for (const [i, { text }] of messages.entries()) expect(text!.startsWith(expected[i]!.begins)).toBe(true);

    const { stdout } = await trace(made, 'show', made.callId, '--text');
    expect([...stdout.matchAll(/^\S+Z (?:in|out) (.*)$/gm)].map(([, head]) => head)).toEqual(
      expected.map(({ from, to }, i) => `${transports[i]} ${from} -> ${to}`),
    );
    for (const output of [json.stdout, stdout]) expect(output).not.toContain('0123456789abcdef');

    const ladder = (await trace(made, 'show', made.callId)).stdout;
    expect(ladder).toMatch(new RegExp(`^ +${made.browser} +strowger +${made.called}$`, 'm'));
    expect(ladder.match(/─+ (?:OPTIONS|200 OK \(OPTIONS\)) ─+/g)).toHaveLength(4);

    const { stdout: list } = await trace(made, 'list', '--from', '127.0.0.1', '--json');
    expect(JSON.parse(list)).toMatchObject({ callId: made.callId, status: 200, messages: 4 });
  });

  it('is captured as packets between those ends', async () => {
    const file = join(made.server.folder, 'call.pcap');
    await trace(made, 'show', made.callId, '--pcap', file);
    expect(packetsOf(readFileSync(file))).toEqual(
      legs(made).map(({ from, to, begins }) => ({ from, to, begins: begins.slice(0, 7) })),
    );
  });

  it('is exported by HEP as TCP to its ends, for its own decoder and for that of Homer', async () => {
    const { collector, callId } = made;
    await until('all four are there', () => collector.arrivals.length >= 4);
    // They leave in no order of their own: a collector goes by the time that each says.
    const packets = collector.arrivals
      .map(({ datagram }) => datagram)
      .toSorted((a, b) => decodeHep(a).timeUs - decodeHep(b).timeUs);
    // IANA's numbers of what lies on IP, as HEP3 has them: it has none of its own for WebSocket, nor for TLS.
    const protocols = [6, 17, 17, 6];
    expect(packets.map(decodeHep)).toMatchObject(
      legs(made).map(({ from, to }, i) => ({
        family: 2,
        protocol: protocols[i],
        type: 1,
        source: from,
        destination: to,
        correlationId: callId,
      })),
    );
    for (const [i, packet] of packets.entries()) {
      const { rcinfo, payload } = decodeAsHomer(packet);
      const { from, to, begins } = legs(made)[i]!;
      expect(rcinfo).toMatchObject({ protocol: protocols[i], payloadType: 1, correlation_id: callId });
      expect([`${rcinfo.srcIp}:${rcinfo.srcPort}`, `${rcinfo.dstIp}:${rcinfo.dstPort}`]).toEqual([from, to]);
      expect(payload.startsWith(begins)).toBe(true);
      expect(payload).not.toContain('0123456789abcdef');
    }
  });
});

/** The UDP packets of a capture over IPv4 (LINKTYPE_RAW). */
function packetsOf(file: Buffer) {
  const packets: { readonly from: string; readonly to: string; readonly begins: string }[] = [];
  for (let at = 24; at < file.length; ) {
    const length = file.readUInt32LE(at + 8);
    const packet = file.subarray(at + 16, at + 16 + length);
    const end = (address: number, port: number) =>
      `${packet.subarray(address, address + 4).join('.')}:${packet.readUInt16BE(port)}`;
    packets.push({ from: end(12, 20), to: end(16, 22), begins: packet.toString('latin1', 28, 35) });
    at += 16 + length;
  }
  return packets;
}
