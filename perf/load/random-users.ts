/** Users picked at random, the same ones in every run. Hot: once per exchange, allocates nothing. */

export class RandomUsers {
  readonly #count: number;
  #state = 0x2545f491;

  /** Users 0 … `count` − 1. */
  constructor(count: number) {
    this.#count = count;
  }

  /** Marsaglia's xorshift. */
  next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return (x >>> 0) % this.#count;
  }
}
