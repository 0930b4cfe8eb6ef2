/** The trace as operators ask for it: recent messages, live ones, the calls they belong to. Main thread, cold: reads the rings of the
 *  shards and never makes one wait. What takes long is done in pieces, so that the main thread has time for others. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type Cidr, parseCidr } from '../../config/cidr.ts';
import type { Config } from '../../config/schema.ts';
import { FilterBoard, hashCallIdText, type TraceFilter } from '../../observe/trace/trace-filters.ts';
import {
  createTrace,
  FLAG,
  MAX_FILTERS,
  RECORD,
  ringBytesOf,
  type TraceMemory,
} from '../../observe/trace/trace-layout.ts';
import { type TraceRecord, TraceRingReader } from '../../observe/trace/trace-ring.ts';
import { INVALID_PARAMS, REFUSED, RequestError } from '../request-error.ts';
import { wallClock } from './clock.ts';
import { HepExport, type HepStatus } from './hep-export.ts';
import { LatestCalls, type TracedCall } from './latest-calls.ts';
import { pcapHeader, pcapRecord } from './pcap.ts';
import {
  fieldsOf,
  isSent,
  RecordReader,
  type TextForm,
  type TracedMessage,
  type TraceReading,
  userOf,
} from './traced-message.ts';

/** A live filter that nobody has asked by for so long is nobody's any more. */
const LEASE_MS = 10_000;
const LEASE_CHECK_MS = 1000;
/** Records between two turns of the event loop. */
const PIECE = 200;
/** Of the messages of one answer; the message that exceeds it is the last. */
const MAX_ANSWER_BYTES = 1024 * 1024;

/** What messages are asked for; all that is named must hold. A message is of a user or a source if its call is. */
export interface TraceQuestion {
  readonly callId?: string | undefined;
  /** USER or USER@HOST, in From, To or the Request-URI. */
  readonly user?: string | undefined;
  /** An address block that a message of the call came from. */
  readonly from?: string | undefined;
}

export interface RecentQuestion {
  readonly filter: TraceQuestion;
  /** Where an answer before this one ended; without it: the latest messages that are there, or with `live` none of them. */
  readonly after?: string | undefined;
  /** Messages of the answer at the most. */
  readonly limit: number;
  /** From now on, and for 10 s after each question, every message is kept that the filter wants, whatever the sample. */
  readonly live: boolean;
  readonly form: TextForm;
}

export interface RecentAnswer {
  /** By their time. */
  readonly messages: readonly TracedMessage[];
  /** For the next question. */
  readonly after: string;
  /** Messages, of whatever call, that were overwritten before they were asked for. */
  readonly lost: number;
  /** Without `live`, one call in so many is there; 0: none. */
  readonly sample: number;
}

export interface TraceStatus {
  /** Of each shard. */
  readonly ringKiB: number;
  readonly sample: number;
  /** Messages that are there. */
  readonly messages: number;
  /** Of the oldest of them; null: there is none. */
  readonly oldestUs: number | null;
  readonly live: readonly TraceQuestion[];
  /** null: there is no collector. */
  readonly hep: HepStatus | null;
}

export interface TraceOperations {
  recent(question: RecentQuestion): Promise<RecentAnswer>;
  /** The latest calls first. */
  calls(question: { readonly filter: TraceQuestion; readonly limit: number }): Promise<{
    readonly calls: readonly TracedCall[];
    readonly sample: number;
  }>;
  /** A capture file. */
  pcap(question: { readonly filter: TraceQuestion; readonly limit: number }): Promise<{ readonly base64: string }>;
  status(): TraceStatus;
}

interface Lease {
  readonly key: string;
  readonly question: TraceQuestion;
  untilMs: number;
}

export class TraceService implements TraceOperations {
  readonly #config: Pick<Config, 'trace' | 'hep'>;
  readonly #reading: TraceReading;
  readonly #memory: TraceMemory;
  readonly #board: FilterBoard;
  readonly #readers: readonly TraceRingReader[];
  readonly #records: RecordReader;
  #sample: number;
  /** Tells cursors of this run from those of another. */
  readonly #run = Date.now().toString(36);
  /** By the place of the filter. */
  readonly #leases: (Lease | null)[] = new Array<Lease | null>(MAX_FILTERS).fill(null);
  readonly #clock = wallClock();
  #export: HepExport | null = null;
  #timer: NodeJS.Timeout | null = null;
  #lost = 0;

  constructor(config: Pick<Config, 'trace' | 'hep'>, shardCount: number, reading: TraceReading) {
    const { trace, hep } = config;
    this.#memory = createTrace({
      shardCount,
      ringBytes: ringBytesOf(trace.recentKiB),
      messageBytes: trace.messageBytes,
    });
    this.#board = new FilterBoard(this.#memory);
    this.#sample = trace.sample;
    this.#board.keep(trace.sample, hep.to === 'off' ? 0 : hep.sample);
    this.#readers = Array.from({ length: shardCount }, (_, shard) => new TraceRingReader(this.#memory, shard));
    this.#records = new RecordReader(reading);
    this.#config = config;
    this.#reading = reading;
  }

  /** Begins to send messages to the collector, if there is one. */
  startExport(log: Logger): void {
    if (this.#config.hep.to !== 'off') this.#export = new HepExport(this.#config, this.buffer, this.#reading, log);
  }

  /** After a reload: what is sampled from now on, and what is masked, in messages that are there already, too. */
  useConfig({ trace, hep }: Pick<Config, 'trace' | 'hep'>): void {
    this.#sample = trace.sample;
    this.#board.keep(trace.sample, hep.to === 'off' ? 0 : hep.sample);
    this.#records.useMaskHeaders(trace.maskHeaders);
    this.#export?.useMaskHeaders(trace.maskHeaders);
  }

  /** For the shards and the export thread. */
  get buffer(): SharedArrayBuffer {
    return this.#memory.buffer;
  }

  /** Messages that were overwritten before those who watch had them. */
  get lost(): number {
    return this.#lost;
  }

  /** Of the export; null: there is none. */
  get exported(): HepStatus | null {
    return this.#export?.status ?? null;
  }

  async close(): Promise<void> {
    this.#endTimer();
    await this.#export?.stop();
  }

  #endTimer(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  async recent(question: RecentQuestion): Promise<RecentAnswer> {
    const { filter, limit, live, form } = question;
    const place = live ? this.#lease(filter) : null;
    const toUs = this.#clock();
    const ends = this.#readers.map((reader) => reader.next);
    if (question.after === undefined) {
      const latest = live ? [] : await this.#latest(filter, ends, limit);
      return this.#answer(
        latest.map((record) => this.#records.message(record, toUs, form)),
        ends,
        0,
      );
    }
    const starts = this.#startsOf(question.after);
    let lost = 0;
    for (const [shard, reader] of this.#readers.entries()) {
      const missed = (reader.first - starts[shard]!) | 0;
      if (missed <= 0) continue;
      lost += missed;
      starts[shard] = reader.first;
    }
    const wanted = place === null ? await this.#wantedCalls(filter, ends) : bitOf(place);
    return await this.#take(starts, ends, wanted, limit, form, lost, toUs);
  }

  async calls({ filter, limit }: { filter: TraceQuestion; limit: number }): ReturnType<TraceOperations['calls']> {
    const toUs = this.#clock();
    const ends = this.#readers.map((reader) => reader.next);
    const wanted = await this.#wantedCalls(filter, ends);
    const calls: TracedCall[] = [];
    for (const [shard, reader] of this.#readers.entries()) {
      const latest = new LatestCalls(limit);
      const wants = (header: Int32Array) => isWanted(header, wanted) && latest.hasPlaceFor(header);
      for await (const record of backwards(reader, ends[shard]!, wants)) {
        latest.add(record.header, this.#records.message(record, toUs, 'none'));
      }
      calls.push(...latest.calls());
    }
    return { calls: calls.sort((a, b) => b.lastUs - a.lastUs).slice(0, limit), sample: this.#sample };
  }

  async pcap({ filter, limit }: { filter: TraceQuestion; limit: number }): Promise<{ base64: string }> {
    const toUs = this.#clock();
    const ends = this.#readers.map((reader) => reader.next);
    const records = await this.#latest(filter, ends, limit);
    const packets = records.map((record) => pcapRecord(this.#records.captured(record, toUs)));
    return { base64: Buffer.concat([pcapHeader(), ...packets]).toString('base64') };
  }

  status(): TraceStatus {
    const toUs = this.#clock();
    let messages = 0;
    let oldestUs: number | null = null;
    for (const reader of this.#readers) {
      const { first, next } = reader;
      messages += (next - first) | 0;
      const timeUs = reader.read(first)?.timeUs;
      if (timeUs !== undefined) oldestUs = Math.min(oldestUs ?? Infinity, Math.round(timeUs + toUs));
    }
    return {
      ringKiB: this.#memory.map.ringBytes / 1024,
      sample: this.#sample,
      messages,
      oldestUs,
      live: this.#leases.flatMap((lease) => (lease === null ? [] : [lease.question])),
      hep: this.exported,
    };
  }

  #answer(messages: readonly TracedMessage[], cursors: readonly number[], lost: number): RecentAnswer {
    this.#lost += lost;
    const after = [this.#run, ...cursors.map((cursor) => (cursor >>> 0).toString(36))].join('.');
    return { messages, after, lost, sample: this.#sample };
  }

  /** Of another run, all that is there comes after it. */
  #startsOf(after: string): number[] {
    const [run, ...cursors] = after.split('.');
    if (!/^[0-9a-z]+(?:\.[0-9a-z]{1,7})+$/.test(after)) {
      throw new RequestError(INVALID_PARAMS, 'after: is not what an answer has ended with');
    }
    if (run !== this.#run || cursors.length !== this.#readers.length)
      return this.#readers.map((reader) => reader.first);
    return cursors.map((cursor) => Number.parseInt(cursor, 36) | 0);
  }

  /** The next `limit` messages, in the order of their time, and how far each ring was read for them. */
  async #take(
    starts: readonly number[],
    ends: readonly number[],
    wanted: Wanted,
    limit: number,
    form: TextForm,
    alreadyLost: number,
    toUs: number,
  ): Promise<RecentAnswer> {
    let lost = alreadyLost;
    const found = this.#readers.map((): TraceRecord[] => []);
    const cursors = [...ends];
    for (const [shard, reader] of this.#readers.entries()) {
      for (let at = starts[shard]!, i = 1; ((ends[shard]! - at) | 0) > 0; at = (at + 1) | 0, i++) {
        if (i % PIECE === 0) await nextTurn();
        let isRefused = false;
        const record = reader.read(at, (header) => {
          isRefused = !isWanted(header, wanted);
          return !isRefused;
        });
        if (record === null) {
          if (!isRefused) lost++;
          continue;
        }
        if (found[shard]!.push(record) < limit) continue;
        cursors[shard] = (at + 1) | 0;
        break;
      }
    }
    return this.#answer(this.#inOrder(found, cursors, limit, form, toUs), cursors, lost);
  }

  /** Of what was found in each ring the next `limit` by their time; the cursor of a ring goes back to what was left there. Within a
   *  ring times can be a little out of order, and no message may be taken before one that is left. */
  #inOrder(
    found: readonly (readonly TraceRecord[])[],
    cursors: number[],
    limit: number,
    form: TextForm,
    toUs: number,
  ): TracedMessage[] {
    const taken: TraceRecord[] = [];
    const heads = found.map(() => 0);
    for (let bytes = 0; taken.length < limit && bytes < MAX_ANSWER_BYTES; ) {
      let earliest: TraceRecord | undefined;
      for (const [shard, records] of found.entries()) {
        const head = records[heads[shard]!];
        if (head !== undefined && (earliest === undefined || head.timeUs < earliest.timeUs)) earliest = head;
      }
      if (earliest === undefined) break;
      heads[earliest.shard]!++;
      bytes += earliest.bytes.length;
      taken.push(earliest);
    }
    for (const [shard, records] of found.entries()) {
      const left = records[heads[shard]!];
      if (left !== undefined) cursors[shard] = left.sequence;
    }
    return byTime(taken).map((record) => this.#records.message(record, toUs, form));
  }

  /** The last `limit` messages that are wanted, as many as fit into an answer, by their time. */
  async #latest(filter: TraceQuestion, ends: readonly number[], limit: number): Promise<readonly TraceRecord[]> {
    const wanted = await this.#wantedCalls(filter, ends);
    const found: TraceRecord[] = [];
    for (const [shard, reader] of this.#readers.entries()) {
      let count = 0;
      let bytes = 0;
      for await (const record of backwards(reader, ends[shard]!, (header) => isWanted(header, wanted))) {
        found.push(record);
        bytes += record.bytes.length;
        if (++count === limit || bytes > MAX_ANSWER_BYTES) break;
      }
    }
    return endOf(byTime(found).slice(-limit));
  }

  /** Which calls a filter is about, among what is there. A call is looked for by each of its messages. */
  async #wantedCalls(filter: TraceQuestion, ends: readonly number[]): Promise<Wanted> {
    const { callId, user, from } = filter;
    if (user === undefined && from === undefined) return callId === undefined ? EVERYTHING : [hashCallIdText(callId)];
    const block = from === undefined ? null : blockOf(from);
    const hash = callId === undefined ? null : hashCallIdText(callId);
    const calls = new Set<number>();
    for (const [shard, reader] of this.#readers.entries()) {
      for (let at = reader.first, i = 1; ((ends[shard]! - at) | 0) > 0; at = (at + 1) | 0, i++) {
        if (i % PIECE === 0) await nextTurn();
        const record = reader.read(at, (header) => {
          const call = header[RECORD.CALL_ID_WORD]!;
          return !isSent(header) && !calls.has(call) && (hash === null || hash === call);
        });
        if (record === null) continue;
        if (block !== null && !isFrom(record.header, block)) continue;
        if (user !== undefined && !isOfUser(record, user)) continue;
        calls.add(record.header[RECORD.CALL_ID_WORD]!);
      }
    }
    return calls;
  }

  /** The place of the live filter, which lives on for another while. */
  #lease(question: TraceQuestion): number {
    const key = JSON.stringify([question.callId, question.user, question.from]);
    const nowMs = performance.now();
    const there = this.#leases.findIndex((lease) => lease?.key === key);
    if (there >= 0) {
      this.#leases[there]!.untilMs = nowMs + LEASE_MS;
      return there;
    }
    const filter: TraceFilter = {
      callId: question.callId,
      user: question.user,
      source: question.from === undefined ? undefined : blockOf(question.from),
    };
    this.#endLeases(nowMs);
    const free = this.#leases.indexOf(null);
    if (free < 0) throw new RequestError(REFUSED, `${MAX_FILTERS} live traces are running already`);
    this.#leases[free] = { key, question, untilMs: nowMs + LEASE_MS };
    this.#board.set(free, filter);
    this.#timer ??= setInterval(() => this.#endLeases(performance.now()), LEASE_CHECK_MS).unref();
    return free;
  }

  #endLeases(nowMs: number): void {
    for (const [place, lease] of this.#leases.entries()) {
      if (lease === null || lease.untilMs > nowMs) continue;
      this.#leases[place] = null;
      this.#board.clear(place);
    }
    if (this.#leases.every((lease) => lease === null)) this.#endTimer();
  }
}

/** The records of a ring from `end` back to the oldest. */
async function* backwards(
  reader: TraceRingReader,
  end: number,
  wants: (header: Int32Array) => boolean,
): AsyncGenerator<TraceRecord> {
  const { first } = reader;
  for (let at = (end - 1) | 0, i = 1; ((at - first) | 0) >= 0; at = (at - 1) | 0, i++) {
    if (i % PIECE === 0) await nextTurn();
    const record = reader.read(at, wants);
    if (record !== null) yield record;
  }
}

/** Hashes of Call-IDs, bits of live filters, or everything. */
type Wanted = ReadonlySet<number> | readonly [callIdHash: number] | { readonly bits: number };

const EVERYTHING: Wanted = { bits: 0 };

function bitOf(place: number): Wanted {
  return { bits: 1 << place };
}

function isWanted(header: Int32Array, wanted: Wanted): boolean {
  const call = header[RECORD.CALL_ID_WORD]!;
  if (wanted instanceof Set) return wanted.has(call);
  if ('bits' in wanted) return wanted.bits === 0 || (header[RECORD.FLAGS_WORD]! & wanted.bits & FLAG.FILTERS) !== 0;
  return (wanted as readonly [number])[0] === call;
}

function isFrom(header: Int32Array, { family, bytes, prefixBits }: Cidr): boolean {
  if (header[RECORD.FAMILY_WORD] !== family) return false;
  const peer = new Uint8Array(header.buffer, RECORD.PEER_WORD * 4, bytes.length);
  return bytes.every((byte, i) => {
    const mask = 0xff00 >> Math.min(8, Math.max(0, prefixBits - i * 8));
    return ((byte ^ peer[i]!) & mask & 0xff) === 0;
  });
}

function isOfUser(record: TraceRecord, user: string): boolean {
  const { from, to, requestUri } = fieldsOf(Buffer.from(record.bytes).toString('latin1'));
  const users = [from, to, requestUri === null ? null : userOf(requestUri)];
  return users.some((other) => other !== null && isSameUser(other, user));
}

/** `asked` may leave the host out. */
function isSameUser(other: string, asked: string): boolean {
  const at = asked.lastIndexOf('@');
  if (at >= 0) return other === asked.slice(0, at + 1) + asked.slice(at + 1).toLowerCase();
  return other.slice(0, Math.max(0, other.lastIndexOf('@'))) === asked || other === `tel:${asked}`;
}

/** Throws a RequestError for what is none. */
function blockOf(text: string): Cidr {
  const block = parseCidr(text);
  if (typeof block === 'string') throw new RequestError(INVALID_PARAMS, `from: ${block}`);
  return block;
}

/** The last ones that fit into an answer. */
function endOf(records: readonly TraceRecord[]): readonly TraceRecord[] {
  let bytes = 0;
  let first = records.length;
  while (first > 0 && bytes < MAX_ANSWER_BYTES) bytes += records[--first]!.bytes.length;
  return records.slice(first);
}

function byTime(records: TraceRecord[]): TraceRecord[] {
  return records.sort((a, b) => a.timeUs - b.timeUs || (a.sequence - b.sequence) | 0);
}
