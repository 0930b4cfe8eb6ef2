/** The LMDB file that holds the stored records (location/stored-record.ts), each under its AoR. For the store thread and the
 *  processes that try a file (try-store.ts); cold beside the path of a message.
 *
 *  LMDB trusts its pages: a damaged file, or one that cannot be made on a full disk, may end the process by a signal while it
 *  is opened. So nothing here is opened in the server before another process has done the same with it and come through.
 *
 *  A commit is written to the page cache, data before the page that points to them, so it outlives the process however that
 *  dies. With `sync` it is on the disk as well before `commit` returns. */

import { closeSync, fsyncSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import { STORED_VERSION } from '../../location/stored-record.ts';

/** Below every AoR, and above FORMAT_KEY: no AoR begins with a zero byte. */
export const FIRST_AOR: Buffer = Buffer.from([1]);
const FORMAT_KEY = Buffer.from('\0format');
const FORMAT = `strowger location ${STORED_VERSION}`;

/** The store is of another version of this program, or of another one. */
export class StoreVersionError extends Error {
  override name = 'StoreVersionError';
}

export interface StoreOptions {
  /** On the disk before it counts as committed. */
  readonly sync: boolean;
  readonly isReadOnly?: boolean;
}

/** Shown every record of a store, key first, as spans that are valid until it returns: so a million cost no memory. */
export interface RecordVisitor {
  key(bytes: Uint8Array, start: number, end: number): void;
  record(bytes: Uint8Array, length: number): void;
}

export function storeFile(directory: string): string {
  return join(directory, 'location.mdb');
}

/** Beside the file, made by LMDB: who reads, and a mutex for who writes. Worthless when nobody has the file open. */
export function readersFile(directory: string): string {
  return `${storeFile(directory)}-lock`;
}

export class RecordStore {
  readonly #path: string;
  readonly #sync: boolean;
  readonly #db: RootDatabase<Buffer, Buffer>;
  readonly #fileId: string;
  /** While `visit` is at it, keys and records are shown instead of copied. */
  #visitor: RecordVisitor | null = null;

  /** Opens the store of a directory, and makes it if it is not there. Throws what LMDB throws (`code`: errno or MDB_…), and
   *  StoreVersionError. */
  constructor(directory: string, { sync, isReadOnly = false }: StoreOptions) {
    this.#path = storeFile(directory);
    this.#sync = sync;
    this.#db = open<Buffer, Buffer>(this.#path, {
      keyEncoder: {
        writeKey: (key: Uint8Array, target: Uint8Array, start: number) => {
          target.set(key, start);
          return start + key.length;
        },
        readKey: (bytes: Uint8Array, start: number, end: number) => this.#readKey(bytes, start, end),
      },
      encoder: {
        encode: (record: Buffer) => record,
        // Of lmdb's own reused buffer, whose `length` says how much of it there is.
        decode: (bytes: Uint8Array, length = bytes.length) => this.#readRecord(bytes, length),
      },
      noSync: !sync,
      overlappingSync: false,
      readOnly: isReadOnly,
      maxDbs: 1,
    });
    this.#fileId = fileId(this.#path);
    try {
      this.#checkFormat(isReadOnly);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Carries out all that `write` puts and removes, or nothing of it if it throws. Throws if it cannot be committed: also where
   *  a put or a removal failed, which spoils its transaction. */
  transaction(write: () => void): void {
    this.#db.transactionSync(write);
  }

  /** In a transaction. Key and value are copied. */
  put(aor: Buffer, record: Buffer): void {
    this.#db.putSync(aor, record);
  }

  /** In a transaction. True if there was one. */
  remove(aor: Buffer): boolean {
    return this.#db.removeSync(aor);
  }

  /** The stored record of an AoR; a copy. */
  get(aor: Buffer): Buffer | undefined {
    return this.#db.get(aor);
  }

  /** Up to `limit` AoRs in the order of their bytes, from `from` on. Copies. */
  aors(from: Buffer, limit: number): Buffer[] {
    return [...this.#db.getKeys({ start: from, limit })];
  }

  /** Shows every AoR with its record. */
  visit(visitor: RecordVisitor): void {
    this.#visitor = visitor;
    const records = this.#db.getRange({ start: FIRST_AOR })[Symbol.iterator]();
    while (records.next().done !== true);
    this.#visitor = null;
  }

  /** Writes what need not be written, to see whether it can be. */
  writeOnTrial(): void {
    this.#db.transactionSync(() => this.#db.putSync(FORMAT_KEY, Buffer.from(FORMAT)));
  }

  /** False if the file was removed, or another one put in its place, since it was opened. */
  isInPlace(): boolean {
    try {
      return fileId(this.#path) === this.#fileId;
    } catch {
      return false; // it is not there
    }
  }

  /** Nothing is on its way, as every transaction has ended. What was not synced is now, as far as it can be. */
  close(): void {
    if (!this.#sync) syncFile(this.#path);
    void this.#db.close();
  }

  #readKey(bytes: Uint8Array, start: number, end: number): Buffer {
    if (this.#visitor === null) return Buffer.from(bytes.subarray(start, end));
    this.#visitor.key(bytes, start, end);
    return FIRST_AOR;
  }

  #readRecord(bytes: Uint8Array, length: number): Buffer {
    if (this.#visitor === null) return Buffer.from(bytes.subarray(0, length));
    this.#visitor.record(bytes, length);
    return FIRST_AOR;
  }

  #checkFormat(isReadOnly: boolean): void {
    const format = this.#db.get(FORMAT_KEY)?.toString();
    if (format === FORMAT) return;
    if (format !== undefined) throw new StoreVersionError(`it says "${format.slice(0, 40)}", not "${FORMAT}"`);
    if (this.#db.getKeysCount({ limit: 1 }) > 0) throw new StoreVersionError('it does not say what it is');
    if (!isReadOnly) this.writeOnTrial();
  }
}

function fileId(path: string): string {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
}

function syncFile(path: string): void {
  try {
    const fd = openSync(path, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // Only a power failure would have told the difference, and there is nobody left who could do better.
  }
}
