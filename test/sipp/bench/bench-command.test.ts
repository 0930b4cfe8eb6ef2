/** `strowger bench` as users run it, over loopback, a few hundred calls at a time. */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BenchResult } from '../../../perf/bench/result.ts';
import { startCommand } from '../../cli/command.ts';
import { PATIENCE_MS } from '../../process/patience.ts';
import { UdpPeer } from '../../process/udp-peer.ts';

const hasKamailio = (process.env['PATH'] ?? '').split(':').some((folder) => existsSync(join(folder, 'kamailio')));

let directory = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'bench-test-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** With a folder for temporary files that must be empty afterwards. */
async function bench(...args: string[]) {
  const temporary = mkdtempSync(join(directory, 'tmp-'));
  const run = await startCommand(['bench', ...args], { ...process.env, TMPDIR: temporary }).finished;
  expect(readdirSync(temporary)).toEqual([]);
  return run;
}

/** A zombie is not: nobody may have asked for it yet. */
function isRunning(pid: string): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function resultOf(stdout: string): BenchResult {
  return JSON.parse(stdout);
}

/** Neither failed nor called wrongly. On a busy machine SIPp may be the limit even of a few calls. */
const WENT_WELL = [0, 3];

describe('strowger bench', () => {
  it('loads a server that it starts itself: tables, JSON, page and CSV', async () => {
    const page = join(directory, 'report.html');
    const { code, stdout, stderr } = await bench(
      ...['--amount', '100', '--rate', '100', '--json', '--report', page, '--csv', join(directory, 'csv')],
    );
    expect(WENT_WELL, stderr).toContain(code);
    expect(stderr).toContain('Session request delay, from when it was due');
    const result = resultOf(stdout);
    expect(result.load.command).toMatch(/^strowger bench --amount 100 --rate 100 --json --report /);
    expect(result.contestants.map(({ name }) => name)).toEqual(['strowger', 'baseline']);
    const turn = result.turns.find(({ contestant }) => contestant === 'strowger')!;
    expect(turn.exchanges).toMatchObject({ started: 100, successful: 100, failed: 0, failuresByCause: {} });
    // INVITE, ACK, BYE and four responses at the UAC, 100 included; three requests and three responses at the UAS.
    // More only where the machine was so busy that SIPp sent something again.
    const { sent, received, retransmissions } = turn.messages;
    if (retransmissions === 0) expect([sent, received]).toEqual([6 * 100, 7 * 100]);
    else expect(sent).toBeGreaterThan(6 * 100);

    expect(turn.delays.setup).toMatchObject({ count: 100, isCorrected: true });
    expect(turn.delays.setup!.minUs).toBeGreaterThan(turn.delays.sessionRequest!.minUs);
    expect(turn.cpu.serverNs).toBeGreaterThan(0);
    expect(turn.cpu.generatorNs.map(({ name }) => name)).toEqual(['UAC 1', 'UAS 1']);
    expect(turn.drops).toEqual({ server: 0, generator: 0 });
    expect(readFileSync(page, 'utf8')).toMatch(/^<!DOCTYPE html>/);
    expect(readdirSync(join(directory, 'csv')).sort()).toEqual(['over-time.csv', 'percentiles.csv', 'turns.csv']);
  });

  it('costs less than 5 % of a core beside SIPp', async () => {
    const { stdout } = await bench('--rate', '1000', '--duration', '2', '--warmup', '0.5', '--no-baseline', '--json');
    const [turn] = resultOf(stdout).turns;
    expect(turn!.exchanges.successful).toBeGreaterThan(500);
    expect(turn!.cpu.harnessNs / 1e6 / turn!.wallMs).toBeLessThan(0.05);
  });

  // The mix is of call, call-located, cancel, register and options.
  it.each(['register-auth', 'redirect', 'mix'])(
    'plays %s with none failed, with a server and without',
    async (scenario) => {
      const { code, stdout, stderr } = await bench(
        ...['--scenario', scenario, '--amount', '100', '--rate', '200', '--users', '40', '--json'],
      );
      const { turns } = resultOf(stdout);
      expect(WENT_WELL, stderr).toContain(code);
      expect(turns.map(({ contestant, exchanges }) => [contestant, exchanges.successful, exchanges.failed])).toEqual([
        ['baseline', 100, 0],
        ['strowger', 100, 0],
      ]);
      expect(Object.values(turns[1]!.delays).length).toBeGreaterThan(0);
    },
  );

  it('exits 1 and names the cause where calls fail, and ends early with --bailout', async () => {
    const server = await UdpPeer.open();
    server.onArrival = ({ datagram, from }) => {
      const text = datagram.toString('latin1');
      if (text.startsWith('ACK ')) return;
      const copied = text.split('\r\n').filter((line) => /^(?:Via|From|To|Call-ID|CSeq):/.test(line));
      const answer = ['SIP/2.0 503 Service Unavailable', ...copied, 'Content-Length: 0', '', ''].join('\r\n');
      void server.send(Buffer.from(answer), from.port);
    };
    const target = `sip:${server.hostPort}`;
    const options = ['--scenario', 'options', '--uas', 'none', '--no-baseline', '--json'];
    try {
      const { code, stdout, stderr } = await bench(target, ...options, '--rate', '100', '--amount', '20');
      expect(code).toBe(1);
      expect(resultOf(stdout).turns[0]!.exchanges).toMatchObject({
        failed: 20,
        failuresByCause: { 'unexpected 503': 20 },
      });
      expect(stderr).toContain('unexpected 503');
      const early = await bench(target, ...options, '--rate', '50', '--duration', '20', '--bailout', '5');
      expect(early.code).toBe(1);
      expect(resultOf(early.stdout).turns[0]!.wallMs).toBeLessThan(18_000);
      expect(early.stderr).toContain('(--bailout)');
    } finally {
      server.close();
    }
  });

  it('loads a server that runs already with a scenario of somebody else', async () => {
    const server = startCommand(['--workers', '1', '--listen', 'udp:127.0.0.1:0', '--control', 'off']);
    let output = '';
    server.process.stdout!.on('data', (text: string) => {
      output += text;
    });
    try {
      await server.saw('\n  try ');
      const port = /listening +udp:127\.0\.0\.1:(\d+)/.exec(output)![1];
      const file = join(dirname(import.meta.dirname), 'bench', 'keep-alive.xml');
      const { code, stdout, stderr } = await bench(
        ...[`sip:127.0.0.1:${port}`, '--scenario', file, '--amount', '50', '--rate', '100', '--json'],
      );
      expect(WENT_WELL, stderr).toContain(code);
      const { turns, contestants } = resultOf(stdout);
      expect(contestants.map(({ role, command }) => [role, command])).toEqual([['subject', null]]);
      expect(turns[0]!.delays.response).toMatchObject({ count: 50, isCorrected: false });
      expect(turns[0]!.cpu.serverNs).toBeGreaterThan(0);
    } finally {
      server.process.kill('SIGKILL');
      await server.finished;
    }
  });

  it.runIf(hasKamailio)('plays the same load on Kamailio in turns, and says the ratio', async () => {
    const { code, stdout, stderr } = await bench(
      ...['--against', 'kamailio', '--rounds', '2', '--amount', '50', '--rate', '100', '--no-baseline', '--json'],
    );
    expect(WENT_WELL, stderr).toContain(code);
    expect(resultOf(stdout).turns.map(({ contestant, round }) => `${contestant} ${round}`)).toEqual([
      'strowger 0',
      'kamailio 0',
      'kamailio 1',
      'strowger 1',
    ]);
    expect(stderr).toMatch(/^ {2}Kamailio in multiples of Strowger$/m);
    expect(stderr).toMatch(/^ {2}CPU per call +\S+ × \(/m);
  });

  it.each<[string, string[], RegExp]>([
    ['nobody listens', ['sip:127.0.0.1:9'], /nobody listens on UDP at 127\.0\.0\.1:9: start the server first/],
    ['a server ends at once', ['--against', 'false {port}', '--no-baseline', '--amount', '1'], /false ended by itself/],
    ['a setting is wrong', ['--set', 'workers=99', '--no-baseline'], /strowger ended by itself: .*workers/],
    ['a file cannot be written', ['--report', '/proc/none/report.html'], /--report cannot write into \/proc\/none/],
  ])('says in one line and exits 1 when %s', async (_, args, line) => {
    const { code, stderr } = await bench(...args);
    expect(code).toBe(1);
    expect(stderr.trimEnd().split('\n').at(-1)).toMatch(line);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  it('says how to get SIPp where there is none', async () => {
    const run = await startCommand(['bench'], { ...process.env, PATH: dirname(process.execPath) }).finished;
    expect([run.code, run.stdout]).toEqual([1, '']);
    expect(run.stderr).toMatch(
      /^strowger: there is no SIPp on the PATH: install it \(Debian, Ubuntu: apt-get install /,
    );
  });

  it('leaves nothing behind when it is stopped', async () => {
    const temporary = mkdtempSync(join(directory, 'tmp-'));
    const command = startCommand(['bench', '--no-baseline'], { ...process.env, TMPDIR: temporary });
    await command.saw('strowger …');
    const children = readFileSync(`/proc/${command.process.pid}/task/${command.process.pid}/children`, 'utf8');
    expect(children.trim().split(' ').length).toBeGreaterThan(1);
    command.process.kill('SIGINT');
    expect((await command.finished).code).toBe(130);
    expect(readdirSync(temporary)).toEqual([]);
    for (const pid of children.trim().split(' ')) {
      await expect.poll(() => isRunning(pid), { timeout: PATIENCE_MS }).toBe(false);
    }
  });
});
