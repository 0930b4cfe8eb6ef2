/** What things are called on the page: contestants, exchanges, delays, limits. Cold. */

import type { Contestant, DelayName, LimitedBy } from '../result.ts';

export interface DelayWords {
  /** In tables and on tabs. */
  readonly name: string;
  /** From what to what, and where it is defined. */
  readonly meaning: string;
  /** What `99 % …` is followed by in a sentence. */
  readonly within: string;
}

export const DELAY_WORDS: { readonly [name in DelayName]: DelayWords } = {
  sessionRequest: {
    name: 'Session request delay',
    meaning:
      'from INVITE to the first response that tells the caller something, here 180 or the final one (RFC 6076, 4.3.1)',
    within: 'of callers heard of their call within',
  },
  registrationRequest: {
    name: 'Registration request delay',
    meaning: 'from REGISTER to its final response (RFC 6076, 4.2)',
    within: 'of users were registered within',
  },
  response: {
    name: 'Response delay',
    meaning: 'from a request to its final response',
    within: 'of requests were answered within',
  },
  setup: {
    name: 'Set-up delay',
    meaning: 'from INVITE to 200',
    within: 'of calls were set up within',
  },
  sessionDisconnect: {
    name: 'Session disconnect delay',
    meaning: 'from BYE to its final response (RFC 6076, 4.4)',
    within: 'of calls were ended within',
  },
};

/** Which delay a scenario is mainly about: the first of these that it has. */
export const DELAYS_BY_WEIGHT: readonly DelayName[] = [
  'sessionRequest',
  'registrationRequest',
  'response',
  'setup',
  'sessionDisconnect',
];

/** One and many of what a scenario counts. */
export type Noun = readonly [one: string, many: string];

const NOUNS: { readonly [scenario: string]: Noun } = {
  call: ['call', 'calls'],
  'call-located': ['call', 'calls'],
  cancel: ['cancelled call', 'cancelled calls'],
  redirect: ['redirected call', 'redirected calls'],
  options: ['OPTIONS', 'OPTIONS'],
  register: ['registration', 'registrations'],
  'register-auth': ['registration', 'registrations'],
};

export function nounOf(scenario: string): Noun {
  return Object.hasOwn(NOUNS, scenario) ? NOUNS[scenario]! : ['exchange', 'exchanges'];
}

/** Whether the scenario is one of ours; otherwise it is somebody's file. */
export function isScenarioKnown(scenario: string): boolean {
  return Object.hasOwn(NOUNS, scenario) || scenario === 'mix';
}

export function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function displayName({ name, role }: Contestant): string {
  if (role === 'baseline') return 'No server (baseline)';
  if (role === 'relay') return name.replace(/^relay\b/, 'Bare UDP relay');
  return /^[a-z]+$/.test(name) ? capitalized(name) : name;
}

/** Name and version, if it is known. */
export function fullName(contestant: Contestant): string {
  const { version } = contestant;
  return version === null ? displayName(contestant) : `${displayName(contestant)} ${version}`;
}

export interface LimitWords {
  readonly name: string;
  readonly meaning: string;
}

export const LIMIT_WORDS: { readonly [limit in LimitedBy]: LimitWords } = {
  server: { name: 'the server', meaning: 'It had its whole CPU: the rate is what it can do.' },
  generator: {
    name: 'the load generator',
    meaning: 'The server waited for the load: the rate is a lower bound, not what the server can do.',
  },
  rate: {
    name: 'the rate asked for',
    meaning: 'A rate was given and was kept: how much more is possible was not tried.',
  },
  others: {
    name: 'other programs',
    meaning: 'Programs that are no part of this had the server’s CPU: the rate means little.',
  },
  neither: { name: 'neither', meaning: 'Server and load generator both waited: the rate is a lower bound.' },
  unknown: { name: 'unknown', meaning: 'The server’s processes cannot be seen from here.' },
};
