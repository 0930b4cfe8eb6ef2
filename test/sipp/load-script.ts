/** deploy/load/load.sh, the load of docker-compose.yml, as its container runs it. */

import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { freePorts } from '../process/udp-peer.ts';

const SCRIPT = fileURLToPath(new URL('../../deploy/load/load.sh', import.meta.url));
/** As many as the script takes. */
const PORTS = 4;

const running = new Set<ChildProcess>();

export interface LoadOutcome {
  readonly code: number | null;
  readonly output: string;
}

/** Loads the server at `port` of loopback; the outcome comes with the load's end. */
export async function runLoad(
  port: number,
  { rate, seconds, users }: { readonly rate: number; readonly seconds: number; readonly users: number },
): Promise<LoadOutcome> {
  const settings = { RATE: rate, DURATION_SEC: seconds, USERS: users, UAS_PORT: await freePorts(PORTS) };
  const texts = Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, String(value)]));
  const env = { ...process.env, ...texts, SERVER: `127.0.0.1:${port}`, ADDRESS: '127.0.0.1' };
  const child = spawn(SCRIPT, [], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      running.delete(child);
      resolve({ code, output });
    });
  });
}

/** Ends what is left. For afterAll. */
export function endLoads(): void {
  for (const child of running) child.kill('SIGTERM');
}
