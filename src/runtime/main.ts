/** Boots the server: sockets, arena, supervisor, control socket. Main thread, cold; read it top-down. */

import { networkInterfaces } from 'node:os';
import { type Logger, pino } from 'pino';
import { realmsOf } from '../auth/configured.ts';
import type { ListenPoint } from '../config/listen-point.ts';
import type { LoadRequest } from '../config/load.ts';
import { type Config, shardCountOf } from '../config/schema.ts';
import { STORE_STATE } from '../location/store-feed.ts';
import { type Arena, createArena } from '../memory/arena.ts';
import { type ArenaShape, OWNER_DISPATCHER, SHARD, SLOT, shardOffset, slotOffset } from '../memory/layout.ts';
import { COUNTER, Counters, connectionCount, readCounters } from '../observe/counters.ts';
import { createTopSources } from '../observe/top-sources.ts';
import type { BoundSocket } from '../roles/bound-socket.ts';
import { NextHops } from '../roles/proxy/target-set.ts';
import { Users } from '../roles/proxy/users.ts';
import { TrustedSources } from '../roles/trusted-sources.ts';
import { BanList } from './bans/ban-list.ts';
import { protectedBlocks } from './bans/protected-blocks.ts';
import { boundSocketOf, isDatagramSocket } from './bound-socket.ts';
import { Drain } from './drain.ts';
import { flowKeyIn } from './flow-key.ts';
import { GivenSockets } from './given-sockets.ts';
import { liveViewOf } from './live/live-view.ts';
import { LocationService } from './location-service.ts';
import { LocationStore } from './location-store/location-store.ts';
import { forgetDrops, overflowsOf } from './overload/filter-drops.ts';
import { Reloads } from './reload/reloads.ts';
import { REFUSED, RequestError } from './request-error.ts';
import type { ListenError, RunningServer } from './running-server.ts';
import { ServerMetrics } from './server-metrics.ts';
import { ShardService } from './shard-service.ts';
import { SocketTraffic } from './socket-traffic.ts';
import { bansFile, configDirectory, locationDirectory } from './state-directory.ts';
import { Supervisor } from './supervisor.ts';
import { Handover } from './takeover/handover.ts';
import { type Takeover, TakeoverError } from './takeover/takeover.ts';
import { ThreadLoads } from './thread-loads.ts';
import { CertificateFiles } from './tls/certificate-files.ts';
import { TraceService } from './trace/trace-service.ts';
import { TroubleWatch } from './trouble.ts';
import { addSocket, attach, close, createEventFd, openTcp, openUdp, receiveQueued } from './udp-socket.ts';
import { LiveUsers } from './user-directory/live-users.ts';

const TROUBLE_CHECK_MS = 5000;
const MAX_REOPEN_ATTEMPTS = 20;
const REOPEN_PAUSE_MS = 100;
/** For a port that is free for UDP and for TCP. */
const MAX_PAIR_ATTEMPTS = 16;
/** By STORE_STATE. */
const STATE_WORDS = ['off', 'running', 'failed'] as const;
/** For targets that registered, until they are sent to, and for answers that wait to be stored. */
const STATELESS_MESSAGE_MEMORY_MIB = 64;

type OpenSocket = BoundSocket & {
  readonly fd: number;
  readonly text: string;
  /** Of a socket of datagrams. */
  readonly receiveBufferBytes: number;
};

export interface StartOptions {
  readonly version?: string;
  /** Sockets that others have opened for us; those that no listen point is for are closed. */
  readonly given?: GivenSockets;
  /** Log lines that could not be written. */
  readonly lostLines?: () => number;
  /** The server that this one takes over from. */
  readonly takeover?: Takeover | null;
  /** Another server has taken over: what belongs to the process is to be given up. */
  readonly onRelease?: (successorPid: number) => Promise<void>;
  /** It has that now. */
  readonly onSuccessorUp?: (successorPid: number) => void;
  /** Told when new requests are turned away, and when they are taken again. */
  readonly onDrain?: (isDraining: boolean) => void;
  /** Where the configuration came from, and the text of the file; null: there was none. For reloads. */
  readonly origin?: LoadRequest;
  readonly text?: string | null;
  /** Told with each reload. */
  readonly useLogLevel?: (level: Config['log']['level']) => void;
}

/** Starts the server. Rejects with a ListenError if a socket cannot be opened, with a UserFilesError if a file of users is
 *  wrong; nothing is left running then. */
export async function startServer(config: Config, log: Logger, options: StartOptions = {}): Promise<RunningServer> {
  const {
    version = 'unknown',
    given = new GivenSockets([]),
    lostLines = () => 0,
    onDrain,
    takeover = null,
    onRelease,
    onSuccessorUp,
    origin = {},
    text = null,
    useLogLevel = (level) => void (log.level = level),
  } = options;
  if (takeover?.mode === 'stateful' && config.mode === 'stateless') {
    takeover.abort();
    throw new TakeoverError(
      'a stateless server cannot take over from a stateful one, whose responses it would not know',
    );
  }
  const startedAt = Date.now();
  const users = new LiveUsers(config, log.child({ module: 'users' }));
  const certificateFiles = new CertificateFiles(config.tls, log.child({ module: 'tls' }));
  const sockets = openSockets(config, given);
  for (const text of given.closeRest()) log.warn(`${text} was given to this server and is nowhere in listen: closed`);
  const datagramSockets = sockets.filter(isDatagramSocket);
  const arena = createArena(arenaShapeOf(config, datagramSockets.length < sockets.length));
  for (let slot = 0; slot < arena.map.slotCount + arena.map.jumboCount; slot++) {
    arena.words[(slotOffset(arena.map, slot) >> 2) + SLOT.OWNER_WORD] = OWNER_DISPATCHER;
  }
  const mainCounters = new Counters(arena, arena.map.shardCount + 1);
  attach(arena.bytes);
  for (const socket of datagramSockets) addSocket(socket.socket, socket.fd, socket.family, socket.isWildcard);
  // Given sockets have a past.
  forgetDrops(arena, datagramSockets);
  const addresses = localAddresses();
  const location = new LocationService({
    config,
    fileUsers: users.table,
    shardCount: arena.map.shardCount,
    sockets,
    localAddresses: addresses,
  });
  const trace = openTrace(config, sockets, addresses, arena.map.shardCount);
  // Only the live page asks.
  const topSources = config.admin.listen === 'off' ? null : createTopSources();
  const storeLog = log.child({ module: 'location' });
  const supervisor = new Supervisor({
    arena,
    flowKey: flowKeyOf(config, log),
    topSources,
    location,
    config,
    users: users.shared,
    material: certificateFiles.material,
    sockets,
    localAddresses: addresses,
    trace: trace?.buffer ?? null,
    log: log.child({ module: 'shards' }),
    shardLog: log,
  });
  const reloads = new Reloads({
    origin,
    text,
    config,
    directory: configDirectory(config),
    log,
    prepare: (next) => {
      const prepared = users.prepare(next);
      tryRoutes(next);
      return () => {
        location.useConfig(next, prepared.table);
        prepared.commit();
        useLogLevel(next.log.level);
        trace?.useConfig(next);
        return supervisor.useConfig(next, users.shared);
      };
    },
  });
  const bans = new BanList({
    file: bansFile(config),
    isProtected: () => protectedBlocks(reloads.running),
    onChange: (table) => supervisor.useBans(table),
    log: log.child({ module: 'bans' }),
  });
  supervisor.setCallLevel(levelNumber(log.level));
  const mainFd = createEventFd();
  const end = () => {
    for (const socket of sockets) close(socket.fd);
    close(mainFd);
  };
  const openStore = (how: { readonly isTakeover: boolean; readonly isLoaded: boolean }) =>
    new LocationStore({
      table: location.buffer,
      thread: arena.map.shardCount,
      feed: location.feed,
      // Nobody waits for what the main thread has changed.
      shardFds: [...supervisor.shardFds, mainFd],
      directory: locationDirectory(config),
      ...how,
      sync: config.location.sync,
      onEvent: (level, text) => storeLog[level](text),
      bury: (thread) => location.bury(thread),
    });
  // The bindings come back while the threads start.
  let store = openStore({ isTakeover: takeover !== null, isLoaded: false });
  store.ready.catch(() => undefined);
  let pausedAtMs = 0;
  const mayServe = async () => {
    if (takeover !== null) {
      await store.preloaded;
      pausedAtMs = performance.now();
      await supervisor.usePredecessor(await takeover.switch(sockets));
      forgetDrops(arena, datagramSockets);
      store.takeOver();
    }
    await store.ready;
  };

  try {
    await supervisor.start(mayServe);
    // Between the two, datagrams waited in the kernel's buffer.
    if (takeover !== null) log.info({ pausedMs: Math.round(performance.now() - pausedAtMs) }, 'took over');
  } catch (error) {
    await store.close();
    takeover?.abort();
    end();
    throw error;
  }
  trace?.startExport(log);
  certificateFiles.watch((material) => supervisor.useCertificates(material));
  users.watch((shared) => supervisor.useUsers(shared));
  const refresh = () => {
    mainCounters.set(
      COUNTER.kernel_drops_total,
      sumOf(datagramSockets, (socket) => overflowsOf(arena, socket)),
    );
    mainCounters.set(COUNTER.log_lines_lost_total, lostLines());
    mainCounters.set(COUNTER.tls_reloads_total, certificateFiles.reloads);
    mainCounters.set(COUNTER.tls_reload_failures_total, certificateFiles.failedReloads);
    mainCounters.set(COUNTER.users_reloads_total, users.reloads);
    mainCounters.set(COUNTER.users_reload_failures_total, users.failedReloads);
    mainCounters.set(COUNTER.config_applied_reloads_total, reloads.applied);
    mainCounters.set(COUNTER.config_unchanged_reloads_total, reloads.unchanged);
    mainCounters.set(COUNTER.config_failed_reloads_total, reloads.failed);
    mainCounters.set(COUNTER.trace_lost_total, trace?.lost ?? 0);
    const hep = trace?.exported ?? null;
    mainCounters.set(COUNTER.hep_sent_total, hep?.sent ?? 0);
    mainCounters.set(COUNTER.hep_dropped_total, hep?.dropped ?? 0);
    mainCounters.set(COUNTER.hep_errors_total, hep?.errors ?? 0);
  };
  const stats = () => {
    refresh();
    return readCounters(arena);
  };
  let seenMessages = 0;
  let waitsForQuiet = false;
  const drain = new Drain({
    log,
    setDraining: (isDraining) => {
      supervisor.setDraining(isDraining);
      onDrain?.(isDraining);
    },
    census: async () => {
      const own = await supervisor.census();
      // What the server before this one still has, comes through here.
      const passedOn = supervisor.predecessor === null ? 0 : 1;
      const census = { pending: own.pending + passedOn, held: own.held + passedOn };
      if (config.mode === 'stateful') return census;
      // Without transactions it is over at once, or, where there is time, when nothing comes any more.
      const messages = countMessages(stats());
      const isBusy = waitsForQuiet && messages !== seenMessages;
      seenMessages = messages;
      return { pending: census.pending + (isBusy ? 1 : 0), held: census.held + 1 };
    },
    onOver: () => void stopOnce(),
  });
  const notReadyBecause = () => [
    ...supervisor.notReadyBecause(),
    ...(drain.isDraining ? ['draining'] : []),
    ...(store.state === STORE_STATE.FAILED ? ['the location store has failed: registrations are in memory alone'] : []),
  ];
  const socketTraffic = new SocketTraffic(arena);
  const shown = {
    arena,
    config,
    sockets: datagramSockets.map(({ socket, text, receiveBufferBytes }) => ({
      text,
      receiveBufferBytes,
      drops: () => overflowsOf(arena, socket),
      queuedBytes: () => receiveQueued(socket),
      received: () => socketTraffic.received(socket),
    })),
    isDispatcherUp: () => supervisor.isDispatcherUp,
    shards: () => supervisor.shards(),
    banCount: () => bans.count,
    aorCount: () => location.aorCount,
    bindingCount: () => location.bindingCount,
    storeState: () => STATE_WORDS[store.state],
    refresh,
  };
  const metrics = new ServerMetrics({
    ...shown,
    configuration: reloads,
    version,
    startedAtMs: startedAt,
    isReady: () => notReadyBecause().length === 0,
    certificates: () => certificateFiles.list(),
    storeStates: STATE_WORDS,
  });
  metrics.start(config.admin.listen !== 'off');
  const loads = new ThreadLoads(() => threadIdsOf(arena));
  loads.start();
  socketTraffic.start();
  const shards = new ShardService({
    arena,
    settings: () => reloads.running,
    supervisor,
    loads,
    ringHighOf: (shard) => metrics.ringHighOf(shard),
  });
  const live = liveViewOf(
    {
      ...shown,
      topSources,
      notReadyBecause,
      listening: sockets.map(({ text }) => text),
      areStreamsUp: () => supervisor.areStreamsUp,
      ringHighOf: (shard) => metrics.ringHighOf(shard),
    },
    { version, startedAtMs: startedAt, counters: mainCounters, shards },
  );
  const trouble = new TroubleWatch(stats, log);
  const troubleTimer = setInterval(() => trouble.check(), TROUBLE_CHECK_MS);
  troubleTimer.unref();

  takeover?.gone.then(() => forgetPredecessor(supervisor, log));
  let isStoreClosed = false;
  const handover = new Handover({
    mode: config.mode,
    sockets,
    prepare: (isExpected) => store.hold(isExpected),
    switchTo: async (relayFd) => {
      await supervisor.receiveByRelay(relayFd);
      const keys = await supervisor.transactionKeys();
      // What still comes by connections. Each shard has heard of it when it has answered.
      supervisor.setDraining(true);
      await supervisor.census();
      isStoreClosed = true;
      await store.close();
      return keys;
    },
    takeBack: async () => {
      if (isStoreClosed) store = await reopened((isLoaded) => openStore({ isTakeover: false, isLoaded }));
      else store.hold(false);
      isStoreClosed = false;
      supervisor.setDraining(false);
      await supervisor.census();
      await supervisor.receiveByRelay(null);
    },
    release: async (successorPid) => onRelease?.(successorPid),
    onSuccessorUp: (successorPid) => onSuccessorUp?.(successorPid),
    onReleased: () => {
      supervisor.refuseConnections();
      const { drain: preset, timers } = reloads.running;
      const lingerMs = config.mode === 'stateful' ? Number.POSITIVE_INFINITY : timers.t2Ms;
      drain.begin({ deadlineMs: preset.takeoverDeadlineSec * 1000, lingerMs, isFinal: true });
    },
    log,
  });

  let reportExit: (code: number) => void = () => undefined;
  const finished = new Promise<number>((resolve) => {
    reportExit = resolve;
  });
  let stopping: Promise<void> | null = null;
  const stop = async () => {
    drain.close();
    clearInterval(troubleTimer);
    metrics.stop();
    users.close();
    certificateFiles.close();
    bans.close();
    loads.stop();
    socketTraffic.stop();
    await supervisor.stop();
    await trace?.close();
    await store.close();
    end();
    reportExit(0);
  };
  const stopOnce = () => (stopping ??= stop());
  return {
    describe: () => ({
      listening: sockets.map((socket) => socket.text),
      mode: config.mode,
      shards: arena.map.shardCount,
      receiveBufferNotes: datagramSockets.flatMap((socket) => clampNote(socket, config.socket.receiveBufferBytes)),
    }),
    tls: certificateFiles,
    stats,
    metrics: () => metrics.render(),
    notReadyBecause,
    status: () => ({
      isReady: notReadyBecause().length === 0,
      pid: process.pid,
      uptimeSec: Math.floor((Date.now() - startedAt) / 1000),
      mode: config.mode,
      listening: sockets.map((socket) => socket.text),
      connections: connectionCount(arena),
      addressesOfRecord: location.aorCount,
      locationStore: STATE_WORDS[store.state],
      drain: drain.status(),
      hasPredecessor: supervisor.predecessor !== null,
      configuration: reloads.state(),
      shards: supervisor.shards(),
    }),
    settings: () => reloads.running,
    configuration: reloads,
    location,
    live,
    trace,
    bans,
    invite: () => {
      if (drain.isDraining) throw new RequestError(REFUSED, 'this server drains');
      return handover.invite();
    },
    isAlive: () => supervisor.allTurn(),
    shards,
    useCallLevel: (level) => supervisor.setCallLevel(levelNumber(level)),
    noteUnauthorized: () => mainCounters.count(COUNTER.control_unauthorized_total),
    drain: (order = {}) => {
      const { drain: preset, timers } = reloads.running;
      const { deadlineMs = preset.deadlineSec * 1000, lingerMs = timers.t2Ms, isFinal = false } = order;
      waitsForQuiet = lingerMs > 0;
      seenMessages = countMessages(stats());
      drain.begin({ deadlineMs, lingerMs, isFinal });
    },
    cancelDrain: () => {
      const cancellation = drain.cancel();
      if (cancellation === 'cancelled') log.info('drain called off: new requests are taken again');
      return cancellation;
    },
    drainStatus: () => drain.status(),
    stop: stopOnce,
    finished,
  };
}

/** What shards make of a configuration, made here first: a mistake of ours shows before anything has changed. */
function tryRoutes(config: Config): void {
  new NextHops(config);
  new Users(config);
  realmsOf(config, () => -1);
  new TrustedSources(new Int32Array(new SharedArrayBuffer(4)), [...config.trusted, ...config.auth.exempt], []);
}

/** The memory that is kept for messages is shared out among the shards. */
function arenaShapeOf(config: Config, hasStreams: boolean): ArenaShape {
  const shardCount = shardCountOf(config);
  const keptMib = config.mode === 'stateful' ? config.limits.messageMemoryMiB : STATELESS_MESSAGE_MEMORY_MIB;
  const keptKib = Math.floor((keptMib * 1024) / shardCount);
  return {
    shardCount,
    slotCount: config.limits.slots,
    jumboCount: config.limits.jumboSlots,
    keptBytes: keptKib * 1024,
    hasStreams,
  };
}

/** null: no messages are kept. */
function openTrace(
  config: Config,
  sockets: readonly OpenSocket[],
  addresses: readonly string[],
  shardCount: number,
): TraceService | null {
  if (config.trace.recentKiB === 0) return null;
  const reading = {
    sockets: sockets.map(({ text, family, address, port, isWildcard }) => ({
      transport: text.slice(0, text.indexOf(':')),
      family,
      address,
      port,
      isWildcard,
    })),
    localAddresses: addresses,
    maskHeaders: config.trace.maskHeaders,
  };
  return new TraceService(config, shardCount, reading);
}

/** As pino numbers it; 0: silent. */
function levelNumber(level: string): number {
  return pino.levels.values[level] ?? 0;
}

/** Of the shards, as the kernel numbers them. */
function threadIdsOf({ words, map }: Arena): number[] {
  return Array.from(
    { length: map.shardCount },
    (_, shard) => words[(shardOffset(map, shard) >> 2) + SHARD.THREAD_ID_WORD]!,
  );
}

/** Opens every listen point, or none. */
function openSockets(config: Config, given: GivenSockets): OpenSocket[] {
  const sockets: OpenSocket[] = [];
  const openAll = (attempt: number): void => {
    for (const point of config.listen.slice(sockets.length)) {
      try {
        sockets.push(openSocket(point, sockets, config, given));
      } catch (error) {
        const isPairRefused = point.hasPortOfPrevious && point.port === 0 && attempt < MAX_PAIR_ATTEMPTS;
        if (!isPairRefused || (error as ListenError).code !== 'EADDRINUSE') throw error;
        // The kernel chose a port for UDP that TCP cannot have: it is asked for another.
        close(sockets.pop()!.fd);
        openAll(attempt + 1);
        return;
      }
    }
  };
  try {
    openAll(1);
    return sockets;
  } catch (error) {
    for (const socket of sockets) close(socket.fd);
    throw error;
  }
}

function openSocket(
  point: ListenPoint,
  earlier: readonly OpenSocket[],
  config: Config,
  given: GivenSockets,
): OpenSocket {
  const givenFd = given.take(point)?.fd ?? -1;
  try {
    const { fd, port, receiveBufferBytes } =
      point.transport === 'udp'
        ? openDatagramSocket(point, config, givenFd)
        : openStreamSocket(point, earlier, givenFd);
    return {
      fd,
      receiveBufferBytes,
      ...boundSocketOf(point, earlier.length, port),
      text: point.text.replace(/:\d+$/, `:${port}`),
    };
  } catch (error) {
    throw Object.assign(error as ListenError, { listen: point.text });
  }
}

/** `fd`: of a socket that was given; −1: it is to be opened. */
function openDatagramSocket({ host, port, family, dualStack, dscp }: ListenPoint, config: Config, fd: number) {
  const { receiveBufferBytes, sendBufferBytes } = config.socket;
  return openUdp({ host, port, family, dualStack, receiveBufferBytes, sendBufferBytes, dscp, reusePort: false, fd });
}

function openStreamSocket(point: ListenPoint, earlier: readonly OpenSocket[], fd: number) {
  const { host, family, dualStack, dscp } = point;
  const port = point.hasPortOfPrevious && point.port === 0 ? earlier.at(-1)!.port : point.port;
  return { ...openTcp({ host, port, family, dualStack, dscp, fd }), receiveBufferBytes: 0 };
}

/** Without CAP_NET_ADMIN the kernel grants no more than net.core.rmem_max. */
function clampNote(socket: OpenSocket, askedBytes: number): string[] {
  if (socket.receiveBufferBytes >= askedBytes) return [];
  return [
    `${socket.text}: the kernel gave a receive buffer of ${socket.receiveBufferBytes} bytes instead of ${askedBytes}; ` +
      `allow more with: sysctl -w net.core.rmem_max=${askedBytes}`,
  ];
}

function sumOf(sockets: readonly OpenSocket[], count: (socket: number) => number): number {
  return sockets.reduce((sum, { socket }) => sum + count(socket), 0);
}

function countMessages(counters: Record<string, number>): number {
  return counters['requests_received_total']! + counters['responses_received_total']!;
}

/** The store of a server that was to be taken over from: its successor has died, and the lock goes with the process. One that lives
 *  keeps it until it notices: meanwhile registrations are in memory alone. */
async function reopened(open: (isLoaded: boolean) => LocationStore): Promise<LocationStore> {
  for (let attempt = 1; ; attempt++) {
    const store = open(attempt > MAX_REOPEN_ATTEMPTS);
    try {
      await store.ready;
      return store;
    } catch (error) {
      if (attempt > MAX_REOPEN_ATTEMPTS) throw error;
      await new Promise((resolve) => setTimeout(resolve, REOPEN_PAUSE_MS));
    }
  }
}

/** The other server has finished its transactions. */
async function forgetPredecessor(supervisor: Supervisor, log: Logger): Promise<void> {
  const predecessor = supervisor.predecessor;
  await supervisor.usePredecessor(null);
  if (predecessor !== null) close(predecessor.fd);
  log.info('the server before this one has ended');
}

function localAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address));
}

/** A key that cannot be kept costs the calls of clients behind NATs their way back after a restart, and nothing else. */
function flowKeyOf(config: Config, log: Logger): Int32Array {
  const directory = locationDirectory(config);
  try {
    return flowKeyIn(directory);
  } catch (error) {
    log.warn({ err: error, directory }, 'the key of flow tokens cannot be kept: they will not outlive this process');
    return flowKeyIn(null);
  }
}
