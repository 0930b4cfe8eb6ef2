import { describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { rehearse } from '../../src/runtime/rehearsal.ts';

const LONG_MS = 60_000;
/** At 20 ms of its clock for each: longer than Timers H and J. */
const BATCHES = 3000;

/** Ends after so many batches, whatever they take. */
function afterBatches(count: number): () => boolean {
  let left = count;
  return () => left-- === 0;
}

describe.each(['stateless', 'stateful'] as const)('a rehearsal, %s', (mode) => {
  const config = configSchema.parse({ mode, domains: ['example.org'], trusted: [] });
  const { datagrams, exchanges, counters } = rehearse({ config, budgetMs: LONG_MS, isWanted: afterBatches(BATCHES) });

  it('plays calls, exchanges and registrations to their ends', () => {
    expect(exchanges).toBeGreaterThan(500);
    expect(counters.requests_received_total + counters.responses_received_total).toBe(datagrams);
    expect(counters.invite_requests_total).toBeGreaterThan(100);
    expect(counters.bye_requests_total).toBeGreaterThan(counters.invite_requests_total * 0.9);
    expect(counters.ack_requests_total).toBe(counters.bye_requests_total);
    expect(counters.registrations_total).toBe(counters.register_requests_total);
    expect(counters.registrations_total).toBeGreaterThan(50);
  });

  it('refuses nothing and loses nothing', () => {
    expect(counters.responses_forwarded_total).toBe(counters.responses_received_total);
    const served = counters.requests_forwarded_total + counters.registrations_total;
    expect(served).toBe(counters.requests_received_total);
  });

  it('lets transactions end', () => {
    expect(counters.server_transactions_ended_total > 500).toBe(mode === 'stateful');
  });
});

describe('the end of a rehearsal', () => {
  const config = configSchema.parse({});

  it('comes when its time is over', () => {
    expect(rehearse({ config, budgetMs: 0 }).datagrams).toBe(0);
  });

  it('comes when so much was played, however long the rests between', () => {
    const played: number[] = [];
    const { datagrams } = rehearse({ config, budgetMs: 20, rest: (playedMs) => played.push(playedMs) });
    expect(datagrams).toBeGreaterThan(0);
    const sum = played.reduce((total, ms) => total + ms, 0);
    expect(sum).toBeGreaterThan(19.99);
    expect(sum - played.at(-1)!).toBeLessThan(20.01);
  });

  it('comes at once when the thread is wanted', () => {
    expect(rehearse({ config, budgetMs: LONG_MS, isWanted: () => true }).datagrams).toBe(0);
  });
});
