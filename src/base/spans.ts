/** Spans of bytes: copied and compared four bytes at a time, wherever they begin. Any thread. Hot: dozens of times per message,
 *  allocates nothing.
 *
 *  Through a DataView, whose accesses may lie at any byte and are one instruction each once compiled: a third of what a loop over
 *  bytes takes (perf/micro/base/spans.bench.ts). What is left over at the end is taken care of by a last access that overlaps the one
 *  before. */

/** A view of the bytes of an array. Cold: made once for each array. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Copies the bytes [start, end) of `from` to `to`, from `at` on. Returns where they end there. The two spans do not overlap. */
export function copyBytes(from: DataView, start: number, end: number, to: DataView, at: number): number {
  const length = end - start;
  if (length >= 4) {
    const last = length - 4;
    for (let i = 0; i < last; i += 4) to.setInt32(at + i, from.getInt32(start + i, true), true);
    to.setInt32(at + last, from.getInt32(end - 4, true), true);
  } else {
    for (let i = 0; i < length; i++) to.setUint8(at + i, from.getUint8(start + i));
  }
  return length > 0 ? at + length : at;
}

/** True if the bytes [start, end) of `a` are those of `b` from `at` on. */
export function equalBytes(a: DataView, start: number, end: number, b: DataView, at: number): boolean {
  const length = end - start;
  if (length >= 4) {
    const last = length - 4;
    for (let i = 0; i < last; i += 4) if (a.getInt32(start + i, true) !== b.getInt32(at + i, true)) return false;
    return a.getInt32(end - 4, true) === b.getInt32(at + last, true);
  }
  for (let i = 0; i < length; i++) if (a.getUint8(start + i) !== b.getUint8(at + i)) return false;
  return true;
}
