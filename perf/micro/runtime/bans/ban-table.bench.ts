/** What does the intake spend on asking whether a source is banned? Without bans it asks nothing; a look-up costs a probe for each
 *  prefix length in use. CPU time of this thread, median of rounds, caches warm. `--quick` runs a few rounds only. */

import { parseCidr } from '../../../../src/config/cidr.ts';
import { SLOT, SLOT_HEADER_BYTES } from '../../../../src/memory/layout.ts';
import { BanTable, buildBanTable } from '../../../../src/runtime/bans/ban-table.ts';
import { medianCpuNs } from '../../cpu-time.ts';

const isQuick = process.argv.includes('--quick');
const PASSES = isQuick ? 10 : 10_000;
const SOURCES = 256;
const WORDS = SLOT_HEADER_BYTES / 4;

const addresses = (count: number) => Array.from({ length: count }, (_, i) => `198.18.${(i >> 8) & 255}.${i & 255}`);
const LISTS: Readonly<Record<string, readonly string[]>> = {
  'one address': addresses(1),
  '1,000 addresses': addresses(1000),
  '50,000 addresses': addresses(50_000),
  'five prefix lengths': ['198.18.0.1', '198.18.1.0/24', '198.18.4.0/22', '198.19.0.0/16', '198.51.0.0/20'],
  'IPv6 alone': ['2001:db8::1'],
};

/** Slots of sources that nobody banned, as those are whom it must not cost anything. */
const slots = new Int32Array(new SharedArrayBuffer(SOURCES * SLOT_HEADER_BYTES));
const bytes = new Uint8Array(slots.buffer);
for (let i = 0; i < SOURCES; i++) {
  slots[i * WORDS + SLOT.FAMILY_WORD] = 4;
  bytes.set([192, 0, 2, i], (i * WORDS + SLOT.SOURCE_WORD) * 4);
}
let checksum = 0;

const time = (name: string, table: BanTable | null) => {
  const ns = medianCpuNs(PASSES * SOURCES, () => run(table));
  console.log(`${name.padEnd(22)} ${ns.toFixed(1).padStart(7)} ns`);
};
time('nobody', null);
for (const [name, list] of Object.entries(LISTS)) {
  const blocks = list.map(parseCidr).filter((block) => typeof block !== 'string');
  time(name, new BanTable(buildBanTable(blocks)!));
}
console.log(`checksum ${checksum}`);

function run(table: BanTable | null): void {
  for (let pass = 0; pass < PASSES; pass++) {
    for (let i = 0; i < SOURCES; i++) {
      checksum = (checksum + (table?.hasSource(slots, i * WORDS) === true ? 1 : i)) | 0;
    }
  }
}
