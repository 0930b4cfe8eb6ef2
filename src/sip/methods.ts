/** Methods of the IANA registry as small numbers (RFC 3261 section 7.1). Runs on the shard.
 *  Hot: once or twice per datagram, allocates nothing. Methods are case-sensitive. */

type Bytes = Uint8Array<SharedArrayBuffer>;

/** 0 is any other token: an extension method, forwarded like the rest. */
export const METHOD = {
  OTHER: 0,
  INVITE: 1,
  ACK: 2,
  CANCEL: 3,
  BYE: 4,
  REGISTER: 5,
  OPTIONS: 6,
  PRACK: 7,
  UPDATE: 8,
  INFO: 9,
  SUBSCRIBE: 10,
  NOTIFY: 11,
  PUBLISH: 12,
  MESSAGE: 13,
  REFER: 14,
} as const;

/** Names by id; '' for METHOD.OTHER. */
export const METHOD_NAMES: readonly string[] = Object.entries(METHOD)
  .toSorted((a, b) => a[1] - b[1])
  .map(([name, id]) => (id === METHOD.OTHER ? '' : name));

/** Bit 1 << METHOD for each of these names, all of them of METHOD_NAMES. */
export function methodBits(names: readonly string[]): number {
  return names.reduce((bits, name) => bits | (1 << METHOD_NAMES.indexOf(name)), 0);
}

const NAME_STRIDE = 16;
const nameBytes = new Uint8Array(METHOD_NAMES.length * NAME_STRIDE);

/** No two methods share both length and first letter, so these name the only candidate; the length is below 16. */
const candidates = new Uint8Array(NAME_STRIDE * 32);

for (const [id, name] of METHOD_NAMES.entries()) {
  if (id === METHOD.OTHER) continue;
  for (let i = 0; i < name.length; i++) nameBytes[id * NAME_STRIDE + i] = name.charCodeAt(i);
  candidates[candidateSlot(name.length, name.charCodeAt(0))] = id;
}

/** Id of the method in [start, end), METHOD.OTHER if it is none of the table (valid or not). */
export function methodIdOf(bytes: Bytes, start: number, end: number): number {
  const length = end - start;
  if (length < 3 || length >= NAME_STRIDE) return METHOD.OTHER;
  const id = candidates[candidateSlot(length, bytes[start]!)]!;
  if (id === METHOD.OTHER) return METHOD.OTHER;
  const name = id * NAME_STRIDE;
  for (let i = 0; i < length; i++) {
    if (bytes[start + i] !== nameBytes[name + i]) return METHOD.OTHER;
  }
  return id;
}

function candidateSlot(length: number, firstByte: number): number {
  return (length << 5) | (firstByte & 31);
}
