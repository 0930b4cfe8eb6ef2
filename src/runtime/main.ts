/** Boots the server: sockets, arena, supervisor, control socket. Main thread, cold; read it top-down. */

import { networkInterfaces } from 'node:os';
import type { Logger } from 'pino';
import { isWildcard, type ListenPoint } from '../config/listen-point.ts';
import { type Config, shardCountOf } from '../config/schema.ts';
import { createArena } from '../memory/arena.ts';
import { OWNER_DISPATCHER, SLOT, slotOffset } from '../memory/layout.ts';
import { COUNTER, Counters, readCounters } from '../observe/counters.ts';
import type { BoundSocket } from '../roles/bound-socket.ts';
import type { ListenError, RunningServer } from './running-server.ts';
import { Supervisor } from './supervisor.ts';
import { TroubleWatch } from './trouble.ts';
import { addSocket, attach, close, openUdp, receiveDrops } from './udp-socket.ts';

const TROUBLE_CHECK_MS = 5000;

type OpenSocket = BoundSocket & { readonly fd: number; readonly text: string; readonly receiveBufferBytes: number };

/** Starts the server. Rejects with a ListenError if a socket cannot be opened; nothing is left running then. */
export async function startServer(config: Config, log: Logger): Promise<RunningServer> {
  const startedAt = Date.now();
  const sockets = openSockets(config);
  const arena = createArena({
    shardCount: shardCountOf(config),
    slotCount: config.limits.slots,
    jumboCount: config.limits.jumboSlots,
  });
  for (let slot = 0; slot < arena.map.slotCount + arena.map.jumboCount; slot++) {
    arena.words[(slotOffset(arena.map, slot) >> 2) + SLOT.OWNER_WORD] = OWNER_DISPATCHER;
  }
  const mainCounters = new Counters(arena, arena.map.shardCount + 1);
  attach(arena.bytes);
  for (const socket of sockets) addSocket(socket.socket, socket.fd, socket.family, socket.isWildcard);
  const supervisor = new Supervisor({ arena, config, sockets, localAddresses: localAddresses(), log });
  try {
    await supervisor.start();
  } catch (error) {
    for (const socket of sockets) close(socket.fd);
    throw error;
  }
  const stats = () => {
    mainCounters.set(COUNTER.kernel_drops_total, sumOf(sockets, receiveDrops));
    return readCounters(arena);
  };
  const trouble = new TroubleWatch(stats, log);
  const troubleTimer = setInterval(() => trouble.check(), TROUBLE_CHECK_MS);
  troubleTimer.unref();

  let reportExit: (code: number) => void = () => undefined;
  const finished = new Promise<number>((resolve) => {
    reportExit = resolve;
  });
  let stopping: Promise<void> | null = null;
  const stop = async () => {
    clearInterval(troubleTimer);
    await supervisor.stop();
    for (const socket of sockets) close(socket.fd);
    reportExit(0);
  };
  return {
    describe: () => ({
      listening: sockets.map((socket) => socket.text),
      mode: config.mode,
      shards: arena.map.shardCount,
      receiveBufferNotes: sockets.flatMap((socket) => clampNote(socket, config.socket.receiveBufferBytes)),
    }),
    stats,
    status: () => ({
      isReady: supervisor.isReady,
      uptimeSec: Math.floor((Date.now() - startedAt) / 1000),
      mode: config.mode,
      listening: sockets.map((socket) => socket.text),
      shards: supervisor.shards(),
    }),
    stop: () => (stopping ??= stop()),
    finished,
  };
}

/** Opens every listen point, or none. */
function openSockets(config: Config): OpenSocket[] {
  const sockets: OpenSocket[] = [];
  try {
    for (const point of config.listen) sockets.push(openSocket(point, sockets.length, config));
    return sockets;
  } catch (error) {
    for (const socket of sockets) close(socket.fd);
    throw error;
  }
}

function openSocket(point: ListenPoint, index: number, config: Config): OpenSocket {
  try {
    const { fd, port, receiveBufferBytes } = openUdp({
      host: point.host,
      port: point.port,
      family: point.family,
      dualStack: point.dualStack,
      receiveBufferBytes: config.socket.receiveBufferBytes,
      sendBufferBytes: config.socket.sendBufferBytes,
      dscp: point.dscp,
      reusePort: false,
    });
    return {
      fd,
      receiveBufferBytes,
      socket: index,
      family: point.family,
      isDualStack: point.dualStack,
      address: point.host,
      port,
      isWildcard: isWildcard(point),
      advertisedHost: point.advertisedHost,
      advertisedPort: point.advertisedPort,
      text: point.text.replace(/:\d+$/, `:${port}`),
    };
  } catch (error) {
    throw Object.assign(error as ListenError, { listen: point.text });
  }
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

function localAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address));
}
