/** `strowger check`, and the summary of a configuration that the banner of `start` shares. */

import { pino } from 'pino';
import { loadConfig } from '../config/load.ts';
import { nextHopsByDomain } from '../config/next-hops-by-domain.ts';
import { type Config, type DomainEntry, type NextHopEntry, shardCountOf } from '../config/schema.ts';
import { DomainServices } from '../roles/domain-services.ts';
import { readToken } from '../runtime/control/token-gate.ts';
import { CertificateFiles, CertificateFilesError } from '../runtime/tls/certificate-files.ts';
import { UserFiles, UserFilesError } from '../runtime/user-directory/user-files.ts';
import type { Arguments } from './arguments.ts';
import { renderRows } from './table.ts';

/** Lists longer than this end with their count. */
const SHOWN_DOMAINS = 8;

/** Prints 'ok' and a summary to stdout, or the problems to stderr, those of files of users included. The exit code. */
export function check({ config: file, flags, sets }: Arguments): number {
  const { config, problems } = loadConfig({ file, flags, sets });
  if (problems !== undefined) {
    console.error(problems.join('\n'));
    return 1;
  }
  const problem = usersProblem(config) ?? certificatesProblem(config);
  if (problem !== null) {
    console.error(problem);
    return 1;
  }
  const { tokenFile } = config.control;
  const read = tokenFile === undefined ? null : readToken(tokenFile);
  if (read !== null && 'problem' in read) {
    console.error(`control.tokenFile: ${read.problem}`);
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

/** What is wrong with the files of users, a line each; null: nothing. */
function usersProblem(config: Config): string | null {
  try {
    new UserFiles(config, pino({ level: 'silent' }));
    return null;
  } catch (error) {
    if (error instanceof UserFilesError) return error.message;
    throw error;
  }
}

/** What is wrong with the files of certificates, a line each; null: nothing. */
function certificatesProblem(config: Config): string | null {
  try {
    new CertificateFiles(config.tls, pino({ level: 'silent' }));
    return null;
  } catch (error) {
    if (error instanceof CertificateFilesError) return error.message;
    throw error;
  }
}

export function domainRows(config: Config): [string, string][] {
  const { domains } = config;
  const hops = nextHopsUsed(config);
  const services = new DomainServices(config);
  if (services.isOpen) return [['registrar', 'of every domain that a REGISTER names; nobody is asked for a password']];
  const rows = domains.slice(0, SHOWN_DOMAINS).map(({ name, role, users, authenticate }, i): [string, string] => {
    const places = [
      ...(services.isRegistrar(i) ? ['registered users'] : []),
      ...(haveContacts(users) ? ['contacts of its users'] : []),
      ...hops[i]!.map(({ uri }) => uri),
    ];
    const asked = authenticate.length === 0 ? '' : `, asks for passwords: ${authenticate.join(', ')}`;
    return ['domain', `${name} → ${role === 'redirect' ? '302 to ' : ''}${places.join(', ') || 'nowhere'}${asked}`];
  });
  if (domains.length > SHOWN_DOMAINS) rows.push(['', `and ${domains.length - SHOWN_DOMAINS} more`]);
  return rows;
}

/** What is valid and yet hardly meant. */
export function warningsOf(config: Config): string[] {
  const warnings: string[] = [];
  const hops = nextHopsUsed(config);
  const services = new DomainServices(config);
  const deadEnds = config.domains
    .filter(({ users }, i) => hops[i]!.length === 0 && !haveContacts(users) && !services.isRegistrar(i))
    .map(({ name }) => name);
  if (deadEnds.length > 0) {
    const which = deadEnds.slice(0, SHOWN_DOMAINS).join(', ');
    warnings.push(
      `no next hop and no registrar for ${which}${deadEnds.length > SHOWN_DOMAINS ? ', …' : ''}: give --next-hop, nextHops or registrar: on`,
    );
  }
  if (config.control.tokenFile !== undefined && config.admin.listen === 'off') {
    warnings.push('control.tokenFile is for control over HTTP, and admin.listen is off');
  }
  if (config.trusted.some((block) => block.endsWith('/0'))) {
    warnings.push('trusted covers the whole Internet: this is an open relay');
  }
  // Who is redirected may have contacts in either mode.
  const isForked = config.domains.some(
    ({ role, users }) => role === 'proxy' && users !== 'any' && users.some(({ contacts }) => contacts.length > 0),
  );
  if (config.mode === 'stateless' && isForked) warnings.push('contacts of users need mode: stateful');
  return warnings;
}

/** The next hops of each domain; one that redirects sends nothing to its own. */
function nextHopsUsed(config: Config): (readonly NextHopEntry[])[] {
  const hopsOf = nextHopsByDomain(config);
  return config.domains.map(({ name, role }) => (role === 'redirect' ? [] : hopsOf.get(name)!));
}

/** Whoever exists has a place of its own. */
function haveContacts(users: DomainEntry['users']): boolean {
  return users !== 'any' && users.every(({ contacts }) => contacts.length > 0);
}

export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
