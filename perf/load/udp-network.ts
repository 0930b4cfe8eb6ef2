/** The way of the engine's messages over UDP: one socket for the UAC, one for the UAS, the server's own batches. Hot: allocates
 *  nothing. */

import type { Arena } from '../../src/memory/arena.ts';
import {
  EGRESS_ENTRIES,
  RECEIVE_BATCH,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  slotOffset,
} from '../../src/memory/layout.ts';
import { addSocket, attach, openUdp, receiveBatch, sendBatch } from '../../src/runtime/udp-socket.ts';
import type { Flow } from './flow.ts';
import type { Way } from './flow-settings.ts';
import { Outbox, type Sending } from './outbox.ts';

/** What the engine sends by and receives from. */
export interface Network {
  readonly client: Sending;
  readonly agent: Sending;
  /** The smallest. */
  readonly receiveBufferBytes: number;
  /** When `receive` had what it gives to the flow. */
  readonly nowUs: number;
  /** Gives the flow what has come, without waiting; how many messages. */
  receive(flow: Flow): number;
  /** Sends what waits; how many messages. */
  flush(): number;
}

/** Socket indices. */
const CLIENT = 0;
const AGENT = 1;
const CLIENT_ENTRIES = EGRESS_ENTRIES / 2;
/** Messages that the UAC may begin between two flushes. */
export const MAX_STARTS = CLIENT_ENTRIES;
const BUFFER_BYTES = 4 << 20;

export class UdpNetwork implements Network {
  readonly client: Outbox;
  readonly agent: Outbox;
  readonly receiveBufferBytes: number;
  nowUs = 0;
  readonly #arena: Arena;
  readonly #clockUs: () => number;

  /** Receives into the first RECEIVE_BATCH slots of the arena. */
  constructor(arena: Arena, way: Way, clockUs: () => number) {
    this.#arena = arena;
    this.#clockUs = clockUs;
    this.client = new Outbox(arena, CLIENT_ENTRIES, CLIENT_ENTRIES, CLIENT, way.serverPort);
    this.agent = new Outbox(arena, 0, CLIENT_ENTRIES, AGENT, way.serverPort);
    attach(arena.bytes);
    this.receiveBufferBytes = Math.min(open(CLIENT, way.clientPort), open(AGENT, way.agentPort));
    for (let i = 0; i < RECEIVE_BATCH; i++) arena.words[(arena.map.plan >> 2) + i] = i;
  }

  receive(flow: Flow): number {
    const { words, map } = this.#arena;
    const count = receiveBatch(RECEIVE_BATCH, 0);
    const now = this.#clockUs();
    this.nowUs = now;
    for (let position = 0; position < count; position++) {
      const offset = slotOffset(map, position);
      const word = offset >> 2;
      const start = offset + SLOT_HEADER_BYTES;
      const end = start + Math.min(words[word + SLOT.LENGTH_WORD]!, SLOT_PAYLOAD_BYTES);
      if (words[word + SLOT.SOCKET_WORD] === CLIENT) flow.atClient(start, end, now);
      else flow.atAgent(start, end, now);
    }
    return count;
  }

  flush(): number {
    return this.#send(this.agent) + this.#send(this.client);
  }

  #send(outbox: Outbox): number {
    const { count } = outbox;
    if (count > 0) sendBatch(0, outbox.first, count);
    outbox.clear();
    return count;
  }
}

/** Returns the size of the receive buffer. */
function open(index: number, port: number): number {
  const socket = openUdp({
    host: '127.0.0.1',
    port,
    family: 4,
    dualStack: false,
    receiveBufferBytes: BUFFER_BYTES,
    sendBufferBytes: BUFFER_BYTES,
    dscp: 0,
    reusePort: false,
  });
  addSocket(index, socket.fd, 4, false);
  return socket.receiveBufferBytes;
}
