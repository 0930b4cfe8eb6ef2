/** The usual expectations about what left the element. Each returns the one message it looked at. */

import { expect } from 'vitest';
import { startLineOf, statusOf } from './messages.ts';
import type { Endpoint, Sent } from './virtual-network.ts';

/** Exactly one message left. */
export function sole(sent: readonly Sent[]): Sent {
  expect(sent.map((one) => startLineOf(one.text))).toHaveLength(1);
  return sent[0]!;
}

/** One request left, to `to`. */
export function forwarded(sent: readonly Sent[], to?: Endpoint): Sent {
  const one = sole(sent);
  expect(startLineOf(one.text)).toMatch(/^[^ ]+ [^ ]+ SIP\/2\.0$/);
  if (to !== undefined) expect(one.to).toEqual(to);
  return one;
}

/** One response of that status left. */
export function answered(sent: readonly Sent[], status: number | readonly number[], to?: Endpoint): Sent {
  const one = sole(sent);
  const wanted = typeof status === 'number' ? [status] : status;
  expect(wanted, startLineOf(one.text)).toContain(statusOf(one.text));
  if (to !== undefined) expect(one.to).toEqual(to);
  return one;
}

/** One response left that says what is wrong in its reason phrase. */
export function refused(sent: readonly Sent[], status: number, reason: RegExp): Sent {
  const one = answered(sent, status);
  expect(startLineOf(one.text)).toMatch(reason);
  return one;
}

/** Nothing left. */
export function silent(sent: readonly Sent[]): void {
  expect(sent.map((one) => startLineOf(one.text))).toEqual([]);
}
