import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BRANCH_PREFIX,
  CHANGING_DIGITS,
  isHex,
  isUniqueBranch,
  loopHash,
  readHex,
  TransactionKey,
} from '../../src/sip/branch.ts';
import { MessageIndex } from '../../src/sip/message-index.ts';
import { parseMessage } from '../../src/sip/parse-message.ts';
import { request } from '../flows/messages.ts';
import { bytes, place, placeSecond, words } from './arena-text.ts';

function keyOf(branch: string, sentBy: string): string {
  const key = new TransactionKey();
  const one = place(branch);
  const two = placeSecond(sentBy);
  key.begin();
  key.fold(words, one.start, one.end);
  key.fold(words, two.start, two.end);
  return `${key.high} ${key.low}`;
}

function loopOf(text: string, socket = 0): number {
  const index = new MessageIndex();
  const { start, end } = place(text);
  parseMessage(bytes, words, start, end, index);
  return loopHash(words, index, socket);
}

describe('8.1.1.7 The magic cookie', () => {
  it.each(['z9hG4bK1', 'z9hG4bKz9hG4bK', 'Z9HG4BKx', 'z9hg4bk-'])('%s makes a branch unique', (branch) => {
    const { start, end } = place(branch);
    expect(isUniqueBranch(bytes, start, end)).toBe(true);
  });

  it.each(['', 'z9hG4bK', 'z9hG4b', 'z9hG4bX1', 'xz9hG4bK1', 'Y9hG4bK1', '\x1a9hG4bK1', 'z\x19hG4bK1'])(
    '%j does not',
    (branch) => {
      const { start, end } = place(branch);
      expect(isUniqueBranch(bytes, start, end)).toBe(false);
    },
  );

  it('begins our own branches', () => {
    const { start, end } = place(`${BRANCH_PREFIX}${'0'.repeat(CHANGING_DIGITS)}`);
    expect(isUniqueBranch(bytes, start, end)).toBe(true);
  });
});

describe('16.11 The transaction key', () => {
  it('is the same for the same branch and sent-by, wherever they lie', () => {
    expect(keyOf('z9hG4bK1', '192.0.2.1:5060')).toBe(keyOf('z9hG4bK1', '192.0.2.1:5060'));
  });

  it('differs with the branch, with the sent-by, and with where one ends and the other begins', () => {
    const keys = [
      keyOf('z9hG4bK1', 'a.example'),
      keyOf('z9hG4bK2', 'a.example'),
      keyOf('z9hG4bK1', 'b.example'),
      keyOf('z9hG4bK1a', '.example'),
      keyOf('a.example', 'z9hG4bK1'),
    ];
    expect(new Set(keys).size).toBe(keys.length);
  });

  it('has two halves that do not follow from each other', () => {
    const halves = Array.from({ length: 500 }, (_, i) => keyOf(`z9hG4bK${i}`, 'a').split(' '));
    expect(new Set(halves.map(([high]) => high)).size).toBe(500);
    expect(new Set(halves.map(([, low]) => low)).size).toBe(500);
    expect(halves.every(([high, low]) => high !== low)).toBe(true);
  });
});

describe('16.6 step 8, the loop part', () => {
  const route = ['<sip:p1.example;lr>', '<sip:p2.example;lr>'];

  it('is the same whatever the method and the headers that decide nothing', () => {
    const hash = loopOf(request({ route }));
    expect(loopOf(request({ route, method: 'CANCEL' }))).toBe(hash);
    expect(loopOf(request({ route, maxForwards: 5, to: '<sip:x@y>;tag=1', headers: ['Proxy-Require: x'] }))).toBe(hash);
  });

  it('differs with the Request-URI, with every Route value and with the socket', () => {
    const hashes = [
      loopOf(request({ route })),
      loopOf(request({ route, uri: 'sip:other@biloxi.example' })),
      loopOf(request({ route: route.slice(1) })),
      loopOf(request({ route: route.toReversed() })),
      loopOf(request({})),
      loopOf(request({ route }), 1),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});

describe('hexadecimal digits', () => {
  it('are read back as they were written, in either case', () => {
    fc.assert(
      fc.property(fc.integer(), fc.boolean(), (value, isUpper) => {
        const digits = (value >>> 0).toString(16).padStart(8, '0');
        const { start, end } = place(isUpper ? digits.toUpperCase() : digits);
        expect(isHex(bytes, start, end)).toBe(true);
        expect(readHex(bytes, start, end) | 0).toBe(value | 0);
      }),
    );
  });

  it.each(['', 'g', '0x', '12 ', '1-', '\x11', '`', '@', '\x90'])('%j is none', (text) => {
    const { start, end } = place(Buffer.from(text, 'latin1'));
    expect(isHex(bytes, start, end)).toBe(false);
  });
});
