/** Has another process read a store and try to write to it (store-reader.ts), and takes the records from it. Store thread,
 *  cold: at the start, and before a store that failed is opened again. */

import { spawn, spawnSync } from 'node:child_process';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert } from '../../base/assert.ts';
import { MAX_STORED_WORDS } from '../../location/stored-record.ts';
import { FRAME_WORDS, PROBLEM, STEP } from './store-frames.ts';

/** What a trial came to. GOOD: can be read and written. DAMAGED, VERSION: to be moved aside. UNREADABLE: the system says no, and
 *  no record is to be had. READ_ONLY: all records were read, but nothing can be written. */
export const TRIAL = { GOOD: 0, DAMAGED: 1, VERSION: 2, UNREADABLE: 3, READ_ONLY: 4 } as const;

export interface Trial {
  readonly outcome: (typeof TRIAL)[keyof typeof TRIAL];
  /** What is wrong, in words; empty where nothing is. */
  readonly reason: string;
}

/** A record that has arrived: bytes and words of the inbox, valid until it returns. One that is no whole number of words is
 *  given as none. */
export type TakeRecord = (aorStart: number, aorBytes: number, recordWord: number, recordWords: number) => void;

/** Room for what arrives: the largest frame, and a good deal of what comes behind it. */
export const INBOX_BYTES = 2 * MAX_STORED_WORDS * 4 + 512 * 1024;

/** Reads all records of the directory's store, `take` each, and tries to write. `inbox` is where they arrive, INBOX_BYTES of
 *  it. Throws what `take` throws. */
export async function loadFrom(
  directory: string,
  inbox: Uint8Array<SharedArrayBuffer>,
  take: TakeRecord,
): Promise<Trial> {
  const child = spawn(process.execPath, [readerFile(), directory, 'load'], { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(signal === null ? `ended with ${code}` : `was ended by ${signal}`));
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const frames = new Frames(inbox, take);
  try {
    for await (const chunk of child.stdout) {
      if (!frames.push(chunk as Buffer))
        return { outcome: TRIAL.DAMAGED, reason: 'a record is larger than any can be' };
    }
  } finally {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
  }
  return verdictOf(said, await ended);
}

/** As `loadFrom`, without reading: whether the store can be opened for writing, or made. Blocks. */
export function probe(directory: string): Trial {
  const { stderr, error, signal, status } = spawnSync(process.execPath, [readerFile(), directory, 'probe'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
  });
  const end = error?.message ?? (signal === null ? `ended with ${status}` : `was ended by ${signal}`);
  return verdictOf(stderr ?? '', end);
}

/** From what the reader said, line by line, and how it ended. Exported for tests. */
export function verdictOf(said: string, end: string): Trial {
  const lines = said.split('\n').map((line) => line.trim());
  // Under load, the last line was seen to be missing; the reader ends with 0 only after it.
  if (lines.includes(STEP.WRITTEN) || end === 'ended with 0') return { outcome: TRIAL.GOOD, reason: '' };
  const wasRead = lines.includes(STEP.READ);
  for (const line of lines) {
    const [problem, ...words] = line.split(' ');
    const reason = words.join(' ');
    if (problem === PROBLEM.VERSION) return { outcome: TRIAL.VERSION, reason };
    if (problem === PROBLEM.DAMAGE) return { outcome: TRIAL.DAMAGED, reason };
    if (problem === PROBLEM.OTHER) return { outcome: wasRead ? TRIAL.READ_ONLY : TRIAL.UNREADABLE, reason };
  }
  const reason = `the process that tried it ${end}`;
  if (wasRead) return { outcome: TRIAL.READ_ONLY, reason };
  // Without a word: LMDB has run into what is not there. Everything else would have been said.
  return { outcome: end.startsWith('was ended by') ? TRIAL.DAMAGED : TRIAL.UNREADABLE, reason };
}

/** Puts frames together from the pieces they arrive in. */
class Frames {
  readonly #inbox: Uint8Array<SharedArrayBuffer>;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #take: TakeRecord;
  #length = 0;

  constructor(inbox: Uint8Array<SharedArrayBuffer>, take: TakeRecord) {
    this.#inbox = inbox;
    this.#words = new Int32Array(inbox.buffer, inbox.byteOffset, inbox.length >> 2);
    this.#take = take;
  }

  /** False: a frame is larger than any can be. */
  push(chunk: Uint8Array): boolean {
    for (let at = 0; at < chunk.length; ) {
      const count = Math.min(chunk.length - at, this.#inbox.length - this.#length);
      if (count === 0) return false;
      this.#inbox.set(chunk.subarray(at, at + count), this.#length);
      this.#length += count;
      at += count;
      this.#takeWhole();
    }
    return true;
  }

  #takeWhole(): void {
    let word = 0;
    for (;;) {
      const left = (this.#length >> 2) - word;
      if (left < FRAME_WORDS) break;
      const aorBytes = this.#words[word]!;
      const recordBytes = this.#words[word + 1]!;
      assert(aorBytes >= 0 && recordBytes >= 0, 'not what store-reader.ts writes');
      const aorWords = (aorBytes + 3) >> 2;
      const recordWords = (recordBytes + 3) >> 2;
      if (left < FRAME_WORDS + aorWords + recordWords) break;
      this.#take(
        (word + FRAME_WORDS) * 4,
        aorBytes,
        word + FRAME_WORDS + aorWords,
        (recordBytes & 3) === 0 ? recordWords : 0,
      );
      word += FRAME_WORDS + aorWords + recordWords;
    }
    this.#inbox.copyWithin(0, word * 4, this.#length);
    this.#length -= word * 4;
  }
}

function readerFile(): string {
  return fileURLToPath(new URL(`./store-reader${extname(import.meta.url)}`, import.meta.url));
}
