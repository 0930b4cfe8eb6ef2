/** Where a message goes: address, port, transport and the socket it leaves by (RFC 3261 16.6 step 7, 18.2.2; RFC 3263). Runs on the
 *  shard. Hot for literals; a host name costs one string.
 */

import { ascii } from '../base/ascii.ts';
import { SLOT } from '../memory/layout.ts';
import { HOST_KIND } from '../sip/host.ts';
import { parseIpAddress } from '../sip/ip-address.ts';
import { isWord } from '../sip/lexis.ts';
import { defaultPortOf, isReliable, isWebSocket, TRANSPORT } from '../sip/transport.ts';
import type { BoundSocket } from './bound-socket.ts';
import type { HostSpan } from './own-addresses.ts';
import { FOUND, NOT_FOUND, newResolvedAddress, PENDING, type ResolverPort } from './ports.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;
type Words = Int32Array<SharedArrayBuffer>;

/** First byte of the IPv4 addresses from the multicast ones on, up to broadcast. */
const FIRST_MULTICAST_BYTE = 224;
/** The last word of ::1. */
const IPV6_LOOPBACK_WORD = 0x0100_0000;
const INVALID_NAME = ascii('.invalid');
/** No socket of the destination's transport and address family. */
export const NO_SOCKET = -1;

/** An address, port and transport found for a message, and the name that is still being looked up. Reused. */
export class Destination {
  readonly #bytes: Bytes;
  readonly #words: Words;
  readonly #sockets: readonly BoundSocket[];
  readonly #isLoopbackSocket: readonly boolean[];
  /** By socket × TRANSPORT_COUNT + transport: the socket of that transport at the same place, NO_SOCKET without one. */
  readonly #twins: Int32Array;
  /** What is used where nothing says which (RFC 3263 4.1): UDP, unless there is no socket for it. */
  readonly #usualTransport: number;
  readonly #resolver: ResolverPort;
  readonly #literal = new Int32Array(new SharedArrayBuffer(16));
  readonly #resolved = newResolvedAddress();
  family = 0;
  transport: number = TRANSPORT.UDP;
  port = 0;
  a0 = 0;
  a1 = 0;
  a2 = 0;
  a3 = 0;
  /** Of a stream the connection to prefer, 0 for any; else the IPv6 zone. */
  scope = 0;
  /** By the connection in `scope`, or not at all. */
  isOnlyConnection = false;
  /** It is by UDP, and by no flow or route that is in use already: a request may leave by TCP instead if it is too long (18.1.1). */
  mayMove = false;
  /** The name it was found by, whose certificate a secure server must have (RFC 5922 7.3); empty: it was an address. */
  name = '';
  /** What `find` was looking up when it returned PENDING. */
  pendingHost = '';
  pendingPort = -1;
  pendingTransport: number = TRANSPORT.NONE;

  constructor(bytes: Bytes, words: Words, sockets: readonly BoundSocket[], resolver: ResolverPort) {
    this.#bytes = bytes;
    this.#words = words;
    this.#sockets = sockets;
    this.#isLoopbackSocket = sockets.map(({ address }) => address.startsWith('127.') || address === '::1');
    this.#twins = twinsOf(sockets);
    this.#usualTransport = usualTransportOf(sockets);
    this.#resolver = resolver;
  }

  /** Host and port (−1: none given) of a URI or a sent-by, and its transport (NONE: none given). `selector` makes the choice among
   *  several servers the same for every message of a call; `attempt` counts those that failed before (RFC 3263 4.3): an
   *  address has none to try instead. Returns FOUND, NOT_FOUND or PENDING. */
  findHost(host: HostSpan, port: number, transport: number, selector: number, attempt = 0): number {
    if (host.hostKind !== HOST_KIND.IPV4) {
      return this.find(host.hostStart, host.hostEnd, port, transport, selector, attempt);
    }
    if (attempt > 0) return NOT_FOUND;
    this.#setPlace(4, port, transport);
    this.a0 = host.hostWord;
    this.a1 = this.a2 = this.a3 = 0;
    return this.#isSomewhere() ? FOUND : NOT_FOUND;
  }

  /** The same for a maddr or a received. */
  find(hostStart: number, hostEnd: number, port: number, transport: number, selector: number, attempt = 0): number {
    const literal = this.#literal;
    const family = parseIpAddress(this.#bytes, hostStart, hostEnd, literal, 0);
    if (family !== 0) {
      if (attempt > 0) return NOT_FOUND;
      this.setAddress(family, port, transport, literal);
      return this.#isSomewhere() ? FOUND : NOT_FOUND;
    }
    // RFC 6761 6.4, RFC 7118: clients that can only be reached by their connection are named so.
    if (this.#isInvalidName(hostStart, hostEnd)) return NOT_FOUND;
    return this.findName(this.#hostText(hostStart, hostEnd), port, transport, selector, attempt);
  }

  #isInvalidName(start: number, end: number): boolean {
    const at = end - INVALID_NAME.length;
    return at > start && isWord(this.#bytes, at, end, INVALID_NAME);
  }

  /** The same for a name known as a string. */
  findName(host: string, port: number, transport: number, selector: number, attempt = 0): number {
    const resolved = this.#resolved;
    const result =
      attempt === 0
        ? this.#resolver.find(host, port, transport, selector, resolved)
        : this.#resolver.findNext(host, port, transport, selector, attempt, resolved);
    if (result === FOUND) {
      this.setAddress(resolved.family, resolved.port, resolved.transport, resolved.words);
      this.name = host;
    } else if (result === PENDING) {
      this.pendingHost = host;
      this.pendingPort = port;
      this.pendingTransport = transport;
    }
    return result;
  }

  /** An address known beforehand; `port` −1: the default, `transport` NONE: the usual one. */
  setAddress(family: number, port: number, transport: number, words: Int32Array): void {
    this.#setPlace(family, port, transport);
    this.a0 = words[0]!;
    this.a1 = words[1]!;
    this.a2 = words[2]!;
    this.a3 = words[3]!;
  }

  #setPlace(family: number, port: number, transport: number): void {
    this.family = family;
    this.transport = transport === TRANSPORT.NONE ? this.#usualTransport : transport;
    this.port = port === -1 ? defaultPortOf(this.transport) : port;
    this.scope = 0;
    this.isOnlyConnection = false;
    this.name = '';
    this.mayMove = this.transport === TRANSPORT.UDP;
  }

  /** To where the message came from whose slot header, or what is like one, begins at `slotWord`, and of a stream by its connection
   *  alone. By its socket where that reaches it, which it may no longer after a restart with others. Returns the socket, or
   *  NO_SOCKET. */
  setFlow(slotWord: number): number {
    const words = this.#words;
    const socket = words[slotWord + SLOT.SOCKET_WORD]!;
    const source = slotWord + SLOT.SOURCE_WORD;
    this.#setPlace(
      words[slotWord + SLOT.FAMILY_WORD]!,
      words[slotWord + SLOT.PORT_WORD]!,
      socket < this.#sockets.length ? this.#sockets[socket]!.transport : TRANSPORT.UDP,
    );
    this.a0 = words[source]!;
    this.a1 = words[source + 1]!;
    this.a2 = words[source + 2]!;
    this.a3 = words[source + 3]!;
    this.scope = words[slotWord + SLOT.SCOPE_WORD]!;
    this.isOnlyConnection = isReliable(this.transport);
    this.mayMove = false;
    return this.socketFrom(socket < this.#sockets.length ? socket : 0);
  }

  /** Where a transaction's record says: socket, family, port, address, local address, scope from `at`. Returns the socket. */
  setRoute(record: Int32Array, at: number): number {
    const socket = record[at]!;
    this.#setPlace(record[at + 1]!, record[at + 2]!, this.#sockets[socket]!.transport);
    this.a0 = record[at + 3]!;
    this.a1 = record[at + 4]!;
    this.a2 = record[at + 5]!;
    this.a3 = record[at + 6]!;
    this.scope = record[at + 11]!;
    this.mayMove = false;
    return socket;
  }

  /** Writes family, port and address as a transaction's record has them, the socket in front left out. */
  copyPlace(target: Int32Array): void {
    target[1] = this.family;
    target[2] = this.port;
    target[3] = this.a0;
    target[4] = this.a1;
    target[5] = this.a2;
    target[6] = this.a3;
  }

  /** True if there is a socket for this transport at all. */
  hasTransport(transport: number): boolean {
    return this.#sockets.some((socket) => socket.transport === transport);
  }

  /** The socket to send by: the one the message came to if it has the transport, can reach the family and, being bound to loopback
   *  or not, the place; else the one of the transport beside it; else the first that can. */
  socketFrom(ingress: number): number {
    const sockets = this.#sockets;
    const { transport } = this;
    if (sockets[ingress]!.transport === transport) {
      if (this.#canReach(sockets[ingress]!)) return ingress;
    } else {
      const twin = this.#twins[ingress * TRANSPORT_COUNT + transport]!;
      if (twin !== NO_SOCKET && this.#canReach(sockets[twin]!)) return twin;
    }
    for (const socket of sockets) if (socket.transport === transport && this.#canReach(socket)) return socket.socket;
    for (const socket of sockets) {
      if (socket.transport === transport && hasFamily(socket, this.family)) return socket.socket;
    }
    return NO_SOCKET;
  }

  /** The TCP socket for a request that was found to go by UDP, NO_SOCKET without one (18.1.1). */
  tcpSocketFrom(ingress: number): number {
    this.transport = TRANSPORT.TCP;
    const socket = this.socketFrom(ingress);
    if (socket === NO_SOCKET) this.transport = TRANSPORT.UDP;
    return socket;
  }

  /** True if a message that came in the slot at `slotWord` and leaves by a wildcard `socket` should leave from the local
   *  address it came to: then our Via tells the truth about where it comes from. Not across families, and loopback
   *  addresses not to anywhere else. */
  isFromLocal(socket: number, slotWord: number): boolean {
    if (!this.#sockets[socket]!.isWildcard) return false;
    const words = this.#words;
    const local = slotWord + SLOT.LOCAL_WORD;
    if (words[slotWord + SLOT.FAMILY_WORD] !== this.family) return false;
    if ((words[local]! | words[local + 1]! | words[local + 2]! | words[local + 3]!) === 0) return false;
    const isLocalLoopback =
      this.family === 4
        ? (words[local]! & 0xff) === 127
        : (words[local]! | words[local + 1]! | words[local + 2]!) === 0 && words[local + 3] === IPV6_LOOPBACK_WORD;
    return isLocalLoopback === this.#isLoopback();
  }

  /** 0.0.0.0 and :: are this machine to the kernel and nobody to SIP; broadcast and multicast addresses are many
   *  (RFC 4475 3.3.10). Departs from RFC 3261 18.1.1: requests are not sent to multicast groups, for a proxy at the edge has
   *  no use for it and others would have: one datagram would become many. */
  #isSomewhere(): boolean {
    if (this.family !== 4) return (this.a0 & 0xff) !== 0xff && (this.a0 | this.a1 | this.a2 | this.a3) !== 0;
    return this.a0 !== 0 && (this.a0 & 0xff) < FIRST_MULTICAST_BYTE;
  }

  #canReach(socket: BoundSocket): boolean {
    if (!hasFamily(socket, this.family)) return false;
    return socket.isWildcard || this.#isLoopbackSocket[socket.socket] === this.#isLoopback();
  }

  #isLoopback(): boolean {
    if (this.family === 4) return (this.a0 & 0xff) === 127;
    return (this.a0 | this.a1 | this.a2) === 0 && this.a3 === IPV6_LOOPBACK_WORD;
  }

  #hostText(start: number, end: number): string {
    let text = '';
    for (let i = start; i < end; i++) text += String.fromCharCode(this.#bytes[i]!);
    return text;
  }
}

function hasFamily(socket: BoundSocket, family: number): boolean {
  return socket.family === family || (family === 4 && socket.isDualStack);
}

const TRANSPORT_COUNT = TRANSPORT.OTHER + 1;

/** Cold. */
function twinsOf(sockets: readonly BoundSocket[]): Int32Array {
  const twins = new Int32Array(sockets.length * TRANSPORT_COUNT).fill(NO_SOCKET);
  for (const { socket, address, port } of sockets) {
    for (const other of sockets) {
      if (other.address !== address || other.port !== port) continue;
      twins[socket * TRANSPORT_COUNT + other.transport] = other.socket;
    }
  }
  return twins;
}

/** Cold. Nobody is called by WebSocket. */
function usualTransportOf(sockets: readonly BoundSocket[]): number {
  const transports = sockets.map(({ transport }) => transport).filter((transport) => !isWebSocket(transport));
  return transports.includes(TRANSPORT.UDP) || transports.length === 0 ? TRANSPORT.UDP : transports[0]!;
}
