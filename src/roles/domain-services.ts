/** What this server does for each of its domains (RFC 3261 10.3, 8.3, 16): registers its users or not, forwards requests for
 *  them or redirects. Compiled from the configuration once. Asked on the shard, hot. */

import { asksForPasswords } from '../config/asks-for-passwords.ts';
import { nextHopsByDomain } from '../config/next-hops-by-domain.ts';
import type { Config } from '../config/schema.ts';
import { FOREIGN } from './own-addresses.ts';

export class DomainServices {
  /** No domain is configured: the server is the registrar of every domain that a REGISTER names. */
  readonly isOpen: boolean;
  readonly #isRegistrar: readonly boolean[];
  readonly #isRedirect: readonly boolean[];
  readonly #isRegistrarOfAddresses: boolean;

  constructor(config: Config) {
    const hopsOf = nextHopsByDomain(config);
    this.#isRegistrar = config.domains.map(({ name, registrar }) =>
      registrar === 'auto' ? hopsOf.get(name)!.length === 0 : registrar === 'on',
    );
    this.#isRedirect = config.domains.map(({ role }) => role === 'redirect');
    // Who is asked for a password as a user of a domain does not come in by the server's address instead.
    this.#isRegistrarOfAddresses = config.nextHops.length === 0 && !asksForPasswords(config);
    this.isOpen = config.domains.length === 0 && config.nextHops.length === 0;
  }

  /** `domain`: as of `OwnAddresses.domainOf`. */
  isRegistrar(domain: number): boolean {
    if (domain >= 0) return this.#isRegistrar[domain]!;
    return domain === FOREIGN ? this.isOpen : this.#isRegistrarOfAddresses;
  }

  isRedirect(domain: number): boolean {
    return domain >= 0 && this.#isRedirect[domain]!;
  }
}
