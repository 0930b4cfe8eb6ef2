/** The next hops of our own domains (RFC 3261 16.5): what will be a target set of many becomes, for a stateless proxy, one
 *  choice that depends on the call alone. Compiled from the configuration once; choosing is hot and allocates nothing. */

import { assert } from '../../base/assert.ts';
import { type Config, nextHopsByDomain } from '../../config/schema.ts';
import { parseIpAddress } from '../../sip/ip-address.ts';
import { parseUri, UriView } from '../../sip/uri.ts';

export interface NextHop {
  /** The host of the URI or its maddr, for the resolver. */
  readonly host: string;
  /** −1: none given. */
  readonly port: number;
  /** 4 or 6 for an address, 0 for a name. */
  readonly family: number;
  /** The address in network order. */
  readonly words: Int32Array;
}

export class NextHops {
  readonly #byDomain: readonly (readonly NextHop[])[];
  readonly #common: readonly NextHop[];

  constructor(config: Config) {
    const lists = nextHopsByDomain(config);
    this.#byDomain = config.domains.map(({ name }) => (lists.get(name) ?? []).map(readNextHop));
    this.#common = config.nextHops.map(readNextHop);
  }

  /** The one next hop for a call: chosen by `selector` alone, so that retransmissions, CANCEL and ACK go the same way
   *  (section 16.11). A `domain` below 0 stands for our bare addresses, which have the common list. */
  choose(domain: number, selector: number): NextHop | null {
    const hops = domain < 0 ? this.#common : this.#byDomain[domain]!;
    return hops.length === 0 ? null : hops[(selector >>> 0) % hops.length]!;
  }
}

/** `uri` has passed the configuration's checks. Cold. */
function readNextHop(uri: string): NextHop {
  const text = new TextEncoder().encode(uri);
  const bytes = new Uint8Array(new SharedArrayBuffer(text.length));
  bytes.set(text);
  const view = new UriView();
  assert(parseUri(bytes, 0, text.length, view) >= 0, 'a next hop of the configuration is no URI');
  const hasMaddr = view.maddrStart !== -1;
  const start = hasMaddr ? view.maddrStart : view.hostStart;
  const end = hasMaddr ? view.maddrEnd : view.hostEnd;
  const words = new Int32Array(new SharedArrayBuffer(16));
  const family = parseIpAddress(bytes, start, end, words, 0);
  return { host: uri.slice(start, end), port: view.port, family, words };
}
