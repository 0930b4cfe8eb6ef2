/** Bytes of a test where the parsers expect them: in a SharedArrayBuffer, at an odd place, between other bytes. */

/** Where `place` puts its text. */
export const START = 37;
const buffer = new SharedArrayBuffer(1 << 17);
export const bytes = new Uint8Array(buffer);
export const view = new DataView(buffer);
export const words = new Int32Array(buffer);

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Puts a text (UTF-8) or bytes into `bytes`, all of which is otherwise `around`. The next call overwrites it. */
export function place(content: string | Uint8Array, around = 0x61): Span {
  return placeAt(START, content, around, 0, bytes.length);
}

/** Puts a second text behind the first. */
export function placeSecond(content: string | Uint8Array): Span {
  return placeAt(1 << 16, content, 0x62, (1 << 16) - 64, bytes.length);
}

export function textOf(start: number, end: number): string | undefined {
  return start === -1 ? undefined : Buffer.from(bytes.slice(start, end)).toString('utf8');
}

function placeAt(start: number, content: string | Uint8Array, around: number, from: number, to: number): Span {
  const source = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
  bytes.fill(around, from, Math.min(to, start + source.length + 256));
  bytes.set(source, start);
  return { start, end: start + source.length };
}
