/** A realm: the set of users and resources that one challenge speaks for (RFC 3261 22.1), and what it offers to clients.
 *  Made from the configuration, then read only. Any thread. */

import { ascii, type Literal, literal } from '../base/ascii.ts';
import { assert } from '../base/assert.ts';
import { ALGORITHM_COUNT, type Algorithm } from './algorithms.ts';

export interface RealmSettings {
  /** By which the Ha1Source knows it; below 2^31. */
  readonly number: number;
  /** As users see it, without quotes or escapes. */
  readonly name: string;
  /** What is offered, the most preferred first (RFC 8760 2.3); none twice. */
  readonly algorithms: readonly Algorithm[];
  /** Offers qop=auth-int beside auth. Off: what is between must not change bodies, and many phones cannot. */
  readonly offersAuthInt?: boolean;
  /** Serves clients that send no qop (RFC 2069), once per nonce. */
  readonly acceptsNoQop?: boolean;
  /** Sent with every challenge. Nobody here asks for it back. */
  readonly opaque?: string;
}

export class Realm {
  readonly number: number;
  /** By which nonces know it: a hash of the name, which stays when domains come and go. */
  readonly mark: number;
  /** UTF-8. */
  readonly name: Literal;
  readonly algorithms: readonly Algorithm[];
  readonly offersAuthInt: boolean;
  readonly acceptsNoQop: boolean;
  readonly opaque: Uint8Array | null;
  /** 1 << ALGORITHM for each that is offered. */
  readonly #algorithmBits: number;

  constructor(settings: RealmSettings) {
    const { algorithms } = settings;
    this.number = settings.number;
    this.name = literal(settings.name);
    this.mark = this.name.bytes.reduce((hash, byte) => Math.imul(hash ^ byte, 0x0100_0193), 0x811c_9dc5 | 0);
    this.algorithms = algorithms;
    this.offersAuthInt = settings.offersAuthInt ?? false;
    this.acceptsNoQop = settings.acceptsNoQop ?? true;
    this.opaque = settings.opaque === undefined ? null : ascii(settings.opaque);
    this.#algorithmBits = algorithms.reduce<number>((bits, algorithm) => bits | (1 << algorithm), 0);
    assert(algorithms.length > 0 && algorithms.length <= ALGORITHM_COUNT, 'a realm offers one to three algorithms');
    assert(new Set(algorithms).size === algorithms.length, 'each challenge of a realm has another algorithm');
  }

  offers(algorithm: Algorithm): boolean {
    return (this.#algorithmBits & (1 << algorithm)) !== 0;
  }
}
