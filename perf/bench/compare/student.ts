/** Student's t distribution and the binomial one, as far as comparing needs them. Cold. */

/** The value that a Student-t variable with `degrees` (> 0) of freedom exceeds with probability `tail` (0 < tail < 0.5). */
export function studentQuantile(tail: number, degrees: number): number {
  let low = 0;
  let high = 1;
  while (studentTail(high, degrees) > tail) high *= 2;
  for (let i = 0; i < 80; i++) {
    const middle = (low + high) / 2;
    if (studentTail(middle, degrees) > tail) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The probability that a Student-t variable exceeds `t` ≥ 0. */
export function studentTail(t: number, degrees: number): number {
  return incompleteBeta(degrees / (degrees + t * t), degrees / 2, 0.5) / 2;
}

/** Two-sided: how probable it is that a draw of `n` with success probability `p` is as improbable as `k`, or more so. */
export function binomialTest(k: number, n: number, p: number): number {
  if (n === 0) return 1;
  const logOf = (i: number) => logChoose(n, i) + i * Math.log(p) + (n - i) * Math.log1p(-p);
  const limit = logOf(k) + 1e-7;
  // Far from the middle everything is negligible; this also bounds the work for millions.
  const reach = Math.ceil(40 * Math.sqrt(n * p * (1 - p)) + 50);
  const first = Math.max(0, Math.floor(n * p) - reach);
  const last = Math.min(n, Math.ceil(n * p) + reach);
  let sum = 0;
  for (let i = first; i <= last; i++) {
    const log = logOf(i);
    if (log <= limit) sum += Math.exp(log);
  }
  return Math.min(1, sum);
}

function logChoose(n: number, k: number): number {
  return logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1);
}

/** The regularized incomplete beta function, by its continued fraction (Lentz). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  // The fraction converges quickly on this side of the mean only.
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(
    logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x) - Math.log(a),
  );
  const tiny = 1e-300;
  let c = 1;
  let d = 1 / nonZero(1 - ((a + b) * x) / (a + 1), tiny);
  let fraction = d;
  for (let m = 1; m <= 300; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / nonZero(1 + even * d, tiny);
    c = nonZero(1 + even / c, tiny);
    fraction *= d * c;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / nonZero(1 + odd * d, tiny);
    c = nonZero(1 + odd / c, tiny);
    fraction *= d * c;
    if (Math.abs(d * c - 1) < 1e-14) break;
  }
  return front * fraction;
}

function nonZero(value: number, tiny: number): number {
  return Math.abs(value) < tiny ? tiny : value;
}

/** The logarithm of the gamma function for x > 0 (Lanczos). */
function logGamma(x: number): number {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  let sum = 0.999_999_999_999_809_93;
  for (const [i, factor] of LANCZOS.entries()) sum += factor / (x + i);
  const t = x + LANCZOS.length - 1.5;
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
}

const LANCZOS = [
  676.5203681218851, -1259.1392167224028, 771.323_428_777_653_13, -176.615_029_162_140_59, 12.507343278686905,
  -0.13857109526572012, 9.984_369_578_019_571_6e-6, 1.505_632_735_149_311_6e-7,
];
