/** Where the server keeps what is to outlive it. Cold. */

import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Config } from '../config/schema.ts';

/** The directory of the location store; null: bindings are in memory alone. `port`: of the first socket, as configured. */
export function locationDirectory(
  config: Config,
  environment: NodeJS.ProcessEnv = process.env,
  isRoot: boolean = process.getuid?.() === 0,
): string | null {
  const { store } = config.location;
  const { port } = config.listen[0]!;
  if (store === 'off') return null;
  if (store !== 'auto') return resolve(store);
  // Nobody finds again what is called by a port that the kernel chose.
  if (port === 0) return null;
  return join(stateDirectory(environment, isRoot), `location-${port}`);
}

/** The file of the bans; null: they end with the process. `port`: of the first socket, as configured. */
export function bansFile(
  config: Config,
  environment: NodeJS.ProcessEnv = process.env,
  isRoot: boolean = process.getuid?.() === 0,
): string | null {
  const { file } = config.bans;
  const { port } = config.listen[0]!;
  if (file === 'off') return null;
  if (file !== 'auto') return resolve(file);
  return port === 0 ? null : join(stateDirectory(environment, isRoot), `bans-${port}.json`);
}

/** The directory of the configurations that were good; null: they are kept in memory. `port`: of the first socket, as configured. */
export function configDirectory(
  config: Config,
  environment: NodeJS.ProcessEnv = process.env,
  isRoot: boolean = process.getuid?.() === 0,
): string | null {
  const { directory } = config.reload;
  const { port } = config.listen[0]!;
  if (directory === 'off') return null;
  if (directory !== 'auto') return resolve(directory);
  return port === 0 ? null : join(stateDirectory(environment, isRoot), `config-${port}`);
}

function stateDirectory({ XDG_STATE_HOME: own }: NodeJS.ProcessEnv, isRoot: boolean): string {
  const base = own !== undefined && own !== '' ? own : isRoot ? '/var/lib' : join(homedir(), '.local', 'state');
  return join(base, 'strowger');
}
