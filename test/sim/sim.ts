/** Does any call hang, leak or break a rule of the RFCs, whatever the network does to it? Random calls from one seed through
 *  one stateful element on virtual time.
 *
 *  `SEED=… CALLS=… npm run sim` ends with 1 if an invariant broke, and prints the seed of the world that shows it and the
 *  ladder of the call; `TEXTS=1` prints the messages in full. */

import { performance } from 'node:perf_hooks';
import { CALLS_PER_WORLD, type Report, simulate } from './simulation.ts';

const seed = Number(process.env['SEED'] ?? Date.now() & 0x3fff_ffff);
const calls = Number(process.env['CALLS'] ?? 100_000);
if (!Number.isInteger(seed) || !Number.isInteger(calls)) throw new Error('SEED and CALLS are whole numbers');

console.log(`SEED=${seed} CALLS=${calls}`);
const startedMs = performance.now();
let reportedMs = startedMs;
const report = simulate(seed, calls, {
  progress(soFar) {
    if (performance.now() - reportedMs < 1000) return;
    reportedMs = performance.now();
    if (process.stderr.isTTY) process.stderr.write(`\r${lineOf(soFar)}`);
  },
});
if (process.stderr.isTTY) process.stderr.write('\r');
console.log(lineOf(report));
console.log(`checksum ${report.checksum.toString(16).padStart(8, '0')}`);
for (const [name, count] of Object.entries(report.counters)) console.log(`  ${name} ${count}`);
for (const fault of report.faults) {
  console.log(`\nFAULT ${fault.text} (call ${fault.call})\n  SEED=${fault.seed} CALLS=${fault.calls} npm run sim`);
  console.log(process.env['TEXTS'] === undefined ? fault.ladder : fault.texts);
}
process.exitCode = report.faults.length > 0 ? 1 : 0;

function lineOf({ calls, worlds, carried, answered, gaveUp, mostForOne, virtualMs, faults }: Report): string {
  const sec = (performance.now() - startedMs) / 1000;
  const hours = virtualMs / 3_600_000;
  return `${calls} calls in ${worlds} worlds of up to ${CALLS_PER_WORLD}, ${carried} datagrams, ${answered} answered, ${gaveUp} given up, at most ${mostForOne} sent for one, ${hours.toFixed(1)} h of virtual time, ${sec.toFixed(1)} s, ${faults.length} faults`;
}
