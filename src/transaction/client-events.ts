/** Events of client transactions (RFC 3261 figures 5 and 6, RFC 6026 8.4). */

export const CLIENT_EVENT = {
  SEND: 0,
  RESPONSE_1XX: 1,
  RESPONSE_2XX: 2,
  /** 300 … 699. */
  RESPONSE_FINAL: 3,
  /** Timer A or E. */
  TIMER_RETRANSMIT: 4,
  /** Timer B or F. */
  TIMER_TIMEOUT: 5,
  /** Timer D, K or M. */
  TIMER_LINGER: 6,
  TRANSPORT_ERROR: 7,
} as const;

export const CLIENT_EVENTS: readonly string[] = Object.keys(CLIENT_EVENT);
