/** What `start` prints once the server is up: where it listens, and what to try next. */

import { existsSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import type { Config } from '../config/schema.ts';
import { DomainServices } from '../roles/domain-services.ts';
import type { ServerDescription } from '../runtime/running-server.ts';
import { countOf, domainRows, warningsOf } from './check.ts';
import { firstCallOf } from './first-call.ts';
import { renderRows } from './table.ts';

export interface BannerFacts {
  readonly version: string;
  readonly pid: number;
  readonly config: Config;
  readonly description: ServerDescription;
  readonly controlPath: string | null;
  /** null: there is no admin listener. */
  readonly adminUrl: string | null;
  /** How this command was called, for the lines to copy. */
  readonly self: string;
}

export function renderBanner({ version, pid, config, description, controlPath, adminUrl, self }: BannerFacts): string {
  const { listening, mode, shards, receiveBufferNotes } = description;
  const warnings = [...receiveBufferNotes, ...warningsOf(config)];
  const choice = config.control.socket === 'auto' ? '' : ` --control ${controlPath}`;
  const statsLine = controlPath === null ? [] : [`${self} stats${choice}`];
  const rows: [string, string][] = [
    ...listening.map((text): [string, string] => ['listening', text]),
    ...domainRows(config),
    ['control', controlPath ?? 'off'],
    ...(adminUrl === null
      ? []
      : [['admin', `${adminUrl}/ in a browser; /metrics, /healthz, /readyz`] as [string, string]]),
    ...warnings.map((warning): [string, string] => ['warning', warning]),
    ...thingsToTry(listening, statsLine, new DomainServices(config).isOpen).map((line, i): [string, string] => [
      i === 0 ? 'try' : '',
      line,
    ]),
  ];
  return `Strowger ${version} is up: pid ${pid}, ${mode}, ${countOf(shards, 'shard')}\n${renderRows(rows, '  ')}`;
}

function thingsToTry(listening: readonly string[], statsLine: readonly string[], isOpen: boolean): string[] {
  const call = firstCallOf(listening);
  if (call === null) return [...statsLine];
  const { server, uas, uac } = call;
  return [
    ...statsLine,
    ...(isOpen ? [`two softphones with ${server} as their server, one calling the other`] : []),
    uas,
    `${uac}   (calls through this server to that uas)`,
  ];
}

/** `strowger` when it is installed as that, else the path of the script with a node that can run it. */
export function selfCommand(argv: readonly string[] = process.argv, directory: string = process.cwd()): string {
  const script = argv[1] ?? 'strowger';
  if (basename(script) === 'strowger') return 'strowger';
  const pinned = join(directory, 'node_modules', '.bin', 'node');
  const node = existsSync(pinned) ? 'node_modules/.bin/node' : 'node';
  return `${node} ${relative(directory, script) || script}`;
}
