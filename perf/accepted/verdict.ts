/** Whether figures have changed by more than they differ from round to round. Pure. */

import type { Machine } from '../bench/result.ts';
import { medianOf } from '../load/spread.ts';
import type { AcceptedFigures } from './accepted-figures.ts';

/** A smaller change is none, however close the rounds lie together: from one day to the next the same code differs by this. */
export const LEAST_NOISE = 0.06;
/** On another kind of machine the relay and the server do not change alike. */
const OTHER_MACHINE_NOISE = 0.3;
/** Beyond this much noise nothing can be told. */
const USELESS_NOISE = 0.35;
/** How many standard errors are noise. */
const STANDARD_ERRORS = 3;

export interface Verdict {
  readonly kind: 'same' | 'worse' | 'better' | 'unclear';
  /** Medians, as multiples of the relay. */
  readonly accepted: number;
  readonly now: number;
  /** 0.1: a tenth more CPU. */
  readonly change: number;
  /** What the change would have to exceed. */
  readonly noise: number;
  readonly isOtherMachine: boolean;
}

/** `now`: the ratios of the rounds just played, at least one. */
export function verdictOf(
  accepted: Pick<AcceptedFigures, 'timesRelay' | 'machine'>,
  now: readonly number[],
  machine: Machine,
): Verdict {
  const before = medianOf(accepted.timesRelay);
  const after = medianOf(now);
  const change = after / before - 1;
  const isOtherMachine = !isSameKind(accepted.machine, machine);
  const rounds = STANDARD_ERRORS * Math.hypot(standardErrorOf(accepted.timesRelay), standardErrorOf(now));
  const noise = Math.max(isOtherMachine ? OTHER_MACHINE_NOISE : LEAST_NOISE, rounds);
  return { kind: kindOf(change, noise), accepted: before, now: after, change, noise, isOtherMachine };
}

function kindOf(change: number, noise: number): Verdict['kind'] {
  if (change > noise) return 'worse';
  if (noise > USELESS_NOISE) return 'unclear';
  return change < -noise ? 'better' : 'same';
}

/** Of a median, as a share of it, from the median distance to it: a single stray round moves neither. */
export function standardErrorOf(values: readonly number[]): number {
  const median = medianOf(values);
  const deviation = 1.4826 * medianOf(values.map((value) => Math.abs(value - median)));
  return (1.2533 * deviation) / Math.sqrt(values.length) / median;
}

/** Whether figures of the two can be compared closely. */
function isSameKind(a: Omit<Machine, 'revision'>, b: Omit<Machine, 'revision'>): boolean {
  const major = ({ node }: Pick<Machine, 'node'>) => node.split('.')[0];
  return a.cpu === b.cpu && a.kernel === b.kernel && major(a) === major(b);
}
