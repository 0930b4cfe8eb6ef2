/** The command line, read: commands and flags in one table, from which the help is printed too.
 *  By node:util's parseArgs rather than a package: it leaves every value the string it was (`--domain 0123`). */

import { parseArgs } from 'node:util';
import { nearest } from '../config/nearest.ts';
import type { Flags } from '../config/overrides.ts';
import { helpOfFlag, helpOfVerb, VERB_NAMES, VERB_NOUNS, type VerbName, type VerbNoun, verbOf } from './verbs.ts';

/** What has several commands, one for each verb. */
export type NounName = 'location' | 'trace' | VerbNoun;
export type LocationVerb = 'list' | 'show' | 'add' | 'remove';
/** A noun that is a command by itself, too. */
export type TraceName = 'trace' | 'trace show' | 'trace list';
export type CommandName =
  | 'start'
  | 'check'
  | 'stats'
  | 'status'
  | 'drain'
  | 'reload'
  | `location ${LocationVerb}`
  | TraceName
  | VerbName
  | 'bench';
/** What a help text is about; null: everything. */
export type Topic = CommandName | NounName | null;

interface CommandRow {
  /** Words behind the command, in their order; those in brackets may be left out. */
  readonly operands?: readonly string[];
  readonly help: string;
}

interface FlagRow {
  readonly name: string;
  readonly short?: string;
  /** What its value is called in the help; none for switches. A name has values in all its rows or in none. */
  readonly value?: string;
  /** What values there are, where the configuration does not say so. */
  readonly accepts?: { readonly pattern: RegExp; readonly text: string };
  readonly isRepeatable?: boolean;
  readonly commands: readonly CommandName[];
  readonly help: string;
}

const CONFIGURED: readonly CommandName[] = ['start', 'check'];
const LOCATION: readonly CommandName[] = ['location list', 'location show', 'location add', 'location remove'];
const TRACE: readonly CommandName[] = ['trace', 'trace show', 'trace list'];
const ASKING: readonly CommandName[] = ['stats', 'status', 'reload', 'drain', ...LOCATION, ...TRACE, ...VERB_NAMES];
const ABOUT_SERVERS: readonly CommandName[] = [...CONFIGURED, ...ASKING];
const ALL: readonly CommandName[] = [...ABOUT_SERVERS, 'bench'];
/** What a server that is started can be told; bench may start one too. */
const STARTING: readonly CommandName[] = [...CONFIGURED, 'bench'];

export const COMMANDS: { readonly [name in CommandName]: CommandRow } = {
  start: { help: 'run the server (also what happens without a command)' },
  check: { help: 'say what is wrong with a configuration, or sum it up' },
  stats: { help: 'print the counters of a running server' },
  status: { help: 'print the state of a running server' },
  reload: {
    operands: ['[N]'],
    help: 'take a changed configuration over, or return to an earlier one',
  },
  drain: { help: 'end a running server once what runs on it is over' },
  'location list': { help: 'print who is registered, and where' },
  'location show': { operands: ['AOR'], help: 'print all that is known of the bindings of one user' },
  'location add': { operands: ['AOR', 'CONTACT'], help: 'bind a contact to a user by hand' },
  'location remove': { operands: ['AOR', '[CONTACT]'], help: 'remove one binding of a user, or all' },
  trace: { help: 'show the messages of calls as they come, as a ladder' },
  'trace show': { operands: ['CALL-ID'], help: 'show the messages of a call that are kept' },
  'trace list': { help: 'list the calls whose messages are kept, the latest first' },
  ...rowsOfVerbs(),
  bench: { operands: ['[sip:HOST:PORT]'], help: 'load a SIP server with SIPp and say how fast it is' },
};

export const NOUNS: { readonly [name in NounName]: string } = {
  location: 'the bindings of registered users in a running server',
  trace: 'the messages of calls in a running server, live and after the fact',
  ...VERB_NOUNS,
};

export const FLAG_ROWS: readonly FlagRow[] = [
  {
    name: 'config',
    short: 'c',
    value: 'FILE',
    commands: ABOUT_SERVERS,
    help: 'YAML configuration; without one: the defaults',
  },
  { name: 'mode', value: 'stateless|stateful', commands: STARTING, help: 'how requests are forwarded' },
  {
    name: 'listen',
    value: 'ADDRESS:PORT',
    isRepeatable: true,
    commands: ABOUT_SERVERS,
    help: 'e.g. 0.0.0.0:5060 for UDP and TCP, udp:[::1]:5060 (repeatable)',
  },
  { name: 'workers', value: 'N|auto', commands: STARTING, help: 'shards; auto: the cores less one' },
  { name: 'domain', value: 'NAME', isRepeatable: true, commands: CONFIGURED, help: 'a domain of ours (repeatable)' },
  {
    name: 'next-hop',
    value: 'sip:HOST[:PORT]',
    isRepeatable: true,
    commands: CONFIGURED,
    help: 'where requests for our domains go (repeatable)',
  },
  {
    name: 'trusted',
    value: 'CIDR',
    isRepeatable: true,
    commands: CONFIGURED,
    help: 'sources that may reach foreign domains; default: loopback (repeatable)',
  },
  {
    name: 'set',
    value: 'PATH=VALUE',
    isRepeatable: true,
    commands: STARTING,
    help: 'any other setting, e.g. dispatcher.nap=off, limits.slots=65536 (repeatable)',
  },
  {
    name: 'domain',
    value: 'NAME',
    commands: ['location list'],
    help: 'users of this domain only',
  },
  { name: 'takeover', commands: ['start'], help: 'take over from the server that has these sockets, if there is one' },
  {
    name: 'deadline',
    value: 'SEC',
    accepts: { pattern: /^\d{1,5}$/, text: 'a number of seconds' },
    commands: ['drain'],
    help: 'when it ends at the latest; default: drain.deadlineSec',
  },
  { name: 'dry-run', commands: ['reload'], help: 'say what would change, and change nothing' },
  { name: 'rollback', commands: ['reload'], help: 'return to the configuration N steps before this one; default: 1' },
  { name: 'strict', commands: ['reload'], help: 'refuse a configuration of which a part needs a new start' },
  { name: 'cancel', commands: ['drain'], help: 'call the drain off: new requests are taken again' },
  { name: 'no-wait', commands: ['drain'], help: 'do not wait until the server has ended' },
  {
    name: 'limit',
    value: 'N',
    accepts: { pattern: /^[1-9]\d{0,8}$/, text: 'a number of bindings' },
    commands: ['location list'],
    help: 'so many bindings at the most',
  },
  {
    name: 'call-id',
    value: 'CALL-ID',
    commands: ['trace'],
    help: 'the call with this Call-ID',
  },
  {
    name: 'user',
    value: 'USER[@HOST]',
    commands: ['trace', 'trace list'],
    help: 'calls with this user in From, To or the Request-URI',
  },
  {
    name: 'from',
    value: 'IP[/BITS]',
    commands: ['trace', 'trace list'],
    help: 'calls of which a message came from this address or block',
  },
  {
    name: 'duration',
    value: 'SEC',
    accepts: { pattern: /^[1-9]\d{0,8}$/, text: 'a number of seconds' },
    commands: ['trace'],
    help: 'for so long; default: until Ctrl-C',
  },
  {
    name: 'limit',
    value: 'N',
    accepts: { pattern: /^[1-9]\d{0,8}$/, text: 'a number of messages' },
    commands: ['trace'],
    help: 'so many messages at the most',
  },
  {
    name: 'limit',
    value: 'N',
    accepts: { pattern: /^(?:[1-9]\d{0,2}|1000)$/, text: 'a number of calls from 1 to 1000' },
    commands: ['trace list'],
    help: 'so many calls at the most; default: 20',
  },
  { name: 'text', commands: ['trace', 'trace show'], help: 'whole messages in place of the ladder' },
  {
    name: 'pcap',
    value: 'FILE',
    commands: ['trace', 'trace show'],
    help: 'also into a capture file for Wireshark; -: to stdout, and nothing else',
  },
  { name: 'count', commands: ['location list'], help: 'only how many there are, by domain' },
  {
    name: 'expires',
    value: 'SEC',
    accepts: { pattern: /^[1-9]\d{0,8}$/, text: 'a number of seconds' },
    commands: ['location add'],
    help: 'how long the binding lasts; default: 3600',
  },
  {
    name: 'q',
    value: 'Q',
    accepts: {
      pattern: /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/,
      text: 'a number from 0 to 1 with up to three decimals',
    },
    commands: ['location add'],
    help: 'its preference, 0 to 1; default: 1',
  },
  {
    name: 'scenario',
    value: 'NAME|FILE.xml',
    commands: ['bench'],
    help: 'what is played, one of those above or a file for SIPp; default: call',
  },
  { name: 'rate', value: 'N', commands: ['bench'], help: 'calls a second; without one: as many as come back' },
  {
    name: 'window',
    value: 'N',
    commands: ['bench'],
    help: 'calls in flight, with a rate at the most; default: 64, with a rate 4 s of it',
  },
  { name: 'duration', value: 'SEC', commands: ['bench'], help: 'what is measured; default: 10, with --against 5' },
  { name: 'warmup', value: 'SEC', commands: ['bench'], help: 'what goes before and does not count; default: 3' },
  { name: 'amount', value: 'N', commands: ['bench'], help: 'so many calls in all, without a warm-up' },
  {
    name: 'connections',
    value: 'N',
    commands: ['bench'],
    help: 'SIPp processes that call, with one socket each; default: 1',
  },
  { name: 'users', value: 'N', commands: ['bench'], help: 'who registers and is called; default: 1000' },
  { name: 'domain', value: 'NAME', commands: ['bench'], help: 'of the users; default: the host of the target' },
  { name: 'password', value: 'TEXT', commands: ['bench'], help: 'of all users, for register-auth; default: secret' },
  { name: 'hold', value: 'MS', commands: ['bench'], help: 'how long a call lasts; default: 0' },
  { name: 'uas', value: 'sipp|none', commands: ['bench'], help: 'none: the target answers calls by itself' },
  { name: 'transport', value: 'udp', commands: ['bench'], help: 'how messages travel' },
  {
    name: 'against',
    value: 'kamailio|COMMAND',
    commands: ['bench'],
    help: 'another server, started here, in turns with the first',
  },
  { name: 'rounds', value: 'N', commands: ['bench'], help: 'turns of each server; default: 1, with --against 3' },
  { name: 'no-baseline', commands: ['bench'], help: 'do not measure the load by itself first' },
  { name: 'bailout', value: 'N', commands: ['bench'], help: 'end once so many calls have failed' },
  {
    name: 'search',
    value: '7502',
    commands: ['bench'],
    help: 'find the highest rate without a failure, by RFC 7502 (--amount 50000 --rate 100)',
  },
  {
    name: 'cases',
    value: 'ID,…|all',
    commands: ['bench'],
    help: 'with --search: 6.1, 6.2, 6.3, 6.7, 6.8, extra (stateless); default: 6.1,6.2',
  },
  { name: 'increase', value: 'W', commands: ['bench'], help: 'with --search: traffic increase weight w; default: 0.1' },
  {
    name: 'decrease',
    value: 'D',
    commands: ['bench'],
    help: 'with --search: traffic decrease weight d; default: half of w, at least 0.1',
  },
  {
    name: 'passes',
    value: 'N',
    commands: ['bench'],
    help: 'with --search: trials passed below the best rate until it ends; default: 10',
  },
  {
    name: 'trials',
    value: 'N',
    commands: ['bench'],
    help: 'with --search: the most trials of a test case; default: 200',
  },
  {
    name: 'threshold',
    value: 'SEC',
    commands: ['bench'],
    help: 'with --search: what is not answered within it has failed; default: 32',
  },
  {
    name: 'refine',
    value: 'SHARE|off',
    commands: ['bench'],
    help: 'with --search: bisect afterwards, as close as this; default: 0.01 of the rate',
  },
  {
    name: 'wait',
    value: 'SEC',
    commands: ['bench'],
    help: 'with --search: from the registrations of 6.7 to those of 6.8; default: 300',
  },
  { name: 'latency', commands: ['bench'], help: 'the whole curve of delays, not only some percentiles' },
  { name: 'title', value: 'TEXT', commands: ['bench'], help: 'what the run is called in its report' },
  { name: 'report', value: 'FILE.html', commands: ['bench'], help: 'a page with curves and all data' },
  {
    name: 'csv',
    value: 'FOLDER',
    commands: ['bench'],
    help: 'turns.csv, over-time.csv and percentiles.csv, into this folder',
  },
  ...flagsOfVerbs(),
  { name: 'control', value: 'PATH', commands: ABOUT_SERVERS, help: 'the control socket; for start also auto or off' },
  {
    name: 'admin',
    value: 'ADDRESS:PORT',
    commands: CONFIGURED,
    help: 'HTTP for /metrics, /healthz and /readyz, e.g. 127.0.0.1:9560; default: off',
  },
  {
    name: 'admin',
    value: 'URL',
    commands: ASKING,
    help: 'ask over HTTP instead, e.g. http://127.0.0.1:9560, with --token-file',
  },
  { name: 'token-file', value: 'FILE', commands: ASKING, help: "file with the server's token (control.tokenFile)" },
  { name: 'json', commands: [...ASKING, 'bench'], help: 'as JSON, everything, for programs' },
  { name: 'all', commands: ['stats'], help: 'also the counters that are zero' },
  { name: 'watch', commands: ['stats'], help: 'again every second, with the change per second' },
  { name: 'help', short: 'h', commands: ALL, help: 'this text, or that of a command' },
  { name: 'version', short: 'v', commands: ALL, help: 'the version' },
];

function rowsOfVerbs(): { readonly [name in VerbName]: CommandRow } {
  const rows = VERB_NAMES.map((name) => {
    const { operands = [] } = verbOf(name);
    return [name, { operands: operands.map(({ usage }) => usage), help: helpOfVerb(name) }];
  });
  return Object.fromEntries(rows);
}

function flagsOfVerbs(): FlagRow[] {
  return VERB_NAMES.flatMap((command) =>
    (verbOf(command).flags ?? []).map((flag) => ({
      name: flag.name,
      ...(flag.value === undefined ? {} : { value: flag.value }),
      commands: [command],
      help: helpOfFlag(command, flag),
    })),
  );
}

export interface Arguments {
  readonly command: CommandName;
  /** What was written out, for its help: `strowger --help` is about all commands. */
  readonly topic: Topic;
  /** Words behind the command, as many as it takes. */
  readonly operands: readonly string[];
  readonly config: string | undefined;
  /** What overrides the configuration. */
  readonly flags: Flags;
  readonly sets: readonly string[];
  readonly wants: ReadonlySet<string>;
  /** The value of a flag that is there once at the most. */
  valueFor(name: string): string | undefined;
}

/** A command line that cannot be meant: one line, exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

export function parseArguments(argv: readonly string[]): Arguments {
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    tokens: true,
    allowPositionals: true,
    options: Object.fromEntries(
      FLAG_ROWS.map(({ name, short, value }) => [
        name,
        { type: value === undefined ? 'boolean' : 'string', multiple: true, ...(short === undefined ? {} : { short }) },
      ]),
    ),
  });
  const words = tokens.filter((token) => token.kind === 'positional').map((token) => token.value);
  const wants = new Set<string>();
  const values = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const row = FLAG_ROWS.find(({ name }) => name === token.name);
    if (row === undefined) throw unknownFlag(token.rawName);
    if (row.value === undefined) {
      if (token.value !== undefined) throw new UsageError(`--${row.name} takes no value`);
      wants.add(row.name);
      continue;
    }
    if (!token.value || (!token.inlineValue && /^-./.test(token.value))) {
      throw new UsageError(`--${row.name} needs a value: --${row.name} ${row.value}`);
    }
    values.set(row.name, [...(values.get(row.name) ?? []), token.value]);
  }
  const { command, topic, operands } = commandOf(words, wants);
  for (const name of [...wants, ...values.keys()]) checkFlag(name, values.get(name) ?? [], command);
  const isConfigured = CONFIGURED.includes(command);
  const valueFor = (name: string) => values.get(name)?.[0];
  return {
    command,
    topic,
    operands,
    config: valueFor('config'),
    flags: {
      mode: valueFor('mode'),
      listen: values.get('listen'),
      workers: valueFor('workers'),
      domain: isConfigured ? values.get('domain') : undefined,
      nextHop: values.get('next-hop'),
      trusted: values.get('trusted'),
      control: valueFor('control'),
      admin: isConfigured ? valueFor('admin') : undefined,
    },
    sets: values.get('set') ?? [],
    wants,
    valueFor,
  };
}

function checkFlag(name: string, values: readonly string[], command: CommandName): void {
  const rows = FLAG_ROWS.filter((row) => row.name === name);
  const row = rows.find(({ commands }) => commands.includes(command));
  if (row === undefined) {
    const others = namesOf(rows.flatMap(({ commands }) => commands));
    throw new UsageError(`--${name} means nothing to ${command}; it is for ${joined(others, 'and')}`);
  }
  if (values.length > 1 && row.isRepeatable !== true) throw new UsageError(`--${name} is there twice`);
  const wrong = values.find((value) => row.accepts !== undefined && !row.accepts.pattern.test(value));
  if (wrong !== undefined) throw new UsageError(`--${name} ${wrong} is not ${row.accepts!.text}`);
}

type Command = Pick<Arguments, 'command' | 'topic' | 'operands'>;

/** The command among the words; `help` before it asks for its help. */
function commandOf(words: readonly string[], wants: Set<string>): Command {
  if (words[0] === 'help') wants.add('help');
  const [word, ...rest] = words[0] === 'help' ? words.slice(1) : words;
  if (word === undefined) return { command: 'start', topic: null, operands: [] };
  if (Object.hasOwn(NOUNS, word)) return commandOfNoun(word as NounName, rest, wants);
  if (!isCommand(word)) throw unknownCommand(word, namesOf(ALL), [...namesOf(ALL), 'help']);
  return { command: word, topic: word, operands: operandsOf(word, rest, wants) };
}

function commandOfNoun(noun: NounName, [verb, ...rest]: readonly string[], wants: ReadonlySet<string>): Command {
  const commands = commandsOf(noun);
  if (verb === undefined) {
    if (isCommand(noun) && !isAboutItself(wants)) return { command: noun, topic: noun, operands: [] };
    if (isAboutItself(wants)) return { command: commands[0]!, topic: noun, operands: [] };
    const verbs = commands.map((command) => command.slice(noun.length + 1));
    throw new UsageError(`${noun} needs a verb: ${joined(verbs, 'or')}`);
  }
  const command = `${noun} ${verb}`;
  if (!isCommand(command)) throw unknownCommand(command, commands, commands);
  return { command, topic: command, operands: operandsOf(command, rest, wants) };
}

function operandsOf(command: CommandName, words: readonly string[], wants: ReadonlySet<string>): readonly string[] {
  const { operands = [] } = COMMANDS[command];
  const excess = words[operands.length];
  if (excess !== undefined) {
    const takes = operands.length === 0 ? 'flags only' : operands.join(' ');
    throw new UsageError(`${command} takes ${takes}, and there is ${JSON.stringify(excess)}`);
  }
  const missing = operands[words.length];
  if (missing !== undefined && !missing.startsWith('[') && !isAboutItself(wants)) {
    throw new UsageError(`${command} needs ${missing}: strowger ${command} ${operands.join(' ')}`);
  }
  return words;
}

function isAboutItself(wants: ReadonlySet<string>): boolean {
  return wants.has('help') || wants.has('version');
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}

/** The commands in the order of the help, a noun in place of all its commands. */
function namesOf(commands: readonly CommandName[]): string[] {
  const names = ALL.filter((command) => commands.includes(command)).map((command) => {
    const first = command.split(' ')[0]!;
    return commandsOf(first).every((other) => commands.includes(other)) ? first : command;
  });
  return [...new Set(names)];
}

/** Those of a noun; none for a command without one. */
export function commandsOf(noun: string): readonly CommandName[] {
  return ALL.filter((command) => command.startsWith(`${noun} `));
}

function joined(names: readonly string[], conjunction: string): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} ${conjunction} ${names.at(-1)}`;
}

function unknownCommand(word: string, there: readonly string[], known: readonly string[]): UsageError {
  const guess = nearest(word, known);
  const hint = guess === null ? '' : `did you mean ${guess}? `;
  return new UsageError(`unknown command ${word}; ${hint}there are ${there.join(', ')}`);
}

function unknownFlag(rawName: string): UsageError {
  const guess =
    rawName.length > 2
      ? nearest(
          rawName,
          FLAG_ROWS.map(({ name }) => `--${name}`),
        )
      : null;
  const hint = guess === null ? '' : `; did you mean ${guess}?`;
  return new UsageError(`unknown flag ${rawName}${hint}${hint.endsWith('?') ? '' : ';'} strowger --help lists them`);
}
