/** The Dockerfile without an engine: its instructions are carried out in a folder for each stage, with the commands that it names, and
 *  what comes of them is a server that starts by ENTRYPOINT and CMD and is found healthy by HEALTHCHECK. Three things are
 *  different: Debian packages are those of this machine, what `npm ci` and the compiler would make is taken from this clone
 *  (the sources of the addon still decide whether it is built), and the server gets a free port of loopback. */

import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { START_PATIENCE_MS } from '../process/patience.ts';
import { until } from '../process/server-process.ts';
import { freeTcpPort } from '../process/tcp-port.ts';
import { freePort, UdpPeer } from '../process/udp-peer.ts';
import { root } from '../tidy/source-files.ts';
import { readStages, type Stage } from './dockerfile.ts';

const folder = mkdtempSync(join(tmpdir(), 'strowger-image-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const dockerfile = readFileSync(join(root, 'deploy/Dockerfile'), 'utf8');
const stages = readStages(dockerfile);
const packageJson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** Where the files of a stage lie. */
function folderOf({ name }: Stage): string {
  return join(folder, name);
}

/** Carries out COPY, WORKDIR and RUN. Returns the working directory. */
function build(stage: Stage): string {
  let workingDirectory = '/';
  const inStage = (path: string) => join(folderOf(stage), resolve(workingDirectory, path));
  mkdirSync(inStage('/'), { recursive: true });
  for (const { keyword, text } of stage.instructions) {
    if (keyword === 'WORKDIR') {
      workingDirectory = text;
      mkdirSync(inStage('.'), { recursive: true });
    } else if (keyword === 'COPY') copy(text, inStage);
    else if (keyword === 'RUN') run(text, inStage);
  }
  return inStage('.');
}

/** As Docker does: what is in a folder goes into the target, and a target with a slash at its end is a folder. */
function copy(text: string, inStage: (path: string) => string): void {
  const [, from, rest] = /^(?:--from=(\S+) )?(.*)$/.exec(text)!;
  const paths = rest!.split(' ');
  const target = paths.pop()!;
  for (const path of paths) {
    const source = join(from === undefined ? root : join(folder, from), path);
    const isFolder = statSync(source).isDirectory();
    const place = isFolder || !target.endsWith('/') ? inStage(target) : join(inStage(target), basename(path));
    mkdirSync(dirname(place), { recursive: true });
    // Hard links: node_modules is large. What is copied here is only ever replaced or removed, never written into.
    if (isFolder) link(`${source}/.`, place);
    else cpSync(source, place);
  }
}

function link(source: string, place: string): void {
  mkdirSync(place, { recursive: true });
  execute('cp', ['-al', source, place], root);
}

function run(command: string, inStage: (path: string) => string): void {
  if (command.startsWith('apt-get ')) return;
  if (command.startsWith('npm ci ')) {
    link(`${join(root, 'node_modules')}/.`, inStage('node_modules'));
    mkdirSync(inStage('build/Release'), { recursive: true });
    for (const file of ['strowger.stamp', 'Release/strowger.node']) {
      cpSync(join(root, 'build', file), join(inStage('build'), file), { preserveTimestamps: true });
    }
    return;
  }
  const directory = /^install -d (?:-[og] \S+ )*(\/\S+)$/.exec(command)?.[1];
  if (directory !== undefined) mkdirSync(inStage(directory), { recursive: true });
  else execute('sh', ['-c', command], inStage('.'));
}

function execute(program: string, args: readonly string[], cwd: string): string {
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env['PATH']}` };
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: exit code ${status}\n${stdout}${stderr}`);
  return stdout;
}

/** The JSON list of the last `keyword`. */
function listOf({ instructions }: Stage, keyword: string): string[] {
  const { text } = instructions.findLast((instruction) => instruction.keyword === keyword)!;
  return JSON.parse(text.slice(text.indexOf('['))) as string[];
}

function optionsText(port: number): Buffer {
  const lines = [
    'OPTIONS sip:example.org SIP/2.0',
    `Via: SIP/2.0/UDP 127.0.0.1:${port};branch=z9hG4bKimage`,
    'Max-Forwards: 70',
    'From: <sip:anna@example.org>;tag=1',
    'To: <sip:example.org>',
    'Call-ID: image',
    'CSeq: 1 OPTIONS',
    'Content-Length: 0',
  ];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`);
}

describe('the image', () => {
  const [builder, runtime] = stages as [Stage, Stage];

  it('has the pinned Node.js, and ends as another user than root', () => {
    for (const { image } of stages) expect(image).toMatch(new RegExp(`^node:${packageJson.devDependencies.node}-`));
    expect(runtime.instructions.findLast(({ keyword }) => keyword === 'USER')).toMatchObject({ text: 'node' });
  });

  it('is built by its commands, and serves', async () => {
    build(builder);
    const directory = build(runtime);
    expect(readdirSync(directory).sort()).toEqual(['bin', 'build', 'dist', 'node_modules', 'package.json']);
    expect(existsSync(join(directory, 'node_modules/vitest'))).toBe(false);
    expect(existsSync(join(directory, 'node_modules/zod'))).toBe(true);

    const [port, adminPort] = [await freePort(), await freeTcpPort()];
    const state = join(folderOf(runtime), 'var/lib/strowger');
    expect(existsSync(state)).toBe(true);
    const [program, ...args] = [...listOf(runtime, 'ENTRYPOINT'), ...listOf(runtime, 'CMD')].map((text) =>
      text.startsWith('/') ? join(folderOf(runtime), text) : text,
    );
    const here = ['--listen', `udp:127.0.0.1:${port}`, '--admin', `127.0.0.1:${adminPort}`, '--workers', '1'];
    const settings = [`location.store=${join(state, 'location')}`, `crash.directory=${join(state, 'crashes')}`];
    const sets = [...settings, 'control.socket=off'].flatMap((set) => ['--set', set]);
    expect(program).toBe('node');
    const server = spawn(process.execPath, [...args, ...here, ...sets], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [server.stdout, server.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    try {
      const [probe, ...probeArgs] = listOf(runtime, 'HEALTHCHECK').map((text) =>
        text.replace('9560', String(adminPort)),
      );
      expect(probe).toBe('node');
      const isHealthy = () => spawnSync(process.execPath, probeArgs).status === 0;
      expect(isHealthy()).toBe(false);
      await until('the probe succeeds', isHealthy, {
        deadlineMs: START_PATIENCE_MS,
        pollMs: 100,
        explain: () => output,
      });
      const phone = await UdpPeer.open();
      await phone.send(optionsText(phone.port), port);
      await phone.receive('SIP/2.0 200 ');
      phone.close();
      server.kill('SIGTERM');
      await until('the server ends', () => server.exitCode !== null);
      expect(server.exitCode).toBe(0);
    } finally {
      server.kill('SIGKILL');
    }
  });
});
