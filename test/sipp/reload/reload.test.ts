/** Calls under reloads: the configuration is exchanged a few times a second, and no call fails. The thousand is in thousand.ts. */

import { afterEach, describe, expect, it } from 'vitest';
import { endServers } from '../../process/server-process.ts';
import { endLoadGenerators } from '../load-generator.ts';
import { reloadUnderCalls } from './reloading-server.ts';

afterEach(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS_PER_SEC = 100;
const SECONDS = 5;

describe.each(['stateful', 'stateless'] as const)('reloads under calls, %s', (mode) => {
  it('fail none of them', async () => {
    const { figures, counters, callsAt } = await reloadUnderCalls({
      ...{ mode, callsPerSec: CALLS_PER_SEC, seconds: SECONDS, reloads: 15, pauseMs: 50, domains: 20 },
      isLingeringShort: true,
    });
    for (const round of figures) expect(round).toMatchObject({ successful: CALLS_PER_SEC * SECONDS, failed: 0 });
    expect(callsAt.every((calls) => calls > 0)).toBe(true);
    expect(counters).toMatchObject({ config_failed_reloads_total: 0, shard_crashes_total: 0, timeouts_total: 0 });
  });
});
