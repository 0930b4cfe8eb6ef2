/** Where log lines go: nothing that a reader or a disk does holds up who writes them. */

import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { LogSink } from '../../src/runtime/log-sink.ts';
import { STOP_PATIENCE_MS } from '../process/patience.ts';

/** A descriptor that takes what `mood` says. */
function descriptor(limitBytes = 1000) {
  const state = { mood: 'takes' as 'takes' | 'EAGAIN' | 'EPIPE' | 'ENOSPC' | number, text: '' };
  const sink = new LogSink(99, {
    limitBytes,
    sayLost: (lines) => `lost ${lines}\n`,
    writeTo: (_, bytes) => {
      const { mood } = state;
      if (typeof mood === 'string' && mood !== 'takes') throw Object.assign(new Error(mood), { code: mood });
      const taken = mood === 'takes' ? bytes.length : Math.min(mood, bytes.length);
      if (typeof mood === 'number') state.mood = 'EAGAIN';
      state.text += bytes.toString('utf8', 0, taken);
      return taken;
    },
  });
  return { state, sink };
}

describe('a reader that stops reading', () => {
  it('gets what waited, in order, once it reads again', () => {
    vi.useFakeTimers();
    const { state, sink } = descriptor();
    sink.write('a\n');
    state.mood = 'EAGAIN';
    for (const line of ['b\n', 'c\n']) sink.write(line);
    expect([state.text, sink.lostLines]).toEqual(['a\n', 0]);
    state.mood = 'takes';
    vi.advanceTimersByTime(100);
    expect(state.text).toBe('a\nb\nc\n');
    sink.close();
    vi.useRealTimers();
  });

  it('in the middle of a line gets the rest of it', () => {
    const { state, sink } = descriptor();
    state.mood = 3;
    sink.write('abcdef\n');
    expect(state.text).toBe('abc');
    state.mood = 'takes';
    sink.write('g\n');
    expect(state.text).toBe('abcdef\ng\n');
  });

  it('for too long loses lines, which are counted, and said when it reads again', () => {
    const { state, sink } = descriptor(10);
    state.mood = 'EAGAIN';
    for (let i = 0; i < 8; i++) sink.write(`${i}234\n`);
    expect(sink.lostLines).toBe(6);
    state.mood = 'takes';
    sink.write('x\n');
    expect(state.text).toBe('0234\n1234\nlost 6\nx\n');
    expect(sink.lostLines).toBe(6);
    sink.close();
  });

  it('holds up an end for a moment only', () => {
    const { state, sink } = descriptor();
    state.mood = 'EAGAIN';
    sink.write('a\n');
    const beganMs = performance.now();
    sink.end();
    expect(performance.now() - beganMs).toBeLessThan(STOP_PATIENCE_MS);
    sink.close();
  });
});

describe.each(['EPIPE', 'ENOSPC'] as const)('a descriptor that says %s', (code) => {
  it('loses lines, which are counted, and is tried again with the next one', () => {
    const { state, sink } = descriptor();
    state.mood = code;
    for (let i = 0; i < 3; i++) sink.write('lost\n');
    expect([state.text, sink.lostLines]).toEqual(['', 3]);
    state.mood = 'takes';
    sink.write('a\n');
    expect(state.text).toBe('a\nlost 3\n');
  });
});

describe('a real pipe', () => {
  it('is not waited for when it is full, and the flags of its other end stay', () => {
    const folder = mkdtempSync(join(tmpdir(), 'strowger-sink-'));
    const path = join(folder, 'fifo');
    execFileSync('mkfifo', [path]);
    const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const writer = openSync(path, constants.O_WRONLY);
    const sink = new LogSink(writer, { limitBytes: 1000 });
    for (let i = 0; i < 3000; i++) sink.write(`${'x'.repeat(99)}\n`);
    expect(sink.lostLines).toBeGreaterThan(0);
    const { flags } = execFileSync('cat', [`/proc/${process.pid}/fdinfo/${writer}`], { encoding: 'utf8' }).match(
      /flags:\s+(?<flags>\d+)/,
    )!.groups!;
    expect(Number.parseInt(flags!, 8) & constants.O_NONBLOCK).toBe(0);
    expect(readSync(reader, Buffer.alloc(100))).toBe(100);
    sink.close();
    for (const fd of [reader, writer]) closeSync(fd);
    rmSync(folder, { recursive: true });
  });
});
