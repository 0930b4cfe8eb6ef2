/** The supervisor: starts the dispatcher, where there is one, and the shards, brings a crashed one back, and stops them in order. Main thread,
 *  cold. A crash of a shard is an ordinary event: its datagram in hand is saved, what it held is swept, and a successor
 *  continues where its ring stood, while the other shards never notice. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { Piscina } from 'piscina';
import type { SharedCredentials } from '../auth/credential-table.ts';
import { type Config, hasDispatcherThread } from '../config/schema.ts';
import type { Arena } from '../memory/arena.ts';
import {
  DISPATCHER,
  ingressRingOffset,
  RING,
  SHARD,
  SHARD_STATE,
  SLOT,
  SLOT_HEADER_BYTES,
  shardOffset,
  slotOffset,
} from '../memory/layout.ts';
import { COUNTER, Counters } from '../observe/counters.ts';
import type { BoundSocket } from '../roles/bound-socket.ts';
import { keysIn } from '../roles/proxy/predecessor.ts';
import { isDatagramSocket } from './bound-socket.ts';
import type { DispatcherTask } from './dispatcher.ts';
import type { Census } from './drain.ts';
import { HANG_CHECK_MS, HangDetector, type ShardProgress } from './hang-detector.ts';
import type { LocationService } from './location-service.ts';
import { Questions, UnansweredError } from './question.ts';
import { REFUSED, RequestError } from './request-error.ts';
import { kernelMarkOf, shedMarkOf } from './ring-marks.ts';
import type { BansCommand, IntakeTask, RehearsalTask, ShardTask, UsersCommand } from './shard.ts';
import { ShardLines } from './shard-log.ts';
import type {
  ExchangeQuestion,
  IntakeAnswers,
  IntakeQuestion,
  PredecessorTask,
  ShardAnswers,
  ShardCensus,
  ShardQuestion,
  ShardQuestions,
} from './shard-questions.ts';
import { type SharedAuth, shareAuth } from './shared-auth.ts';
import type { STREAMS_TURN, StreamCommand, StreamTask } from './streams/stream-thread.ts';
import type { TlsMaterial } from './tls/certificate-files.ts';
import { close, createEventFd, signal } from './udp-socket.ts';

/** Crashes within the window that mean the cause does not go away by itself. */
const CRASH_LOOP_COUNT = 5;
const CRASH_LOOP_WINDOW_MS = 10_000;
/** Pause before the next start while in a crash loop. */
const CRASH_LOOP_PAUSE_MS = 1000;
/** The dispatcher says when it has swept; this is for the case that it died before it could. */
const SWEEP_POLL_MS = 20;
/** Crash vectors kept at the most by one process, so that a crash loop does not fill a disk. */
const MAX_CRASH_FILES = 100;
/** From a thread that could not start to the next. */
const THREAD_RETRY_MS = 500;
/** From a start until the next spare thread rehearses: long enough for the shards' own code to be compiled. Together with what V8
 *  compiles for it, it takes most of a second of CPU, which whoever begins to serve has better uses for. A shard that crashes sooner
 *  goes on on a thread that has not rehearsed. */
const SPARE_REHEARSAL_DELAY_MS = 60_000;
/** A shard leaves within a second or so; a machine may be busy. */
const RESTART_LIMIT_MS = 10_000;
const RESTART_POLL_MS = 5;
/** SIGTERM to exit takes 2 s at the most; what does not end by itself is ended. */
const STOP_TIMEOUT_MS = 1500;
/** A shard with much to do takes a configuration a little later. */
const EXCHANGE_LIMIT_MS = 10_000;
const CENSUS_LIMIT_MS = 1000;
/** A thread that does not answer by then does not work, or is very busy. */
const ANSWER_LIMIT_MS = 2000;

/** V8 inlines callees up to 920 bytes of bytecode into a function by default; the path of a datagram through a shard is made
 *  of many small functions and gains a sixth from a larger budget (perf/micro/roles/element.bench.ts). For all threads;
 *  read whenever a function is compiled, so it must be set before they start. */
setFlagsFromString('--max-inlined-bytecode-size=1500');
setFlagsFromString('--max-inlined-bytecode-size-cumulative=4000');
/** V8 lets a function run 3,000 times before it compiles it for good. The rehearsal and the first seconds of traffic come to that
 *  a function at a time, so that its compiler had a tenth of a CPU for ten seconds more; a third of it is feedback enough. */
setFlagsFromString('--invocation-count-for-turbofan=1000');

export interface SupervisorOptions {
  /** What signs flow tokens. */
  readonly flowKey: Int32Array;
  readonly arena: Arena;
  readonly location: LocationService;
  readonly config: Config;
  /** Certificates and authorities at the start. */
  readonly material: TlsMaterial;
  /** The users at the start; null: nobody asks for them. */
  readonly users: SharedCredentials | null;
  readonly sockets: readonly (BoundSocket & { readonly fd: number; readonly receiveBufferBytes: number })[];
  readonly localAddresses: readonly string[];
  /** Memory of the trace; null: there is none. */
  readonly trace: SharedArrayBuffer | null;
  /** Where the intake says who sends most (observe/top-sources.ts); null: nobody ever asks. */
  readonly topSources: SharedArrayBuffer | null;
  readonly log: Logger;
  /** For what shards say; of no module. */
  readonly shardLog: Logger;
}

/** What a shard died of last. */
export interface ShardCrash {
  /** ISO 8601. */
  readonly at: string;
  readonly error: string;
  /** File with the datagram that it had in hand; null: it had none. */
  readonly vector: string | null;
}

/** What an exchange of the configuration came to. */
export interface Exchange {
  /** How many have it. */
  readonly shards: number;
  /** How long a shard served nothing, at the most. */
  readonly longestMs: number;
}

export interface ShardStatus {
  readonly shard: number;
  readonly isRunning: boolean;
  readonly starts: number;
  readonly crashes: number;
}

export class Supervisor {
  readonly #options: SupervisorOptions;
  /** As shards that start again are to have it. */
  #config: Config;
  #auth: SharedAuth | null;
  /** What there was of it last: its nonces are good again where a later configuration asks for any. */
  #lastAuth: SharedAuth | null;
  #users: SharedCredentials | null;
  readonly #arena: Arena;
  readonly #log: Logger;
  readonly #counters: Counters;
  readonly #pool: Piscina;
  readonly #wakeFd = createEventFd();
  readonly #shardFds: number[];
  readonly #ports: (MessagePort | null)[];
  readonly #crashes: number[];
  readonly #lastCrashes: (ShardCrash | null)[];
  /** null: the shard is down. */
  readonly #questions: (ShardQuestions | null)[];
  readonly #lines: ShardLines;
  /** Ends a shard's thread from outside. */
  readonly #aborts: (AbortController | null)[];
  /** Looks after shards that hang. */
  #watchdog: NodeJS.Timeout | undefined;
  readonly #crashTimes: number[] = [];
  readonly #shardEnds: Promise<void>[] = [];
  /** Without one the only shard has the intake. */
  readonly #hasDispatcher: boolean;
  #dispatcher: Worker | null = null;
  #dispatcherPort: MessagePort | null = null;
  #intakeQuestions: Questions<IntakeQuestion, IntakeAnswers> | null = null;
  /** Banned sources; null: there are none. */
  #bans: SharedArrayBuffer | null = null;
  /** Datagrams may be taken. */
  #isOpen = false;
  #dispatcherEnd: Promise<void> = Promise.resolve();
  /** Wakes the thread of the streams, where there are any. */
  readonly #streamFd = createEventFd();
  #streams: Worker | null = null;
  #haveStreamsTurned = false;
  #material: TlsMaterial;
  #streamsEnd: Promise<void> = Promise.resolve();
  #crashFiles = 0;
  #isStopping = false;
  #isDraining = false;
  /** Who goes on with the transactions from before a takeover. */
  #predecessor: PredecessorTask | null = null;
  /** Datagrams come by it, after this server has handed over. */
  #relayFd: number | null = null;
  /** Every shard has served, and the thread of the streams had its first turn. */
  #isUp = false;
  /** Threads fail as they start. */
  #lacksThreads = false;
  #threadTimer: NodeJS.Timeout | undefined;
  #firstCrash: unknown = null;
  #spareTimer: NodeJS.Timeout | undefined;
  /** 1: a crashed shard needs the spare thread. */
  readonly #wantsSpare = new Int32Array(new SharedArrayBuffer(4));
  /** For an exit that comes without `stop`: it waits for all threads, and the dispatcher waits for a datagram. */
  readonly #endWithProcess = () => this.#stopDispatcher();

  constructor(options: SupervisorOptions) {
    const { arena } = options;
    const { shardCount } = arena.map;
    this.#options = options;
    this.#auth = shareAuth(options.config, options.users);
    this.#lastAuth = this.#auth;
    this.#config = options.config;
    this.#users = options.users;
    this.#material = options.material;
    this.#hasDispatcher = hasDispatcherThread(options.config);
    this.#arena = arena;
    this.#log = options.log;
    this.#counters = new Counters(arena, shardCount + 1);
    this.#shardFds = Array.from({ length: shardCount }, () => createEventFd());
    this.#ports = new Array(shardCount).fill(null);
    this.#crashes = new Array(shardCount).fill(0);
    this.#lastCrashes = new Array(shardCount).fill(null);
    this.#questions = new Array(shardCount).fill(null);
    this.#lines = new ShardLines(options.shardLog);
    this.#aborts = new Array(shardCount).fill(null);
    this.#pool = new Piscina({
      filename: moduleBeside('shard'),
      name: 'serve',
      // One more than there are shards: a crashed shard continues on the spare thread at once, and the pool grows another.
      minThreads: shardCount + 1,
      maxThreads: shardCount + 1,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'disabled',
    });
    process.on('exit', this.#endWithProcess);
    // The failure of a thread that has a task rejects its run(), which is where it is handled.
    this.#pool.on('error', (error) => this.#noteFailedThread(error));
  }

  /** Eventfds that wake the shards, by number. */
  get shardFds(): readonly number[] {
    return this.#shardFds;
  }

  /** Starts everything; resolves when every shard serves. `mayServe` is called when they could, and when the thread of the streams has had
   *  its first turn; no datagram is taken and no connection accepted before it resolves, and if it rejects, so does this, and
   *  nothing is left running. */
  async start(mayServe: () => Promise<void>): Promise<void> {
    if (this.#arena.map.hasStreams) this.#startStreams();
    for (let shard = 0; shard < this.#shardFds.length; shard++) this.#shardEnds[shard] = this.#keepShard(shard);
    await this.#untilThreadsRun();
    try {
      await mayServe();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#isOpen = true;
    this.#rehearseSpareSoon();
    this.#tellStreams('open');
    if (this.#hasDispatcher) this.#startDispatcher();
    else for (const port of this.#ports) port?.postMessage('receive');
  }

  /** False while some shard or the dispatcher is down, in a crash loop, and once stopping. */
  get isReady(): boolean {
    return this.notReadyBecause().length === 0;
  }

  /** Why not, a line for each reason. */
  notReadyBecause(): string[] {
    return [
      ...(this.#isStopping ? ['stopping'] : []),
      ...(this.#isOpen ? [] : ['starting']),
      ...(this.#isOpen && this.isDispatcherUp === false ? ['the dispatcher is down'] : []),
      ...(this.#isOpen && this.areStreamsUp === false ? ['the thread of the streams is down'] : []),
      ...(this.#isCrashLooping() ? ['shards keep crashing'] : []),
      ...this.shards().flatMap(({ shard, isRunning }) => (isRunning ? [] : [`shard ${shard} is down`])),
    ];
  }

  /** null: there is none, the only shard has the intake. */
  get isDispatcherUp(): boolean | null {
    return this.#hasDispatcher ? this.#dispatcher !== null : null;
  }

  /** null: there are none. */
  get areStreamsUp(): boolean | null {
    return this.#arena.map.hasStreams ? this.#streams !== null : null;
  }

  shards(): ShardStatus[] {
    return this.#crashes.map((crashes, shard) => ({
      shard,
      isRunning: this.#state(shard) === SHARD_STATE.RUNNING,
      starts: this.#control(shard, SHARD.INCARNATION_WORD),
      crashes,
    }));
  }

  /** Which lines about calls shards are to send, as pino numbers the level; 0: none. */
  setCallLevel(level: number): void {
    const { words, map } = this.#arena;
    for (let shard = 0; shard < map.shardCount; shard++) {
      words[(shardOffset(map, shard) >> 2) + SHARD.LOG_LEVEL_WORD] = level;
    }
  }

  /** null: this shard has not crashed. */
  lastCrashOf(shard: number): ShardCrash | null {
    return this.#lastCrashes[shard] ?? null;
  }

  /** Asks a shard. Rejects with a RequestError if it is down or does not answer in time. */
  async ask<Question extends ShardQuestion>(
    shard: number,
    question: Question,
  ): Promise<ShardAnswers[Question['kind']]> {
    const questions = this.#questions[shard];
    if (questions == null || this.#state(shard) !== SHARD_STATE.RUNNING) {
      throw new RequestError(REFUSED, `shard ${shard} is down`);
    }
    return questions.ask(question, ANSWER_LIMIT_MS);
  }

  /** Has a shard end between two datagrams and a successor go on at its ring: none of its datagrams is lost, its transactions
   *  are. Resolves when the successor serves. Rejects with a RequestError. */
  async restartShard(shard: number): Promise<void> {
    if (this.#isStopping) throw new RequestError(REFUSED, 'the server is stopping');
    if (this.#state(shard) !== SHARD_STATE.RUNNING) throw new RequestError(REFUSED, `shard ${shard} is down`);
    const starts = this.#control(shard, SHARD.INCARNATION_WORD);
    this.#log.info({ shard }, 'shard is to be started again');
    this.#ports[shard]?.postMessage('leave');
    const deadlineMs = performance.now() + RESTART_LIMIT_MS;
    while (!this.#isStopping && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, RESTART_POLL_MS));
      const hasSuccessor = this.#control(shard, SHARD.INCARNATION_WORD) !== starts;
      if (hasSuccessor && this.#state(shard) === SHARD_STATE.RUNNING) return;
    }
    throw new RequestError(REFUSED, `shard ${shard} is not back yet; the log says more`);
  }

  /** Gives other users to all shards; each takes them between two duty cycles. */
  useUsers(users: SharedCredentials): void {
    this.#users = users;
    if (this.#auth !== null) this.#auth = { ...this.#auth, credentials: users };
    const command: UsersCommand = { users };
    for (const port of this.#ports) port?.postMessage(command);
  }

  /** Exchanges the configuration on all shards, one after the other, each between two duty cycles. A shard that is down, or goes down
   *  over it, begins with this one. */
  async useConfig(config: Config, users: SharedCredentials | null): Promise<Exchange> {
    this.#config = config;
    this.#users = users;
    this.#auth = shareAuth(config, users, this.#lastAuth);
    this.#lastAuth = this.#auth ?? this.#lastAuth;
    const question: ExchangeQuestion = {
      kind: 'exchange',
      config: shareText(JSON.stringify(config)),
      auth: this.#auth,
      users,
    };
    let shards = 0;
    let longestMs = 0;
    for (const [shard, questions] of this.#questions.entries()) {
      if (questions === null) continue;
      try {
        longestMs = Math.max(longestMs, await questions.ask(question, EXCHANGE_LIMIT_MS));
        shards++;
      } catch (error) {
        if (isGone(error)) continue;
        this.#log.error({ shard }, 'the shard has not said that it has the new configuration');
      }
    }
    return { shards, longestMs };
  }

  /** Has the intake drop what comes from other sources (bans/ban-table.ts). */
  useBans(bans: SharedArrayBuffer | null): void {
    this.#bans = bans;
    const command: BansCommand = { bans };
    this.#tellStreams(command);
    if (!this.#hasDispatcher) {
      for (const port of this.#ports) port?.postMessage(command);
      return;
    }
    this.#tellDispatcher(command);
  }

  /** Has all shards turn away what is new, or take it again. */
  setDraining(isDraining: boolean): void {
    this.#isDraining = isDraining;
    for (const port of this.#ports) port?.postMessage(isDraining ? 'drain' : 'undrain');
  }

  /** What is not over yet on all shards. */
  async census(): Promise<Census> {
    const answers = await Promise.all(this.#questions.map(askCensus));
    return {
      pending: answers.reduce((sum, { pending }) => sum + pending, 0),
      held: answers.reduce((sum, { held }) => sum + held, 0),
    };
  }

  /** Accepts no connections any more: another process does. */
  refuseConnections(): void {
    this.#tellStreams('quiet');
  }

  /** From now on datagrams come by a relay, or by the sockets again (null). Resolves when what came by the other way is in the rings.
   *  Rejects if who has the intake does not answer. */
  async receiveByRelay(relayFd: number | null): Promise<void> {
    this.#relayFd = relayFd;
    const questions = this.#hasDispatcher ? this.#intakeQuestions : this.#questions[0]!;
    if (questions === null) throw new Error('who takes the datagrams is down');
    await questions.ask({ kind: 'relay', relayFd }, ANSWER_LIMIT_MS);
  }

  /** The keys of all server transactions, once what is in the rings has been served. Rejects if a shard does not answer. */
  async transactionKeys(): Promise<Int32Array[]> {
    const keys = await Promise.all(
      this.#questions.map(async (questions, shard) => {
        if (questions === null) throw new Error(`shard ${shard} is down`);
        return questions.ask({ kind: 'keys' }, ANSWER_LIMIT_MS);
      }),
    );
    // What the server before this one still has, comes through here.
    return this.#predecessor === null ? keys : [...keys, keysIn(this.#predecessor.keys)];
  }

  get predecessor(): PredecessorTask | null {
    return this.#predecessor;
  }

  /** Has the shards pass on what belongs to transactions of another server, or no longer. Resolves when they know. */
  async usePredecessor(predecessor: PredecessorTask | null): Promise<void> {
    this.#predecessor = predecessor;
    await Promise.allSettled(
      this.#questions.map((questions) => questions?.ask({ kind: 'predecessor', predecessor }, ANSWER_LIMIT_MS)),
    );
  }

  /** Whether every thread that serves does its rounds: each is asked, and has to answer before long. */
  async allTurn(): Promise<boolean> {
    const serving = this.#hasDispatcher ? [...this.#questions, this.#intakeQuestions] : this.#questions;
    return (await Promise.all(serving.map(hasTurned))).every((turned) => turned);
  }

  /** Certificates for TLS connections from now on. */
  useCertificates(material: TlsMaterial): void {
    this.#material = material;
    this.#tellStreams({ material });
  }

  /** Makes the thread of the streams throw: for tests of what follows. */
  crashStreams(): void {
    this.#tellStreams('crash');
  }

  /** Makes a shard throw: for tests of what follows. */
  crashShard(shard: number): void {
    this.#ports[shard]?.postMessage('crash');
  }

  /** No new datagrams and connections, then the shards finish what they have, and connections are flushed. Resolves when all
   *  threads are gone. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#watchdog);
    clearTimeout(this.#spareTimer);
    clearTimeout(this.#threadTimer);
    this.#tellStreams('quiet');
    this.#stopDispatcher();
    await inTime(this.#dispatcherEnd);
    await this.#dispatcher?.terminate();
    for (const port of this.#ports) port?.postMessage('stop');
    await inTime(Promise.all(this.#shardEnds));
    await this.#pool.destroy();
    this.#tellStreams('stop');
    await inTime(this.#streamsEnd);
    await this.#streams?.terminate();
    process.off('exit', this.#endWithProcess);
    for (const fd of this.#shardFds) close(fd);
    close(this.#streamFd);
    close(this.#wakeFd);
  }

  #tellDispatcher(command: unknown): void {
    if (this.#dispatcherPort === null) return;
    this.#dispatcherPort.postMessage(command);
    // Partner: the dispatcher's load in its cycle.
    Atomics.add(this.#arena.words, (this.#arena.map.dispatcher >> 2) + DISPATCHER.COMMANDS_WORD, 1);
    signal(this.#wakeFd);
  }

  #stopDispatcher(): void {
    const { words, map } = this.#arena;
    Atomics.store(words, (map.dispatcher >> 2) + DISPATCHER.STOP_WORD, 1);
    signal(this.#wakeFd);
  }

  #startDispatcher(): void {
    const { config } = this.#options;
    const { port1, port2 } = new MessageChannel();
    const workerData: DispatcherTask = {
      arena: this.#arena.buffer,
      sockets: this.#options.sockets.filter(isDatagramSocket),
      wakeFd: this.#wakeFd,
      shardFds: this.#shardFds,
      napUs: napUsOf(config),
      batchScheduling: config.dispatcher.batchScheduling,
      tellsUnreachable: config.mode === 'stateful',
      overloadMark: shedMarkOf(this.#arena.map.slotCount, config.limits.overloadMark),
      kernelMark: kernelMarkOf(this.#arena.map.slotCount, config.limits),
      bans: this.#bans,
      relayFd: this.#relayFd,
      port: port2,
      topSources: this.#options.topSources,
    };
    const dispatcher = new Worker(moduleBeside('dispatcher'), {
      workerData,
      transferList: [port2],
      name: 'dispatcher',
    });
    this.#dispatcherPort = port1;
    this.#intakeQuestions = new Questions('the dispatcher', port1, (command) => this.#tellDispatcher(command));
    this.#dispatcher = dispatcher;
    dispatcher.on('error', (error) => this.#log.error({ err: error }, 'dispatcher crashed'));
    this.#dispatcherEnd = this.#whenOver(dispatcher, () => {
      this.#dispatcher = null;
      this.#dispatcherPort = null;
      this.#intakeQuestions = null;
      port1.close();
      return () => this.#startDispatcher();
    });
  }

  #startStreams(): void {
    const { config, sockets } = this.#options;
    const workerData: StreamTask = {
      arena: this.#arena.buffer,
      sockets: sockets.filter((socket) => !isDatagramSocket(socket)),
      wakeFd: this.#streamFd,
      intakeFd: this.#wakeFd,
      batchScheduling: config.dispatcher.batchScheduling,
      settings: config.streams,
      tls: config.tls,
      webSocket: config.webSocket,
      material: this.#material,
      bans: this.#bans,
      isOpen: this.#isOpen,
    };
    const streams = new Worker(moduleBeside('streams/stream-thread'), { workerData, name: 'streams' });
    this.#streams = streams;
    streams.once('message', (_: typeof STREAMS_TURN) => {
      this.#haveStreamsTurned = true;
    });
    streams.on('error', (error) => {
      if (this.#endsStart(error)) return;
      this.#log.error({ err: error }, 'the thread of the streams crashed: connections are lost');
    });
    this.#streamsEnd = this.#whenOver(streams, () => {
      this.#streams = null;
      return () => this.#startStreams();
    });
  }

  #tellStreams(command: StreamCommand): void {
    this.#streams?.postMessage(command);
  }

  /** Resolves once `thread` is over. Unless the server stops it is started again, by what `noteEnd` returns. */
  #whenOver(thread: Worker, noteEnd: () => () => void): Promise<void> {
    return new Promise((resolve) => {
      thread.on('exit', () => {
        const startAgain = noteEnd();
        resolve();
        if (this.#isStopping) return;
        this.#noteCrash();
        const pauseMs = this.#isCrashLooping() ? CRASH_LOOP_PAUSE_MS : 0;
        setTimeout(() => {
          if (!this.#isStopping) startAgain();
        }, pauseMs);
      });
    });
  }

  #intakeTask(): IntakeTask | null {
    if (this.#hasDispatcher) return null;
    const { config, topSources } = this.#options;
    const overloadMark = shedMarkOf(this.#arena.map.slotCount, config.limits.overloadMark);
    return {
      wakeFd: this.#wakeFd,
      isOpen: this.#isOpen,
      napUs: napUsOf(config),
      overloadMark,
      kernelMark: kernelMarkOf(this.#arena.map.slotCount, config.limits),
      bans: this.#bans,
      relayFd: this.#relayFd,
      topSources,
    };
  }

  /** Runs one shard for as long as the server lives. */
  async #keepShard(shard: number): Promise<void> {
    for (;;) {
      const { port1, port2 } = new MessageChannel();
      this.#ports[shard] = port1;
      this.#questions[shard] = new Questions(`shard ${shard}`, port1);
      this.#lines.listen(shard, port1);
      const task: ShardTask = {
        arena: this.#arena.buffer,
        shard,
        sockets: this.#options.sockets,
        localAddresses: this.#options.localAddresses,
        eventFd: this.#shardFds[shard]!,
        streamFd: this.#arena.map.hasStreams ? this.#streamFd : null,
        location: this.#options.location.buffer,
        feed: this.#options.location.feed,
        auth: this.#auth,
        flowKey: this.#options.flowKey,
        users: this.#users,
        config: this.#config,
        trace: this.#options.trace,
        intake: this.#intakeTask(),
        rehearsalMs: this.#isUp ? 0 : this.#options.config.rehearsalMs,
        predecessor: this.#predecessor,
        isDraining: this.#isDraining,
        port: port2,
      };
      const abort = new AbortController();
      this.#aborts[shard] = abort;
      try {
        // Piscina's type of the list is that of another overload of postMessage; a list is what it wants.
        await this.#pool.run(task, { transferList: [port2] as never, signal: abort.signal });
        return;
      } catch (error) {
        if (this.#isStopping) return;
        port1.close();
        this.#ports[shard] = null;
        this.#questions[shard] = null;
        Atomics.store(this.#wantsSpare, 0, 1);
        // Partner: the rests in waitInTheWings.
        Atomics.notify(this.#wantsSpare, 0);
        // One that left in order is no crash.
        if (this.#state(shard) === SHARD_STATE.STOPPED) await this.#clearAway(shard);
        else await this.#recover(shard, error);
        if (this.#isStopping) return;
        if (this.#isOpen) this.#rehearseSpareSoon();
      }
    }
  }

  /** The thread that is there for the next crash, once what has just started has settled. */
  #rehearseSpareSoon(): void {
    const { config } = this.#options;
    if (config.rehearsalMs === 0) return;
    clearTimeout(this.#spareTimer);
    this.#spareTimer = setTimeout(() => {
      Atomics.store(this.#wantsSpare, 0, 0);
      // A thread that dies of it, or is ended with the pool, is nobody's loss: the pool grows another.
      this.#rehearseSpare(config.rehearsalMs).catch(() => undefined);
    }, SPARE_REHEARSAL_DELAY_MS);
    this.#spareTimer.unref();
  }

  /** Gives the spare thread this to do; the pool starts one for it if there is none. */
  #rehearseSpare(budgetMs: number): Promise<void> {
    const task: RehearsalTask = { config: this.#options.config, budgetMs, wanted: this.#wantsSpare };
    return this.#pool.run(task, { name: 'waitInTheWings' });
  }

  /** A thread has ended before it took a task. If it could not even load its code (a package that is being exchanged under us, no
   *  memory), Piscina never starts one by itself again, and the shard that waits for one would wait for ever: so it is asked for
   *  one, until that works. */
  #noteFailedThread(error: unknown): void {
    if (this.#isStopping) return;
    if (this.#endsStart(error)) return;
    if (!this.#lacksThreads) {
      const hint = 'threads can be started again once what the error names is there';
      this.#log.error({ err: error, hint }, 'a thread could not start; trying again');
    }
    this.#lacksThreads = true;
    clearTimeout(this.#threadTimer);
    this.#threadTimer = setTimeout(() => {
      this.#rehearseSpare(0).then(
        () => {
          this.#lacksThreads = false;
        },
        () => undefined,
      );
    }, THREAD_RETRY_MS);
    this.#threadTimer.unref();
  }

  /** Before the threads run, the first failure ends the start. False: that is over. */
  #endsStart(error: unknown): boolean {
    if (this.#isUp) return false;
    this.#firstCrash ??= error;
    this.#isStopping = true;
    return true;
  }

  /** What a shard whose thread is over has left behind, so that a successor can go on. */
  async #clearAway(shard: number): Promise<void> {
    const { words, map } = this.#arena;
    Atomics.store(words, (shardOffset(map, shard) >> 2) + SHARD.STATE_WORD, SHARD_STATE.DOWN);
    this.#options.location.bury(shard);
    // Who has the intake, sweeps: without a dispatcher the successor.
    if (this.#hasDispatcher) await this.#sweep(shard);
  }

  async #recover(shard: number, error: unknown): Promise<void> {
    if (this.#endsStart(error)) return;
    this.#crashes[shard]!++;
    this.#counters.count(COUNTER.shard_crashes_total);
    this.#noteCrash();
    const vector = this.#saveDatagramInHand(shard);
    this.#lastCrashes[shard] = {
      at: new Date().toISOString(),
      error: error instanceof Error ? error.message : String(error),
      vector,
    };
    const hint =
      vector === null
        ? 'report it with its stack'
        : 'report it with its stack and the datagram in the file: it may hold secrets';
    this.#log.error({ shard, err: error, vector, hint }, 'shard crashed; starting it again');
    await this.#clearAway(shard);
    if (this.#isCrashLooping()) {
      this.#log.error({ shard, crashes: this.#crashTimes.length }, 'shards keep crashing: not ready');
      await new Promise((resolve) => setTimeout(resolve, CRASH_LOOP_PAUSE_MS));
    }
  }

  /** Writes the datagram the shard died on to the crash directory. Returns the file, or null if there was none. */
  #saveDatagramInHand(shard: number): string | null {
    const slot = this.#control(shard, SHARD.IN_HAND_WORD) - 1;
    if (slot < 0) return null;
    // A successor that dies before it has begun has nothing in hand.
    this.#arena.words[(shardOffset(this.#arena.map, shard) >> 2) + SHARD.IN_HAND_WORD] = 0;
    if (this.#crashFiles === MAX_CRASH_FILES) {
      this.#log.warn(
        { shard, files: MAX_CRASH_FILES },
        'enough crash vectors: this one and further ones are not saved',
      );
      return null;
    }
    this.#crashFiles++;
    const { bytes, words, map } = this.#arena;
    const offset = slotOffset(map, slot);
    const length = words[(offset >> 2) + SLOT.LENGTH_WORD]!;
    const { directory } = this.#options.config.crash;
    const file = join(
      directory,
      `${new Date().toISOString().replaceAll(':', '')}-shard${shard}-${this.#crashFiles}.sip`,
    );
    try {
      // A call's data is nobody else's business.
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      const datagram = bytes.slice(offset + SLOT_HEADER_BYTES, offset + SLOT_HEADER_BYTES + length);
      writeFileSync(file, datagram, { mode: 0o600 });
      return file;
    } catch (error) {
      this.#log.error({ err: error, file }, 'the datagram in hand could not be saved');
      return null;
    }
  }

  /** Has the dispatcher take back the slots that the dead shard held, however long it takes: a shard that ran while its
   *  slots are swept would lose them. A dispatcher that is down itself does it when it is back. One at a time. */
  async #sweep(shard: number): Promise<void> {
    const { words, map } = this.#arena;
    const request = (map.dispatcher >> 2) + DISPATCHER.SWEEP_REQUEST_WORD;
    const done = (map.dispatcher >> 2) + DISPATCHER.SWEEP_DONE_WORD;
    let isMine = false;
    while (!this.#isStopping) {
      const before = Atomics.load(words, done);
      // Partner: the dispatcher's load of the request in its cycle, and its store of 0 after the sweep.
      if (!isMine) isMine = Atomics.compareExchange(words, request, 0, shard + 1) === 0;
      else if (Atomics.load(words, request) !== shard + 1) return;
      signal(this.#wakeFd);
      await Atomics.waitAsync(words, done, before, SWEEP_POLL_MS).value;
    }
  }

  /** Rejects if a shard dies before it has ever served, or the thread of the streams before its first turn: it would die again. */
  async #untilThreadsRun(): Promise<void> {
    for (;;) {
      // Asked first: the state of a shard that has died by now still says RUNNING.
      if (this.#firstCrash !== null) {
        const error = this.#firstCrash;
        await this.stop();
        throw error;
      }
      const haveStreamsTurned = this.#haveStreamsTurned || !this.#arena.map.hasStreams;
      const haveServed = this.shards().every(({ shard, isRunning }) => isRunning && this.#hasServed(shard));
      if (haveServed && haveStreamsTurned) break;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    this.#isUp = true;
    const detector = new HangDetector();
    this.#watchdog = setInterval(() => this.#endHanging(detector), HANG_CHECK_MS);
    this.#watchdog.unref();
  }

  /** A shard that hangs has its thread ended, and what follows is what follows a crash. */
  #endHanging(detector: HangDetector): void {
    for (const shard of detector.check(this.#crashes.map((_, shard) => this.#progressOf(shard)))) {
      this.#log.error(
        { shard, hint: 'report it: nothing may keep a shard busy for seconds' },
        'shard hangs; ending its thread',
      );
      this.#aborts[shard]?.abort();
    }
  }

  #progressOf(shard: number): ShardProgress {
    const { map, words } = this.#arena;
    const tail = Atomics.load(words, (ingressRingOffset(map, shard) >> 2) + RING.TAIL_WORD);
    const isWaiting =
      tail !== this.#control(shard, SHARD.CURSOR_WORD) || this.#control(shard, SHARD.IN_HAND_WORD) !== 0;
    return {
      cycles: this.#control(shard, SHARD.CYCLES_WORD),
      hasWork: isWaiting && this.#state(shard) === SHARD_STATE.RUNNING,
      threadId: this.#control(shard, SHARD.THREAD_ID_WORD),
    };
  }

  /** Partner: the shard's count after its first look at its ring (shard.ts). */
  #hasServed(shard: number): boolean {
    return this.#control(shard, SHARD.CYCLES_WORD) !== 0;
  }

  #noteCrash(): void {
    this.#crashTimes.push(Date.now());
    if (this.#crashTimes.length > CRASH_LOOP_COUNT) this.#crashTimes.shift();
  }

  #isCrashLooping(): boolean {
    const [first] = this.#crashTimes;
    return this.#crashTimes.length >= CRASH_LOOP_COUNT && Date.now() - first! < CRASH_LOOP_WINDOW_MS;
  }

  #state(shard: number): number {
    return Atomics.load(this.#arena.words, (shardOffset(this.#arena.map, shard) >> 2) + SHARD.STATE_WORD);
  }

  #control(shard: number, word: number): number {
    return this.#arena.words[(shardOffset(this.#arena.map, shard) >> 2) + word]!;
  }
}

function napUsOf({ dispatcher }: Config): number {
  return dispatcher.nap === 'off' ? 0 : dispatcher.napUs;
}

function isGone(error: unknown): boolean {
  return error instanceof UnansweredError && error.isGone;
}

async function hasTurned(questions: Questions<IntakeQuestion, IntakeAnswers> | null): Promise<boolean> {
  if (questions === null) return false;
  return questions.ask({ kind: 'turn' }, ANSWER_LIMIT_MS).catch(() => false);
}

/** A shard that is down has nothing any more; one that does not answer counts as busy. */
async function askCensus(questions: ShardQuestions | null): Promise<ShardCensus> {
  const nothing = { pending: 0, held: 0 };
  if (questions === null) return nothing;
  return questions
    .ask({ kind: 'census' }, CENSUS_LIMIT_MS)
    .catch((error) => (isGone(error) ? nothing : { pending: 1, held: 1 }));
}

/** In UTF-8, for all threads. */
function shareText(text: string): SharedArrayBuffer {
  const buffer = new SharedArrayBuffer(Buffer.byteLength(text));
  Buffer.from(buffer).write(text);
  return buffer;
}

/** A module of this folder: .ts when run from the sources, .js from dist. */
function moduleBeside(name: string): string {
  return fileURLToPath(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url));
}

/** Waits for `work`, but no longer than a stop may take. */
async function inTime(work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, STOP_TIMEOUT_MS / 2);
  });
  await Promise.race([work, timeout]);
  clearTimeout(timer);
}
