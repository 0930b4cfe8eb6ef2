/** `strowger check`, and the summary of a configuration that the banner of `start` shares. */

import { loadConfig } from '../config/load.ts';
import { type Config, nextHopsByDomain, shardCountOf } from '../config/schema.ts';
import type { Arguments } from './arguments.ts';
import { renderRows } from './table.ts';

/** Lists longer than this end with their count. */
const SHOWN_DOMAINS = 8;

/** Prints 'ok' and a summary to stdout, or the problems to stderr. The exit code. */
export function check({ config: file, flags, sets }: Arguments): number {
  const { config, problems } = loadConfig({ file, flags, sets });
  if (problems !== undefined) {
    console.error(problems.join('\n'));
    return 1;
  }
  const shards = shardCountOf(config);
  const rows: [string, string][] = [
    ['mode', config.mode],
    ['listen', config.listen.map(({ text }) => text).join(', ')],
    [
      'workers',
      `${config.workers}${config.workers === 'auto' ? ` (${countOf(shards, 'shard')} on this machine)` : ''}`,
    ],
    ...domainRows(config),
    ['trusted', config.trusted.join(', ') || 'nobody'],
    ...warningsOf(config).map((warning): [string, string] => ['warning', warning]),
  ];
  console.log(`ok: ${file ?? 'the defaults, with the flags given'}\n${renderRows(rows, '  ')}`);
  return 0;
}

export function domainRows(config: Config): [string, string][] {
  const domains = [...nextHopsByDomain(config)];
  const rows = domains
    .slice(0, SHOWN_DOMAINS)
    .map(([name, nextHops]): [string, string] => ['domain', `${name} → ${nextHops.join(', ') || 'nowhere'}`]);
  if (domains.length > SHOWN_DOMAINS) rows.push(['', `and ${domains.length - SHOWN_DOMAINS} more`]);
  return rows;
}

/** What is valid and yet hardly meant. */
export function warningsOf(config: Config): string[] {
  const warnings: string[] = [];
  const deadEnds = [...nextHopsByDomain(config)].filter(([, nextHops]) => nextHops.length === 0).map(([name]) => name);
  if (deadEnds.length > 0) {
    const which = deadEnds.slice(0, SHOWN_DOMAINS).join(', ');
    warnings.push(
      `no next hop for ${which}${deadEnds.length > SHOWN_DOMAINS ? ', …' : ''}: give --next-hop or nextHops`,
    );
  }
  if (config.trusted.some((block) => block.endsWith('/0'))) {
    warnings.push('trusted covers the whole Internet: this is an open relay');
  }
  return warnings;
}

export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
