/** Which share of new INVITEs may come through to a server that has too much to do: hardly more than it can serve, so that little waits
 *  and yet its queue is never empty, which would be time lost. A controller of how much waits. Pure: knows no clock.
 *
 *  At each look the share is corrected by a factor, whose logarithm has three parts: how far the queue is from where it is to be;
 *  how much it has grown since the look before; and, where it has been empty for several looks, more with each. So the end of a flood, even
 *  of one a thousand times too large, is noticed within a second. Looks come about as often as the queue could be served a few times over:
 *  the messages that a new call brings with it are in it by then. */

/** Of the mark: what is to wait. Less would cost fewer cache misses and callers less time, but the queue would run empty at times. */
const TARGET_SHARE = 0.75;
/** Of the target, or so many: less is an empty queue. */
const EMPTY_SHARE = 0.125;
const EMPTY_DEPTH = 4;
const FIRST_SHARE = 0.5;
const LEAST_SHARE = 1 / 1024;

const BY_DISTANCE = 0.03;
const BY_GROWTH = 0.2;
const MOST_GROWTH = 3;
/** Looks that may find the queue empty by chance. */
const CHANCE_LOOKS = 4;
const BY_EMPTINESS = 0.05;
const MOST_STEP = Math.log(4);

export class PassShare {
  /** How much is to wait. */
  readonly target: number;
  #share = 1;
  #depthBefore = 0;
  #emptyLooks = 0;

  /** `mark`: how much waits where too much waits. */
  constructor(mark: number) {
    this.target = Math.max(1, mark * TARGET_SHARE);
  }

  /** 1: all come through. */
  get share(): number {
    return this.#share;
  }

  /** Too much waits. */
  begin(depth: number): void {
    this.#share = FIRST_SHARE;
    this.#depthBefore = depth;
    this.#emptyLooks = 0;
  }

  /** A look at how much waits. */
  correct(depth: number): void {
    const { target } = this;
    const distance = (depth - target) / target;
    const growth = Math.max(-MOST_GROWTH, Math.min(MOST_GROWTH, (depth - this.#depthBefore) / target));
    this.#depthBefore = depth;
    this.#emptyLooks = depth < Math.max(EMPTY_DEPTH, target * EMPTY_SHARE) ? this.#emptyLooks + 1 : 0;
    // Twice as far above is more than twice as bad, since a flood may be a hundred times too large; and too little costs more than too much.
    const step = -BY_DISTANCE * distance * (distance > 0 ? 1 + distance : 2) - BY_GROWTH * growth;
    const since = this.#emptyLooks - CHANCE_LOOKS;
    const more = since > 0 ? Math.min(MOST_STEP, BY_EMPTINESS * 2 ** (since - 1)) : -MOST_STEP;
    this.#share = Math.min(1, Math.max(LEAST_SHARE, this.#share * Math.exp(Math.max(step, more))));
  }
}
