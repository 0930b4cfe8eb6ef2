/** A shard: the endless task of one Piscina thread, which owns everything about its calls. An ordinary Node event loop: it
 *  sleeps in libuv, and the dispatcher's eventfd, a timer, an answer of the DNS or a message from the supervisor wake it.
 *
 *  One duty cycle: up to CYCLE_SLOTS datagrams served, one flush, their slots sent home. Hot. */

import type { MessagePort } from 'node:worker_threads';
import type { Config } from '../config/schema.ts';
import { type Arena, openArena } from '../memory/arena.ts';
import { ingressRingOffset, returnRingOffset, SHARD, SHARD_STATE, shardOffset } from '../memory/layout.ts';
import { RingConsumer, RingProducer } from '../memory/slot-ring.ts';
import { COUNTER, Counters } from '../observe/counters.ts';
import type { BoundSocket } from '../roles/bound-socket.ts';
import { Element } from '../roles/element.ts';
import { Resolver } from './resolver.ts';
import { addSocket, attach, sendBatch, socketErrors, type Watch, watch, yieldThread } from './udp-socket.ts';

export interface ShardTask {
  readonly arena: SharedArrayBuffer;
  readonly shard: number;
  readonly sockets: readonly (BoundSocket & { readonly fd: number })[];
  readonly localAddresses: readonly string[];
  readonly eventFd: number;
  readonly config: Config;
  /** From the supervisor: 'stop' or, in tests of crashes, 'crash'. */
  readonly port: MessagePort;
}

/** Datagrams between two flushes: a bound for latency and for what a crash can lose. */
const CYCLE_SLOTS = 64;
/** Cycles between two turns of the event loop, so that timers and answers are never starved. */
const CYCLES_PER_TURN = 16;

class Shard {
  readonly #arena: Arena;
  readonly #task: ShardTask;
  readonly #control: number;
  readonly #ingress: RingConsumer;
  readonly #returns: RingProducer;
  readonly #counters: Counters;
  /** ICMP errors already counted. */
  #errorsSeen = 0;
  readonly #element: Element;
  readonly #resolver: Resolver;
  /** Slots served in this cycle, to go home after the flush. */
  readonly #done = new Int32Array(CYCLE_SLOTS * 2);
  #doneCount = 0;
  /** Messages that wait for the DNS. */
  #parked = 0;
  #isStopping = false;
  #isTurnPending = false;
  #watch: Watch | null = null;
  #finish: () => void = () => undefined;

  constructor(task: ShardTask) {
    const arena = openArena(task.arena);
    const { map, words } = arena;
    attach(arena.bytes);
    for (const socket of task.sockets) addSocket(socket.socket, socket.fd, socket.family, socket.isWildcard);
    this.#arena = arena;
    this.#task = task;
    this.#control = shardOffset(map, task.shard) >> 2;
    // A predecessor may have died between taking a datagram and releasing it: what it had in hand is not served again.
    const cursor = words[this.#control + SHARD.CURSOR_WORD]!;
    this.#ingress = new RingConsumer(words, ingressRingOffset(map, task.shard), map.ringCapacity, cursor);
    this.#returns = new RingProducer(words, returnRingOffset(map, task.shard), map.ringCapacity);
    this.#counters = new Counters(arena, task.shard);
    this.#resolver = new Resolver({ ...task.config.dns, families: familiesOf(task.sockets) });
    this.#element = new Element(arena, task.shard, {
      config: task.config,
      sockets: task.sockets,
      localAddresses: task.localAddresses,
      counters: this.#counters,
      resolver: this.#resolver,
      flush: (outbound) => {
        this.#counters.count(COUNTER.send_batches_total);
        const failed = sendBatch(task.shard, 0, outbound.count);
        this.#counters.add(COUNTER.datagrams_sent_total, outbound.count - failed);
        return failed;
      },
      park: (slot, untilResolved) => this.#park(slot, untilResolved),
    });
  }

  /** Serves from now on; calls `finish` once stopped. */
  run(finish: () => void): void {
    const { words } = this.#arena;
    this.#finish = finish;
    this.#watch = watch(this.#task.eventFd, () => this.#work());
    this.#task.port.on('message', (command) => this.#obey(command));
    words[this.#control + SHARD.IN_HAND_WORD] = 0;
    Atomics.add(words, this.#control + SHARD.INCARNATION_WORD, 1);
    Atomics.store(words, this.#control + SHARD.STATE_WORD, SHARD_STATE.RUNNING);
    // A predecessor may have died awake, so that nobody will signal: look once unasked.
    this.#work();
    // Tells supervisor.start that this shard has lived through its first look; RUNNING alone only says that it tries.
    Atomics.add(words, this.#control + SHARD.CYCLES_WORD, 1);
  }

  /** Serves until the ring is empty and the producer knows that this shard sleeps. */
  #work(): void {
    if (this.#isTurnPending) return;
    for (let cycle = 0; ; cycle++) {
      let available = this.#ingress.poll();
      if (available === 0 && cycle > 0) {
        // On a shared core the dispatcher waits for its turn with the next batch: letting it go first saves going to sleep
        // and being woken. Elsewhere it costs a system call.
        yieldThread();
        available = this.#ingress.poll();
      }
      if (available === 0) {
        if (this.#isStopping) {
          this.#stopWhenIdle();
          return;
        }
        if (this.#ingress.trySleep()) return;
        continue;
      }
      if (cycle === CYCLES_PER_TURN) {
        this.#isTurnPending = true;
        setImmediate(() => {
          this.#isTurnPending = false;
          this.#work();
        });
        return;
      }
      this.#serveBatch(Math.min(available, CYCLE_SLOTS));
    }
  }

  #serveBatch(count: number): void {
    const { words } = this.#arena;
    const control = this.#control;
    const ingress = this.#ingress;
    const element = this.#element;
    words[control + SHARD.CYCLES_WORD]!++;
    for (let i = 0; i < count; i++) {
      const slot = ingress.take();
      // Plain stores: read by the supervisor only once this thread is dead.
      words[control + SHARD.CURSOR_WORD] = ingress.next;
      words[control + SHARD.IN_HAND_WORD] = slot + 1;
      if (element.serve(slot)) this.#done[this.#doneCount++] = slot;
    }
    words[control + SHARD.IN_HAND_WORD] = 0;
    // The head advances before the slots go home: an entry is free before its number can be offered again.
    ingress.release();
    this.#flush();
  }

  /** Sends what waits and lets the served slots go home. The slots last: sendmmsg reads them. */
  #flush(): void {
    this.#element.flush();
    this.#countErrors();
    for (let i = 0; i < this.#doneCount; i++) this.#returns.offer(this.#done[i]!);
    this.#doneCount = 0;
    this.#returns.publish(); // the dispatcher polls its return rings and never sleeps on them
  }

  /** Keeps a slot until the name it waits for is resolved, and serves it again then. False: too many wait already. */
  #park(slot: number, untilResolved: Promise<void>): boolean {
    if (this.#parked >= this.#task.config.limits.parkedRequests) return false;
    this.#parked++;
    this.#counters.count(COUNTER.parked_total);
    const resume = () => {
      this.#parked--;
      const { words } = this.#arena;
      words[this.#control + SHARD.IN_HAND_WORD] = slot + 1;
      this.#element.resume(slot);
      this.#done[this.#doneCount++] = slot;
      words[this.#control + SHARD.IN_HAND_WORD] = 0;
      this.#flush();
      if (this.#isStopping) this.#stopWhenIdle();
    };
    untilResolved.then(resume, resume);
    return true;
  }

  #obey(command: unknown): void {
    if (command === 'crash') throw new Error('crash on request');
    if (command !== 'stop' || this.#isStopping) return;
    this.#isStopping = true;
    this.#work();
  }

  /** The dispatcher has stopped before: an empty ring stays empty. Without its resolver every look-up fails at once, so what
   *  is parked is answered first: the last `resume` comes back here. */
  #stopWhenIdle(): void {
    if (this.#watch === null) return;
    this.#resolver.close();
    if (this.#parked > 0) return;
    this.#watch.close();
    this.#watch = null;
    this.#task.port.close();
    Atomics.store(this.#arena.words, this.#control + SHARD.STATE_WORD, SHARD_STATE.STOPPED);
    this.#finish();
  }

  /** Carries over what the addon counted. Once per cycle, and not by a timer: a loop with timers asks the kernel for one
   *  every time it goes to sleep. */
  #countErrors(): void {
    let errors = 0;
    for (const socket of this.#task.sockets) errors += socketErrors(socket.socket);
    this.#counters.add(COUNTER.icmp_errors_total, errors - this.#errorsSeen);
    this.#errorsSeen = errors;
  }
}

function familiesOf(sockets: readonly BoundSocket[]): 4 | 6 | 'both' {
  const hasIpv4 = sockets.some((socket) => socket.family === 4 || socket.isDualStack);
  const hasIpv6 = sockets.some((socket) => socket.family === 6);
  return hasIpv4 && hasIpv6 ? 'both' : hasIpv6 ? 6 : 4;
}

/** The Piscina task. Resolves once stopped; rejects never: what goes wrong here kills the thread, and the supervisor
 *  starts another. */
export function serve(task: ShardTask): Promise<void> {
  // On a turn of its own: what throws within a promise only rejects it, and this thread would live on with its watch,
  // beside the successor and on the same ring.
  return new Promise((resolve) => setImmediate(() => new Shard(task).run(resolve)));
}
