/** What the configuration says of authentication, in the terms of this floor: realms and their users. A realm's number is the
 *  index of its domain. Cold; any thread. */

import type { Config, UserEntry } from '../config/schema.ts';
import { patternOf } from '../config/user-pattern.ts';
import { ALGORITHM_NAMES, type Algorithm } from './algorithms.ts';
import type { RealmCredentials, UserCredentials } from './credential-table.ts';
import { Realm } from './realm.ts';

/** `available`: the algorithms that the users of a realm have HA1s for, as bits; −1: nobody knows. Of those that the configuration
 *  wants, the others are not offered, unless that would leave none. */
export function realmsOf(config: Config, available: (realm: number) => number): Realm[] {
  const wanted = algorithmsOf(config);
  const offersAuthInt = config.auth.qop.includes('auth-int');
  return config.domains.map(({ name, realm = name }, number) => {
    const some = wanted.filter((algorithm) => ((available(number) >>> algorithm) & 1) !== 0);
    return new Realm({ number, name: realm, algorithms: some.length > 0 ? some : wanted, offersAuthInt });
  });
}

/** The users of every domain that the configuration itself names. */
export function credentialsOf(config: Config): RealmCredentials[] {
  const algorithms = algorithmsOf(config);
  return config.domains.map(({ name, realm = name, users }) => ({
    realm,
    algorithms,
    users: users === 'any' ? [] : users.flatMap((user) => namesOf(user, name)),
  }));
}

function algorithmsOf(config: Config): Algorithm[] {
  return config.auth.algorithms.map((name) => ALGORITHM_NAMES.indexOf(name) as Algorithm);
}

/** Some phones name their user as in the address-of-record, "alice@example.org", which is another HA1. */
function namesOf(entry: UserEntry, domain: string): UserCredentials[] {
  const { user, password } = entry;
  const isPlain = password !== undefined && !user.startsWith('/') && !user.includes('@');
  return [toCredentials(entry), ...(isPlain ? [{ user: `${user}@${domain}`, password }] : [])];
}

function toCredentials({ user, password, ha1 }: UserEntry): UserCredentials {
  return {
    user: user.startsWith('/') ? (patternOf(user) as RegExp) : user,
    ...(password === undefined ? {} : { password }),
    ...(ha1 === undefined ? {} : { ha1 }),
  };
}
