/** Selectors for tests of the resolver. */

/** Spread evenly over all 32-bit numbers, signed as a hash gives them. */
export function selectors(count: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) / count) * 2 ** 32) | 0);
}
