/** The help texts. */

import { COMMANDS, type CommandName, FLAG_ROWS } from './arguments.ts';
import { renderRows } from './table.ts';

export function renderHelp(command: CommandName | null): string {
  return command === null ? renderOverview() : renderCommand(command);
}

function renderOverview(): string {
  return `Strowger, a SIP server (RFC 3261 proxy over UDP).

Usage: strowger [COMMAND] [FLAGS]

Commands:
${renderRows(Object.entries(COMMANDS), '  ')}

Flags of start, the command taken when none is given:
${renderFlags('start')}

Examples:
${renderExamples(EXAMPLES.start)}

strowger COMMAND --help says more. Every setting: docs/configuration.md.`;
}

function renderCommand(command: CommandName): string {
  return `strowger ${command}: ${COMMANDS[command]}.

Usage: strowger ${command} [FLAGS]

${TEXTS[command]}

Flags:
${renderFlags(command)}

Examples:
${renderExamples(EXAMPLES[command])}`;
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

const TEXTS: { readonly [name in CommandName]: string } = {
  start: `Flags override the file, --set overrides both. Logs go to stderr, JSON unless it is a terminal.
SIGTERM and SIGINT stop the server in order (exit 0); SIGUSR2 prints the counters to stderr.`,
  check: `Takes the flags of start. Prints "ok" and a summary, or FILE:LINE:COLUMN: PATH: PROBLEM for each problem (exit 1).
Nothing is opened or bound.`,
  stats: `Asks over the control socket: the one of --control, or that of the server --listen or --config describe, or
else the only one there is. Counters at zero are left out unless --all or --json.`,
  status:
    'Asks over the control socket: the one of --control, or that of the server --listen or --config describe, or\nelse the only one there is.',
};

const EXAMPLES: { readonly [name in CommandName]: readonly (readonly [string, string])[] } = {
  start: [
    ['strowger', 'the defaults: stateless on udp:0.0.0.0:5060, loopback may send anywhere'],
    [
      'strowger --listen udp:127.0.0.1:5060 --domain example.org --next-hop sip:10.0.0.7',
      'requests for one domain to one gateway',
    ],
    ['strowger start --config /etc/strowger/strowger.yaml --workers 4', 'a file, with four shards whatever it says'],
    [
      "strowger --listen 'udp:*:5060' --trusted 10.0.0.0/8 --set dispatcher.nap=off",
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
};
