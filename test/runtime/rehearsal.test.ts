import { describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { rehearse } from '../../src/runtime/rehearsal.ts';

const LONG_MS = 60_000;
/** At 200 ms of its clock for each: many times Timers B, H and J. */
const BATCHES = 3000;

/** Ends after so many batches, whatever they take. */
function afterBatches(count: number): () => boolean {
  let left = count;
  return () => left-- === 0;
}

describe.each(['stateless', 'stateful'] as const)('a rehearsal, %s', (mode) => {
  const config = configSchema.parse({ mode, domains: ['example.org'], trusted: [] });
  const { datagrams, exchanges, counters } = rehearse({ config, budgetMs: LONG_MS, isWanted: afterBatches(BATCHES) });

  const isStateful = mode === 'stateful';

  it('plays calls, exchanges and registrations to their ends', () => {
    expect(exchanges).toBeGreaterThan(2000);
    expect(counters.invite_requests_total).toBeGreaterThan(2000);
    expect(counters.bye_requests_total).toBeGreaterThan(counters.invite_requests_total * 0.7);
    expect(counters.ack_requests_total).toBeGreaterThan(counters.bye_requests_total);
    expect(counters.registrations_total).toBeGreaterThan(500);
  });

  it('calls those who are busy, who say nothing, and hangs up before an answer', () => {
    expect(counters.cancel_requests_total).toBeGreaterThan(100);
    expect(counters.ack_requests_total - counters.bye_requests_total).toBeGreaterThan(200);
    expect(counters.timeouts_total > 100).toBe(isStateful);
    expect(counters.request_retransmissions_total > 100).toBe(isStateful);
    expect(counters.retransmissions_sent_total > 500).toBe(isStateful);
  });

  it('has floods, of which the element refuses some and the intake drops some', () => {
    expect(counters.shed_requests_total).toBeGreaterThan(100);
    expect(counters.overload_rejected_total > 50).toBe(isStateful);
  });

  it('says nothing that is not understood', () => {
    const served = counters.requests_received_total + counters.responses_received_total;
    expect(served + counters.shed_requests_total).toBe(datagrams);
    expect(datagrams).toBe(counters.datagrams_received_total);
    expect(counters.malformed_requests_total + counters.malformed_responses_total + counters.junk_datagrams_total).toBe(
      0,
    );
    expect(counters.stray_responses_total).toBe(0);
  });

  it('lets transactions end', () => {
    expect(counters.server_transactions_ended_total > 5000).toBe(isStateful);
  });
});

describe('a rehearsal of a server whose users prove who they are', () => {
  it.each(['MD5', 'SHA-256', 'SHA-512-256'])('has users who do, by %s', (algorithm) => {
    const domain = { name: 'example.org', users: [{ user: 'a', password: 'b' }], authenticate: ['REGISTER'] };
    const config = configSchema.parse({ domains: [domain], auth: { algorithms: [algorithm] } });
    const { counters } = rehearse({ config, budgetMs: LONG_MS, isWanted: afterBatches(1000) });
    expect(counters.authenticated_total).toBeGreaterThan(100);
    expect(counters.registrations_total).toBe(counters.authenticated_total);
    // The last of them have no answer yet.
    expect(counters.challenges_total - counters.authenticated_total).toBeLessThan(20);
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
