/** The scenarios, by name: what each is, what it needs of the server, and the flows that play it. */

import type { DelayName } from '../bench/result.ts';
import type { Flow, FlowParts } from './flow.ts';
import { CallFlow } from './flows/call-flow.ts';
import { EchoFlow } from './flows/echo-flow.ts';
import { OptionsFlow } from './flows/options-flow.ts';
import { RedirectFlow } from './flows/redirect-flow.ts';
import { RegisterFlow } from './flows/register-flow.ts';
import { RandomUsers } from './random-users.ts';

export interface Scenario {
  readonly title: string;
  /** How the server is to be set up. */
  readonly setUp: 'stateless' | 'stateful' | 'registrar' | 'registrar-digest' | 'redirect';
  /** Whether users must be there, or come to be. */
  readonly hasUsers: boolean;
  /** What the bare relay does instead: forwards the same messages, or sends back what it gets. */
  readonly floor: 'forwards' | 'echoes' | 'echoes twice';
  readonly mainDelay: DelayName;
  /** Milliseconds: what a finished exchange leaves behind grows at first, and the first of all are compiled. */
  readonly warmUpMs: number;
}

export const SCENARIOS = {
  options: {
    title: 'OPTIONS and its 200, forwarded statelessly',
    setUp: 'stateless',
    hasUsers: false,
    floor: 'forwards',
    mainDelay: 'response',
    warmUpMs: 1000,
  },
  call: {
    title: 'INVITE 100 180 200 ACK BYE 200, stateful, Record-Route',
    setUp: 'stateful',
    hasUsers: false,
    floor: 'forwards',
    mainDelay: 'setup',
    warmUpMs: 3000,
  },
  'call-located': {
    title: 'the same call to a registered user, who is looked up',
    setUp: 'registrar',
    hasUsers: true,
    floor: 'forwards',
    mainDelay: 'setup',
    warmUpMs: 3000,
  },
  register: {
    title: 'REGISTER of users at random, all of whom are there: refresh',
    setUp: 'registrar',
    hasUsers: true,
    floor: 'echoes',
    mainDelay: 'registrationRequest',
    warmUpMs: 1000,
  },
  'register-insert': {
    title: 'REGISTER of users one after the other, each for the first time',
    setUp: 'registrar',
    hasUsers: true,
    floor: 'echoes',
    mainDelay: 'registrationRequest',
    warmUpMs: 1000,
  },
  'register-auth': {
    title: 'REGISTER, 401, REGISTER with a digest (MD5), each time anew',
    setUp: 'registrar-digest',
    hasUsers: true,
    floor: 'echoes twice',
    mainDelay: 'registrationRequest',
    warmUpMs: 1000,
  },
  redirect: {
    title: 'INVITE to a registered user, 302 with the contact, ACK',
    setUp: 'redirect',
    hasUsers: true,
    floor: 'echoes',
    mainDelay: 'sessionRequest',
    warmUpMs: 1000,
  },
} as const satisfies { readonly [name: string]: Scenario };

export type ScenarioName = keyof typeof SCENARIOS;
export const SCENARIO_NAMES = Object.keys(SCENARIOS) as ScenarioName[];

export function isScenario(name: string): name is ScenarioName {
  return Object.hasOwn(SCENARIOS, name);
}

/** Users that are there before register-insert begins, for the warm-up. */
const FIRST_USERS = 1000;

export interface Flows {
  /** Registers the users before anything is measured; null: there is nothing to do. */
  readonly before: RegisterFlow | null;
  readonly main: Flow;
  /** Called at the edge between warm-up and window. */
  readonly atWindow: () => void;
}

/** `partsFor(i)`: the parts of flow 0 and flow 1, which have their messages in different places. */
export function createFlows(
  name: ScenarioName,
  isFloor: boolean,
  userCount: number,
  partsFor: (i: 0 | 1) => FlowParts,
): Flows {
  const scenario: Scenario = SCENARIOS[name];
  const nothing = () => {};
  const alone = (main: Flow): Flows => ({ before: null, main, atWindow: nothing });
  if (isFloor && scenario.floor !== 'forwards') {
    return alone(new EchoFlow(partsFor(0), scenario.mainDelay, scenario.floor === 'echoes' ? 1 : 2));
  }
  const cseqs = new Int32Array(userCount);
  const isDigest = scenario.setUp === 'registrar-digest';
  const registering = (end: number) => new RegisterFlow(partsFor(1), { kind: 'each', first: 0, end }, cseqs, isDigest);
  const any = (count: number) => ({ kind: 'any', users: new RandomUsers(count) }) as const;
  switch (name) {
    case 'options':
      return alone(new OptionsFlow(partsFor(0)));
    case 'call':
      return alone(new CallFlow(partsFor(0), null));
    case 'call-located': {
      const main = new CallFlow(partsFor(0), new RandomUsers(userCount));
      return isFloor ? alone(main) : { before: registering(userCount), main, atWindow: nothing };
    }
    case 'redirect': {
      const main = new RedirectFlow(partsFor(0), new RandomUsers(userCount));
      return { before: registering(userCount), main, atWindow: nothing };
    }
    case 'register':
    case 'register-auth': {
      const main = new RegisterFlow(partsFor(0), any(userCount), cseqs, isDigest);
      return { before: registering(userCount), main, atWindow: nothing };
    }
    case 'register-insert': {
      const first = Math.min(FIRST_USERS, userCount >> 1);
      const main = new RegisterFlow(partsFor(0), any(first), cseqs, false);
      const atWindow = () => main.register({ kind: 'each', first, end: userCount });
      return { before: registering(first), main, atWindow };
    }
  }
}
