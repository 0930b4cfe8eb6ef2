/** Where HEP packets go: `udp:HOST:PORT` or `tcp:HOST:PORT`, IPv6 in brackets. Cold. */

import { isIPv4, isIPv6 } from 'node:net';
import { isHostName } from './listen-point.ts';

export interface HepTarget {
  readonly transport: 'udp' | 'tcp';
  /** A name or a literal, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** The target, or a sentence that says what is wrong with `text`. */
export function parseHepTarget(text: string): HepTarget | string {
  const shown = JSON.stringify(text);
  const [, transport, address] = /^([a-z]+):(.*)$/.exec(text) ?? [];
  if (transport !== 'udp' && transport !== 'tcp') return `${shown} does not begin with udp: or tcp:`;
  const [, bracketed, plain, port] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(address!) ?? [];
  if (port === undefined) return `${shown} has no port; that of Homer is 9060`;
  const host = bracketed ?? plain ?? '';
  const isHost = bracketed === undefined ? isIPv4(host) || isHostName(host) : isIPv6(host);
  if (!isHost) return `${shown}: ${JSON.stringify(host)} is neither a host name nor an IP address`;
  const number = Number(port);
  return number >= 1 && number <= 65_535 ? { transport, host, port: number } : `${shown}: ${port} is not a port`;
}
