/** Are the percentiles true? The same calls are timed twice: by the harness and by somebody else, once SIPp's own response
 *  times, once tshark on the wire. SIPp looks at its own clock every few milliseconds, so nearer than that the two cannot be,
 *  and the called side takes its time before it rings. The harness has SIPp ask for the time of day: it must be within a
 *  millisecond of the wire. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startContestant } from '../../../perf/bench/contestant.ts';
import { histogramOf, histogramsOf, samplesOf } from '../../../perf/bench/delays.ts';
import { readOptions } from '../../../perf/bench/options.ts';
import type { DelayName } from '../../../perf/bench/result.ts';
import { partsOf } from '../../../perf/bench/scenario.ts';
import { GRAIN_US, SippProcess } from '../../../perf/bench/sipp-process.ts';
import { columnsOf, readExchangeTimes, readResponseTimes, readStartMs } from '../../../perf/bench/sipp-traces.ts';
import { playTurn } from '../../../perf/bench/turn.ts';
import { freePorts } from '../../../perf/bench/udp-sockets.ts';

const CALLS = 400;
/** Of the packets: what the kernel has no time to copy for a capture is missing there, on a busy machine and with all the buffer
 *  that it gets. What was captured is compared. */
const LEAST_CAPTURED = 0.9;
const CAPTURE_BUFFER_MIB = 64;
/** One and the same moment is written down by two programs: where a third takes the CPU away between them, they differ by that.
 *  So they have it before others where that is allowed, and a machine that was too busy gets another try. */
const TIMED = { retry: 4 };
/** A second would travel with the first: messages of one length leave as one segmented send, which is one packet to tshark. */
const IN_FLIGHT = 1;
/** Of -timer_resol 1. */
const TICK_US = 1000;
const RINGS_AFTER = '<pause distribution="uniform" min="10" max="200"/>';
const SLOW_IN_FLIGHT = 40;
/** HdrHistogram keeps three digits. */
const ROUNDING = 0.001;
const PERCENTILES = [2.5, 50, 90, 95];

/** tshark is a Debian package, and only root may listen. */
const canCapture = spawnSync('tshark', ['-i', 'lo', '-a', 'duration:0', '-q']).status === 0;

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bench-agreement-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Runs it with this thread, and with that all programs that it starts, before others (sched(7)); as it is where that is
 *  forbidden. */
async function beforeOthers<T>(run: () => Promise<T>): Promise<T> {
  spawnSync('chrt', ['--fifo', '--pid', '1', String(process.pid)]);
  try {
    return await run();
  } finally {
    spawnSync('chrt', ['--other', '--pid', '0', String(process.pid)]);
  }
}

function percentileOf(values: readonly number[], percentile: number): number {
  const ascending = [...values].sort((a, b) => a - b);
  return ascending[Math.max(0, Math.ceil((percentile / 100) * ascending.length) - 1)]!;
}

/** All percentiles that are further apart than `limitUs`. */
function disagreements(ours: (percentile: number) => number, theirs: readonly number[], limitUs: number): string[] {
  return PERCENTILES.flatMap((percentile) => {
    const [own, other] = [ours(percentile), percentileOf(theirs, percentile)];
    return Math.abs(own - other) <= limitUs + other * ROUNDING ? [] : [`${percentile} %: ${own} µs, not ${other} µs`];
  });
}

it("percentiles agree with SIPp's own response times", TIMED, async () => {
  const { scenario } = partsOf('call')[0]!;
  const [uasPort, uacPort] = await freePorts('127.0.0.1', 2);
  const uasFile = join(directory, 'uas-call.xml');
  const uasText = readFileSync(scenario.baselineUasFile!, 'utf8');
  writeFileSync(uasFile, uasText.replace('<recv request="INVITE"/>', `<recv request="INVITE"/>${RINGS_AFTER}`));
  const uas = new SippProcess({
    ...{ name: 'UAS', file: uasFile, timeCount: 0, address: '127.0.0.1', port: uasPort! },
    ...{ transport: 'u1', cpus: null, uac: null },
  });
  try {
    await uas.untilBound();
    const file = join(directory, 'call.xml');
    const text = readFileSync(scenario.uacFile, 'utf8')
      .replace('<send retrans="500">', '<send retrans="500" start_rtd="sessionRequest">')
      .replace('<recv response="180" optional="true">', '<recv response="180" optional="true" rtd="sessionRequest">');
    writeFileSync(file, text);
    const uac = spawn(
      'sipp',
      [
        ...['-sf', file, '-i', '127.0.0.1', '-p', String(uacPort), '-key', 'uas', `127.0.0.1:${uasPort}`],
        ...['-users', String(SLOW_IN_FLIGHT), '-m', String(CALLS), '-timer_resol', '1', '-nostdin'],
        ...[
          '-trace_logs',
          '-log_file',
          'exchanges.log',
          '-trace_rtt',
          '-rtt_freq',
          '1',
          '-trace_stat',
          '-stf',
          'stat.csv',
        ],
        `127.0.0.1:${uasPort}`,
      ],
      { cwd: directory, stdio: 'ignore' },
    );
    const pid = uac.pid!;
    expect((await once(uac, 'exit'))[0]).toBe(0);
    const times = readExchangeTimes(readFileSync(join(directory, 'exchanges.log')), scenario.timeCount);
    const pace = { ratePerSec: null, grainUs: 0 };
    const samples = samplesOf(times, scenario, pace, { beginUs: 0, endUs: Infinity });
    const ours = histogramsOf(samples).get('sessionRequest')!;
    const [header, row] = readFileSync(join(directory, 'stat.csv'), 'latin1').split('\n');
    const theirs = readResponseTimes(
      readFileSync(join(directory, `call_${pid}_rtt.csv`), 'latin1'),
      readStartMs(columnsOf(header!), row!),
    ).map(({ ms }) => ms * 1000);
    expect([ours.totalCount, theirs.length]).toEqual([CALLS, CALLS]);
    expect(disagreements((percentile) => ours.getValueAtPercentile(percentile), theirs, GRAIN_US)).toEqual([]);
  } finally {
    await uas.remove();
  }
});

interface Packet {
  readonly us: number;
  readonly from: number;
  readonly method: string;
  readonly status: number;
  readonly callId: string;
  readonly sequenceMethod: string;
}

/** What tshark saw at a port, in the order of the wire. */
class Capture {
  readonly #port: number;
  readonly #file = join(directory, 'wire.pcapng');
  readonly #tshark;

  constructor(port: number) {
    this.#port = port;
    const buffer = ['-B', String(CAPTURE_BUFFER_MIB)];
    this.#tshark = spawn('tshark', ['-i', 'lo', ...buffer, '-f', `udp port ${port}`, '-q', '-w', this.#file]);
  }

  started(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#tshark.stderr.on('data', (text) => {
        if (String(text).includes('Capture started')) resolve();
      });
      this.#tshark.once('exit', (code) => reject(new Error(`tshark ended with ${code}`)));
    });
  }

  /** Without what was captured, if it still runs. */
  async end(): Promise<void> {
    if (this.#tshark.exitCode !== null) return;
    this.#tshark.kill('SIGINT');
    await once(this.#tshark, 'close');
  }

  async packets(): Promise<readonly Packet[]> {
    await this.end();
    const fields = [
      'frame.time_epoch',
      'udp.srcport',
      'sip.Method',
      'sip.Status-Code',
      'sip.Call-ID',
      'sip.CSeq.method',
    ];
    const args = ['-r', this.#file, '-d', `udp.port==${this.#port},sip`, '-T', 'fields', '-t', 'e'];
    const { stdout } = spawnSync('tshark', [...args, ...fields.flatMap((field) => ['-e', field])], {
      encoding: 'utf8',
      maxBuffer: 64 << 20,
    });
    return stdout
      .trim()
      .split('\n')
      .map((line) => {
        const [time, from, method, status, callId, sequenceMethod] = line.split('\t');
        return {
          us: Number(time) * 1e6,
          from: Number(from),
          method: method!,
          status: Number(status),
          callId: callId!,
          sequenceMethod: sequenceMethod!,
        };
      });
  }
}

/** From a request's first arrival at the server to the first response of those that the server sent for it. */
function delaysOnTheWire(
  packets: readonly Packet[],
  port: number,
  method: string,
  statuses: readonly number[],
): number[] {
  const begun = new Map<string, number>();
  const delays: number[] = [];
  for (const { us, from, callId, status, ...packet } of packets) {
    if (packet.method === method && from !== port && !begun.has(callId)) begun.set(callId, us);
    if (from === port && statuses.includes(status) && packet.sequenceMethod === method && begun.get(callId)! > 0) {
      delays.push(us - begun.get(callId)!);
      begun.set(callId, 0);
    }
  }
  return delays;
}

it.runIf(canCapture)('percentiles agree with a packet capture', TIMED, async () => {
  const options = await readOptions({
    target: undefined,
    valueFor: (name) => ({ amount: String(CALLS), window: String(IN_FLIGHT) })[name],
    has: () => false,
    serverArgs: [],
    words: [],
  });
  const { load } = options;
  const needs = { services: new Set<never>(), domain: load.domain, users: load.users, password: load.password };
  const server = await startContestant(options.subject, 'subject', needs);
  try {
    const { port } = server.at!;
    const capture = new Capture(port);
    await capture.started();
    const { turn } = await beforeOthers(() => playTurn(server, 0, load)).finally(() => capture.end());
    const packets = await capture.packets();
    expect(turn.exchanges).toMatchObject({ successful: CALLS, failed: 0 });
    for (const [name, method, statuses] of [
      ['sessionRequest', 'INVITE', [180, 200]],
      ['setup', 'INVITE', [200]],
      ['sessionDisconnect', 'BYE', [200]],
    ] satisfies [DelayName, string, number[]][]) {
      const theirs = delaysOnTheWire(packets, port, method, statuses);
      const ours = histogramOf(turn.delays[name]!);
      expect([name, ours.totalCount]).toEqual([name, CALLS]);
      expect(theirs.length / CALLS).toBeGreaterThan(LEAST_CAPTURED);
      expect([name, disagreements((percentile) => ours.getValueAtPercentile(percentile), theirs, TICK_US)]).toEqual([
        name,
        [],
      ]);
    }
  } finally {
    await server.stop();
  }
});
