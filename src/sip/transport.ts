/** Transports as small numbers, as named in Via and in the transport parameter of a URI (RFC 3261 25.1, RFC 7118).
 *  Runs on the shard. Hot: once per Via and URI, allocates nothing. */

import { ascii } from '../base/ascii.ts';
import { isWord } from './lexis.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

/** NONE: no transport is named. OTHER: a token we do not know. */
export const TRANSPORT = { NONE: 0, UDP: 1, TCP: 2, TLS: 3, SCTP: 4, WS: 5, WSS: 6, OTHER: 7 } as const;

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
