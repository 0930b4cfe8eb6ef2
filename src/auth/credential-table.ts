/** The users of the configuration with what they prove to know: one SharedArrayBuffer, made by the main thread and opened by
 *  every shard, which reads it only. `lookup` is hot: once per request that is authenticated, allocates nothing for a user
 *  with a name; patterns, which are for test beds, make a string where their small cache has none.
 *
 *  ```
 *  HEADER   magic, version, seed, realms, users, slots | algorithms of each realm, in bits
 *  SLOT × n hash, record (its word; 0: none). A power of two, at most half of them in use
 *  RECORD   realm | bytes of the name, algorithms << 16 | the name, padded with zeros | an HA1 for each algorithm in turn
 *  ```
 *  All offsets are indices of Int32 words. HA1s are as good as passwords within their realm (RFC 7616 5.2); the passwords
 *  themselves are not in the buffer. Those of patterns travel beside it. */

import { hash, randomBytes } from 'node:crypto';
import { assert } from '../base/assert.ts';
import { hashBytes } from '../base/hash.ts';
import { equalBytes } from '../base/spans.ts';
import {
  ALGORITHM,
  ALGORITHM_COUNT,
  ALGORITHM_NAMES,
  type Algorithm,
  DIGEST_BYTES,
  NODE_HASHES,
} from './algorithms.ts';
import type { Text } from './digest-credentials.ts';
import { HA1, type Ha1Answer, type Ha1Source } from './ha1-source.ts';
import { PatternCache, WAYS } from './pattern-cache.ts';

/** Longer names are no users of ours. */
export const MAX_USERNAME_BYTES = 256;

/** A user, or with a pattern all that it matches, who know the same password. An entry without password and HA1 is no one,
 *  unless it says that it exists. */
export interface UserCredentials {
  readonly user: string | RegExp;
  readonly password?: string | undefined;
  /** Not for patterns; hexadecimal digits. */
  readonly ha1?: { readonly [name in (typeof ALGORITHM_NAMES)[number]]?: string | undefined } | undefined;
  /** `has` knows this user even without a password; `lookup` still finds nothing. Not for patterns. */
  readonly exists?: boolean | undefined;
}

/** The users of one realm. Its number is its place in the list. */
export interface RealmCredentials {
  readonly realm: string;
  readonly users: readonly UserCredentials[];
  /** For which HA1s are made of passwords; all, if it is missing. */
  readonly algorithms?: readonly Algorithm[];
}

/** What the main thread hands to the shards. */
export interface SharedCredentials {
  readonly buffer: SharedArrayBuffer;
  readonly patterns: readonly PatternCredentials[];
}

interface PatternCredentials {
  readonly realm: number;
  readonly realmName: string;
  readonly pattern: RegExp;
  readonly password: string;
  readonly algorithms: number;
}

const TABLE_MAGIC = 0x43726564; // "Cred"
const TABLE_VERSION = 1;
const HEADER = {
  MAGIC_WORD: 0,
  VERSION_WORD: 1,
  SEED_WORD: 2,
  REALMS_WORD: 3,
  USERS_WORD: 4,
  SLOTS_WORD: 5,
  ALGORITHMS_WORD: 6,
} as const;
const SLOT_WORDS = 2;
const RECORD = { REALM_WORD: 0, NAME_WORD: 1, TEXT_WORD: 2 } as const;
const LENGTH_MASK = 0xffff;
const NO_RECORD = 0;
const ALL_ALGORITHMS = (1 << ALGORITHM_COUNT) - 1;
const ALGORITHMS = Object.values(ALGORITHM);

/** Puts the users of all realms into one buffer. Throws an Error for a name that stands twice in a realm, and for HA1s of
 *  the wrong length. Cold; about a microsecond for each password and algorithm. */
export function shareCredentials(realms: readonly RealmCredentials[]): SharedCredentials {
  let userCount = 0;
  let recordsWords = 0;
  for (const realm of realms) {
    for (const credentials of realm.users) {
      if (!isExact(credentials)) continue;
      userCount++;
      recordsWords += recordWords(Buffer.byteLength(credentials.user), algorithmsOfUser(credentials, realm));
    }
  }
  const slotCount = 2 ** Math.ceil(Math.log2(Math.max(userCount, 1) * 2));
  const draft = new TableDraft(realms, userCount, slotCount, recordsWords);
  for (const [number, realm] of realms.entries()) {
    for (const credentials of realm.users) if (isExact(credentials)) draft.add(credentials, realm, number);
  }
  return { buffer: draft.buffer, patterns: realms.flatMap(patternsOf) };
}

type ExactCredentials = UserCredentials & { readonly user: string };

function isExact(credentials: UserCredentials): credentials is ExactCredentials {
  const { user, password, ha1, exists } = credentials;
  return typeof user === 'string' && (exists === true || password !== undefined || bitsGiven(ha1) !== 0);
}

/** The table while it is filled, in one pass and without an object for each user: there may be a million. */
class TableDraft {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #slotsWord: number;
  readonly #slotMask: number;
  #record: number;

  constructor(realms: readonly RealmCredentials[], userCount: number, slotCount: number, recordsWords: number) {
    this.#slotsWord = HEADER.ALGORITHMS_WORD + realms.length;
    this.#slotMask = slotCount - 1;
    this.#record = this.#slotsWord + slotCount * SLOT_WORDS;
    // One word more: hashes read ahead.
    this.buffer = new SharedArrayBuffer((this.#record + recordsWords + 1) * 4);
    const words = new Int32Array(this.buffer);
    this.#words = words;
    this.#bytes = new Uint8Array(this.buffer);
    words[HEADER.MAGIC_WORD] = TABLE_MAGIC;
    words[HEADER.VERSION_WORD] = TABLE_VERSION;
    words[HEADER.SEED_WORD] = randomBytes(4).readInt32LE();
    words[HEADER.REALMS_WORD] = realms.length;
    words[HEADER.USERS_WORD] = userCount;
    words[HEADER.SLOTS_WORD] = slotCount;
    for (const [number, realm] of realms.entries()) words[HEADER.ALGORITHMS_WORD + number] = bitsOf(realm.algorithms);
  }

  add(credentials: ExactCredentials, realm: RealmCredentials, number: number): void {
    const { user } = credentials;
    const words = this.#words;
    const record = this.#record;
    const name = Buffer.from(user);
    if (name.length > MAX_USERNAME_BYTES) throw new Error(`a user name longer than ${MAX_USERNAME_BYTES} bytes`);
    const algorithms = algorithmsOfUser(credentials, realm);
    words[record + RECORD.REALM_WORD] = number;
    words[record + RECORD.NAME_WORD] = name.length | (algorithms << 16);
    if (algorithms !== 0) words[HEADER.ALGORITHMS_WORD + number]! &= algorithms;
    this.#bytes.set(name, (record + RECORD.TEXT_WORD) << 2);
    let at = (record + RECORD.TEXT_WORD + nameWords(name.length)) << 2;
    for (const algorithm of ALGORITHMS) {
      if ((algorithms & (1 << algorithm)) === 0) continue;
      this.#bytes.set(ha1OfUser(credentials, realm, algorithm), at);
      at += DIGEST_BYTES[algorithm];
    }
    if (!this.#insert(record, name, number)) {
      throw new Error(`${JSON.stringify(user)} stands twice in realm ${realm.realm}`);
    }
    this.#record = at >> 2;
  }

  /** False if the name is there already. */
  #insert(record: number, name: Uint8Array, realm: number): boolean {
    const words = this.#words;
    const start = (record + RECORD.TEXT_WORD) << 2;
    const hashed = hashBytes(words, start, start + name.length, words[HEADER.SEED_WORD]! ^ realm);
    for (let slot = hashed & this.#slotMask; ; slot = (slot + 1) & this.#slotMask) {
      const at = this.#slotsWord + slot * SLOT_WORDS;
      const other = words[at + 1]!;
      if (other === NO_RECORD) {
        words[at] = hashed;
        words[at + 1] = record;
        return true;
      }
      if (words[at] === hashed && words[other + RECORD.REALM_WORD] === realm && this.#isNamed(other, name))
        return false;
    }
  }

  #isNamed(record: number, name: Uint8Array): boolean {
    const start = (record + RECORD.TEXT_WORD) << 2;
    const length = this.#words[record + RECORD.NAME_WORD]! & LENGTH_MASK;
    return length === name.length && name.every((byte, i) => this.#bytes[start + i] === byte);
  }
}

export class CredentialTable implements Ha1Source {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #view: DataView;
  readonly #seed: number;
  readonly #slotsWord: number;
  readonly #slotMask: number;
  /** By realm. */
  readonly #patterns: readonly (readonly PatternCredentials[])[];
  readonly #cache: PatternCache;

  /** Opens the table on a thread. */
  constructor({ buffer, patterns }: SharedCredentials) {
    this.#words = new Int32Array(buffer);
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
    assert(this.#words[HEADER.MAGIC_WORD] === TABLE_MAGIC, 'not a table of credentials');
    assert(this.#words[HEADER.VERSION_WORD] === TABLE_VERSION, 'a table of credentials of another version');
    const realmCount = this.#words[HEADER.REALMS_WORD]!;
    this.#seed = this.#words[HEADER.SEED_WORD]!;
    this.#slotsWord = HEADER.ALGORITHMS_WORD + realmCount;
    this.#slotMask = this.#words[HEADER.SLOTS_WORD]! - 1;
    this.#cache = patterns.length === 0 ? NO_CACHE : new PatternCache();
    this.#patterns = Array.from({ length: realmCount }, (_, realm) => patterns.filter((one) => one.realm === realm));
  }

  /** Users that have a name. */
  get userCount(): number {
    return this.#words[HEADER.USERS_WORD]!;
  }

  /** The algorithms for which all users of a realm with HA1s have one, as bits 1 << ALGORITHM: those it should offer, since a client
   *  picks one of what is offered before anyone knows who it is. 0: they have none in common. */
  algorithmsOf(realm: number): number {
    return this.#words[HEADER.ALGORITHMS_WORD + realm]!;
  }

  lookup(realm: number, text: Text, start: number, end: number, algorithm: Algorithm, target: Uint8Array): Ha1Answer {
    if (end - start > MAX_USERNAME_BYTES) return HA1.ABSENT;
    const hashed = hashBytes(text.words, start, end, this.#seed ^ realm);
    const record = this.#find(hashed, realm, text.view, start, end);
    if (record !== NO_RECORD) return this.#copyHa1(record, algorithm, target);
    const patterns = this.#patterns[realm]!;
    return patterns.length === 0 ? HA1.ABSENT : this.#match(patterns, hashed, text, start, end, algorithm, target);
  }

  /** Whether a user has this name, which is [start, end) of `text`; patterns do not count. Hot, allocates nothing. */
  has(realm: number, text: Text, start: number, end: number): boolean {
    if (end - start > MAX_USERNAME_BYTES) return false;
    const hashed = hashBytes(text.words, start, end, this.#seed ^ realm);
    return this.#find(hashed, realm, text.view, start, end) !== NO_RECORD;
  }

  #find(hashed: number, realm: number, view: DataView, start: number, end: number): number {
    const words = this.#words;
    for (let slot = hashed & this.#slotMask; ; slot = (slot + 1) & this.#slotMask) {
      const at = this.#slotsWord + slot * SLOT_WORDS;
      const record = words[at + 1]!;
      if (record === NO_RECORD) return NO_RECORD;
      if (
        words[at] === hashed &&
        words[record + RECORD.REALM_WORD] === realm &&
        this.#isNamed(record, view, start, end)
      )
        return record;
    }
  }

  #isNamed(record: number, view: DataView, start: number, end: number): boolean {
    const length = end - start;
    if ((this.#words[record + RECORD.NAME_WORD]! & LENGTH_MASK) !== length) return false;
    return equalBytes(view, start, end, this.#view, (record + RECORD.TEXT_WORD) << 2);
  }

  #copyHa1(record: number, algorithm: Algorithm, target: Uint8Array): Ha1Answer {
    const name = this.#words[record + RECORD.NAME_WORD]!;
    const algorithms = name >>> 16;
    if ((algorithms & (1 << algorithm)) === 0) return HA1.ABSENT;
    let from = (record + RECORD.TEXT_WORD + nameWords(name & LENGTH_MASK)) << 2;
    for (let before = 0; before < algorithm; before++) {
      if ((algorithms & (1 << before)) !== 0) from += DIGEST_BYTES[before as Algorithm];
    }
    const bytes = this.#bytes;
    const digestBytes = DIGEST_BYTES[algorithm];
    for (let i = 0; i < digestBytes; i++) target[i] = bytes[from + i]!;
    return HA1.FOUND;
  }

  #match(
    patterns: readonly PatternCredentials[],
    hashed: number,
    { bytes, view }: Text,
    start: number,
    end: number,
    algorithm: Algorithm,
    target: Uint8Array,
  ): Ha1Answer {
    const realm = patterns[0]!.realm;
    if (this.#cache.copy(hashed, realm, view, start, end, algorithm, target)) return HA1.FOUND;
    const name = Buffer.from(bytes.slice(start, end)).toString('utf8');
    for (const { pattern, realmName, password, algorithms } of patterns) {
      if ((algorithms & (1 << algorithm)) === 0 || !pattern.test(name)) continue;
      target.set(ha1Of(algorithm, name, realmName, password));
      this.#cache.keep(hashed, realm, view, start, end, algorithm, target);
      return HA1.FOUND;
    }
    return HA1.ABSENT;
  }
}

const NO_CACHE = new PatternCache(WAYS);

/** A1 of RFC 7616 3.4.2, hashed. */
function ha1Of(algorithm: Algorithm, name: string, realm: string, password: string): Uint8Array {
  return hash(NODE_HASHES[algorithm], `${name}:${realm}:${password}`, 'buffer');
}

/** For which algorithms this user has an HA1, in bits. */
function algorithmsOfUser({ password, ha1 }: UserCredentials, realm: RealmCredentials): number {
  const made = password === undefined ? 0 : bitsOf(realm.algorithms);
  return made | bitsGiven(ha1);
}

function bitsGiven(ha1: UserCredentials['ha1']): number {
  return bitsOf(ALGORITHMS.filter((algorithm) => ha1?.[ALGORITHM_NAMES[algorithm]] !== undefined));
}

function ha1OfUser(
  { user, password, ha1 }: ExactCredentials,
  realm: RealmCredentials,
  algorithm: Algorithm,
): Uint8Array {
  const hex = ha1?.[ALGORITHM_NAMES[algorithm]];
  if (hex === undefined) return ha1Of(algorithm, user, realm.realm, password ?? '');
  const bytes = Buffer.from(hex, 'hex');
  const isRight = bytes.length === DIGEST_BYTES[algorithm] && hex.length === bytes.length * 2;
  if (!isRight) throw new Error(`the HA1 of ${JSON.stringify(user)} for ${ALGORITHM_NAMES[algorithm]} is not one`);
  return bytes;
}

function patternsOf(realm: RealmCredentials, number: number): PatternCredentials[] {
  const patterns: PatternCredentials[] = [];
  for (const { user, password } of realm.users) {
    if (typeof user === 'string' || password === undefined) continue;
    // Without the flags that would make `test` remember where it was.
    const pattern = new RegExp(user.source, user.flags.replace(/[gy]/g, ''));
    patterns.push({ realm: number, realmName: realm.realm, pattern, password, algorithms: bitsOf(realm.algorithms) });
  }
  return patterns;
}

function bitsOf(algorithms: readonly Algorithm[] | undefined): number {
  return algorithms === undefined ? ALL_ALGORITHMS : algorithms.reduce<number>((bits, one) => bits | (1 << one), 0);
}

function nameWords(length: number): number {
  return (length + 3) >> 2;
}

function recordWords(nameBytes: number, algorithms: number): number {
  let words = RECORD.TEXT_WORD + nameWords(nameBytes);
  for (const algorithm of ALGORITHMS) if ((algorithms & (1 << algorithm)) !== 0) words += DIGEST_BYTES[algorithm] >> 2;
  return words;
}
