/** Where a thread with the intake takes datagrams from after its server has handed over: from the relay, by which the successor passes
 *  on what belongs to transactions here. It goes on sending by the sockets. Cold. */

import type { BoundSocket } from '../../roles/bound-socket.ts';
import { addRelay, receiveFrom } from '../udp-socket.ts';

/** null: from the sockets again. */
export function receiveByRelay(sockets: readonly BoundSocket[], relayFd: number | null): void {
  for (const { socket } of sockets) receiveFrom(socket, relayFd === null);
  addRelay(relayFd ?? -1, true);
}
