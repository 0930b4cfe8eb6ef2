/** Where a message goes: address, port and the socket it leaves by (RFC 3261 16.6 step 7, 18.2.2; RFC 3263). Runs on the
 *  shard. Hot for literals; a host name costs one string. */

import { SLOT } from '../memory/layout.ts';
import { HOST_KIND } from '../sip/host.ts';
import { parseIpAddress } from '../sip/ip-address.ts';
import type { BoundSocket } from './bound-socket.ts';
import { DEFAULT_PORT, type HostSpan } from './own-addresses.ts';
import { FOUND, NOT_FOUND, newResolvedAddress, PENDING, type ResolverPort } from './ports.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;
type Words = Int32Array<SharedArrayBuffer>;

/** First byte of the IPv4 addresses from the multicast ones on, up to broadcast. */
const FIRST_MULTICAST_BYTE = 224;
/** The last word of ::1. */
const IPV6_LOOPBACK_WORD = 0x0100_0000;
/** No socket of the destination's address family. */
export const NO_SOCKET = -1;

/** An address and port found for a message, and the name that is still being looked up. Reused. */
export class Destination {
  readonly #bytes: Bytes;
  readonly #words: Words;
  readonly #sockets: readonly BoundSocket[];
  readonly #isLoopbackSocket: readonly boolean[];
  readonly #resolver: ResolverPort;
  readonly #literal = new Int32Array(new SharedArrayBuffer(16));
  readonly #resolved = newResolvedAddress();
  family = 0;
  port = 0;
  a0 = 0;
  a1 = 0;
  a2 = 0;
  a3 = 0;
  scope = 0;
  /** What `find` was looking up when it returned PENDING. */
  pendingHost = '';
  pendingPort = -1;

  constructor(bytes: Bytes, words: Words, sockets: readonly BoundSocket[], resolver: ResolverPort) {
    this.#bytes = bytes;
    this.#words = words;
    this.#sockets = sockets;
    this.#isLoopbackSocket = sockets.map(({ address }) => address.startsWith('127.') || address === '::1');
    this.#resolver = resolver;
  }

  /** Host and port (−1: none given) of a URI or a sent-by. `selector` makes the choice among several servers the same for
   *  every message of a call; `attempt` counts those that failed before (RFC 3263 4.3): an address has none to try instead.
   *  Returns FOUND, NOT_FOUND or PENDING. */
  findHost(host: HostSpan, port: number, selector: number, attempt = 0): number {
    if (host.hostKind !== HOST_KIND.IPV4) return this.find(host.hostStart, host.hostEnd, port, selector, attempt);
    if (attempt > 0) return NOT_FOUND;
    this.family = 4;
    this.port = port === -1 ? DEFAULT_PORT : port;
    this.a0 = host.hostWord;
    this.a1 = this.a2 = this.a3 = this.scope = 0;
    return this.#isSomewhere() ? FOUND : NOT_FOUND;
  }

  /** The same for a maddr or a received. */
  find(hostStart: number, hostEnd: number, port: number, selector: number, attempt = 0): number {
    const literal = this.#literal;
    const family = parseIpAddress(this.#bytes, hostStart, hostEnd, literal, 0);
    if (family !== 0) {
      if (attempt > 0) return NOT_FOUND;
      this.family = family;
      this.port = port === -1 ? DEFAULT_PORT : port;
      this.a0 = literal[0]!;
      this.a1 = literal[1]!;
      this.a2 = literal[2]!;
      this.a3 = literal[3]!;
      this.scope = 0;
      return this.#isSomewhere() ? FOUND : NOT_FOUND;
    }
    return this.findName(this.#hostText(hostStart, hostEnd), port, selector, attempt);
  }

  /** The same for a name known as a string. */
  findName(host: string, port: number, selector: number, attempt = 0): number {
    const resolved = this.#resolved;
    const result =
      attempt === 0
        ? this.#resolver.find(host, port, selector, resolved)
        : this.#resolver.findNext(host, port, selector, attempt, resolved);
    if (result === FOUND) {
      this.family = resolved.family;
      this.port = resolved.port;
      this.a0 = resolved.words[0]!;
      this.a1 = resolved.words[1]!;
      this.a2 = resolved.words[2]!;
      this.a3 = resolved.words[3]!;
      this.scope = 0;
    } else if (result === PENDING) {
      this.pendingHost = host;
      this.pendingPort = port;
    }
    return result;
  }

  /** An address known beforehand; `port` −1: the default. */
  setAddress(family: number, port: number, words: Int32Array): void {
    this.family = family;
    this.port = port === -1 ? DEFAULT_PORT : port;
    this.a0 = words[0]!;
    this.a1 = words[1]!;
    this.a2 = words[2]!;
    this.a3 = words[3]!;
    this.scope = 0;
  }

  /** To where the datagram came from whose slot header, or what is like one, begins at `slotWord`; by its socket where that
   *  reaches it, which it may no longer after a restart with others. Returns the socket, or NO_SOCKET. */
  setFlow(slotWord: number): number {
    const words = this.#words;
    const source = slotWord + SLOT.SOURCE_WORD;
    this.family = words[slotWord + SLOT.FAMILY_WORD]!;
    this.port = words[slotWord + SLOT.PORT_WORD]!;
    this.a0 = words[source]!;
    this.a1 = words[source + 1]!;
    this.a2 = words[source + 2]!;
    this.a3 = words[source + 3]!;
    this.scope = words[slotWord + SLOT.SCOPE_WORD]!;
    const socket = words[slotWord + SLOT.SOCKET_WORD]!;
    return this.socketFrom(socket < this.#sockets.length ? socket : 0);
  }

  /** Where a transaction's record says: socket, family, port, address, local address, scope from `at`. Returns the socket. */
  setRoute(record: Int32Array, at: number): number {
    this.family = record[at + 1]!;
    this.port = record[at + 2]!;
    this.a0 = record[at + 3]!;
    this.a1 = record[at + 4]!;
    this.a2 = record[at + 5]!;
    this.a3 = record[at + 6]!;
    this.scope = record[at + 11]!;
    return record[at]!;
  }

  /** The socket to send by: the one the message came to if it can reach the family and, being bound to loopback or not,
   *  the place; else the first that can. */
  socketFrom(ingress: number): number {
    const sockets = this.#sockets;
    if (this.#canReach(sockets[ingress]!)) return ingress;
    for (const socket of sockets) if (this.#canReach(socket)) return socket.socket;
    for (const socket of sockets) if (hasFamily(socket, this.family)) return socket.socket;
    return NO_SOCKET;
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
