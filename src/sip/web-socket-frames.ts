/** Where the frames of a WebSocket end (RFC 6455 5.2), as far as it takes to know that a message has begun and is not whole: the library
 *  that reads them does not say. What is wrong with them is for that to find. Runs on the thread of the streams. Hot: once per read,
 *  a few steps per frame, allocates nothing. */

const IS_LAST = 0x80;
const IS_MASKED = 0x80;
const OPCODE_BITS = 0x0f;
/** The least opcode of a close, ping or pong. */
const CONTROL = 0x08;
const LENGTH_BITS = 0x7f;
const MASK_BYTES = 4;
/** Of a frame, up to its length. */
const MOST_HEAD_BYTES = 10;
const UNKNOWN = -1;

export class FrameEnds {
  /** Of the frame in hand. */
  readonly #head = new Uint8Array(MOST_HEAD_BYTES);
  #headBytes = 0;
  /** Of its mask and payload, what has not come; UNKNOWN: its head is not whole. */
  #left = UNKNOWN;
  /** A message has begun whose last frame has not ended. */
  #isFragmented = false;

  /** What has come so far ends within a message, or within a frame. */
  get isWithin(): boolean {
    return this.#isFragmented || this.#headBytes > 0;
  }

  /** Passes over bytes that came. True: something ended among them, so that what is not whole now began with them. A ping within a
   *  message (5.4) is no end of anything. */
  take(bytes: Uint8Array): boolean {
    let hasEnded = false;
    let at = 0;
    while (at < bytes.length) {
      if (this.#left === UNKNOWN) {
        this.#head[this.#headBytes++] = bytes[at++]!;
        if (this.#isHeadWhole()) this.#left = this.#lengthBehindHead();
      } else {
        const taken = Math.min(this.#left, bytes.length - at);
        this.#left -= taken;
        at += taken;
      }
      if (this.#left === 0 && this.#endFrame()) hasEnded = true;
    }
    return hasEnded;
  }

  #isHeadWhole(): boolean {
    if (this.#headBytes < 2) return false;
    const short = this.#head[1]! & LENGTH_BITS;
    return this.#headBytes === 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
  }

  #lengthBehindHead(): number {
    const head = this.#head;
    let length = head[1]! & LENGTH_BITS;
    if (length >= 126) {
      length = 0;
      for (let i = 2; i < this.#headBytes; i++) length = length * 256 + head[i]!;
    }
    return length + ((head[1]! & IS_MASKED) === 0 ? 0 : MASK_BYTES);
  }

  /** True: nothing is left half. */
  #endFrame(): boolean {
    const first = this.#head[0]!;
    this.#headBytes = 0;
    this.#left = UNKNOWN;
    if ((first & OPCODE_BITS) < CONTROL) this.#isFragmented = (first & IS_LAST) === 0;
    return !this.#isFragmented;
  }
}
