/** Events of server transactions (RFC 3261 figures 7 and 8, RFC 6026 8.7). A transport error is none: the transaction stays
 *  as it is (RFC 6026 8.8). */

export const SERVER_EVENT = {
  /** The request, for the first time or again. */
  REQUEST: 0,
  ACK: 1,
  SEND_1XX: 2,
  SEND_2XX: 3,
  /** 300 … 699. */
  SEND_FINAL: 4,
  /** Timer G, or the time until a 100 (RFC 4320). */
  TIMER_RETRANSMIT: 5,
  /** Timer H. */
  TIMER_TIMEOUT: 6,
  /** Timer I, J or L. */
  TIMER_LINGER: 7,
} as const;

export const SERVER_EVENTS: readonly string[] = Object.keys(SERVER_EVENT);
