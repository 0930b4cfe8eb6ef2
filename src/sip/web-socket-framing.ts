/** What a WebSocket message carries (RFC 7118 4.2, 6): a SIP message, whole and alone, or a keep-alive. Runs on the thread of the
 *  streams. Hot: once per message, allocates nothing. Where the message ends, the WebSocket says; whether its body is as long as its
 *  Content-Length says, if it has one, is the shard's business (parse-message.ts). */

import { pastLineEnds } from '../base/newline.ts';
import { isStartLine } from './stream-framing.ts';

export const CONTENT = {
  /** What begins at `contentStart` of the message looks like SIP. */
  MESSAGE: 0,
  /** Line ends alone: ignored. */
  LINE_ENDS: 1,
  /** Two line ends: a keep-alive, which is answered by one (RFC 5626 4.4.1). */
  PING: 2,
  /** No SIP: "messages other than SIP requests and responses MUST NOT be transmitted over this connection" (4.1). */
  GARBAGE: 3,
} as const;

const CR = 0x0d;
const LF = 0x0a;
const PING_BYTES = 4;

/** One of CONTENT, for the whole message in `bytes`, whose content begins at `start`. */
export function contentOf(bytes: Uint8Array, start: number): number {
  if (start === bytes.length) return isPing(bytes) ? CONTENT.PING : CONTENT.LINE_ENDS;
  let end = start;
  while (end < bytes.length && bytes[end] !== LF) end++;
  if (end === bytes.length) return CONTENT.GARBAGE;
  return isStartLine(bytes, start, end) ? CONTENT.MESSAGE : CONTENT.GARBAGE;
}

/** Behind the line ends in front (RFC 3261 7.5). */
export function contentStart(bytes: Uint8Array): number {
  return pastLineEnds(bytes, 0, bytes.length);
}

function isPing(bytes: Uint8Array): boolean {
  return bytes.length === PING_BYTES && bytes[0] === CR && bytes[1] === LF && bytes[2] === CR && bytes[3] === LF;
}
