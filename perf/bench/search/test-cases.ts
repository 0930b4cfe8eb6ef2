/** The test cases of RFC 7502, section 6, that are scripted here, and one row that its set excludes. Cold. */

import type { Media } from './form.ts';
import { PCMU } from './scenarios.ts';

export type TestCaseId = '6.1' | '6.2' | '6.3' | '6.7' | '6.8' | 'extra';

export interface TestCase {
  readonly id: TestCaseId;
  /** As the RFC's section is called. */
  readonly title: string;
  readonly what: 'session' | 'registration' | 're-registration';
  /** False: the UAC sends straight to the UAS. */
  readonly hasDut: boolean;
  /** Directly between UAC and UAS (the RFC's Figure 1); null: none. */
  readonly media: Media | null;
}

const SESSION = { what: 'session', hasDut: true, media: null } as const;

const REGISTRATION = { hasDut: true, media: null } as const;

const TEST_CASES: { readonly [id in TestCaseId]: TestCase } = {
  '6.1': { ...SESSION, id: '6.1', title: 'Baseline Session Establishment Rate of the Testbed', hasDut: false },
  '6.2': { ...SESSION, id: '6.2', title: 'Session Establishment Rate without Media' },
  '6.3': { ...SESSION, id: '6.3', title: 'Session Establishment Rate with Media Not on DUT', media: PCMU },
  extra: { ...SESSION, id: 'extra', title: 'Session Establishment Rate without Media, stateless proxy' },
  '6.7': { ...REGISTRATION, id: '6.7', title: 'Registration Rate', what: 'registration' },
  '6.8': { ...REGISTRATION, id: '6.8', title: 'Re-registration Rate', what: 're-registration' },
};

/** In which they are played: the RFC's, the extra row behind those it may be compared with. */
const ORDER: readonly TestCaseId[] = ['6.1', '6.2', '6.3', 'extra', '6.7', '6.8'];

/** Why the other cases of section 6 are not here. */
const NOT_SCRIPTED: { readonly [id: string]: string } = {
  '6.4': 'it needs a DUT that relays media',
  '6.5': 'it needs SIP over TLS',
  '6.6': 'it needs IPsec',
};

/** What the RFC's set leaves out of its devices. */
export const STATELESS_NOTE =
  'EXTRA ROW, not a benchmark of RFC 7502: the device was a stateless proxy, which the RFC does not count among its devices (RFC 7502 1, RFC 7501 1.1).';

/** Least and most of what lies between 6.7 and 6.8, seconds (6.8, step 3). */
export const REREGISTRATION_WAIT_SEC = { least: 300, most: 600 } as const;

/** `text`: ids with commas in between, or `all`. In the order of the RFC; 6.8 brings 6.7 along. Throws a RangeError, one
 *  line. */
export function parseTestCases(text: string): TestCase[] {
  const ids = new Set(text === 'all' ? ORDER : text.split(',').map((id) => id.trim()));
  for (const id of ids) {
    if (Object.hasOwn(TEST_CASES, id)) continue;
    const known = Object.hasOwn(NOT_SCRIPTED, id);
    const why = known ? `test case ${id} is not scripted, ${NOT_SCRIPTED[id]}` : `there is no test case ${id}`;
    throw new RangeError(`${why}: choose from ${ORDER.join(', ')}, or all`);
  }
  if (ids.has('6.8')) ids.add('6.7');
  return ORDER.filter((id) => ids.has(id)).map((id) => TEST_CASES[id]);
}
