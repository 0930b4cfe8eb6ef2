/** Takes messages for the export out of the rings of the shards and gives them to a link as HEP packets, as fast as that takes them.
 *  The rings are the queue: what is overwritten before it was taken is dropped, and counted. Runs on the export thread, cold; no
 *  shard ever waits for it. */

import { EXPORT, FLAG, RECORD, ringWord, TRACE_RING, type TraceMemory } from '../../observe/trace/trace-layout.ts';
import { TraceRingReader } from '../../observe/trace/trace-ring.ts';
import type { HepLink } from './hep-link.ts';
import { type HepAgent, hepPacket } from './hep-packet.ts';
import { callIdOf, latin1, RecordReader, type TraceReading } from './traced-message.ts';

/** Messages of one shard between two looks at the others. */
const MAX_ROUND = 128;

interface RingPlace {
  readonly reader: TraceRingReader;
  cursor: number;
  /** How many messages for the export were taken or dropped. */
  accounted: number;
}

export class HepPump {
  readonly #memory: TraceMemory;
  readonly #records: RecordReader;
  readonly #agent: HepAgent;
  readonly #toUs: () => number;
  readonly #rings: readonly RingPlace[];

  /** Begins with what is there, as the successor of a pump that died with what comes from now on: nobody knows how far that was.
   *  `toUs`: what makes a time of the records one since 1970. */
  constructor(memory: TraceMemory, reading: TraceReading, agent: HepAgent, toUs: () => number, isSuccessor = false) {
    this.#memory = memory;
    this.#records = new RecordReader(reading);
    this.#agent = agent;
    this.#toUs = toUs;
    this.#rings = Array.from({ length: memory.map.shardCount }, (_, shard) => {
      const reader = new TraceRingReader(memory, shard);
      return {
        reader,
        cursor: isSuccessor ? reader.next : reader.first,
        accounted: isSuccessor ? memory.words[ringWord(memory.map, shard) + TRACE_RING.EXPORTED_WORD]! : 0,
      };
    });
  }

  /** From now on. */
  useMaskHeaders(names: readonly string[]): void {
    this.#records.useMaskHeaders(names);
  }

  /** One round. True: there may be more, and room for it. */
  pump(link: HepLink): boolean {
    let hasMore = false;
    for (const ring of this.#rings) hasMore = this.#pumpRing(ring, link) || hasMore;
    return hasMore && link.hasRoom;
  }

  #pumpRing(ring: RingPlace, link: HepLink): boolean {
    const { reader } = ring;
    const { first, next } = reader;
    if (((first - ring.cursor) | 0) > 0) ring.cursor = first;
    for (let count = 0; ((next - ring.cursor) | 0) > 0; count++) {
      if (count === MAX_ROUND) return true;
      if (!link.hasRoom) return false;
      const record = reader.read(ring.cursor, (header) => (header[RECORD.FLAGS_WORD]! & FLAG.IS_FOR_EXPORT) !== 0);
      ring.cursor = (ring.cursor + 1) | 0;
      if (record === null) continue;
      const ordinal = record.header[RECORD.EXPORT_WORD]!;
      this.#memory.doubles[this.#memory.map.exportDouble + EXPORT.DROPPED]! += (ordinal - ring.accounted) | 0;
      ring.accounted = (ordinal + 1) | 0;
      const captured = this.#records.captured(record, this.#toUs());
      const callId = callIdOf(latin1(captured.bytes));
      link.send(hepPacket(captured, this.#records.isStream(record.header), callId, this.#agent));
    }
    return false;
  }
}
