/** Transports as small numbers, as named in Via and in the transport parameter of a URI (RFC 3261 25.1, RFC 7118).
 *  Runs on the shard. Hot: once per Via and URI, allocates nothing. */

import { ascii } from '../base/ascii.ts';
import { isWord } from './lexis.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

/** NONE: no transport is named. OTHER: a token we do not know. */
export const TRANSPORT = { NONE: 0, UDP: 1, TCP: 2, TLS: 3, SCTP: 4, WS: 5, WSS: 6, OTHER: 7 } as const;

/** By TRANSPORT: the name in a Via (section 20.42, RFC 7118 5.1). */
export const VIA_TRANSPORT_NAMES = ['UDP', 'UDP', 'TCP', 'TLS', 'SCTP', 'WS', 'WSS', ''] as const;

/** By TRANSPORT: the parameter of a URI with an address and port, where nothing else says which (19.1.1, RFC 7118 5.2). TLS is
 *  `transport=tls`, deprecated (26.2.2) and what everybody writes: without it, nobody would come by TLS to a sip URI. */
export const TRANSPORT_PARAMS = [
  '',
  '',
  ';transport=tcp',
  ';transport=tls',
  ';transport=sctp',
  ';transport=ws',
  ';transport=ws',
  '',
] as const;

/** By TRANSPORT: the port of a URI or sent-by without one (18.1.1, 19.1.2, RFC 7118 5.5). */
const DEFAULT_PORTS = [5060, 5060, 5060, 5061, 5060, 80, 443, 5060] as const;

/** True if nothing is lost on the way, so that nothing is sent again (17.1.1.2 and others: "reliable transports"). */
export function isReliable(transport: number): boolean {
  return transport > TRANSPORT.UDP && transport < TRANSPORT.OTHER;
}

/** True if what is sent by it is encrypted: what a sips URI asks for. */
export function isSecure(transport: number): boolean {
  return transport === TRANSPORT.TLS || transport === TRANSPORT.WSS;
}

/** True if a peer is reached by the connection that it has opened, and by no other: nobody calls a browser (RFC 7118 5.5). */
export function isWebSocket(transport: number): boolean {
  return transport === TRANSPORT.WS || transport === TRANSPORT.WSS;
}

/** Whether a URI that asks for the transport `asked` can mean `transport`: `ws` is said of WSS, too (RFC 7118 5.2). */
export function meansTransport(asked: number, transport: number): boolean {
  return asked === transport || (asked === TRANSPORT.WS && transport === TRANSPORT.WSS);
}

export function defaultPortOf(transport: number): number {
  return DEFAULT_PORTS[transport]!;
}

const TCP = ascii('tcp');
const TLS = ascii('tls');
const SCTP = ascii('sctp');
const WS = ascii('ws');
const WSS = ascii('wss');

/** TRANSPORT of the token in [start, end), in any case. */
export function transportOf(bytes: Bytes, start: number, end: number): number {
  const length = end - start;
  if (length === 3) {
    if ((bytes[start]! | 0x20) === 0x75) {
      return (bytes[start + 1]! | 0x20) === 0x64 && (bytes[start + 2]! | 0x20) === 0x70
        ? TRANSPORT.UDP
        : TRANSPORT.OTHER;
    }
    if (isWord(bytes, start, end, TCP)) return TRANSPORT.TCP;
    if (isWord(bytes, start, end, TLS)) return TRANSPORT.TLS;
    return isWord(bytes, start, end, WSS) ? TRANSPORT.WSS : TRANSPORT.OTHER;
  }
  if (length === 2) return isWord(bytes, start, end, WS) ? TRANSPORT.WS : TRANSPORT.OTHER;
  return isWord(bytes, start, end, SCTP) ? TRANSPORT.SCTP : TRANSPORT.OTHER;
}
