/** Two softphones (baresip) that know nothing but the address of a server on its default configuration: they register, one
 *  calls the other, they talk, they hang up. */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../../../process/server-process.ts';
import { freePort } from '../../../process/udp-peer.ts';

const running: Softphone[] = [];

afterAll(async () => {
  for (const phone of running) phone.end();
  await endServers();
});

/** Without sound hardware: what it hears goes back. */
class Softphone {
  output = '';
  readonly #child: ChildProcess;
  readonly #folder = mkdtempSync(join(tmpdir(), 'strowger-baresip-'));

  constructor(user: string, server: string, port: number, commands: readonly string[] = []) {
    const config = [
      'module_path /usr/lib/baresip/modules',
      `sip_listen 127.0.0.1:${port}`,
      `audio_player aubridge,${user}`,
      `audio_source aubridge,${user}`,
      'module g711.so',
      'module aubridge.so',
      'module uuid.so',
      'module_tmp account.so',
      'module_app menu.so',
    ];
    this.#write('config', config.join('\n'));
    this.#write('accounts', `<sip:${user}@${server};transport=udp>;regint=60;answermode=auto`);
    this.#write('contacts', '');
    const args = ['-f', this.#folder, '-v', ...commands.flatMap((command) => ['-e', command])];
    this.#child = spawn('baresip', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child.on('error', (error) => {
      this.output += `baresip does not run: ${error.message}; apt-get install baresip-core`;
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    running.push(this);
  }

  async says(text: string): Promise<void> {
    await until(`baresip says "${text}"`, () => this.output.includes(text), { explain: () => this.output });
  }

  /** Hangs up first. */
  end(): void {
    this.#child.kill('SIGTERM');
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #write(name: string, text: string): void {
    writeFileSync(join(this.#folder, name), `${text}\n`);
  }
}

describe('two softphones at a server without a configuration', () => {
  it('register, call each other and hang up', async () => {
    const port = await freePort();
    const server = await ServerProcess.start('--mode', 'stateful', '--listen', `udp:127.0.0.1:${port}`);
    const bob = new Softphone('bob', `127.0.0.1:${port}`, await freePort());
    await bob.says('[1 binding]');
    const alice = new Softphone('alice', `127.0.0.1:${port}`, await freePort(), [`/dial sip:bob@127.0.0.1:${port}`]);
    await alice.says('[1 binding]');
    await alice.says('Call established: sip:bob@');
    await bob.says('Call established: sip:alice@');
    alice.end();
    await bob.says('session closed');
    expect(await server.counters()).toMatchObject({ registrations_refused_total: 0, malformed_requests_total: 0 });
  });
});
