/** Times a grammar function on sets of texts: each set placed in memory as arrivals lie there, at all alignments, read over and
 *  over, and printed as nanoseconds per text. */

import { medianCpuNs } from '../cpu-time.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

/** Room for one text, so that none follows another directly. */
const STRIDE_BYTES = 512;

/** `passes` over each set per sample; `read` returns something of what it read, for the checksum printed at the end. */
export function timeGrammar(
  sets: Readonly<Record<string, readonly string[]>>,
  passes: number,
  read: (bytes: Bytes, start: number, end: number) => number,
): void {
  const bytes = new Uint8Array(new SharedArrayBuffer(65_536));
  let checksum = 0;
  for (const [name, texts] of Object.entries(sets)) {
    const spans = texts.map((text, i) => {
      const start = i * STRIDE_BYTES + 3 * i + 1;
      for (let at = 0; at < text.length; at++) bytes[start + at] = text.charCodeAt(at);
      return [start, start + text.length] as const;
    });
    const ns = medianCpuNs(passes * spans.length, () => {
      for (let pass = 0; pass < passes; pass++) {
        for (let i = 0; i < spans.length; i++) {
          const span = spans[i]!;
          checksum = (checksum + read(bytes, span[0], span[1])) | 0;
        }
      }
    });
    console.log(`${name.padEnd(24)} ${ns.toFixed(1).padStart(7)} ns`);
  }
  console.log(`checksum ${checksum}`);
}
