import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  counted,
  dateAndTime,
  duration,
  kibibytes,
  percent,
  percentileName,
  plainNumber,
  seconds,
  signedPercent,
  times,
  wholeNumber,
} from '../../../perf/bench/report/figures.ts';

/** With ordinary spaces, so that the expectations can be read. */
const spaced = (text: string) => text.replaceAll('\u00a0', ' ');

describe('figures', () => {
  it('numbers have three digits, or all before the point', () => {
    expect([0, 0.1234, 1, 1.234, 9.999, 12.34, 99.96, 123.4, 12_345.6].map(plainNumber)).toEqual([
      ...['0', '0.123', '1.00', '1.23', '10.0', '12.3', '100', '123', '12,346'],
    ]);
  });

  it('durations have the unit that leaves one to three digits', () => {
    const of = (us: number) => spaced(duration(us));
    expect([0, 7, 640, 999, 999.6, 1234, 12_340, 999_400, 999_600, 1_500_000].map(of)).toEqual([
      ...['0 µs', '7 µs', '640 µs', '999 µs', '1.00 ms', '1.23 ms', '12.3 ms', '999 ms', '1.00 s', '1.50 s'],
    ]);
  });

  it('no duration reads as four digits of a smaller unit', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 5e8, noNaN: true }), (us) => {
        const [figure, unit] = spaced(duration(us)).split(' ') as [string, string];
        expect(unit === 's' || Number(figure.replaceAll(',', '')) < 1000, `${us}: ${figure} ${unit}`).toBe(true);
      }),
    );
  });

  it('what is not nothing is never 0 %, what is not all never 100 %', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-12, max: 1 - 1e-7, noNaN: true }), (share) => {
        expect(['0 %', '0.000 %', '100 %']).not.toContain(spaced(percent(share)));
      }),
    );
    expect([0, 0.000001, 0.0004, 0.123, 0.99999, 1].map((share) => spaced(percent(share)))).toEqual([
      ...['0 %', '< 0.001 %', '0.040 %', '12.3 %', '99.999 %', '100 %'],
    ]);
  });

  it('changes have a sign, and nothing has both', () => {
    expect([0.052, -0.052, 0.0001, -0.0001, 12].map((share) => spaced(signedPercent(share)))).toEqual([
      ...['+5.2 %', '−5.2 %', '±0.0 %', '±0.0 %', '+1,200 %'],
    ]);
  });

  it('percentiles have the digits that set them apart', () => {
    expect([0, 2.5, 50, 97.5, 99, 99.9, 99.99, 99.9999, 100].map((p) => spaced(percentileName(p)))).toEqual([
      ...['0 %', '2.5 %', '50 %', '97.5 %', '99 %', '99.9 %', '99.99 %', '99.9999 %', '100 %'],
    ]);
  });

  it('ratios, counts, times and sizes are words', () => {
    expect([0.35, 1, 3.14, 12.34].map((ratio) => spaced(times(ratio)))).toEqual(['0.35 ×', '1.0 ×', '3.1 ×', '12.3 ×']);
    expect([spaced(counted(1, ['call', 'calls'])), spaced(counted(2000, ['call', 'calls']))]).toEqual([
      ...['1 call', '2,000 calls'],
    ]);
    expect([500, 12_000, 150_000, 179_600].map((ms) => spaced(seconds(ms)))).toEqual([
      ...['0.5 s', '12 s', '2 min 30 s', '3 min'],
    ]);
    expect([12, 92_000, 2_097_152].map((kib) => spaced(kibibytes(kib)))).toEqual(['12 KiB', '89.8 MiB', '2.00 GiB']);
    expect(wholeNumber(1_234_567.4)).toBe('1,234,567');
    expect(dateAndTime('2026-11-25T23:59:52.000Z')).toBe('25 November 2026, 23:59 UTC');
    expect(dateAndTime('yesterday')).toBe('yesterday');
  });
});
