/** A short soak: calls, reloads, scrapes and a killed shard at once, judged like the hour of `npm run soak`. */

import { afterEach, describe, expect, it } from 'vitest';
import { soak } from '../../../perf/soak/run.ts';
import { endServers } from '../../process/server-process.ts';

afterEach(endServers);

const CALLS_PER_SEC = 150;
const SECONDS = 12;

describe('a short soak', () => {
  it('fails only calls of the killed shard, counts nothing that is not explained, and leaves nothing in use', async () => {
    const lines: string[] = [];
    const result = await soak({
      minutes: SECONDS / 60,
      callsPerSec: CALLS_PER_SEC,
      capacityPerSec: null,
      shards: 2,
      domains: 20,
      reloadEverySec: 2,
      killEverySec: 7,
      scrapeEverySec: 0.5,
      sampleEverySec: 2,
      sets: [],
      isLingeringShort: true,
      isRealtime: false,
      command: 'npm test',
      say: (line) => lines.push(line),
    });
    const explanation = [...result.problems, JSON.stringify(result.calls), ...lines].join('\n');
    expect(result.problems, explanation).toEqual([]);
    expect(result.kills, explanation).toHaveLength(1);
    expect(result.kills[0]!.lostCalls, explanation).toBe(result.calls.failed + result.calls.refused);
    expect(result.reloads.count, explanation).toBeGreaterThanOrEqual(3);
    expect(result.calls.successful, explanation).toBeGreaterThan((CALLS_PER_SEC * SECONDS) / 2);
  });
});
