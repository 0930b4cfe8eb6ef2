/** Instance-ids: the URN of a phone as it stands in `+sip.instance`, in quotes and angle brackets. Two are the same by the rules of
 *  their namespace where those are known, else lexically (RFC 5626 4.1, RFC 2141 5): "urn" and the namespace are without case, and so are
 *  the digits of a UUID (RFC 4122 3) and those of an escape. Any thread. `equalInstanceIds` allocates nothing. */

import { ascii } from '../base/ascii.ts';
import { LOWER } from '../base/char-class.ts';
import { isWord } from './lexis.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

const QUOTE = 0x22;
const PERCENT = 0x25;
const COLON = 0x3a;
const LESS = 0x3c;
const URN = ascii('urn:');
const UUID = ascii('uuid');

/** True if the values [aStart, aEnd) of `a` and [bStart, bEnd) of `b` are the same instance. Spellings of one have one length. */
export function equalInstanceIds(
  a: Bytes,
  aStart: number,
  aEnd: number,
  b: Bytes,
  bStart: number,
  bEnd: number,
): boolean {
  const length = aEnd - aStart;
  if (bEnd - bStart !== length) return false;
  const aCaseless = caselessEnd(a, aStart, aEnd);
  const bCaseless = caselessEnd(b, bStart, bEnd);
  for (let i = 0; i < length; i++) {
    if (foldedAt(a, aStart, aCaseless, aStart + i) !== foldedAt(b, bStart, bCaseless, bStart + i)) return false;
  }
  return true;
}

/** One spelling of all those of an instance, as Latin-1. */
export function instanceIdOf(bytes: Bytes, start: number, end: number): string {
  const caseless = caselessEnd(bytes, start, end);
  let id = '';
  for (let i = start; i < end; i++) id += String.fromCharCode(foldedAt(bytes, start, caseless, i));
  return id;
}

function foldedAt(bytes: Bytes, start: number, caseless: number, at: number): number {
  const byte = bytes[at]!;
  return at < caseless || isInEscape(bytes, start, at) ? LOWER[byte]! : byte;
}

/** Up to where letters mean the same in either case; `start`: it is no URN. */
function caselessEnd(bytes: Bytes, start: number, end: number): number {
  let urn = start;
  if (urn < end && bytes[urn] === QUOTE) urn++;
  if (urn < end && bytes[urn] === LESS) urn++;
  const namespace = urn + URN.length;
  if (namespace > end || !isWord(bytes, urn, namespace, URN)) return start;
  let colon = namespace;
  while (colon < end && bytes[colon] !== COLON) colon++;
  return isWord(bytes, namespace, colon, UUID) ? end : colon;
}

function isInEscape(bytes: Bytes, start: number, at: number): boolean {
  return (at - start >= 1 && bytes[at - 1] === PERCENT) || (at - start >= 2 && bytes[at - 2] === PERCENT);
}
