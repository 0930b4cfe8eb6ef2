/** Where the server listens: `udp:ADDRESS:PORT`, `tcp:…`, `tls:…`, `ws:…` or `wss:…` as the configuration writes it, or `ADDRESS:PORT`
 *  for UDP and TCP (RFC 3261 18: every element has UDP and TCP), taken apart. Cold. */

import { isIPv4, isIPv6 } from 'node:net';

/** Transports of listen points that can be opened. */
const LISTEN_TRANSPORTS = ['udp', 'tcp', 'tls', 'ws', 'wss'] as const;

export type ListenTransport = (typeof LISTEN_TRANSPORTS)[number];

/** One socket to open. The fields are what the addon's `openUdp` asks for. */
export interface ListenPoint {
  /** With its transport, e.g. `udp:[::1]:5060`; names the socket in logs and messages. */
  readonly text: string;
  readonly transport: ListenTransport;
  /** Without brackets; `::` for the dual-stack wildcard. */
  readonly host: string;
  /** 0: any free port, told by the socket once it is open. */
  readonly port: number;
  /** Of an entry without a transport the TCP point: where the port is 0, it is the one that the point before it got. */
  readonly hasPortOfPrevious: boolean;
  readonly family: 4 | 6;
  /** True for `udp:*:PORT` only: one IPv6 socket that takes IPv4 as well. */
  readonly dualStack: boolean;
  /** What goes into our Via and Record-Route instead of the address, IPv6 in brackets; null: the address. */
  readonly advertisedHost: string | null;
  /** null: the port the socket has. */
  readonly advertisedPort: number | null;
  /** 0 … 63, the DiffServ code point of what is sent (RFC 2474). */
  readonly dscp: number;
}

export type ListenAddress = Pick<
  ListenPoint,
  'text' | 'transport' | 'host' | 'port' | 'hasPortOfPrevious' | 'family' | 'dualStack'
>;

/** The points of an entry, one or, where it names no transport, two: UDP and TCP. Or a sentence that says what is wrong with
 *  `text`. */
export function parseListenEntry(text: string): readonly ListenAddress[] | string {
  if (isAddressAlone(text)) {
    const [udp, tcp] = [parseListenAddress(`udp:${text}`), parseListenAddress(`tcp:${text}`)];
    // What is wrong with one is wrong with the other, and nobody wrote the transport.
    if (typeof udp === 'string' || typeof tcp === 'string') return String(udp).replaceAll('udp:', '');
    return [udp, { ...tcp, hasPortOfPrevious: true }];
  }
  const parsed = parseListenAddress(text);
  return typeof parsed === 'string' ? parsed : [parsed];
}

/** One point, with its transport; or a sentence that says what is wrong with `text`. */
export function parseListenAddress(text: string): ListenAddress | string {
  const shown = JSON.stringify(text);
  const [, transport, address] = /^([a-z]+):(.*)$/i.exec(text) ?? [];
  if (transport === undefined || address === undefined || isIPv6(text)) {
    return `${shown} does not begin with a transport`;
  }
  if (/^sctp$/i.test(transport)) return `${shown}: ${transport} is not there yet, only udp, tcp, tls, ws and wss`;
  if (!isListenTransport(transport)) return `${shown}: ${transport} is not a transport`;
  const parts = splitHostPort(address);
  if (parts === null) return `${shown} has no address`;
  if (isIPv6(address) || (parts.host.includes(':') && !parts.isBracketed)) {
    const host = isIPv6(parts.host) ? parts.host : address;
    return `${shown}: an IPv6 address goes in brackets, as in ${transport}:[${host}]:5060`;
  }
  if (parts.port === null) return `${shown} has no port`;
  const port = parsePort(parts.port);
  if (port === null) return `${shown}: ${JSON.stringify(parts.port)} is not a port (0 to 65535)`;
  const base = { text, transport, port, hasPortOfPrevious: false, dualStack: false } as const;
  if (!parts.isBracketed && parts.host === '*') return { ...base, host: '::', family: 6, dualStack: true };
  if (!parts.isBracketed && isIPv4(parts.host)) return { ...base, host: parts.host, family: 4 };
  if (parts.isBracketed && parts.host.includes('%')) {
    return `${shown}: an address with a zone (%…) cannot be listened on; use ${transport}:[::]:${port}`;
  }
  if (parts.isBracketed && isIPv6(parts.host)) return { ...base, host: parts.host, family: 6 };
  return `${shown}: ${JSON.stringify(parts.host)} is not an IP address`;
}

/** `host[:port]` of `advertise`, or a sentence that says what is wrong. The host keeps the brackets of an IPv6 address. */
export function parseAdvertised(text: string): { host: string; port: number | null } | string {
  const shown = JSON.stringify(text);
  const parts = splitHostPort(text);
  if (parts === null) return `${shown} has no host`;
  const port = parts.port === null ? null : parsePort(parts.port);
  if (parts.port !== null && (port === null || port === 0)) {
    return `${shown}: ${JSON.stringify(parts.port)} is not a port (1 to 65535)`;
  }
  if (isIPv6(text)) return `${shown}: an IPv6 address goes in brackets`;
  if (parts.isBracketed) {
    return isIPv6(parts.host) ? { host: `[${parts.host}]`, port } : `${shown} is not an IPv6 address`;
  }
  // A closing dot says nothing in a Via, and our own Via is looked for without it.
  const name = parts.host.toLowerCase().replace(/\.$/, '');
  if (isIPv4(name) || isHostName(name)) return { host: name, port };
  return `${shown}: ${JSON.stringify(parts.host)} is neither a host name nor an IP address`;
}

/** Two sockets that the kernel would not open beside each other. */
export function overlap(a: ListenAddress, b: ListenAddress): boolean {
  if ((a.transport === 'udp') !== (b.transport === 'udp')) return false;
  if (a.port === 0 || a.port !== b.port) return false;
  if (a.dualStack || b.dualStack) return true;
  if (a.family !== b.family) return false;
  return isWildcard(a) || isWildcard(b) || canonicalHost(a.host) === canonicalHost(b.host);
}

export function isWildcard(point: Pick<ListenAddress, 'host'>): boolean {
  const host = canonicalHost(point.host);
  return host === '0.0.0.0' || host === '::';
}

/** Departs from RFC 3261 25.1, hostname: the underscore is accepted, because names in real networks have it. */
export function isHostName(text: string): boolean {
  if (text.length > 253) return false;
  const labels = text.replace(/\.$/, '').split('.');
  if (!labels.every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label))) return false;
  return /^[a-z]/i.test(labels.at(-1)!); // a numeric last label would be a broken IPv4 address
}

function isListenTransport(text: string): text is ListenTransport {
  return LISTEN_TRANSPORTS.some((transport) => transport === text);
}

/** One spelling per address: lower case, zeros compressed (RFC 5952). */
export function canonicalHost(host: string): string {
  if (!isIPv6(host) || host.includes('%')) return host.toLowerCase();
  return new URL(`http://[${host}]/`).hostname.slice(1, -1);
}

/** `ADDRESS:PORT` and the like: what stands before the first colon is no word that could name a transport. */
function isAddressAlone(text: string): boolean {
  return isIPv6(text) || /^[\d.[*]/.test(text);
}

function splitHostPort(text: string): { host: string; port: string | null; isBracketed: boolean } | null {
  const match = /^(?:\[([^\]]*)\]|([^[\]]*?))(?::([^:]*))?$/.exec(text);
  if (match === null) return null;
  const host = match[1] ?? match[2] ?? '';
  return host === '' ? null : { host, port: match[3] ?? null, isBracketed: match[1] !== undefined };
}

function parsePort(text: string): number | null {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65535 ? Number(text) : null;
}
