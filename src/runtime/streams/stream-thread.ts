/** The thread of the streams: accepts connections (TCP, TLS, WebSocket), opens others, and carries messages between them and the shards, over message
 *  rings. It waits for the descriptors of plain TCP (plain-sockets.ts), for the shards' eventfd and for its event loop at once; TLS
 *  and WebSockets live in the loop. What it reads wakes whoever has the intake. Hot: once per message, in so far as Node's own streams are.
 *
 *  One round, or one turn of the loop: what the shards sent is handed to the connections, each of which writes once; what
 *  connections brought is published once. Where a message cannot be delivered, its shard hears of it over the same ring. */

import { randomInt } from 'node:crypto';
import { createServer, type Server, type Socket, type TcpNetConnectOpts } from 'node:net';
import { constants } from 'node:os';
import {
  connect as connectSecurely,
  createServer as createSecureServer,
  type Server as SecureServer,
  type TLSSocket,
} from 'node:tls';
import { parentPort, workerData } from 'node:worker_threads';
import { bufferOf } from '../../base/cache-lines.ts';
import type { Config } from '../../config/schema.ts';
import { type Arena, openArena } from '../../memory/arena.ts';
import {
  DISPATCHER,
  EGRESS_FLAG,
  OWNER_DISPATCHER,
  RECORD,
  SLOT,
  SLOT_HEADER_BYTES,
  streamInboundOffset,
  streamOutboundOffset,
  UNDELIVERED,
} from '../../memory/layout.ts';
import { MessageConsumer, MessageProducer } from '../../memory/message-ring.ts';
import { COUNTER, Counters, connectionCount } from '../../observe/counters.ts';
import type { BoundSocket } from '../../roles/bound-socket.ts';
import { isSecure, isWebSocket, TRANSPORT } from '../../sip/transport.ts';
import { BanTable } from '../bans/ban-table.ts';
import { monotonicOffsetUs } from '../monotonic-clock.ts';
import { kernelThreadId } from '../thread-cpu.ts';
import type { TlsMaterial } from '../tls/certificate-files.ts';
import { SecureContexts } from '../tls/secure-contexts.ts';
import { type CertificateNames, isFor } from '../tls/sip-identities.ts';
import { createEventFd, duplicate, scheduleThread, signal, type Watch, watch } from '../udp-socket.ts';
import { addressText, addressWords, NO_ADDRESS } from './address-words.ts';
import {
  type CloseReason,
  Connection,
  type ConnectionHost,
  type LiveConnection,
  type Opening,
  type SentResponse,
} from './connection.ts';
import { ConnectionAliases } from './connection-aliases.ts';
import { ConnectionTable, type Place } from './connection-table.ts';
import type { ConnectionIdentity } from './identified-connection.ts';
import { PlainSocket, PlainSockets } from './plain-sockets.ts';
import { returnedAs, type SentRequest } from './sent-requests.ts';
import { TopVia } from './top-via.ts';
import { WebSocketConnection } from './web-socket-connection.ts';
import { WebSocketUpgrades } from './web-socket-upgrades.ts';

export interface StreamTask {
  readonly arena: SharedArrayBuffer;
  /** The listening points that are streams; their descriptors stay the main thread's. */
  readonly sockets: readonly (BoundSocket & { readonly fd: number })[];
  /** Wakes this thread. */
  readonly wakeFd: number;
  /** Wakes whoever has the intake. */
  readonly intakeFd: number;
  /** SCHED_BATCH: a shard on the same core is not preempted by what comes. */
  readonly batchScheduling: boolean;
  readonly settings: Config['streams'];
  readonly tls: Config['tls'];
  readonly webSocket: Config['webSocket'];
  /** Certificates and authorities as of now; the supervisor sends others. */
  readonly material: TlsMaterial;
  /** Sources that may not connect, as of now (bans/ban-table.ts); null: there are none. */
  readonly bans: SharedArrayBuffer | null;
  /** Connections are accepted at once; false: from `open` on. */
  readonly isOpen: boolean;
}

/** To the supervisor, once the thread has had its first turn: what comes from then on is served without delay. */
export const STREAMS_TURN = 'streams turn';

/** From the supervisor. `open`: connections from now on. `quiet`: no new ones. `stop`: what waits is sent, and all are closed. `crash`: in tests. Material: for
 *  TLS connections from now on. Bans: their connections are closed, too. */
export type StreamCommand =
  | 'open'
  | 'quiet'
  | 'stop'
  | 'crash'
  | { readonly material: TlsMaterial }
  | { readonly bans: SharedArrayBuffer | null };

const SWEEP_MS = 500;
/** What Linux gives every thread. */
const TIMER_SLACK_NS = 50_000;
/** While some connection waits for room in the ring. */
const STALL_RETRY_MS = 2;
/** Messages of the shards between two looks at the connections. */
const ROUND_MESSAGES = 1024;
/** The event loop has its turn after so many rounds, so that timers and TLS are never starved; as long as rounds wait, which
 *  tells whether it has something to do, only after so many milliseconds. */
const ROUNDS_PER_TURN = 16;
const TURN_MS = 10;
/** Of a record, as far as it says where a message goes. */
const RECORD_WORDS = SLOT_HEADER_BYTES >> 2;
/** A stop takes no longer. */
const STOP_MS = 500;
/** Connections that the kernel keeps until they are accepted; it takes no more than net.core.somaxconn. */
const BACKLOG = 4096;
/** Sessions of servers that we have connected to, for the next time; the oldest go first. */
const MAX_SESSIONS = 1024;

/** A connection that was accepted and is not yet one that messages come from: TLS is being agreed upon, or a WebSocket. */
interface Arrival {
  readonly socket: Socket;
  readonly source: string;
  readonly port: number;
  /** What it comes to if it ends now. */
  fate: 'handshake' | 'upgrade';
  /** When it was accepted, and since when an upgrade is being asked for; 0: it is not. */
  readonly sinceMs: number;
  askedMs: number;
}

class StreamThread implements ConnectionHost {
  readonly settings: Config['streams'];
  readonly counters: Counters;
  readonly #task: StreamTask;
  readonly #arena: Arena;
  /** The arena's. */
  readonly #memory: Buffer;
  readonly #inbound: MessageProducer;
  readonly #outbound: MessageConsumer[];
  readonly #sockets: (BoundSocket | undefined)[] = [];
  readonly #connections = new ConnectionTable<LiveConnection>(randomInt(2 ** 32));
  readonly #topVia: TopVia;
  readonly #aliases: ConnectionAliases<LiveConnection>;
  readonly #servers: Server[] = [];
  readonly #secureServers: SecureServer[] = [];
  readonly #contexts: SecureContexts;
  /** TLS sessions by the place and the domain that they lead to. */
  readonly #sessions = new Map<string, Buffer>();
  /** By listening point, address and port of the peer. */
  readonly #arrivals = new Map<string, Arrival>();
  /** Connections with something to flush in this turn. */
  readonly #dirty: LiveConnection[] = [];
  readonly #stalled = new Set<LiveConnection>();
  readonly #plain: PlainSockets;
  /** Has this thread's event loop call #serve. */
  readonly #turnFd = createEventFd();
  readonly #watch: Watch;
  /** The clock of the slots' receive time less performance.now(), in microseconds. */
  readonly #monotonicUs = monotonicOffsetUs();
  readonly #sweeper: NodeJS.Timeout;
  #bans: BanTable | null;
  /** A slot that only has a source, as the table of bans wants it. */
  readonly #slotOfSource = new Int32Array(new SharedArrayBuffer(SLOT_HEADER_BYTES));
  #isPublishDue = false;
  #isServing = false;
  /** Messages of the shards were left for the next round. */
  #hasMore = false;
  /** Something was begun that only a turn of the event loop brings further. */
  #needsTurn = false;
  #isQuiet = false;
  #isStopping = false;
  /** errno of the last message that found no connection. */
  #errno = 0;
  readonly #onPublish = (): void => {
    this.#isPublishDue = false;
    this.#publish();
  };

  constructor(task: StreamTask) {
    const arena = openArena(task.arena);
    const { map, words } = arena;
    this.#task = task;
    this.#arena = arena;
    this.#memory = bufferOf(arena.buffer);
    this.#topVia = new TopVia(arena);
    this.#aliases = new ConnectionAliases(arena, this.#topVia);
    arena.words[(arena.map.dispatcher >> 2) + DISPATCHER.STREAMS_THREAD_ID_WORD] = kernelThreadId();
    this.settings = task.settings;
    this.counters = new Counters(arena, map.shardCount + 2);
    this.#inbound = new MessageProducer(words, streamInboundOffset(map));
    this.#outbound = Array.from(
      { length: map.shardCount },
      (_, shard) => new MessageConsumer(words, streamOutboundOffset(map, shard)),
    );
    this.#contexts = new SecureContexts(task.tls, task.material);
    for (const socket of task.sockets) this.#sockets[socket.socket] = socket;
    this.#bans = task.bans === null ? null : new BanTable(task.bans);
    this.#buryPredecessor();
    this.#plain = new PlainSockets(task.settings.keepAliveSec, task.wakeFd);
    this.#watch = watch(this.#turnFd, () => this.#serve());
    this.#sweeper = setInterval(() => this.#sweep(), SWEEP_MS);
    if (task.isOpen) this.#listenAll();
    // A predecessor may have been told of messages that it did not send.
    this.#sendWaiting();
    if (task.batchScheduling) scheduleThread({ batch: true, timerSlackNs: TIMER_SLACK_NS });
    signal(this.#turnFd);
  }

  nowMs(): number {
    return performance.now();
  }

  obey(command: StreamCommand): void {
    if (command === 'crash') throw new Error('crash on request');
    if (typeof command === 'object' && 'bans' in command) {
      this.#useBans(command.bans);
      return;
    }
    if (typeof command === 'object') {
      this.#contexts.use(command.material);
      this.#sessions.clear();
      for (const server of this.#secureServers) server.setSecureContext(this.#contexts.serverOptions());
      return;
    }
    if (command === 'open') {
      this.#listenAll();
      return;
    }
    this.#quiet();
    if (command === 'stop') this.#stop();
  }

  deliver(connection: LiveConnection, bytes: Buffer, start: number, end: number, fault: number): boolean {
    const { words } = this.#arena;
    const offset = this.#inbound.claim(end - start);
    if (offset === -1) {
      this.#publish();
      this.#stalled.add(connection);
      if (this.#stalled.size === 1) setTimeout(() => this.#retryStalled(), STALL_RETRY_MS);
      return false;
    }
    const at = offset >> 2;
    const { local } = connection;
    words[at + SLOT.SOCKET_WORD] = connection.socketIndex;
    words[at + SLOT.FAMILY_WORD] = connection.family;
    words[at + SLOT.PORT_WORD] = connection.port;
    words[at + SLOT.SOURCE_WORD] = connection.a0;
    words[at + SLOT.SOURCE_WORD + 1] = connection.a1;
    words[at + SLOT.SOURCE_WORD + 2] = connection.a2;
    words[at + SLOT.SOURCE_WORD + 3] = connection.a3;
    words[at + SLOT.LOCAL_WORD] = local.a0;
    words[at + SLOT.LOCAL_WORD + 1] = local.a1;
    words[at + SLOT.LOCAL_WORD + 2] = local.a2;
    words[at + SLOT.LOCAL_WORD + 3] = local.a3;
    words[at + SLOT.CONNECTION_WORD] = connection.number;
    words[at + SLOT.TIME_WORD] = (performance.now() * 1000 + this.#monotonicUs) | 0;
    words[at + SLOT.OWNER_WORD] = OWNER_DISPATCHER;
    words[at + SLOT.FAULT_WORD] = fault;
    bytes.copy(this.#memory, offset + SLOT_HEADER_BYTES, start, end);
    if (connection.peerNames !== null) {
      const at = offset + SLOT_HEADER_BYTES;
      this.#aliases.note(connection, at, at + end - start);
    }
    this.#inbound.commit();
    this.counters.count(COUNTER.stream_messages_received_total);
    this.#publishSoon();
    return true;
  }

  noteOutput(connection: LiveConnection): void {
    this.#dirty.push(connection);
    this.#publishSoon();
  }

  /** Without room in the ring the shard finds out by its timers, and without transactions its client by his. */
  undelivered(place: Place, request: SentRequest | null, errno: number): void {
    this.counters.count(COUNTER.stream_undelivered_total);
    if (request === null) return;
    const offset = this.#inbound.claim(0);
    if (offset === -1) return;
    const { words } = this.#arena;
    const at = offset >> 2;
    words[at + SLOT.FAMILY_WORD] = 0;
    words[at + SLOT.OWNER_WORD] = request.shard;
    words[at + UNDELIVERED.TAG_WORD] = request.tag;
    words[at + UNDELIVERED.FLAGS_WORD] = request.flags;
    words[at + UNDELIVERED.ERRNO_WORD] = errno;
    const to = at + UNDELIVERED.PLACE_WORD;
    words[to] = place.family;
    words[to + 1] = place.port;
    words[to + 2] = place.a0;
    words[to + 3] = place.a1;
    words[to + 4] = place.a2;
    words[to + 5] = place.a3;
    this.#inbound.commit();
    if (request.origin !== null) this.#returnOrigin(request, request.origin);
    this.#publishSoon();
  }

  /** To the shard that has it no more, behind what has become of it. Cold. */
  #returnOrigin({ shard, flags }: SentRequest, origin: Buffer): void {
    const length = origin.readInt32LE(SLOT.LENGTH_WORD * 4);
    const offset = this.#inbound.claim(length);
    if (offset === -1) return;
    const { words } = this.#arena;
    const at = offset >> 2;
    origin.copy(this.#memory, offset, 0, SLOT_HEADER_BYTES + length);
    words[at + SLOT.OWNER_WORD] = shard;
    words[at + SLOT.FAULT_WORD] = returnedAs(flags, words[at + SLOT.FAULT_WORD]!);
    this.#inbound.commit();
  }

  closed(connection: LiveConnection, reason: CloseReason): void {
    this.#connections.remove(connection);
    this.#aliases.forget(connection);
    this.#stalled.delete(connection);
    if (connection.source !== null) this.#connections.dismiss(connection.source);
    this.counters.count(COUNTER[`stream_closed_${reason}_total`]);
    if (this.#isStopping && this.#connections.count === 0) this.#end();
  }

  /** Connections of a thread that crashed are gone with it. */
  #buryPredecessor(): void {
    this.counters.add(COUNTER.stream_closed_stop_total, connectionCount(this.#arena));
  }

  #useBans(bans: SharedArrayBuffer | null): void {
    this.#bans = bans === null ? null : new BanTable(bans);
    for (const connection of this.#connections) {
      const { source } = connection;
      if (source !== null && this.#isBanned(source)) connection.ban();
    }
    for (const { socket, source } of this.#arrivals.values()) if (this.#isBanned(source)) socket.destroy();
  }

  #isBanned(source: string): boolean {
    if (this.#bans === null) return false;
    const { family, a0, a1, a2, a3 } = addressWords(source);
    const slot = this.#slotOfSource;
    slot[SLOT.FAMILY_WORD] = family;
    slot[SLOT.SOURCE_WORD] = a0;
    slot[SLOT.SOURCE_WORD + 1] = a1;
    slot[SLOT.SOURCE_WORD + 2] = a2;
    slot[SLOT.SOURCE_WORD + 3] = a3;
    return this.#bans.hasSource(slot, 0);
  }

  #listenAll(): void {
    for (const socket of this.#task.sockets) this.#listen(socket);
  }

  #listen(socket: BoundSocket & { readonly fd: number }): void {
    if (socket.transport === TRANSPORT.TCP) {
      this.#plain.listen(socket.fd, (accepted) => {
        if (this.#admit(accepted)) this.#accept(accepted, socket, accepted.remoteAddress, accepted.remotePort, null);
      });
      return;
    }
    const agree = this.#agreementFor(socket);
    const server = createServer(
      {
        // A peer that leaves while TLS or a WebSocket is being agreed upon must not be waited for; nor do they know half a connection.
        allowHalfOpen: false,
        noDelay: true,
        keepAlive: true,
        keepAliveInitialDelay: this.settings.keepAliveSec * 1000,
      },
      (accepted) => this.#arrive(accepted, socket, agree),
    );
    server.listen({ fd: duplicate(socket.fd), backlog: BACKLOG });
    this.#servers.push(server);
  }

  /** What has to be agreed upon with who connects to a listening point before messages come from there; null: nothing. */
  #agreementFor(point: BoundSocket): (socket: Socket) => void {
    const upgrades = isWebSocket(point.transport) ? this.#upgradesFor(point) : null;
    if (!isSecure(point.transport)) return (socket) => upgrades!.take(socket);
    const secure = this.#secureServerFor(point, upgrades);
    return (socket) => void secure.emit('connection', socket);
  }

  /** Counts an accepted connection, and resets it if there are too many, or its source is banned. */
  #admit(socket: Socket | PlainSocket): boolean {
    const source = socket.remoteAddress ?? '';
    const isBanned = this.#isBanned(source);
    const isAdmitted =
      !isBanned &&
      (socket.remotePort ?? 0) !== 0 &&
      !this.#isQuiet &&
      this.#connections.count + this.#arrivals.size < this.settings.connections &&
      this.#connections.admit(source, this.settings.connectionsPerSource);
    if (isAdmitted) {
      this.counters.count(COUNTER.stream_accepted_total);
      return true;
    }
    this.counters.count(isBanned ? COUNTER.stream_banned_total : COUNTER.stream_refused_total);
    // One that was reset before it was accepted has errors of its own.
    if (!(socket instanceof PlainSocket)) socket.on('error', () => undefined);
    socket.resetAndDestroy();
    return false;
  }

  #arrive(socket: Socket, point: BoundSocket, agree: (socket: Socket) => void): void {
    const source = socket.remoteAddress ?? '';
    const port = socket.remotePort ?? 0;
    const key = arrivalKey(point, source, port);
    const before = this.#arrivals.get(key);
    if (before !== undefined) {
      // Its client has reset it and comes again. That end is seen only later, and would be taken for the end of this one.
      this.#arrivals.delete(key);
      this.#turnAway(source, before.fate);
      before.socket.destroy();
    }
    if (!this.#admit(socket)) return;
    const arrival: Arrival = {
      socket,
      source,
      port,
      fate: isSecure(point.transport) ? 'handshake' : 'upgrade',
      sinceMs: this.nowMs(),
      askedMs: 0,
    };
    this.#arrivals.set(key, arrival);
    // What is wrong with it is TLS's to tell, or HTTP's; here it is only closed.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      if (this.#arrivals.get(key) !== arrival) return;
      this.#arrivals.delete(key);
      this.#turnAway(source, arrival.fate);
    });
    agree(socket);
  }

  /** What was accepted comes to nothing. */
  #turnAway(source: string, reason: CloseReason): void {
    this.#connections.dismiss(source);
    this.counters.count(COUNTER[`stream_closed_${reason}_total`]);
  }

  #accept(
    socket: Socket | PlainSocket,
    point: BoundSocket,
    source: string,
    port: number,
    peerNames: CertificateNames | null,
  ): void {
    const identity = this.#identityOf(socket, point, source, port, peerNames);
    this.#connections.add(new Connection(socket, identity, this));
  }

  #identityOf(
    socket: Socket | PlainSocket,
    point: BoundSocket,
    source: string,
    port: number,
    peerNames: CertificateNames | null,
  ): ConnectionIdentity {
    return {
      number: this.#connections.newNumber(),
      socket: point.socket,
      transport: point.transport,
      peer: addressWords(source),
      port,
      local: point.isWildcard ? addressWords(socket.localAddress) : NO_ADDRESS,
      source,
      serverName: '',
      peerNames,
    };
  }

  /** Agrees upon WebSockets with what others have accepted. */
  #upgradesFor(point: BoundSocket): WebSocketUpgrades {
    const { webSocket: settings } = this.#task;
    return new WebSocketUpgrades({
      settings,
      messageBytes: this.settings.messageBytes,
      counters: this.counters,
      onUpgraded: (webSocket, socket) => {
        const key = arrivalKey(point, socket.remoteAddress ?? '', socket.remotePort ?? 0);
        const arrival = this.#arrivals.get(key);
        if (arrival === undefined) {
          // Its peer is gone again, and with it the address that it had.
          webSocket.on('error', () => undefined);
          webSocket.terminate();
          return;
        }
        this.#arrivals.delete(key);
        const identity = this.#identityOf(socket, point, arrival.source, arrival.port, null);
        this.#connections.add(new WebSocketConnection(webSocket, socket, identity, this, settings));
      },
    });
  }

  /** Agrees upon TLS with what others have accepted. `upgrades`: what comes then; null: messages. */
  #secureServerFor(point: BoundSocket, upgrades: WebSocketUpgrades | null): SecureServer {
    const options = {
      ...this.#contexts.serverOptions(),
      // As for a first message: when thousands come back at once, the last of them waits for all the others.
      handshakeTimeout: this.settings.silentSec * 1000,
    };
    const server = createSecureServer(options, (socket) => {
      const key = arrivalKey(point, socket.remoteAddress ?? '', socket.remotePort ?? 0);
      const arrival = this.#arrivals.get(key);
      if (arrival === undefined) {
        // Its peer is gone again, and with it the address that it had.
        socket.on('error', () => undefined);
        socket.destroy();
        return;
      }
      this.#noteHandshake(socket);
      const isTrusted = this.#isClientTrusted(socket);
      if (isTrusted && upgrades !== null) {
        arrival.fate = 'upgrade';
        arrival.askedMs = this.nowMs();
        socket.on('error', () => undefined);
        upgrades.take(socket);
        return;
      }
      this.#arrivals.delete(key);
      if (isTrusted) {
        this.#accept(socket, point, arrival.source, arrival.port, this.#provenNames(socket));
        return;
      }
      this.#turnAway(arrival.source, 'untrusted');
      socket.on('error', () => undefined);
      socket.destroy();
    });
    // The connection is closed, and counted then.
    server.on('tlsClientError', (_, socket) => socket.destroy());
    this.#secureServers.push(server);
    return server;
  }

  #noteHandshake(socket: TLSSocket): void {
    this.counters.count(COUNTER.stream_tls_handshakes_total);
    if (socket.isSessionReused()) this.counters.count(COUNTER.stream_tls_resumptions_total);
  }

  /** RFC 5922 7.4: what is asked of those who connect is the operator's policy. */
  #isClientTrusted(socket: TLSSocket): boolean {
    const { clientCertificates, clientNames } = this.#task.tls;
    if (clientCertificates === 'off') return true;
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return clientCertificates === 'optional';
    return socket.authorized && (clientNames.length === 0 || clientNames.some((name) => isFor(certificate, name)));
  }

  /** The names of a client's certificate for aliases (RFC 5923 9.2); null: it has not shown one that will do. */
  #provenNames(socket: TLSSocket): CertificateNames | null {
    if (!this.#task.tls.aliases || !socket.authorized) return null;
    const certificate = socket.getPeerX509Certificate();
    if (certificate === undefined) return null;
    const { subjectAltName, subject } = certificate;
    return { subjectAltName, subject };
  }

  /** Hands over what the shards have sent. */
  #sendWaiting(): void {
    let left = ROUND_MESSAGES;
    for (let shard = 0; shard < this.#outbound.length; shard++) {
      const ring = this.#outbound[shard]!;
      // Cleared before the look; the look is unconditional, since a turn may have ended early.
      ring.isNotified();
      for (let offset = ring.next(); offset !== -1 && left > 0; offset = ring.next(), left--) {
        this.#sendRecord(ring, offset, shard);
      }
    }
    this.#hasMore = left === 0;
    this.#flush();
  }

  #sendRecord(ring: MessageConsumer, offset: number, shard: number): void {
    const { words, bytes } = this.#arena;
    const at = offset >> 2;
    const length = words[at + SLOT.LENGTH_WORD]!;
    const tag = words[at + RECORD.TAG_WORD]!;
    const flags = words[at + RECORD.FLAGS_WORD]!;
    const payload = offset + SLOT_HEADER_BYTES;
    const originBytes = (flags & EGRESS_FLAG.WITH_ORIGIN) === 0 ? 0 : SLOT_HEADER_BYTES + words[payload >> 2]!;
    const start = payload + originBytes;
    const nameBytes = words[at + RECORD.NAME_BYTES_WORD]!;
    const copyFrom = originBytes === 0 ? start + nameBytes : payload;
    const copy = Buffer.allocUnsafe(payload + length - copyFrom);
    this.#memory.copy(copy, 0, copyFrom, payload + length);
    const message = originBytes === 0 ? copy : copy.subarray(originBytes + nameBytes);
    const serverName =
      nameBytes === 0
        ? ''
        : Buffer.from(bytes.slice(start, start + nameBytes))
            .toString('latin1')
            .toLowerCase();
    const connection = this.#connectionFor(at, serverName);
    const place = connection === null ? placeAt(words, at) : connection;
    const isUncertain = tag === 0 && connection !== null && connection.isHalfClosed;
    const response = isUncertain ? { bytes: message, record: words.slice(at, at + RECORD_WORDS) } : null;
    // Released before anything is done with it: should this thread die of it, its successor does not meet it.
    ring.release();
    if (connection !== null && connection.transport !== TRANSPORT.TCP) this.#needsTurn = true;
    const request = tag === 0 ? null : { shard, tag, flags, origin: originBytes === 0 ? null : copy };
    if (connection === null) this.undelivered(place, request, this.#errno);
    else connection.send(message, request, response);
  }

  reopen({ bytes, record }: SentResponse): void {
    const point = this.#sockets[record[SLOT.SOCKET_WORD]!];
    if (point === undefined || this.#isStopping) return;
    const connection = this.#otherConnectionFor(point, record, 0, '') ?? this.#open(point, record, 0, '');
    connection?.send(bytes, null);
  }

  /** The connection that the record at word `at` goes over: the one it names, else any to the same place, else a new one. null:
   *  there is none to be had, and #errno says why.
   *
   *  One whose peer has closed its half is still open for responses (RFC 3261 18.2.2), and for nothing else. */
  #connectionFor(at: number, serverName: string): LiveConnection | null {
    const { words } = this.#arena;
    const number = words[at + SLOT.CONNECTION_WORD]!;
    const named = number === 0 ? undefined : this.#connections.byNumber(number);
    const isResponse = words[at + RECORD.TAG_WORD] === 0;
    if (named?.isOpen && (isResponse || !named.isHalfClosed)) return named;
    if ((words[at + RECORD.FLAGS_WORD]! & EGRESS_FLAG.ONLY_CONNECTION) !== 0) {
      this.#errno = constants.errno.ENOTCONN;
      return null;
    }
    const point = this.#sockets[words[at + SLOT.SOCKET_WORD]!];
    if (point === undefined || this.#isStopping) {
      this.#errno = constants.errno.ENETDOWN;
      return null;
    }
    // Nobody waits for WebSockets that we would open (RFC 7118 5.5: a browser is reached by its own).
    if (isWebSocket(point.transport)) {
      this.#errno = constants.errno.ENOTCONN;
      return null;
    }
    const other = this.#otherConnectionFor(point, words, at, serverName);
    if (other !== null) return other;
    const isNamed = serverName !== '' || !isResponse || point.transport !== TRANSPORT.TLS;
    return this.#open(point, words, at, isNamed ? serverName : this.#clientName(at));
  }

  /** Who must be there when a connection is opened for the response in the record at word `at`: the client's own name, which it says in
   *  its Via. An address is what the certificate of hardly anybody is for. */
  #clientName(at: number): string {
    const start = (at << 2) + SLOT_HEADER_BYTES;
    const isRead = this.#topVia.read(start, start + this.#arena.words[at + SLOT.LENGTH_WORD]!);
    return isRead ? this.#topVia.sentByName : '';
  }

  /** Any to the same place: one that we have opened, that comes from there, or that has an alias for it. */
  #otherConnectionFor(
    { transport }: BoundSocket,
    words: Int32Array,
    at: number,
    serverName: string,
  ): LiveConnection | null {
    const family = words[at + SLOT.FAMILY_WORD]!;
    const port = words[at + SLOT.PORT_WORD]!;
    const source = at + SLOT.SOURCE_WORD;
    const a0 = words[source]!;
    const a1 = words[source + 1]!;
    const a2 = words[source + 2]!;
    const a3 = words[source + 3]!;
    return (
      this.#connections.byPeer(transport, family, port, a0, a1, a2, a3, serverName) ??
      this.#aliases.find(transport, family, port, a0, a1, a2, a3, serverName)
    );
  }

  /** One that is opened to where the record at word `at` of `words` is to go. */
  #open(point: BoundSocket, words: Int32Array, at: number, serverName: string): Connection | null {
    const family = words[at + SLOT.FAMILY_WORD]!;
    const port = words[at + SLOT.PORT_WORD]!;
    if (this.#connections.count + this.#arrivals.size >= this.settings.connections) {
      this.counters.count(COUNTER.stream_refused_total);
      this.#errno = constants.errno.EMFILE;
      return null;
    }
    if (port === 0) {
      this.#errno = constants.errno.EADDRNOTAVAIL;
      return null;
    }
    const host = addressText(words, at + SLOT.SOURCE_WORD, family);
    const isLocalKnown = [0, 1, 2, 3].some((i) => words[at + SLOT.LOCAL_WORD + i] !== 0);
    const localText = point.isWildcard
      ? isLocalKnown
        ? addressText(words, at + SLOT.LOCAL_WORD, family)
        : null
      : point.address;
    const options: TcpNetConnectOpts = {
      host,
      port,
      family,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: this.settings.keepAliveSec * 1000,
      autoSelectFamily: false,
      ...(localText === null ? {} : { localAddress: localText }),
    };
    this.counters.count(COUNTER.stream_opened_total);
    const identity = {
      number: this.#connections.newNumber(),
      socket: point.socket,
      transport: point.transport,
      peer: addressWords(host),
      port,
      local: point.isWildcard && localText !== null ? addressWords(localText) : NO_ADDRESS,
      source: null,
      serverName,
      peerNames: null,
    };
    const connection =
      point.transport === TRANSPORT.TLS
        ? this.#openSecurely(options, identity)
        : new Connection(
            this.#plain.connect({ host, port, family: family as 4 | 6, localHost: localText ?? '' }),
            identity,
            this,
            { event: 'connect', isTrusted: () => true },
          );
    this.#connections.add(connection);
    return connection;
  }

  /** RFC 5922 7.3: a server that is not authenticated is sent nothing. */
  #openSecurely(options: TcpNetConnectOpts, identity: ConnectionIdentity): Connection {
    const { serverName } = identity;
    const sessionKey = `${options.host} ${options.port} ${serverName}`;
    const session = this.#sessions.get(sessionKey);
    const { allowHalfOpen: _, ...where } = options;
    const socket = connectSecurely({
      ...where,
      ...this.#contexts.clientOptions(),
      ...(serverName === '' ? {} : { servername: serverName }),
      ...(session === undefined ? {} : { session }),
    });
    // A session is only worth keeping once we know whose it is: who resumes it shows no certificate again.
    let isTrusted = false;
    let latest: Buffer | null = null;
    const keep = () => {
      if (!isTrusted || latest === null) return;
      this.#sessions.delete(sessionKey);
      this.#sessions.set(sessionKey, latest);
      if (this.#sessions.size > MAX_SESSIONS) this.#sessions.delete(this.#sessions.keys().next().value!);
    };
    socket.on('session', (next) => {
      latest = next;
      keep();
    });
    const opening: Opening = {
      event: 'secureConnect',
      isTrusted: () => {
        this.#noteHandshake(socket);
        isTrusted = this.#isServerTrusted(socket, serverName === '' ? options.host! : serverName);
        keep();
        return isTrusted;
      },
    };
    return new Connection(socket, identity, this, opening);
  }

  #isServerTrusted(socket: TLSSocket, host: string): boolean {
    if (!this.#task.tls.verifyServers) return true;
    if (!socket.authorized) return false;
    if (socket.isSessionReused()) return true;
    const certificate = socket.getPeerX509Certificate();
    return certificate !== undefined && isFor(certificate, host);
  }

  #flush(): void {
    for (const connection of this.#dirty) connection.flush();
    this.#dirty.length = 0;
  }

  /** For as long as the event loop has nothing to do: what connections bring goes to the shards, what those send goes out. Called by
   *  the loop, which has its turn in between. */
  #serve(): void {
    this.#isServing = true;
    this.#needsTurn = false;
    const turnAtMs = this.nowMs() + TURN_MS;
    for (let round = 0; round < ROUNDS_PER_TURN; round++) {
      const mayWait = !this.#hasMore;
      const isLoopIdle = this.#plain.serve(mayWait ? -1 : 0);
      this.#sendWaiting();
      this.#publish();
      if (!isLoopIdle || this.#needsTurn || this.#plain.hasTicks) break;
      if (mayWait && this.nowMs() < turnAtMs) round = 0;
    }
    this.#isServing = false;
    signal(this.#turnFd);
  }

  /** At the end of this turn of the event loop, or of this round: what several connections have brought costs one signal. */
  #publishSoon(): void {
    if (this.#isPublishDue || this.#isServing) return;
    this.#isPublishDue = true;
    setImmediate(this.#onPublish);
  }

  #publish(): void {
    this.#flush();
    if (this.#inbound.publish()) signal(this.#task.intakeFd);
  }

  #retryStalled(): void {
    const stalled = [...this.#stalled];
    this.#stalled.clear();
    for (const connection of stalled) connection.readOn();
  }

  #sweep(): void {
    const nowMs = this.nowMs();
    for (const connection of this.#connections) connection.sweep(nowMs);
    for (const arrival of this.#arrivals.values()) {
      if (arrival.fate === 'upgrade' && this.#isLate(arrival, nowMs)) arrival.socket.destroy();
    }
  }

  /** A request for a WebSocket has as long as a message, and the first byte of it as long as that of a first message. */
  #isLate(arrival: Arrival, nowMs: number): boolean {
    const { messageSec, silentSec } = this.settings;
    if (arrival.askedMs === 0 && arrival.socket.bytesRead > 0) arrival.askedMs = nowMs;
    const isSlow = arrival.askedMs !== 0 && nowMs - arrival.askedMs >= messageSec * 1000;
    return isSlow || nowMs - arrival.sinceMs >= silentSec * 1000;
  }

  #quiet(): void {
    if (this.#isQuiet) return;
    this.#isQuiet = true;
    for (const server of this.#servers) server.close();
    this.#plain.stopListening();
  }

  #stop(): void {
    if (this.#isStopping) return;
    this.#sendWaiting();
    this.#isStopping = true;
    for (const { socket } of this.#arrivals.values()) socket.destroy();
    for (const connection of this.#connections) connection.close('stop');
    if (this.#connections.count === 0) this.#end();
    else setTimeout(() => this.#end(), STOP_MS);
  }

  #end(): void {
    this.#watch.close();
    clearInterval(this.#sweeper);
    // Not within a callback of the addon.
    setImmediate(() => process.exit(0));
  }
}

function arrivalKey(point: BoundSocket, source: string, port: number): string {
  return `${point.socket} ${source} ${port}`;
}

const thread = new StreamThread(workerData as StreamTask);
parentPort!.on('message', (command: StreamCommand) => thread.obey(command));
setImmediate(() => parentPort!.postMessage(STREAMS_TURN));

/** Where the record at word `at` is to go. Cold. */
function placeAt(words: Int32Array, at: number): Place {
  const source = at + SLOT.SOURCE_WORD;
  return {
    family: words[at + SLOT.FAMILY_WORD]!,
    port: words[at + SLOT.PORT_WORD]!,
    a0: words[source]!,
    a1: words[source + 1]!,
    a2: words[source + 2]!,
    a3: words[source + 3]!,
  };
}
