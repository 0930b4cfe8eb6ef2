/** Spoiled WebSockets at the thread of the streams, over loopback: the test is the intake and the shards. `SEED=… npx vitest run
 *  test/fuzz/web-sockets.test.ts` tries others, COUNT=… as many. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLOSE_REASONS } from '../../src/observe/counters.ts';
import { until } from '../process/server-process.ts';
import { endStreams, StreamWorld } from '../runtime/streams/stream-world.ts';
import { frame, OPCODE, upgradedByHand, WebSocketPeer } from '../runtime/streams/web-socket-peer.ts';
import { bytesOf, MESSAGE_BYTES, type Reading, read } from './web-sockets.ts';

const COUNT = Number(process.env['COUNT'] ?? 400);
const seed = Number(process.env['SEED'] ?? 1);

let streams: StreamWorld;
beforeAll(() => {
  // Nothing ends by the clock.
  const settings = { messageBytes: MESSAGE_BYTES, messageSec: 3600, silentSec: 3600 };
  streams = new StreamWorld(['ws:127.0.0.1:0'], settings, {}, undefined, { pingSec: 0 });
});
afterAll(endStreams);

const ended = () => CLOSE_REASONS.reduce((sum, reason) => sum + streams.count(`stream_closed_${reason}_total`), 0);

/** What the server has sent, frame by frame: none of it is masked, and all are short. */
function framesOf(text: string) {
  const bytes = Buffer.from(text, 'latin1');
  const frames: { readonly opcode: number; readonly payload: Buffer }[] = [];
  for (let at = 0; at + 1 < bytes.length; ) {
    const length = bytes[at + 1]!;
    expect([bytes[at]! & 0xf0, length < 126]).toEqual([0x80, true]);
    frames.push({ opcode: bytes[at]! & 15, payload: bytes.subarray(at + 2, at + 2 + length) });
    at += 2 + length;
  }
  return frames;
}

/** Sends the bytes of a seed, and expects of the server what a plain reader makes of them. */
async function tryOne(one: number): Promise<Reading> {
  const pieces = bytesOf(one);
  const bytes = Buffer.concat(pieces);
  const expected = read(bytes);
  const endedBefore = ended();
  streams.messages.length = 0;
  const peer = await upgradedByHand(streams.port);
  peer.text = '';
  for (const piece of pieces) {
    peer.send(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const marker = `MESSAGE sip:${one} SIP/2.0\r\n\r\n`;
  const isOpen = expected.code === null && !expected.isWithin;
  if (isOpen) {
    peer.send(Buffer.concat([frame(OPCODE.PING, `${one}`), frame(OPCODE.TEXT, marker)]));
    await streams.receive(marker);
    await peer.receive(`${one}`);
  } else if (expected.code === null) {
    peer.socket.end();
  } else {
    await until('it says that it is closed', () => framesOf(peer.text).at(-1)?.opcode === OPCODE.CLOSE, {
      explain: () => `${JSON.stringify(peer.text)}, closed: ${peer.isClosed}`,
    });
  }
  peer.socket.end();
  await until('it is over', () => ended() === endedBefore + 1);
  await until('the end is seen', () => peer.isClosed || peer.hasEnded);
  streams.take();

  expect(streams.messages.map(({ text }) => text)).toEqual([...expected.messages, ...(isOpen ? [marker] : [])]);
  const frames = framesOf(peer.text);
  const close = frames.at(-1);
  if (expected.code !== null) {
    expect(close!.opcode).toBe(OPCODE.CLOSE);
    expect(close!.payload.length < 2 ? 1005 : close!.payload.readUInt16BE(0)).toBe(expected.code);
  }
  // RFC 6455 5.5.3: not all pings need a pong of their own, but no pong says what no ping did, and the last one is answered.
  const pongs = frames.filter(({ opcode }) => opcode === OPCODE.PONG).map(({ payload }) => payload.toString('latin1'));
  for (const pong of pongs) expect([...expected.pings, `${one}`]).toContain(pong);
  if (isOpen) {
    expect(pongs.at(-1)).toBe(`${one}`);
    expect(frames.filter(({ opcode }) => opcode <= OPCODE.BINARY)).toHaveLength(expected.keepAlives);
  }
  return expected;
}

describe('spoiled WebSockets', () => {
  it(`${COUNT} from seed ${seed} end as the RFCs have it, lose nothing, and hurt nobody`, async () => {
    const other = await WebSocketPeer.connect(`ws://127.0.0.1:${streams.port}/`);
    const codes = new Map<number | null, number>();
    let messages = 0;
    for (let one = seed; one < seed + COUNT; one++) {
      try {
        const reading = await tryOne(one);
        messages += reading.messages.length;
        codes.set(reading.code, (codes.get(reading.code) ?? 0) + 1);
      } catch (error) {
        throw new Error(`SEED=${one} COUNT=1`, { cause: error });
      }
      expect(streams.error).toBeNull();
    }
    // It is not all noise, and every end is met.
    expect(messages).toBeGreaterThan(COUNT / 2);
    if (COUNT >= 400) {
      for (const code of [null, 1000, 1002, 1005, 1007, 1008, 1009])
        expect(codes.get(code), `${code}`).toBeGreaterThan(0);
    }
    expect(other.ending).toBeNull();
    other.send('MESSAGE sip:other SIP/2.0\r\n\r\n');
    await streams.receive('sip:other');
    other.close();
  });

  it('are the same for the same seed', () => {
    const all = () => Array.from({ length: 50 }, (_, i) => Buffer.concat(bytesOf(i)).toString('hex'));
    expect(all()).toEqual(all());
    expect(new Set(all()).size).toBe(50);
  });
});
