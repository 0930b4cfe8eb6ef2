/** Free TCP ports of loopback. */

import { freePort } from './udp-peer.ts';

/** A TCP port that no other test has. */
export function freeTcpPort(address = '127.0.0.1'): Promise<number> {
  return freePort(address);
}
