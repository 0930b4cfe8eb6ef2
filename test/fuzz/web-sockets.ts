/** Does any sequence of bytes make the thread of the streams say something else than RFC 6455 and RFC 7118 have it, lose a message, or
 *  end? Frames by seed, good ones and spoiled ones, and what a plain reader of the RFCs makes of the same bytes. The reader is not
 *  the library under test, and reads all bytes at once. */

import { isUtf8 } from 'node:buffer';
import { CONTENT, contentOf, contentStart } from '../../src/sip/web-socket-framing.ts';
import { OPCODE } from '../runtime/streams/web-socket-peer.ts';
import { mutate } from './mutation.ts';
import { Random } from './random.ts';
import { readSeedMessages } from './seed-messages.ts';

/** What a server is told to take at the most. */
export const MESSAGE_BYTES = 4096;
const MAX_FRAMES = 12;
const MAX_PIECES = 4;
/** RFC 6455 5.5. */
const MAX_CONTROL_BYTES = 125;

const seeds = readSeedMessages();

/** What the bytes of a client come to. */
export interface Reading {
  /** SIP messages, in their order, latin1. */
  readonly messages: readonly string[];
  /** Keep-alives that are answered. */
  readonly keepAlives: number;
  /** What is in the pings, in their order. */
  readonly pings: readonly string[];
  /** The close code with which the server ends it, or answers a close; null: it goes on. */
  readonly code: number | null;
  /** They end within a frame, or between the frames of a message. */
  readonly isWithin: boolean;
}

/** The bytes that a client of seed `seed` sends after the handshake, in the pieces in which it writes them. */
export function bytesOf(seed: number): Buffer[] {
  const random = new Random(seed);
  const frames = Array.from({ length: 1 + random.below(MAX_FRAMES) }, () => someFrames(random));
  const bytes = Buffer.concat(frames);
  // A bit here and there.
  if (random.isOneIn(4)) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
  const whole = random.isOneIn(6) ? bytes.subarray(0, random.below(bytes.length + 1)) : bytes;
  const pieces: Buffer[] = [];
  for (let at = 0; at < whole.length; ) {
    const end = at + (random.isOneIn(3) ? 1 + random.below(8) : 1 + random.below(2000));
    pieces.push(whole.subarray(at, end));
    at = end;
  }
  return pieces;
}

/** A message in one frame or several, with pings between; a keep-alive; now and then what must not be. */
function someFrames(random: Random): Buffer {
  if (random.isOneIn(12)) return spoiledFrame(random);
  const content = someContent(random);
  const opcode = isUtf8(content) && !random.isOneIn(3) ? OPCODE.TEXT : OPCODE.BINARY;
  const frames: Buffer[] = [];
  const count = random.isOneIn(3) ? 1 + random.below(MAX_PIECES) : 1;
  for (let i = 0; i < count; i++) {
    if (random.isOneIn(4)) frames.push(controlFrame(random));
    const piece = content.subarray((content.length * i) / count, (content.length * (i + 1)) / count);
    frames.push(frameOf(random, i === 0 ? opcode : OPCODE.CONTINUATION, piece, i === count - 1));
  }
  return Buffer.concat(frames);
}

function someContent(random: Random): Buffer {
  if (random.isOneIn(6)) return Buffer.from(random.pick(['\r\n\r\n', '\r\n', '', '\r\n\r\n\r\n']));
  // Mostly they are none that would end it.
  const content = Buffer.from(random.isOneIn(8) ? mutate(random, seeds) : random.pick(seeds));
  return content.length > MESSAGE_BYTES && !random.isOneIn(20) ? content.subarray(0, MESSAGE_BYTES) : content;
}

function controlFrame(random: Random): Buffer {
  const payload = Buffer.alloc(random.below(random.isOneIn(8) ? MAX_CONTROL_BYTES + 1 : 8), 'p');
  return frameOf(random, random.pick([OPCODE.PING, OPCODE.PONG]), payload, true);
}

function spoiledFrame(random: Random): Buffer {
  const message = Buffer.from('OPTIONS sip:a SIP/2.0\r\n\r\n');
  const close = (code: number, reason = '') => {
    const payload = Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason, 'latin1')]);
    return frameOf(random, OPCODE.CLOSE, payload, true);
  };
  return random.pick([
    () => frameOf(random, 3 + random.below(5), message, true),
    () => frameOf(random, 11 + random.below(5), message, true),
    () => frameOf(random, OPCODE.CONTINUATION, message, true),
    () => frameOf(random, OPCODE.TEXT, message, false),
    () => frameOf(random, OPCODE.PING, message, false),
    () => frameOf(random, OPCODE.PING, Buffer.alloc(MAX_CONTROL_BYTES + 1 + random.below(9)), true),
    () => frameOf(random, OPCODE.BINARY, Buffer.alloc(MESSAGE_BYTES + 1 + random.below(9), 'x'), true),
    () => frameOf(random, OPCODE.TEXT, Buffer.from('\xff\xfe', 'latin1'), true),
    () => frameOf(random, OPCODE.CLOSE, Buffer.alloc(random.below(2)), true),
    () => close(random.pick([1000, 1001, 1003, 1011, 3000, 4999])),
    () => close(random.pick([0, 999, 1004, 1005, 1006, 1015, 2999, 5000])),
    () => close(1000, random.pick(['bye', '\xff'])),
    () => Buffer.from(Array.from({ length: 1 + random.below(40) }, () => random.below(256))),
  ])();
}

function frameOf(random: Random, opcode: number, payload: Buffer, isLast: boolean): Buffer {
  const isMasked = !random.isOneIn(200);
  const reserved = random.isOneIn(200) ? 0x10 << random.below(3) : 0;
  const mask = isMasked ? Buffer.from(Array.from({ length: 4 }, () => random.below(256))) : Buffer.alloc(0);
  const masked = isMasked ? Buffer.from(payload.map((byte, i) => byte ^ mask[i & 3]!)) : payload;
  // The shortest form, unless it is a data frame: that can be told in a longer one.
  const isLonger = opcode < OPCODE.CLOSE && random.isOneIn(10);
  const first = (isLast ? 0x80 : 0) | reserved | opcode;
  const bit = isMasked ? 0x80 : 0;
  let head: Buffer;
  if (payload.length < 126 && !isLonger) {
    head = Buffer.from([first, bit | payload.length]);
  } else if (payload.length < 0x1_0000 && random.below(8) > 0) {
    head = Buffer.from([first, bit | 126, payload.length >> 8, payload.length & 0xff]);
  } else {
    head = Buffer.alloc(10);
    head[0] = first;
    head[1] = bit | 127;
    head.writeUInt32BE(payload.length, 6);
  }
  return Buffer.concat([head, mask, masked]);
}

/** Reads what a client has sent by the RFCs, frame by frame, until something ends it. */
export function read(bytes: Buffer): Reading {
  const messages: string[] = [];
  const pings: string[] = [];
  let keepAlives = 0;
  /** Of a message that is not whole; null: there is none. */
  let begun: { readonly opcode: number; readonly pieces: Buffer[] } | null = null;
  const told = (code: number | null, isWithin: boolean): Reading => ({ messages, keepAlives, pings, code, isWithin });

  for (let at = 0; ; ) {
    if (bytes.length - at < 2) return told(null, at < bytes.length || begun !== null);
    const [first, second] = [bytes[at]!, bytes[at + 1]!];
    const isLast = (first & 0x80) !== 0;
    const opcode = first & 15;
    const shortLength = second & 127;
    const isControl = opcode >= OPCODE.CLOSE;
    const isKnown = opcode <= OPCODE.BINARY || (isControl && opcode <= OPCODE.PONG);
    // 5.2 and 5.4, 5.5: what the first two bytes cannot say.
    if ((first & 0x70) !== 0 || !isKnown || (second & 0x80) === 0) return told(1002, false);
    if (isControl && (!isLast || shortLength > MAX_CONTROL_BYTES)) return told(1002, false);
    if (opcode === OPCODE.CLOSE && shortLength === 1) return told(1002, false);
    if (!isControl && (opcode === OPCODE.CONTINUATION) === (begun === null)) return told(1002, false);
    const extended = shortLength === 126 ? 2 : shortLength === 127 ? 8 : 0;
    if (bytes.length - at < 2 + extended) return told(null, true);
    const length =
      extended === 0
        ? shortLength
        : extended === 2
          ? bytes.readUInt16BE(at + 2)
          : Number(bytes.readBigUInt64BE(at + 2));
    const before: number = begun?.pieces.reduce((sum, piece) => sum + piece.length, 0) ?? 0;
    if (!isControl && before + length > MESSAGE_BYTES) return told(1009, false);
    const start = at + 2 + extended + 4;
    if (bytes.length < start + length) return told(null, true);
    const mask = bytes.subarray(start - 4, start);
    const payload = Buffer.from(bytes.subarray(start, start + length).map((byte, i) => byte ^ mask[i & 3]!));
    at = start + length;
    if (opcode === OPCODE.CLOSE) return told(answerToClose(payload), false);
    if (opcode === OPCODE.PING) pings.push(payload.toString('latin1'));
    if (isControl) continue;
    begun ??= { opcode, pieces: [] };
    begun.pieces.push(payload);
    if (!isLast) continue;
    const message = Buffer.concat(begun.pieces);
    if (begun.opcode === OPCODE.TEXT && !isUtf8(message)) return told(1007, false);
    begun = null;
    const content = contentStart(message);
    const kind = contentOf(message, content);
    if (kind === CONTENT.GARBAGE) return told(1008, false);
    if (kind === CONTENT.PING) keepAlives++;
    if (kind === CONTENT.MESSAGE) messages.push(message.toString('latin1', content));
  }
}

/** 5.5.1, 7.4: the same code, or 1002 for one that must not be sent, 1007 for a reason that is no text. None is answered by none: 1005. */
function answerToClose(payload: Buffer): number {
  if (payload.length === 0) return 1005;
  const code = payload.readUInt16BE(0);
  const isReserved = code === 1004 || code === 1005 || code === 1006;
  const isValid = (code >= 1000 && code <= 1014 && !isReserved) || (code >= 3000 && code <= 4999);
  if (!isValid) return 1002;
  return isUtf8(payload.subarray(2)) ? code : 1007;
}
