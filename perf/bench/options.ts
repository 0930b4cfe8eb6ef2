/** What `strowger bench` was asked for: its command line, read and with defaults. Cold. */

import { lookup } from 'node:dns/promises';
import type { ContestantKind } from './contestant.ts';
import { type Part, partsOf } from './scenario.ts';
import type { Load } from './turn.ts';

/** What there is on the command line, read by whoever has the table of flags. */
export interface GivenOptions {
  readonly target: string | undefined;
  valueFor(name: string): string | undefined;
  has(name: string): boolean;
  /** Flags for a Strowger that is started here. */
  readonly serverArgs: readonly string[];
  /** All of it as it was typed, behind `bench`. */
  readonly words: readonly string[];
}

export interface BenchOptions {
  readonly title: string | null;
  readonly scenario: string;
  readonly subject: ContestantKind;
  readonly against: ContestantKind | null;
  readonly rounds: number;
  readonly hasBaseline: boolean;
  /** udp. */
  readonly transport: string;
  readonly load: Load;
}

/** A command line that cannot be meant: one line, exit code 2. */
export class OptionsError extends Error {
  override name = 'OptionsError';
}

/** One socket for each SIPp process, in SIPp's words. */
const SIPP_UDP = 'u1';

const DEFAULT_DURATION_SEC = 10;
/** Of each turn, of which there are six. */
const DEFAULT_COMPARED_SEC = 5;
const DEFAULT_WARM_UP_SEC = 3;
const DEFAULT_WINDOW = 64;
const DEFAULT_USERS = 1000;
const DEFAULT_PORT = 5060;
const DRAIN_MS = 10_000;
/** At a set rate, so many seconds' exchanges may be in flight before SIPp drops what is due. */
const OPEN_WINDOW_SEC = 4;
const LEAST_OPEN_WINDOW = 1000;
const RANGES = {
  rate: [0.01, 1_000_000],
  duration: [0.5, 86_400],
  warmup: [0, 3600],
  amount: [1, 1e9],
  connections: [1, 64],
  window: [1, 1_000_000],
  users: [1, 1_000_000],
  bailout: [1, 1e9],
  rounds: [1, 100],
  hold: [0, 3_600_000],
} as const;

/** Throws an OptionsError, or an Error if the target's name cannot be resolved. */
export async function readOptions(given: GivenOptions): Promise<BenchOptions> {
  const scenario = given.valueFor('scenario') ?? 'call';
  const parts = readParts(scenario);
  const subject = await subjectOf(given.target, given.serverArgs);
  const against = contestantAgainst(given.valueFor('against'));
  const amount = wholeNumber(given, 'amount') ?? null;
  if (amount !== null && given.valueFor('duration') !== undefined) {
    throw new OptionsError('--amount and --duration say twice when to end: give one of them');
  }
  if (amount !== null && given.valueFor('warmup') !== undefined) {
    throw new OptionsError('--warmup goes with --duration: with --amount every exchange counts');
  }
  const transport = given.valueFor('transport') ?? 'udp';
  if (transport !== 'udp') {
    throw new OptionsError(
      `--transport ${transport} is not measured, only udp: Strowger has no streams to compare with`,
    );
  }
  const users = wholeNumber(given, 'users') ?? DEFAULT_USERS;
  const callers = (wholeNumber(given, 'connections') ?? 1) * parts.filter((part) => part.scenario.hasUsers).length;
  if (users < callers) {
    throw new OptionsError(`--users ${users} is less than one for each of ${callers} SIPp processes`);
  }
  return {
    title: given.valueFor('title') ?? null,
    scenario,
    subject,
    against,
    rounds: wholeNumber(given, 'rounds') ?? (against === null ? 1 : 3),
    hasBaseline:
      !given.has('no-baseline') && parts.every(({ scenario: { baselineUasFile } }) => baselineUasFile !== null),
    transport,
    load: {
      parts,
      transport: SIPP_UDP,
      ...paceOf(given, parts),
      amount,
      durationMs:
        1000 * (number(given, 'duration') ?? (against === null ? DEFAULT_DURATION_SEC : DEFAULT_COMPARED_SEC)),
      warmUpMs: amount === null ? 1000 * (number(given, 'warmup') ?? DEFAULT_WARM_UP_SEC) : 0,
      drainMs: DRAIN_MS,
      users: Array.from({ length: users }, (_, i) => `bench${String(i + 1).padStart(6, '0')}`),
      password: given.valueFor('password') ?? 'secret',
      domain: given.valueFor('domain') ?? (subject.kind === 'running' ? subject.at.host : 'bench.invalid'),
      holdMs: wholeNumber(given, 'hold') ?? 0,
      playsUas: uasOf(given),
      bailout: wholeNumber(given, 'bailout') ?? null,
    },
  };
}

function paceOf(given: GivenOptions, parts: readonly Part[]): Pick<Load, 'ratePerSec' | 'window' | 'connections'> {
  const ratePerSec = number(given, 'rate') ?? null;
  const connections = wholeNumber(given, 'connections') ?? 1;
  const least = connections * parts.length;
  const holdSec = (wholeNumber(given, 'hold') ?? 0) / 1000;
  const open = Math.max(LEAST_OPEN_WINDOW, Math.ceil((ratePerSec ?? 0) * (OPEN_WINDOW_SEC + holdSec)));
  const window = wholeNumber(given, 'window') ?? Math.max(least, ratePerSec === null ? DEFAULT_WINDOW : open);
  if (window < least) {
    throw new OptionsError(`--window ${window} is less than one exchange for each of ${least} SIPp processes`);
  }
  return { ratePerSec, window, connections };
}

function readParts(scenario: string): readonly Part[] {
  try {
    return partsOf(scenario);
  } catch (error) {
    throw new OptionsError((error as Error).message);
  }
}

function uasOf(given: GivenOptions): boolean {
  const word = given.valueFor('uas') ?? 'sipp';
  if (word !== 'sipp' && word !== 'none') throw new OptionsError(`--uas is sipp or none, not ${word}`);
  return word === 'sipp';
}

/** Without a target, a Strowger that is started here. */
async function subjectOf(target: string | undefined, args: readonly string[]): Promise<ContestantKind> {
  if (target === undefined) return { kind: 'strowger', args };
  if (args.length > 0)
    throw new OptionsError('--mode, --workers and --set are for a server that is started here: leave out the target');
  const { host, port } = readTarget(target);
  try {
    return { kind: 'running', at: { host: (await lookup(host)).address, port } };
  } catch {
    throw new OptionsError(`${host} has no address here: check the name`);
  }
}

/** `sip:HOST[:PORT]`, IPv6 in brackets. Throws an OptionsError. */
export function readTarget(target: string): { readonly host: string; readonly port: number } {
  const match = /^(?:sip:)?(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(target);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? DEFAULT_PORT);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new OptionsError(`${target} is no target: it is written sip:HOST or sip:HOST:PORT`);
  }
  return { host, port };
}

function contestantAgainst(text: string | undefined): ContestantKind | null {
  if (text === undefined) return null;
  if (text === 'kamailio') return { kind: 'kamailio' };
  if (!text.includes('{port}')) {
    throw new OptionsError(
      '--against is kamailio, or a command that starts a server, with {port} where its UDP port belongs',
    );
  }
  return { kind: 'command', command: text };
}

function number(given: GivenOptions, name: keyof typeof RANGES): number | undefined {
  const text = given.valueFor(name);
  if (text === undefined) return undefined;
  const [least, most] = RANGES[name];
  const value = /^\d*\.?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new OptionsError(`--${name} is a number from ${least} to ${most}, not ${text}`);
}

function wholeNumber(given: GivenOptions, name: keyof typeof RANGES): number | undefined {
  const value = number(given, name);
  if (value !== undefined && !Number.isInteger(value))
    throw new OptionsError(`--${name} is a whole number, not ${value}`);
  return value;
}
