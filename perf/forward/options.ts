/** The command line of perf:forward. */

import { parseArgs } from 'node:util';
import { MAX_EXCHANGES } from './exchange.ts';

export const USAGE = `npm run perf:forward -- [options]

What does one core of CPU forward, and what does a message cost? Strowger, a bare relay and, where it is installed,
Kamailio take turns on one CPU, with OPTIONS and its 200 over loopback from another.

  --rounds N          turns of each, default 5
  --duration SEC      measured window of a turn, default 2
  --warm-up SEC       before it, default 1
  --window N          closed loop: exchanges in flight, default 64; open loop: at the most, default 4096
  --rate N            open loop: exchanges a second, whatever comes back
  --server-args '…'   more flags for strowger start
  --no-kamailio       not even where it is installed
  --json FILE         everything, also as JSON; - is standard output
  --quick             one short round of relay and Strowger that only shows that all of this works

Exit code 1: something failed or was lost at Strowger; 2: wrong usage, or no second CPU; 3: not Strowger but the load
generator was at its limit. With --quick, 0 or 1.
`;

export interface Options {
  readonly rounds: number;
  readonly durationMs: number;
  readonly warmUpMs: number;
  readonly window: number;
  /** 0: closed loop. */
  readonly rate: number;
  readonly serverArguments: readonly string[];
  readonly wantsKamailio: boolean;
  readonly json: string | null;
  readonly isQuick: boolean;
}

/** Throws an Error with one line if the command line cannot be meant; null if it asks for help. */
export function parseOptions(argv: readonly string[]): Options | null {
  const { values } = parseArgs({
    args: withJoinedServerArguments(argv),
    allowNegative: true,
    options: {
      rounds: { type: 'string' },
      duration: { type: 'string' },
      'warm-up': { type: 'string' },
      window: { type: 'string' },
      rate: { type: 'string', default: '0' },
      'server-args': { type: 'string', default: '' },
      kamailio: { type: 'boolean', default: true },
      json: { type: 'string' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  const isQuick = values.quick;
  const rate = numberIn('rate', values.rate, 0, 1_000_000);
  return {
    rounds: numberIn('rounds', values.rounds ?? (isQuick ? '1' : '5'), 1, 1000),
    durationMs: 1000 * numberIn('duration', values.duration ?? (isQuick ? '0.3' : '2'), 0.1, 300),
    warmUpMs: 1000 * numberIn('warm-up', values['warm-up'] ?? (isQuick ? '0.2' : '1'), 0, 60),
    window: Math.trunc(numberIn('window', values.window ?? (rate > 0 ? '4096' : '64'), 1, MAX_EXCHANGES)),
    rate,
    serverArguments: values['server-args'].split(/\s+/).filter((word) => word !== ''),
    wantsKamailio: values.kamailio && !isQuick,
    json: values.json ?? null,
    isQuick,
  };
}

function numberIn(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= least && value <= most) return value;
  throw new Error(`--${name} is a number from ${least} to ${most}, not ${JSON.stringify(text)}`);
}

/** parseArgs takes a value that begins with a dash only after an equals sign. */
function withJoinedServerArguments(argv: readonly string[]): string[] {
  const at = argv.indexOf('--server-args');
  if (at < 0 || at + 1 === argv.length) return [...argv];
  return [...argv.slice(0, at), `--server-args=${argv[at + 1]}`, ...argv.slice(at + 2)];
}
