/** What store-reader.ts says, and try-store.ts understands.
 *
 *  ```
 *  stdout, per record: word 0 bytes of the AoR | 1 bytes of the stored record | the AoR, the record, each padded to words
 *  stderr, per line: a STEP, or a PROBLEM and its text
 *  ``` */

export const FRAME_WORDS = 2;

/** READ: all that there is was read and is sound. WRITTEN: it can be written to. */
export const STEP = { READ: 'read', WRITTEN: 'written' } as const;

/** VERSION: of another version. DAMAGE: not sound. OTHER: the system says no. */
export const PROBLEM = { VERSION: 'version', DAMAGE: 'damage', OTHER: 'other' } as const;
