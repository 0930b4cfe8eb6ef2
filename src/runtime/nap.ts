/** How long a nap lets datagrams gather. Runs on the thread that has the intake. Hot: once per batch, allocates nothing.
 *
 *  Waking threads costs more than serving a message, so at moderate rates a nap of half a millisecond halves the CPU. It
 *  must never cost throughput though: a sender that waits for answers (a closed loop) would be slowed down by every nap
 *  and, seen from here, look like a lower rate. So the habit is on trial: every now and then its rate is compared with
 *  that of a few milliseconds of the contrary. If staying awake raises the rate by a third, naps stop until a later
 *  trial shows that they do no harm. Trials grow rarer while they change nothing. */

/** The rate is worth a nap when at least this many datagrams would gather in it. */
const WORTHWHILE_DATAGRAMS = 4;
/** Time constant of the rate's moving average. */
const RATE_TIME_CONSTANT_US = 10_000;
/** A rate without naps that exceeds the rate with them by this factor shows a closed loop. */
const CLOSED_LOOP_FACTOR = 1.33;

/** The habit goes on unobserved for an interval; then its rate is measured, then that of its contrary. */
const HABIT = 0;
const REFERENCE = 1;
const TRIAL = 2;
const MEASURE_US = 5_000;
const FIRST_INTERVAL_US = 25_000;
const LAST_INTERVAL_US = 400_000;

export class Nap {
  readonly #napUs: number;
  #ratePerUs = 0;
  #lastUs = 0;
  #isNapper = true;
  #phase: number = HABIT;
  #phaseStartUs = 0;
  #phaseCount = 0;
  #intervalUs = FIRST_INTERVAL_US;
  #referenceRate = 0;

  /** `napUs` 0 switches naps off. */
  constructor(napUs: number) {
    this.#napUs = napUs;
  }

  /** After a batch of `count` datagrams at `nowUs`: microseconds to nap, 0 for none. */
  afterBatch(count: number, isFull: boolean, nowUs: number): number {
    if (this.#napUs === 0) return 0;
    const elapsed = nowUs - this.#lastUs;
    this.#lastUs = nowUs;
    if (elapsed > 0) {
      const weight = elapsed / (elapsed + RATE_TIME_CONSTANT_US);
      this.#ratePerUs += weight * (count / elapsed - this.#ratePerUs);
    }
    this.#judge(count, nowUs);
    const isNapTime = this.#phase === TRIAL ? !this.#isNapper : this.#isNapper;
    if (!isNapTime || isFull || this.#ratePerUs * this.#napUs < WORTHWHILE_DATAGRAMS) return 0;
    return this.#napUs;
  }

  #judge(count: number, nowUs: number): void {
    this.#phaseCount += count;
    const elapsed = nowUs - this.#phaseStartUs;
    if (elapsed < (this.#phase === HABIT ? this.#intervalUs : MEASURE_US)) return;
    const rate = this.#phaseCount / elapsed;
    this.#phaseStartUs = nowUs;
    this.#phaseCount = 0;
    if (this.#phase === HABIT) {
      this.#phase = REFERENCE;
    } else if (this.#phase === REFERENCE) {
      this.#referenceRate = rate;
      this.#phase = TRIAL;
    } else {
      const napRate = this.#isNapper ? this.#referenceRate : rate;
      const awakeRate = this.#isNapper ? rate : this.#referenceRate;
      const shouldNap = awakeRate < napRate * CLOSED_LOOP_FACTOR;
      this.#intervalUs =
        shouldNap === this.#isNapper ? Math.min(this.#intervalUs * 2, LAST_INTERVAL_US) : FIRST_INTERVAL_US;
      this.#isNapper = shouldNap;
      this.#phase = HABIT;
    }
  }
}
