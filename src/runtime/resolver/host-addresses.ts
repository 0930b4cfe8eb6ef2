/** Addresses of hosts, and the names whose addresses need no name server. Runs on the shard. Cold. */

import { readFileSync } from 'node:fs';
import { parseIpAddress } from '../../sip/ip-address.ts';

export interface Address {
  readonly family: 4 | 6;
  /** As in `ResolvedAddress`. */
  readonly words: Int32Array;
}

const textEncoder = new TextEncoder();
const addressText = new Uint8Array(new SharedArrayBuffer(64));
const addressWords = new Int32Array(new SharedArrayBuffer(16));

/** An address from its text, brackets allowed; null if it is none. */
export function addressOf(text: string): Address | null {
  if (text.length > addressText.length) return null;
  const encoded = textEncoder.encode(text);
  if (encoded.length > addressText.length) return null;
  addressText.set(encoded);
  const family = parseIpAddress(addressText, 0, encoded.length, addressWords, 0);
  if (family !== 4 && family !== 6) return null;
  const words = new Int32Array(4);
  words.set(family === 4 ? addressWords.subarray(0, 1) : addressWords);
  return { family, words };
}

/** An order that does not depend on the order of arrival: by the bytes. */
export function compareAddresses(a: Address, b: Address): number {
  return Buffer.compare(new Uint8Array(a.words.buffer), new Uint8Array(b.words.buffer));
}

/** In lower case, without a final dot. */
export function canonicalName(host: string): string {
  const name = host.endsWith('.') ? host.slice(0, -1) : host;
  return name.toLowerCase();
}

/** Names that need no name server: addresses, the names of the hosts file, and localhost (RFC 6761 6.3). */
export class LocalNames {
  readonly #hosts: ReadonlyMap<string, readonly Address[]>;

  /** `hostsFile` is read once. One that is not there has no names. */
  constructor(hostsFile: string) {
    this.#hosts = readHosts(hostsFile);
  }

  /** Null: a name server is to be asked. */
  addressesOf(name: string): readonly Address[] | null {
    const address = addressOf(name);
    if (address !== null) return [address];
    const listed = this.#hosts.get(name);
    if (listed !== undefined) return listed;
    return name === 'localhost' || name.endsWith('.localhost') ? LOOPBACK : null;
  }
}

const LOOPBACK: readonly Address[] = [addressOf('127.0.0.1')!, addressOf('::1')!];

function readHosts(path: string): ReadonlyMap<string, readonly Address[]> {
  const hosts = new Map<string, Address[]>();
  let text = '';
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  for (const line of text.split('\n')) {
    const [first = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const address = addressOf(first);
    if (address === null) continue;
    for (const name of names.map(canonicalName)) {
      const known = hosts.get(name) ?? [];
      if (!known.some((other) => compareAddresses(other, address) === 0)) known.push(address);
      hosts.set(name, known.sort(compareAddresses));
    }
  }
  return hosts;
}
