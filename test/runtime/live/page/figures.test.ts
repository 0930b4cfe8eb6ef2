/** Numbers on the live page: few digits, of an even width, and no unit jumps about. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
// @ts-expect-error: the page's own JavaScript, checked by its own tsconfig
import * as page from '../../../../src/runtime/live/page/figures.js';

const figures = page as {
  rateText(value: number): string;
  countText(value: number): string;
  durationText(us: number | null): string;
  shareText(share: number | null): string;
  bytesText(bytes: number): string;
  spanText(sec: number): string;
  roundTop(max: number): number;
  tickText(value: number): string;
};

/** Narrow spaces are written as plain ones here. */
const plain = (text: string) => text.replaceAll('\u202f', ' ');

it.each([
  [0, '0'],
  [0.01, '<0.1'],
  [0.4, '0.4'],
  [9.94, '9.9'],
  [9.96, '10'],
  [512.4, '512'],
  [12_345.6, '12,346'],
  [999_999, '999,999'],
  [999_999.6, '1.00 M'],
  [123_456_789, '123.5 M'],
  [5e9, '5.00 G'],
])('the rate %d is %s', (value, text) => {
  expect(plain(figures.rateText(value))).toBe(text);
});

it.each([
  [null, '–'],
  [4.2, '4.2 µs'],
  [43.2, '43 µs'],
  [999.4, '999 µs'],
  [999.6, '1.0 ms'],
  [1240, '1.2 ms'],
  [123_400, '123 ms'],
  [999_600, '1.0 s'],
  [12_340_000, '12.3 s'],
  [268_000_000, '268 s'],
])('the duration %s µs is %s', (us, text) => {
  expect(plain(figures.durationText(us))).toBe(text);
});

it.each([
  [null, '–'],
  [0, '0 %'],
  [0.0001, '<0.1 %'],
  [0.034, '3.4 %'],
  [0.5, '50 %'],
  [1, '100 %'],
])('the share %s is %s', (share, text) => {
  expect(plain(figures.shareText(share))).toBe(text);
});

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [4 << 20, '4.0 MiB'],
  [374 << 20, '374 MiB'],
  [1000 << 20, '1.0 GiB'],
])('%d bytes are %s', (bytes, text) => {
  expect(plain(figures.bytesText(bytes))).toBe(text);
});

it.each([
  [-1, '0 s'],
  [59.9, '59 s'],
  [60, '1 min'],
  [3600 * 3 + 12 * 60, '3 h 12 min'],
  [86_400 * 5 + 3600 * 3, '5 d 3 h'],
])('%d seconds are %s', (sec, text) => {
  expect(plain(figures.spanText(sec))).toBe(text);
});

describe('the top of an axis', () => {
  it('is round, holds the value, and wastes less than half of the axis', () => {
    fc.assert(
      fc.property(fc.double({ min: 1.001, max: 1e9, noNaN: true }), (max) => {
        const top = figures.roundTop(max);
        expect(top).toBeGreaterThanOrEqual(max * (1 - 1e-9));
        expect(top).toBeLessThanOrEqual(max * 2 + 1e-9);
        expect([1, 2, 4, 6, 8]).toContain(Math.round(top / 10 ** Math.floor(Math.log10(top) + 1e-9)));
      }),
    );
  });

  it('is 1 where nothing happens', () => {
    expect(figures.roundTop(0)).toBe(1);
    expect([0, 0.5, 1].map(figures.tickText)).toEqual(['0', '0.5', '1']);
  });
});
