/** What the charts of the live page draw: in the order of time, each point once, and starts of the server between them. */

import { describe, expect, it } from 'vitest';
// @ts-expect-error: the page's own JavaScript, checked by its own tsconfig
import * as page from '../../../../src/runtime/live/page/history.js';

interface History {
  readonly points: readonly { readonly at: number }[];
  readonly restarts: readonly number[];
  readonly endMs: number;
  begin(startedAtMs: number, points: readonly object[]): void;
  push(point: object): void;
  last(sec: number): readonly { readonly at: number }[];
}

const { History } = page as { History: new () => History };

const pointsAt = (...seconds: number[]) => seconds.map((sec) => ({ at: sec * 1000 }));
const times = (points: readonly { readonly at: number }[]) => points.map(({ at }) => at / 1000);

describe('history', () => {
  it('takes what a server remembers, and of it only what it has not seen itself', () => {
    const history = new History();
    history.begin(0, pointsAt(1, 2, 3));
    history.push({ at: 4000 });
    history.begin(0, pointsAt(2, 3, 4, 5));
    expect(times(history.points)).toEqual([1, 2, 3, 4, 5]);
    expect(history.restarts).toEqual([]);
  });

  it('notes the start of another server, and keeps what was before', () => {
    const history = new History();
    history.begin(0, pointsAt(1, 2));
    history.begin(10_000, pointsAt(12));
    expect(times(history.points)).toEqual([1, 2, 12]);
    expect(history.restarts).toEqual([10_000]);
  });

  it('gives the last seconds', () => {
    const history = new History();
    history.begin(0, pointsAt(1, 50, 100, 110));
    expect([times(history.last(60)), history.endMs]).toEqual([[50, 100, 110], 110_000]);
  });

  it('forgets what is older than a quarter of an hour of seconds', () => {
    const history = new History();
    for (let sec = 1; sec <= 1000; sec++) history.push({ at: sec * 1000 });
    expect(history.points).toHaveLength(900);
    expect(history.points[0]!.at).toBe(101_000);
  });
});
