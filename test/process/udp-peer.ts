/** A plain UDP endpoint that remembers what came, from whom, and can wait for it with a deadline. */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { type EventEmitter, once } from 'node:events';
import { createServer } from 'node:net';
import { PATIENCE_MS } from './patience.ts';

export interface Arrival {
  readonly datagram: Buffer;
  readonly from: RemoteInfo;
  readonly atMs: number;
}

export class UdpPeer {
  readonly arrivals: Arrival[] = [];
  /** Called with each arrival, e.g. to answer it. */
  onArrival: (arrival: Arrival) => void = () => undefined;
  readonly #socket: Socket;
  #look: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('message', (datagram, from) => {
      const arrival = { datagram, from, atMs: performance.now() };
      this.arrivals.push(arrival);
      this.onArrival(arrival);
      this.#look();
    });
  }

  static async open(address = '127.0.0.1'): Promise<UdpPeer> {
    const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 4 << 20 });
    socket.bind(0, address);
    await once(socket, 'listening');
    return new UdpPeer(socket);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  /** `HOST:PORT`, IPv6 in brackets. */
  get hostPort(): string {
    const { address, port } = this.#socket.address();
    return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  }

  send(datagram: Buffer, port: number, address = '127.0.0.1'): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#socket.send(datagram, port, address, (error) => (error ? reject(error) : resolve())),
    );
  }

  /** The first arrival, already there or to come, whose text contains `text`. */
  async receive(text: string, deadlineMs = PATIENCE_MS): Promise<Arrival> {
    let timer: NodeJS.Timeout | undefined;
    const arrived = new Promise<Arrival>((resolve, reject) => {
      this.#look = () => {
        const found = this.arrivals.find(({ datagram }) => datagram.includes(text));
        if (found !== undefined) resolve(found);
      };
      timer = setTimeout(() => {
        const seen = this.arrivals.map(({ datagram }) => datagram.subarray(0, 60).toString('latin1').split('\r\n')[0]);
        reject(new Error(`nothing with "${text}" within ${deadlineMs} ms; came: ${JSON.stringify(seen.slice(-5))}`));
      }, deadlineMs);
      this.#look();
    });
    return arrived.finally(() => clearTimeout(timer));
  }

  close(): void {
    this.#socket.close();
  }
}

/** Ports of tests lie below those that the kernel hands out to whoever asks for any (32768 and up on Linux): nobody else can take
 *  one between the look and the use of it, which for a server is a second. */
const FIRST_PORT = 10_000;
const PORTS_OF_A_PROCESS = 100;
const PROCESSES = 220;

let portsTried = 0;

/** A port that is free for UDP and TCP. No other test has it: every process has ports of its own, and takes one after the other. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  return freePorts(1, address);
}

/** The first of `count` such ports in a row. */
export async function freePorts(count: number, address = '127.0.0.1'): Promise<number> {
  for (let tries = 0; tries < PORTS_OF_A_PROCESS; tries++) {
    const offset = portsTried % (PORTS_OF_A_PROCESS - count + 1);
    portsTried = offset + count;
    const first = FIRST_PORT + (process.pid % PROCESSES) * PORTS_OF_A_PROCESS + offset;
    const areFree = await Promise.all(Array.from({ length: count }, (_, i) => isFree(first + i, address)));
    if (areFree.every(Boolean)) return first;
  }
  throw new Error(`${count} ports in a row are not free among the ${PORTS_OF_A_PROCESS} of this process`);
}

async function isFree(port: number, address: string): Promise<boolean> {
  const [udp, tcp] = [createSocket(address.includes(':') ? 'udp6' : 'udp4'), createServer()];
  const isBound = (endpoint: EventEmitter, bind: (done: () => void) => void) =>
    new Promise<boolean>((resolve) => {
      endpoint.once('error', () => resolve(false));
      bind(() => resolve(true));
    });
  const areBound = await Promise.all([
    isBound(udp, (done) => udp.bind(port, address, done)),
    isBound(tcp, (done) => tcp.listen(port, address, done)),
  ]);
  await Promise.all([new Promise<void>((resolve) => udp.close(resolve)), new Promise((resolve) => tcp.close(resolve))]);
  return areBound.every(Boolean);
}
