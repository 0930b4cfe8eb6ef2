/** What a seed makes of the surroundings: the configuration of the proxy, who lives where, and the weather of the network. */

import { type Config, configSchema } from '../../src/config/schema.ts';
import { Random } from '../fuzz/random.ts';

/** An address with somebody, or nobody, behind it. */
export interface Host {
  readonly address: string;
  readonly port: number;
  readonly name: string;
  readonly kind: 'answers' | 'dead' | 'refuses' | 'unavailable';
}

export interface World {
  readonly seed: number;
  readonly random: Random;
  readonly config: Config;
  readonly keptKib: number;
  readonly t1Ms: number;
  readonly t2Ms: number;
  readonly t4Ms: number;
  readonly timerCMs: number;
  readonly callers: readonly Host[];
  readonly callees: readonly Host[];
  /** Names that the DNS knows. */
  readonly names: ReadonlyMap<string, readonly Host[]>;
  /** A name is not known at once. */
  readonly isDnsSlow: boolean;
  readonly isRecursing: boolean;
  readonly isRecordRouting: boolean;
  /** Users with how many fixed contacts; 0: next hops. */
  readonly users: ReadonlyMap<string, number>;
  readonly unknownUser: string | null;
  /** Pools that may run dry: what needs room may fail. */
  readonly isSmall: boolean;
  /** In ten thousand. */
  readonly loss: number;
  readonly duplication: number;
  readonly congestion: number;
  readonly delayMs: number;
  readonly jitterMs: number;
  /** Datagrams gather that long at the most before the shard serves them together. */
  readonly cycleMs: number;
  readonly callGapMs: number;
}

export const PROXY_ADDRESS = '192.0.2.254';
export const PROXY_PORT = 5060;
export const DOMAIN = 'sim.example';

const CALLERS = 4;
const CALLEES = 8;

export function createWorld(seed: number): World {
  const random = new Random(seed);
  const isQuick = random.isOneIn(2);
  const [t1Ms, t2Ms, t4Ms] = isQuick ? ([50, 400, 500] as const) : ([500, 4000, 5000] as const);
  const timerCSec = random.pick(isQuick ? [2, 10, 185] : [35, 185]);
  const callees = Array.from({ length: CALLEES }, (_, i) => calleeOf(i, random));
  const callers = Array.from({ length: CALLERS }, (_, i): Host => {
    return { address: `10.0.0.${i + 1}`, port: random.pick([5060, 5070]), name: `caller ${i + 1}`, kind: 'answers' };
  });
  const names = new Map([
    ['pair.example', [random.pick(callees), random.pick(callees)]],
    ['single.example', [random.pick(callees)]],
  ]);
  const hopUri = () =>
    random.isOneIn(5) ? `sip:${random.pick(['pair.example', 'single.example'])}` : uriAt(random.pick(callees));
  const hopUris = [...new Set(Array.from({ length: 1 + random.below(4) }, hopUri))];
  const nextHops = hopUris.map((uri) => ({ uri, priority: random.below(3), weight: random.below(4) }));
  const users = new Map<string, number>([['plain', 0]]);
  const listed: object[] = [{ user: 'plain' }];
  for (let i = 0; i < 4; i++) {
    const uris = new Set(Array.from({ length: 1 + random.below(4) }, () => contactUri(`u${i}`, random, callees)));
    const contacts = [...uris].map((uri) => ({ uri, q: random.pick([1, 1, 0.5, 0.2]) }));
    listed.push({ user: `u${i}`, contacts });
    users.set(`u${i}`, contacts.length);
  }
  const hasUsers = !random.isOneIn(4);
  const isRecursing = random.isOneIn(2);
  const isRecordRouting = !random.isOneIn(5);
  const isSmall = random.isOneIn(5);
  const parsed = configSchema.parse({
    mode: 'stateful',
    listen: [`udp:${PROXY_ADDRESS}:${PROXY_PORT}`],
    domains: [{ name: DOMAIN, users: hasUsers ? listed : 'any' }],
    nextHops,
    nextHopRestSec: random.pick([0, 1, 30]),
    redirects: isRecursing ? 'recurse' : 'pass',
    recordRoute: isRecordRouting ? ['INVITE', 'SUBSCRIBE', 'NOTIFY'] : [],
    maxBreadth: random.pick([60, 60, 1, 2, 3, 5]),
    timers: { t1Ms, t2Ms, t4Ms, timerCSec },
    trusted: ['0.0.0.0/0'],
    maxForwards: random.pick([70, 20]),
  });
  const transactions = isSmall ? random.pick([16, 64, 300]) : 16_384;
  const isCalm = random.isOneIn(5);
  return {
    seed,
    random,
    config: { ...parsed, limits: { ...parsed.limits, transactions } },
    keptKib: isSmall ? random.pick([64, 256, 2048]) : 16_384,
    t1Ms,
    t2Ms,
    t4Ms,
    timerCMs: timerCSec * 1000,
    callers,
    callees,
    names,
    isDnsSlow: random.isOneIn(2),
    isRecursing,
    isRecordRouting,
    users: hasUsers ? users : new Map([['anybody', 0]]),
    unknownUser: hasUsers ? 'stranger' : null,
    isSmall,
    loss: isCalm ? 0 : random.pick([0, 100, 500, 2000, 4000]),
    duplication: isCalm ? 0 : random.pick([0, 200, 1000]),
    congestion: isCalm ? 0 : random.pick([0, 0, 50]),
    delayMs: 1 + random.below(t1Ms >> 1),
    // A message stays in the network for less than T4, or the timers would not do (17.1.2.2).
    jitterMs: 1 + random.below(isCalm ? 5 : random.pick([5, t1Ms, t4Ms >> 1])),
    cycleMs: random.pick([0, 1, 12]),
    callGapMs: random.pick([2, 10, 50]),
  };
}

export function uriAt({ address, port }: Host, user?: string): string {
  return `sip:${user === undefined ? '' : `${user}@`}${address}:${port}`;
}

/** A place that a contact may name: mostly an address, sometimes a name. */
export function contactUri(user: string, random: Random, callees: readonly Host[]): string {
  if (random.isOneIn(8)) return `sip:${user}@${random.pick(['pair.example', 'single.example', 'nowhere.example'])}`;
  return uriAt(random.pick(callees), user);
}

function calleeOf(i: number, random: Random): Host {
  const kind =
    i === 0 ? 'answers' : random.pick(['answers', 'answers', 'answers', 'dead', 'refuses', 'unavailable'] as const);
  return { address: `10.1.0.${i + 1}`, port: random.pick([5060, 5080]), name: `callee ${i + 1}`, kind };
}
