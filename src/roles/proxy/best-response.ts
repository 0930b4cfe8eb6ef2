/** Which of several final responses goes back (RFC 3261 16.7 step 6). Pure. */

/** Worse than any status. */
export const NO_RESPONSE_RANK = 10_000;

/** 4xx that tell the client how to ask again: preferred within their class. */
const INFORMATIVE = new Set([401, 407, 415, 420, 484]);

/** Rank of a final response other than a 2xx to an INVITE: the lowest is best. A 6xx wins, then the lowest class. Within
 *  4xx what helps to ask again comes first and what only timed out comes last; within 5xx a 503, which is not passed on as
 *  one, comes last. */
export function rankOf(status: number): number {
  const statusClass = Math.trunc(status / 100);
  if (statusClass === 6) return 0;
  const withinClass = INFORMATIVE.has(status) ? 0 : status === 408 || status === 503 ? 20 : 10;
  return statusClass * 100 + withinClass;
}
