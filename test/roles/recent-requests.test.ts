/** RFC 3261 8.2.2.2: what is known of the requests that were answered lately. That a merged one is refused is in
 *  flows/registrar/bindings.test.ts, flows/redirect/redirect.test.ts and flows/own-responses.test.ts. */

import { expect, it } from 'vitest';
import { request, statusOf } from '../flows/messages.ts';
import { ALICE, createElement } from '../flows/virtual-network.ts';

it('takes no request for another however many there are: 300,000 of them, each answered', () => {
  const proxy = createElement({ mode: 'stateful', over: 'udp' });
  const refused: number[] = [];
  for (let i = 0; i < 300_000; i++) {
    const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK${i}`;
    const parts = { method: 'OPTIONS', uri: 'sip:192.0.2.254', via, callId: `${i}@atlanta.example` };
    const [answer] = proxy.receive(request(parts), ALICE);
    if (statusOf(answer!.text) !== 200) refused.push(i);
  }
  expect(refused).toEqual([]);
});
