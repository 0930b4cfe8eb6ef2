/** The list of banned sources: what may be banned, how long, and what is left of it after a restart. */

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { configSchema } from '../../../src/config/schema.ts';
import { BanList, type ProtectedBlock } from '../../../src/runtime/bans/ban-list.ts';
import { protectedBlocks } from '../../../src/runtime/bans/protected-blocks.ts';
import { RequestError } from '../../../src/runtime/request-error.ts';

let directory = '';
let file = '';
let logged: Record<string, unknown>[] = [];
let tables: (SharedArrayBuffer | null)[] = [];
const open: BanList[] = [];
const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(JSON.parse(line)) });

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  directory = mkdtempSync(join(tmpdir(), 'strowger-bans-'));
  file = join(directory, 'state', 'bans.json');
  logged = [];
  tables = [];
});
afterEach(() => {
  for (const list of open.splice(0)) list.close();
  vi.useRealTimers();
  rmSync(directory, { recursive: true });
});

function listOf(path: string | null = file, ours: ProtectedBlock[] = []): BanList {
  const list = new BanList({ file: path, isProtected: () => ours, onChange: (table) => tables.push(table), log });
  open.push(list);
  return list;
}

const ban = (list: BanList, source: string, durationSec?: number, isForced = false) =>
  list.add({ source, durationSec, reason: 'scanner', isForced });
const sourcesOf = (list: BanList) => list.list(100).bans.map(({ source }) => source);

describe('a ban', () => {
  it('is listed as it is written everywhere, the latest first', () => {
    const list = listOf();
    expect(ban(list, '192.0.2.7')).toEqual({ source: '192.0.2.7', isNew: true, isStored: true });
    vi.setSystemTime(1000);
    expect(ban(list, '2001:DB8:0::/48', 60)).toMatchObject({ source: '2001:db8::/48' });
    expect(list.list(100)).toEqual({
      total: 2,
      bans: [
        { source: '2001:db8::/48', reason: 'scanner', addedAt: '1970-01-01T00:00:01.000Z', expiresSec: 60 },
        { source: '192.0.2.7', reason: 'scanner', addedAt: '1970-01-01T00:00:00.000Z', expiresSec: null },
      ],
    });
    expect(list.list(1)).toMatchObject({ total: 2, bans: [{ source: '2001:db8::/48' }] });
  });

  it('takes the place of one of the same source', () => {
    const list = listOf();
    ban(list, '192.0.2.7', 60);
    expect(ban(list, '192.0.2.7/32')).toMatchObject({ source: '192.0.2.7', isNew: false });
    expect(list.list(100)).toMatchObject({ total: 1, bans: [{ expiresSec: null }] });
  });

  it('ends by itself', () => {
    const list = listOf();
    ban(list, '192.0.2.7', 60);
    ban(list, '192.0.2.8', 120);
    vi.advanceTimersByTime(60_000);
    expect(sourcesOf(list)).toEqual(['192.0.2.8']);
    vi.advanceTimersByTime(60_000);
    expect(sourcesOf(list)).toEqual([]);
    expect(tables.at(-1)).toBeNull();
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ bans: [] });
  });

  it('that lasts longer than a timer can does not end early', () => {
    const list = listOf();
    ban(list, '192.0.2.7', 60 * 86_400);
    vi.advanceTimersByTime(59 * 86_400_000);
    expect(sourcesOf(list)).toEqual(['192.0.2.7']);
    vi.advanceTimersByTime(86_400_000);
    expect(sourcesOf(list)).toEqual([]);
  });

  it('is gone when it is removed, and cannot be removed twice', () => {
    const list = listOf();
    ban(list, '192.0.2.0/24');
    expect(list.remove('192.0.2.0/24')).toEqual({ source: '192.0.2.0/24', isStored: true });
    expect(tables.at(-1)).toBeNull();
    expect(() => list.remove('192.0.2.0/24')).toThrow(new RequestError(1, '192.0.2.0/24 is not banned'));
  });

  it.each([['localhost'], ['192.0.2.300'], ['192.0.2.1/24'], ['192.0.2.0/33'], ['::ffff:192.0.2.1'], ['fe80::1%eth0']])(
    'of %s is refused with a reason',
    (source) => {
      expect(() => ban(listOf(), source)).toThrow(/^source: /);
      expect(tables).toEqual([]);
    },
  );
});

describe('a source of ours', () => {
  const config = configSchema.parse({
    trusted: ['10.0.0.0/8', 'fd00::/8'],
    nextHops: ['sip:192.0.2.50:5062', 'sip:gateway.example.org'],
    domains: [{ name: 'example.org', nextHops: ['sip:[2001:db8::5]'] }],
  });

  it.each([
    ['127.0.0.1', 'loopback'],
    ['127.0.0.0/8', 'loopback'],
    ['0.0.0.0/0', 'loopback'],
    ['::1', 'loopback'],
    ['10.1.2.3', 'trusted'],
    ['fd00::1', 'trusted'],
    ['192.0.2.50', 'a next hop'],
    ['2001:db8::/32', 'a next hop'],
  ])('such as %s is banned by force alone', (source, what) => {
    const list = listOf(null, protectedBlocks(config));
    expect(() => ban(list, source)).toThrow(
      new RequestError(1, `${source} is ${what}; with force (--force) it is banned all the same`),
    );
    expect(ban(list, source, undefined, true)).toMatchObject({ isNew: true });
  });

  it('is nobody else', () => {
    const list = listOf(null, protectedBlocks(config));
    for (const source of ['192.0.2.51', '11.0.0.0/8', '2001:db9::/32']) expect(ban(list, source).isNew).toBe(true);
  });
});

describe('the file', () => {
  it('brings the bans back, but for those that ended meanwhile', () => {
    const list = listOf();
    ban(list, '192.0.2.7');
    ban(list, '192.0.2.8', 60);
    ban(list, '192.0.2.9', 120);
    list.close();
    vi.setSystemTime(60_000);
    tables = [];
    const back = listOf();
    expect(sourcesOf(back).sort()).toEqual(['192.0.2.7', '192.0.2.9']);
    expect(tables).toEqual([expect.any(SharedArrayBuffer)]);
    vi.advanceTimersByTime(60_000);
    expect(sourcesOf(back)).toEqual(['192.0.2.7']);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it.each([
    ['{"bans": [', /JSON/],
    ['{"bans": {}}', /bans/],
    ['{"bans": [{"source": "x", "reason": "", "addedMs": 0, "untilMs": null}]}', /not an address block/],
    ['{"bans": [{"source": "192.0.2.1", "reason": ""}]}', /bans\.0\.addedMs/],
  ])('that is broken is put aside, and nobody is banned: %s', (text, reason) => {
    ban(listOf(), '192.0.2.7');
    writeFileSync(file, text);
    expect(sourcesOf(listOf())).toEqual([]);
    expect(logged).toMatchObject([
      { level: 50, reason: expect.stringMatching(reason), msg: 'the file of bans is broken: nobody is banned' },
    ]);
    expect(readFileSync(`${file}.unreadable`, 'utf8')).toBe(text);
  });

  it('that cannot be written leaves the bans in force, and says so', () => {
    writeFileSync(join(directory, 'state'), 'a file where the folder should be');
    const list = listOf();
    expect(ban(list, '192.0.2.7')).toMatchObject({ isStored: false });
    expect(sourcesOf(list)).toEqual(['192.0.2.7']);
    expect(logged.map(({ msg }) => msg)).toEqual([
      'the file of bans cannot be read: nobody is banned',
      'the bans cannot be stored: they end with this process',
    ]);
  });

  it('is not wanted where the bans are to end with the process', () => {
    expect(ban(listOf(null), '192.0.2.7')).toMatchObject({ isStored: false });
    expect(logged).toEqual([]);
  });
});
