/** A shard dies in the midst of 500 calls/s: once on a datagram (the fault that test/process/observer.ts plants), once
 *  between datagrams (the supervisor's crash command). Probes, an OPTIONS per shard every few milliseconds, tell how long
 *  each shard was away. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { FATAL_MAX_FORWARDS } from '../../process/fatal-request.ts';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { callIdOfShard, headerOf, optionsRequest } from '../../process/sip-texts.ts';
import { freePort, UdpPeer } from '../../process/udp-peer.ts';
import { endLoadGenerators, startUac, startUas } from '../load-generator.ts';

afterEach(async () => {
  await endLoadGenerators();
  await endServers();
});

const SHARDS = 2;
const CALLS_PER_SEC = 500;
const CALLS = CALLS_PER_SEC * 5;
const PROBE_EVERY_MS = 5;
const KEEPALIVE = Buffer.from('\r\n\r\n');
/** Issue 2: a crashed shard is back within this. Where the start of a whole server takes long, within a share of that: it is the same
 *  kind of work, and tells how much CPU there is. */
const BACK_LIMIT_MS = 200;
const BACK_LIMIT_OF_START = 1 / 3;
/** The other shard shares two cores with SIPp, the probes and a starting thread. */
const UNDISTURBED_LIMIT_MS = 100;
/** On top of either, the longest silence while nothing had crashed so many times: a machine that is slow, or busy with others, is so
 *  before as well. One that is held up just after a crash gets another try. */
const USUAL_SILENCES = 4;
const TIMED = { retry: 3 };

/** Asks one shard for a sign of life every few milliseconds. */
class Probe {
  readonly peer: UdpPeer;
  readonly #sentAtMs = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(peer: UdpPeer, port: number, shard: number) {
    this.peer = peer;
    this.#timer = setInterval(() => {
      const callId = callIdOfShard(shard, SHARDS);
      this.#sentAtMs.set(callId, performance.now());
      void peer.send(optionsRequest({ uri: `sip:127.0.0.1:${port}`, callId, sentBy: peer.hostPort }), port);
    }, PROBE_EVERY_MS);
  }

  /** Longest time between two answers, from `sinceMs` on. */
  longestGapMs(sinceMs: number, untilMs: number): number {
    const times = this.peer.arrivals.map(({ atMs }) => atMs).filter((atMs) => atMs >= sinceMs && atMs <= untilMs);
    return Math.max(...[...times, untilMs].map((atMs, i) => atMs - (times[i - 1] ?? sinceMs)));
  }

  /** Call-IDs without an answer. */
  lost(): string[] {
    const answered = new Set(this.peer.arrivals.map(({ datagram }) => headerOf(datagram, 'Call-ID')));
    return [...this.#sentAtMs.keys()].filter((callId) => !answered.has(callId));
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

describe('a shard that dies under 500 calls/s', TIMED, () => {
  it('is back within 200 ms, with its datagram saved, no call lost and the other shard undisturbed', async () => {
    const port = await freePort();
    const startedMs = performance.now();
    const server = await ServerProcess.start('--listen', `udp:127.0.0.1:${port}`);
    const backLimitMs = Math.round(Math.max(BACK_LIMIT_MS, BACK_LIMIT_OF_START * (performance.now() - startedMs)));
    const uas = await startUas({ scenario: new URL('./patient-uas.xml', import.meta.url) });
    const by = `127.0.0.1:${port}`;
    const uac = await startUac({ target: `127.0.0.1:${uas.port}`, by, calls: CALLS, perSec: CALLS_PER_SEC });
    const peers = [await UdpPeer.open(), await UdpPeer.open()];
    const probes = peers.map((peer, shard) => new Probe(peer, port, shard));
    for (const peer of peers) await peer.receive('SIP/2.0 200');
    const calmMs = performance.now();
    const forwarded = async () => (await server.counters())['requests_forwarded_total']!;
    await until('a third of the load is through', async () => (await forwarded()) > CALLS);

    const fatal = optionsRequest({
      uri: `sip:nobody@127.0.0.1:${uas.port}`,
      callId: callIdOfShard(0, SHARDS),
      sentBy: peers[0]!.hostPort,
      maxForwards: FATAL_MAX_FORWARDS,
    });
    const firstCrashMs = performance.now();
    await peers[0]!.send(fatal, port);
    await until('shard 0 runs again', async () => {
      const [shard] = (await server.observe()).shards;
      return shard!.starts === 2 && shard!.isRunning;
    });
    await until('two thirds of the load are through', async () => (await forwarded()) > 2 * CALLS);
    const secondCrashMs = performance.now();
    await server.crashShard(1);
    await until('shard 1 runs again', async () => {
      const shard = (await server.observe()).shards[1];
      return shard!.starts === 2 && shard!.isRunning;
    });

    const code = await uac.exit;
    const endMs = performance.now();
    for (const probe of probes) probe.stop();
    const figures = uac.figures();
    const gaps = [firstCrashMs, secondCrashMs].map((sinceMs, i) =>
      probes.map((probe) => Math.round(probe.longestGapMs(sinceMs, [secondCrashMs, endMs][i]!))),
    );
    const usualMs = Math.max(...probes.map((probe) => Math.round(probe.longestGapMs(calmMs, firstCrashMs))));
    const lost = probes.map((probe) => probe.lost().length);
    const report = `${JSON.stringify({ figures, backLimitMs, usualMs, gapsMs: gaps, lost })}`;
    console.log(`longest silence of [shard 0, shard 1] after each crash: ${report}`);
    expect(figures, uac.explain()).toMatchObject({ successful: CALLS, failed: 0 });
    expect(code).toBe(0);

    const moreMs = USUAL_SILENCES * usualMs;
    expect(gaps[0]![0], report).toBeLessThan(backLimitMs + moreMs);
    expect(gaps[1]![1], report).toBeLessThan(backLimitMs + moreMs);
    expect(gaps[0]![1], report).toBeLessThan(UNDISTURBED_LIMIT_MS + moreMs);
    expect(gaps[1]![0], report).toBeLessThan(UNDISTURBED_LIMIT_MS + moreMs);

    const files = readdirSync(server.crashFolder);
    expect(files).toHaveLength(1);
    expect(readFileSync(join(server.crashFolder, files[0]!))).toEqual(fatal);
    const crashes = server.log.filter(({ msg }) => msg.startsWith('shard crashed'));
    expect(crashes).toMatchObject([{ shard: 0, vector: join(server.crashFolder, files[0]!) }, { shard: 1 }]);
    // Served again, the fatal datagram would have killed the successor too.
    const { shards, isReady } = await server.observe();
    expect(shards).toMatchObject([
      { crashes: 1, starts: 2 },
      { crashes: 1, starts: 2 },
    ]);
    expect(isReady).toBe(true);

    await until(
      'every slot is back in the hand of the dispatcher',
      async () => {
        await peers[0]!.send(KEEPALIVE, port); // an idle dispatcher sleeps, and looks at its rings only when it is woken
        const { freeSlots, slotCount } = await server.observe();
        return freeSlots === slotCount;
      },
      { explain: () => server.output },
    );
    for (const peer of peers) peer.close();
  });
});
