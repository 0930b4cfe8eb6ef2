/** How long a nap lets datagrams gather. Runs on the thread that has the intake. Hot: once per batch, allocates nothing.
 *
 *  Waking a thread costs more than serving a message: the caches are cold, the kernel's above all. So at moderate rates a nap
 *  until twenty datagrams have gathered takes a third off the CPU of a call at 1,000 calls a second, and half of it at more.
 *  Who calls is not to wait for two such naps, one before his INVITE goes out and one before its answer does: the nap behind an
 *  INVITE is a short one, for the time in which a neighbour answers.
 *
 *  A nap must never cost throughput though: a sender that waits for answers (a closed loop) would be slowed down by every nap
 *  and, seen from here, look like a lower rate. So the habit is on trial: every now and then its rate is compared with
 *  that of some hundred datagrams of the contrary. If staying awake raises the rate by a third, naps stop until a later
 *  trial shows that they do no harm. Trials grow rarer while they change nothing. */

/** The rate is worth a nap when at least this many datagrams would gather in the longest one. */
const WORTHWHILE_DATAGRAMS = 4;
/** A nap is over when about this many have gathered, */
const GATHERED_DATAGRAMS = 20;
/** but is no shorter than this: a closed loop that is slowed down less than a trial can tell must not be slowed down at all. */
const LEAST_NAP_US = 500;
/** The nap behind an INVITE: on one's own network, it is answered by then. */
const ANSWER_NAP_US = 150;
/** A nap after which an answer has waited for little longer than for a short one needs no short one before it. */
const NEEDS_ANSWER_NAP_US = 2 * LEAST_NAP_US;
/** Time constant of the rate's moving average. */
const RATE_TIME_CONSTANT_US = 10_000;
/** A rate without naps that exceeds the rate with them by this factor shows a closed loop. */
const CLOSED_LOOP_FACTOR = 1.33;

/** The habit goes on unobserved for an interval; then its rate is measured, then that of its contrary. */
const HABIT = 0;
const REFERENCE = 1;
const TRIAL = 2;
/** A rate is measured for so long at least, and until so many datagrams have come, without which it would be chance; */
const MEASURE_US = 5_000;
const MEASURE_DATAGRAMS = 512;
/** but no longer than this, and in a trial than twice the time that the reference took: by then the verdict is clear. */
const LAST_MEASURE_US = 100_000;
const FIRST_INTERVAL_US = 25_000;
/** The longest interval, in measurements: trials take about one part in so many of the time; and in microseconds. */
const LAST_INTERVAL_MEASURES = 80;
const LAST_INTERVAL_US = 2_000_000;

export class Nap {
  readonly #longestUs: number;
  #ratePerUs = 0;
  #lastUs = 0;
  /** The last nap was for an answer. The next is not, or a steady flow of INVITEs would have no others. */
  #wasForAnswer = false;
  #isNapper = true;
  #phase: number = HABIT;
  #phaseStartUs = 0;
  #phaseCount = 0;
  #intervalUs = FIRST_INTERVAL_US;
  #referenceUs = 0;
  #referenceRate = 0;

  /** `longestUs` 0 switches naps off. */
  constructor(longestUs: number) {
    this.#longestUs = longestUs;
  }

  /** After a batch of `count` datagrams at `nowUs`, with an INVITE among them or not: microseconds to nap, 0 for none. */
  afterBatch(count: number, hasInvite: boolean, isFull: boolean, nowUs: number): number {
    if (this.#longestUs === 0) return 0;
    const elapsed = nowUs - this.#lastUs;
    this.#lastUs = nowUs;
    if (elapsed > 0) {
      const weight = elapsed / (elapsed + RATE_TIME_CONSTANT_US);
      this.#ratePerUs += weight * (count / elapsed - this.#ratePerUs);
    }
    this.#judge(count, nowUs);
    const isNapTime = this.#phase === TRIAL ? !this.#isNapper : this.#isNapper;
    if (!isNapTime || isFull || this.#ratePerUs * this.#longestUs < WORTHWHILE_DATAGRAMS) return 0;
    const napUs = Math.min(this.#longestUs, Math.max(LEAST_NAP_US, Math.trunc(GATHERED_DATAGRAMS / this.#ratePerUs)));
    this.#wasForAnswer = hasInvite && !this.#wasForAnswer && napUs >= NEEDS_ANSWER_NAP_US;
    return this.#wasForAnswer ? ANSWER_NAP_US : napUs;
  }

  #judge(count: number, nowUs: number): void {
    this.#phaseCount += count;
    const elapsed = nowUs - this.#phaseStartUs;
    if (!this.#isPhaseOver(elapsed)) return;
    const rate = this.#phaseCount / elapsed;
    this.#phaseStartUs = nowUs;
    this.#phaseCount = 0;
    if (this.#phase === HABIT) {
      this.#phase = REFERENCE;
    } else if (this.#phase === REFERENCE) {
      this.#referenceUs = elapsed;
      this.#referenceRate = rate;
      this.#phase = TRIAL;
    } else {
      const napRate = this.#isNapper ? this.#referenceRate : rate;
      const awakeRate = this.#isNapper ? rate : this.#referenceRate;
      const shouldNap = awakeRate < napRate * CLOSED_LOOP_FACTOR;
      const lastIntervalUs = Math.min(this.#referenceUs * LAST_INTERVAL_MEASURES, LAST_INTERVAL_US);
      this.#intervalUs =
        shouldNap === this.#isNapper ? Math.min(this.#intervalUs * 2, lastIntervalUs) : FIRST_INTERVAL_US;
      this.#isNapper = shouldNap;
      this.#phase = HABIT;
    }
  }

  #isPhaseOver(elapsed: number): boolean {
    if (this.#phase === HABIT) return elapsed >= this.#intervalUs;
    if (elapsed < MEASURE_US) return false;
    const limitUs = this.#phase === TRIAL ? 2 * this.#referenceUs : LAST_MEASURE_US;
    return this.#phaseCount >= MEASURE_DATAGRAMS || elapsed >= limitUs;
  }
}
