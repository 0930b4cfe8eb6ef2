/** The location table as the main thread has it: makes it, buries threads that died, and answers operators. Cold; between two
 *  questions this thread rests, so that no retired record waits for it. */

import { randomInt } from 'node:crypto';
import { type Text, textOver } from '../auth/digest-credentials.ts';
import { bufferOf } from '../base/cache-lines.ts';
import type { Config } from '../config/schema.ts';
import { BindingView, NewBinding, type RecordDraft } from '../location/bindings.ts';
import { createLocationTable, LocationTable, UPDATE, type WriteBindings } from '../location/location-table.ts';
import { createStoreFeed, FeedProducer } from '../location/store-feed.ts';
import { BINDING_FLAG, MAX_AOR_BYTES } from '../location/table-layout.ts';
import { SLOT_HEADER_BYTES } from '../memory/layout.ts';
import type { BoundSocket } from '../roles/bound-socket.ts';
import { DomainServices } from '../roles/domain-services.ts';
import { FOREIGN, OwnAddresses } from '../roles/own-addresses.ts';
import { type FileUsers, USER, Users } from '../roles/proxy/users.ts';
import { ADDRESS_OF_RECORD_GROWTH_BYTES, writeAddressOfRecord } from '../sip/address-of-record.ts';
import { formatIpAddress, MAX_ADDRESS_BYTES } from '../sip/ip-address.ts';
import { Q_ONE } from '../sip/q-value.ts';
import { parseUri, SCHEME, TRANSPORT, UriView } from '../sip/uri.ts';
import { equalUris } from '../sip/uri-equality.ts';
import { INVALID_PARAMS, REFUSED, RequestError } from './request-error.ts';
import type {
  BindingPage,
  CountPage,
  DomainCount,
  ListedBinding,
  LocationOperations,
  ShownBinding,
} from './running-server.ts';
import { adviseHugePages } from './udp-socket.ts';

/** Where the texts of a question lie, in bytes. Before them an empty slot header, for who asks which socket it came by. */
const TEXTS = SLOT_HEADER_BYTES;
/** Where the contact of a binding is laid beside them, and what it takes at the most. */
const STORED = 64 * 1024;
const SOURCE_BYTES = STORED + 64 * 1024;
const MAX_TEXT_BYTES = 8 * 1024;

/** One part of a walk through the table takes no longer, but for the bucket it is at. */
const PART_MS = 2;
const PART_TEXT_CHARS = 512 * 1024;
const PART_DOMAINS = 1000;

const HAS_SCHEME = /^[a-z][a-z0-9+.-]*:/i;

export interface LocationParts {
  readonly config: Config;
  readonly fileUsers: FileUsers | null;
  readonly shardCount: number;
  readonly sockets: readonly (BoundSocket & { readonly text: string })[];
  readonly localAddresses: readonly string[];
}

interface Span {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export class LocationService implements LocationOperations {
  readonly buffer: SharedArrayBuffer;
  /** What the store is told of: by each shard, and behind them by this thread. */
  readonly feed: SharedArrayBuffer;
  /** Called with the canonical form of an AoR after `add` or `remove` has changed its bindings: tells the store. */
  onChange: ((aor: Uint8Array) => void) | null = null;
  #parts: LocationParts;
  readonly #table: LocationTable;
  readonly #view: BindingView;
  /** The table's bytes once more. */
  readonly #tableText: Buffer;
  readonly #source: Uint8Array<SharedArrayBuffer>;
  readonly #texts: Text;
  readonly #sourceText: Buffer;
  #own: OwnAddresses;
  #services: DomainServices;
  #users: Users;
  readonly #uri = new UriView();
  readonly #binding = new NewBinding();
  readonly #address = new Int32Array(new SharedArrayBuffer(16));
  readonly #addressText = Buffer.from(new SharedArrayBuffer(MAX_ADDRESS_BYTES));
  readonly #addressBytes = new Uint8Array(this.#addressText.buffer as SharedArrayBuffer);
  /** Where the next text of the question in hand goes. */
  #cursor = TEXTS;

  /** Threads of the table: the shards by their index, the store behind them, and the main thread last. */
  constructor(parts: LocationParts) {
    const { config, fileUsers, shardCount, sockets, localAddresses } = parts;
    this.#parts = parts;
    const shape = { capacity: config.location.capacity, threadCount: shardCount + 2 };
    this.buffer = createLocationTable(shape, randomInt(2 ** 32) | 0);
    this.feed = createStoreFeed(shardCount + 1);
    const changes = new FeedProducer(new Int32Array(this.feed), shardCount);
    this.onChange = (aor) => {
      changes.append(aor, 0, aor.length);
    };
    const source = new SharedArrayBuffer(SOURCE_BYTES);
    const texts = textOver(source);
    this.#table = new LocationTable(this.buffer, shardCount + 1, texts);
    if (config.location.hugePages) askForHugePages(this.#table);
    this.#view = new BindingView(this.#table);
    this.#tableText = bufferOf(this.buffer);
    this.#texts = texts;
    this.#source = texts.bytes;
    this.#sourceText = Buffer.from(source);
    const domains = config.domains.map(({ name }) => name);
    this.#own = new OwnAddresses(texts.bytes, texts.words, sockets, localAddresses, domains);
    this.#services = new DomainServices(config);
    this.#users = new Users(config, fileUsers);
    this.#table.rest();
  }

  /** Another configuration with the users of its files. Where it throws, nothing has changed. */
  useConfig(config: Config, fileUsers: FileUsers | null): void {
    const { sockets, localAddresses } = this.#parts;
    const domains = config.domains.map(({ name }) => name);
    const { bytes, words } = this.#texts;
    const own = new OwnAddresses(bytes, words, sockets, localAddresses, domains);
    const services = new DomainServices(config);
    const users = new Users(config, fileUsers);
    this.#parts = { ...this.#parts, config, fileUsers };
    this.#own = own;
    this.#services = services;
    this.#users = users;
  }

  /** After the death of a shard, before its successor begins. */
  bury(shard: number): void {
    this.#awake(() => this.#table.bury(shard));
  }

  /** Bindings in the table, as of `LocationTable.bindingCount`. */
  get bindingCount(): number {
    return this.#table.bindingCount();
  }

  /** AoRs in the table, as of `LocationTable.count`. */
  get aorCount(): number {
    return this.#table.count();
  }

  list({ cursor, limit, domain }: Parameters<LocationOperations['list']>[0]): BindingPage {
    const wanted = domain === undefined ? null : this.#domainOf(domain);
    const bindings: ListedBinding[] = [];
    let textChars = 0;
    const visit = (aor: string, nowMs: number) => {
      if (wanted !== null && hostOf(aor) !== wanted) return;
      for (const view of this.#unexpired(nowMs)) {
        const binding = this.#listed(aor, view, nowMs);
        textChars += aor.length + binding.contact.length;
        bindings.push(binding);
      }
    };
    const isFull = () => bindings.length >= limit || textChars > PART_TEXT_CHARS;
    return this.#awake(() => ({ cursor: this.#walk(cursor, visit, isFull), bindings }));
  }

  count({ cursor, domain }: Parameters<LocationOperations['count']>[0]): CountPage {
    const wanted = domain === undefined ? null : this.#domainOf(domain);
    const counts = new Map<string, { aors: number; bindings: number }>();
    const visit = (aor: string, nowMs: number) => {
      const host = hostOf(aor);
      if (wanted !== null && host !== wanted) return;
      let bindings = 0;
      for (const _ of this.#unexpired(nowMs)) bindings++;
      if (bindings === 0) return;
      const before = counts.get(host) ?? { aors: 0, bindings: 0 };
      counts.set(host, { aors: before.aors + 1, bindings: before.bindings + bindings });
    };
    const next = this.#awake(() => this.#walk(cursor, visit, () => counts.size >= PART_DOMAINS));
    const domains: DomainCount[] = [...counts].map(([name, count]) => ({ domain: name, ...count }));
    return { domains, cursor: next };
  }

  show(text: string): { aor: string; bindings: readonly ShownBinding[] } {
    const aor = this.#readAor(text);
    const nowMs = Date.now();
    const bindings: ShownBinding[] = [];
    this.#awake(() => {
      this.#view.open(this.#table.lookup(aor.start, aor.end));
      for (const view of this.#unexpired(nowMs)) bindings.push(this.#shown(aor.text, view, nowMs));
    });
    if (bindings.length === 0) throw this.#noBindings(aor);
    return { aor: aor.text, bindings };
  }

  add(question: Parameters<LocationOperations['add']>[0]): { aor: string; contact: string; isNew: boolean } {
    const aor = this.#readAor(question.aor);
    this.#checkUser(aor);
    const contact = this.#readContact(question.contact);
    const nowMs = Date.now();
    const binding = this.#binding;
    // Without a Call-ID, no REGISTER is held to be older than it (RFC 3261 10.3 step 7).
    binding.clear();
    binding.updatedMs = nowMs;
    binding.expiresMs = nowMs + question.expiresSec * 1000;
    binding.q = Math.round(question.q * Q_ONE);
    binding.contactStart = contact.start;
    binding.contactEnd = contact.end;
    let isNew = true;
    const { maxContacts } = this.#parts.config.registrar;
    const isChanged = this.#update(aor, (current, next) => {
      isNew = this.#putBinding(contact, current, next, nowMs);
      return next.count <= maxContacts;
    });
    if (!isChanged) {
      throw refusal(`${aor.text} has ${maxContacts} contacts already, and registrar.maxContacts allows no more`);
    }
    return { aor: aor.text, contact: contact.text, isNew };
  }

  remove({ aor: text, contact }: Parameters<LocationOperations['remove']>[0]): { aor: string; removed: number } {
    const aor = this.#readAor(text);
    const unwanted = contact === undefined ? null : this.#readContact(contact);
    const nowMs = Date.now();
    let found = 0;
    let removed = 0;
    const isChanged = this.#update(aor, (current, next) => {
      found = removed = 0;
      while (current.next()) {
        if (current.expiresMs <= nowMs) continue;
        found++;
        if (unwanted === null || this.#isContact(current, unwanted)) removed++;
        else next.keep(current);
      }
      return removed > 0;
    });
    if (isChanged) return { aor: aor.text, removed };
    throw found === 0 ? this.#noBindings(aor) : refusal(`${aor.text} has no binding with the contact ${contact}`);
  }

  // ---- The table ----------------------------------------------------------------------------------------------------

  /** What `ask` finds in the table is no longer valid behind it. */
  #awake<T>(ask: () => T): T {
    this.#table.quiesce();
    try {
      return ask();
    } finally {
      this.#table.rest();
    }
  }

  /** Shows `visit` each AoR, `#view` standing before its first binding, from a bucket on until `isFull` or it takes too long.
   *  Returns the bucket to go on with, null at the end. */
  #walk(bucket: number, visit: (aor: string, nowMs: number) => void, isFull: () => boolean): number | null {
    const view = this.#view;
    const nowMs = Date.now();
    const show = (record: number) => {
      view.open(record);
      visit(this.#tableText.toString('latin1', view.aorStart, view.aorEnd), nowMs);
    };
    const deadline = performance.now() + PART_MS;
    let next = bucket;
    do next = this.#table.list(next, 1, show);
    while (next !== 0 && !isFull() && performance.now() < deadline);
    return next === 0 ? null : next;
  }

  /** The bindings from where `#view` stands on; each is valid until the next. */
  *#unexpired(nowMs: number): Generator<BindingView> {
    const view = this.#view;
    while (view.next()) if (view.expiresMs > nowMs) yield view;
  }

  /** False: `write` said no. */
  #update(aor: Span, write: WriteBindings): boolean {
    switch (this.#awake(() => this.#table.update(aor.start, aor.end, write))) {
      case UPDATE.FULL: {
        const { capacity } = this.#parts.config.location;
        throw refusal(`the location table is full: raise location.capacity, which is ${capacity}, and restart`);
      }
      case UPDATE.TOO_LARGE:
        throw refusal(`the bindings of ${aor.text} would be larger than a record can be`);
      case UPDATE.UNCHANGED:
        return false;
      default:
        this.onChange?.(this.#source.slice(aor.start, aor.end));
        return true;
    }
  }

  /** Adds `#binding` to the current ones, or puts it in the place of those with this contact. Those of flows are named by their
   *  instance and stay (RFC 5626 6). True: it is a new one. */
  #putBinding(contact: Span, current: BindingView, next: RecordDraft, nowMs: number): boolean {
    let isPlaced = false;
    while (current.next()) {
      if (current.expiresMs <= nowMs) continue;
      if (current.regId !== 0 || !this.#isContact(current, contact)) {
        next.keep(current);
      } else if (!isPlaced) {
        next.add(this.#binding);
        isPlaced = true;
      }
    }
    if (!isPlaced) next.add(this.#binding);
    return !isPlaced;
  }

  #isContact(view: BindingView, contact: Span): boolean {
    const end = view.copyText(view.contactStart, view.contactEnd, this.#texts.view, STORED);
    return equalUris(this.#source, contact.start, contact.end, STORED, end);
  }

  // ---- Questions ----------------------------------------------------------------------------------------------------

  /** The canonical form of an AoR, in the source; `#uri` then shows it. Begins a question. */
  #readAor(text: string): Span {
    this.#cursor = TEXTS;
    const given = this.#put(HAS_SCHEME.test(text) ? text : `sip:${text}`);
    const start = this.#cursor;
    const length = writeAddressOfRecord(this.#source, given.start, given.end, this.#source, start);
    const end = start + length;
    const isUser = length > 0 && parseUri(this.#source, start, end, this.#uri) === 0 && this.#uri.userStart !== -1;
    if (!isUser) throw invalid(`${text} is not a SIP URI of a user; write it like alice@example.org`);
    if (length > MAX_AOR_BYTES) throw invalid(`an AoR of more than ${MAX_AOR_BYTES} bytes is nobody's`);
    this.#cursor = end;
    return { start, end, text: this.#sourceText.toString('latin1', start, end) };
  }

  #readContact(text: string): Span {
    const contact = this.#put(text);
    const uri = this.#uri;
    const isUri = parseUri(this.#source, contact.start, contact.end, uri) === 0 && uri.scheme <= SCHEME.TEL;
    if (!isUri) throw invalid(`${text} is not a SIP or tel URI; write a contact like sip:alice@192.0.2.10:5060`);
    return contact;
  }

  /** The domain of AoRs that a domain name or an address stands for. */
  #domainOf(text: string): string {
    this.#cursor = TEXTS;
    const given = this.#put(`sip:${text}`);
    const start = this.#cursor;
    const length = writeAddressOfRecord(this.#source, given.start, given.end, this.#source, start);
    const aor = this.#sourceText.toString('latin1', start, start + Math.max(0, length));
    if (length < 0 || aor.includes('@')) throw invalid(`${text} is not a domain name`);
    return hostOf(aor);
  }

  #put(text: string): Span {
    const bytes = Buffer.from(text);
    if (bytes.length > MAX_TEXT_BYTES) throw invalid(`a URI is at most ${MAX_TEXT_BYTES} bytes`);
    const start = this.#cursor;
    const end = start + bytes.length;
    this.#source.set(bytes, start);
    this.#cursor = end + ADDRESS_OF_RECORD_GROWTH_BYTES;
    return { start, end, text };
  }

  /** That an AoR is one whose bindings are looked for: as the registrar does (RFC 3261 10.3 step 5). */
  #checkUser(aor: Span): void {
    const domain = this.#ownDomainOf(aor);
    const host = hostOf(aor.text);
    if (!this.#services.isRegistrar(domain)) {
      const why = domain === FOREIGN ? 'is none of our domains' : 'is a domain without a registrar';
      throw refusal(`${host} ${why}, so nobody would look for ${aor.text}`);
    }
    if (this.#isUnknown(aor, domain)) throw refusal(noUser(aor));
  }

  #noBindings(aor: Span): RequestError {
    const isUnknown = this.#isUnknown(aor, this.#ownDomainOf(aor));
    return refusal(isUnknown ? noUser(aor) : `${aor.text} has no bindings`);
  }

  #isUnknown(aor: Span, domain: number): boolean {
    const { userStart, userEnd } = this.#readUri(aor);
    return this.#users.find(domain, this.#source, userStart, userEnd) === USER.UNKNOWN;
  }

  /** Canonical AoRs have lost their port: an address is ours if it is at any of our ports. */
  #ownDomainOf(aor: Span): number {
    const uri = this.#readUri(aor);
    for (const port of [-1, ...this.#parts.sockets.map((socket) => socket.port)]) {
      const domain = this.#own.domainOf(uri, port, TRANSPORT.NONE, 0);
      if (domain !== FOREIGN) return domain;
    }
    return FOREIGN;
  }

  #readUri(aor: Span): UriView {
    parseUri(this.#source, aor.start, aor.end, this.#uri);
    return this.#uri;
  }

  // ---- Answers ------------------------------------------------------------------------------------------------------

  #listed(aor: string, view: BindingView, nowMs: number): ListedBinding {
    return {
      aor,
      contact: this.#text(view.contactStart, view.contactEnd) ?? '',
      expiresSec: Math.ceil((view.expiresMs - nowMs) / 1000),
      q: view.q / Q_ONE,
      received: view.port === 0 ? null : this.#hostPort(view),
      userAgent: this.#text(view.userAgentStart, view.userAgentEnd),
    };
  }

  #shown(aor: string, view: BindingView, nowMs: number): ShownBinding {
    const callId = this.#text(view.callIdStart, view.callIdEnd);
    const isByHand = callId === null;
    return {
      ...this.#listed(aor, view, nowMs),
      callId,
      cseq: isByHand ? null : view.cseq,
      path: this.#text(view.pathStart, view.pathEnd),
      instance: this.#text(view.instanceStart, view.instanceEnd),
      regId: view.regId === 0 ? null : view.regId,
      socket: isByHand ? null : (this.#parts.sockets[view.socket]?.text ?? null),
      localAddress: this.#localAddressOf(view),
      // A Path leads there otherwise (roles/proxy/target-blocks.ts).
      isReachedAtSource: (view.flags & BINDING_FLAG.AT_SOURCE) !== 0 && view.pathEnd === view.pathStart,
      parameters: this.#text(view.paramsStart, view.paramsEnd),
      updated: new Date(view.updatedMs).toISOString(),
    };
  }

  /** null: empty. */
  #text(start: number, end: number): string | null {
    return end === start ? null : this.#tableText.toString('utf8', start, end);
  }

  #hostPort(view: BindingView): string {
    const address = this.#addressOf(view, (index) => view.sourceWord(index));
    return address.includes(':') ? `[${address}]:${view.port}` : `${address}:${view.port}`;
  }

  /** null where the kernel did not say, as for sockets that are bound to one address. */
  #localAddressOf(view: BindingView): string | null {
    const isKnown = [0, 1, 2, 3].some((index) => view.localWord(index) !== 0);
    return isKnown ? this.#addressOf(view, (index) => view.localWord(index)) : null;
  }

  #addressOf({ family }: BindingView, wordAt: (index: number) => number): string {
    for (let i = 0; i < 4; i++) this.#address[i] = wordAt(i);
    const end = formatIpAddress(this.#address, 0, family, this.#addressBytes, 0);
    return this.#addressText.toString('latin1', 0, end);
  }
}

/** A look-up is at two random places of hundreds of MB, and with small pages the CPU has to find out first where each lies. Records
 *  are cut one after the other, so at most one huge page is in memory before it is needed. Buckets are spread by the hash: with room
 *  for a million all 16 MB of them are in memory from some users on, as they are in small pages from some thousand on; a look-up
 *  among a million takes 390 ns in place of 435.
 *
 *  The kernel zeroes a huge page at its first touch, once for some 8,000 new AoRs: 0.2 ms, less than 512 small ones take (4 ms were
 *  seen where a virtual machine had not used that memory yet). If there is no huge page at hand and `defrag` in
 *  /sys/kernel/mm/transparent_hugepage is `madvise`, as it is by default, that one touch waits while the kernel makes one; with
 *  `defer` or `never` it takes a small page. What was touched before does not wait. A kernel that has no huge pages says EINVAL,
 *  which changes nothing. */
function askForHugePages(table: LocationTable): void {
  adviseHugePages(table.searchedArea);
}

/** Behind the user, whose "@" are escaped in a canonical AoR; behind the scheme if there is none. */
function hostOf(aor: string): string {
  const at = aor.indexOf('@');
  return aor.slice((at === -1 ? aor.indexOf(':') : at) + 1);
}

function noUser({ text }: Span): string {
  return `there is no such user: ${hostOf(text)} has no ${text.slice(text.indexOf(':') + 1, text.indexOf('@'))}`;
}

function invalid(message: string): RequestError {
  return new RequestError(INVALID_PARAMS, message);
}

function refusal(message: string): RequestError {
  return new RequestError(REFUSED, message);
}
