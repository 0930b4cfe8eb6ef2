/** The command line of `npm run perf`, and the kinds of values that its siblings have in common with it. */

import { parseArgs } from 'node:util';
import { MAX_CONNECTIONS, MAX_USERS, TRANSPORTS, type Transport } from './flow-settings.ts';
import { isScenario, SCENARIO_NAMES, SCENARIOS, type ScenarioName } from './scenarios.ts';
import { MAX_EXCHANGES } from './stamped-texts.ts';

export const DEFAULT_USERS = 100_000;
export const CLOSED_WINDOW = 64;
const DEFAULT_CONNECTIONS = 10;
/** One thread more is compiled while it serves. */
const TCP_WARM_UP_MS = 3000;
const OPEN_WINDOW = 4096;

const LIST = SCENARIO_NAMES.map((name) => `  ${name.padEnd(18)}  ${SCENARIOS[name].title}`).join('\n');

export const USAGE = `npm run perf -- [options]

What does one core of CPU carry, and what does an exchange cost? Strowger, a bare relay and, where it is installed,
Kamailio take turns on one CPU, with a load over loopback from another that checks every message it gets back.

  --scenario NAME     one of those below, default options
  --transport NAME    udp or tcp, default udp
  --connections N     tcp: so many on either side, which stay, default ${DEFAULT_CONNECTIONS}
  --rounds N          turns of each, default 5
  --duration SEC      measured window of a turn, default 2
  --warm-up SEC       before it, default 1, for calls 3, by TCP ${TCP_WARM_UP_MS / 1000} more
  --window N          closed loop: exchanges in flight, default ${CLOSED_WINDOW}; open loop: at the most, default ${OPEN_WINDOW}
  --rate N            open loop: exchanges a second, whatever comes back
  --users N           who registers or is called, default ${DEFAULT_USERS}
  --server-args '…'   more flags for strowger start
  --no-kamailio       not even where it is installed
  --title TEXT        goes into the JSON
  --json FILE         everything, also as JSON; - is standard output
  --quick             one short round of relay and Strowger that only shows that all of this works

${LIST}

Exit code 1: something of Strowger's failed; 2: wrong usage, or no second CPU; 3: not Strowger but the load generator was
at its limit. With --quick, 0 or 1.
`;

export interface Options {
  readonly scenario: ScenarioName;
  readonly transport: Transport;
  readonly connections: number;
  readonly rounds: number;
  readonly durationMs: number;
  readonly warmUpMs: number;
  readonly window: number;
  /** Exchanges a second; 0: closed loop. */
  readonly rate: number;
  readonly users: number;
  readonly serverArguments: readonly string[];
  readonly wantsKamailio: boolean;
  readonly title: string | null;
  readonly json: string | null;
  readonly isQuick: boolean;
}

/** Throws an Error with one line if the command line cannot be meant; null if it asks for help. */
export function parseOptions(argv: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: withJoinedServerArguments(argv),
    allowNegative: true,
    options: {
      scenario: { type: 'string', default: 'options' },
      transport: { type: 'string', default: 'udp' },
      connections: { type: 'string', default: `${DEFAULT_CONNECTIONS}` },
      rounds: { type: 'string' },
      duration: { type: 'string' },
      'warm-up': { type: 'string' },
      window: { type: 'string' },
      rate: { type: 'string', default: '0' },
      users: { type: 'string' },
      'server-args': { type: 'string', default: '' },
      kamailio: { type: 'boolean', default: true },
      title: { type: 'string' },
      json: { type: 'string' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  const scenario = scenarioIn(values.scenario);
  const isQuick = values.quick;
  const rate = numberIn('rate', values.rate, 0, 1_000_000);
  const transport = transportIn(values.transport);
  const usualWarmUpMs = SCENARIOS[scenario].warmUpMs + (transport === 'tcp' ? TCP_WARM_UP_MS : 0);
  const warmUp = isQuick ? '0.2' : `${usualWarmUpMs / 1000}`;
  return {
    scenario,
    transport,
    connections: wholeNumberIn('connections', values.connections, 1, MAX_CONNECTIONS),
    rounds: wholeNumberIn('rounds', values.rounds ?? (isQuick ? '1' : '5'), 1, 1000),
    durationMs: 1000 * numberIn('duration', values.duration ?? (isQuick ? '0.3' : '2'), 0.1, 300),
    warmUpMs: 1000 * numberIn('warm-up', values['warm-up'] ?? warmUp, 0, 60),
    window: wholeNumberIn('window', values.window ?? `${rate > 0 ? OPEN_WINDOW : CLOSED_WINDOW}`, 1, MAX_EXCHANGES),
    rate,
    users: wholeNumberIn('users', values.users ?? `${isQuick ? 2000 : DEFAULT_USERS}`, 2, MAX_USERS),
    serverArguments: wordsOf(values['server-args']),
    wantsKamailio: values.kamailio && !isQuick,
    title: values.title ?? null,
    json: values.json ?? null,
    isQuick,
  };
}

export function scenarioIn(name: string): ScenarioName {
  if (isScenario(name)) return name;
  throw new Error(`--scenario is one of ${SCENARIO_NAMES.join(', ')}, not ${JSON.stringify(name)}`);
}

function transportIn(name: string): Transport {
  const transport = TRANSPORTS.find((each) => each === name);
  if (transport !== undefined) return transport;
  throw new Error(`--transport is one of ${TRANSPORTS.join(', ')}, not ${JSON.stringify(name)}`);
}

/** Throws an Error that names the option unless `text` is a number from `least` to `most`. */
export function numberIn(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= least && value <= most) return value;
  throw new Error(`--${name} is a number from ${least} to ${most}, not ${JSON.stringify(text)}`);
}

export function wholeNumberIn(name: string, text: string, least: number, most: number): number {
  const value = numberIn(name, text, least, most);
  if (Number.isInteger(value)) return value;
  throw new Error(`--${name} is a whole number, not ${JSON.stringify(text)}`);
}

export function wordsOf(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== '');
}

/** parseArgs takes a value that begins with a dash only after an equals sign. */
export function withJoinedServerArguments(argv: readonly string[]): string[] {
  const at = argv.indexOf('--server-args');
  if (at < 0 || at + 1 === argv.length) return [...argv];
  return [...argv.slice(0, at), `--server-args=${argv[at + 1]}`, ...argv.slice(at + 2)];
}
