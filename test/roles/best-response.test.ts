/** The order of final responses (RFC 3261 16.7 step 6). What a fork makes of it is tested in
 *  test/flows/stateful/best-response.test.ts. */

import { describe, expect, it } from 'vitest';
import { NO_RESPONSE_RANK, rankOf } from '../../src/roles/proxy/best-response.ts';

const RESUBMISSION = [401, 407, 415, 420, 484];
const ALL = Array.from({ length: 400 }, (_, i) => 300 + i);

function best(...statuses: readonly number[]): number {
  return statuses.reduce((one, other) => (rankOf(other) < rankOf(one) ? other : one));
}

describe('16.7 step 6', () => {
  it('chooses from the 6xx class if there is any', () => {
    for (const decline of [600, 603, 604, 606, 699]) {
      for (const status of ALL.filter((one) => one < 600)) expect(best(status, decline)).toBe(decline);
    }
  });

  it('chooses from the lowest class otherwise, whatever it is within its class', () => {
    for (const lower of [300, 302, 380, 399]) {
      for (const status of ALL.filter((one) => one >= 400 && one < 600)) expect(best(status, lower)).toBe(lower);
    }
    for (const lower of ALL.filter((one) => one >= 400 && one < 500)) {
      for (const status of [500, 501, 503, 599]) expect(best(status, lower)).toBe(lower);
    }
  });

  it.each(RESUBMISSION)('prefers %i, which says how to ask again, to other 4xx', (status) => {
    for (const other of ALL.filter((one) => one >= 400 && one < 500 && !RESUBMISSION.includes(one))) {
      expect(best(other, status)).toBe(status);
    }
  });

  it('chooses the 407 of 503, 407, 501 and 404, as in its example', () => {
    expect(best(503, 407, 501, 404)).toBe(407);
  });

  it('keeps to the first of equals', () => {
    for (const [first, second] of [
      [600, 603],
      [603, 600],
      [302, 301],
      [404, 486],
      [486, 404],
      [401, 484],
      [500, 502],
    ] as const) {
      expect(best(first, second)).toBe(first);
    }
  });

  it('takes a 408 only where no other 4xx is, and a 503 only where nothing else is', () => {
    for (const other of ALL.filter((one) => one >= 400 && one < 500 && one !== 408))
      expect(best(408, other)).toBe(other);
    for (const other of ALL.filter((one) => one !== 503)) expect(best(503, other)).toBe(other);
    expect(best(408, 500)).toBe(408);
  });

  it('takes any response rather than none', () => {
    for (const status of ALL) expect(rankOf(status)).toBeLessThan(NO_RESPONSE_RANK);
  });
});
