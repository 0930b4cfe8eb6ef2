/** Numbers as people read them: thousands separators, three digits where more would pretend, a unit that cannot be torn
 *  off by a line's end. Cold. */

const NO_BREAK = '\u00a0';
const LOCALE = 'en-US';

/** 1,234,567. */
export function wholeNumber(value: number): string {
  return Math.round(value).toLocaleString(LOCALE);
}

/** Three significant digits, and all digits before the point: 12,345, 123, 12.3, 1.23, 0.123. */
export function plainNumber(value: number): string {
  const magnitude = Math.abs(value);
  if (magnitude >= 99.95 || value === 0) return wholeNumber(value);
  const digits = magnitude >= 9.995 ? 1 : magnitude >= 0.9995 ? 2 : 3;
  return value.toLocaleString(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** As plainNumber, without zeros at the end: for ticks. */
export function tickNumber(value: number): string {
  return value.toLocaleString(LOCALE, { maximumSignificantDigits: 12 });
}

export function withUnit(text: string, unit: string): string {
  return `${text}${NO_BREAK}${unit}`;
}

/** Microseconds in the unit that leaves one to three digits before the point: 640 µs, 1.23 ms, 12.3 s. */
export function duration(us: number): string {
  const { divisor, unit } = durationUnit(us);
  return withUnit(divisor === 1 && Number.isInteger(us) ? wholeNumber(us) : plainNumber(us / divisor), unit);
}

/** As duration, for round values: 500 µs, 1 ms, 2 s. */
export function tickDuration(us: number): string {
  if (us === 0) return '0';
  const { divisor, unit } = durationUnit(us);
  return withUnit(tickNumber(us / divisor), unit);
}

function durationUnit(us: number): { divisor: number; unit: string } {
  if (Math.abs(us) < 999.5) return { divisor: 1, unit: 'µs' };
  if (Math.abs(us) < 999_500) return { divisor: 1000, unit: 'ms' };
  return { divisor: 1_000_000, unit: 's' };
}

/** 0.123 as 12.3 %. What is not nothing never reads as 0 %, what is not all never as 100 %. */
export function percent(share: number): string {
  if (share > 0 && share < 0.00001) return withUnit('< 0.001', '%');
  const value = share * 100;
  if (share < 1 && value >= 99.95) return withUnit(String(Math.floor(value * 1000) / 1000), '%');
  return withUnit(value === Math.round(value) ? wholeNumber(value) : plainNumber(value), '%');
}

/** 0.052 as +5.2 %, with a real minus sign. */
export function signedPercent(share: number): string {
  const value = Math.abs(share * 100);
  const digits = value >= 99.95 ? 0 : 1;
  const text = value.toLocaleString(LOCALE, { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return withUnit(`${Number(text.replaceAll(',', '')) === 0 ? '±' : share < 0 ? '−' : '+'}${text}`, '%');
}

/** 5.43 as 5.4 ×. */
export function times(ratio: number): string {
  const text = ratio >= 9.95 ? plainNumber(ratio) : ratio.toFixed(ratio < 0.995 ? 2 : 1);
  return withUnit(text, '×');
}

/** The percentile of a whole, 0 … 100, with as many digits as set it apart: 50 %, 99.9 %, 99.99 %. */
export function percentileName(percentile: number): string {
  const digits =
    percentile >= 100 ? 0 : Math.min(6, Math.max(1, Math.ceil(-Math.log10(1 - percentile / 100) - 1e-9) - 1));
  return withUnit(String(Number(percentile.toFixed(digits))), '%');
}

/** Seconds from milliseconds: 0.5 s, 12 s, 2 min 30 s. */
export function seconds(ms: number): string {
  const sec = ms / 1000;
  if (sec < 120) return withUnit(tickNumber(Math.round(sec * 10) / 10), 's');
  const whole = Math.round(sec);
  const minutes = Math.floor(whole / 60);
  const rest = whole % 60;
  return withUnit(String(minutes), 'min') + (rest === 0 ? '' : NO_BREAK + withUnit(String(rest), 's'));
}

/** Kibibytes as KiB, MiB or GiB. */
export function kibibytes(kib: number): string {
  if (kib < 1024) return withUnit(wholeNumber(kib), 'KiB');
  if (kib < 1024 * 1024) return withUnit(plainNumber(kib / 1024), 'MiB');
  return withUnit(plainNumber(kib / 1024 / 1024), 'GiB');
}

/** An ISO 8601 time as `25 November 2026, 10:59 UTC`; whatever else it is, as it is. */
export function dateAndTime(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  const options = { timeZone: 'UTC', hourCycle: 'h23' } as const;
  const day = time.toLocaleString('en-GB', { ...options, day: 'numeric', month: 'long', year: 'numeric' });
  return `${day}, ${time.toLocaleString('en-GB', { ...options, hour: '2-digit', minute: '2-digit' })} UTC`;
}

/** `1 call`, `2,000 calls`. */
export function counted(count: number, [one, many]: readonly [one: string, many: string]): string {
  return withUnit(wholeNumber(count), count === 1 ? one : many);
}
