/** The journal before the store: what was committed is read back, the last word on each AoR, whatever the end of a file looks
 *  like; and what is folded goes. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { Journal, readJournal, removeSegments } from '../../src/runtime/location-store/journal.ts';

const root = mkdtempSync(join(tmpdir(), 'strowger-journal-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folders = 0;
function folder(): string {
  return mkdtempSync(join(root, `${folders++}-`));
}

/** A record of whole words. */
function recordOf(text: string): Buffer {
  return Buffer.from(text.padEnd(Math.ceil(text.length / 4) * 4));
}

/** AoR → record as text, null for one that is gone. */
type Contents = Record<string, string | null>;

function write(journal: Journal, contents: Contents): void {
  journal.transaction(() => {
    for (const [aor, record] of Object.entries(contents)) {
      if (record === null) journal.remove(Buffer.from(aor, 'latin1'), aor);
      else journal.put(Buffer.from(aor, 'latin1'), recordOf(record), aor);
    }
  });
}

function read(directory: string): Contents {
  const found = [...readJournal(directory)].map(([aor, { words, at, count }]): [string, string | null] => {
    const text = Buffer.from(words.buffer, at * 4, count * 4).toString('latin1');
    return [aor, count === 0 ? null : text.trimEnd()];
  });
  return Object.fromEntries(found);
}

function segments(directory: string): string[] {
  return readdirSync(directory).sort();
}

describe('a journal', () => {
  it('gives back the last word on each AoR', () => {
    const directory = folder();
    const journal = new Journal(directory, false, [], 0);
    write(journal, { 'sip:a@b': 'one', 'sip:c@d': 'two' });
    write(journal, { 'sip:a@b': 'three', 'sip:c@d': null, 'sip:\xe9@f': 'four' });
    // As if the process had died: it is not closed.
    expect(read(directory)).toEqual({ 'sip:a@b': 'three', 'sip:c@d': null, 'sip:\xe9@f': 'four' });
  });

  it('goes on in a segment of its own after a death, and the newer one counts', () => {
    const directory = folder();
    write(new Journal(directory, false, [], 0), { a: 'old', b: 'kept' });
    write(new Journal(directory, true, ['a', 'b'], 0), { a: 'new' });
    expect(segments(directory)).toEqual(['location-1.journal', 'location-2.journal']);
    expect(read(directory)).toEqual({ b: 'kept', a: 'new' });
  });

  it('writes what is more than its buffer holds', () => {
    const directory = folder();
    const record = 'x'.repeat(60_000);
    const contents = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`sip:${i}@b`, record]));
    write(new Journal(directory, false, [], 0), contents);
    expect(read(directory)).toEqual(contents);
  });

  it('is read up to where it is torn, wherever that is', () => {
    const directory = folder();
    const journal = new Journal(directory, false, [], 0);
    write(journal, { a: 'one', b: 'two', c: 'six' });
    const file = join(directory, 'location-1.journal');
    const whole = readFileSync(file);
    const entry = whole.length / 3;
    for (let length = whole.length - 1; length >= 0; length--) {
      truncateSync(file, length);
      expect(Object.keys(read(directory))).toEqual(['a', 'b', 'c'].slice(0, Math.floor(length / entry)));
    }
  });

  it('does not believe an entry with any bit changed', () => {
    const directory = folder();
    const journal = new Journal(directory, false, [], 0);
    write(journal, { 'sip:a@b': 'one', 'sip:c@d': 'two' });
    const file = join(directory, 'location-1.journal');
    const whole = readFileSync(file);
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const changed = Buffer.from(whole);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      writeFileSync(file, changed);
      const isFirst = bit < whole.length * 4;
      expect(read(directory), `bit ${bit}`).toEqual(isFirst ? {} : { 'sip:a@b': 'one' });
    }
  });

  it('reads any bytes without a throw', () => {
    const directory = folder();
    const file = join(directory, 'location-7.journal');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        writeFileSync(file, bytes);
        expect(readJournal(directory).size).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});

describe('what is to be folded', () => {
  it('is due ten seconds after its segment began, in the order of the AoRs, and then the segment goes', () => {
    const directory = folder();
    const journal = new Journal(directory, false, [], 1000);
    write(journal, { c: 'one', a: 'two', b: null });
    expect(journal.takeDue(10, 10_999)).toEqual([]);
    expect(journal.takeDue(2, 11_000)).toEqual(['a', 'b']);
    journal.folded();
    write(journal, { d: 'three' });
    expect(segments(directory)).toEqual(['location-1.journal', 'location-2.journal']);
    expect(journal.takeDue(2, 11_001)).toEqual(['c']);
    journal.folded();
    expect(segments(directory)).toEqual(['location-2.journal']);
    expect(read(directory)).toEqual({ d: 'three' });
    expect(journal.takeDue(2, 20_999)).toEqual([]);
    journal.close();
    expect(read(directory)).toEqual({ d: 'three' });
  });

  it('are those first that were there before, and all before the end', () => {
    const directory = folder();
    write(new Journal(directory, false, [], 0), { b: 'old', a: 'old' });
    const journal = new Journal(directory, false, readJournal(directory).keys(), 0);
    write(journal, { c: 'new', a: 'new' });
    expect(journal.takeDue(1, 0)).toEqual(['a']);
    journal.folded();
    journal.finishSegment(1);
    expect(journal.takeDue(10, 1)).toEqual(['a', 'b', 'c']);
    journal.folded();
    journal.close();
    expect(segments(directory)).toEqual([]);
  });

  it('stays where nobody folds it', () => {
    const directory = folder();
    const journal = new Journal(directory, false, [], 0);
    write(journal, { a: 'one' });
    journal.close();
    expect(read(directory)).toEqual({ a: 'one' });
    removeSegments(directory);
    expect(segments(directory)).toEqual([]);
  });
});
