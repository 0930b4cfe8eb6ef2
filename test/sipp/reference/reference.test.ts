/** The profile `reference` of docker-compose.yml without an engine: Kamailio by its ENTRYPOINT and CMD, and the load on it. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readStages } from '../../deploy/dockerfile.ts';
import { until } from '../../process/server-process.ts';
import { freePort } from '../../process/udp-peer.ts';
import { root } from '../../tidy/source-files.ts';
import { endLoads, runLoad } from '../load-script.ts';

const hasKamailio = spawnSync('kamailio', ['-v']).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'strowger-reference-'));
let kamailio: ChildProcess | undefined;

afterAll(async () => {
  endLoads();
  if (kamailio !== undefined && kamailio.exitCode === null) {
    const ended = new Promise((resolve) => kamailio!.once('close', resolve));
    kamailio.kill('SIGTERM');
    await ended;
  }
  rmSync(folder, { recursive: true, force: true });
});

/** What the image runs, with its paths and its interface replaced by those of here. */
function commandOf(port: number): string[] {
  const stages = readStages(readFileSync(join(root, 'deploy/peers.Dockerfile'), 'utf8'));
  const { instructions } = stages.find(({ name }) => name === 'kamailio')!;
  const words = ['ENTRYPOINT', 'CMD'].flatMap((keyword) => {
    const { text } = instructions.find((instruction) => instruction.keyword === keyword)!;
    return JSON.parse(text) as string[];
  });
  const copied = instructions.find(({ keyword }) => keyword === 'COPY')!.text.split(' ') as [string, string];
  return words.map((word) => {
    if (word === copied[1]) return join(root, copied[0]);
    return word.replace('eth0:5060', `127.0.0.1:${port}`).replace(/^\/tmp/, folder);
  });
}

describe('Kamailio as the reference', () => {
  it.skipIf(!hasKamailio)('serves the same load as Strowger, without a failed call', async () => {
    const port = await freePort();
    const [program, ...args] = commandOf(port) as [string, ...string[]];
    kamailio = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    kamailio.stderr!.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    // As the healthcheck of docker-compose.yml looks for it.
    const isBound = () => readFileSync('/proc/net/udp', 'latin1').includes(`:${port.toString(16).toUpperCase()} `);
    await until('Kamailio listens', isBound, { pollMs: 50, explain: () => said });
    const { code, output } = await runLoad(port, { rate: 50, seconds: 3, users: 50 });
    expect(code, `${output}\n${said}`).toBe(0);
    expect(output).toContain('all 150 calls and 65 registrations were successful');
  });
});
