/** The live filters: which calls somebody watches right now. The main thread writes them into the memory of the trace, each
 *  shard keeps a copy and looks, once per message, whether there are others. */

import { LOWER } from '../../base/char-class.ts';
import { hashBytes } from '../../base/hash.ts';
import type { Arena } from '../../memory/arena.ts';
import { SLOT } from '../../memory/layout.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import type { MessageIndex } from '../../sip/message-index.ts';
import { NAME_ADDR_ERROR, NameAddrView, parseNameAddr } from '../../sip/name-addr.ts';
import { parseUri, UriView } from '../../sip/uri.ts';
import { CONDITION, FILTER, FILTER_WORDS, MAX_FILTERS, TRACE, type TraceMemory } from './trace-layout.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;
type Words = Int32Array<SharedArrayBuffer>;

/** Its own seed: the same hash with seed 0 chooses the shard, and a sample of one shard's calls would be none. The same on
 *  every server, so that all servers on a call's way keep the same calls. */
const CALL_ID_SEED = 0x5472_6163;

/** Hash of a Call-ID, by which calls are sampled and told apart. */
export function hashTracedCallId(words: Words, start: number, end: number): number {
  return hashBytes(words, start, end, CALL_ID_SEED);
}

/** The same of a text. Cold. */
export function hashCallIdText(callId: string): number {
  const text = new TextEncoder().encode(callId);
  const bytes = new Uint8Array(new SharedArrayBuffer((text.length & -4) + 8));
  bytes.set(text);
  return hashTracedCallId(new Int32Array(bytes.buffer), 0, text.length);
}

/** What a filter asks for; what is left out may be anything. */
export interface TraceFilter {
  readonly callId?: string | undefined;
  /** Of From, To or the Request-URI, with or without its host: `alice`, `alice@example.org`. */
  readonly user?: string | undefined;
  /** Where a message came from: network order, and which bits of it count. */
  readonly source?: SourceBlock | undefined;
}

export interface SourceBlock {
  readonly family: 4 | 6;
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array;
  readonly prefixBits: number;
}

/** Writes filters into the memory of the trace. Main thread, cold. */
export class FilterBoard {
  readonly #words: Words;

  constructor({ words }: TraceMemory) {
    this.#words = words;
  }

  /** One call in `sample` is kept, one in `exported` is for the export; 0: none. */
  keep(sample: number, exported: number): void {
    this.#change((words) => {
      words[TRACE.SAMPLE_WORD] = sample;
      words[TRACE.EXPORT_SAMPLE_WORD] = exported;
    });
  }

  set(place: number, filter: TraceFilter): void {
    this.#change((words) => {
      const at = TRACE.FILTERS_WORD + place * FILTER_WORDS;
      words.fill(0, at, at + FILTER_WORDS);
      let conditions: number = CONDITION.IN_USE;
      if (filter.callId !== undefined) {
        conditions |= CONDITION.CALL_ID;
        words[at + FILTER.CALL_ID_WORD] = hashCallIdText(filter.callId);
      }
      if (filter.user !== undefined) {
        const [user, host] = splitUser(filter.user);
        conditions |= CONDITION.USER;
        words[at + FILTER.USER_WORD] = hashText(user, 0, user.length, false);
        if (host !== null) {
          conditions |= CONDITION.HOST;
          words[at + FILTER.HOST_WORD] = hashText(host, 0, host.length, true);
        }
      }
      if (filter.source !== undefined) {
        conditions |= CONDITION.SOURCE;
        const { family, bytes, prefixBits } = filter.source;
        words[at + FILTER.FAMILY_WORD] = family;
        const view = new Uint8Array(words.buffer);
        view.set(bytes, (at + FILTER.ADDRESS_WORD) * 4);
        for (let bit = 0; bit < prefixBits; bit++) {
          view[(at + FILTER.MASK_WORD) * 4 + (bit >> 3)]! |= 0x80 >> (bit & 7);
        }
      }
      words[at + FILTER.CONDITIONS_WORD] = conditions;
    });
  }

  clear(place: number): void {
    this.#change((words) => {
      words[TRACE.FILTERS_WORD + place * FILTER_WORDS + FILTER.CONDITIONS_WORD] = 0;
    });
  }

  #change(write: (words: Words) => void): void {
    // Odd meanwhile: FilterCopy.refresh leaves the copy as it is, and looks again with the next message.
    Atomics.add(this.#words, TRACE.GENERATION_WORD, 1);
    write(this.#words);
    Atomics.add(this.#words, TRACE.GENERATION_WORD, 1);
  }
}

function splitUser(text: string): [user: Uint8Array, host: Uint8Array | null] {
  const at = text.lastIndexOf('@');
  const encoder = new TextEncoder();
  if (at < 0) return [encoder.encode(text), null];
  return [encoder.encode(text.slice(0, at)), encoder.encode(text.slice(at + 1))];
}

/** FNV-1a. */
function hashText(bytes: Uint8Array, start: number, end: number, isAnyCase: boolean): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = start; i < end; i++) {
    hash = Math.imul(hash ^ (isAnyCase ? LOWER[bytes[i]!]! : bytes[i]!), 0x01000193);
  }
  return hash;
}

/** Calls that a shard follows for live filters. A call whose place another one takes is found again by its next message that
 *  matches by itself. A power of two. */
const FOLLOWED = 4096;

const nameAddr = new NameAddrView();
const uri = new UriView();

/** A shard's copy of the filters, and the calls that matched them. Hot while there are filters, allocates nothing. */
export class FilterCopy {
  readonly #shared: Words;
  readonly #arenaBytes: Bytes;
  readonly #arenaWords: Words;
  readonly #filters = new Int32Array(MAX_FILTERS * FILTER_WORDS);
  readonly #followed = new Int32Array(FOLLOWED);
  /** Bits of the filters that the followed calls matched. */
  readonly #followedBits = new Int32Array(FOLLOWED);
  /** Hashes of users and hosts of the message in hand: From, To, Request-URI. */
  readonly #users = new Int32Array(3);
  readonly #hosts = new Int32Array(3);
  /** How many there are; −1: nobody has asked yet. */
  #userCount = -1;
  #generation = -1;
  /** Bits of the filters in use. */
  #inUse = 0;
  /** Unsigned hashes of Call-IDs below it are kept in any case. */
  #keepBelow = 0;
  #exportBelow = 0;

  constructor({ words }: TraceMemory, arena: Arena) {
    this.#shared = words;
    this.#arenaBytes = arena.bytes;
    this.#arenaWords = arena.words;
  }

  /** To be called before each message; looks at one word. */
  refresh(): void {
    if (this.#shared[TRACE.GENERATION_WORD] !== this.#generation) this.#copy();
  }

  /** Whether the call is kept without a filter. */
  isSampled(callIdHash: number): boolean {
    return callIdHash >>> 0 < this.#keepBelow;
  }

  isForExport(callIdHash: number): boolean {
    return callIdHash >>> 0 < this.#exportBelow;
  }

  /** Bits of the filters that a message which has arrived matches, or whose call did before. */
  ofArrived(callIdHash: number, index: MessageIndex, slotWord: number): number {
    if (this.#inUse === 0) return 0;
    const place = callIdHash & (FOLLOWED - 1);
    const before = this.#followed[place] === callIdHash ? this.#followedBits[place]! & this.#inUse : 0;
    if (before === this.#inUse) return before;
    let bits = before;
    this.#userCount = -1;
    for (let i = 0; i < MAX_FILTERS; i++) {
      const bit = 1 << i;
      if ((this.#inUse & ~bits & bit) === 0) continue;
      if (this.#matches(i * FILTER_WORDS, callIdHash, index, slotWord)) bits |= bit;
    }
    if (bits !== before) {
      this.#followed[place] = callIdHash;
      this.#followedBits[place] = bits;
    }
    return bits;
  }

  /** The same of a message of ours: it belongs to a call that was seen before, or there is nothing but its Call-ID to tell. */
  ofSent(callIdHash: number): number {
    if (this.#inUse === 0) return 0;
    const place = callIdHash & (FOLLOWED - 1);
    let bits = this.#followed[place] === callIdHash ? this.#followedBits[place]! & this.#inUse : 0;
    for (let i = 0; i < MAX_FILTERS; i++) {
      const at = i * FILTER_WORDS;
      const conditions = this.#filters[at + FILTER.CONDITIONS_WORD]!;
      const isEverything = conditions === CONDITION.IN_USE;
      const isCall = conditions === (CONDITION.IN_USE | CONDITION.CALL_ID);
      if (isEverything || (isCall && this.#filters[at + FILTER.CALL_ID_WORD] === callIdHash)) bits |= 1 << i;
    }
    return bits;
  }

  #matches(at: number, callIdHash: number, index: MessageIndex, slotWord: number): boolean {
    const filters = this.#filters;
    const conditions = filters[at + FILTER.CONDITIONS_WORD]!;
    if ((conditions & CONDITION.CALL_ID) !== 0 && filters[at + FILTER.CALL_ID_WORD] !== callIdHash) return false;
    if ((conditions & CONDITION.SOURCE) !== 0 && !this.#isFrom(at, slotWord)) return false;
    return (conditions & CONDITION.USER) === 0 || this.#isOfUser(at, index);
  }

  #isFrom(at: number, slotWord: number): boolean {
    const filters = this.#filters;
    const words = this.#arenaWords;
    if (words[slotWord + SLOT.FAMILY_WORD] !== filters[at + FILTER.FAMILY_WORD]) return false;
    for (let i = 0; i < 4; i++) {
      const differing = words[slotWord + SLOT.SOURCE_WORD + i]! ^ filters[at + FILTER.ADDRESS_WORD + i]!;
      if ((differing & filters[at + FILTER.MASK_WORD + i]!) !== 0) return false;
    }
    return true;
  }

  #isOfUser(at: number, index: MessageIndex): boolean {
    if (this.#userCount === -1) this.#readUsers(index);
    const filters = this.#filters;
    const hasHost = (filters[at + FILTER.CONDITIONS_WORD]! & CONDITION.HOST) !== 0;
    for (let i = 0; i < this.#userCount; i++) {
      if (this.#users[i] !== filters[at + FILTER.USER_WORD]) continue;
      if (!hasHost || this.#hosts[i] === filters[at + FILTER.HOST_WORD]) return true;
    }
    return false;
  }

  /** Once for all filters. */
  #readUsers(index: MessageIndex): void {
    this.#userCount = 0;
    this.#readUserIn(index, index.first[HEADER_ID.FROM]!);
    this.#readUserIn(index, index.first[HEADER_ID.TO]!);
    if (index.isRequest) this.#readUser(index.uriStart, index.uriEnd);
  }

  #readUserIn(index: MessageIndex, header: number): void {
    if (header === -1) return;
    const error = parseNameAddr(this.#arenaBytes, index.valueStart(header), index.valueEnd(header), nameAddr);
    if (error === NAME_ADDR_ERROR.NONE) this.#readUser(nameAddr.uriStart, nameAddr.uriEnd);
  }

  #readUser(start: number, end: number): void {
    const bytes = this.#arenaBytes;
    parseUri(bytes, start, end, uri);
    if (uri.userStart === -1) return;
    const hasHost = uri.hostStart !== -1;
    this.#users[this.#userCount] = hashText(bytes, uri.userStart, uri.userEnd, false);
    this.#hosts[this.#userCount++] = hasHost ? hashText(bytes, uri.hostStart, uri.hostEnd, true) : 0;
  }

  /** Cold. The calls that were followed are forgotten: a bit may be another filter's now. */
  #copy(): void {
    const shared = this.#shared;
    // Partner: FilterBoard's two additions. An odd generation is one that is being written.
    const generation = Atomics.load(shared, TRACE.GENERATION_WORD);
    if ((generation & 1) === 1) return;
    for (let i = 0; i < this.#filters.length; i++) this.#filters[i] = shared[TRACE.FILTERS_WORD + i]!;
    const sampleBelow = sampleLimit(shared[TRACE.SAMPLE_WORD]!);
    const exportBelow = sampleLimit(shared[TRACE.EXPORT_SAMPLE_WORD]!);
    // An addition and not a load: see trace-ring.ts.
    if (Atomics.add(shared, TRACE.GENERATION_WORD, 0) !== generation) return;
    this.#generation = generation;
    this.#keepBelow = Math.max(sampleBelow, exportBelow);
    this.#exportBelow = exportBelow;
    this.#followed.fill(0);
    this.#followedBits.fill(0);
    this.#inUse = 0;
    for (let i = 0; i < MAX_FILTERS; i++) {
      if (this.#filters[i * FILTER_WORDS + FILTER.CONDITIONS_WORD] !== 0) this.#inUse |= 1 << i;
    }
  }
}

/** The unsigned hashes of Call-IDs below it are one in `sample`. */
function sampleLimit(sample: number): number {
  return sample === 0 ? 0 : 2 ** 32 / sample;
}
