/** Which hosts are this server: the addresses it listens on or advertises, and the domains it is responsible for
 *  (RFC 3261 16.4, 16.5, 16.11). Runs on the shard. Hot: a few times per datagram, allocates nothing. */

import { SLOT } from '../memory/layout.ts';
import { parseIpAddress } from '../sip/ip-address.ts';
import { HOST_KIND, type UriView } from '../sip/uri.ts';
import type { BoundSocket } from './bound-socket.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;
type Words = Int32Array<SharedArrayBuffer>;

export const DEFAULT_PORT = 5060;

/** `domainOf`: not ours, or ours by address without being a configured domain. */
export const FOREIGN = -1;
export const OWN_ADDRESS = -2;

/** A host in a URI or a Via, as their views have it. */
export interface HostSpan {
  readonly hostStart: number;
  readonly hostEnd: number;
  readonly hostKind: number;
  /** An IPv4 host as a word in network order. */
  readonly hostWord: number;
}

interface OwnName {
  readonly text: Uint8Array;
  readonly port: number;
}

/** Words of an address in `#addresses`: family, port, four of the address itself. */
const ADDRESS_STRIDE = 6;

export class OwnAddresses {
  readonly #bytes: Bytes;
  readonly #words: Words;
  /** (family, port, four words) of each address. */
  readonly #addresses: Int32Array;
  /** Port of a wildcard socket by socket number, 0 for others. */
  readonly #wildcardPorts: Int32Array;
  /** Port of each socket. */
  readonly #portOf: readonly number[];
  readonly #advertised: readonly OwnName[];
  readonly #domains: readonly Uint8Array[];
  /** Domains that are addresses: (family, domain, four words). */
  readonly #domainAddresses: Int32Array;
  readonly #ports: readonly number[];
  /** The address compared last. */
  readonly #host = new Int32Array(new SharedArrayBuffer(16));

  /** `localAddresses`: literals of this machine's interfaces, which wildcard sockets answer to. `domains`: lower-case names
   *  or literals (IPv6 in brackets). */
  constructor(
    bytes: Bytes,
    words: Words,
    sockets: readonly BoundSocket[],
    localAddresses: readonly string[],
    domains: readonly string[],
  ) {
    this.#bytes = bytes;
    this.#words = words;
    const addresses: number[] = [];
    const wildcardPorts: number[] = [];
    const advertised: OwnName[] = [];
    const add = (literal: string, port: number) => {
      const address = literalWords(literal);
      if (address !== null) addresses.push(address[0]!, port, ...address.slice(1));
    };
    for (const socket of sockets) {
      wildcardPorts[socket.socket] = socket.isWildcard ? socket.port : 0;
      if (socket.isWildcard) {
        for (const literal of localAddresses) {
          const isIpv6 = literal.includes(':');
          if (isIpv6 ? socket.family === 6 : socket.family === 4 || socket.isDualStack) add(literal, socket.port);
        }
      } else {
        add(socket.address, socket.port);
      }
      if (socket.advertisedHost !== null) {
        const port = socket.advertisedPort ?? socket.port;
        if (literalWords(socket.advertisedHost) !== null) add(socket.advertisedHost, port);
        else advertised.push({ text: new TextEncoder().encode(socket.advertisedHost.toLowerCase()), port });
      }
    }
    this.#addresses = Int32Array.from(addresses);
    this.#portOf = sockets.map(({ port }) => port);
    this.#wildcardPorts = Int32Array.from(wildcardPorts, (port) => port ?? 0);
    this.#advertised = advertised;
    this.#domains = domains.map((name) => new TextEncoder().encode(name));
    this.#domainAddresses = Int32Array.from(
      domains.flatMap((name, domain) => {
        const address = literalWords(name);
        return address === null ? [] : [address[0]!, domain, ...address.slice(1)];
      }),
    );
    this.#ports = [...new Set(sockets.flatMap((s) => [s.port, s.advertisedPort ?? s.port]))];
  }

  /** True if host and port (−1: default) are a place where this server listens or that it advertises. An address at which
   *  the datagram of `slotWord` arrived on a wildcard socket counts even if the interface is new. */
  isOwnAddress(span: HostSpan, port: number, slotWord: number): boolean {
    const effectivePort = port === -1 ? DEFAULT_PORT : port;
    if (span.hostKind === HOST_KIND.NAME) {
      for (const name of this.#advertised) {
        if (name.port === effectivePort && this.#isName(span, name.text)) return true;
      }
      return false;
    }
    const family = this.#readHost(span);
    return family !== 0 && this.#isListening(family, effectivePort, slotWord);
  }

  /** True if the datagram came from a socket of ours: we sent it to ourselves. The kernel lets nobody else say so (a source
   *  address of this machine does not come in from outside). */
  isOwnSource(slotWord: number): boolean {
    const words = this.#words;
    const host = this.#host;
    for (let i = 0; i < 4; i++) host[i] = words[slotWord + SLOT.SOURCE_WORD + i]!;
    return this.#isListening(words[slotWord + SLOT.FAMILY_WORD]!, words[slotWord + SLOT.PORT_WORD]!, slotWord);
  }

  /** True if a maddr parameter names this server and the port of its URI is the one the request came to (section 16.4). */
  isOwnMaddr(uri: UriView, slotWord: number): boolean {
    const port = uri.port === -1 ? DEFAULT_PORT : uri.port;
    return port === this.#portOf[this.#words[slotWord + SLOT.SOCKET_WORD]!] && this.isMaddrOurs(uri, slotWord);
  }

  /** True if a maddr parameter is an address or a domain of ours, at the port of its URI. Cold. */
  isMaddrOurs(uri: UriView, slotWord: number): boolean {
    const port = uri.port === -1 ? DEFAULT_PORT : uri.port;
    const family = parseIpAddress(this.#bytes, uri.maddrStart, uri.maddrEnd, this.#host, 0);
    if (family !== 0) return this.#isListening(family, port, slotWord);
    const span = { hostStart: uri.maddrStart, hostEnd: uri.maddrEnd, hostKind: HOST_KIND.NAME, hostWord: 0 };
    return this.domainOf(span, port, slotWord) !== FOREIGN && this.#ports.includes(port);
  }

  /** The index of the domain that host and port stand for, OWN_ADDRESS or FOREIGN. A domain name is ours whatever the
   *  port; an address only with a port of ours, for its other ports belong to others. */
  domainOf(span: HostSpan, port: number, slotWord: number): number {
    if (span.hostKind === HOST_KIND.NAME) {
      const domains = this.#domains;
      for (let i = 0; i < domains.length; i++) if (this.#isName(span, domains[i]!)) return i;
      return this.isOwnAddress(span, port, slotWord) ? OWN_ADDRESS : FOREIGN;
    }
    const family = this.#readHost(span);
    if (family === 0) return FOREIGN;
    if (port === -1 || this.#ports.includes(port)) {
      const addresses = this.#domainAddresses;
      for (let at = 0; at < addresses.length; at += ADDRESS_STRIDE) {
        if (addresses[at] === family && this.#isAddress(addresses, at + 2)) return addresses[at + 1]!;
      }
    }
    return this.#isListening(family, port === -1 ? DEFAULT_PORT : port, slotWord) ? OWN_ADDRESS : FOREIGN;
  }

  /** Puts the address into `#host` and returns its family, 0 if it is none. */
  #readHost(span: HostSpan): number {
    if (span.hostKind !== HOST_KIND.IPV4)
      return parseIpAddress(this.#bytes, span.hostStart, span.hostEnd, this.#host, 0);
    const host = this.#host;
    host[0] = span.hostWord;
    host[1] = host[2] = host[3] = 0;
    return 4;
  }

  /** The address in `#host`: do we listen there? */
  #isListening(family: number, port: number, slotWord: number): boolean {
    const addresses = this.#addresses;
    for (let at = 0; at < addresses.length; at += ADDRESS_STRIDE) {
      if (addresses[at] === family && addresses[at + 1] === port && this.#isAddress(addresses, at + 2)) return true;
    }
    const words = this.#words;
    if (this.#wildcardPorts[words[slotWord + SLOT.SOCKET_WORD]!] !== port) return false;
    // Where the kernel did not say to which address the datagram came, all four words are zero.
    const host = this.#host;
    if ((host[0]! | host[1]! | host[2]! | host[3]!) === 0) return false;
    return words[slotWord + SLOT.FAMILY_WORD] === family && this.#isLocal(slotWord + SLOT.LOCAL_WORD);
  }

  #isAddress(list: Int32Array, at: number): boolean {
    const host = this.#host;
    return list[at] === host[0] && list[at + 1] === host[1] && list[at + 2] === host[2] && list[at + 3] === host[3];
  }

  #isLocal(at: number): boolean {
    const host = this.#host;
    const words = this.#words;
    return words[at] === host[0] && words[at + 1] === host[1] && words[at + 2] === host[2] && words[at + 3] === host[3];
  }

  /** Host names are compared without regard to case; a closing dot says nothing new. */
  #isName(span: HostSpan, text: Uint8Array): boolean {
    const bytes = this.#bytes;
    const start = span.hostStart;
    let length = span.hostEnd - start;
    if (length > 0 && bytes[start + length - 1] === 0x2e) length--;
    if (length !== text.length) return false;
    for (let i = 0; i < length; i++) {
      const byte = bytes[start + i]!;
      if ((byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte) !== text[i]) return false;
    }
    return true;
  }
}

/** Family and four words of an address literal, IPv6 with or without brackets; null if it is a name. Cold. */
function literalWords(literal: string): number[] | null {
  const text = new TextEncoder().encode(literal);
  const bytes = new Uint8Array(new SharedArrayBuffer(text.length));
  bytes.set(text);
  const words = new Int32Array(new SharedArrayBuffer(16));
  const family = parseIpAddress(bytes, 0, text.length, words, 0);
  return family === 0 ? null : [family, ...words];
}
