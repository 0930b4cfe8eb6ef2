/** MD5 (RFC 1321), for digest authentication with phones that know nothing better (RFC 8760 section 3). Runs on the shard.
 *  Hot: three or four blocks for each request that is authenticated, allocates nothing. Our own because a call of node:crypto
 *  takes as long as two blocks before it hashes the first, and leaves garbage (perf/micro/auth/hash.bench.ts). */

const BLOCK_SHIFT = 6;
const WORDS_PER_BLOCK = 16;
/** What must be free behind the text: the mark, the length, and zeros up to a whole block. */
export const MD5_PADDING_BYTES = 72;

/** floor(2^32 × |sin i|) for i = 1 … 64. */
const SINES = new Int32Array(64);
for (let i = 0; i < 64; i++) SINES[i] = Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32);

const state = new Int32Array(4);
const stateBytes = new Uint8Array(state.buffer);

/** Writes the digest of the first `length` bytes to `target` from `at` on: 16 bytes. `words` lies over `bytes`, from the
 *  same first byte; MD5_PADDING_BYTES behind the text are overwritten. */
export function md5(bytes: Uint8Array, words: Int32Array, length: number, target: Uint8Array, at: number): void {
  const end = pad(bytes, words, length);
  state[0] = 0x67452301;
  state[1] = 0xefcdab89;
  state[2] = 0x98badcfe;
  state[3] = 0x10325476;
  for (let word = 0; word < end; word += WORDS_PER_BLOCK) compress(words, word);
  for (let i = 0; i < stateBytes.length; i++) target[at + i] = stateBytes[i]!;
}

/** Sections 3.1 and 3.2. Returns the number of words to hash. */
function pad(bytes: Uint8Array, words: Int32Array, length: number): number {
  const end = ((length + 8) >> BLOCK_SHIFT) * WORDS_PER_BLOCK + WORDS_PER_BLOCK;
  bytes[length] = 0x80;
  let at = length + 1;
  while ((at & 3) !== 0) bytes[at++] = 0;
  for (let word = at >> 2; word < end - 2; word++) words[word] = 0;
  words[end - 2] = length << 3;
  words[end - 1] = length >>> 29;
  return end;
}

/** Section 3.4. Words are little-endian, as they are on this machine. Each turn of a loop is four steps, after which the
 *  four variables have their old names again; unrolled further it is not faster. */
function compress(x: Int32Array, at: number): void {
  let a = state[0]!;
  let b = state[1]!;
  let c = state[2]!;
  let d = state[3]!;
  let sum = 0;
  for (let i = 0; i < 16; i += 4) {
    sum = (a + (d ^ (b & (c ^ d))) + x[at + i]! + SINES[i]!) | 0;
    a = (((sum << 7) | (sum >>> 25)) + b) | 0;
    sum = (d + (c ^ (a & (b ^ c))) + x[at + i + 1]! + SINES[i + 1]!) | 0;
    d = (((sum << 12) | (sum >>> 20)) + a) | 0;
    sum = (c + (b ^ (d & (a ^ b))) + x[at + i + 2]! + SINES[i + 2]!) | 0;
    c = (((sum << 17) | (sum >>> 15)) + d) | 0;
    sum = (b + (a ^ (c & (d ^ a))) + x[at + i + 3]! + SINES[i + 3]!) | 0;
    b = (((sum << 22) | (sum >>> 10)) + c) | 0;
  }
  for (let i = 0; i < 16; i += 4) {
    const k = i * 5 + 1;
    sum = (a + (c ^ (d & (b ^ c))) + x[at + (k & 15)]! + SINES[i + 16]!) | 0;
    a = (((sum << 5) | (sum >>> 27)) + b) | 0;
    sum = (d + (b ^ (c & (a ^ b))) + x[at + ((k + 5) & 15)]! + SINES[i + 17]!) | 0;
    d = (((sum << 9) | (sum >>> 23)) + a) | 0;
    sum = (c + (a ^ (b & (d ^ a))) + x[at + ((k + 10) & 15)]! + SINES[i + 18]!) | 0;
    c = (((sum << 14) | (sum >>> 18)) + d) | 0;
    sum = (b + (d ^ (a & (c ^ d))) + x[at + ((k + 15) & 15)]! + SINES[i + 19]!) | 0;
    b = (((sum << 20) | (sum >>> 12)) + c) | 0;
  }
  for (let i = 0; i < 16; i += 4) {
    const k = i * 3 + 5;
    sum = (a + (b ^ c ^ d) + x[at + (k & 15)]! + SINES[i + 32]!) | 0;
    a = (((sum << 4) | (sum >>> 28)) + b) | 0;
    sum = (d + (a ^ b ^ c) + x[at + ((k + 3) & 15)]! + SINES[i + 33]!) | 0;
    d = (((sum << 11) | (sum >>> 21)) + a) | 0;
    sum = (c + (d ^ a ^ b) + x[at + ((k + 6) & 15)]! + SINES[i + 34]!) | 0;
    c = (((sum << 16) | (sum >>> 16)) + d) | 0;
    sum = (b + (c ^ d ^ a) + x[at + ((k + 9) & 15)]! + SINES[i + 35]!) | 0;
    b = (((sum << 23) | (sum >>> 9)) + c) | 0;
  }
  for (let i = 0; i < 16; i += 4) {
    const k = i * 7;
    sum = (a + (c ^ (b | ~d)) + x[at + (k & 15)]! + SINES[i + 48]!) | 0;
    a = (((sum << 6) | (sum >>> 26)) + b) | 0;
    sum = (d + (b ^ (a | ~c)) + x[at + ((k + 7) & 15)]! + SINES[i + 49]!) | 0;
    d = (((sum << 10) | (sum >>> 22)) + a) | 0;
    sum = (c + (a ^ (d | ~b)) + x[at + ((k + 14) & 15)]! + SINES[i + 50]!) | 0;
    c = (((sum << 15) | (sum >>> 17)) + d) | 0;
    sum = (b + (d ^ (c | ~a)) + x[at + ((k + 21) & 15)]! + SINES[i + 51]!) | 0;
    b = (((sum << 21) | (sum >>> 11)) + c) | 0;
  }
  state[0] = state[0]! + a;
  state[1] = state[1]! + b;
  state[2] = state[2]! + c;
  state[3] = state[3]! + d;
}
