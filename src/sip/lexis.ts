/** Lexical rules that the header grammars share: white space with folds, quoted strings, words compared without case
 *  (RFC 3261 25.1). Runs on the shard. Hot: several times per header read, allocates nothing. */

import { LOWER, QUOTED } from '../base/char-class.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const DQUOTE = 0x22;
const BACKSLASH = 0x5c;
const DELETE = 0x7f;

/** Index of the first byte at or after `at` that is not linear white space, or `end`. A line end is white space only if
 *  a space or tab follows it. Departs from RFC 3261 25.1: a lone LF folds like CRLF, as it ends a line elsewhere. */
export function skipLws(bytes: Bytes, at: number, end: number): number {
  let i = at;
  while (i < end) {
    const byte = bytes[i]!;
    if (byte > SPACE) return i;
    if (byte === SPACE || byte === TAB) {
      i++;
    } else {
      const afterFold = skipFold(bytes, i, end);
      if (afterFold === i) return i;
      i = afterFold;
    }
  }
  return i;
}

/** Cold: one past the white space that follows a line end at `at`, or `at` if there is no fold. */
function skipFold(bytes: Bytes, at: number, end: number): number {
  const newline = bytes[at] === CR ? at + 1 : at;
  if (newline + 1 >= end || bytes[newline] !== LF) return at;
  const next = bytes[newline + 1]!;
  return next === SPACE || next === TAB ? newline + 2 : at;
}

/** One past the closing quote of the quoted string whose opening quote is at `at`; −1 if it does not end or holds what
 *  may not stand in it. Departs from RFC 3261 25.1: bytes from 0x80 on are not checked for being UTF-8. */
export function skipQuoted(bytes: Bytes, at: number, end: number): number {
  for (let i = at + 1; i < end; ) {
    while (i < end && QUOTED[bytes[i]!] === 1) i++;
    if (i === end) return -1;
    const byte = bytes[i]!;
    if (byte === DQUOTE) return i + 1;
    if (byte === BACKSLASH) {
      // quoted-pair: any ASCII but CR and LF.
      if (i + 1 >= end) return -1;
      const escaped = bytes[i + 1]!;
      if (escaped === CR || escaped === LF || escaped > DELETE) return -1;
      i += 2;
    } else {
      const next = skipLws(bytes, i, end);
      if (next === i) return -1;
      i = next;
    }
  }
  return -1;
}

/** True if [start, end) is `word`, which is in small letters, whatever the case. */
export function isWord(bytes: Bytes, start: number, end: number, word: Uint8Array): boolean {
  if (end - start !== word.length) return false;
  for (let i = 0; i < word.length; i++) {
    if (LOWER[bytes[start + i]!] !== word[i]) return false;
  }
  return true;
}
