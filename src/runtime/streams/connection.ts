/** One connection: bytes in, messages out, and the other way round. It belongs to one thread, that of the streams; nothing it
 *  does waits for a peer. Hot: once per message read or written.
 *
 *  Its life: opened or accepted → open → closing (nothing more is read or sent, what waits is flushed) → closed. While the
 *  shards are behind it is not read, so that TCP holds the peer back; a peer that does not read what it is sent is cut off.
 *  A peer that has gone meanwhile is heard out before the connection counts as closed.
 *  After a fault in the framing the shard may answer once, and what still comes is thrown away, since a close with bytes
 *  unread would reach the peer as a reset, before the answer. */

import { constants } from 'node:os';
import { type CLOSE_REASONS, COUNTER, type Counters } from '../../observe/counters.ts';
import { FRAME, FRAME_FAULT, StreamFramer } from '../../sip/stream-framing.ts';
import type { AddressWords } from './address-words.ts';
import type { AliasedEntry } from './connection-aliases.ts';
import type { Place } from './connection-table.ts';
import { type ConnectionIdentity, errnoOf, IdentifiedConnection } from './identified-connection.ts';
import { type SentRequest, SentRequests } from './sent-requests.ts';

export type CloseReason = (typeof CLOSE_REASONS)[number];

export interface ConnectionSettings {
  readonly messageBytes: number;
  readonly messageSec: number;
  readonly silentSec: number;
  readonly idleSec: number;
  readonly connectMs: number;
  readonly queueBytes: number;
}

/** What a connection asks of its thread. */
export interface ConnectionHost {
  readonly settings: ConnectionSettings;
  readonly counters: Counters;
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** Gives a message to the shards. False: there is no room for it now; `readOn` follows later. */
  deliver(connection: LiveConnection, bytes: Buffer, start: number, end: number, fault: number): boolean;
  /** The connection has something to flush. */
  noteOutput(connection: LiveConnection): void;
  /** A message could not be delivered; `request`: of whom its shard is told, null: of nobody. */
  undelivered(place: Place, request: SentRequest | null, errno: number): void;
  /** The connection that a response went over has turned out to be gone: it goes by another (RFC 3261 18.2.2). */
  reopen(response: SentResponse): void;
  closed(connection: LiveConnection, reason: CloseReason): void;
}

/** A response, and the record that said where it goes (RECORD of layout.ts). */
export interface SentResponse {
  readonly bytes: Buffer;
  readonly record: Int32Array;
}

/** A connection as its thread sees it, whatever it speaks. */
export interface LiveConnection extends AliasedEntry {
  readonly socketIndex: number;
  /** NO_ADDRESS unless the listening point is a wildcard. */
  readonly local: AddressWords;
  /** Messages may be sent over it. */
  readonly isOpen: boolean;
  /** The peer sends no more. It may still read, or be gone altogether, which only shows once something is sent to it. */
  readonly isHalfClosed: boolean;
  /** Sends `bytes`, which become this connection's, once `flush` is called. `request`: the shard that is told if they do not
   *  leave this process. `response`: what is said of them to `reopen` if the peer, which has closed its half, is gone. */
  send(bytes: Buffer, request: SentRequest | null, response?: SentResponse | null): void;
  flush(): void;
  /** Closes in order: what was sent is flushed, then this end says so, and the other has a while to do the same. */
  close(reason: CloseReason): void;
  /** Its source is banned. */
  ban(): void;
  /** There is room again for what was refused. */
  readOn(): void;
  /** Looks at the clock; to be called every now and then. */
  sweep(nowMs: number): void;
}

/** What a connection runs over: a socket of Node, or one of plain-sockets.ts. */
export interface ByteSocket {
  readonly destroyed: boolean;
  readonly allowHalfOpen: boolean;
  /** Bytes that wait to be sent. */
  readonly writableLength: number;
  /** Of the bytes those up to `end`, or all; they are the listener's until it returns. `view` is of the same. */
  on(event: 'data', listener: (bytes: Buffer, end?: number, view?: DataView) => void): unknown;
  on(event: 'end' | 'close' | Opening['event'], listener: () => void): unknown;
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): unknown;
  pause(): void;
  resume(): void;
  write?(bytes: Buffer): void;
  /** Where it is there, it takes the pieces one by one as well as together. */
  writeAll?(pieces: readonly Buffer[]): void;
  end(): void;
  destroy(): void;
}

/** When a connection that we open is there. */
export interface Opening {
  readonly event: 'connect' | 'secureConnect';
  /** Asked then: whether the peer is whom we wanted. */
  readonly isTrusted: () => boolean;
}

/** How long a connection may take to close in order, and a peer to read the answer to what could not be read. */
const CLOSING_MS = 2000;
/** How long a peer that has closed its half waits for answers to what it has asked: a call may ring for as long (Timer C). */
const HALF_CLOSED_MS = 185_000;
/** Pieces up to this many bytes together are copied into one, which costs less than telling the kernel of each. */
const JOIN_BYTES = 64 * 1024;
const LINE_END = Buffer.from('\r\n');
const LEAST_BUFFER_BYTES = 2048;

/** A peer that has closed its half is sent a line end after this long, and then twice as long each time: who is gone answers the
 *  first by a reset, which shows at the next. */
const PROBE_MS = 400;
/** And it is kept for this long after its last answer, to see a reset. */
const ANSWERED_MS = 1000;
/** Responses remembered of those sent to a peer that has closed its half. */
const MAX_RESPONSES = 16;
/** Where the digits of a status stand, and the first of a final one. */
const STATUS_AT = 'SIP/2.0 '.length;
const FIRST_FINAL = '2'.charCodeAt(0);
/** What a message begins with, as little-endian words: "SIP/" and "ACK ". Whatever is written otherwise, counts as a request. */
const SIP_SLASH = 0x2f504953;
const ACK_SPACE = 0x204b4341;

export class Connection extends IdentifiedConnection implements LiveConnection {
  readonly #host: ConnectionHost;
  readonly #socket: ByteSocket;
  readonly #framer: StreamFramer;
  /** Bytes of a message that is not whole, or not taken; null: none. */
  #kept: Buffer | null = null;
  #keptBytes = 0;
  /** Length of a whole message at the front of what is kept, for which there was no room. */
  #refusedBytes = 0;
  readonly #output: Buffer[] = [];
  #outputBytes = 0;
  readonly #requests = new SentRequests();
  #errno = 0;
  #reason: CloseReason | null = null;
  #isDiscarding = false;
  /** What follows is no SIP, but the answers to what came before it are still awaited. */
  #isOwingAnswers = false;
  #isHalfClosed = false;
  /** The peer has ended, or the connection is gone, and a message that came before waits for room. */
  #isEndDue = false;
  #isCloseDue = false;
  /** When the peer that has closed its half is sent a line end again, and how long that is after the last. */
  #probeAtMs = 0;
  #probeMs = 0;
  #isConnecting: boolean;
  #hasSpoken = false;
  /** Requests of the peer without a final response so far. */
  #unansweredCount = 0;
  /** Those sent lately to a peer that has closed its half. */
  readonly #responses: SentResponse[] = [];
  readonly #startedMs: number;
  #usedMs: number;
  /** When the message at the front began; 0: none has. */
  #messageSinceMs = 0;
  /** When it is ended, whatever it does; 0: no such time. */
  #deadlineMs = 0;

  /** `opening`: of a connection that is not there yet; null: it was accepted. */
  constructor(socket: ByteSocket, identity: ConnectionIdentity, host: ConnectionHost, opening: Opening | null = null) {
    super(identity);
    this.#socket = socket;
    this.#host = host;
    this.#framer = new StreamFramer(host.settings.messageBytes);
    this.#startedMs = this.#usedMs = host.nowMs();
    this.#isConnecting = opening !== null;
    if (opening !== null) this.#deadlineMs = this.#startedMs + host.settings.connectMs;
    socket.on('data', (bytes, end = bytes.length, view = viewOf(bytes)) => this.#onData(bytes, view, end));
    socket.on('end', () => this.#onEnd());
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#errno = errnoOf(error);
    });
    socket.on('close', () => this.#onClose());
    if (opening !== null) socket.on(opening.event, () => this.#onOpen(opening));
  }

  get isOpen(): boolean {
    return this.#reason === null && !this.#isEndDue && !this.#socket.destroyed;
  }

  get isHalfClosed(): boolean {
    return this.#isHalfClosed;
  }

  get isReusable(): boolean {
    return this.isOpen && !this.#isHalfClosed && !this.#isDiscarding;
  }

  send(bytes: Buffer, request: SentRequest | null, response: SentResponse | null = null): void {
    const { counters, settings } = this.#host;
    if (this.#socket.writableLength + this.#outputBytes + bytes.length > settings.queueBytes) {
      this.#host.undelivered(this, request, constants.errno.ENOBUFS);
      this.#abort('unread');
      return;
    }
    counters.count(COUNTER.stream_messages_sent_total);
    if (request !== null) this.#requests.add(request);
    else if (this.#unansweredCount > 0 && isFinal(bytes)) this.#unansweredCount--;
    if (response !== null) {
      if (this.#responses.length === MAX_RESPONSES) this.#responses.shift();
      this.#responses.push(response);
      this.#probeAfter(PROBE_MS);
    }
    this.#queue(bytes);
  }

  #queue(bytes: Buffer): void {
    if (this.#outputBytes === 0) this.#host.noteOutput(this);
    this.#output.push(bytes);
    this.#outputBytes += bytes.length;
  }

  flush(): void {
    if (this.#outputBytes === 0 || this.#isConnecting || this.#socket.destroyed) return;
    const socket = this.#socket;
    if (socket.writeAll !== undefined) socket.writeAll(this.#output);
    else if (this.#output.length === 1) socket.write!(this.#output[0]!);
    else if (this.#outputBytes <= JOIN_BYTES) socket.write!(Buffer.concat(this.#output, this.#outputBytes));
    else for (const piece of this.#output) socket.write!(piece);
    this.#host.counters.add(COUNTER.stream_bytes_sent_total, this.#outputBytes);
    this.#output.length = 0;
    this.#outputBytes = 0;
    this.#usedMs = this.#host.nowMs();
    if (socket.writableLength === 0) this.#requests.noteSent();
    // Whoever could not be understood has had its answer.
    if (this.#isDiscarding && !this.#isOwingAnswers) this.close('fault');
    else if (this.#isHalfClosed && this.#unansweredCount === 0) {
      this.#deadlineMs = Math.min(this.#deadlineMs, this.#usedMs + ANSWERED_MS);
    }
  }

  close(reason: CloseReason): void {
    if (this.#reason !== null) return;
    this.flush();
    this.#reason = reason;
    this.#isDiscarding = true;
    this.#deadlineMs = this.#host.nowMs() + CLOSING_MS;
    this.#socket.resume();
    // One that is not there yet first sends what waits.
    if (!this.#isConnecting) this.#socket.end();
    if (this.#isCloseDue) this.#onClose();
  }

  ban(): void {
    this.#abort('banned');
    if (this.#isCloseDue) this.#onClose();
  }

  readOn(): void {
    if (this.#kept === null || this.#isDiscarding || (this.#socket.destroyed && !this.#isCloseDue)) return;
    this.#takeKept();
    if (this.#refusedBytes > 0) return;
    if (this.#isCloseDue) this.#onClose();
    else if (this.#isEndDue) this.#onEnd();
    else this.#socket.resume();
  }

  sweep(nowMs: number): void {
    const { settings } = this.#host;
    if (this.#isCloseDue) return;
    if (this.#socket.writableLength + this.#outputBytes === 0) this.#requests.noteSent();
    if (this.#deadlineMs !== 0) {
      if (this.#isHalfClosed && this.#reason === null && nowMs >= this.#probeAtMs) {
        this.#probeAfter(2 * this.#probeMs);
        this.#queue(LINE_END);
      }
      if (nowMs < this.#deadlineMs) return;
      if (this.#isHalfClosed && this.#reason === null) {
        this.close('peer');
        return;
      }
      if (this.#isConnecting) this.#errno = constants.errno.ETIMEDOUT;
      if (this.#isOwingAnswers && this.#reason === null) this.#abort('junk');
      else this.#abort(this.#isConnecting ? 'unconnected' : this.#isDiscarding ? 'fault' : 'peer');
      return;
    }
    const isSlow =
      this.#messageSinceMs !== 0 &&
      this.#refusedBytes === 0 &&
      nowMs - this.#messageSinceMs >= settings.messageSec * 1000;
    const isSilent = this.source !== null && !this.#hasSpoken && nowMs - this.#startedMs >= settings.silentSec * 1000;
    if (isSlow) this.#abort('slow');
    else if (isSilent || nowMs - this.#usedMs >= settings.idleSec * 1000) this.close('idle');
  }

  #onOpen({ isTrusted }: Opening): void {
    if (!isTrusted()) {
      this.#errno = constants.errno.EACCES;
      this.#abort('untrusted');
      return;
    }
    this.#isConnecting = false;
    if (this.#reason === null) this.#deadlineMs = 0;
    this.flush();
    if (this.#reason !== null) this.#socket.end();
  }

  #onData(bytes: Buffer, view: DataView, end: number): void {
    this.#host.counters.add(COUNTER.stream_bytes_received_total, end);
    if (this.#isDiscarding) return;
    this.#requests.noteHeard();
    this.#usedMs = this.#host.nowMs();
    if (this.#kept === null) {
      const taken = this.#takeFrames(bytes, view, end);
      if (taken < end) this.#keep(bytes, taken, end);
    } else {
      this.#keep(bytes, 0, end);
      // A message for which there was no room is tried again when there is.
      if (this.#refusedBytes === 0) this.#takeKept();
    }
    if (!this.#framer.isWithin) this.#messageSinceMs = 0;
    else if (this.#messageSinceMs === 0) this.#messageSinceMs = this.#usedMs;
  }

  /** Takes what is whole at the front of the bytes up to `end`. Returns how many it has taken. */
  #takeFrames(bytes: Buffer, view: DataView, end: number): number {
    const framer = this.#framer;
    let at = 0;
    let pings = 0;
    let isMore = true;
    while (isMore) {
      let messageBytes = this.#refusedBytes;
      if (messageBytes === 0) {
        const frame = framer.next(bytes, view, at, end);
        switch (frame) {
          case FRAME.MESSAGE:
            messageBytes = framer.frameBytes;
            break;
          case FRAME.PING:
            pings++;
            at += framer.frameBytes;
            continue;
          case FRAME.LINE_ENDS:
            at += framer.frameBytes;
            continue;
          case FRAME.FAULT:
            this.#fail(bytes, at);
            return end;
          default:
            isMore = false;
            continue;
        }
      }
      this.#messageSinceMs = 0;
      this.#refusedBytes = 0;
      if (this.#host.deliver(this, bytes, at, at + messageBytes, FRAME_FAULT.NONE)) {
        if (isAnswered(bytes, at)) this.#unansweredCount++;
        at += messageBytes;
      } else {
        this.#refusedBytes = messageBytes;
        this.#host.counters.count(COUNTER.stream_stalls_total);
        this.#socket.pause();
        isMore = false;
      }
    }
    if (at > 0 || this.#refusedBytes > 0) this.#hasSpoken = true;
    if (pings > 0) this.#answerPings(pings);
    return at;
  }

  /** RFC 5626 4.4.1: a line end for each. */
  #answerPings(count: number): void {
    this.#host.counters.add(COUNTER.stream_pings_total, count);
    const pongs = count === 1 ? LINE_END : Buffer.alloc(LINE_END.length * count, LINE_END);
    if (this.#socket.writableLength + this.#outputBytes + pongs.length > this.#host.settings.queueBytes) {
      this.#abort('unread');
    } else {
      this.#queue(pongs);
    }
  }

  /** The end of the message at `start` cannot be known, so nothing more is read. The shard answers it where that is possible. */
  #fail(bytes: Buffer, start: number): void {
    const { fault, frameBytes } = this.#framer;
    this.#messageSinceMs = 0;
    const isAnswered = frameBytes > 0 && this.#host.deliver(this, bytes, start, start + frameBytes, fault);
    if (!isAnswered && this.#unansweredCount === 0) {
      this.#abort(fault === FRAME_FAULT.GARBAGE ? 'junk' : 'fault');
      return;
    }
    // Requests before it go by this connection while it is open (RFC 3261 18.2.2), and that is for us to say.
    this.#isOwingAnswers = !isAnswered;
    this.#isDiscarding = true;
    this.#deadlineMs = this.#host.nowMs() + CLOSING_MS;
  }

  #takeKept(): void {
    const kept = this.#kept!;
    const taken = this.#takeFrames(kept, viewOf(kept), this.#keptBytes);
    if (taken === this.#keptBytes || this.#isDiscarding) {
      this.#kept = null;
      this.#keptBytes = 0;
    } else if (taken > 0) {
      kept.copyWithin(0, taken, this.#keptBytes);
      this.#keptBytes -= taken;
    }
  }

  /** Keeps the rest of what has come, [start, end) of `bytes`, in a buffer of its own: it may be a small part of something large. */
  #keep(bytes: Buffer, start: number, end: number): void {
    if (this.#isDiscarding || this.#socket.destroyed) return;
    const needed = this.#keptBytes + end - start;
    if (this.#kept === null || this.#kept.length < needed) {
      const larger = Math.max(needed, this.#framer.messageBytes, 2 * this.#keptBytes, LEAST_BUFFER_BYTES);
      const grown = Buffer.allocUnsafeSlow(larger);
      if (this.#kept !== null) this.#kept.copy(grown, 0, 0, this.#keptBytes);
      this.#kept = grown;
    }
    bytes.copy(this.#kept, this.#keptBytes, start, end);
    this.#keptBytes = needed;
  }

  /** The peer sends no more. It may still read what it has asked for, or be gone altogether: a line end, which means nothing between
   *  messages (RFC 3261 7.5), is then answered by a reset. */
  #onEnd(): void {
    this.#isEndDue = this.#isUnheard;
    if (this.#isEndDue) return;
    const isAnswering = this.#unansweredCount > 0 && (this.#isOwingAnswers || !this.#isDiscarding);
    // Of TLS both halves close together.
    if (this.#reason !== null || !isAnswering || !this.#socket.allowHalfOpen) {
      this.close('peer');
      return;
    }
    this.#isHalfClosed = true;
    if (!this.#isOwingAnswers) this.#deadlineMs = this.#host.nowMs() + HALF_CLOSED_MS;
    this.#probeAfter(PROBE_MS);
    this.#queue(LINE_END);
  }

  #probeAfter(ms: number): void {
    this.#probeMs = ms;
    this.#probeAtMs = this.#host.nowMs() + ms;
  }

  #abort(reason: CloseReason): void {
    this.#reason ??= reason;
    this.#socket.destroy();
  }

  /** A whole message waits for room, and nothing speaks against it. */
  get #isUnheard(): boolean {
    return this.#refusedBytes > 0 && this.#reason === null && !this.#isDiscarding;
  }

  #onClose(): void {
    this.#isCloseDue = this.#isUnheard;
    // Whoever asked it to read on before this was in vain.
    if (this.#isCloseDue) this.#takeKept();
    if (this.#isUnheard) return;
    this.#isCloseDue = false;
    // Its peer reads no more either. That comes without an error where nobody reads.
    const isGone = this.#isHalfClosed && (this.#reason === null || this.#errno !== 0);
    const isLeft = isGone || this.#isEndDue;
    const reason = this.#reason ?? (this.#isConnecting ? 'unconnected' : isLeft ? 'peer' : 'error');
    this.#reason = reason;
    this.#kept = null;
    this.#output.length = 0;
    this.#host.closed(this, reason);
    const errno = this.#errno === 0 ? constants.errno.ECONNRESET : this.#errno;
    this.#requests.end(this.#errno !== 0, (request) => this.#host.undelivered(this, request, errno));
    if (isGone) for (const response of this.#responses) this.#host.reopen(response);
  }
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** True of a final response. */
function isFinal(bytes: Buffer): boolean {
  return bytes.length > STATUS_AT && bytes.readInt32LE(0) === SIP_SLASH && bytes[STATUS_AT]! >= FIRST_FINAL;
}

/** True of a message that gets a response: any request but an ACK. */
function isAnswered(bytes: Buffer, at: number): boolean {
  const first = bytes.length - at < 4 ? 0 : bytes.readInt32LE(at);
  return first !== SIP_SLASH && first !== ACK_SPACE;
}
