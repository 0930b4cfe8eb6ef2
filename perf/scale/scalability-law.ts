/** The Universal Scalability Law (Gunther): throughput of N workers is X(N) = λN / (1 + σ(N − 1) + κN(N − 1)). λ is what one does
 *  alone, σ the share of the work that only one can do at a time, κ what it costs that each must hear of every other. Pure. */

export interface ScalabilityLaw {
  /** A second. */
  readonly lambda: number;
  /** 0 …: 0 is none, 1 is all of it. */
  readonly sigma: number;
  readonly kappa: number;
  /** How far the points are off the curve: root of the mean square, as a share of each. */
  readonly error: number;
}

export interface Throughput {
  /** At least 1. */
  readonly workers: number;
  /** More than 0. */
  readonly perSec: number;
}

/** A curve of three parameters goes through any two points. */
export const LEAST_POINTS = 3;

/** The law nearest to the points, with neither σ nor κ below 0. The law is linear in N / X, where each point counts by its
 *  relative error. Throws a RangeError with fewer than LEAST_POINTS numbers of workers. */
export function fitScalabilityLaw(points: readonly Throughput[]): ScalabilityLaw {
  const numbers = new Set(points.map(({ workers }) => workers));
  if (numbers.size < LEAST_POINTS)
    throw new RangeError(`needs ${LEAST_POINTS} numbers of workers, not ${numbers.size}`);
  const rows = points.map(({ workers: n, perSec }) => {
    const weight = perSec / n;
    return [1, n - 1, n * (n - 1)].map((term) => term * weight);
  });
  // Least squares without negative coefficients: the best of those that leave out none, one or both of the last two.
  const fits = [[0, 1, 2], [0, 1], [0, 2], [0]].map((columns) => {
    const solution = leastSquares(rows.map((row) => columns.map((column) => row[column]!)));
    const coefficients = [0, 0, 0];
    for (const [i, column] of columns.entries()) coefficients[column] = solution[i]!;
    const squares = rows.map((row) => (row.reduce((sum, term, i) => sum + term * coefficients[i]!, 0) - 1) ** 2);
    return { coefficients, error: Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / rows.length) };
  });
  const possible = fits.filter(({ coefficients }) => coefficients.every((coefficient) => coefficient >= 0));
  const { coefficients, error } = possible.reduce((best, fit) => (fit.error < best.error ? fit : best));
  const [alone, contention, coherence] = coefficients as [number, number, number];
  return { lambda: 1 / alone, sigma: contention / alone, kappa: coherence / alone, error };
}

/** A second, of N workers. */
export function throughputOf({ lambda, sigma, kappa }: Omit<ScalabilityLaw, 'error'>, workers: number): number {
  return (lambda * workers) / (1 + sigma * (workers - 1) + kappa * workers * (workers - 1));
}

/** The number of workers beyond which more are slower; Infinity: there is none. */
export function peakOf({ sigma, kappa }: Pick<ScalabilityLaw, 'sigma' | 'kappa'>): number {
  if (kappa === 0) return sigma > 1 ? 1 : Number.POSITIVE_INFINITY;
  return Math.max(1, Math.sqrt(Math.max(0, 1 - sigma) / kappa));
}

/** The most there is, a second; Infinity: it grows without end. */
export function ceilingOf(law: Omit<ScalabilityLaw, 'error'>): number {
  const peak = peakOf(law);
  return peak === Number.POSITIVE_INFINITY ? law.lambda / law.sigma : throughputOf(law, peak);
}

/** Where the straight line of workers that do not disturb each other meets the ceiling: a worker more than these brings
 *  little. Infinity: there is no ceiling. */
export function kneeOf(law: Omit<ScalabilityLaw, 'error'>): number {
  return ceilingOf(law) / law.lambda;
}

/** x of the least |Ax − (1, 1, …)|, by the normal equations and elimination. A has few columns, and they are independent. */
function leastSquares(rows: readonly (readonly number[])[]): number[] {
  const size = rows[0]!.length;
  const matrix = Array.from({ length: size }, (_, i) => [
    ...Array.from({ length: size }, (_, j) => rows.reduce((sum, row) => sum + row[i]! * row[j]!, 0)),
    rows.reduce((sum, row) => sum + row[i]!, 0),
  ]);
  for (let pivot = 0; pivot < size; pivot++) {
    for (let i = 0; i < size; i++) {
      if (i === pivot) continue;
      const factor = matrix[i]![pivot]! / matrix[pivot]![pivot]!;
      for (let j = pivot; j <= size; j++) matrix[i]![j]! -= factor * matrix[pivot]![j]!;
    }
  }
  return matrix.map((row, i) => row[size]! / row[i]!);
}
