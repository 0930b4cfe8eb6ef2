/** Does any datagram make the server throw, hang, grow, leak or say what it must not? A million spoiled messages in a minute
 *  through the dispatcher's scan and the whole element, with a resolver and a kernel that fail at random.
 *
 *  With --stateful: sessions of the stateful proxy instead, in which spoiled messages meet live transactions.
 *
 *  `node test/fuzz/datagrams.ts [--stateful] [--seconds 60] [--seed N] [--count N]` ends with 1 if an invariant broke; the datagram is
 *  saved in test/vectors/fuzz, where a test replays it from then on, and the line printed serves it again. */

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type CampaignResult, type Failure, runCampaign, runSessions } from './campaign.ts';
import { BATCH } from './fuzzed-server.ts';
import { SESSION } from './stateful-session.ts';

/** A million datagrams leave about one MiB, most of it V8's compiled code. */
const MAX_GROWTH_BYTES = 8 * 1024 * 1024;
const FOLDER = new URL('../vectors/fuzz/', import.meta.url);

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    count: { type: 'string', default: '1000000000' },
    stateful: { type: 'boolean', default: false },
  },
});
const seed = values.seed === undefined ? Date.now() & 0x3fff_ffff : Number(values.seed);
const seconds = Number(values.seconds);
const count = Number(values.count);
if (![seed, seconds, count].every(Number.isFinite)) throw new Error('--seed, --seconds and --count are numbers');

console.log(`seed ${seed}`);
const run = values.stateful ? runSessions : runCampaign;
const result = run({ seed, seconds, count, report: (soFar) => process.stderr.write(`\r${lineOf(soFar)}`) });
process.stderr.write('\r');
console.log(lineOf(result));
const replay = values.stateful
  ? `--stateful --seed ${result.slowestSeed} --count ${SESSION}`
  : `--seed ${result.slowestSeed} --count 1`;
console.log(`slowest: ${result.slowestMs.toFixed(1)} ms (${replay})`);
console.log(`heap growth since the warm-up: ${(result.heapGrowthBytes / 1024).toFixed(0)} KiB`);
for (const failure of result.failures) console.log(values.stateful ? told(failure) : saved(failure));
const hasGrown = result.heapGrowthBytes > MAX_GROWTH_BYTES;
if (hasGrown) console.log('FAULT the heap has grown');
process.exitCode = result.failures.length > 0 || hasGrown ? 1 : 0;

function lineOf({ served, sent, elapsedMs, failures }: CampaignResult): string {
  const perMinute = (served / elapsedMs) * 60_000;
  return `${served} datagrams, ${sent} sent, ${(perMinute / 1e6).toFixed(2)} million a minute, ${failures.length} faults`;
}

/** A session is more than one datagram: its seed is what is kept. */
function told({ fault, seed, bytes }: Failure): string {
  const text = JSON.stringify(Buffer.from(bytes.subarray(0, 600)).toString('latin1'));
  return `FAULT ${fault}\n  --stateful --seed ${seed} --count ${SESSION}\n  seen with ${text}`;
}

function saved(failure: Failure): string {
  const { fault, bytes, isAlone } = failure;
  const replay = isAlone ? `--seed ${failure.seed} --count 1` : `--seed ${failure.batchSeed} --count ${BATCH}`;
  const slug = fault
    .replace(/[^A-Za-z0-9]+/g, '-')
    .toLowerCase()
    .slice(0, 50);
  const name = `${slug}-${createHash('sha256').update(bytes).digest('hex').slice(0, 8)}`;
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(new URL(`${name}.dat`, FOLDER), bytes);
  writeFileSync(new URL(`${name}.txt`, FOLDER), `${fault}\nseed ${failure.seed}\n${replay}\n`);
  return `FAULT ${fault}\n  ${replay}\n  test/vectors/fuzz/${name}.dat, ${bytes.length} bytes: ${JSON.stringify(Buffer.from(bytes.subarray(0, 600)).toString('latin1'))}`;
}
