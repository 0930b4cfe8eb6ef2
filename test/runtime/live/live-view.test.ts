/** What the page takes for constant is constant. */

import { describe, expect, it } from 'vitest';
import { liveConfig } from '../../../src/config/changes.ts';
import { configSchema } from '../../../src/config/schema.ts';

describe('the settings behind the facts of the live page', () => {
  it('are none that a reload changes', () => {
    const running = configSchema.parse({});
    const next = configSchema.parse({
      mode: 'stateless',
      listen: ['udp:127.0.0.1:5070'],
      workers: 7,
      limits: {
        ...{ slots: 4096, jumboSlots: 32, overloadMark: 0.5, rejectMark: 0.25, parkedRequests: 7, transactions: 2048 },
        messageMemoryMiB: 64,
      },
      streams: { connections: 7 },
      location: { capacity: 1000 },
    });
    const facts = ({ mode, listen, workers, limits, streams, location }: typeof running) => ({
      ...{ mode, listen, workers, limits },
      connections: streams.connections,
      capacity: location.capacity,
    });
    expect(facts(liveConfig(running, next))).toEqual(facts(running));
    // Each of them is different.
    for (const [name, value] of Object.entries(facts(running).limits)) {
      if (name in { slots: 0, jumboSlots: 0, overloadMark: 0, rejectMark: 0, parkedRequests: 0, transactions: 0 })
        expect(next.limits[name as 'slots'], name).not.toBe(value);
    }
  });
});
