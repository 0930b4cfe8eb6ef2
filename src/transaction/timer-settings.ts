/** Durations of the transaction timers (RFC 3261 table 4, RFC 6026 8.11), in milliseconds. Over a reliable transport nothing is
 *  sent again (A, E and G are 0, which means never), and nobody waits for what might be (D, I, J and K are 0). */

export class TimerValues {
  readonly t1Ms: number;
  readonly t2Ms: number;
  readonly t4Ms: number;

  readonly isReliable: boolean;

  constructor(t1Ms: number, t2Ms: number, t4Ms: number, isReliable = false) {
    this.t1Ms = t1Ms;
    this.t2Ms = t2Ms;
    this.t4Ms = t4Ms;
    this.isReliable = isReliable;
  }

  /** The same over a reliable transport. */
  overReliable(): TimerValues {
    return new TimerValues(this.t1Ms, this.t2Ms, this.t4Ms, true);
  }

  /** First interval between two INVITEs, doubled each time (17.1.1.2). */
  get a(): number {
    return this.isReliable ? 0 : this.t1Ms;
  }

  /** INVITE transaction timeout (17.1.1.2). */
  get b(): number {
    return 64 * this.t1Ms;
  }

  /** Wait for retransmitted final responses (17.1.1.2): at least 32 s over UDP, as long as a server may send them. */
  get d(): number {
    return this.isReliable ? 0 : Math.max(32_000, 64 * this.t1Ms);
  }

  /** First interval between two requests other than INVITE, doubled each time up to T2 (17.1.2.2). */
  get e(): number {
    return this.isReliable ? 0 : this.t1Ms;
  }

  /** Timeout of other transactions (17.1.2.2). */
  get f(): number {
    return 64 * this.t1Ms;
  }

  /** First interval between two final responses to an INVITE, doubled each time up to T2 (17.2.1). */
  get g(): number {
    return this.isReliable ? 0 : this.t1Ms;
  }

  /** Wait for the ACK (17.2.1). */
  get h(): number {
    return 64 * this.t1Ms;
  }

  /** Wait for retransmitted ACKs (17.2.1). */
  get i(): number {
    return this.isReliable ? 0 : this.t4Ms;
  }

  /** Wait for retransmitted requests other than INVITE (17.2.2). */
  get j(): number {
    return this.isReliable ? 0 : 64 * this.t1Ms;
  }

  /** Wait for retransmitted responses to them (17.1.2.2). */
  get k(): number {
    return this.isReliable ? 0 : this.t4Ms;
  }

  /** Wait for retransmissions of an accepted INVITE (RFC 6026 8.7). */
  get l(): number {
    return 64 * this.t1Ms;
  }

  /** Wait for retransmitted 2xx responses and those of other branches further on (RFC 6026 8.4). */
  get m(): number {
    return 64 * this.t1Ms;
  }

  /** When a client's Timer E reaches T2, counted from its request: before, no 100 to it (RFC 4320 4.1). */
  get tryingMs(): number {
    let elapsed = this.t1Ms;
    for (let interval = 2 * this.t1Ms; interval < this.t2Ms; interval *= 2) elapsed += interval;
    return elapsed;
  }
}
