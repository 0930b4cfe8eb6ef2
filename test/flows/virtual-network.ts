/** A network of one element: datagrams are put into a slot of a small arena, the element serves the slot, and what it
 *  queued for sendmmsg is read back out of the egress table. No socket, no thread, no clock of its own. */

import { isIPv6 } from 'node:net';
import { assert } from '../../src/base/assert.ts';
import { configSchema } from '../../src/config/schema.ts';
import { type Arena, createArena } from '../../src/memory/arena.ts';
import {
  EGRESS,
  EGRESS_BYTES,
  EGRESS_STRIDE_BYTES,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  slotOffset,
} from '../../src/memory/layout.ts';
import { Counters } from '../../src/observe/counters.ts';
import type { BoundSocket } from '../../src/roles/bound-socket.ts';
import { Element } from '../../src/roles/element.ts';
import { FOUND, NOT_FOUND, type ResolverPort } from '../../src/roles/ports.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface Sent {
  readonly to: Endpoint;
  readonly socket: number;
  /** The local address it leaves from, if the element chose one (wildcard sockets). */
  readonly from?: string;
  readonly bytes: Uint8Array;
  /** Latin-1. */
  readonly text: string;
}

export interface ElementOptions {
  /** As in the configuration; the index is the socket. */
  readonly listen?: readonly (string | { readonly address: string; readonly advertise?: string })[];
  readonly domains?: readonly (string | { readonly name: string; readonly nextHops?: readonly string[] })[];
  readonly nextHops?: readonly string[];
  readonly trusted?: readonly string[];
  /** The DNS: name → addresses, or "SRV priority weight port target" under _sip._udp names. */
  readonly hosts?: Readonly<Record<string, readonly string[]>>;
}

export interface VirtualElement {
  /** Delivers one datagram and returns what the element sends because of it. `local` is the address it was sent to, which
   *  only a wildcard socket reports. */
  receive(text: string | Uint8Array, from: Endpoint, socket?: number, local?: string): Sent[];
}

/** The network of most tests. */
export const PROXY: Endpoint = { address: '192.0.2.254', port: 5060 };
export const ALICE: Endpoint = { address: '192.0.2.10', port: 5060 };
export const BOB: Endpoint = { address: '192.0.2.30', port: 5080 };
export const CHICAGO: Endpoint = { address: '198.51.100.9', port: 5060 };
export const STRANGER: Endpoint = { address: '203.0.113.66', port: 5060 };
export const HOSTS = {
  'chicago.example': ['198.51.100.9'],
  'edge.chicago.example': ['198.51.100.10'],
  'client.atlanta.example': ['192.0.2.10'],
};

/** Listens on 192.0.2.254:5060, owns biloxi.example whose next hop is Bob's server, trusts 192.0.2.0/24. */
export function createElement(options: ElementOptions = {}): VirtualElement {
  const defaults: Required<ElementOptions> = {
    listen: ['udp:192.0.2.254:5060'],
    domains: ['biloxi.example'],
    nextHops: ['sip:192.0.2.30:5080'],
    trusted: ['192.0.2.0/24'],
    hosts: HOSTS,
  };
  const arena = createArena({ shardCount: 1, slotCount: 128, jumboCount: 1 });
  const deliver = bindElement(arena, { ...defaults, ...options });
  return {
    receive(text, from, socket = 0, local) {
      const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
      const slot = bytes.length > SLOT_PAYLOAD_BYTES ? arena.map.slotCount : 0;
      fillSlot(arena, slot, bytes, from, socket, local);
      return deliver(slot);
    },
  };
}

function fillSlot(
  arena: Arena,
  slot: number,
  payload: Uint8Array,
  from: Endpoint,
  socket: number,
  local?: string,
): void {
  const offset = slotOffset(arena.map, slot);
  const word = offset >> 2;
  arena.words.fill(0, word, word + SLOT_HEADER_BYTES / 4);
  arena.words[word + SLOT.LENGTH_WORD] = payload.length;
  arena.words[word + SLOT.SOCKET_WORD] = socket;
  arena.words[word + SLOT.FAMILY_WORD] = isIPv6(from.address) ? 6 : 4;
  arena.words[word + SLOT.PORT_WORD] = from.port;
  arena.bytes.set(addressBytes(from.address), (word + SLOT.SOURCE_WORD) * 4);
  if (local !== undefined) arena.bytes.set(addressBytes(local), (word + SLOT.LOCAL_WORD) * 4);
  arena.bytes.set(payload, offset + SLOT_HEADER_BYTES);
}

function readEgress(arena: Arena, count: number): Sent[] {
  return Array.from({ length: count }, (_, entry) => {
    const word = (arena.map.egress + entry * EGRESS_STRIDE_BYTES) >> 2;
    assert(word * 4 < arena.map.egress + EGRESS_BYTES, 'an entry beyond the egress table');
    const family = arena.words[word + EGRESS.FAMILY_WORD]!;
    const parts: Uint8Array[] = [];
    for (let span = 0; span < arena.words[word + EGRESS.SPAN_COUNT_WORD]!; span++) {
      const start = arena.words[word + EGRESS.SPANS_WORD + 2 * span]!;
      parts.push(arena.bytes.slice(start, start + arena.words[word + EGRESS.SPANS_WORD + 2 * span + 1]!));
    }
    const bytes = Buffer.concat(parts);
    const local = addressText(arena, (word + EGRESS.LOCAL_WORD) * 4, family);
    return {
      to: {
        address: addressText(arena, (word + EGRESS.ADDRESS_WORD) * 4, family),
        port: arena.words[word + EGRESS.PORT_WORD]!,
      },
      socket: arena.words[word + EGRESS.SOCKET_WORD]!,
      ...(local === '0.0.0.0' || local === '::' ? {} : { from: local }),
      bytes,
      text: bytes.toString('latin1'),
    };
  });
}

/** An address in network order, 4 or 16 bytes. */
export function addressBytes(address: string): Uint8Array {
  if (!isIPv6(address)) return Uint8Array.from(address.split('.').map(Number));
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const [head = [], tail = []] = groups.map((side) => side.split(':').filter((group) => group !== ''));
  const all = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
  return Uint8Array.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]));
}

function addressText(arena: Arena, offset: number, family: number): string {
  if (family === 4) return arena.bytes.subarray(offset, offset + 4).join('.');
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((arena.bytes[offset + 2 * i]! << 8) | arena.bytes[offset + 2 * i + 1]!).toString(16),
  );
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** Binds the element of src/roles/element.ts to an arena: the returned function serves one slot and returns what was sent.
 *  The one place that knows the element's constructor. */
function bindElement(arena: Arena, { hosts, ...settings }: Required<ElementOptions>): (slot: number) => Sent[] {
  const config = configSchema.parse(settings);
  const sockets = config.listen.map(
    (point, socket): BoundSocket => ({
      socket,
      family: point.family,
      isDualStack: point.dualStack,
      address: point.host,
      port: point.port,
      isWildcard: point.host === '::' || point.host === '0.0.0.0',
      advertisedHost: point.advertisedHost,
      advertisedPort: point.advertisedPort,
    }),
  );
  let sent: Sent[] = [];
  const element = new Element(arena, 0, {
    config,
    sockets,
    localAddresses: ['192.0.2.253', '192.0.2.254', '2001:db8::53'],
    counters: new Counters(arena, 0),
    resolver: fakeResolver(hosts),
    flush(outbound) {
      sent.push(...readEgress(arena, outbound.count));
      return 0;
    },
    park: () => false,
  });
  return (slot) => {
    sent = [];
    element.serve(slot);
    element.flush();
    return sent;
  };
}

/** RFC 3263 4.2 over a map: SRV unless there is a port, the selector chooses among addresses. Never waits. */
function fakeResolver(hosts: Readonly<Record<string, readonly string[]>>): ResolverPort {
  const recordsOf = (name: string) => hosts[name.toLowerCase()] ?? [];
  return {
    find(host, port, selector, out) {
      const services = recordsOf(`_sip._udp.${host}`)
        .map((record) => record.split(' '))
        .sort((a, b) => Number(a[1]) - Number(b[1]));
      const [, , , servicePort, target] = (port === -1 ? services[0] : undefined) ?? [];
      const addresses = recordsOf(target ?? host);
      if (addresses.length === 0) return NOT_FOUND;
      const bytes = addressBytes(addresses[(selector >>> 0) % addresses.length]!);
      out.family = bytes.length === 4 ? 4 : 6;
      out.port = servicePort === undefined ? (port === -1 ? 5060 : port) : Number(servicePort);
      out.words.fill(0);
      new Uint8Array(out.words.buffer, out.words.byteOffset, 16).set(bytes);
      return FOUND;
    },
    whenResolved: () => Promise.resolve(),
  };
}
