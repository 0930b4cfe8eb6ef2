/** Which hosts are this server: the addresses it listens on or advertises, and the domains it is responsible for
 *  (RFC 3261 16.4, 16.5, 16.11). Runs on the shard. Hot: a few times per datagram, allocates nothing. */

import { SLOT } from '../memory/layout.ts';
import { parseIpAddress } from '../sip/ip-address.ts';
import { defaultPortOf, meansTransport, TRANSPORT } from '../sip/transport.ts';
import { HOST_KIND, transportAskedBy, type UriView } from '../sip/uri.ts';
import type { BoundSocket } from './bound-socket.ts';
import { DomainNames } from './domain-names.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;
type Words = Int32Array<SharedArrayBuffer>;

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
  /** Bit 1 << TRANSPORT of each transport it is advertised for. */
  readonly transports: number;
}

/** Words of an address in `#addresses`: family, port, four of the address itself, transports as in OwnName. */
const ADDRESS_STRIDE = 7;
const TRANSPORTS = 6;
/** Words of a domain that is an address: family, domain, four of the address. */
const DOMAIN_STRIDE = 6;
/** What names no transport is at home with any. */
const ANY_TRANSPORT = -1;

export class OwnAddresses {
  readonly #bytes: Bytes;
  readonly #words: Words;
  readonly #addresses: Int32Array;
  /** Port of a wildcard socket by socket number, 0 for others. */
  readonly #wildcardPorts: Int32Array;
  readonly #sockets: readonly BoundSocket[];
  readonly #advertised: readonly OwnName[];
  readonly #domains: DomainNames;
  /** Domains that are addresses. */
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
    this.#sockets = sockets;
    const { addresses, names } = placesOf(sockets, localAddresses);
    this.#addresses = addresses;
    this.#advertised = names;
    this.#wildcardPorts = Int32Array.from(sockets, ({ isWildcard, port }) => (isWildcard ? port : 0));
    this.#domains = new DomainNames(domains);
    this.#domainAddresses = Int32Array.from(
      domains.flatMap((name, domain) => {
        const address = /^[\d[]/.test(name) ? literalWords(name) : null;
        return address === null ? [] : [address[0]!, domain, ...address.slice(1)];
      }),
    );
    this.#ports = [...new Set(sockets.flatMap((s) => [s.port, s.advertisedPort ?? s.port]))];
  }

  /** True if host and port (−1: default) are a place where this server listens by `transport`, or that it advertises; NONE: by
   *  any. An address at which the message of `slotWord` arrived on a wildcard socket counts even if the interface is new. */
  isOwnAddress(span: HostSpan, port: number, transport: number, slotWord: number): boolean {
    const effectivePort = port === -1 ? defaultPortOf(transport) : port;
    if (span.hostKind === HOST_KIND.NAME) {
      const wanted = bitOf(transport);
      for (const name of this.#advertised) {
        if (name.port === effectivePort && (name.transports & wanted) !== 0 && this.#isName(span, name.text))
          return true;
      }
      return false;
    }
    const family = this.#readHost(span);
    return family !== 0 && this.#isListening(family, effectivePort, transport, slotWord);
  }

  /** True if the message came from a socket of ours: we sent it to ourselves. The kernel lets nobody else say so (a source
   *  address of this machine does not come in from outside). Not of a stream, whose source port is any: false. */
  isOwnSource(slotWord: number): boolean {
    const words = this.#words;
    const host = this.#host;
    for (let i = 0; i < 4; i++) host[i] = words[slotWord + SLOT.SOURCE_WORD + i]!;
    const { transport } = this.#sockets[words[slotWord + SLOT.SOCKET_WORD]!]!;
    return this.#isListening(
      words[slotWord + SLOT.FAMILY_WORD]!,
      words[slotWord + SLOT.PORT_WORD]!,
      transport,
      slotWord,
    );
  }

  /** True if a maddr parameter names this server and the request came to the port and by the transport of its URI (16.4). */
  isOwnMaddr(uri: UriView, slotWord: number): boolean {
    const asked = transportAskedBy(uri);
    const transport = asked === TRANSPORT.NONE ? TRANSPORT.UDP : asked;
    const port = uri.port === -1 ? defaultPortOf(transport) : uri.port;
    const ingress = this.#sockets[this.#words[slotWord + SLOT.SOCKET_WORD]!]!;
    return meansTransport(transport, ingress.transport) && port === ingress.port && this.isMaddrOurs(uri, slotWord);
  }

  /** True if a maddr parameter is an address or a domain of ours, at the port and transport of its URI. Cold. */
  isMaddrOurs(uri: UriView, slotWord: number): boolean {
    const transport = transportAskedBy(uri);
    const port = uri.port === -1 ? defaultPortOf(transport) : uri.port;
    const family = parseIpAddress(this.#bytes, uri.maddrStart, uri.maddrEnd, this.#host, 0);
    if (family !== 0) return this.#isListening(family, port, transport, slotWord);
    const span = { hostStart: uri.maddrStart, hostEnd: uri.maddrEnd, hostKind: HOST_KIND.NAME, hostWord: 0 };
    return this.domainOf(span, port, transport, slotWord) !== FOREIGN && this.#ports.includes(port);
  }

  /** The index of the domain that host and port stand for, OWN_ADDRESS or FOREIGN. A domain name is ours whatever the port and the
   *  transport; an address only with a port of ours, for its other ports belong to others, and by a transport (NONE: any) by
   *  which we listen there. */
  domainOf(span: HostSpan, port: number, transport: number, slotWord: number): number {
    if (span.hostKind === HOST_KIND.NAME) {
      const domain = this.#domains.find(this.#bytes, span.hostStart, span.hostEnd);
      if (domain !== -1) return domain;
      return this.isOwnAddress(span, port, transport, slotWord) ? OWN_ADDRESS : FOREIGN;
    }
    const family = this.#readHost(span);
    if (family === 0) return FOREIGN;
    if (port === -1 || this.#ports.includes(port)) {
      const addresses = this.#domainAddresses;
      for (let at = 0; at < addresses.length; at += DOMAIN_STRIDE) {
        if (addresses[at] === family && this.#isAddress(addresses, at + 2)) return addresses[at + 1]!;
      }
    }
    const effectivePort = port === -1 ? defaultPortOf(transport) : port;
    return this.#isListening(family, effectivePort, transport, slotWord) ? OWN_ADDRESS : FOREIGN;
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

  /** The address in `#host`: do we listen there, by this transport? */
  #isListening(family: number, port: number, transport: number, slotWord: number): boolean {
    const addresses = this.#addresses;
    const wanted = bitOf(transport);
    for (let at = 0; at < addresses.length; at += ADDRESS_STRIDE) {
      if (addresses[at + 1] !== port || addresses[at] !== family || (addresses[at + TRANSPORTS]! & wanted) === 0)
        continue;
      if (this.#isAddress(addresses, at + 2)) return true;
    }
    const words = this.#words;
    const ingress = words[slotWord + SLOT.SOCKET_WORD]!;
    if (this.#wildcardPorts[ingress] !== port) return false;
    // Where the kernel did not say to which address the datagram came, all four words are zero.
    const host = this.#host;
    if ((host[0]! | host[1]! | host[2]! | host[3]!) === 0) return false;
    if ((namesOf(this.#sockets[ingress]!.transport) & wanted) === 0) return false;
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

/** NONE stands for all of them. */
function bitOf(transport: number): number {
  return transport === TRANSPORT.NONE ? ANY_TRANSPORT : 1 << transport;
}

/** By which URIs say that they mean this transport, as bits. */
function namesOf(transport: number): number {
  return transport === TRANSPORT.WSS ? (1 << TRANSPORT.WSS) | (1 << TRANSPORT.WS) : 1 << transport;
}

/** Where the sockets listen and what they advertise, each place once with all its transports. Cold. */
function placesOf(
  sockets: readonly BoundSocket[],
  localAddresses: readonly string[],
): { addresses: Int32Array; names: OwnName[] } {
  const addresses = new Map<string, number[]>();
  const names = new Map<string, OwnName>();
  for (const { transport, address, port, family, isDualStack, isWildcard, advertisedHost, advertisedPort } of sockets) {
    const add = (literal: string, at: number) => {
      const words = literalWords(literal);
      if (words === null) return;
      const place = [words[0]!, at, ...words.slice(1), 0];
      const known = addresses.get(place.join()) ?? place;
      addresses.set(place.join(), known);
      known[TRANSPORTS]! |= namesOf(transport);
    };
    const isReached = (literal: string) => (literal.includes(':') ? family === 6 : family === 4 || isDualStack);
    for (const literal of isWildcard ? localAddresses.filter(isReached) : [address]) add(literal, port);
    if (advertisedHost === null) continue;
    const at = advertisedPort ?? port;
    add(advertisedHost, at);
    if (literalWords(advertisedHost) !== null) continue;
    const text = advertisedHost.toLowerCase();
    const transports = (names.get(`${text}:${at}`)?.transports ?? 0) | namesOf(transport);
    names.set(`${text}:${at}`, { text: new TextEncoder().encode(text), port: at, transports });
  }
  return { addresses: Int32Array.from([...addresses.values()].flat()), names: [...names.values()] };
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
