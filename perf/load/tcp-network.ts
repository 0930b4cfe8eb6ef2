/** The way of the engine's messages over TCP: connections of the UAC to the server, which stay, and those that the server opens to
 *  the UAS, an address for each (flow-settings.ts). What comes is framed as the server does it (src/sip/stream-framing.ts).
 *  Messages for one connection leave together. Hot: allocates nothing but where connections begin. */

import { assert } from '../../src/base/assert.ts';
import type { Arena } from '../../src/memory/arena.ts';
import { SLOT_STRIDE_BYTES, slotOffset } from '../../src/memory/layout.ts';
import {
  acceptStream,
  connectStream,
  openStreams,
  openTcp,
  receiveStream,
  STREAM_EVENT,
  sendStream,
  streamError,
  waitForStreams,
  watchStream,
} from '../../src/runtime/udp-socket.ts';
import { FRAME, StreamFramer } from '../../src/sip/stream-framing.ts';
import type { Flow } from './flow.ts';
import { FIRST_AGENT, type Way } from './flow-settings.ts';
import type { Sending } from './outbox.ts';
import type { Network } from './udp-network.ts';

/** Of what comes, and of what waits to be sent, on one connection. */
const BUFFER_BYTES = 128 * 1024;
const MAX_MESSAGE_BYTES = 16 * 1024;
/** A server may open connections of its own where others would do. */
const SPARE_CONNECTIONS = 8;
const CONNECT_LIMIT_MS = 2000;
const READY = 256;
const KEEP_ALIVE_SEC = 60;
/** EAGAIN of Linux. */
const AGAIN = -11;

class Connection {
  readonly fd: number;
  readonly isClient: boolean;
  readonly framer = new StreamFramer(MAX_MESSAGE_BYTES);
  /** Where its two buffers begin, and how much of each is taken. */
  readonly input: number;
  readonly output: number;
  inputBytes = 0;
  outputBytes = 0;
  isDirty = false;

  constructor(fd: number, isClient: boolean, at: number) {
    this.fd = fd;
    this.isClient = isClient;
    this.input = at;
    this.output = at + BUFFER_BYTES;
  }
}

class StreamOutbox implements Sending {
  count = 0;
  readonly #network: TcpNetwork;
  readonly #bytes: Uint8Array;
  readonly #isClient: boolean;
  #connection: Connection | null = null;

  constructor(network: TcpNetwork, bytes: Uint8Array, isClient: boolean) {
    this.#network = network;
    this.#bytes = bytes;
    this.#isClient = isClient;
  }

  begin(number: number): void {
    this.count++;
    // The UAS answers where it was asked (RFC 3261 18.2.2).
    this.#connection = this.#isClient ? this.#network.clientOf(number) : this.#network.current;
    assert(this.#connection !== null, 'an answer to nothing');
    this.#network.noteOutput(this.#connection);
  }

  add(at: number, bytes: number): void {
    const connection = this.#connection!;
    assert(connection.outputBytes + bytes <= BUFFER_BYTES, 'the server reads no more');
    this.#bytes.copyWithin(connection.output + connection.outputBytes, at, at + bytes);
    connection.outputBytes += bytes;
  }
}

export class TcpNetwork implements Network {
  readonly client: StreamOutbox;
  readonly agent: StreamOutbox;
  readonly receiveBufferBytes = BUFFER_BYTES;
  nowUs = 0;
  /** Whose message is in hand. */
  current: Connection | null = null;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #ready = new Int32Array(new SharedArrayBuffer(8 * READY));
  readonly #clockUs: () => number;
  readonly #clients: Connection[] = [];
  readonly #listeners = new Set<number>();
  readonly #byFd: (Connection | undefined)[] = [];
  readonly #dirty: Connection[] = [];
  #dirtyCount = 0;
  readonly #at: number;
  readonly #room: number;
  #count = 0;

  /** How many slots of the arena it needs. */
  static slots({ connections }: Way): number {
    return Math.ceil(((2 * connections + SPARE_CONNECTIONS) * 2 * BUFFER_BYTES) / SLOT_STRIDE_BYTES);
  }

  /** Has the first slots of the arena. Returns once all connections of the UAC are there. */
  constructor(arena: Arena, way: Way, clockUs: () => number) {
    this.#bytes = arena.bytes;
    this.#view = arena.view;
    this.#clockUs = clockUs;
    this.#at = slotOffset(arena.map, 0);
    this.#room = 2 * way.connections + SPARE_CONNECTIONS;
    this.client = new StreamOutbox(this, arena.bytes, true);
    this.agent = new StreamOutbox(this, arena.bytes, false);
    openStreams(arena.bytes, this.#ready, false);
    for (let i = 0; i < way.connections; i++) this.#listen(`127.0.0.${FIRST_AGENT + i}`, way.agentPort);
    for (let i = 0; i < way.connections; i++) this.#clients.push(this.#connect(way.serverPort));
  }

  clientOf(number: number): Connection {
    return this.#clients[number % this.#clients.length]!;
  }

  noteOutput(connection: Connection): void {
    if (connection.isDirty) return;
    connection.isDirty = true;
    this.#dirty[this.#dirtyCount++] = connection;
  }

  receive(flow: Flow): number {
    const ready = waitForStreams(0);
    this.nowUs = this.#clockUs();
    let count = 0;
    for (let i = 0; i < ready; i++) {
      const fd = this.#ready[2 * i]!;
      const connection = this.#byFd[fd];
      if (connection !== undefined) count += this.#read(connection, flow);
      else if (this.#listeners.has(fd)) this.#accept(fd);
    }
    // What the kernel did not take before.
    if (this.#dirtyCount > 0) this.#send();
    return count;
  }

  flush(): number {
    const count = this.client.count + this.agent.count;
    this.client.count = this.agent.count = 0;
    this.#send();
    return count;
  }

  #send(): void {
    let left = 0;
    for (let i = 0; i < this.#dirtyCount; i++) {
      const connection = this.#dirty[i]!;
      const sent = sendStream(connection.fd, connection.output, connection.outputBytes);
      if (sent < 0 && sent !== AGAIN) throw new Error(`a connection failed with errno ${-sent}`);
      if (sent === connection.outputBytes) {
        connection.outputBytes = 0;
        connection.isDirty = false;
        continue;
      }
      if (sent > 0) {
        this.#bytes.copyWithin(connection.output, connection.output + sent, connection.output + connection.outputBytes);
        connection.outputBytes -= sent;
      }
      this.#dirty[left++] = connection;
    }
    this.#dirtyCount = left;
  }

  /** Returns how many messages came. */
  #read(connection: Connection, flow: Flow): number {
    const { framer, input, fd } = connection;
    const received = receiveStream(fd, input + connection.inputBytes, BUFFER_BYTES - connection.inputBytes);
    if (received === AGAIN) return 0;
    if (received <= 0)
      throw new Error(`the server closed a connection${received === 0 ? '' : ` (errno ${-received})`}`);
    const end = input + connection.inputBytes + received;
    this.current = connection;
    let at = input;
    let count = 0;
    for (;;) {
      const frame = framer.next(this.#bytes, this.#view, at, end);
      if (frame === FRAME.FAULT) throw new Error(`what came by a connection is no SIP (fault ${framer.fault})`);
      if (frame === FRAME.PARTIAL) break;
      const next = at + framer.frameBytes;
      if (frame === FRAME.MESSAGE) {
        if (connection.isClient) flow.atClient(at, next, this.nowUs);
        else flow.atAgent(at, next, this.nowUs);
        count++;
      }
      at = next;
    }
    if (at > input && at < end) this.#bytes.copyWithin(input, at, end);
    connection.inputBytes = end - at;
    this.current = null;
    return count;
  }

  // ---- Beginning ----------------------------------------------------------------------------------------------------

  #listen(host: string, port: number): void {
    const { fd } = openTcp({ host, port, family: 4, dualStack: false, dscp: 0 });
    this.#listeners.add(fd);
    watchStream(fd, STREAM_EVENT.READABLE);
  }

  #connect(port: number): Connection {
    const options = { host: '127.0.0.1', port, family: 4, localHost: '', keepAliveSec: KEEP_ALIVE_SEC } as const;
    const fd = connectStream(options);
    if (fd < 0) throw new Error(`no connection to port ${port}: errno ${-fd}`);
    watchStream(fd, STREAM_EVENT.WRITABLE);
    waitForStreams(CONNECT_LIMIT_MS);
    const error = streamError(fd);
    if (error !== 0) throw new Error(`no connection to port ${port}: errno ${error}`);
    return this.#add(fd, true);
  }

  #accept(listener: number): void {
    const accepted = acceptStream(listener, KEEP_ALIVE_SEC);
    if (typeof accepted === 'object') this.#add(accepted.fd, false);
  }

  #add(fd: number, isClient: boolean): Connection {
    if (this.#count === this.#room) throw new Error(`the server opens more than ${this.#room} connections`);
    const connection = new Connection(fd, isClient, this.#at + this.#count++ * 2 * BUFFER_BYTES);
    this.#byFd[fd] = connection;
    watchStream(fd, STREAM_EVENT.READABLE);
    return connection;
  }
}
