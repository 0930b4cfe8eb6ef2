/** The key that signs flow tokens (RFC 5626 5.2). It is kept beside the bindings, because the dialogs of clients outlive a restart:
 *  what their Routes say has to be believed by the next process, too. Main thread, cold. */

import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SIPHASH_KEY_WORDS } from '../auth/siphash.ts';

const SECRET_BYTES = 32;
const FILE = 'flow-key';

/** The key of the file in `directory`, which is made if it is not there; null: a key of this process alone. */
export function flowKeyIn(directory: string | null): Int32Array {
  return keyOf(directory === null ? randomBytes(SECRET_BYTES) : readOrMake(directory));
}

/** Any key as words. */
export function keyOf(secret: Uint8Array): Int32Array {
  const digest = createHash('sha256').update('flow tokens').update(secret).digest();
  return Int32Array.from({ length: SIPHASH_KEY_WORDS }, (_, word) => digest.readInt32LE(word * 4));
}

function readOrMake(directory: string): Uint8Array {
  const path = join(directory, FILE);
  const known = readSecret(path);
  if (known !== null) return known;
  const secret = randomBytes(SECRET_BYTES);
  mkdirSync(directory, { recursive: true });
  // Whole or not at all, and for nobody else to read.
  writeFileSync(`${path}.${process.pid}`, secret, { mode: 0o600 });
  renameSync(`${path}.${process.pid}`, path);
  return secret;
}

function readSecret(path: string): Uint8Array | null {
  try {
    const secret = readFileSync(path);
    return secret.length === SECRET_BYTES ? secret : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
