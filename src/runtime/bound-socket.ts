/** From a listen point of the configuration to the socket as the roles see it. Cold. */

import { isWildcard, type ListenPoint, type ListenTransport } from '../config/listen-point.ts';
import type { BoundSocket } from '../roles/bound-socket.ts';
import { TRANSPORT } from '../sip/transport.ts';

const TRANSPORT_OF: Readonly<Record<ListenTransport, number>> = {
  udp: TRANSPORT.UDP,
  tcp: TRANSPORT.TCP,
  tls: TRANSPORT.TLS,
  ws: TRANSPORT.WS,
  wss: TRANSPORT.WSS,
};

/** `socket`: its index in the socket table. `port`: the one it got, where the point asks for any. */
export function boundSocketOf(point: ListenPoint, socket: number, port: number = point.port): BoundSocket {
  return {
    socket,
    transport: TRANSPORT_OF[point.transport],
    family: point.family,
    isDualStack: point.dualStack,
    address: point.host,
    port,
    isWildcard: isWildcard(point),
    advertisedHost: point.advertisedHost,
    advertisedPort: point.advertisedPort,
  };
}

/** Taken and sent by the addon; the others are the thread of the streams' (streams/stream-thread.ts). */
export function isDatagramSocket({ transport }: Pick<BoundSocket, 'transport'>): boolean {
  return transport === TRANSPORT.UDP;
}
