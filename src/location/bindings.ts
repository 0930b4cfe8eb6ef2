/** The bindings of one AoR as they lie in a record: read in place, or written one after the other into a draft of the record to
 *  come (RFC 3261 10.3 steps 6 and 7). Any thread. Reading is hot: once per request, allocates nothing.
 *
 *  A record is never changed once it is in the table, so what a view shows is whole and stays as it is until the next
 *  quiescent point of this thread. */

import { copyBytes, viewOf } from '../base/spans.ts';
import { SLOT } from '../memory/layout.ts';
import { isReliable, TRANSPORT } from '../sip/transport.ts';
import { BINDING, LINE_SHIFT, MAX_RECORD_WORDS, MAX_TEXT_BYTES, NO_RECORD, RECORD } from './table-layout.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;
type Words = Int32Array<SharedArrayBuffer>;

/** Where the texts of new bindings lie: the arena is one. */
export interface TextSource {
  readonly bytes: Bytes;
  readonly words: Words;
}

const FAMILY_SHIFT = 16;
const FAMILY_MASK = 15;
const TRANSPORT_SHIFT = 20;
const TRANSPORT_MASK = 15;
const SOCKET_SHIFT = 24;
const IPV6 = 6;
const COUNT_SHIFT = 16;
const LENGTH_MASK = 0xffff;
const TWO_TO_32 = 2 ** 32;

function addressWords(family: number): number {
  return family === IPV6 ? 4 : 1;
}

/** The texts begin behind source address, local address and, for IPv6, scope id. */
function textWord(family: number): number {
  return BINDING.ADDRESSES_WORD + (family === IPV6 ? 9 : 2);
}

/** True if the words [from, end) are nothing but `count` bindings that a view can walk through. For words that come from
 *  outside; cold. */
export function areBindings(words: Words, from: number, end: number, count: number): boolean {
  let at = from;
  for (let left = count; left > 0; left--) {
    if (end - at < BINDING.ADDRESSES_WORD) return false;
    const family = (words[at + BINDING.RECEIVED_WORD]! >> FAMILY_SHIFT) & FAMILY_MASK;
    if (family !== 4 && family !== IPV6) return false;
    let textBytes = 0;
    for (const word of [BINDING.CONTACT_WORD, BINDING.PATH_WORD, BINDING.USER_AGENT_WORD]) {
      textBytes += (words[at + word]! & LENGTH_MASK) + (words[at + word]! >>> 16);
    }
    const length = textWord(family) + ((textBytes + 3) >> 2);
    if (words[at + BINDING.LENGTH_WORD] !== length || end - at < length) return false;
    at += length;
  }
  return at === end;
}

/** A walk over the bindings of a record:
 *  `view.open(record); while (view.next()) if (view.remainingMs(nowMs) > 0) …`.
 *  Expired ones are there until the sweep comes by. Texts are spans of `bytes`; one that is not there is empty. */
export class BindingView {
  /** The table's bytes. */
  readonly bytes: Bytes;
  /** The same. */
  readonly text: DataView;
  readonly #words: Words;
  #record = NO_RECORD;
  #left = 0;
  #next = 0;
  #at = 0;

  constructor(table: TextSource) {
    this.bytes = table.bytes;
    this.text = viewOf(table.bytes);
    this.#words = table.words;
  }

  /** Stands before the first binding of a record; NO_RECORD has none. */
  open(record: number): void {
    this.#record = record;
    this.#left = this.count;
    const word = record << LINE_SHIFT;
    this.#next = record === NO_RECORD ? 0 : word + RECORD.AOR_WORD + ((this.aorEnd - this.aorStart + 3) >> 2);
  }

  /** Moves to the next binding; false if there is none. */
  next(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    this.#at = this.#next;
    this.#next += this.#words[this.#at + BINDING.LENGTH_WORD]!;
    return true;
  }

  /** Bindings of this record. */
  get count(): number {
    if (this.#record === NO_RECORD) return 0;
    return this.#words[(this.#record << LINE_SHIFT) + RECORD.COUNTS_WORD]! >>> COUNT_SHIFT;
  }

  get aorStart(): number {
    return ((this.#record << LINE_SHIFT) + RECORD.AOR_WORD) * 4;
  }

  get aorEnd(): number {
    return this.aorStart + (this.#words[(this.#record << LINE_SHIFT) + RECORD.COUNTS_WORD]! & LENGTH_MASK);
  }

  /** Time left in ms, 0 or less if it has expired; at most about 24 days either way, as a small integer. */
  remainingMs(nowMs: number): number {
    return Math.max(-0x7fffffff, Math.min(0x7fffffff, this.expiresMs - nowMs)) | 0;
  }

  get expiresMs(): number {
    return this.#timeAt(BINDING.EXPIRES_WORD);
  }

  get updatedMs(): number {
    return this.#timeAt(BINDING.UPDATED_WORD);
  }

  /** 0 … 2³² − 1. */
  get cseq(): number {
    return this.#words[this.#at + BINDING.CSEQ_WORD]! >>> 0;
  }

  /** 0 … 1000 as it was put in. */
  get q(): number {
    return this.#words[this.#at + BINDING.Q_WORD]!;
  }

  /** The connection that the REGISTER came by, 0 if it came by UDP. */
  get connection(): number {
    return this.#words[this.#at + BINDING.CONNECTION_WORD]!;
  }

  /** 0: none. */
  get regId(): number {
    return this.#words[this.#at + BINDING.REG_ID_WORD]!;
  }

  /** BINDING_FLAG bits. */
  get flags(): number {
    return this.#words[this.#at + BINDING.FLAGS_WORD]!;
  }

  /** Any number that tells the request which wrote it from others, so that its retransmission is known. */
  get transaction(): number {
    return this.#words[this.#at + BINDING.TRANSACTION_WORD]!;
  }

  get port(): number {
    return this.#words[this.#at + BINDING.RECEIVED_WORD]! & 0xffff;
  }

  /** 4 or 6. */
  get family(): number {
    return (this.#words[this.#at + BINDING.RECEIVED_WORD]! >> FAMILY_SHIFT) & FAMILY_MASK;
  }

  /** One of TRANSPORT. Records from before there was another than UDP say NONE. */
  get transport(): number {
    return (this.#words[this.#at + BINDING.RECEIVED_WORD]! >> TRANSPORT_SHIFT) & TRANSPORT_MASK || TRANSPORT.UDP;
  }

  get socket(): number {
    return this.#words[this.#at + BINDING.RECEIVED_WORD]! >>> SOCKET_SHIFT;
  }

  /** Word `index` (0 … 3) of the address that the REGISTER came from, as in a slot: IPv4 in the first. */
  sourceWord(index: number): number {
    return index < addressWords(this.family) ? this.#words[this.#at + BINDING.ADDRESSES_WORD + index]! : 0;
  }

  /** Word `index` (0 … 3) of the local address it came to. */
  localWord(index: number): number {
    const count = addressWords(this.family);
    return index < count ? this.#words[this.#at + BINDING.ADDRESSES_WORD + count + index]! : 0;
  }

  get scope(): number {
    return this.family === IPV6 ? this.#words[this.#at + BINDING.ADDRESSES_WORD + 8]! : 0;
  }

  get contactStart(): number {
    return (this.#at + textWord(this.family)) * 4;
  }

  get contactEnd(): number {
    return this.contactStart + this.#low(BINDING.CONTACT_WORD);
  }

  get callIdStart(): number {
    return this.contactEnd;
  }

  get callIdEnd(): number {
    return this.contactEnd + this.#high(BINDING.CONTACT_WORD);
  }

  /** All Path values, in order, as one text. */
  get pathStart(): number {
    return this.callIdEnd;
  }

  get pathEnd(): number {
    return this.callIdEnd + this.#low(BINDING.PATH_WORD);
  }

  get instanceStart(): number {
    return this.pathEnd;
  }

  get instanceEnd(): number {
    return this.pathEnd + this.#high(BINDING.PATH_WORD);
  }

  get userAgentStart(): number {
    return this.instanceEnd;
  }

  get userAgentEnd(): number {
    return this.instanceEnd + this.#low(BINDING.USER_AGENT_WORD);
  }

  /** The other parameters of the contact, each with its semicolon, as they came. */
  get paramsStart(): number {
    return this.userAgentEnd;
  }

  get paramsEnd(): number {
    return this.userAgentEnd + this.#high(BINDING.USER_AGENT_WORD);
  }

  /** Copies the span [start, end) of `bytes` to `target` from `to` on. Returns where it ends there. */
  copyText(start: number, end: number, target: DataView, to: number): number {
    return copyBytes(this.text, start, end, target, to);
  }

  /** For RecordDraft: the first word of this binding, and how many there are. */
  get word(): number {
    return this.#at;
  }

  get wordCount(): number {
    return this.#words[this.#at + BINDING.LENGTH_WORD]!;
  }

  #timeAt(word: number): number {
    const at = this.#at + word;
    return (this.#words[at + 1]! >>> 0) * TWO_TO_32 + (this.#words[at]! >>> 0);
  }

  #low(word: number): number {
    return this.#words[this.#at + word]! & LENGTH_MASK;
  }

  #high(word: number): number {
    return this.#words[this.#at + word]! >>> 16;
  }
}

/** A binding to be added. Filled by the registrar and used again for the next; texts are spans of the caller's bytes, empty
 *  where there is none. Of the addresses, IPv4 uses the first word. */
export class NewBinding {
  expiresMs = 0;
  updatedMs = 0;
  cseq = 0;
  q = 1000;
  connection = 0;
  regId = 0;
  flags = 0;
  transaction = 0;
  family = 4;
  transport: number = TRANSPORT.UDP;
  port = 0;
  socket = 0;
  scope = 0;
  readonly source = new Int32Array(4);
  readonly local = new Int32Array(4);
  contactStart = 0;
  contactEnd = 0;
  callIdStart = 0;
  callIdEnd = 0;
  pathStart = 0;
  pathEnd = 0;
  instanceStart = 0;
  instanceEnd = 0;
  userAgentStart = 0;
  userAgentEnd = 0;
  paramsStart = 0;
  paramsEnd = 0;

  /** As if new. */
  clear(): void {
    this.expiresMs = this.updatedMs = this.cseq = this.regId = this.port = this.socket = this.scope = 0;
    this.connection = this.flags = this.transaction = 0;
    this.q = 1000;
    this.family = 4;
    this.transport = TRANSPORT.UDP;
    this.source.fill(0);
    this.local.fill(0);
    this.contactStart = this.contactEnd = this.callIdStart = this.callIdEnd = 0;
    this.pathStart = this.pathEnd = this.instanceStart = this.instanceEnd = 0;
    this.userAgentStart = this.userAgentEnd = this.paramsStart = this.paramsEnd = 0;
  }

  /** Takes where the REGISTER came from, and to, from the header of its slot; `transport` is that of the socket. */
  receivedIn(words: Words, slotWord: number, transport: number): void {
    const isStream = isReliable(transport);
    this.transport = transport;
    this.family = words[slotWord + SLOT.FAMILY_WORD]!;
    this.port = words[slotWord + SLOT.PORT_WORD]!;
    this.socket = words[slotWord + SLOT.SOCKET_WORD]!;
    this.scope = isStream ? 0 : words[slotWord + SLOT.SCOPE_WORD]!;
    this.connection = isStream ? words[slotWord + SLOT.CONNECTION_WORD]! : 0;
    for (let i = 0; i < 4; i++) {
      this.source[i] = words[slotWord + SLOT.SOURCE_WORD + i]!;
      this.local[i] = words[slotWord + SLOT.LOCAL_WORD + i]!;
    }
  }
}

/** The record to come, put together in memory of this thread's own. What is too large for a record is noticed at the end. */
export class RecordDraft {
  readonly #table: Words;
  readonly #kept: Words;
  readonly #source: DataView;
  readonly #words: Words;
  readonly #text: DataView;
  #aorBytes = 0;
  #length = 0;
  #earliestMs = 0;
  /** Bindings so far. */
  count = 0;
  isTooLarge = false;

  /** New texts come from `source`; the views given to `keep` lie over `kept`, the table if nothing else is said. */
  constructor(table: TextSource, source: TextSource, kept: TextSource = table) {
    this.#table = table.words;
    this.#kept = kept.words;
    this.#source = viewOf(source.bytes);
    this.#words = new Int32Array(new SharedArrayBuffer(MAX_RECORD_WORDS * 4));
    this.#text = new DataView(this.#words.buffer);
  }

  /** Begins a record without bindings. `aor` is padded with zeros. */
  begin(hash: number, aor: Int32Array, aorBytes: number): void {
    const aorWords = (aorBytes + 3) >> 2;
    for (let i = 0; i < aorWords; i++) this.#words[RECORD.AOR_WORD + i] = aor[i]!;
    this.#start(hash, aorBytes);
  }

  /** Begins a record without bindings for the AoR of another. */
  beginAs(record: number): void {
    const from = record << LINE_SHIFT;
    const aorBytes = this.#table[from + RECORD.COUNTS_WORD]! & LENGTH_MASK;
    const aorWords = (aorBytes + 3) >> 2;
    for (let i = 0; i < aorWords; i++) this.#words[RECORD.AOR_WORD + i] = this.#table[from + RECORD.AOR_WORD + i]!;
    this.#start(this.#table[from + RECORD.HASH_WORD]!, aorBytes);
  }

  #start(hash: number, aorBytes: number): void {
    this.#words[RECORD.HASH_WORD] = hash;
    this.#aorBytes = aorBytes;
    this.#length = RECORD.AOR_WORD + ((aorBytes + 3) >> 2);
    this.#earliestMs = Number.MAX_SAFE_INTEGER;
    this.count = 0;
    this.isTooLarge = false;
  }

  /** Takes over the binding that `view` stands at, as it is. */
  keep(view: BindingView): void {
    const from = view.word;
    const length = view.wordCount;
    if (!this.#isRoomFor(length)) return;
    const words = this.#words;
    const kept = this.#kept;
    const to = this.#length;
    for (let i = 0; i < length; i++) words[to + i] = kept[from + i]!;
    this.#length += length;
    this.#earliestMs = Math.min(this.#earliestMs, view.expiresMs);
    this.count++;
  }

  /** Adds a binding. */
  add(binding: NewBinding): void {
    const contactBytes = binding.contactEnd - binding.contactStart;
    const callIdBytes = binding.callIdEnd - binding.callIdStart;
    const pathBytes = binding.pathEnd - binding.pathStart;
    const instanceBytes = binding.instanceEnd - binding.instanceStart;
    const userAgentBytes = binding.userAgentEnd - binding.userAgentStart;
    const paramsBytes = binding.paramsEnd - binding.paramsStart;
    const textBytes = contactBytes + callIdBytes + pathBytes + instanceBytes + userAgentBytes + paramsBytes;
    // No single text is longer than all of them.
    if (textBytes > MAX_TEXT_BYTES) this.isTooLarge = true;
    const { family } = binding;
    const length = textWord(family) + ((textBytes + 3) >> 2);
    if (!this.#isRoomFor(length)) return;
    const words = this.#words;
    const at = this.#length;
    words[at + BINDING.LENGTH_WORD] = length;
    this.#putTime(at + BINDING.EXPIRES_WORD, binding.expiresMs);
    this.#putTime(at + BINDING.UPDATED_WORD, binding.updatedMs);
    words[at + BINDING.CSEQ_WORD] = binding.cseq;
    words[at + BINDING.Q_WORD] = binding.q;
    words[at + BINDING.CONNECTION_WORD] = binding.connection;
    words[at + BINDING.REG_ID_WORD] = binding.regId;
    const place = (family << FAMILY_SHIFT) | (binding.transport << TRANSPORT_SHIFT) | (binding.socket << SOCKET_SHIFT);
    words[at + BINDING.RECEIVED_WORD] = binding.port | place;
    words[at + BINDING.CONTACT_WORD] = contactBytes | (callIdBytes << COUNT_SHIFT);
    words[at + BINDING.PATH_WORD] = pathBytes | (instanceBytes << COUNT_SHIFT);
    words[at + BINDING.USER_AGENT_WORD] = userAgentBytes | (paramsBytes << COUNT_SHIFT);
    words[at + BINDING.FLAGS_WORD] = binding.flags;
    words[at + BINDING.TRANSACTION_WORD] = binding.transaction;
    const addresses = at + BINDING.ADDRESSES_WORD;
    const addressCount = addressWords(family);
    for (let i = 0; i < addressCount; i++) {
      words[addresses + i] = binding.source[i]!;
      words[addresses + addressCount + i] = binding.local[i]!;
    }
    if (family === IPV6) words[addresses + 2 * addressCount] = binding.scope;
    words[at + length - 1] = 0;
    let text = (at + textWord(family)) * 4;
    text = this.#putText(binding.contactStart, binding.contactEnd, text);
    text = this.#putText(binding.callIdStart, binding.callIdEnd, text);
    text = this.#putText(binding.pathStart, binding.pathEnd, text);
    text = this.#putText(binding.instanceStart, binding.instanceEnd, text);
    text = this.#putText(binding.userAgentStart, binding.userAgentEnd, text);
    this.#putText(binding.paramsStart, binding.paramsEnd, text);
    this.#length += length;
    this.#earliestMs = Math.min(this.#earliestMs, binding.expiresMs);
    this.count++;
  }

  /** Lines that a block for this record needs. */
  get lines(): number {
    return (this.#length + (1 << LINE_SHIFT) - 1) >> LINE_SHIFT;
  }

  /** Writes the record to a block. */
  writeTo(line: number): void {
    const words = this.#words;
    words[RECORD.COUNTS_WORD] = this.#aorBytes | (this.count << COUNT_SHIFT);
    words[RECORD.LENGTH_WORD] = this.#length;
    words[RECORD.EXPIRES_SEC_WORD] = Math.floor(this.#earliestMs / 1000);
    const table = this.#table;
    const to = line << LINE_SHIFT;
    // What comes before the hash is the block's, not the record's.
    for (let i = RECORD.HASH_WORD; i < this.#length; i++) table[to + i] = words[i]!;
  }

  #isRoomFor(length: number): boolean {
    if (this.#length + length > MAX_RECORD_WORDS || this.count === LENGTH_MASK) this.isTooLarge = true;
    return !this.isTooLarge;
  }

  #putTime(word: number, timeMs: number): void {
    this.#words[word] = timeMs % TWO_TO_32;
    this.#words[word + 1] = Math.floor(timeMs / TWO_TO_32);
  }

  #putText(start: number, end: number, to: number): number {
    return copyBytes(this.#source, start, end, this.#text, to);
  }
}
