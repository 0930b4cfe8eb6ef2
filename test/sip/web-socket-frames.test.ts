/** RFC 6455 5.2, 5.4: where frames end. */

import { describe, expect, it } from 'vitest';
import { FrameEnds } from '../../src/sip/web-socket-frames.ts';
import { bytesOf, read } from '../fuzz/web-sockets.ts';
import { frame, OPCODE } from '../runtime/streams/web-socket-peer.ts';

const SEEDS = 3000;
const whole = (length: number) => frame(OPCODE.TEXT, 'x'.repeat(length));
const first = frame(OPCODE.TEXT, 'x', { isLast: false });
const last = frame(OPCODE.CONTINUATION, 'y');
const ping = frame(OPCODE.PING, 'there?');

/** What is said after each piece: whether something ended, and whether they end within something. */
function say(...pieces: readonly Buffer[]): [boolean, boolean][] {
  const ends = new FrameEnds();
  return pieces.map((piece) => [ends.take(piece), ends.isWithin]);
}

describe('a frame ends', () => {
  it.each([0, 1, 125, 126, 127, 65_535, 65_536, 70_000])('with the last of %i bytes', (length) => {
    const bytes = whole(length);
    expect(say(bytes)).toEqual([[true, false]]);
    for (const cut of [1, 2, 3, 6, 10, bytes.length - 1].filter((at) => at < bytes.length)) {
      expect(say(bytes.subarray(0, cut), bytes.subarray(cut)), `cut at ${cut}`).toEqual([
        [false, true],
        [true, false],
      ]);
    }
  });

  it('without a mask as well, of a server', () => {
    expect(say(frame(OPCODE.TEXT, '', { isMasked: false }))).toEqual([[true, false]]);
    expect(say(frame(OPCODE.TEXT, 'x', { isMasked: false }))).toEqual([[true, false]]);
  });
});

describe('a message ends', () => {
  it('with its last frame, whatever pings come between', () => {
    expect(say(first, ping, first.subarray(0, 0), ping, last)).toEqual([
      [false, true],
      [false, true],
      [false, true],
      [false, true],
      [true, false],
    ]);
  });

  it('and the next begins with the same bytes', () => {
    expect(say(first, Buffer.concat([last, first]), ping, Buffer.concat([last, whole(3).subarray(0, 1)]))).toEqual([
      [false, true],
      [true, true],
      [false, true],
      [true, true],
    ]);
  });

  it('and a ping alone is something that ends', () => {
    expect(say(ping.subarray(0, 5), ping.subarray(5))).toEqual([
      [false, true],
      [true, false],
    ]);
  });
});

describe('of any bytes', () => {
  it(`from ${SEEDS} seeds it says what a plain reader does, as long as they are right`, () => {
    let count = 0;
    for (let seed = 0; seed < SEEDS; seed++) {
      const pieces = bytesOf(seed);
      const { code, isWithin } = read(Buffer.concat(pieces));
      const ends = new FrameEnds();
      for (const piece of pieces) ends.take(piece);
      if (code !== null) continue;
      count++;
      expect(ends.isWithin, `seed ${seed}`).toBe(isWithin);
    }
    expect(count).toBeGreaterThan(SEEDS / 4);
  });
});
