import { mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RecordStore, storeFile } from '../../src/runtime/location-store/record-store.ts';
import { INBOX_BYTES, loadFrom, probe, TRIAL, verdictOf } from '../../src/runtime/location-store/try-store.ts';
import { makeDirectory } from './store-world.ts';

let directory: string;
let remove: () => void;
beforeEach(() => {
  ({ path: directory, remove } = makeDirectory());
});
afterEach(() => remove());

const RECORDS = 3000;

function fill(): void {
  const store = new RecordStore(directory, { sync: false });
  store.transaction(() => {
    for (let i = 0; i < RECORDS; i++) store.put(Buffer.from(`sip:${i}@b`), recordOf(i));
    // Of no whole words, of none, and the longest there is.
    store.put(Buffer.from('sip:odd@b'), Buffer.from('12345'));
    store.put(Buffer.from('sip:empty@b'), Buffer.alloc(0));
    store.put(Buffer.from('sip:long@b'), Buffer.alloc(65_536, 'z'));
  });
  store.close();
}

function recordOf(number: number): Buffer {
  return Buffer.alloc(4 * (1 + (number % 90)), String(number));
}

/** Every record that arrives. */
async function load() {
  const buffer = new SharedArrayBuffer(INBOX_BYTES);
  const inbox = new Uint8Array(buffer);
  const records = new Map<string, string>();
  const { outcome, reason } = await loadFrom(directory, inbox, (start, aorBytes, word, count) => {
    const aor = Buffer.from(inbox.slice(start, start + aorBytes)).toString();
    records.set(aor, Buffer.from(inbox.slice(word * 4, (word + count) * 4)).toString());
  });
  return { outcome, reason, records };
}

describe('a sound store', () => {
  it('is read record by record, and can be written', async () => {
    fill();
    const { outcome, records } = await load();
    expect(outcome).toBe(TRIAL.GOOD);
    expect(records.size).toBe(RECORDS + 3);
    for (let i = 0; i < RECORDS; i++) expect(records.get(`sip:${i}@b`)).toBe(recordOf(i).toString());
    expect(records.get('sip:odd@b')).toBe('');
    expect(records.get('sip:empty@b')).toBe('');
    expect(records.get('sip:long@b')).toBe('z'.repeat(65_536));
  });

  it('is made where there is none', async () => {
    expect(await load()).toMatchObject({ outcome: TRIAL.GOOD, records: new Map() });
    expect(probe(directory)).toEqual({ outcome: TRIAL.GOOD, reason: '' });
  });
});

describe('a store that would end the process which opens it', () => {
  const damages: Record<string, () => void> = {
    garbage: () => writeFileSync(storeFile(directory), Buffer.alloc(100_000, 7)),
    zeros: () => writeFileSync(storeFile(directory), Buffer.alloc(100_000)),
    'a few bytes': () => writeFileSync(storeFile(directory), 'abc'),
    'one that was cut off': () => truncateSync(storeFile(directory), 100_000),
    'garbage behind the first pages': () => {
      writeFileSync(storeFile(directory), readFileSync(storeFile(directory)).fill(0xa5, 8192));
    },
  };

  it.each(Object.keys(damages))('is known by another process: %s', async (damage) => {
    fill();
    damages[damage]!();
    const { outcome, reason, records } = await load();
    expect(outcome, reason).toBe(TRIAL.DAMAGED);
    expect(reason).not.toBe('');
    expect(records.size).toBeLessThan(RECORDS);
  });

  it('or says why it cannot be opened, and is left alone', async () => {
    mkdirSync(storeFile(directory));
    expect(await load()).toMatchObject({ outcome: TRIAL.UNREADABLE, reason: expect.stringContaining('directory') });
    writeFileSync(join(directory, 'file'), '');
    expect(probe(join(directory, 'file', 'store'))).toMatchObject({ outcome: TRIAL.READ_ONLY });
  });
});

describe('the verdict', () => {
  it.each([
    { said: 'read\nwritten\n', end: 'ended with 0', outcome: TRIAL.GOOD },
    { said: 'read\n', end: 'ended with 0', outcome: TRIAL.GOOD },
    { said: 'warning\nread\n', end: 'was ended by SIGBUS', outcome: TRIAL.READ_ONLY },
    { said: 'read\nother No space left on device\n', end: 'ended with 1', outcome: TRIAL.READ_ONLY },
    { said: 'other Permission denied\n', end: 'ended with 1', outcome: TRIAL.UNREADABLE },
    { said: 'damage MDB_CORRUPTED\n', end: 'ended with 1', outcome: TRIAL.DAMAGED },
    { said: 'version it says 2\n', end: 'ended with 1', outcome: TRIAL.VERSION },
    { said: '', end: 'was ended by SIGSEGV', outcome: TRIAL.DAMAGED },
    { said: '', end: 'ended with 9', outcome: TRIAL.UNREADABLE },
    { said: '', end: 'spawn node ENOENT', outcome: TRIAL.UNREADABLE },
  ])('on $said, $end', ({ said, end, outcome }) => {
    expect(verdictOf(said, end).outcome).toBe(outcome);
  });
});
