/** A plain UDP endpoint that remembers what came, from whom, and can wait for it with a deadline. */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';

export interface Arrival {
  readonly datagram: Buffer;
  readonly from: RemoteInfo;
  readonly atMs: number;
}

/** On a machine that is busy with other tests. */
const DEADLINE_MS = 8000;

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
  async receive(text: string, deadlineMs = DEADLINE_MS): Promise<Arrival> {
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

/** A UDP port that was free a moment ago. */
export async function freePort(address = '127.0.0.1'): Promise<number> {
  const peer = await UdpPeer.open(address);
  const { port } = peer;
  peer.close();
  return port;
}
