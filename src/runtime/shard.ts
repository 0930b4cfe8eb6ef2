/** A shard: the endless task of one Piscina thread, which owns everything about its calls. An ordinary Node event loop: it
 *  sleeps in libuv, and the dispatcher's eventfd, a timer, an answer of the DNS or a message from the supervisor wake it.
 *  Without a dispatcher it has the intake itself, and its sockets wake it: one thread to wake per datagram instead of two.
 *
 *  One duty cycle: up to CYCLE_SLOTS datagrams served, one flush, their slots sent home. Hot. */

import type { MessagePort } from 'node:worker_threads';
import type { SharedCredentials } from '../auth/credential-table.ts';
import type { Config } from '../config/schema.ts';
import { LocationTable } from '../location/location-table.ts';
import { FeedProducer } from '../location/store-feed.ts';
import { type Arena, openArena } from '../memory/arena.ts';
import {
  ingressRingOffset,
  returnRingOffset,
  SHARD,
  SHARD_STATE,
  SLOT,
  shardOffset,
  slotOffset,
} from '../memory/layout.ts';
import { RingConsumer, RingProducer } from '../memory/slot-ring.ts';
import { COUNTER, COUNTER_NAMES, Counters } from '../observe/counters.ts';
import { HISTOGRAM, Histograms } from '../observe/histograms.ts';
import { CallTrace } from '../observe/trace/call-trace.ts';
import { openTrace } from '../observe/trace/trace-layout.ts';
import type { BoundSocket } from '../roles/bound-socket.ts';
import { Element } from '../roles/element.ts';
import type { Outbound } from '../sip/outbound.ts';
import { isWebSocket } from '../sip/transport.ts';
import { BanTable } from './bans/ban-table.ts';
import { isDatagramSocket } from './bound-socket.ts';
import { Intake, OUT_OF_SLOTS, OUT_OF_SLOTS_NAP_US } from './intake.ts';
import { KERNEL } from './intake-kernel.ts';
import { monotonicOffsetUs } from './monotonic-clock.ts';
import { Nap } from './nap.ts';
import { type Answering, answer, isAskCommand } from './question.ts';
import { rehearse } from './rehearsal.ts';
import { Resolver } from './resolver.ts';
import { RingDepth } from './ring-depth.ts';
import { rejectMarkOf } from './ring-marks.ts';
import { ShardLog } from './shard-log.ts';
import type { ExchangeQuestion, PredecessorTask, ShardAnswers, ShardCensus, ShardQuestion } from './shard-questions.ts';
import { openAuth, type SharedAuth } from './shared-auth.ts';
import { StreamEgress } from './streams/stream-egress.ts';
import { receiveByRelay } from './takeover/relay.ts';
import { kernelThreadId } from './thread-cpu.ts';
import { adviceOf } from './trouble.ts';
import {
  addRelay,
  addSocket,
  attach,
  nap,
  scheduleThread,
  sendBatch,
  setWake,
  signal,
  socketErrors,
  takeUnreachable,
  UNREACHABLE_WORDS,
  type Watch,
  wakeForLoop,
  watch,
  yieldThread,
} from './udp-socket.ts';
import { ShardUsers } from './user-directory/shard-users.ts';

export interface ShardTask {
  readonly arena: SharedArrayBuffer;
  readonly shard: number;
  readonly sockets: readonly (BoundSocket & { readonly fd: number; readonly receiveBufferBytes: number })[];
  readonly localAddresses: readonly string[];
  readonly eventFd: number;
  /** Wakes the thread of the streams; null: there are none. */
  readonly streamFd: number | null;
  /** The location table. */
  readonly location: SharedArrayBuffer;
  /** Where the location store is told of changes. */
  readonly feed: SharedArrayBuffer;
  readonly auth: SharedAuth | null;
  /** What signs flow tokens. */
  readonly flowKey: Int32Array;
  /** The users as of now; the supervisor sends others. null: nobody asks for them. */
  readonly users: SharedCredentials | null;
  readonly config: Config;
  /** Where messages are kept for who watches; null: nowhere. */
  readonly trace: SharedArrayBuffer | null;
  /** null: the dispatcher has it. */
  readonly intake: IntakeTask | null;
  /** Rehearse for so long before serving; 0: others wait for this shard. */
  readonly rehearsalMs: number;
  /** null: this server has taken over from nobody, or the other has gone. */
  readonly predecessor: PredecessorTask | null;
  /** What is new is turned away from the beginning. */
  readonly isDraining: boolean;
  /** From the supervisor: 'receive', 'drain', 'undrain', 'leave', 'stop', other users or bans, questions (shard-questions.ts), or, in
   *  tests of crashes, 'crash'. */
  readonly port: MessagePort;
}

/** The only shard's intake. */
export interface IntakeTask {
  /** From the beginning; otherwise once the supervisor says 'receive'. */
  readonly isOpen: boolean;
  /** The thread of the streams wakes it by this. */
  readonly wakeFd: number;
  /** 0: no naps. */
  readonly napUs: number;
  readonly overloadMark: number;
  /** Slots queued above which the kernel is to drop new INVITEs; null: it is not to. */
  readonly kernelMark: number | null;
  /** Banned sources as of now; the supervisor sends others. null: there are none. */
  readonly bans: SharedArrayBuffer | null;
  /** Datagrams come by it; null: by the sockets. */
  readonly relayFd: number | null;
  /** Where it says who sends most; null: nobody ever asks. */
  readonly topSources: SharedArrayBuffer | null;
}

/** From the supervisor to who has the intake: the banned sources from now on. */
export interface BansCommand {
  readonly bans: SharedArrayBuffer | null;
}

/** From the supervisor: the users from now on. */
export interface UsersCommand {
  readonly users: SharedCredentials;
}

/** Datagrams between two flushes: a bound for latency and for what a crash can lose. */
const CYCLE_SLOTS = 64;
/** The event loop has its turn after so many cycles, so that timers and answers are never starved; as long as cycles sleep, which the
 *  loop ends, too, only after so many milliseconds. */
const CYCLES_PER_TURN = 16;
const TURN_MS = 10;
const SLASH = 0x2f;
const ONE = 0x31;
/** The first digit of the status code. */
const STATUS_AT = 'SIP/2.0 '.length;
const STATUS_CLASSES = 6;
/** Rounds of the intake in a cycle: more than are served in it, so that it is in the ring where too much waits, and not unseen
 *  in the kernel's buffer. */
const ROUNDS_PER_CYCLE = 3;
/** A shard that is to leave waits so long for what waits for look-ups; what is left then is answered without them. */
const LEAVE_WAIT_MS = 1000;
const TIMER_SLACK_NS = 1000;

class Shard {
  readonly #arena: Arena;
  readonly #task: ShardTask;
  readonly #control: number;
  readonly #ingress: RingConsumer;
  readonly #returns: RingProducer;
  readonly #counters: Counters;
  readonly #histograms: Histograms;
  readonly #trace: CallTrace | null;
  /** ICMP errors already counted. */
  #errorsSeen = 0;
  readonly #unreachable = new Int32Array(UNREACHABLE_WORDS);
  readonly #location: LocationTable;
  readonly #element: Element;
  readonly #resolver: Resolver;
  readonly #users: ShardUsers;
  readonly #log: ShardLog;
  /** Slots served in this cycle, to go home after the flush. */
  readonly #done = new Int32Array(CYCLE_SLOTS * 2);
  #doneCount = 0;
  /** Messages that wait for the DNS. */
  #parked = 0;
  #config: Config;
  #isStopping = false;
  /** To make room for a successor, as soon as nothing waits. */
  #isLeaving = false;
  #leaveTimer: NodeJS.Timeout | null = null;
  #isTurnPending = false;
  /** Slots queued above which new requests are answered 503, until half of it. */
  readonly #depth: RingDepth;
  /** The element's clock begins here. */
  readonly #startedMs = performance.now();
  /** The clock of the slots' receive time less performance.now(), in microseconds. */
  readonly #monotonicUs = monotonicOffsetUs();
  #timeout: NodeJS.Timeout | null = null;
  /** When the timeout ends; Infinity: none is set. */
  #wakeAtMs = Number.POSITIVE_INFINITY;
  readonly #answering: Answering<ShardQuestion, ShardAnswers> = {
    transactions: ({ question }, reply) =>
      reply(this.#element.transactions(question, this.#slotTimeOf(performance.now()))),
    hops: (_, reply) => reply(this.#element.hops(Math.trunc(performance.now() - this.#startedMs))),
    census: (_, reply) => reply(this.#census()),
    keys: (_, reply) => this.#tellKeys(reply),
    exchange: (question, reply) => reply(this.#exchange(question)),
    predecessor: ({ predecessor }, reply) => {
      this.#usePredecessor(predecessor);
      reply(true);
    },
    turn: (_, reply) => reply(true),
    relay: ({ relayFd }, reply) => {
      receiveByRelay(this.#sockets, relayFd);
      this.#intake?.useSockets(relayFd === null);
      reply(true);
    },
  };
  readonly #onTimeout = (): void => {
    this.#timeout = null;
    this.#wakeAtMs = Number.POSITIVE_INFINITY;
    // With the intake here this timer is left over from before: #await looks at the deadlines itself.
    if (!this.#isReceiving) this.#work();
  };
  #watch: Watch | null = null;
  readonly #intake: Intake | null;
  readonly #nap: Nap;
  /** null: there are no streams. */
  readonly #streams: StreamEgress | null;
  /** Those of datagrams. */
  readonly #sockets: readonly (BoundSocket & { readonly receiveBufferBytes: number })[];
  /** Datagrams are taken off the sockets here. */
  #isReceiving = false;
  /** Datagrams that came last and are not yet accounted for. */
  #received = 0;
  #hasAwaited = false;
  /** Something waits that only a turn of the event loop brings further: what was begun here, or what ended a nap. No nap before that. */
  #isTurnDue = false;
  #finish: () => void = () => undefined;

  constructor(task: ShardTask) {
    const arena = openArena(task.arena);
    const { map, words } = arena;
    attach(arena.bytes);
    const datagramSockets = task.sockets.filter(isDatagramSocket);
    for (const socket of datagramSockets) addSocket(socket.socket, socket.fd, socket.family, socket.isWildcard);
    this.#sockets = datagramSockets;
    this.#arena = arena;
    this.#task = task;
    this.#config = task.config;
    this.#control = shardOffset(map, task.shard) >> 2;
    // A predecessor may have died between taking a datagram and releasing it: what it had in hand is not served again.
    const cursor = words[this.#control + SHARD.CURSOR_WORD]!;
    this.#ingress = new RingConsumer(words, ingressRingOffset(map, task.shard), map.ringCapacity, cursor);
    this.#returns = new RingProducer(words, returnRingOffset(map, task.shard), map.ringCapacity);
    this.#counters = new Counters(arena, task.shard);
    this.#histograms = new Histograms(arena, task.shard);
    this.#trace =
      task.trace === null
        ? null
        : new CallTrace(openTrace(task.trace), arena, task.shard, this.#counters, task.sockets);
    this.#intake = this.#openIntake(task.intake);
    this.#nap = new Nap(task.intake?.napUs ?? 0);
    this.#streams =
      task.streamFd === null
        ? null
        : new StreamEgress({
            arena,
            shard: task.shard,
            sockets: task.sockets,
            wakeFd: task.streamFd,
            isStateless: task.config.mode === 'stateless',
          });
    const rejectAbove = rejectMarkOf(map.slotCount, task.config.limits.rejectMark);
    this.#depth = new RingDepth(arena, task.shard, rejectAbove, (isOverloaded) =>
      this.#element.setOverloaded(isOverloaded),
    );
    this.#resolver = new Resolver({
      ...task.config.dns,
      families: familiesOf(task.sockets),
      transports: transportsOf(task.sockets),
    });
    this.#log = new ShardLog(task.port, this.#counters);
    this.#users = new ShardUsers(task.users, task.config, this.#log);
    this.#location = new LocationTable(task.location, task.shard, arena);
    this.#element = new Element(arena, task.shard, {
      location: this.#location,
      feed: new FeedProducer(new Int32Array(task.feed), task.shard),
      auth: openAuth(task.auth, this.#users.current),
      fileUsers: this.#users.current.files,
      whenUsersKnown: () => this.#users.whenKnown(),
      answerLog: {
        level: () => words[this.#control + SHARD.LOG_LEVEL_WORD]!,
        write: (level, line, text, counter) =>
          this.#log.write(level, 'calls', { ...line, hint: adviceOf(COUNTER_NAMES[counter]!) }, text),
      },
      wallMs: Date.now,
      config: task.config,
      sockets: task.sockets,
      localAddresses: task.localAddresses,
      counters: this.#counters,
      resolver: this.#resolver,
      flush: (outbound) => this.#send(outbound),
      park: (slot, untilResolved) => this.#park(slot, untilResolved),
      defer: (resume, untilResolved) => this.#defer(resume, untilResolved),
      random: secretWords(),
      flowKey: task.flowKey,
      trace: this.#trace,
    });
    this.#element.setDraining(task.isDraining);
    if (task.intake !== null && task.intake.relayFd !== null) receiveByRelay(datagramSockets, task.intake.relayFd);
    if (task.predecessor !== null) this.#usePredecessor(task.predecessor);
  }

  /** Serves from now on; calls `finish` once stopped. */
  run(finish: () => void): void {
    const { words } = this.#arena;
    this.#finish = finish;
    this.#watch = watch(this.#task.eventFd, () => this.#onSignal());
    this.#task.port.on('message', (command) => this.#obey(command));
    words[this.#control + SHARD.IN_HAND_WORD] = 0;
    words[this.#control + SHARD.PARKED_WORD] = 0;
    words[this.#control + SHARD.THREAD_ID_WORD] = kernelThreadId();
    Atomics.add(words, this.#control + SHARD.INCARNATION_WORD, 1);
    Atomics.store(words, this.#control + SHARD.STATE_WORD, SHARD_STATE.RUNNING);
    if (this.#task.intake?.isOpen === true) this.#openSockets();
    // A predecessor may have died awake, so that nobody will signal: look once unasked.
    if (this.#isReceiving) this.#takeTurn();
    else this.#work();
    // Tells supervisor.start that this shard has lived through its first look; RUNNING alone only says that it tries.
    Atomics.add(words, this.#control + SHARD.CYCLES_WORD, 1);
  }

  #openIntake(task: IntakeTask | null): Intake | null {
    if (task === null) return null;
    const { shard, eventFd } = this.#task;
    const { overloadMark, kernelMark, topSources } = task;
    const intake = new Intake({
      arena: this.#arena,
      counters: this.#counters,
      shardFds: [eventFd],
      overloadMark,
      topSources,
      sockets: this.#sockets,
      kernelMark,
      kernel: KERNEL,
    });
    intake.useBans(task.bans === null ? null : new BanTable(task.bans));
    // What a predecessor had in hand.
    intake.sweep(shard);
    wakeForLoop();
    setWake(task.wakeFd);
    // For naps.
    scheduleThread({ batch: false, timerSlackNs: TIMER_SLACK_NS });
    return intake;
  }

  #startReceiving(): void {
    if (this.#intake === null || this.#isStopping) return;
    this.#openSockets();
    this.#takeTurn();
  }

  #openSockets(): void {
    this.#isReceiving = true;
    if (this.#task.intake!.relayFd === null) this.#intake!.useSockets(true);
  }

  #closeSockets(): void {
    this.#isReceiving = false;
    this.#intake?.useSockets(false);
  }

  /** Serves until the ring is empty and the producer knows that this shard sleeps, or, with the intake here, for as long as the
   *  event loop has nothing to do. */
  #work(): void {
    if (this.#isTurnPending) return;
    const intake = this.#isReceiving ? this.#intake : null;
    const turnAtMs = intake === null ? 0 : performance.now() + TURN_MS;
    for (let cycle = 0; ; cycle++) {
      if (this.#isLeaving && this.#canLeave()) {
        this.#leave();
        return;
      }
      const nowMs = performance.now();
      if (this.#trace !== null) this.#trace.nowUs = this.#microsecondsOf(nowMs);
      this.#location.quiesce();
      if (this.#element.advance(Math.trunc(nowMs - this.#startedMs), this.#slotTimeOf(nowMs))) this.#flush();
      if (intake !== null) this.#receive(intake, nowMs);
      let available = this.#ingress.poll();
      if (available === 0 && cycle > 0 && intake === null) {
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
        this.#flushTimers();
        if (intake !== null) {
          if (cycle < CYCLES_PER_TURN && !this.#isTurnDue && this.#await(intake)) {
            if (nowMs < turnAtMs) cycle = 0;
            continue;
          }
          this.#takeTurn();
          return;
        }
        if (this.#ingress.trySleep()) {
          this.#location.rest();
          this.#wakeForTimers(nowMs);
          return;
        }
        continue;
      }
      if (cycle >= CYCLES_PER_TURN) {
        this.#takeTurn();
        return;
      }
      this.#depth.look(available);
      this.#serveBatch(Math.min(available, CYCLE_SLOTS));
    }
  }

  /** An instant on the clock of the slots' receive time: microseconds, low 32 bits. */
  #slotTimeOf(nowMs: number): number {
    return this.#microsecondsOf(nowMs) | 0;
  }

  #microsecondsOf(nowMs: number): number {
    return nowMs * 1000 + this.#monotonicUs;
  }

  /** Lets the event loop go once round. By the shard's own eventfd: other callbacks of the loop hide from #await what else is
   *  due. While an immediate runs, Node counts it as one that waits; while a message is read, what other threads have to say has
   *  left the descriptor already. */
  #takeTurn(): void {
    if (this.#isTurnPending) return;
    this.#isTurnPending = true;
    signal(this.#task.eventFd);
  }

  #onSignal(): void {
    this.#isTurnPending = false;
    this.#isTurnDue = false;
    this.#work();
  }

  /** Takes what waits at the sockets, unless #await has just done so. Where many come, it naps first, so that they gather, unless
   *  enough for a cycle waits already; where few come, #await asks the kernel just as well. */
  #receive(intake: Intake, nowMs: number): void {
    if (this.#hasAwaited) {
      this.#hasAwaited = false;
      return;
    }
    if (this.#received > 0) {
      const napUs = this.#nap.afterBatch(this.#received, intake.takeInvited(), intake.isFull, nowMs * 1000);
      this.#received = 0;
      if (napUs > 0 && !this.#isTurnDue && this.#ingress.poll() < CYCLE_SLOTS) {
        this.#counters.count(COUNTER.naps_total);
        if (nap(napUs)) this.#isTurnDue = true;
      } else if (!intake.isFull) {
        return;
      }
    }
    for (let round = 0; round < ROUNDS_PER_CYCLE; round++) {
      const count = intake.receive(0);
      if (count > 0) this.#received += count;
      if (!intake.isFull) return;
    }
  }

  /** Sleeps until a datagram or a timer is there. False: the event loop has something to do, or there is no slot to receive into. */
  #await(intake: Intake): boolean {
    const deadlineMs = this.#element.nextDeadlineMs() + this.#startedMs;
    const isEndless = deadlineMs === Number.POSITIVE_INFINITY;
    this.#location.rest();
    const count = intake.receive(isEndless ? -1 : Math.max(1, Math.ceil(deadlineMs - performance.now())));
    if (count === OUT_OF_SLOTS) {
      nap(OUT_OF_SLOTS_NAP_US);
      return false;
    }
    this.#countErrors();
    this.#received = count;
    this.#hasAwaited = count > 0 || performance.now() >= deadlineMs;
    return this.#hasAwaited;
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
    if (this.#doneCount > 0) this.#measureTransit();
    this.#noteKept();
    for (let i = 0; i < this.#doneCount; i++) this.#returns.offer(this.#done[i]!);
    this.#doneCount = 0;
    this.#returns.publish(); // the dispatcher polls its return rings and never sleeps on them
  }

  /** Returns how many could not be sent. */
  #send(outbound: Outbound): number {
    const streams = this.#streams;
    let taken = 0;
    let failed = 0;
    // Before the answers can come.
    if (this.#trace !== null) this.#trace.nowUs = this.#microsecondsOf(performance.now());
    if (streams !== null) {
      streams.take(outbound.count);
      ({ taken, failed } = streams);
    }
    if (taken < outbound.count) {
      this.#counters.count(COUNTER.send_batches_total);
      const unsent = sendBatch(this.#task.shard, 0, outbound.count);
      this.#counters.add(COUNTER.datagrams_sent_total, outbound.count - taken - unsent);
      failed += unsent;
    }
    if (taken > 0) streams!.forget(outbound.count);
    this.#countResponses(outbound);
    if (this.#trace !== null) this.#trace.sent(outbound);
    return failed;
  }

  #noteKept(): void {
    const { words } = this.#arena;
    const { kept } = this.#element;
    words[this.#control + SHARD.KEPT_BLOCKS_WORD] = kept.count;
    words[this.#control + SHARD.KEPT_KIB_WORD] = kept.reachedBytes >> 10;
  }

  /** How long the datagrams took that were served since the last flush. */
  #measureTransit(): void {
    const { words, map } = this.#arena;
    const nowUs = this.#slotTimeOf(performance.now());
    for (let i = 0; i < this.#doneCount; i++) {
      const slotWord = slotOffset(map, this.#done[i]!) >> 2;
      // The empty slots by which the dispatcher tells of unreachable places were not received.
      if (words[slotWord + SLOT.LENGTH_WORD] === 0) continue;
      this.#histograms.record(HISTOGRAM.TRANSIT, Math.max(0, (nowUs - words[slotWord + SLOT.TIME_WORD]!) | 0));
    }
  }

  /** By class. A request cannot have the slash of `SIP/2.0` there. */
  #countResponses(outbound: Outbound): void {
    const { bytes } = this.#arena;
    for (let entry = 0; entry < outbound.count; entry++) {
      const start = outbound.startOf(entry);
      if (bytes[start + 3] !== SLASH) continue;
      const above1xx = bytes[start + STATUS_AT]! - ONE;
      if (above1xx >>> 0 < STATUS_CLASSES) this.#counters.count(COUNTER.responses_1xx_total + above1xx);
    }
  }

  /** What timers have to send, and the kept messages that they gave back: the last transactions end when nothing else comes. */
  #flushTimers(): void {
    const { outbound, kept } = this.#element;
    if (outbound.count > 0 || kept.hasReleased) this.#flush();
  }

  /** Sleeps no longer than until the next timer. An earlier one that is set already will do: it looks again. */
  #wakeForTimers(nowMs: number): void {
    if (this.#isReceiving) return; // #await does
    const deadlineMs = this.#element.nextDeadlineMs() + this.#startedMs;
    if (deadlineMs >= this.#wakeAtMs) return;
    if (this.#timeout !== null) clearTimeout(this.#timeout);
    this.#wakeAtMs = deadlineMs;
    this.#timeout = setTimeout(this.#onTimeout, Math.max(1, Math.ceil(deadlineMs - nowMs)));
  }

  /** Keeps a slot until the name it waits for is resolved, and serves it again then. False: too many wait already. */
  #park(slot: number, untilResolved: Promise<void>): boolean {
    const resume = () => {
      const { words } = this.#arena;
      words[this.#control + SHARD.IN_HAND_WORD] = slot + 1;
      if (this.#element.resume(slot)) this.#done[this.#doneCount++] = slot;
      words[this.#control + SHARD.IN_HAND_WORD] = 0;
    };
    return this.#defer(resume, untilResolved);
  }

  /** The same for what is kept elsewhere. */
  #defer(resume: () => void, untilResolved: Promise<void>): boolean {
    if (this.#parked >= this.#config.limits.parkedRequests) return false;
    this.#noteParked(1);
    this.#isTurnDue = true;
    this.#counters.count(COUNTER.parked_total);
    const onSettled = () => {
      this.#noteParked(-1);
      this.#location.quiesce();
      const nowMs = performance.now();
      this.#element.advance(Math.trunc(nowMs - this.#startedMs), this.#slotTimeOf(nowMs));
      resume();
      this.#flush();
      this.#location.rest();
      this.#wakeForTimers(performance.now());
      if (this.#isStopping) this.#stopWhenIdle();
      else if (this.#isLeaving) this.#work();
    };
    untilResolved.then(onSettled, onSettled);
    return true;
  }

  #noteParked(change: number): void {
    this.#parked += change;
    this.#arena.words[this.#control + SHARD.PARKED_WORD] = this.#parked;
  }

  #obey(command: unknown): void {
    this.#log.hear(command);
    if (command === 'crash') throw new Error('crash on request');
    if (isAskCommand<ShardQuestion>(command)) answer(this.#task.port, command, this.#answering);
    if (isUsersCommand(command)) this.#users.use(command.users);
    if (isBansCommand(command)) this.#intake?.useBans(command.bans === null ? null : new BanTable(command.bans));
    if (command === 'receive') this.#startReceiving();
    if (command === 'leave') this.#prepareToLeave();
    if (command === 'drain' || command === 'undrain') this.#element.setDraining(command === 'drain');
    if (command !== 'stop' || this.#isStopping) return;
    this.#isLeaving = false;
    this.#isStopping = true;
    this.#closeSockets();
    this.#work();
  }

  /** Between two duty cycles. What is parked is served by the new configuration: it was not begun. Returns for how many milliseconds the
   *  shard served nothing. */
  #exchange(command: ExchangeQuestion): number {
    const startedMs = performance.now();
    const config: Config = JSON.parse(Buffer.from(command.config).toString());
    this.#config = config;
    this.#resolver.use(config.dns);
    const users = this.#users.exchange(command.users, config);
    this.#element.use({ config, fileUsers: users.files, auth: openAuth(command.auth, users) });
    return performance.now() - startedMs;
  }

  /** It serves on until nothing waits for a look-up or for the store, which is at once for the most part. */
  #prepareToLeave(): void {
    if (this.#isLeaving || this.#isStopping) return;
    this.#isLeaving = true;
    this.#leaveTimer = setTimeout(() => {
      // Without them every look-up fails, and its message is answered.
      this.#resolver.close();
      this.#users.close();
      this.#leaveTimer = null;
      this.#work();
    }, LEAVE_WAIT_MS);
    this.#work();
  }

  #canLeave(): boolean {
    return this.#parked === 0 && (this.#leaveTimer === null || this.#element.pendingAnswers === 0);
  }

  /** Ends this thread between two datagrams: all that it took is served and sent, and its successor goes on at its ring where it
   *  stands. Its transactions end with it, as after a crash. */
  #leave(): void {
    if (this.#watch === null) return;
    this.#closeSockets();
    this.#flush();
    this.#watch.close();
    this.#watch = null;
    if (this.#leaveTimer !== null) clearTimeout(this.#leaveTimer);
    if (this.#timeout !== null) clearTimeout(this.#timeout);
    // Tells the supervisor that this is no crash.
    Atomics.store(this.#arena.words, this.#control + SHARD.STATE_WORD, SHARD_STATE.STOPPED);
    // Not within a callback of the addon.
    setImmediate(() => process.exit(0));
  }

  /** Once all is served that came before the question. */
  #tellKeys(tell: (keys: Int32Array) => void): void {
    if (this.#ingress.poll() > 0) {
      this.#takeTurn();
      setImmediate(() => this.#tellKeys(tell));
      return;
    }
    this.#flush();
    tell(this.#element.transactionKeys());
  }

  #usePredecessor(predecessor: PredecessorTask | null): void {
    this.#flush();
    addRelay(predecessor === null ? -1 : predecessor.fd, false);
    this.#element.setPredecessor(predecessor);
  }

  #census(): ShardCensus {
    const { serverTransactions, clientTransactions } = this.#element.occupancy();
    const waiting = this.#parked + this.#element.pendingAnswers;
    return { pending: this.#element.pending() + this.#parked, held: serverTransactions + clientTransactions + waiting };
  }

  /** Nothing is taken off the sockets any more: an empty ring stays empty. Without its resolver and its directory every look-up fails
   *  at once, so what is parked is answered first: the last `resume` comes back here. */
  #stopWhenIdle(): void {
    if (this.#watch === null) return;
    this.#resolver.close();
    this.#users.close();
    if (this.#parked > 0) return;
    this.#watch.close();
    this.#watch = null;
    if (this.#timeout !== null) clearTimeout(this.#timeout);
    this.#task.port.close();
    Atomics.store(this.#arena.words, this.#control + SHARD.STATE_WORD, SHARD_STATE.STOPPED);
    this.#finish();
  }

  /** Carries over what the addon counted. Once per cycle, and not by a timer: a loop with timers asks the kernel for one
   *  every time it goes to sleep. */
  #countErrors(): void {
    let errors = 0;
    for (const socket of this.#sockets) errors += socketErrors(socket.socket);
    if (errors === this.#errorsSeen) return;
    this.#counters.add(COUNTER.icmp_errors_total, errors - this.#errorsSeen);
    this.#errorsSeen = errors;
    for (const { socket } of this.#sockets) {
      while (takeUnreachable(socket, this.#unreachable)) this.#element.noteUnreachable(this.#unreachable, 0);
    }
  }
}

function isBansCommand(command: unknown): command is BansCommand {
  return typeof command === 'object' && command !== null && 'bans' in command;
}

function isUsersCommand(command: unknown): command is UsersCommand {
  return typeof command === 'object' && command !== null && 'users' in command;
}

/** Random words, taken from the kernel many at a time. */
function secretWords(): () => number {
  const words = new Int32Array(1024);
  let left = 0;
  return () => {
    if (left === 0) {
      crypto.getRandomValues(words);
      left = words.length;
    }
    return words[--left]!;
  };
}

/** Those that others are called by, each once, UDP first if it is there (RFC 3263 4.1: what is used where nothing says which). */
function transportsOf(sockets: readonly BoundSocket[]): number[] {
  const transports = sockets.map(({ transport }) => transport).filter((transport) => !isWebSocket(transport));
  return [...new Set(transports)].sort((a, b) => a - b);
}

function familiesOf(sockets: readonly BoundSocket[]): 4 | 6 | 'both' {
  const hasIpv4 = sockets.some((socket) => socket.family === 4 || socket.isDualStack);
  const hasIpv6 = sockets.some((socket) => socket.family === 6);
  return hasIpv4 && hasIpv6 ? 'both' : hasIpv6 ? 6 : 4;
}

/** So many times as long as it has played, a spare thread rests. */
const RESTS_PER_TURN = 19;

/** What a spare thread has to do. */
export interface RehearsalTask {
  readonly config: Config;
  readonly budgetMs: number;
  /** One word: 1 once the thread is wanted. */
  readonly wanted: Int32Array<SharedArrayBuffer>;
}

/** The Piscina task of a thread that is there for the next crash. It takes a twentieth of a CPU at the most, in turns of about a
 *  millisecond: without rests a shard on the same CPU stood still for up to 20 ms, again and again for a second. */
export function waitInTheWings({ config, budgetMs, wanted }: RehearsalTask): void {
  rehearse({
    config,
    budgetMs,
    isWanted: () => Atomics.load(wanted, 0) === 1,
    // Partner: the supervisor's notify.
    rest: (playedMs) => Atomics.wait(wanted, 0, 0, playedMs * RESTS_PER_TURN),
  });
}

/** The Piscina task of a shard. Resolves once stopped; rejects never: what goes wrong here kills the thread, and the supervisor
 *  starts another. */
export function serve(task: ShardTask): Promise<void> {
  // On a turn of its own: what throws within a promise only rejects it, and this thread would live on with its watch,
  // beside the successor and on the same ring.
  return new Promise((resolve) =>
    setImmediate(() => {
      if (task.rehearsalMs > 0) rehearse({ config: task.config, budgetMs: task.rehearsalMs });
      new Shard(task).run(resolve);
    }),
  );
}
