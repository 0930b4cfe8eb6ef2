/** The commands that only ask a running server: each is a row that says which control method it calls (runtime/control/), what
 *  of the command line goes into which parameter, and how the answer looks to people. Help, checks and `--json` follow from
 *  the row and from the method's own.
 *
 *  A new command is a row in VERBS; a new noun is also one in VERB_NOUNS. */

import { resolve } from 'node:path';
import { stringify } from 'yaml';
import type { z } from 'zod';
import type { DistinctError } from '../observe/distinct-errors.ts';
import type { ListedBan } from '../runtime/bans/ban-list.ts';
import type { ControlMethod } from '../runtime/control/method.ts';
import { METHODS } from '../runtime/control/methods.ts';
import type { LogLevels } from '../runtime/log.ts';
import type { ConfigOperations, ConfigState } from '../runtime/running-server.ts';
import type { ListedHop, ListedShard, ShardTransaction } from '../runtime/shard-service.ts';
import type { ListedCertificate } from '../runtime/tls/certificate-files.ts';
import { printChanges } from './config-changes.ts';
import { grouped, printable, renderRows, renderTable } from './table.ts';

export interface VerbOperand {
  /** As the help has it; in brackets, it may be left out: `[LEVEL]`. */
  readonly usage: string;
  /** The parameter of the method that it goes into. */
  readonly param: string;
  /** Where that depends on what it is: the parameter, and what its text becomes. */
  readonly read?: (text: string) => { readonly param: string; readonly value: unknown };
}

export interface VerbFlag {
  readonly name: string;
  /** What its value is called in the help; none for a switch, which is `true` where it is given. */
  readonly value?: string;
  /** The parameter that it goes into; the name of the flag if this is left out. */
  readonly param?: string;
  /** The help; that of the parameter if this is left out. */
  readonly help?: string;
  /** What its value becomes; a string says what is wrong with it. Without this, numbers are read where the method wants one. */
  readonly read?: (text: string) => { readonly value: unknown } | string;
}

export interface VerbRow {
  readonly method: string;
  readonly operands?: readonly VerbOperand[];
  readonly flags?: readonly VerbFlag[];
  /** More for the help of this command; a blank line between paragraphs. */
  readonly about?: string;
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** How long the answer may take; 5 s without it. */
  readonly limitMs?: number;
  /** What people see. `lineWidth`: that of the terminal, Infinity where there is none. */
  readonly print: (answer: never, lineWidth: number) => string;
}

/** A start, its rehearsal and a large location store. */
const RESTART_LIMIT_MS = 180_000;

export const VERBS = {
  restart: {
    method: 'restart',
    about: `The server starts another process by its own command line, so with the program and the
configuration as they are now. That takes over the sockets once it is up; the first one
finishes the transactions that it has begun, and ends. No call is lost, and registrations
go over with the location store. If the new one does not come up, the first goes on.`,
    examples: [['strowger restart', 'after an update, or a change of settings that need a restart']],
    limitMs: RESTART_LIMIT_MS,
    print: printRestart,
  },
  'error list': {
    method: 'errors.recent',
    flags: [{ name: 'limit', value: 'N' }],
    examples: [['strowger error list', 'what went wrong lately, and what to do about it']],
    print: printErrors,
  },
  'log level': {
    method: 'log.level',
    operands: [{ usage: '[LEVEL]', param: 'level' }],
    flags: [{ name: 'module', value: 'NAME' }],
    about: `LEVEL is trace, debug, info, warn, error, fatal or silent; without it, what is set is printed.
Modules: server, shards, calls, location, users, bans, control. With LEVEL default a module is as
all the others again. It lasts until the next start or reload. At debug, "calls" says what requests are turned away, a
line per reason and minute with their count and one of them as an example.`,
    examples: [
      ['strowger log level', 'what is set'],
      ['strowger log level debug --module calls', 'say which requests are turned away, and why'],
      ['strowger log level default --module calls', 'no more'],
    ],
    print: printLevels,
  },
  'shard list': {
    method: 'shard.list',
    examples: [['strowger shard list', 'how busy each is, and what it died of last']],
    print: printShards,
  },
  'shard restart': {
    method: 'shard.restart',
    operands: [{ usage: 'N', param: 'shard' }],
    about: `The shard serves what it has taken, and a successor goes on with what waits: no datagram is lost.
Its transactions are: calls that ring are taken up again when they are retransmitted.`,
    examples: [['strowger shard restart 1', 'one of them']],
    print: ({ shard, starts, tookMs }: { shard: number; starts: number; tookMs: number }) =>
      `shard ${shard}: started again in ${tookMs} ms (start number ${starts})`,
  },
  'transaction list': {
    method: 'transaction.list',
    flags: [
      { name: 'call-id', value: 'TEXT', param: 'callId' },
      { name: 'method', value: 'NAME' },
      { name: 'state', value: 'STATE', help: 'in this state only: proceeding (what rings), completed, accepted …' },
      { name: 'shard', value: 'N' },
      { name: 'limit', value: 'N' },
    ],
    about: `A row for each server transaction, with its branches: where they are sent to, and their state.
What is answered by a 2xx keeps no message: its Call-ID and its age are not known any more.`,
    examples: [
      ['strowger transaction list --method INVITE --state proceeding', 'what rings now'],
      ['strowger transaction list --call-id a84b4c76e66710@pc33.atlanta.com', 'one call'],
    ],
    print: printTransactions,
  },
  'hop list': {
    method: 'hops.list',
    examples: [['strowger hop list', 'which next hops are up, and which rest after a failure']],
    print: printHops,
  },
  'config show': {
    method: 'config.show',
    flags: [{ name: 'defaults' }],
    about: 'As YAML, as a file would have it. Passwords are masked.',
    examples: [
      ['strowger config show', 'what runs, where it differs from the defaults'],
      ['strowger config show --defaults', 'all of it'],
    ],
    print: printConfig,
  },
  'config diff': {
    method: 'config.diff',
    operands: [{ usage: '[FILE|N]', param: 'file', read: readConfigName }],
    about: `From what runs to a file, or to the configuration that was N steps before. Without either, to the file that
the server was started with: what a reload would change. + added, - removed, ~ changed.`,
    examples: [
      ['strowger config diff', 'what a reload would change'],
      ['strowger config diff 1', 'what a rollback would change'],
      ['strowger config diff /etc/strowger/next.yaml', 'another file, which the server has to be able to read'],
    ],
    print: printChanges,
  },
  'config history': {
    method: 'config.history',
    examples: [['strowger config history', 'what --rollback can return to']],
    print: printHistory,
  },
  'ban list': {
    method: 'ban.list',
    flags: [{ name: 'limit', value: 'N' }],
    examples: [['strowger ban list', 'whose datagrams are dropped, and why']],
    print: printBans,
  },
  'ban add': {
    method: 'ban.add',
    operands: [{ usage: 'SOURCE', param: 'source' }],
    flags: [
      {
        name: 'for',
        value: 'DURATION',
        param: 'durationSec',
        help: 'how long: 90s, 10m, 12h or 7d; without it, for good',
        read: readDuration,
      },
      { name: 'reason', value: 'TEXT' },
      { name: 'force' },
    ],
    about: `SOURCE is an address or a block: 192.0.2.7, 192.0.2.0/24, 2001:db8::/64. What comes from it
is dropped before it is read, and counted (banned_datagrams_total). Bans outlive a
restart (setting bans.file).`,
    examples: [
      ['strowger ban add 192.0.2.7 --for 1h --reason scanner', 'one address, for an hour'],
      ['strowger ban add 2001:db8:bad::/48', 'a block, for good'],
    ],
    print: ({ source, isNew, isStored }: { source: string; isNew: boolean; isStored: boolean }) =>
      `${source}: ${isNew ? 'banned' : 'ban replaced'}${isStored ? '' : ', until the server stops'}`,
  },
  'ban remove': {
    method: 'ban.remove',
    operands: [{ usage: 'SOURCE', param: 'source' }],
    about: 'SOURCE is an address or a block, as `strowger ban list` has it.',
    examples: [['strowger ban remove 192.0.2.7', 'take its datagrams again']],
    print: ({ source }: { source: string }) => `${source}: no longer banned`,
  },
  'tls list': {
    method: 'tls.list',
    examples: [['strowger tls list', 'which certificates there are, for whom, and how long they last']],
    print: printCertificates,
  },
  'tls reload': {
    method: 'tls.reload',
    about: `The files are looked at every second anyway: this is for a script that wants to know at once
whether they can be used.`,
    examples: [['strowger tls reload', 'after a renewal']],
    print: ({ isChanged }: { isChanged: boolean }) =>
      isChanged ? 'new connections get the new certificates' : 'the files have not changed',
  },
} as const satisfies Readonly<Record<string, VerbRow>>;

export const VERB_NOUNS = {
  config: 'the configuration of a running server',
  error: 'what went wrong in a running server',
  log: 'what a running server writes into its log',
  shard: 'the threads of a running server that serve calls',
  transaction: 'the transactions of a running server',
  hop: 'the next hops of a running server',
  ban: 'sources whose datagrams a running server drops',
  tls: 'the certificates of a running server',
} as const;

export type VerbName = keyof typeof VERBS;
export type VerbNoun = keyof typeof VERB_NOUNS;

export const VERB_NAMES = Object.keys(VERBS) as readonly VerbName[];

export function verbOf(name: VerbName): VerbRow {
  return VERBS[name];
}

export function methodOf(name: VerbName): ControlMethod {
  return METHODS[VERBS[name].method]!;
}

/** The help of a command, as it stands in the list of all. */
export function helpOfVerb(name: VerbName): string {
  const { help } = methodOf(name);
  return help.charAt(0).toLowerCase() + help.slice(1);
}

export function paramOf({ name, param = name }: VerbFlag): string {
  return param;
}

export function helpOfFlag(name: VerbName, flag: VerbFlag): string {
  return flag.help ?? schemaOf(name, paramOf(flag))?.description?.replaceAll('`', '') ?? '';
}

/** What the text of an operand or flag becomes; a string says what is wrong with it. */
export function readValue(name: VerbName, param: string, text: string): { readonly value: unknown } | string {
  const schema = schemaOf(name, param);
  if (schema === undefined) return { value: text };
  const asText = schema.safeParse(text);
  if (asText.success) return { value: text };
  const asNumber = /^-?\d+(?:\.\d+)?$/.test(text) ? schema.safeParse(Number(text)) : null;
  if (asNumber?.success === true) return { value: Number(text) };
  const [issue] = (asNumber ?? asText).error!.issues;
  if (issue!.code === 'invalid_value') return `is none of ${issue!.values.map(String).join(', ')}`;
  return issue!.code === 'invalid_type' && asNumber === null ? 'is not a number' : issue!.message;
}

function schemaOf(name: VerbName, param: string): z.ZodType | undefined {
  return methodOf(name).params.shape[param] as z.ZodType | undefined;
}

// ---- Texts for people -----------------------------------------------------------------------------------------------

function printRestart({ pid, predecessor }: { pid: number; predecessor: number }): string {
  return `process ${pid} serves; ${predecessor} finishes what it has begun, and ends`;
}

function printErrors({ errors }: { errors: readonly DistinctError[] }, lineWidth: number): string {
  if (errors.length === 0) return 'nothing went wrong since the start';
  const rows = errors.map(({ kind, count, lastAt, text, hint }) => [
    lastAt.slice(0, 19),
    grouped(count),
    text === kind || hint !== null ? text : `${kind}: ${text}`,
    hint ?? '',
  ]);
  return renderTable(
    [
      { title: 'LAST (UTC)' },
      { title: 'COUNT', isFigure: true },
      { title: 'WHAT', leastWidth: 30 },
      { title: 'DO', leastWidth: 20 },
    ],
    rows,
    lineWidth,
  );
}

function printLevels({ level, modules }: LogLevels): string {
  const own = Object.entries(modules).map(([name, its]): [string, string] => [name, its]);
  return renderRows([['all', level], ...own]);
}

function printCertificates(
  { certificates }: { certificates: readonly ListedCertificate[] },
  lineWidth: number,
): string {
  if (certificates.length === 0) return 'there are no certificates';
  const rows = certificates.map(({ file, names, issuer, notAfter, daysLeft }) => [
    file,
    names.join(', ') || '-',
    notAfter.slice(0, 10),
    daysLeft < 0 ? 'expired' : grouped(daysLeft),
    issuer,
  ]);
  const columns = [
    { title: 'FILE', leastWidth: 16 },
    { title: 'NAMES', leastWidth: 16 },
    { title: 'EXPIRES' },
    { title: 'DAYS', isFigure: true },
    { title: 'ISSUER', leastWidth: 10 },
  ];
  return renderTable(columns, rows, lineWidth);
}

function printShards({ shards }: { shards: readonly ListedShard[] }, lineWidth: number): string {
  const rows = shards.map(({ shard, isRunning, load, ring, transactions, parked, starts, lastCrash }) => [
    String(shard),
    isRunning ? 'running' : 'down',
    load === null ? '-' : `${Math.round(load * 100)} %`,
    grouped(ring.waiting),
    grouped(ring.high),
    grouped(transactions),
    grouped(parked),
    grouped(starts),
    lastCrash === null ? '-' : `${lastCrash.at.slice(0, 19)} ${lastCrash.error}`,
  ]);
  const columns = [
    { title: 'SHARD', isFigure: true },
    { title: 'STATE' },
    { title: 'LOAD', isFigure: true },
    { title: 'RING', isFigure: true },
    { title: 'HIGH', isFigure: true },
    { title: 'TRANSACTIONS', isFigure: true },
    { title: 'PARKED', isFigure: true },
    { title: 'STARTS', isFigure: true },
    { title: 'LAST CRASH (UTC)', leastWidth: 20 },
  ];
  return renderTable(columns, rows, lineWidth);
}

function printTransactions(
  { transactions, cursor }: { transactions: readonly ShardTransaction[]; cursor: string | null },
  lineWidth: number,
): string {
  if (transactions.length === 0) return 'no such transactions';
  const rows = transactions.map(({ shard, method, state, ageMs, peer, branches, callId }) => [
    String(shard),
    method,
    state,
    ageMs === null ? '-' : `${(ageMs / 1000).toFixed(1)} s`,
    peer,
    branches.map((branch) => `${branch.peer} ${branch.state}`).join(', ') || '-',
    callId ?? '-',
  ]);
  const columns = [
    { title: 'SHARD', isFigure: true },
    { title: 'METHOD' },
    { title: 'STATE' },
    { title: 'AGE', isFigure: true },
    { title: 'FROM' },
    { title: 'BRANCHES', leastWidth: 20 },
    { title: 'CALL-ID', leastWidth: 12 },
  ];
  const rest = cursor === null ? '' : `\nthe first ${grouped(transactions.length)}; more with --limit`;
  return renderTable(columns, rows, lineWidth) + rest;
}

function printHops({ hops }: { hops: readonly ListedHop[] }, lineWidth: number): string {
  if (hops.length === 0) return 'there are no next hops';
  const rows = hops.map(({ uri, state, restingOn, restsForSec, failures, lastFailedAt }) => [
    uri,
    state === 'resting'
      ? `resting for ${restsForSec} s on ${restingOn} ${restingOn === 1 ? 'shard' : 'shards'}`
      : state,
    grouped(failures),
    lastFailedAt?.slice(0, 19) ?? '-',
  ]);
  const columns = [
    { title: 'NEXT HOP', leastWidth: 20 },
    { title: 'STATE' },
    { title: 'FAILURES', isFigure: true },
    { title: 'LAST FAILED (UTC)' },
  ];
  return renderTable(columns, rows, lineWidth);
}

function printConfig(shown: ConfigState & { config: object }): string {
  const { file, hash, generation, takenAt, needsRestart } = shown;
  const head = [
    `# generation ${generation} (${hash}), since ${takenAt}${file === null ? '' : `, of ${file}`}`,
    ...needsRestart.map((path) => `# ${path} is different in the file, and needs a new start`),
  ];
  const text = Object.keys(shown.config).length === 0 ? '# the defaults' : stringify(shown.config).trimEnd();
  return printableLines([...head, text].join('\n'));
}

function printHistory({ kept }: ReturnType<ConfigOperations['history']>, lineWidth: number): string {
  if (kept.length === 0) return 'no configuration is kept: the server was started without a file';
  const rows = kept.map(({ back, takenAt, file }) => [
    back === 0 ? 'now' : String(back),
    takenAt.slice(0, 19),
    file ?? 'in memory',
  ]);
  return renderTable([{ title: 'N' }, { title: 'TAKEN (UTC)' }, { title: 'FILE', leastWidth: 20 }], rows, lineWidth);
}

/** A number of steps, or a path, which the server reads from where it is. */
function readConfigName(text: string): { readonly param: string; readonly value: unknown } {
  return /^\d{1,4}$/.test(text) ? { param: 'back', value: Number(text) } : { param: 'file', value: resolve(text) };
}

function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

function printBans({ bans, total }: { bans: readonly ListedBan[]; total: number }, lineWidth: number): string {
  if (total === 0) return 'nobody is banned';
  const rows = bans.map(({ source, expiresSec, addedAt, reason }) => [
    source,
    expiresSec === null ? 'never' : `in ${duration(expiresSec)}`,
    addedAt.slice(0, 19),
    reason,
  ]);
  const columns = [
    { title: 'SOURCE' },
    { title: 'ENDS' },
    { title: 'SINCE (UTC)' },
    { title: 'REASON', leastWidth: 10 },
  ];
  const rest = total > bans.length ? `\nthe latest ${grouped(bans.length)} of ${grouped(total)}` : '';
  return renderTable(columns, rows, lineWidth) + rest;
}

// ---- Durations ------------------------------------------------------------------------------------------------------

const UNIT_SEC: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90s`, `10m`, `12h`, `7d`; without a unit, seconds. */
function readDuration(text: string): { readonly value: number } | string {
  const [, count, unit = 's'] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? [];
  if (count === undefined) return 'is not a duration such as 90s, 10m, 12h or 7d';
  const value = Number(count) * UNIT_SEC[unit === '' ? 's' : unit]!;
  return value > 0 ? { value } : 'is no time at all';
}

/** The largest unit that says it to a tenth or so: `95 s`, `10 min`, `12 h`, `7 d`. */
function duration(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`;
}
