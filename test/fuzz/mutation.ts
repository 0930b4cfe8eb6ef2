/** Ways to spoil a datagram, each drawn with its place from a `Random`. */

import type { Random } from './random.ts';
import { LINES } from './seed-messages.ts';

export const MAX_BYTES = 65_535;
const MAX_MUTATIONS = 4;
/** Mutations that make large datagrams cost a thousand times the usual; one datagram in so many gets one. */
const HUGE_ONE_IN = 400;

const MARKS = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  '"',
  '<',
  '>',
  ',',
  ';',
  ':',
  '=',
  '@',
  '?',
  '/',
  '[',
  ']',
  '\\',
  '%',
  '%00',
  ' ',
  '\t',
  '\r\n ',
  '\x80',
  '\xff',
  '(',
  ')',
  '{',
  '#',
  '*',
  '+',
  '-',
  '\x7f',
  'tag=',
  ';lr',
  ';rport',
  ';received=',
  ';maddr=',
  'SIP/2.0',
] as const;
const NUMBERS = [
  '0',
  '1',
  '255',
  '256',
  '65535',
  '65536',
  '2147483647',
  '2147483648',
  '4294967296',
  '99999999999999999999',
  '-1',
  '0000000001',
  '1e3',
  '',
] as const;

type Mutation = (bytes: Uint8Array, random: Random, seeds: readonly Uint8Array[]) => Uint8Array;

/** The datagram of a seed message and a `Random`: one in sixteen untouched, the others spoiled up to four times. */
export function mutate(random: Random, seeds: readonly Uint8Array[]): Uint8Array {
  let bytes = random.pick(seeds);
  if (random.isOneIn(16)) return bytes;
  for (let left = 1 + random.below(MAX_MUTATIONS); left > 0; left--)
    bytes = random.pick(MUTATIONS)(bytes, random, seeds);
  if (random.isOneIn(HUGE_ONE_IN)) bytes = random.pick(HUGE_MUTATIONS)(bytes, random, seeds);
  return bytes.length > MAX_BYTES ? bytes.subarray(0, MAX_BYTES) : bytes;
}

const flipBytes: Mutation = (bytes, random) => {
  const copy = Uint8Array.from(bytes);
  if (copy.length === 0) return copy;
  for (let left = 1 + random.below(3); left > 0; left--) {
    const at = random.below(copy.length);
    copy[at] = random.isOneIn(2) ? random.below(256) : copy[at]! ^ (1 << random.below(8));
  }
  return copy;
};

const truncate: Mutation = (bytes, random) => bytes.subarray(0, random.below(bytes.length + 1));

const cutOut: Mutation = (bytes, random) => {
  const at = random.below(bytes.length + 1);
  return splice(bytes, at, Math.min(bytes.length, at + 1 + random.below(random.isOneIn(4) ? 200 : 8)));
};

const insertMark: Mutation = (bytes, random) => {
  const at = random.below(bytes.length + 1);
  return splice(bytes, at, at, latin1(random.pick(MARKS)));
};

const replaceByMark: Mutation = (bytes, random) => {
  const at = random.below(bytes.length + 1);
  return splice(bytes, at, Math.min(bytes.length, at + 1), latin1(random.pick(MARKS)));
};

const insertLine: Mutation = (bytes, random) => {
  const [at] = someLine(bytes, random);
  return splice(bytes, at, at, latin1(`${random.pick(LINES)}\r\n`));
};

const duplicateLine: Mutation = (bytes, random) => {
  const [start, end] = someLine(bytes, random);
  const [at] = someLine(bytes, random);
  return splice(bytes, at, at, bytes.subarray(start, end));
};

const dropLine: Mutation = (bytes, random) => {
  const [start, end] = someLine(bytes, random);
  return splice(bytes, start, end);
};

const swapLines: Mutation = (bytes, random) => {
  const [start, end] = someLine(bytes, random);
  const line = bytes.slice(start, end);
  const rest = splice(bytes, start, end);
  const [at] = someLine(rest, random);
  return splice(rest, at, at, line);
};

const repeatLine: Mutation = (bytes, random) => {
  const [start, end] = someLine(bytes, random);
  const count = random.pick([2, 3, 5, 20, 39, 41, 63, 65, 70, 100]);
  return splice(bytes, start, start, repeated(bytes.subarray(start, end), Math.min(count, 4000 / (end - start + 1))));
};

const spliceTwo: Mutation = (bytes, random, seeds) => {
  const other = random.pick(seeds);
  const from = random.below(other.length + 1);
  const to = random.isOneIn(2) ? other.length : Math.min(other.length, from + random.below(100));
  const at = random.below(bytes.length + 1);
  return splice(bytes, at, random.isOneIn(2) ? bytes.length : at, other.subarray(from, to));
};

const inflateNumber: Mutation = (bytes, random) => {
  const start = findFrom(bytes, random.below(bytes.length + 1), isDigit);
  if (start === bytes.length) return bytes;
  const end = findFrom(bytes, start, (byte) => !isDigit(byte));
  return splice(bytes, start, end, latin1(random.pick(NUMBERS)));
};

const foldLine: Mutation = (bytes, random) => {
  const at = findFrom(bytes, random.below(bytes.length + 1), (byte) => byte === 0x20 || byte === 0x3a || byte === 0x3b);
  if (at === bytes.length) return bytes;
  return splice(bytes, at + 1, at + 1, latin1(random.pick(['\r\n ', '\r\n\t', ' \r\n ', '\n ', '\r\n \r\n ', '\t '])));
};

const changeCase: Mutation = (bytes, random) => {
  const copy = Uint8Array.from(bytes);
  const [start, end] = someLine(bytes, random);
  for (let i = start; i < end && copy[i] !== 0x3a; i++) {
    if ((copy[i]! | 0x20) >= 0x61 && (copy[i]! | 0x20) <= 0x7a) copy[i] = copy[i]! ^ (random.isOneIn(2) ? 0x20 : 0);
  }
  return copy;
};

const MUTATIONS: readonly Mutation[] = [
  flipBytes,
  flipBytes,
  truncate,
  cutOut,
  insertMark,
  insertMark,
  replaceByMark,
  insertLine,
  insertLine,
  duplicateLine,
  dropLine,
  swapLines,
  repeatLine,
  spliceTwo,
  inflateNumber,
  inflateNumber,
  foldLine,
  foldLine,
  changeCase,
];

const repeatLineToTheEnd: Mutation = (bytes, random) => {
  const [start, end] = someLine(bytes, random);
  const line = bytes.subarray(start, end);
  return splice(bytes, start, start, repeated(line, random.pick([100, 500, 511, 513, 2000])));
};

const lengthenValue: Mutation = (bytes, random) => {
  const at = random.below(bytes.length + 1);
  const unit = random.pick([
    'a',
    ',',
    ' ',
    '\r\n ',
    '<',
    '"',
    '\\',
    ';x',
    ',<sip:a@b>',
    '%41',
    '(',
    '\0',
    '[',
    '::',
    '1',
    ':',
    '\xff',
    '\t',
  ]);
  return splice(bytes, at, at, repeated(latin1(unit), random.pick([300, 5000, 65_000]) / unit.length));
};

const deepenList: Mutation = (bytes, random) => {
  const [start] = someLine(bytes, random);
  const item = random.pick([
    'SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1',
    '<sip:192.0.2.254;lr>',
    '<sip:p.example;lr>',
    'foo',
    'SIP/2.0/UDP 192.0.2.254',
  ]);
  const name = random.pick(['Via', 'Route', 'Record-Route', 'Proxy-Require', 'Contact']);
  const list = repeated(latin1(`${item}, `), random.pick([50, 500, 1500]));
  return splice(bytes, start, start, Buffer.concat([latin1(`${name}: `), list, latin1(`${item}\r\n`)]));
};

/** Many headers whose line ends are not plain: each becomes two spans of an own response. */
const manyLooseLines: Mutation = (bytes, random) => {
  const [start] = someLine(bytes, random);
  const line = random.pick([
    'Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1 \r\n',
    'v:SIP/2.0/UDP a\r\n \r\n',
    'Route: <sip:192.0.2.254;lr>\r\n',
  ]);
  const filled = random.isOneIn(2) ? line : line.replace('\r', `;x=${'y'.repeat(random.below(200))} \r`);
  return splice(bytes, start, start, repeated(latin1(filled), random.pick([64, 200, 480])));
};

const fillUp: Mutation = (bytes, random) => {
  const filler = new Uint8Array(MAX_BYTES - bytes.length).fill(random.pick([0x61, 0, 0x20, 0x0a, 0xff]));
  return Buffer.concat([bytes, filler]);
};

const HUGE_MUTATIONS: readonly Mutation[] = [
  repeatLineToTheEnd,
  lengthenValue,
  lengthenValue,
  deepenList,
  manyLooseLines,
  fillUp,
];

/** [start, end) of some line with its line end. */
function someLine(bytes: Uint8Array, random: Random): [start: number, end: number] {
  if (bytes.length === 0) return [0, 0];
  const start = bytes.lastIndexOf(0x0a, random.below(bytes.length)) + 1;
  const newline = bytes.indexOf(0x0a, start);
  return [start, newline === -1 ? bytes.length : newline + 1];
}

/** `text` in place of [start, end). */
function splice(bytes: Uint8Array, start: number, end: number, text?: Uint8Array): Uint8Array {
  const added = text?.length ?? 0;
  const result = new Uint8Array(start + added + bytes.length - end);
  result.set(bytes.subarray(0, start));
  if (text !== undefined) result.set(text, start);
  result.set(bytes.subarray(end), start + added);
  return result;
}

function repeated(unit: Uint8Array, count: number): Uint8Array {
  const times = Math.max(1, Math.min(Math.trunc(count), Math.ceil(MAX_BYTES / Math.max(1, unit.length))));
  const result = new Uint8Array(unit.length * times);
  for (let i = 0; i < times; i++) result.set(unit, i * unit.length);
  return result;
}

function findFrom(bytes: Uint8Array, start: number, isWanted: (byte: number) => boolean): number {
  let at = start;
  while (at < bytes.length && !isWanted(bytes[at]!)) at++;
  return at;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function latin1(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}
