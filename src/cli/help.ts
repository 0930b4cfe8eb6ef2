/** The help texts. */

import { COMMANDS, type CommandName, commandsOf, FLAG_ROWS, NOUNS, type NounName, type Topic } from './arguments.ts';
import { renderRows } from './table.ts';
import { VERB_NOUNS, VERBS, type VerbName, type VerbNoun, verbOf } from './verbs.ts';

export function renderHelp(topic: Topic): string {
  if (topic === null) return renderOverview();
  return topic in COMMANDS ? renderCommand(topic as CommandName) : renderNoun(topic as NounName);
}

function renderOverview(): string {
  return `Strowger, a SIP server (RFC 3261 proxy, registrar and redirect server; UDP, TCP, TLS, WebSocket).

Usage: strowger [COMMAND] [FLAGS]

Commands:
${renderCommands(Object.keys(COMMANDS) as CommandName[])}

Flags of start, the command taken when none is given:
${renderFlags('start')}

Examples:
${renderExamples(EXAMPLES.start)}

strowger COMMAND --help says more. Every setting: docs/configuration.md.`;
}

function renderNoun(noun: NounName): string {
  const commands = commandsOf(noun);
  return `strowger ${noun}: ${NOUNS[noun]}.

Usage: strowger ${noun} VERB [FLAGS]

Commands:
${renderCommands(commands)}

${textOf(noun)}

Examples:
${renderExamples(commands.map((command) => examplesOf(command)[0]!))}

strowger ${noun} VERB --help says more.`;
}

function renderCommand(command: CommandName): string {
  return `strowger ${command}: ${COMMANDS[command].help}.

Usage: strowger ${usageOf(command)} [FLAGS]

${textOf(command)}

Flags:
${renderFlags(command)}

Examples:
${renderExamples(examplesOf(command))}`;
}

function renderCommands(commands: readonly CommandName[]): string {
  return renderRows(
    commands.map((command): [string, string] => [usageOf(command), COMMANDS[command].help]),
    '  ',
  );
}

function usageOf(command: CommandName): string {
  return [command, ...(COMMANDS[command].operands ?? [])].join(' ');
}

function renderFlags(command: CommandName): string {
  const rows = FLAG_ROWS.filter((row) => row.commands.includes(command)).map(
    ({ name, short, value, help }): [string, string] => [
      `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`,
      help,
    ],
  );
  return renderRows(rows, '  ');
}

function renderExamples(examples: readonly (readonly [string, string])[]): string {
  return examples.map(([line, meaning]) => `  # ${meaning}\n  ${line}`).join('\n');
}

const WHOM = `Asks over the control socket: the one of --control, or that of the server that
--listen or --config describe, or else the only one there is. With --admin and
--token-file it asks over HTTP, from wherever the server can be reached.`;
const AOR = `AOR is the user's address-of-record: alice@example.org, with or without sip:.`;

function isVerb(name: string): name is VerbName {
  return Object.hasOwn(VERBS, name);
}

function textOf(name: CommandName | NounName): string {
  if (isVerb(name)) return [verbOf(name).about, WHOM].filter((part) => part !== undefined).join('\n\n');
  return Object.hasOwn(VERB_NOUNS, name) ? WHOM : TEXTS[name as OwnName];
}

function examplesOf(command: CommandName): readonly (readonly [string, string])[] {
  return isVerb(command) ? verbOf(command).examples : EXAMPLES[command];
}

type OwnName = Exclude<CommandName | NounName, VerbName | VerbNoun>;

const TEXTS: { readonly [name in OwnName]: string } = {
  start: `Flags override the file, --set overrides both. Logs go to stderr, JSON unless it is a terminal.
SIGTERM and SIGINT stop the server in order (exit 0); SIGUSR2 prints the counters to stderr.
With --takeover it takes the sockets from the server that has them now, found by its control socket, without losing a
call; where there is none it starts as ever. strowger restart does both ends of that.`,
  check: `Takes the flags of start. Prints "ok" and a summary, or FILE:LINE:COLUMN: PATH: PROBLEM for each problem (exit 1).
Nothing is opened or bound.`,
  stats: `Counters at zero are left out unless --all or --json.

${WHOM}`,
  status: WHOM,
  reload: `The file that the server was started with is read again and is taken over as a whole, or, where anything is wrong
with it, not at all. Settings that only a new start changes are named, and stay as they were; with --strict such a
file is refused. SIGHUP does the same, and says it in the log. What is marked live: docs/configuration.md.

+ added, - removed, ~ changed. Running calls keep the configuration they began with.

--rollback returns to an earlier one; "strowger config history" lists them. The file stays as it is.`,
  drain: `From now on /readyz says 503, and what begins something new is answered 503 with Retry-After, or passed on to
drain.peer; running transactions finish. The server ends (exit 0) once nothing has been pending for T2 (4 s), at
the deadline in any case. This command waits for that. Called again it sets another deadline. SIGTERM does the
same with a short deadline (drain.signalDeadlineMs).

${WHOM}`,
  location: `${AOR}

${WHOM}`,
  'location list': `One line for each binding, in no order: the address-of-record, the contact, the
seconds until it expires, its preference, where the REGISTER came from and which
user agent sent it; at the end, how many there are in each domain. On a terminal,
long texts are cut to fit. With --json, each line is a JSON object.

${WHOM}`,
  'location show': `${AOR}

${WHOM}`,
  'location add': `${AOR}
CONTACT is a SIP or tel URI. An equal contact of the same user is replaced. The user
must be one of a domain whose registrar this server is.

${WHOM}`,
  'location remove': `${AOR}
Without CONTACT, all bindings go. A client that still runs registers again.

${WHOM}`,
  trace: `Draws what comes and goes as a ladder: a lane for each peer, this server in the middle, an arrow for each message. No root
and no tcpdump are needed; secrets are masked. All that is named must hold together; a call that matched once is followed to
its end, and without any of them every call is shown. Ctrl-C ends it. With --json, each line is a message.

strowger trace list says which calls are kept after the fact, and strowger trace show CALL-ID shows one of them.

${WHOM}`,
  'trace show': `As strowger trace, after the fact: of each shard the latest messages are kept in memory (trace.recentKiB), of one call in
trace.sample all of them.

${WHOM}`,
  'trace list': `Of each shard the latest messages are kept in memory (trace.recentKiB), of one call in trace.sample all of them. With --json,
each line is a call.

${WHOM}`,
  bench: `Without a target, a server is started for the run, with what the scenario needs, and stopped again. SIPp plays the
callers and, behind the server, the called: a target must forward to them by the Request-URI. First comes the load
without any server, which shows what the load itself can do.

Scenarios: call (INVITE to BYE), cancel (given up while it rings), options, register, register-auth (challenged, MD5),
redirect (302 with the user's contacts), call-located (to a registered user), mix (of five of these), or the file of a
UAC for SIPp. In a command of --against, {port} is the UDP port on 127.0.0.1 that the server has to open.

Progress and tables go to stderr, with --json the result as JSON to stdout. Exit codes: 0; 1: calls failed, or it
could not run; 2: called wrongly; 3: SIPp was the limit, so the figures are no measure of the server.

--search 7502 looks for the session establishment rate: the highest at which none of N sessions fails, by the algorithm
of RFC 7502 (4.10), and fills in the RFC's form. Test cases: 6.1 the testbed alone, 6.2 sessions, 6.3 with media beside
the server, 6.7 registrations, 6.8 again after --wait, extra a stateless proxy, which the RFC leaves out. With the RFC's
N of 50000 and r of 100 that takes hours: give a --rate near the limit. Then exit code 1: no rate was found.

strowger bench compare BEFORE.json AFTER.json says what changed from one run to another; --help after it says more.`,
};

const EXAMPLES: { readonly [name in Exclude<CommandName, VerbName>]: readonly (readonly [string, string])[] } = {
  start: [
    ['strowger', 'the defaults: stateful on port 5060 by UDP and TCP, loopback may send anywhere'],
    [
      'strowger --listen 127.0.0.1:5060 --domain example.org --next-hop sip:10.0.0.7',
      'requests for one domain to one gateway',
    ],
    ['strowger start --config /etc/strowger/strowger.yaml --workers 4', 'a file, with four shards whatever it says'],
    [
      "strowger --listen '*:5060' --trusted 10.0.0.0/8 --set dispatcher.nap=off",
      'IPv4 and IPv6, the office trusted, lowest latency',
    ],
  ],
  check: [
    ['strowger check --config strowger.yaml', 'before a restart'],
    ['strowger check --config strowger.yaml --set limits.slots=65536', 'with a change not yet in the file'],
  ],
  stats: [
    ['strowger stats', 'the only server on this machine'],
    ['strowger stats --listen udp:0.0.0.0:5062 --watch', 'the one on port 5062, again every second'],
    ['strowger stats --json | jq .requests_forwarded_total', 'one figure'],
  ],
  status: [
    ['strowger status', 'the only server on this machine'],
    ['strowger status --control /run/strowger-5060.sock --json', 'a given one, for programs'],
  ],
  reload: [
    ['strowger reload --dry-run', 'what the file would change'],
    ['strowger reload', 'take it over'],
    ['strowger reload --rollback', 'return to the configuration before'],
  ],
  drain: [
    ['strowger drain', 'end the only server on this machine, and wait for it'],
    ['strowger drain --deadline 30', 'as preStop of a pod'],
    ['strowger drain --cancel', 'take new requests again'],
  ],
  'location list': [
    ['strowger location list', 'who is registered, and where'],
    ['strowger location list --domain example.org --limit 20', 'some of one domain'],
    ['strowger location list --count', 'only how many, by domain'],
    ["strowger location list --json | jq -r 'select(.expiresSec < 60).aor'", 'who is about to expire'],
  ],
  'location show': [['strowger location show alice@example.org', 'all that is known of the bindings of one user']],
  'location add': [
    ['strowger location add alice@example.org sip:alice@192.0.2.10:5060', 'a contact by hand, for an hour'],
    ['strowger location add alice@example.org sip:desk@192.0.2.11 --expires 86400 --q 0.5', 'for a day, second choice'],
  ],
  'location remove': [
    ['strowger location remove alice@example.org sip:alice@192.0.2.10:5060', 'remove one binding'],
    ['strowger location remove alice@example.org', 'remove all bindings of a user'],
  ],
  trace: [
    ['strowger trace --user alice@example.org', 'every call of one user, from now on'],
    ['strowger trace --from 192.0.2.0/24 --duration 60', 'what comes from a network, for a minute'],
    ["strowger trace --call-id 'a84b4c76e66710@pc33' --text", 'one call, all of its messages'],
    ['strowger trace --user alice --pcap alice.pcap', 'also for Wireshark'],
    ['strowger trace --pcap - | tshark -r -', 'for another program'],
  ],
  'trace show': [
    ['strowger trace show a84b4c76e66710@pc33', 'a call that is over'],
    ['strowger trace show a84b4c76e66710@pc33 --pcap call.pcap', 'also for Wireshark'],
  ],
  'trace list': [
    ['strowger trace list', 'the latest calls that are kept'],
    ['strowger trace list --user alice --limit 5', 'some of one user'],
    ["strowger trace list --json | jq -r 'select(.status >= 400).callId'", 'what has failed'],
  ],
  bench: [
    ['strowger bench', 'a server of our own, as many calls as SIPp manages'],
    ['strowger bench sip:192.0.2.10:5060 --rate 500 --duration 60', 'any server, at a set rate'],
    ['strowger bench --rate 1000 --against kamailio --report report.html', 'beside another, as a page to show'],
    ["strowger bench --against 'opensips -F -f my-{port}.cfg'", 'beside whatever a command starts'],
    ['strowger bench --scenario register-auth --users 10000 --connections 2', 'registrations with digest'],
    ['strowger bench --search 7502 --rate 2000', "the RFC's rate of the testbed and of a server of our own"],
    ['strowger bench --rate 200 --json > today.json', 'for programs, and for bench compare'],
  ],
};
