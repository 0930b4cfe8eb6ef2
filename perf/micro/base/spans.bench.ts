/** What does it cost to copy or to compare a short span: by a loop over its bytes, by `copyBytes` and `equalBytes`, or by the runtime's
 *  copyWithin? Spans begin at all alignments of the shared memory. CPU time of this thread, median of rounds, caches warm. `--quick`
 *  runs a few rounds only. */

import { copyBytes, equalBytes } from '../../../src/base/spans.ts';
import { medianCpuNs } from '../cpu-time.ts';

const ROUNDS = process.argv.includes('--quick') ? 1000 : 1_000_000;
const TO = 8192;

const buffer = new SharedArrayBuffer(16_384);
const bytes = new Uint8Array(buffer);
const view = new DataView(buffer);
let checksum = 0;

/** A function of its own for each length, so that each is compiled for what it does. */
const WAYS: Readonly<Record<string, (length: number) => () => void>> = {
  'copy, bytes': (length) => () => {
    for (let round = 0; round < ROUNDS; round++) {
      const from = round & 31;
      for (let i = 0; i < length; i++) bytes[TO + i] = bytes[from + i]!;
    }
  },
  copyBytes: (length) => () => {
    for (let round = 0; round < ROUNDS; round++)
      checksum += copyBytes(view, round & 31, (round & 31) + length, view, TO);
  },
  copyWithin: (length) => () => {
    for (let round = 0; round < ROUNDS; round++) bytes.copyWithin(TO, round & 31, (round & 31) + length);
  },
  'equal, bytes': (length) => () => {
    for (let round = 0; round < ROUNDS; round++) {
      const from = round & 3;
      let i = 0;
      while (i < length && bytes[from + i] === bytes[TO + i]) i++;
      checksum += i;
    }
  },
  equalBytes: (length) => () => {
    for (let round = 0; round < ROUNDS; round++) {
      if (equalBytes(view, round & 3, (round & 3) + length, view, TO)) checksum += length;
    }
  },
};

for (const [name, make] of Object.entries(WAYS)) {
  for (const length of [3, 10, 30, 60, 120, 300]) {
    bytes.fill(0x61);
    const ns = medianCpuNs(ROUNDS, make(length));
    console.log(`${name.padEnd(14)} ${String(length).padStart(4)} bytes ${ns.toFixed(1).padStart(7)} ns`);
  }
}
console.log(`checksum ${checksum}`);
