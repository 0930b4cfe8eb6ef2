/** What a transition asks for, as bits. The records set the timers (transaction-records.ts), the rest is the transaction
 *  user's business. The four tables share them. */

export const ACTION = {
  /** Give the message or event to the transaction user. */
  PASS_UP: 1,
  /** Send the message in hand: a client's request at its start, a response that the user has for the client. */
  SEND: 2,
  /** Send once more what was sent last: the request by a client, the response by a server. */
  RETRANSMIT: 4,
  /** Client: acknowledge a final response that is no 2xx (17.1.1.3). */
  ACK: 8,
  /** No final response came, or no ACK. */
  REPORT_TIMEOUT: 16,
  REPORT_TRANSPORT_ERROR: 32,
  /** Server: keep the response for retransmissions. */
  KEEP: 64,
  /** Server: say 100, since the client's Timer E has reached T2 (RFC 4320 4.1). */
  TRYING: 128,
  /** Timer A, E or G; on a server for something else than an INVITE: the time until `TRYING`. */
  START_RETRANSMIT: 256,
  /** The retransmit interval doubles, up to its cap: T2, but for Timer A. */
  BACK_OFF: 512,
  /** The retransmit interval is T2 from now on. */
  AT_T2: 1024,
  STOP_RETRANSMIT: 2048,
  /** Timer B, F or H. */
  START_TIMEOUT: 4096,
  STOP_TIMEOUT: 8192,
  /** Timer D, I, J, K, L or M: how long what is over stays. Ends all other timers. */
  START_LINGER: 16384,
} as const;
