/** What does it cost to be scraped? A real server under SIPp calls, first left alone, then scraped a thousand times; the CPU time of
 *  its threads by the kernel's accounts (schedstat), which do not depend on who else wants the cores.
 *
 *  `node perf/scrapes.ts [--rate CALLS/S] [--scrapes N] [--every MS]`. Issue 6: 1,000 scrapes under load cost less than 1 % of a core;
 *  Prometheus asks every 15 s by default, here it is as often as `--every` says. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { freePort } from '../test/process/udp-peer.ts';

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '500' },
    scrapes: { type: 'string', default: '1000' },
    every: { type: 'string', default: '40' },
  },
});
const RATE = Number(values.rate);
const SCRAPES = Number(values.scrapes);
const EVERY_MS = Number(values.every);
const WARM_UP_MS = 5000;
const script = fileURLToPath(new URL('../bin/strowger.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'strowger-scrapes-'));
const children: ChildProcess[] = [];

/** Nanoseconds of CPU by thread of a process. */
function cpuOf(pid: number): Map<string, number> {
  const tasks = `/proc/${pid}/task`;
  return new Map(
    readdirSync(tasks).map((tid) => [tid, Number(readFileSync(`${tasks}/${tid}/schedstat`, 'latin1').split(' ')[0])]),
  );
}

function spent(before: Map<string, number>, after: Map<string, number>, tid?: string): number {
  let sum = 0;
  for (const [id, ns] of after) if (tid === undefined || id === tid) sum += ns - (before.get(id) ?? 0);
  return sum / 1e6;
}

function start(command: string, args: readonly string[]): ChildProcess {
  const child = spawn(command, args, { cwd: folder, stdio: 'ignore' });
  children.push(child);
  return child;
}

async function untilReady(url: string): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    const isReady = await fetch(`${url}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
    if (isReady) return;
    await sleep(100);
  }
  throw new Error('the server is not ready within 30 s');
}

async function measure(): Promise<void> {
  const [port, uas, uac, admin] = [await freePort(), await freePort(), await freePort(), await freePort()];
  const url = `http://127.0.0.1:${admin}`;
  const server = start(process.execPath, [
    ...[script, '--listen', `udp:127.0.0.1:${port}`, '--workers', '2', '--admin', `127.0.0.1:${admin}`],
    ...['location.store=off', 'bans.file=off', 'control.socket=off'].flatMap((set) => ['--set', set]),
  ]);
  const pid = server.pid!;
  await untilReady(url);
  start('sipp', ['-sn', 'uas', '-i', '127.0.0.1', '-p', String(uas), '-nostdin']);
  start('sipp', [
    ...['-sn', 'uac', '-i', '127.0.0.1', '-p', String(uac), '-rsa', `127.0.0.1:${port}`, '-r', String(RATE)],
    ...['-d', '0', '-nostdin', `127.0.0.1:${uas}`],
  ]);
  await sleep(WARM_UP_MS);
  for (let i = 0; i < 50; i++) await (await fetch(`${url}/metrics`)).text();

  const phaseMs = SCRAPES * EVERY_MS;
  const alone = cpuOf(pid);
  const aloneAtMs = performance.now();
  await sleep(phaseMs);
  const between = cpuOf(pid);
  const aloneMs = performance.now() - aloneAtMs;
  const callsBefore = await counter(url, 'server_transactions_total');

  const scraped = cpuOf(pid);
  const scrapedAtMs = performance.now();
  let bytes = 0;
  for (let i = 0; i < SCRAPES; i++) {
    await sleep(Math.max(0, scrapedAtMs + i * EVERY_MS - performance.now()));
    bytes += (await (await fetch(`${url}/metrics`)).text()).length;
  }
  const end = cpuOf(pid);
  const scrapedMs = performance.now() - scrapedAtMs;
  const calls = (await counter(url, 'server_transactions_total')) - callsBefore;

  const main = String(pid);
  const mainAlone = spent(alone, between, main) / aloneMs;
  const mainScraped = spent(scraped, end, main);
  const ofScrapesMs = mainScraped - mainAlone * scrapedMs;
  const perScrapeMs = ofScrapesMs / SCRAPES;
  console.log(
    JSON.stringify(
      {
        machine: `${cpus()[0]?.model ?? '?'}, ${cpus().length} CPUs, Node ${process.version}`,
        callsPerSecond: RATE,
        transactionsServed: calls,
        scrapes: SCRAPES,
        everyMs: EVERY_MS,
        kibPerScrape: Math.round(bytes / SCRAPES / 1024),
        mainThreadCpuMsPerScrape: round(perScrapeMs),
        cpuMsOfAllScrapes: round(ofScrapesMs),
        shareOfACoreAtOneScrapePerSecond: `${round(perScrapeMs / 10)} %`,
        shareOfACoreAtOneScrapePer15Seconds: `${round(perScrapeMs / 150)} %`,
        allThreadsCpuShare: {
          alone: round(spent(alone, between) / aloneMs),
          scraped: round(spent(scraped, end) / scrapedMs),
        },
      },
      null,
      2,
    ),
  );
}

async function counter(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return [...text.matchAll(new RegExp(`^strowger_${name}\\{[^}]*\\} (\\d+)`, 'gm'))].reduce(
    (sum, [, value]) => sum + Number(value),
    0,
  );
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

try {
  await measure();
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}
