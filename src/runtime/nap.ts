/** How long a nap lets datagrams gather. Runs on the thread that has the intake. Hot: once per batch, allocates nothing.
 *
 *  Waking a thread costs more than serving a message: the caches are cold, the kernel's above all. So at moderate rates a nap
 *  until twenty datagrams have gathered takes a third off the CPU of a call at 1,000 calls a second, and more at higher rates.
 *  Who calls is not to wait for two such naps, one before his INVITE goes out and one before its answer does: the nap behind an
 *  INVITE is a short one, for the time in which a neighbour answers.
 *
 *  A nap must not cost throughput though: a sender that waits for answers (a closed loop) would be slowed down by every nap
 *  and, seen from here, look like a lower rate. So the habit is on trial: every now and then, and when the rate has changed beside
 *  naps, it is compared with that of some hundred datagrams of the contrary. If staying awake raises the rate by a
 *  fifth, naps stop until a later trial shows that they do no harm. Trials grow rarer while they change nothing, and end early
 *  where chance cannot be what is seen. */

/** The rate is worth a nap when at least this many datagrams would gather in the longest one. */
const WORTHWHILE_DATAGRAMS = 4;
/** A nap is over when about this many have gathered, */
const GATHERED_DATAGRAMS = 20;
/** but is no shorter than this, whose harm a trial can tell in a saturated closed loop. */
const LEAST_NAP_US = 500;
/** The nap behind an INVITE: on one's own network, it is answered by then. */
const ANSWER_NAP_US = 150;
/** Where naps are shorter than this, answers may wait for one. */
const NEEDS_ANSWER_NAP_US = 2 * LEAST_NAP_US;
/** Time constant of the rate's moving average. */
const RATE_TIME_CONSTANT_US = 10_000;
/** Behind a silence of this length nothing is known of the rate, and what was being measured begins again. */
const SILENCE_US = 50_000;

/** A rate without naps that exceeds the rate with them by this factor shows a closed loop. */
const CLOSED_LOOP_FACTOR = 1.2;
/** Where naps are the habit and the rate has changed by this factor since that was judged, it may be another load, which they bring
 *  down. */
const CHANGE_FACTOR = 1.5;
/** A rate is measured for so long at least, */
const MEASURE_US = 5_000;
/** and until so many datagrams have come, or this time is over. */
const MEASURE_DATAGRAMS = 1024;
const LAST_MEASURE_US = 100_000;
/** A trial ends when so many would have come at the rate that it is compared with. */
const TRIAL_DATAGRAMS = MEASURE_DATAGRAMS * 1.5;
/** Datagrams come a call at a time, about seven in it: three standard deviations of what comes are this times the root of it. */
const CHANCE = 8;
/** From one trial to the next: at first; by how much longer each time; at the most, as a multiple of what a trial takes, and in microseconds. */
const FIRST_INTERVAL_US = 10_000;
const INTERVAL_GROWTH = 4;
const LAST_INTERVAL_TRIALS = 80;
const LAST_INTERVAL_US = 2_000_000;

export class Nap {
  readonly #longestUs: number;
  #ratePerUs = 0;
  #lastUs = 0;
  /** The last nap was for an answer. The next is not, or a steady flow of INVITEs would have no others. */
  #wasForAnswer = false;
  /** The habit: to nap, or to stay awake. */
  #isNapper = true;
  /** The contrary is being tried. */
  #isTrial = false;
  /** Of the measurement in hand. */
  #startUs = 0;
  #count = 0;
  #intervalUs = FIRST_INTERVAL_US;
  #trialAtUs = 0;
  /** With naps, when they were judged last. */
  #judgedNapRate = 0;
  /** With the habit, as measured last: just before the trial in hand. */
  #habitRate = 0;

  /** `longestUs` 0 switches naps off. */
  constructor(longestUs: number) {
    this.#longestUs = longestUs;
  }

  /** After a batch of `count` datagrams at `nowUs`, with an INVITE among them or not: microseconds to nap, 0 for none. */
  afterBatch(count: number, hasInvite: boolean, isFull: boolean, nowUs: number): number {
    if (this.#longestUs === 0) return 0;
    const elapsed = nowUs - this.#lastUs;
    this.#lastUs = nowUs;
    if (elapsed >= SILENCE_US) {
      this.#ratePerUs = 0;
      this.#beginHabit(FIRST_INTERVAL_US, nowUs);
    } else if (elapsed > 0) {
      const weight = elapsed / (elapsed + RATE_TIME_CONSTANT_US);
      this.#ratePerUs += weight * (count / elapsed - this.#ratePerUs);
      this.#count += count;
      if (this.#isTrial) this.#lookAtTrial(nowUs);
      else this.#lookAtHabit(nowUs);
    }
    const isNapTime = this.#isNapper !== this.#isTrial;
    if (!isNapTime || isFull || this.#ratePerUs * this.#longestUs < WORTHWHILE_DATAGRAMS) return 0;
    const napUs = Math.min(this.#longestUs, Math.max(LEAST_NAP_US, Math.trunc(GATHERED_DATAGRAMS / this.#ratePerUs)));
    this.#wasForAnswer = hasInvite && !this.#wasForAnswer && napUs >= NEEDS_ANSWER_NAP_US;
    return this.#wasForAnswer ? ANSWER_NAP_US : napUs;
  }

  #beginHabit(intervalUs: number, nowUs: number): void {
    this.#isTrial = false;
    this.#intervalUs = intervalUs;
    this.#trialAtUs = nowUs + intervalUs;
    this.#begin(nowUs);
  }

  #begin(nowUs: number): void {
    this.#startUs = nowUs;
    this.#count = 0;
  }

  #lookAtHabit(nowUs: number): void {
    const elapsed = nowUs - this.#startUs;
    const isLong = elapsed >= Math.min(this.#intervalUs, LAST_MEASURE_US);
    if (elapsed < MEASURE_US || (this.#count < MEASURE_DATAGRAMS && !isLong)) return;
    this.#habitRate = this.#count / elapsed;
    const hasChanged =
      this.#habitRate * CHANGE_FACTOR < this.#judgedNapRate || this.#habitRate > this.#judgedNapRate * CHANGE_FACTOR;
    this.#isTrial = nowUs >= this.#trialAtUs || (this.#isNapper && hasChanged);
    this.#begin(nowUs);
  }

  #lookAtTrial(nowUs: number): void {
    const elapsed = nowUs - this.#startUs;
    if (elapsed < MEASURE_US) return;
    const expected = this.#habitRate * elapsed;
    const chance = CHANCE * Math.sqrt(expected);
    const isClear = this.#isNapper
      ? this.#count > expected * CLOSED_LOOP_FACTOR + chance
      : this.#count * CLOSED_LOOP_FACTOR < expected - chance;
    const isLong = expected >= TRIAL_DATAGRAMS || elapsed >= 2 * LAST_MEASURE_US;
    if (!isClear && !isLong && this.#count < MEASURE_DATAGRAMS) return;
    const rate = this.#count / elapsed;
    const napRate = this.#isNapper ? this.#habitRate : rate;
    const awakeRate = this.#isNapper ? rate : this.#habitRate;
    const shouldNap = awakeRate < napRate * CLOSED_LOOP_FACTOR;
    const lastIntervalUs = Math.min(elapsed * LAST_INTERVAL_TRIALS, LAST_INTERVAL_US);
    const intervalUs =
      shouldNap === this.#isNapper ? Math.min(this.#intervalUs * INTERVAL_GROWTH, lastIntervalUs) : FIRST_INTERVAL_US;
    this.#isNapper = shouldNap;
    this.#judgedNapRate = napRate;
    this.#beginHabit(intervalUs, nowUs);
  }
}
