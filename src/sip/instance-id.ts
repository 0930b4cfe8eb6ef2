/** Instance-ids: the URN of a phone as it stands in `+sip.instance`, in quotes and angle brackets. Two are the same by the rules of
 *  their namespace where those are known, else lexically (RFC 5626 4.1, RFC 2141 5): "urn" and the namespace are without case, and so are
 *  the digits of a UUID (RFC 4122 3) and those of an escape. Any thread. Hot: once for each flow of an AoR, allocates nothing but for
 *  `instanceIdOf`. */

import { ascii } from '../base/ascii.ts';
import { equalBytes } from '../base/spans.ts';

const QUOTE = 0x22;
const PERCENT = 0x25;
const COLON = 0x3a;
const LESS = 0x3c;
const CASE_BIT = 0x20;
const URN = ascii('urn:');
const UUID = ascii('uuid');

/** True if the values [aStart, aEnd) of `a` and [bStart, bEnd) of `b` are the same instance. Spellings of one have one length. */
export function equalInstanceIds(
  a: DataView,
  aStart: number,
  aEnd: number,
  b: DataView,
  bStart: number,
  bEnd: number,
): boolean {
  if (aEnd - aStart !== bEnd - bStart) return false;
  if (equalBytes(a, aStart, aEnd, b, bStart)) return true;
  const caseless = caselessEnd(a, aStart, aEnd);
  for (let i = aStart; i < aEnd; i++) {
    const byte = a.getUint8(i);
    const other = b.getUint8(i - aStart + bStart);
    if (byte === other) continue;
    if ((byte | CASE_BIT) !== (other | CASE_BIT) || !isLetter(byte)) return false;
    if (i >= caseless && !isInEscape(a, aStart, i)) return false;
  }
  return true;
}

/** One spelling of all those of an instance, as Latin-1. Cold. */
export function instanceIdOf(text: DataView, start: number, end: number): string {
  const caseless = caselessEnd(text, start, end);
  let id = '';
  for (let i = start; i < end; i++) {
    const byte = text.getUint8(i);
    const isFolded = isLetter(byte) && (i < caseless || isInEscape(text, start, i));
    id += String.fromCharCode(isFolded ? byte | CASE_BIT : byte);
  }
  return id;
}

/** Up to where letters mean the same in either case; `start`: it is no URN. */
function caselessEnd(text: DataView, start: number, end: number): number {
  let at = start;
  if (at < end && text.getUint8(at) === QUOTE) at++;
  if (at < end && text.getUint8(at) === LESS) at++;
  if (!isWordAt(text, at, end, URN)) return start;
  const namespace = at + URN.length;
  let colon = namespace;
  while (colon < end && text.getUint8(colon) !== COLON) colon++;
  const isUuid = colon - namespace === UUID.length && isWordAt(text, namespace, end, UUID);
  return isUuid ? end : colon;
}

/** `word`: in lower case. */
function isWordAt(text: DataView, at: number, end: number, word: Uint8Array): boolean {
  if (end - at < word.length) return false;
  for (let i = 0; i < word.length; i++) {
    const byte = text.getUint8(at + i);
    if ((isLetter(byte) ? byte | CASE_BIT : byte) !== word[i]) return false;
  }
  return true;
}

function isInEscape(text: DataView, start: number, at: number): boolean {
  return (
    (at - start >= 1 && text.getUint8(at - 1) === PERCENT) || (at - start >= 2 && text.getUint8(at - 2) === PERCENT)
  );
}

function isLetter(byte: number): boolean {
  const lower = byte | CASE_BIT;
  return lower >= 0x61 && lower <= 0x7a;
}
