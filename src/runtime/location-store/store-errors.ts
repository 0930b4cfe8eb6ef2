/** What is wrong with a store, in a line for the operator. Any thread; cold. */

import { statfsSync } from 'node:fs';

/** What LMDB says of a file that is not sound. */
const DAMAGE_CODES: ReadonlySet<number | string> = new Set([
  -30_797, // MDB_PAGE_NOTFOUND
  -30_796, // MDB_CORRUPTED
  -30_795, // MDB_PANIC
  -30_794, // MDB_VERSION_MISMATCH
  -30_793, // MDB_INVALID
]);

const LITTLE_SPACE_BYTES = 1024 * 1024;

/** True if the file itself is to blame, and a new one would do. */
export function isDamage(error: unknown): boolean {
  return DAMAGE_CODES.has((error as { code?: number | string }).code ?? '');
}

/** The error in words; where the disk is full, that: LMDB calls a short write an input/output error. */
export function reasonOf(error: unknown, directory: string): string {
  const { message = String(error) } = error as Partial<Error>;
  return isDiskFull(directory) ? `the disk is full (${message})` : message;
}

function isDiskFull(directory: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(directory);
    return bavail * bsize < LITTLE_SPACE_BYTES;
  } catch {
    return false; // no such directory: that is the error then
  }
}
