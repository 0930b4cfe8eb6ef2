/** Takes messages for the export out of the rings of the shards and gives them to a link as HEP packets, as fast as that takes them.
 *  The rings are the queue: what is overwritten before it was taken is dropped, and counted. Runs on the export thread; no shard ever
 *  waits for it. A message goes from the ring into its packet in one copy, and hardly anything is allocated. */

import { pastLineEnds } from '../../base/newline.ts';
import {
  EXPORT,
  FLAG,
  RECORD,
  RECORD_HEADER_BYTES,
  RECORD_HEADER_WORDS,
  ringWord,
  TRACE_RING,
  type TraceMemory,
  UNIT_BYTES,
} from '../../observe/trace/trace-layout.ts';
import { TraceRingReader } from '../../observe/trace/trace-ring.ts';
import { findCallId, foundCallIdEnd } from '../../sip/scan.ts';
import type { HepLink } from './hep-link.ts';
import { type HepAgent, HepEncoder, type HepMessage } from './hep-packet.ts';
import { mayHaveSecrets } from './secret-scan.ts';
import { callIdPlaceOf, isSent, latin1, RecordReader, type TraceReading } from './traced-message.ts';

/** Messages of one shard between two looks at the others. */
const MAX_ROUND = 256;

/** Between two looks at rings that nothing waits in. The less often, the more messages leave together; the more often, the less of a
 *  ring may have been written meanwhile: it is halved where that was more than a quarter, and doubled again below a sixteenth. */
const MAX_IDLE_MS = 16;
const MIN_IDLE_MS = 1;

interface RingPlace {
  readonly reader: TraceRingReader;
  cursor: number;
  /** How many messages for the export were taken or dropped. */
  accounted: number;
  /** As of the reader, at the last look. */
  claimed: number;
}

export class HepPump {
  readonly #memory: TraceMemory;
  readonly #records: RecordReader;
  readonly #encoder: HepEncoder;
  readonly #toUs: () => number;
  readonly #rings: readonly RingPlace[];
  /** In hand: a header, and what is made of its record. */
  readonly #header = new Int32Array(RECORD_HEADER_WORDS);
  readonly #peer4 = new Uint8Array(this.#header.buffer, RECORD.PEER_WORD * 4, 4);
  readonly #peer16 = new Uint8Array(this.#header.buffer, RECORD.PEER_WORD * 4, 16);
  readonly #message: HepMessage = {
    ...{ timeUs: 0, isStream: false, source: this.#peer4, sourcePort: 0, destination: this.#peer4, destinationPort: 0 },
    ...{ bytes: this.#peer4, start: 0, end: 0, callIdStart: -1, callIdEnd: -1 },
  };
  #idleMs = MAX_IDLE_MS;

  /** Begins with what is there, as the successor of a pump that died with what comes from now on: nobody knows how far that was.
   *  `toUs`: what makes a time of the records one since 1970. */
  constructor(memory: TraceMemory, reading: TraceReading, agent: HepAgent, toUs: () => number, isSuccessor = false) {
    this.#memory = memory;
    this.#records = new RecordReader(reading);
    this.#encoder = new HepEncoder(agent);
    this.#toUs = toUs;
    this.#rings = Array.from({ length: memory.map.shardCount }, (_, shard) => {
      const reader = new TraceRingReader(memory, shard);
      return {
        reader,
        cursor: isSuccessor ? reader.next : reader.first,
        accounted: isSuccessor ? memory.words[ringWord(memory.map, shard) + TRACE_RING.EXPORTED_WORD]! : 0,
        claimed: reader.claimed,
      };
    });
  }

  /** From now on. */
  useMaskHeaders(names: readonly string[]): void {
    this.#records.useMaskHeaders(names);
  }

  /** How long to wait after a round that has left nothing. */
  get idleMs(): number {
    return this.#idleMs;
  }

  /** One round. True: there may be more, and room for it. */
  pump(link: HepLink): boolean {
    const toUs = this.#toUs();
    let hasMore = false;
    for (const ring of this.#rings) hasMore = this.#pumpRing(ring, link, toUs) || hasMore;
    link.flush();
    this.#notePace();
    return hasMore && link.hasRoom;
  }

  #notePace(): void {
    let units = 0;
    for (const ring of this.#rings) {
      const { claimed } = ring.reader;
      units = Math.max(units, (claimed - ring.claimed) | 0);
      ring.claimed = claimed;
    }
    const share = (units * UNIT_BYTES) / this.#memory.map.ringBytes;
    if (share > 1 / 4) this.#idleMs = Math.max(MIN_IDLE_MS, this.#idleMs / 2);
    else if (share < 1 / 16) this.#idleMs = Math.min(MAX_IDLE_MS, this.#idleMs * 2);
  }

  #pumpRing(ring: RingPlace, link: HepLink, toUs: number): boolean {
    const { doubles, map } = this.#memory;
    const { reader } = ring;
    const header = this.#header;
    const { first, next } = reader;
    if (((first - ring.cursor) | 0) > 0) ring.cursor = first;
    for (let count = 0; ((next - ring.cursor) | 0) > 0; count++) {
      if (count === MAX_ROUND) return true;
      if (!link.hasRoom) link.flush();
      if (!link.hasRoom) return false;
      const sequence = ring.cursor;
      ring.cursor = (sequence + 1) | 0;
      const record = reader.readHeader(sequence, header);
      if (record === -1 || (header[RECORD.FLAGS_WORD]! & FLAG.IS_FOR_EXPORT) === 0) continue;
      this.#read(record, toUs);
      const end = this.#encoder.write(this.#message, link.area, link.next);
      if (!reader.isWhole(sequence)) continue;
      const ordinal = header[RECORD.EXPORT_WORD]!;
      doubles[map.exportDouble + EXPORT.DROPPED]! += (ordinal - ring.accounted) | 0;
      ring.accounted = (ordinal + 1) | 0;
      link.add(end);
    }
    return false;
  }

  /** Makes the record at `start`, whose header is in hand, the message in hand. It may be torn. */
  #read(start: number, toUs: number): void {
    const { words, bytes, doubles } = this.#memory;
    const records = this.#records;
    const header = this.#header;
    const message = this.#message;
    const own = records.ownEnd(header);
    const peer = header[RECORD.FAMILY_WORD] === 6 ? this.#peer16 : this.#peer4;
    const isOut = isSent(header);
    message.timeUs = Math.round(doubles[start / 8 + RECORD.TIME_DOUBLE]! + toUs);
    message.isStream = records.isStream(header);
    message.source = isOut ? own.address : peer;
    message.sourcePort = isOut ? own.port : header[RECORD.PORT_WORD]!;
    message.destination = isOut ? peer : own.address;
    message.destinationPort = isOut ? header[RECORD.PORT_WORD]! : own.port;
    const from = start + RECORD_HEADER_BYTES;
    const end = from + header[RECORD.KEPT_WORD]!;
    if (records.masksMore || mayHaveSecrets(bytes, words, from, end)) {
      this.#readMasked(bytes.slice(from, end));
      return;
    }
    message.bytes = bytes;
    message.start = from;
    message.end = end;
    const callId = findCallId(bytes, words, pastLineEnds(bytes, from, end), end, false);
    message.callIdStart = callId === 0 ? -1 : callId;
    message.callIdEnd = callId === 0 ? -1 : foundCallIdEnd;
  }

  #readMasked(raw: Uint8Array): void {
    const message = this.#message;
    const text = this.#records.masked(latin1(raw));
    const [start, end] = callIdPlaceOf(text) ?? [-1, -1];
    message.bytes = Buffer.from(text, 'latin1');
    message.start = 0;
    message.end = text.length;
    message.callIdStart = start;
    message.callIdEnd = end;
  }
}
