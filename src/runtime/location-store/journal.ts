/** The journal before the store: what has changed goes to the end of a file, all of a group commit by one write, and counts as
 *  committed; into the LMDB file it is folded seconds later, many changes at once, and once where an AoR changed often. An LMDB
 *  commit rewrites a page of 4 KiB for each AoR, three hundred bytes of journal do as well. Store thread; cold beside the path of
 *  a message, warm under a load of REGISTER requests.
 *
 *  ```
 *  location-N.journal   entries, back to back; N grows
 *  entry  word 0 check of the rest | 1 bytes of the AoR | 2 words of the record, 0: the AoR is gone
 *         3… the AoR, padded with zeros; the record (location/stored-record.ts)
 *  ```
 *  Segments are read from the oldest to the newest, and the last word on an AoR is what holds. The end of a segment may be torn by
 *  the death of its writer: what does not check was acknowledged to nobody. A segment goes once all it told of is in LMDB; what
 *  is folded is what the AoR has then, never older than what the segment says.
 *
 *  A write ends in the page cache, which outlives the process however that dies. */

import { closeSync, fdatasyncSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { hashBytes } from '../../base/hash.ts';
import { MAX_STORED_WORDS } from '../../location/stored-record.ts';
import { MAX_AOR_BYTES } from '../../location/table-layout.ts';

/** A segment is followed by the next one beyond this, or after so long. */
const SEGMENT_BYTES = 128 * 1024 * 1024;
const SEGMENT_MS = 10_000;
const SEGMENT_AORS = 262_144;

const NAME = /^location-(\d+)\.journal$/;
const HEADER_WORDS = 3;
const CHECK_SEED = 0x6a6f7572; // "jour"
const MAX_ENTRY_WORDS = HEADER_WORDS + ((MAX_AOR_BYTES + 3) >> 2) + MAX_STORED_WORDS;
/** Entries gather here for one write; more make several. */
const BUFFER_WORDS = 4 * MAX_ENTRY_WORDS;

function segmentsIn(directory: string): number[] {
  const numbers = readdirSync(directory).flatMap((name) => NAME.exec(name)?.[1] ?? []);
  return numbers.map(Number).sort((a, b) => a - b);
}

function segmentFile(directory: string, number: number): string {
  return join(directory, `location-${number}.journal`);
}

/** Removes all segments: for when LMDB has everything. */
export function removeSegments(directory: string): void {
  for (const number of segmentsIn(directory)) rmSync(segmentFile(directory, number), { force: true });
}

export class Journal {
  readonly #directory: string;
  readonly #sync: boolean;
  readonly #words = new Int32Array(new SharedArrayBuffer(BUFFER_WORDS * 4));
  readonly #bytes = Buffer.from(this.#words.buffer);
  #length = 0;
  #fd: number;
  #number: number;
  #segmentBytes = 0;
  #segmentMs: number;
  /** AoRs that the segment being written tells of, as latin-1. */
  #changed = new Set<string>();
  /** Those of the segments before, as far as they are not folded. */
  #folding: string[] = [];

  /** Begins a segment behind those that are there. `unfolded`: the AoRs that those tell of. Throws what the file system throws. */
  constructor(directory: string, sync: boolean, unfolded: Iterable<string>, nowMs: number) {
    this.#directory = directory;
    this.#sync = sync;
    this.#folding = [...unfolded].sort().reverse();
    this.#number = (segmentsIn(directory).at(-1) ?? 0) + 1;
    this.#fd = openSync(segmentFile(directory, this.#number), 'wx', 0o600);
    this.#segmentMs = nowMs;
  }

  /** Writes all that `write` puts and removes. Throws if it cannot be written whole; then nothing counts as written. */
  transaction(write: () => void): void {
    this.#length = 0;
    write();
    this.#flush();
    if (this.#sync) fdatasyncSync(this.#fd);
  }

  /** In a transaction. Key and record are copied. `name`: the AoR once more, in latin-1. */
  put(aor: Uint8Array, record: Uint8Array, name: string): void {
    this.#append(aor, record, name);
  }

  /** In a transaction. */
  remove(aor: Uint8Array, name: string): void {
    this.#append(aor, null, name);
  }

  /** Up to `limit` AoRs to be folded now, in the order of their bytes; none: nothing is due. */
  takeDue(limit: number, nowMs: number): string[] {
    if (this.#folding.length === 0 && this.#isSegmentOver(nowMs)) this.#nextSegment(nowMs);
    return this.#folding.splice(Math.max(0, this.#folding.length - limit)).reverse();
  }

  /** What was taken last is in LMDB. */
  folded(): void {
    if (this.#folding.length > 0) return;
    for (const number of segmentsIn(this.#directory)) {
      if (number < this.#number) rmSync(segmentFile(this.#directory, number), { force: true });
    }
  }

  /** Makes everything due: before the end. */
  finishSegment(nowMs: number): void {
    if (this.#changed.size === 0) return;
    const before = this.#folding;
    this.#nextSegment(nowMs);
    this.#folding = [...new Set([...this.#folding, ...before])].sort().reverse();
  }

  /** `isHeld`: its segments stay, for another process. */
  close(isHeld = false): void {
    closeSync(this.#fd);
    if (isHeld) return;
    // Nothing was written since what there was is folded.
    if (this.#folding.length === 0 && this.#changed.size === 0) removeSegments(this.#directory);
  }

  #isSegmentOver(nowMs: number): boolean {
    if (this.#changed.size === 0) return false;
    return (
      nowMs - this.#segmentMs >= SEGMENT_MS || this.#segmentBytes >= SEGMENT_BYTES || this.#changed.size >= SEGMENT_AORS
    );
  }

  #nextSegment(nowMs: number): void {
    const fd = openSync(segmentFile(this.#directory, this.#number + 1), 'wx', 0o600);
    closeSync(this.#fd);
    this.#fd = fd;
    this.#number++;
    this.#segmentBytes = 0;
    this.#segmentMs = nowMs;
    this.#folding = [...this.#changed].sort().reverse();
    this.#changed = new Set();
  }

  #append(aor: Uint8Array, record: Uint8Array | null, name: string): void {
    if (this.#length + MAX_ENTRY_WORDS > BUFFER_WORDS) this.#flush();
    const words = this.#words;
    const at = this.#length;
    const aorWords = (aor.length + 3) >> 2;
    const recordWords = record === null ? 0 : record.length >> 2;
    const aorWord = at + HEADER_WORDS;
    const end = aorWord + aorWords + recordWords;
    words[at + 1] = aor.length;
    words[at + 2] = recordWords;
    if (aorWords > 0) words[aorWord + aorWords - 1] = 0;
    this.#bytes.set(aor, aorWord * 4);
    if (record !== null) this.#bytes.set(record, (aorWord + aorWords) * 4);
    words[at] = hashBytes(words, (at + 1) * 4, end * 4, CHECK_SEED);
    this.#length = end;
    this.#changed.add(name);
  }

  #flush(): void {
    for (let from = 0, end = this.#length * 4; from < end; ) {
      // It throws where nothing could be written; part of it on a disk that has just become full.
      from += writeSync(this.#fd, this.#bytes, from, end - from);
    }
    this.#segmentBytes += this.#length * 4;
    this.#length = 0;
  }
}

/** What the segments of a directory say of an AoR at last. */
export interface Journaled {
  /** Where the record is: `count` words of `words` from `at` on, and a word more behind it. */
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly at: number;
  /** 0: the AoR is gone. */
  readonly count: number;
}

/** Reads all segments of a directory: AoR, as latin-1, → the last word on it. What is torn or damaged is left out, and so is what
 *  stands behind it in its segment. Throws what the file system throws. */
export function readJournal(directory: string): Map<string, Journaled> {
  const found = new Map<string, Journaled>();
  for (const number of segmentsIn(directory)) readSegment(segmentFile(directory, number), found);
  return found;
}

function readSegment(path: string, found: Map<string, Journaled>): void {
  const file = readFileSync(path);
  const length = file.length >> 2;
  // Hashes and imports read a word ahead.
  const words = new Int32Array(new SharedArrayBuffer((length + 2) * 4));
  const bytes = Buffer.from(words.buffer);
  bytes.set(file.subarray(0, length * 4));
  for (let at = 0; at + HEADER_WORDS <= length; ) {
    const aorBytes = words[at + 1]!;
    const count = words[at + 2]!;
    if (aorBytes < 1 || aorBytes > MAX_AOR_BYTES || count < 0 || count > MAX_STORED_WORDS) return;
    const aorAt = at + HEADER_WORDS;
    const recordAt = aorAt + ((aorBytes + 3) >> 2);
    const end = recordAt + count;
    if (end > length || words[at] !== hashBytes(words, (at + 1) * 4, end * 4, CHECK_SEED)) return;
    const aor = bytes.toString('latin1', aorAt * 4, aorAt * 4 + aorBytes);
    // Behind those that came before: what is put back first has room if not all have.
    found.delete(aor);
    found.set(aor, { words, at: recordAt, count });
    at = end;
  }
}
