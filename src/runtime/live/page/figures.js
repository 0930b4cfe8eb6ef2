/** Numbers as people read them. Pure. With tabular figures and few digits a value keeps its width while it moves. */

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

/** A rate, or a count that may have a fraction: `0`, `0.4`, `12`, `12,345`, `1.23 M`.
 *  @param {number} value */
export function rateText(value) {
  if (value === 0) return '0';
  if (value < 0.05) return '<0.1';
  if (value < 9.95) return value.toFixed(1);
  return countText(value);
}

/** @param {number} value */
export function countText(value) {
  if (value < 999_999.5) return whole.format(value);
  if (value < 999.95e6) return `${(value / 1e6).toFixed(value < 99.95e6 ? 2 : 1)}\u202fM`;
  return `${(value / 1e9).toFixed(2)}\u202fG`;
}

/** Microseconds with two digits, three above a hundred: buckets are no finer.
 *  @param {number} us
 *  @returns {[figure: string, unit: string]} */
export function durationParts(us) {
  if (us < 999.5) return [us < 9.95 ? us.toFixed(1) : us.toFixed(0), 'µs'];
  const ms = us / 1000;
  if (ms < 999.5) return [ms < 9.95 ? ms.toFixed(1) : ms.toFixed(0), 'ms'];
  const sec = ms / 1000;
  return [sec < 99.5 ? sec.toFixed(1) : sec.toFixed(0), 's'];
}

/** @param {number | null | undefined} us */
export function durationText(us) {
  return us == null ? '–' : durationParts(us).join('\u202f');
}

/** A share of 0 to 1, in percent.
 *  @param {number | null} share */
export function shareText(share) {
  if (share === null) return '–';
  const percent = share * 100;
  if (percent === 0) return '0\u202f%';
  if (percent < 0.05) return '<0.1\u202f%';
  return `${percent < 9.95 ? percent.toFixed(1) : percent.toFixed(0)}\u202f%`;
}

/** @param {number} bytes */
export function bytesText(bytes) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value < 9.95 && unit > 0 ? value.toFixed(1) : value.toFixed(0)}\u202f${units[unit]}`;
}

/** How long: `12 s`, `4 min`, `3 h 12 min`, `5 d 3 h`.
 *  @param {number} sec */
export function spanText(sec) {
  const s = Math.max(0, Math.floor(sec));
  if (s < 60) return `${s}\u202fs`;
  if (s < 3600) return `${Math.floor(s / 60)}\u202fmin`;
  if (s < 86_400) return `${Math.floor(s / 3600)}\u202fh ${Math.floor((s % 3600) / 60)}\u202fmin`;
  return `${Math.floor(s / 86_400)}\u202fd ${Math.floor((s % 86_400) / 3600)}\u202fh`;
}

const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });

/** Time of day here.
 *  @param {number} wallMs */
export function timeText(wallMs) {
  return clock.format(wallMs);
}

const date = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'short' });

/** Day and time here.
 *  @param {number} wallMs */
export function dateText(wallMs) {
  return date.format(wallMs);
}

/** A mark of an axis from 0: as short as it is exact.
 *  @param {number} value */
export function tickText(value) {
  return value < 1000 ? String(value) : countText(value);
}

/** The round value at the top of an axis that begins at 0: not below `max`, and half of it is round, too.
 *  @param {number} max */
export function roundTop(max) {
  if (max <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(max));
  const factor = [1, 2, 4, 6, 8, 10].find((candidate) => candidate * power >= max * (1 - 1e-9)) ?? 10;
  return factor * power;
}
