/** For tests of TCP: an element that listens on 192.0.2.254:5060 by UDP (socket 0) and by TCP (socket 1), and people who come by
 *  connections. */

import { ALICE_VIA, type RequestParts, request } from '../messages.ts';
import { openProxy } from '../stateful/call.ts';
import { createElement, type ElementOptions, type Endpoint, type VirtualElement } from '../virtual-network.ts';

export const UDP = 0;
export const TCP = 1;
export const BOTH: ElementOptions = { listen: ['192.0.2.254:5060'] };

/** Alice by a connection of hers: its source port is any. */
export const ALICE_BY_TCP: Endpoint = { address: '192.0.2.10', port: 40_123, connection: 0x7001 };
export const ALICE_TCP_VIA = ALICE_VIA.replace('UDP', 'TCP');

/** Alice's request as she sends it by TCP. */
export function byTcp(parts: RequestParts = {}): string {
  return request({ via: ALICE_TCP_VIA, ...parts });
}

/** In either mode. A stateful one has to hold nothing once the test is over. */
export function openBoth(mode: 'stateful' | 'stateless', options: ElementOptions = {}): VirtualElement {
  const all = { ...BOTH, ...options, mode };
  return mode === 'stateful' ? openProxy(all) : createElement(all);
}
