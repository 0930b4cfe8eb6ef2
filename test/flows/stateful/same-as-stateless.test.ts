/** What is decided about a request does not depend on the mode: the stateful proxy forwards the same bytes to the same place
 *  as the stateless one, but for the branch, and refuses what that refuses (RFC 3261 16.3 to 16.6, 16.11). */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { branchOf, request, statusOf } from '../messages.ts';
import { ALICE, createElement, type Sent, STRANGER } from '../virtual-network.ts';
import { ANY_NETWORK, anyRequest } from './any-request.ts';
import { NOTHING_HELD } from './call.ts';

const RUNS = 2000;
/** Where to and what, without what the mode decides: a 100, the branch, the tag of our own responses. */
function essence(sent: readonly Sent[]): unknown {
  return sent
    .filter(({ text }) => statusOf(text) !== 100)
    .map(({ to, socket, text }) => ({
      to,
      socket,
      text: statusOf(text) === 0 ? text.replace(branchOf(text), 'BRANCH') : text.replace(/;tag=[^;\r]*/g, ''),
    }));
}

it('for any request', () => {
  const stateless = createElement({ ...ANY_NETWORK, mode: 'stateless' });
  const stateful = createElement({ ...ANY_NETWORK, mode: 'stateful' });
  let number = 0;
  fc.assert(
    fc.property(anyRequest, fc.boolean(), fc.integer({ min: 0, max: 1 }), (what, isStranger, socket) => {
      const from = isStranger ? STRANGER : ALICE;
      const via = `SIP/2.0/UDP ${from.address}:${from.port};branch=z9hG4bKsame${number++}`;
      const text = request({ ...what, via });
      const expected = stateless.receive(text, from, socket);
      const sent = stateful.receive(text, from, socket);
      expect(essence(sent)).toEqual(essence(expected));
      if (number % 50 === 0) stateful.advance(300_000);
    }),
    { numRuns: RUNS },
  );
  stateful.advance(300_000);
  expect(stateful.occupancy()).toEqual(NOTHING_HELD);
});
