/** A shard dies in the midst of 100 calls/s that ring for a moment. Its transactions are gone: lost are calls that it was setting
 *  up, because nobody sends an INVITE again once a provisional response is there (RFC 3261 17.1.1.2), and the 200 finds no
 *  transaction. All others go on: calls of the other shard as if nothing had been, established ones of the dead shard by
 *  their route set and by the retransmissions of their BYE, new ones with its successor. */

import { afterEach, describe, expect, it } from 'vitest';
import { endServers, until } from '../../../process/server-process.ts';
import { shardOf } from '../../../process/sip-texts.ts';
import { endLoadGenerators, startUac, startUas } from '../../load-generator.ts';
import { countersOnceIdle, startStateful } from '../stateful-server.ts';

afterEach(async () => {
  await endLoadGenerators();
  await endServers();
});

const SHARDS = 2;
const CALLS_PER_SEC = 100;
const CALLS = CALLS_PER_SEC * 4;
/** INVITE, ACK, BYE. */
const REQUESTS = CALLS * 3;
/** The called side rings for 200 ms, the shard is away for 200 ms: a tenth of its calls where the machine has time. Where it has
 *  not, the shard is away for longer; but not for half of the load. */
const MOST_LOST = CALLS / SHARDS / 2;

describe('a shard that dies under 100 calls/s', () => {
  it('takes with it only calls that it was setting up', async () => {
    const proxy = await startStateful();
    const { server } = proxy;
    // -nd: whoever gives up does so in silence.
    const uas = await startUas({ scenario: new URL('./uas.xml', import.meta.url), args: ['-nd'] });
    const scenario = new URL('./uac.xml', import.meta.url);
    const target = `127.0.0.1:${uas.port}`;
    const options = { scenario, target, by: proxy.by, calls: CALLS, perSec: CALLS_PER_SEC, args: ['-nd'] };
    const uac = await startUac(options);
    const forwarded = async () => (await server.counters())['requests_forwarded_total']!;
    await until('half of the load is through', async () => (await forwarded()) > REQUESTS / 2);
    await server.crashShard(0);
    await until('shard 0 runs again', async () => {
      const shard = (await server.observe()).shards[0];
      return shard!.starts === 2 && shard!.isRunning;
    });
    await uac.exit;
    const figures = uac.figures();
    expect(figures.successful + figures.failed, uac.explain()).toBe(CALLS);

    const lost = new Set(
      [...uac.errors().matchAll(/Call-Id: ([^\s,]+), receive timeout/g)].map(([, callId]) => callId!),
    );
    console.log(`${lost.size} of ${CALLS} calls lost; ${JSON.stringify(figures)}`);
    expect(lost.size, uac.explain()).toBe(figures.failed);
    for (const callId of lost) {
      expect(shardOf(Buffer.from(`INVITE sip:a SIP/2.0\r\nCall-ID: ${callId}\r\n\r\n`), SHARDS), callId).toBe(0);
    }
    expect(figures.failed, uac.explain()).toBeLessThan(MOST_LOST);
    // Answers to the transactions that are gone.
    const counters = await countersOnceIdle(proxy);
    expect(counters).toMatchObject({ shard_crashes_total: 1, forged_responses_total: 0, send_errors_total: 0 });
    if (lost.size > 0) expect(counters['late_responses_total']).toBeGreaterThan(0);
  });
});
