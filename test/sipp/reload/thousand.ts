/** A thousand reloads under calls, in each mode: no call fails, and memory does not grow once it is warm.
 *
 *  `node test/sipp/reload/thousand.ts [RELOADS [CALLS_PER_SEC [DOMAINS [MODE]]]]`; exit code 1 if a call failed or memory grew. Two rounds
 *  of calls come before the first reload: what a reload takes of memory is told from there. Finished transactions linger for a second
 *  only, or their number would still grow for minutes. */

import { endServers } from '../../process/server-process.ts';
import { endLoadGenerators } from '../load-generator.ts';
import { reloadUnderCalls } from './reloading-server.ts';

const [reloads = 1000, callsPerSec = 300, domains = 100] = process.argv.slice(2, 5).map(Number);
const modes = (['stateful', 'stateless'] as const).filter((mode) => (process.argv[5] ?? mode) === mode);
const WARM_ROUNDS = 2;
/** From the middle of the run to its end. */
const MAX_GROWTH_MB = 40;

let isGood = true;
for (const mode of modes) {
  const startedMs = performance.now();
  const result = await reloadUnderCalls({
    ...{
      mode,
      callsPerSec,
      reloads,
      domains,
      seconds: 15,
      pauseMs: 20,
      warmRounds: WARM_ROUNDS,
      isLingeringShort: true,
    },
    onRound: (line) => console.log(`${mode}: ${line}`),
  });
  const { figures, rssMb, longestPauseMs, callsAt } = result;
  const failed = figures.reduce((sum, round) => sum + round.failed, 0);
  const calls = figures.reduce((sum, round) => sum + round.successful, 0);
  const growthMb = rssMb.at(-1)! - rssMb[rssMb.length >> 1]!;
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  console.log(
    `${mode}: ${result.reloads} reloads in ${seconds} s under ${callsPerSec} calls/s, ${domains} domains: ${calls} calls (${callsAt.join(' and ')}), ${failed} failed; ` +
      `longest pause ${longestPauseMs.toFixed(1)} ms; RSS ${rssMb[WARM_ROUNDS - 1]} MB before the first, then ${rssMb.slice(WARM_ROUNDS).join(', ')} MB`,
  );
  isGood &&= failed === 0 && growthMb < MAX_GROWTH_MB;
  await endLoadGenerators();
  await endServers();
}
process.exit(isGood ? 0 : 1);
