/** What test/sipp/streams does with SIPp by TCP, by TLS: SIPp does not speak it here. Calls with every message over the real server,
 *  between TLS and the others and between IPv4 and IPv6, given up, to somebody busy, to somebody registered. */

import { once } from 'node:events';
import { createServer as createTcpServer, type Server } from 'node:net';
import { connect, createServer as createTlsServer } from 'node:tls';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { UdpPeer } from '../../process/udp-peer.ts';
import { TcpPeer } from '../streams/tcp-peer.ts';
import { Authority, readPair } from './authority.ts';

type Transport = 'UDP' | 'TCP' | 'TLS';

const authority = new Authority();
const edge = authority.issue('edge', ['IP:127.0.0.1', 'IP:::1']);
const phone = authority.issue('phone', ['IP:127.0.0.1', 'IP:::1']);
const open: { close(): void }[] = [];
let callCount = 0;

afterEach(async () => {
  for (const one of open.splice(0)) one.close();
  await endServers();
});
afterAll(() => authority.close());

const bracketed = (address: string) => (address.includes(':') ? `[${address}]` : address);

/** Somebody with one transport at one address, who remembers what came. */
interface Line {
  readonly transport: Transport;
  /** Of a URI that leads here. */
  readonly place: string;
  send(text: string): void;
  /** The message that begins so and has `callId` and, of the method, `cseq`; already there or to come. */
  receive(start: string, callId: string, cseq?: string): Promise<string>;
}

/** Messages of a stream, as far as they are whole; none has a body here. */
function messagesOf(text: string): string[] {
  return text.split(/(?<=\r\n\r\n)/).map((message) => message.replace(/^(\r\n)+/, ''));
}

async function waitFor(messages: () => readonly string[], start: string, ...contents: string[]): Promise<string> {
  const found = () =>
    messages().find((message) => message.startsWith(start) && contents.every((each) => message.includes(each)));
  await until(`${start} with ${contents.join(', ')}`, () => found() !== undefined, {
    explain: () => JSON.stringify(messages().map((message) => message.slice(0, 60))),
  });
  return found()!;
}

const uriParams = { UDP: '', TCP: ';transport=tcp', TLS: ';transport=tls' };

class StreamLine implements Line {
  readonly transport: Transport;
  readonly place: string;
  readonly peers: TcpPeer[] = [];

  constructor(transport: Transport, place: string) {
    this.transport = transport;
    this.place = place;
  }

  send(text: string): void {
    this.peers.at(-1)!.send(text);
  }

  receive(start: string, callId: string, cseq = ''): Promise<string> {
    return waitFor(() => this.peers.flatMap(({ text }) => messagesOf(text)), start, `: ${callId}\r`, cseq);
  }
}

class UdpLine implements Line {
  readonly transport = 'UDP';
  readonly place: string;
  readonly #peer: UdpPeer;
  readonly #to: { readonly port: number; readonly address: string };

  constructor(peer: UdpPeer, address: string, port: number) {
    this.#peer = peer;
    this.#to = { port, address };
    this.place = peer.hostPort;
  }

  send(text: string): void {
    void this.#peer.send(Buffer.from(text, 'latin1'), this.#to.port, this.#to.address);
  }

  receive(start: string, callId: string, cseq = ''): Promise<string> {
    const texts = () => this.#peer.arrivals.map(({ datagram }) => datagram.toString('latin1'));
    return waitFor(texts, start, `: ${callId}\r`, cseq);
  }
}

interface World {
  readonly server: ServerProcess;
  /** Who connects, or sends from there. */
  caller(transport: Transport, address: string): Promise<Line>;
  /** Who listens. */
  callee(transport: Transport, address: string): Promise<Line>;
}

async function world(mode: string, ...flags: string[]): Promise<World> {
  const addresses = ['127.0.0.1', '::1'];
  const listen = addresses.flatMap((address) => [`${bracketed(address)}:0`, `tls:${bracketed(address)}:0`]);
  const server = await ServerProcess.start(
    ...['--mode', mode, ...listen.flatMap((point) => ['--listen', point])],
    ...['--set', `tls.certificates=[{certificate: ${edge.certificate}, key: ${edge.key}}]`],
    ...['--set', `tls.authorities=${authority.file}`, ...flags],
  );
  const portOf = (transport: Transport, address: string) => {
    const point = `${transport.toLowerCase()}:${bracketed(address)}:`;
    const from = server.stdout.indexOf(point) + point.length;
    return Number(/^\d+/.exec(server.stdout.slice(from, from + 5))![0]);
  };
  const byUdp = async (address: string) => {
    const peer = await UdpPeer.open(address);
    open.push(peer);
    return new UdpLine(peer, address, portOf('UDP', address));
  };
  return {
    server,
    caller: async (transport, address) => {
      if (transport === 'UDP') return byUdp(address);
      const port = portOf(transport, address);
      if (transport === 'TCP') {
        const peer = await TcpPeer.connect(port, { host: address });
        return lineOf(peer, transport);
      }
      const socket = connect({ host: address, port, ca: authority.pem });
      await once(socket, 'secureConnect');
      return lineOf(new TcpPeer(socket), transport);
    },
    callee: async (transport, address) => {
      if (transport === 'UDP') return byUdp(address);
      const accept = (socket: ConstructorParameters<typeof TcpPeer>[0]) => line.peers.push(new TcpPeer(socket));
      const listening: Server =
        transport === 'TCP' ? createTcpServer(accept) : createTlsServer(readPair(phone), accept);
      listening.listen(0, address);
      await once(listening, 'listening');
      const { port } = listening.address() as { port: number };
      const line = new StreamLine(transport, `${bracketed(address)}:${port}`);
      open.push({
        close: () => {
          listening.close();
          for (const peer of line.peers) peer.close();
        },
      });
      return line;
    },
  };
}

function lineOf(peer: TcpPeer, transport: Transport): Line {
  open.push(peer);
  const line = new StreamLine(transport, peer.hostPort);
  line.peers.push(peer);
  return line;
}

interface Fields {
  readonly method: string;
  readonly uri: string;
  readonly from: Line;
  readonly callId: string;
  readonly cseq: string;
  readonly branch?: string;
  readonly to?: string;
  readonly routes?: readonly string[];
  readonly contact?: string;
}

function request({ method, uri, from, callId, cseq, branch, to, routes = [], contact }: Fields): string {
  return [
    `${method} ${uri} SIP/2.0`,
    `Via: SIP/2.0/${from.transport} ${from.place};branch=z9hG4bK${branch ?? `${callId}-${method}`};rport`,
    ...routes.map((route) => `Route: ${route}`),
    'Max-Forwards: 70',
    'From: <sip:caller@example.test>;tag=1',
    `To: ${to ?? `<${uri}>`}`,
    `Call-ID: ${callId}`,
    `CSeq: ${cseq}`,
    `Contact: ${contact ?? `<sip:caller@${from.place}${uriParams[from.transport]}>`}`,
    'Content-Length: 0',
    '\r\n',
  ].join('\r\n');
}

function fieldsOf(text: string, name: string): string[] {
  return [...text.matchAll(new RegExp(`^${name}: ([^\\r]*)`, 'gm'))].map(([, value]) => value!);
}

function answer(text: string, status: string, contact: string): string {
  const kept = ['Via', 'Record-Route', 'From', 'Call-ID', 'CSeq'].flatMap((name) =>
    fieldsOf(text, name).map((value) => `${name}: ${value}`),
  );
  const to = fieldsOf(text, 'To')[0]!;
  const tagged = to.includes(';tag=') ? to : `${to};tag=callee`;
  return [`SIP/2.0 ${status}`, ...kept, `To: ${tagged}`, `Contact: <${contact}>`, 'Content-Length: 0', '\r\n'].join(
    '\r\n',
  );
}

/** A whole call (RFC 3261 24.2): what the callee got for an INVITE. */
async function call(caller: Line, callee: Line, uri: string): Promise<string> {
  const callId = `call-${++callCount}`;
  const contact = `sip:callee@${callee.place}${uriParams[callee.transport]}`;
  caller.send(request({ method: 'INVITE', uri, from: caller, callId, cseq: '1 INVITE' }));
  const invite = await callee.receive('INVITE ', callId);
  callee.send(answer(invite, '180 Ringing', contact));
  await caller.receive('SIP/2.0 180', callId);
  callee.send(answer(invite, '200 OK', contact));
  const ok = await caller.receive('SIP/2.0 200', callId);
  // In a response as in the request, so the other way round for the caller (12.1.2).
  const routes = fieldsOf(ok, 'Record-Route').reverse();
  const dialog = { from: caller, callId, to: fieldsOf(ok, 'To')[0]!, routes };
  caller.send(request({ method: 'ACK', uri: contact, cseq: '1 ACK', ...dialog }));
  expect(fieldsOf(await callee.receive('ACK ', callId), 'Route')).toEqual([]);
  caller.send(request({ method: 'BYE', uri: contact, cseq: '2 BYE', ...dialog }));
  const bye = await callee.receive('BYE ', callId);
  callee.send(answer(bye, '200 OK', contact));
  await caller.receive('SIP/2.0 200', callId, '2 BYE');
  return invite;
}

const V4 = '127.0.0.1';
const V6 = '::1';

describe('a call', () => {
  it.each([
    { from: 'TLS', at: V4, to: 'TLS', where: V4 },
    { from: 'TLS', at: V6, to: 'TLS', where: V6 },
    { from: 'TLS', at: V4, to: 'UDP', where: V4 },
    { from: 'UDP', at: V4, to: 'TLS', where: V4 },
    { from: 'TLS', at: V4, to: 'TCP', where: V4 },
    { from: 'TCP', at: V4, to: 'TLS', where: V4 },
    { from: 'TLS', at: V4, to: 'TLS', where: V6 },
    { from: 'TLS', at: V6, to: 'UDP', where: V4 },
    { from: 'TCP', at: V6, to: 'TLS', where: V4 },
  ] as const)(
    'from $from at $at to $to at $where crosses the proxy with every message',
    async ({ from, at, to, where }) => {
      const { caller, callee } = await world('stateful');
      const [alice, bob] = [await caller(from, at), await callee(to, where)];
      const invite = await call(alice, bob, `sip:callee@${bob.place}${uriParams[to]}`);
      const routes = fieldsOf(invite, 'Record-Route');
      // RFC 5658: one for each side, that to the callee on top.
      const sides =
        from === to && at === where
          ? [[to, where]]
          : [
              [to, where],
              [from, at],
            ];
      expect(routes).toEqual(
        sides.map(([transport, address]) =>
          expect.stringMatching(
            `^<sip:${bracketed(address!).replace(/[[\].]/g, '\\$&')}:\\d+${uriParams[transport as Transport]};lr>$`,
          ),
        ),
      );
    },
  );

  it('with a sips URI goes by TLS, and has sips URIs in its Record-Route (RFC 5630)', async () => {
    const { caller, callee } = await world('stateful');
    const [alice, bob] = [await caller('TLS', V4), await callee('TLS', V4)];
    const callId = 'sips';
    alice.send(request({ method: 'INVITE', uri: `sips:bob@${bob.place}`, from: alice, callId, cseq: '1 INVITE' }));
    const invite = await bob.receive('INVITE sips:', callId);
    expect(fieldsOf(invite, 'Record-Route')).toEqual([expect.stringMatching(/^<sips:127\.0\.0\.1:\d+;lr>$/)]);
    bob.send(answer(invite, '486 Busy Here', `sips:bob@${bob.place}`));
    await alice.receive('SIP/2.0 486', callId);
    await bob.receive('ACK sips:', callId);
  });

  it.each([
    { from: 'TLS', to: 'TLS' },
    { from: 'TLS', to: 'UDP' },
    { from: 'UDP', to: 'TLS' },
  ] as const)('without transactions, from $from to $to', async ({ from, to }) => {
    const { caller, callee } = await world('stateless');
    const [alice, bob] = [await caller(from, V4), await callee(to, V4)];
    const invite = await call(alice, bob, `sip:callee@${bob.place}${uriParams[to]}`);
    expect(fieldsOf(invite, 'Record-Route')).toEqual([]);
  });

  it.each([
    { from: 'TLS', to: 'TLS' },
    { from: 'TLS', to: 'UDP' },
    { from: 'UDP', to: 'TLS' },
  ] as const)('that is given up, from $from to $to', async ({ from, to }) => {
    const { caller, callee } = await world('stateful');
    const [alice, bob] = [await caller(from, V4), await callee(to, V4)];
    const uri = `sip:callee@${bob.place}${uriParams[to]}`;
    const fields = { uri, from: alice, callId: 'given-up', branch: 'given-up' };
    alice.send(request({ method: 'INVITE', cseq: '1 INVITE', ...fields }));
    const invite = await bob.receive('INVITE ', 'given-up');
    bob.send(answer(invite, '180 Ringing', uri));
    await alice.receive('SIP/2.0 180', 'given-up');
    alice.send(request({ method: 'CANCEL', cseq: '1 CANCEL', ...fields }));
    await alice.receive('SIP/2.0 200', 'given-up', '1 CANCEL');
    const cancel = await bob.receive('CANCEL ', 'given-up');
    expect(fieldsOf(cancel, 'Via')).toEqual(fieldsOf(invite, 'Via').slice(0, 1));
    bob.send(answer(cancel, '200 OK', uri));
    bob.send(answer(invite, '487 Request Terminated', uri));
    const end = await alice.receive('SIP/2.0 487', 'given-up');
    await bob.receive('ACK ', 'given-up');
    alice.send(request({ method: 'ACK', cseq: '1 ACK', ...fields, to: fieldsOf(end, 'To')[0]! }));
  });

  it.each(['stateful', 'stateless'])(
    'to who registered by TLS goes by the connection of the REGISTER, %s',
    async (mode) => {
      const { server, caller } = await world(mode, '--set', 'domains=[example.test]');
      const [alice, bob] = [await caller('UDP', V4), await caller('TLS', V4)];
      const registration = { method: 'REGISTER', uri: 'sip:example.test', from: bob, callId: 'register' };
      const contact = `<sip:bob@${bob.place};transport=tls>`;
      bob.send(request({ ...registration, cseq: '1 REGISTER', to: '<sip:bob@example.test>', contact }));
      await bob.receive('SIP/2.0 200', 'register');
      const invite = await call(alice, bob, 'sip:bob@example.test');
      expect(invite.startsWith(`INVITE sip:bob@${bob.place};transport=tls SIP/2.0\r\n`)).toBe(true);
      expect(await server.counters()).toMatchObject({ stream_opened_total: 0, stream_accepted_total: 1 });
    },
  );
});
