/** Which users our domains have, and the fixed contacts of some (RFC 3261 16.5). Compiled from the configuration once; the users
 *  of files are looked up elsewhere, since they may change.
 *  Runs on the shard, once per new request to a domain of ours. A domain with any user costs nothing, nor does one of a file;
 *  looking one up in a list makes a string. */

import { type Text, textOver } from '../../auth/digest-credentials.ts';
import { Literal } from '../../base/ascii.ts';
import type { Config, UserEntry } from '../../config/schema.ts';
import { MAX_USER_BYTES, patternOf } from '../../config/user-pattern.ts';
import { unescapedAt } from '../../sip/uri.ts';

export interface FixedContact {
  /** For a Request-URI: without headers and without a method parameter. */
  readonly uri: Literal;
  /** 0 … 1000 for 0 … 1. */
  readonly q: number;
}

/** The users of the files that domains name (`usersFile`), by the number of the domain. */
export interface FileUsers {
  /** Whether a file or the configuration names the user whose name, without escapes, is [start, end) of `text`. Hot. */
  has(domain: number, text: Text, start: number, end: number): boolean;
}

/** `find`: there is no such user; there is, without contacts of its own. */
export const USER = { UNKNOWN: -1, KNOWN: -2 } as const;

interface UserList {
  /** Name → what `find` returns. */
  readonly names: ReadonlyMap<string, number>;
  readonly patterns: readonly RegExp[];
  /** The domain has a file of users besides. */
  readonly hasFile: boolean;
}

/** A word more than the longest user: hashes read ahead. */
const PLAIN_BYTES = MAX_USER_BYTES + 8;
const PERCENT = 0x25;
const NO_CONTACTS: readonly FixedContact[] = [];

export class Users {
  /** Some domain has a list or a file of users. */
  readonly hasLists: boolean;
  /** By domain; null: any user exists. */
  readonly #lists: readonly (UserList | null)[];
  readonly #contacts: (readonly FixedContact[])[] = [];
  readonly #fileUsers: FileUsers | null;
  /** The user that is looked up, without escapes. */
  readonly #plain: Text;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  /** `fileUsers` null: nobody is in the files. */
  constructor(config: Config, fileUsers: FileUsers | null = null) {
    const plain = new SharedArrayBuffer(PLAIN_BYTES);
    this.#plain = textOver(plain);
    this.#fileUsers = fileUsers;
    this.#lists = config.domains.map(({ users, usersFile }) => {
      if (users !== 'any') return this.#compile(users, usersFile !== undefined);
      return usersFile === undefined ? null : this.#compile([], true);
    });
    this.hasLists = this.#lists.some((list) => list !== null);
  }

  /** Looks up the user part [start, end) of a valid SIP URI, still escaped, in a domain (RFC 3261 19.1.4: with regard to
   *  case). Names come before patterns. Returns USER.UNKNOWN, USER.KNOWN or an index for `contactsOf`. A URI without a
   *  user part (`start` −1) is the domain's own, and our bare addresses (`domain` below 0) have no lists: KNOWN. */
  find(domain: number, bytes: Uint8Array<SharedArrayBuffer>, start: number, end: number): number {
    if (domain < 0 || start === -1) return USER.KNOWN;
    const list = this.#lists[domain]!;
    if (list === null) return USER.KNOWN;
    const length = this.#unescape(bytes, start, end);
    if (length < 0) return USER.UNKNOWN;
    if (list.names.size > 0 || list.patterns.length > 0) {
      const found = this.#findIn(list, length);
      if (found !== USER.UNKNOWN) return found;
    }
    const isInFile = list.hasFile && this.#fileUsers?.has(domain, this.#plain, 0, length) === true;
    return isInFile ? USER.KNOWN : USER.UNKNOWN;
  }

  /** A function of its own, since what a closure captures is allocated on entry. */
  #findIn(list: UserList, length: number): number {
    // Copied: shared memory cannot be decoded.
    const user = this.#decoder.decode(this.#plain.bytes.slice(0, length));
    const found = list.names.get(user);
    if (found !== undefined) return found;
    return list.patterns.some((pattern) => pattern.test(user)) ? USER.KNOWN : USER.UNKNOWN;
  }

  /** The contacts of a user, the highest q first, those with the same in the order of the configuration; none below 0. */
  contactsOf(index: number): readonly FixedContact[] {
    return index < 0 ? NO_CONTACTS : this.#contacts[index]!;
  }

  /** Fills `#plain` and returns the length; −1: longer than any user of ours. */
  #unescape(bytes: Uint8Array<SharedArrayBuffer>, start: number, end: number): number {
    const plain = this.#plain.bytes;
    let length = 0;
    for (let at = start; at < end; at += bytes[at] === PERCENT ? 3 : 1) {
      if (length === MAX_USER_BYTES) return -1;
      plain[length++] = unescapedAt(bytes, at);
    }
    return length;
  }

  #compile(entries: readonly UserEntry[], hasFile: boolean): UserList {
    const names = new Map<string, number>();
    const patterns: RegExp[] = [];
    for (const { user, contacts } of entries) {
      if (user.startsWith('/')) patterns.push(patternOf(user) as RegExp);
      else names.set(user, contacts.length === 0 ? USER.KNOWN : this.#contacts.push(readContacts(contacts)) - 1);
    }
    return { names, patterns, hasFile };
  }
}

function readContacts(contacts: UserEntry['contacts']): readonly FixedContact[] {
  const encoder = new TextEncoder();
  return contacts
    .map(({ uri, q }) => ({ uri: new Literal(encoder.encode(uri)), q: Math.round(q * 1000) }))
    .sort((a, b) => b.q - a.q);
}
