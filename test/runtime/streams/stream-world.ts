/** The thread of the streams without a server around it: the test is the intake and the shards. */

import { Worker } from 'node:worker_threads';
import { parseListenAddress } from '../../../src/config/listen-point.ts';
import { configSchema } from '../../../src/config/schema.ts';
import { createArena } from '../../../src/memory/arena.ts';
import {
  EGRESS,
  EGRESS_BYTES,
  EGRESS_MARK_SHIFT,
  EGRESS_STRIDE_BYTES,
  SLOT,
  SLOT_HEADER_BYTES,
  streamInboundOffset,
  UNDELIVERED,
} from '../../../src/memory/layout.ts';
import { MessageConsumer } from '../../../src/memory/message-ring.ts';
import { type CounterName, readCounters } from '../../../src/observe/counters.ts';
import { boundSocketOf } from '../../../src/runtime/bound-socket.ts';
import { addressText, addressWords } from '../../../src/runtime/streams/address-words.ts';
import { StreamEgress } from '../../../src/runtime/streams/stream-egress.ts';
import type { StreamCommand, StreamTask } from '../../../src/runtime/streams/stream-thread.ts';
import { close, createEventFd, openTcp, type Watch, watch } from '../../../src/runtime/udp-socket.ts';
import { until } from '../../process/server-process.ts';

export interface StreamMessage {
  readonly text: string;
  readonly socket: number;
  readonly source: string;
  readonly port: number;
  /** null: zeros. */
  readonly local: string | null;
  readonly connection: number;
  readonly fault: number;
}

export interface Fate {
  readonly shard: number;
  readonly tag: number;
  readonly mark: number;
  readonly errno: number;
}

export interface Sending {
  readonly socket?: number;
  readonly connection?: number;
  readonly address?: string;
  readonly port?: number;
  readonly tag?: number;
  readonly mark?: number;
  readonly flags?: number;
  readonly local?: string;
}

const worlds: StreamWorld[] = [];

/** For afterEach. */
export async function endStreams(): Promise<void> {
  await Promise.all(worlds.splice(0).map((world) => world.end()));
}

export class StreamWorld {
  readonly arena = createArena({ shardCount: 2, slotCount: 128, jumboCount: 1, hasStreams: true });
  readonly messages: StreamMessage[] = [];
  readonly fates: Fate[] = [];
  readonly ports: number[];
  /** While false what comes stays in the ring. */
  isTaking = true;
  worker: Worker;
  error: Error | null = null;
  readonly #task: StreamTask;
  readonly #ring: MessageConsumer;
  readonly #egress: StreamEgress[];
  readonly #counts = [0, 0];
  readonly #watch: Watch;

  constructor(
    listen: readonly string[],
    settings: Partial<StreamTask['settings']> = {},
    tls: Partial<StreamTask['tls']> = {},
    material: StreamTask['material'] = { certificates: [], authorities: null },
    webSocket: Partial<StreamTask['webSocket']> = {},
    isStateless = false,
    isOpen = true,
  ) {
    const sockets = listen.map((text, index) => {
      const address = parseListenAddress(text);
      if (typeof address === 'string') throw new Error(address);
      const { fd, port } = openTcp({ ...address, dscp: 0 });
      const point = { ...address, advertisedHost: null, advertisedPort: null, dscp: 0 };
      return { ...boundSocketOf(point, index, port), fd };
    });
    this.ports = sockets.map(({ port }) => port);
    this.#task = {
      arena: this.arena.buffer,
      sockets,
      wakeFd: createEventFd(),
      intakeFd: createEventFd(),
      batchScheduling: true,
      settings: { ...configSchema.parse({}).streams, ...settings },
      tls: { ...configSchema.parse({}).tls, ...tls },
      webSocket: { ...configSchema.parse({}).webSocket, ...webSocket },
      material,
      bans: null,
      isOpen,
    };
    this.#ring = new MessageConsumer(this.arena.words, streamInboundOffset(this.arena.map));
    this.#egress = [0, 1].map(
      (shard) => new StreamEgress({ arena: this.arena, shard, sockets, wakeFd: this.#task.wakeFd, isStateless }),
    );
    this.#watch = watch(this.#task.intakeFd, () => this.take());
    this.take();
    this.worker = this.startThread();
    worlds.push(this);
  }

  startThread(): Worker {
    this.worker = new Worker(new URL('../../../src/runtime/streams/stream-thread.ts', import.meta.url), {
      workerData: this.#task,
    });
    this.worker.on('error', (error) => {
      this.error = error as Error;
    });
    return this.worker;
  }

  get port(): number {
    return this.ports[0]!;
  }

  tell(command: StreamCommand): void {
    this.worker.postMessage(command);
  }

  /** Puts a message into the egress table of a shard, as `Outbound` does; `flush` follows. */
  put(text: string | Buffer, sending: Sending, shard = 0): void {
    const { words, bytes, map } = this.arena;
    const {
      socket = 0,
      connection = 0,
      address = '127.0.0.1',
      port = 9,
      tag = 0,
      mark = 0,
      flags = 0,
      local,
    } = sending;
    const entry = (map.egress + shard * EGRESS_BYTES + this.#counts[shard]!++ * EGRESS_STRIDE_BYTES) >> 2;
    const message = Buffer.from(text as string, 'latin1');
    const at = map.jumbos + SLOT_HEADER_BYTES;
    bytes.set(message, at);
    const peer = addressWords(address);
    words[entry + EGRESS.SPAN_COUNT_WORD] = 2;
    words[entry + EGRESS.SOCKET_WORD] = socket;
    words[entry + EGRESS.FAMILY_WORD] = peer.family;
    words[entry + EGRESS.PORT_WORD] = port;
    words.set([peer.a0, peer.a1, peer.a2, peer.a3], entry + EGRESS.ADDRESS_WORD);
    const from = local === undefined ? { a0: 0, a1: 0, a2: 0, a3: 0 } : addressWords(local);
    words.set([from.a0, from.a1, from.a2, from.a3], entry + EGRESS.LOCAL_WORD);
    words[entry + EGRESS.CONNECTION_WORD] = connection;
    words[entry + EGRESS.TAG_WORD] = tag;
    words[entry + EGRESS.FLAGS_WORD] = flags | (mark << EGRESS_MARK_SHIFT);
    const half = message.length >> 1;
    words.set([at, half, at + half, message.length - half], entry + EGRESS.SPANS_WORD);
    // One message at a time has the jumbo: it is in the ring before the next is put.
    this.#egress[shard]!.take(this.#counts[shard]!);
    this.failed += this.#egress[shard]!.failed;
    this.#egress[shard]!.forget(this.#counts[shard]!);
    this.#counts[shard] = 0;
  }

  /** Messages that did not fit the ring, or are too long for any. */
  failed = 0;

  take(): void {
    const { words, bytes } = this.arena;
    if (!this.isTaking) return;
    this.#ring.isNotified();
    for (let offset = this.#ring.next(); offset !== -1; offset = this.#ring.next()) {
      const at = offset >> 2;
      const length = words[at]!;
      const start = offset + SLOT_HEADER_BYTES;
      const family = words[at + SLOT.FAMILY_WORD]!;
      if (length === 0) {
        this.fates.push({
          shard: words[at + SLOT.OWNER_WORD]!,
          tag: words[at + UNDELIVERED.TAG_WORD]!,
          mark: words[at + UNDELIVERED.FLAGS_WORD]! >>> EGRESS_MARK_SHIFT,
          errno: words[at + UNDELIVERED.ERRNO_WORD]!,
        });
      } else {
        const isLocalKnown = words.subarray(at + SLOT.LOCAL_WORD, at + SLOT.LOCAL_WORD + 4).some((word) => word !== 0);
        this.messages.push({
          text: Buffer.from(bytes.slice(start, start + length)).toString('latin1'),
          socket: words[at + SLOT.SOCKET_WORD]!,
          source: addressText(words, at + SLOT.SOURCE_WORD, family),
          port: words[at + SLOT.PORT_WORD]!,
          local: isLocalKnown ? addressText(words, at + SLOT.LOCAL_WORD, family) : null,
          connection: words[at + SLOT.CONNECTION_WORD]!,
          fault: words[at + SLOT.FAULT_WORD]!,
        });
      }
      this.#ring.release();
    }
  }

  /** The message with `text`, already there or to come. */
  async receive(text: string): Promise<StreamMessage> {
    await until(
      `a message with ${JSON.stringify(text)}`,
      () => this.messages.some((each) => each.text.includes(text)),
      {
        explain: () => `${JSON.stringify(this.messages.slice(-5))} ${JSON.stringify(this.fates)} ${this.error?.stack}`,
      },
    );
    return this.messages.findLast((each) => each.text.includes(text))!;
  }

  async fate(index = 0): Promise<Fate> {
    await until('a fate', () => this.fates.length > index, { explain: () => `${this.error?.stack}` });
    return this.fates[index]!;
  }

  count(name: CounterName): number {
    return readCounters(this.arena)[name];
  }

  untilCount(name: CounterName, count: number): Promise<void> {
    return until(`${name} ${count}`, () => this.count(name) === count, { explain: () => `it is ${this.count(name)}` });
  }

  async end(): Promise<void> {
    await this.worker.terminate();
    this.#watch.close();
    for (const { fd } of this.#task.sockets) close(fd);
    close(this.#task.wakeFd);
    close(this.#task.intakeFd);
  }
}
