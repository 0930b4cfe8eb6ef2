/** Axes: where a value lies (0 … 1) and which values get a mark. Cold. */

import { percentileName } from './figures.ts';

export interface Tick {
  /** 0 … 1, from the left or from below. */
  readonly at: number;
  readonly label: string;
  /** Left out where there is little room. */
  readonly isMinor: boolean;
}

export interface Axis {
  /** Unit or quantity, in words. */
  readonly title: string;
  readonly ticks: readonly Tick[];
  /** 0 … 1, from the left or from below; what lies outside of the axis is clipped to its ends. */
  place(value: number): number;
}

/** From 0 to a round value not below `max`. */
export function linearAxis(title: string, max: number, format: (value: number) => string, wanted = 4): Axis {
  const top = max > 0 ? max : 1;
  const step = roundStep(top / wanted);
  const end = Math.ceil(top / step - 1e-9) * step;
  const place = (value: number) => clamp(value / end);
  const count = Math.round(end / step);
  const ticks = Array.from({ length: count + 1 }, (_, i) => ({
    at: i / count,
    label: format(i * step),
    isMinor: i % 2 === 1 && count > 5,
  }));
  return { title, ticks, place };
}

/** From 0 to exactly `max`, with marks at round values: for time, where the end means something. */
export function timeAxis(title: string, max: number, format: (value: number) => string, wanted = 6): Axis {
  const top = max > 0 ? max : 1;
  const step = roundStep(top / wanted);
  const ticks: Tick[] = [];
  for (let i = 0; i * step <= top * (1 + 1e-9); i++) {
    ticks.push({ at: (i * step) / top, label: format(i * step), isMinor: false });
  }
  return { title, ticks: thinned(ticks), place: (value) => clamp(value / top) };
}

/** Logarithmic, from a round value not above `min` to one not below `max`; both above 0. */
export function logAxis(title: string, min: number, max: number, format: (value: number) => string): Axis {
  const low = stepDown(min);
  const high = Math.max(stepUp(max), low * 2);
  const decades = Math.log10(high / low);
  const place = (value: number) => (value <= low ? 0 : clamp(Math.log10(value / low) / decades));
  const factors = decades <= 2.2 ? [1, 2, 5] : [1];
  const ticks: Tick[] = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of factors) {
      const value = factor * 10 ** power;
      if (value < low * 0.999 || value > high * 1.001) continue;
      ticks.push({
        at: place(value),
        label: format(Number(value.toPrecision(3))),
        isMinor: factor !== 1 && decades > 1.5,
      });
    }
  }
  return { title, ticks, place };
}

/** HdrHistogram's: each step to the right is a tenth of what is left, 90 %, 99 %, 99.9 %, up to one value in `count`. */
export function percentileAxis(title: string, count: number): Axis {
  const end = Math.max(1, ninesOf(100 - 100 / Math.max(count, 10)));
  const place = (percentile: number) => clamp(ninesOf(percentile) / end);
  const ticks = [50, 90, 99, 99.9, 99.99, 99.999, 99.9999]
    .filter((percentile) => ninesOf(percentile) <= end + 1e-9)
    .map((percentile) => ({ at: place(percentile), label: percentileName(percentile), isMinor: false }));
  return { title, ticks: thinned(ticks), place };
}

/** A character of a label as a share of the narrowest plot there is, on a phone of 360 px; on the safe side. */
const CHARACTER_WIDTH = 7.5 / 205;

/** Ticks from left to right: those whose labels would touch on a phone become minor, the last ones stay. */
function thinned(ticks: readonly Tick[]): Tick[] {
  let edge = Infinity;
  return ticks
    .toReversed()
    .map((tick) => {
      const halfWidth = ((tick.label.length + 1) / 2) * CHARACTER_WIDTH;
      const isMinor = tick.at + halfWidth > edge;
      if (!isMinor) edge = tick.at - halfWidth;
      return { ...tick, isMinor };
    })
    .toReversed();
}

/** log10 of one in how many: 90 % is 1, 99 % is 2, 99.9 % is 3. 100 % has none. */
export function ninesOf(percentile: number): number {
  return -Math.log10(1 - percentile / 100);
}

export function percentileOfNines(nines: number): number {
  return 100 - 100 * 10 ** -nines;
}

/** 1, 2 or 5 times a power of ten, not below `value`. */
function roundStep(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  const factor = [1, 2, 5, 10].find((candidate) => candidate * power >= value * (1 - 1e-9))!;
  return Number((factor * power).toPrecision(1));
}

const FACTORS = [1, 2, 5, 10];

function stepDown(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return FACTORS.findLast((factor) => factor * power <= value * 1.001)! * power;
}

function stepUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return FACTORS.find((factor) => factor * power >= value * 0.999)! * power;
}

function clamp(share: number): number {
  return Math.min(1, Math.max(0, share));
}
