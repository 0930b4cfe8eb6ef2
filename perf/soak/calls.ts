/** The calls of a soak: SIPp calls two others through the server, INVITE to BYE, ringing for a moment; whatever is lost is sent again
 *  (RFC 3261 17.1). Cold. */

import { fileURLToPath } from 'node:url';
import { shardOf } from '../../test/process/sip-texts.ts';
import { freePort } from '../../test/process/udp-peer.ts';
import { SippProcess } from '../bench/sipp-process.ts';
import type { StatRow } from '../bench/sipp-traces.ts';
import { begunBetween, type FailedCall, namedCalls } from './failed-calls.ts';

const ADDRESS = '127.0.0.1';
const FOLDER = new URL('../../test/sipp/stateful/shard-crash/', import.meta.url);
const [UAC, UAS] = ['uac.xml', 'uas.xml'].map((name) => fileURLToPath(new URL(name, FOLDER)));
const BENCH = new URL('../bench/scenarios/', import.meta.url);
const [BENCH_UAC, BENCH_UAS] = ['call.xml', 'uas-call.xml'].map((name) => fileURLToPath(new URL(name, BENCH)));
/** A call that nobody answers any more takes eight seconds, a BYE thirty. More are in flight then than usual. */
const MOST_IN_FLIGHT_SEC = 30;
const LAST_CALLS_LIMIT_MS = 120_000;
const SATURATING_WINDOW = 256;
const NO_STATS: StatRow = { atMs: 0, started: 0, successful: 0, failed: 0, retransmissions: 0, causes: {} };

/** Two called sides. */
export class CalledSides {
  readonly #sipps: readonly SippProcess[];

  private constructor(sipps: readonly SippProcess[]) {
    this.#sipps = sipps;
  }

  /** `isSaturated`: they answer at once, and hang around for nothing. */
  static async start(isSaturated: boolean): Promise<CalledSides> {
    const file = isSaturated ? BENCH_UAS! : UAS!;
    const sipps: SippProcess[] = [];
    for (const name of ['UAS 1', 'UAS 2'])
      sipps.push(new SippProcess({ ...common(name, await freePort()), file, uac: null }));
    for (const sipp of sipps) await sipp.untilBound();
    return new CalledSides(sipps);
  }

  get ports(): number[] {
    return this.#sipps.map(({ port }) => port);
  }

  get pids(): number[] {
    return this.#sipps.map(({ pid }) => pid);
  }

  async end(): Promise<void> {
    for (const sipp of this.#sipps) await sipp.remove();
  }
}

export class Calls {
  readonly #uac: SippProcess;

  private constructor(uac: SippProcess) {
    this.#uac = uac;
  }

  static async start(serverPort: number, callsPerSec: number): Promise<Calls> {
    const pace = { ratePerSec: callsPerSec, window: callsPerSec * MOST_IN_FLIGHT_SEC, amount: null };
    const uac = { to: { host: ADDRESS, port: serverPort }, pace };
    return new Calls(new SippProcess({ ...common('UAC', await freePort()), file: UAC!, uac, keepsErrors: true }));
  }

  get pid(): number {
    return this.#uac.pid;
  }

  /** It must not end by itself. */
  get hasEnded(): boolean {
    return this.#uac.hasEnded;
  }

  get figures(): StatRow {
    return this.#uac.stats().at(-1) ?? NO_STATS;
  }

  /** No more calls; resolves when the last one is over. */
  async finish(): Promise<void> {
    this.#uac.finish();
    if (!(await this.#uac.endsWithin(LAST_CALLS_LIMIT_MS)))
      throw new Error(`the last calls do not end: ${JSON.stringify(this.figures)}`);
  }

  failed(shardCount: number): FailedCall[] {
    const rows = this.#uac.stats();
    return Array.from(namedCalls(this.#uac.errors()), ([callId, about]) => ({
      callId,
      shard: shardOf(Buffer.from(`INVITE sip:a SIP/2.0\r\nCall-ID: ${callId}\r\n\r\n`), shardCount),
      begunMs: begunBetween(callId, rows),
      ...about,
    }));
  }

  async end(): Promise<void> {
    await this.#uac.remove();
  }
}

/** Calls a second that a server serves of a load that never waits, in the second half of `seconds`. */
export async function saturate(serverPort: number, uasPorts: readonly number[], seconds: number): Promise<number> {
  const pace = { ratePerSec: null, window: SATURATING_WINDOW, amount: null };
  const uac = new SippProcess({
    ...common('UAC', await freePort()),
    file: BENCH_UAC!,
    keys: { uas: `${ADDRESS}:${uasPorts[0]}` },
    uac: { to: { host: ADDRESS, port: serverPort }, pace },
  });
  try {
    if (await uac.endsWithin(seconds * 1000)) throw new Error(`SIPp ended: ${uac.complaint()}`);
    const rows = uac.stats();
    const [first, last] = [rows[rows.length >> 1], rows.at(-1)];
    if (first === undefined || last === undefined || last.successful === first.successful)
      throw new Error('no call came through');
    return ((last.successful - first.successful) * 1000) / (last.atMs - first.atMs);
  } finally {
    await uac.remove();
  }
}

function common(name: string, port: number) {
  const isOfBench = { address: ADDRESS, transport: 'u1', cpus: null, timeCount: 0, isMeasured: false };
  // -nd: whoever gives up does so in silence. Call-IDs of calls that are over need not be known.
  return { name, port, ...isOfBench, args: ['-nd', '-deadcall_wait', '0'] };
}
