/** Where the admin HTTP listener listens: `ADDRESS:PORT` as the configuration writes it, taken apart. Cold. */

import { parseListenAddress } from './listen-point.ts';

export interface AdminAddress {
  /** Without brackets; `::` for `*`. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Every interface of this machine. */
  readonly isWildcard: boolean;
}

/** The address, or a sentence that says what is wrong with `text`. */
export function parseAdminAddress(text: string): AdminAddress | string {
  const shown = JSON.stringify(text);
  if (/^https?:/i.test(text)) return `${shown}: an address and a port, without http:`;
  // What it accepts behind the transport is the same, and so is what it finds wrong.
  const parsed = parseListenAddress(`udp:${text}`);
  if (typeof parsed === 'string') return parsed.replaceAll('udp:', '');
  const { host, port } = parsed;
  return { host, port, isWildcard: host === '0.0.0.0' || /^[0:]+$/.test(host) };
}
