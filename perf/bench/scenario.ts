/** What is played: for every scenario the SIPp files of both sides, what the server must offer for it, and which of the times
 *  that the UAC writes down make which delay (RFC 6076). Cold. */

import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { DelayName } from './result.ts';

/** What a server must do in a scenario beyond forwarding by the Request-URI. */
export type Service = 'register' | 'authenticate' | 'locate' | 'redirect';

/** Two of the times of a line that the UAC writes for each exchange: their places in it, from 0. The first of `to` that is
 *  there counts: no 180 need come. */
export interface Span {
  readonly from: number;
  readonly to: readonly number[];
}

export interface Scenario {
  readonly name: string;
  /** Files for SIPp, absolute. */
  readonly uacFile: string;
  /** The called side behind the server; null: the server answers by itself. */
  readonly uasFile: string | null;
  /** Who answers the UAC when no server is there (the baseline); null: nobody can. */
  readonly baselineUasFile: string | null;
  readonly services: readonly Service[];
  /** All users are registered before the load begins. */
  readonly registersFirst: boolean;
  /** Whether the UAC takes its users from a file. */
  readonly hasUsers: boolean;
  /** How many times a line has; 0: the file is not ours, and only SIPp's own response times are there, in milliseconds. */
  readonly timeCount: number;
  readonly delays: { readonly [name in DelayName]?: Span };
  /** The one that series and live figures are about; null: none. */
  readonly mainDelay: DelayName | null;
}

/** A scenario with its part of the load. */
export interface Part {
  readonly scenario: Scenario;
  /** Of all exchanges; the shares add up to 1. */
  readonly share: number;
}

const scenarioFolder = join(import.meta.dirname, 'scenarios');

const inFolder = (name: string) => join(scenarioFolder, `${name}.xml`);

const CALL_TIMES = {
  timeCount: 5,
  delays: {
    sessionRequest: { from: 0, to: [1, 2] },
    setup: { from: 0, to: [2] },
    sessionDisconnect: { from: 3, to: [4] },
  },
  mainDelay: 'sessionRequest',
} as const;

function own(
  name: string,
  uas: { behind: string | null; baseline: string },
  rest: Omit<Scenario, 'name' | 'uacFile' | 'uasFile' | 'baselineUasFile'>,
): Scenario {
  return {
    name,
    uacFile: inFolder(name),
    uasFile: uas.behind === null ? null : inFolder(uas.behind),
    baselineUasFile: inFolder(uas.baseline),
    ...rest,
  };
}

const SCENARIOS: { readonly [name: string]: Scenario } = Object.fromEntries(
  [
    own(
      'call',
      { behind: 'uas-call', baseline: 'uas-call' },
      { services: [], registersFirst: false, hasUsers: false, ...CALL_TIMES },
    ),
    own(
      'cancel',
      { behind: 'uas-cancel', baseline: 'uas-cancel-direct' },
      {
        services: [],
        registersFirst: false,
        hasUsers: false,
        timeCount: 5,
        delays: { sessionRequest: { from: 0, to: [1] }, response: { from: 2, to: [3] } },
        mainDelay: 'sessionRequest',
      },
    ),
    own(
      'options',
      { behind: 'uas-options', baseline: 'uas-options' },
      {
        services: [],
        registersFirst: false,
        hasUsers: false,
        timeCount: 2,
        delays: { response: { from: 0, to: [1] } },
        mainDelay: 'response',
      },
    ),
    own(
      'register',
      { behind: null, baseline: 'uas-register' },
      {
        services: ['register'],
        registersFirst: false,
        hasUsers: true,
        timeCount: 2,
        delays: { registrationRequest: { from: 0, to: [1] } },
        mainDelay: 'registrationRequest',
      },
    ),
    own(
      'register-auth',
      { behind: null, baseline: 'uas-register-auth' },
      {
        services: ['register', 'authenticate'],
        registersFirst: false,
        hasUsers: true,
        timeCount: 3,
        delays: { registrationRequest: { from: 0, to: [2] } },
        mainDelay: 'registrationRequest',
      },
    ),
    own(
      'redirect',
      { behind: null, baseline: 'uas-redirect' },
      {
        services: ['register', 'redirect'],
        registersFirst: true,
        hasUsers: true,
        timeCount: 2,
        delays: { sessionRequest: { from: 0, to: [1] } },
        mainDelay: 'sessionRequest',
      },
    ),
    own(
      'call-located',
      { behind: 'uas-call', baseline: 'uas-call' },
      { services: ['register', 'locate'], registersFirst: true, hasUsers: true, ...CALL_TIMES },
    ),
  ].map((scenario) => [scenario.name, scenario]),
);

/** What a busy hour is made of: of twenty exchanges, eight calls of which three to registered users, one given up, six
 *  registrations, five OPTIONS. */
const MIX: readonly (readonly [name: string, share: number])[] = [
  ['call', 0.25],
  ['call-located', 0.15],
  ['cancel', 0.05],
  ['register', 0.3],
  ['options', 0.25],
];

export const SCENARIO_NAMES: readonly string[] = [...Object.keys(SCENARIOS), 'mix'];

/** The scenario by its name, or the parts of a mix, or a file for SIPp (the UAC's side; whoever it calls must be there).
 *  Throws an Error with one line if there is neither. */
export function partsOf(name: string): readonly Part[] {
  if (name === 'mix') return MIX.map(([part, share]) => ({ scenario: SCENARIOS[part]!, share }));
  if (Object.hasOwn(SCENARIOS, name)) return [{ scenario: SCENARIOS[name]!, share: 1 }];
  if (!existsSync(name)) {
    throw new Error(`there is no scenario ${name}: it is one of ${SCENARIO_NAMES.join(', ')}, or a file for SIPp`);
  }
  return [{ scenario: foreign(name, null), share: 1 }];
}

/** A scenario of somebody else's. Its RTDs that are named like a delay of ours are that delay; any other is `response`. */
export function foreign(uacFile: string, uasFile: string | null): Scenario {
  return {
    name: basename(uacFile),
    uacFile: resolve(uacFile),
    uasFile: uasFile === null ? null : resolve(uasFile),
    baselineUasFile: uasFile === null ? null : resolve(uasFile),
    services: [],
    registersFirst: false,
    hasUsers: true,
    timeCount: 0,
    delays: {},
    mainDelay: null,
  };
}

/** What a server must offer for all parts. */
export function servicesOf(parts: readonly Part[]): ReadonlySet<Service> {
  return new Set(parts.flatMap(({ scenario }) => scenario.services));
}
