/** SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012): a keyed hash made for short inputs, which signs nonces. Runs on the
 *  shard. Hot: once for each nonce written or checked, allocates nothing. An HMAC by node:crypto takes ten times as long
 *  (perf/micro/auth/hash.bench.ts). */

export const SIPHASH_KEY_WORDS = 4;
export const SIPHASH_WORDS = 4;

/** Rounds for each 64 bits of input, and before each half of the result. */
const COMPRESSION_ROUNDS = 2;
const FINAL_ROUNDS = 4;

/** Writes the hash of the first `wordCount` words of `message`, an even number, to `target`. A word of 64 bits is two here,
 *  the low one first, as they lie in memory. */
export function siphash(key: Int32Array, message: Int32Array, wordCount: number, target: Int32Array): void {
  let v0 = key[0]! ^ 0x70736575;
  let v0h = key[1]! ^ 0x736f6d65;
  let v1 = key[2]! ^ 0x6e646f6d ^ 0xee;
  let v1h = key[3]! ^ 0x646f7261;
  let v2 = key[0]! ^ 0x6e657261;
  let v2h = key[1]! ^ 0x6c796765;
  let v3 = key[2]! ^ 0x79746573;
  let v3h = key[3]! ^ 0x74656462;
  const absorbed = wordCount + COMPRESSION_ROUNDS;
  const first = absorbed + FINAL_ROUNDS;
  let m = 0;
  let mh = 0;
  for (let round = 0; round < first + FINAL_ROUNDS; round++) {
    if (round <= absorbed && (round & 1) === 0) {
      v0 ^= m;
      v0h ^= mh;
      // Behind the message comes its length in bytes, in the top byte of a word.
      m = round < wordCount ? message[round]! : 0;
      mh = round < wordCount ? message[round + 1]! : (wordCount << 2) << 24;
      if (round < absorbed) {
        v3 ^= m;
        v3h ^= mh;
      } else {
        v2 ^= 0xee;
      }
    } else if (round === first) {
      target[0] = v0 ^ v1 ^ v2 ^ v3;
      target[1] = v0h ^ v1h ^ v2h ^ v3h;
      v1 ^= 0xdd;
    }
    // The carry of each sum of low words is computed: as a comparison it would be a branch that nobody can foretell.
    let sum = (v0 + v1) | 0;
    v0h = (v0h + v1h + (((v0 & v1) | ((v0 | v1) & ~sum)) >>> 31)) | 0;
    v0 = sum;
    let low = (v1 << 13) | (v1h >>> 19);
    let high = (v1h << 13) | (v1 >>> 19);
    v1 = low ^ v0;
    v1h = high ^ v0h;
    low = v0;
    v0 = v0h;
    v0h = low;
    sum = (v2 + v3) | 0;
    v2h = (v2h + v3h + (((v2 & v3) | ((v2 | v3) & ~sum)) >>> 31)) | 0;
    v2 = sum;
    low = (v3 << 16) | (v3h >>> 16);
    high = (v3h << 16) | (v3 >>> 16);
    v3 = low ^ v2;
    v3h = high ^ v2h;
    sum = (v0 + v3) | 0;
    v0h = (v0h + v3h + (((v0 & v3) | ((v0 | v3) & ~sum)) >>> 31)) | 0;
    v0 = sum;
    low = (v3 << 21) | (v3h >>> 11);
    high = (v3h << 21) | (v3 >>> 11);
    v3 = low ^ v0;
    v3h = high ^ v0h;
    sum = (v2 + v1) | 0;
    v2h = (v2h + v1h + (((v2 & v1) | ((v2 | v1) & ~sum)) >>> 31)) | 0;
    v2 = sum;
    low = (v1 << 17) | (v1h >>> 15);
    high = (v1h << 17) | (v1 >>> 15);
    v1 = low ^ v2;
    v1h = high ^ v2h;
    low = v2;
    v2 = v2h;
    v2h = low;
  }
  target[2] = v0 ^ v1 ^ v2 ^ v3;
  target[3] = v0h ^ v1h ^ v2h ^ v3h;
}
