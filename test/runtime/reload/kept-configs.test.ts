import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { KeptConfigs } from '../../../src/runtime/reload/kept-configs.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'strowger-kept-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const AT = new Date('2026-11-29T18:01:09.500Z');
const open = (directory: string | null = join(folder, 'kept')) => {
  const troubles: unknown[] = [];
  const unreadable: string[] = [];
  const onTrouble = (error: unknown, file: string | null) =>
    file === null ? troubles.push(error) : unreadable.push(file);
  return { kept: new KeptConfigs(directory, onTrouble), troubles, unreadable };
};

describe('the last good configurations', () => {
  it('are files for nobody else, by number and time', () => {
    const { kept } = open();
    kept.add('a: 1\n', 10, AT);
    const [name] = readdirSync(join(folder, 'kept'));
    expect(name).toBe('000001-2026-11-29T180109Z.yaml');
    expect(readFileSync(join(folder, 'kept', name!), 'utf8')).toBe('a: 1\n');
    expect(statSync(join(folder, 'kept', name!)).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'kept')).mode & 0o777).toBe(0o700);
  });

  it('are counted back from the current one, and found again by the next run', () => {
    const { kept } = open();
    for (const text of ['a', 'b', 'b', 'c']) kept.add(text, 10, AT);
    for (const one of [kept, open().kept]) {
      expect([0, 1, 2, 3].map((back) => one.at(back)?.text)).toEqual(['c', 'b', 'a', undefined]);
      expect(one.list.map(({ number }) => number)).toEqual([3, 2, 1]);
      expect(one.list[0]!.takenAt).toBe('2026-11-29T18:01:09Z');
    }
    writeFileSync(join(folder, 'kept', 'notes.txt'), 'not ours');
    expect(open().kept.list).toHaveLength(3);
  });

  it.each([1, 2, 3])(
    'are there without the one that cannot be read (number %i of 3), which stays and is named',
    (number) => {
      const { kept } = open();
      for (const text of ['a', 'b', 'c']) kept.add(text, 10, AT);
      const file = kept.list.find((one) => one.number === number)!.file!;
      // Unreadable for root, too.
      rmSync(file);
      mkdirSync(file);
      const next = open();
      const readable = [3, 2, 1].filter((other) => other !== number);
      expect(next.kept.list.map((one) => one.number)).toEqual(readable);
      expect([next.unreadable, next.troubles]).toEqual([[file], []]);
      next.kept.add('d', 10, AT);
      expect(open().kept.list.map((one) => one.number)).toEqual([4, ...readable]);
      expect(statSync(file).isDirectory()).toBe(true);
    },
  );

  it('are so many at the most', () => {
    const { kept } = open();
    for (let i = 0; i < 20; i++) kept.add(String(i), 3, AT);
    expect(kept.list.map(({ text }) => text)).toEqual(['19', '18', '17']);
    expect(readdirSync(join(folder, 'kept'))).toHaveLength(3);
    kept.add('19', 1, AT);
    expect(readdirSync(join(folder, 'kept'))).toEqual(['000020-2026-11-29T180109Z.yaml']);
  });

  it('are in memory where there is no directory, or none that can be used', () => {
    const without = open(null);
    without.kept.add('a', 10, AT);
    without.kept.add('b', 10, AT);
    expect([without.kept.at(1)?.text, without.kept.at(1)?.file, without.troubles]).toEqual(['a', null, []]);
    writeFileSync(join(folder, 'file'), '');
    const { kept, troubles } = open(join(folder, 'file'));
    kept.add('a', 10, AT);
    kept.add('b', 10, AT);
    expect([kept.at(1)?.text, kept.at(1)?.file]).toEqual(['a', null]);
    expect(troubles.length).toBeGreaterThan(0);
  });

  it('lose one that somebody has taken away', () => {
    const { kept, troubles } = open();
    kept.add('a', 1, AT);
    rmSync(kept.at(0)!.file!);
    kept.add('b', 1, AT);
    expect([kept.list.length, troubles]).toEqual([1, []]);
    chmodSync(join(folder, 'kept'), 0o700);
  });
});
