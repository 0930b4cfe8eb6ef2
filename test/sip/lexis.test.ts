import { describe, expect, it } from 'vitest';
import { ascii } from '../../src/base/ascii.ts';
import { isWord, skipLws, skipQuoted } from '../../src/sip/lexis.ts';
import { bytes, place } from './arena-text.ts';

describe('25.1 LWS', () => {
  it.each([
    ['', 0],
    ['x', 0],
    ['  x', 2],
    ['\t \tx', 3],
    ['\r\n x', 3],
    [' \r\n\tx', 4],
    ['\r\n \r\n  x', 7],
    ['\n x', 2],
    ['  ', 2],
    ['\r\nx', 0],
    [' \r\nx', 1],
    ['\r\n', 0],
    ['\r x', 0],
    ['\r\r\n x', 0],
    ['\r', 0],
    ['\u0000 x', 0],
    ['\u000b x', 0],
  ])('skips of %o the first %i', (text, count) => {
    const { start, end } = place(text, 0x20);
    expect(skipLws(bytes, start, end) - start).toBe(count);
  });
});

describe('25.1 quoted-string', () => {
  it.each([
    ['""', 2],
    ['"a"b', 3],
    ['"a\\"b"', 6],
    ['"\\\\"x', 4],
    ['"a\r\n b"', 7],
    ['"\t"', 3],
    ['"é"', 4],
    ['"\\\u0000"', 4],
    ['"<;,>"', 6],
  ])('ends %o after %i bytes', (text, count) => {
    const { start, end } = place(text, 0x22);
    expect(skipQuoted(bytes, start, end) - start).toBe(count);
  });

  it.each(['"', '"a', '"a\\"', '"\\', '"\\\r"', '"\\\n"', '"\\é"', '"a\r\nb"', '"a\rb"', '"\u0000"', '"\u007f"'])(
    'refuses %o',
    (text) => {
      const { start, end } = place(text, 0x22);
      expect(skipQuoted(bytes, start, end)).toBe(-1);
    },
  );
});

describe('words without case', () => {
  it.each([
    ['tag', true],
    ['TAG', true],
    ['tAg', true],
    ['ta', false],
    ['tags', false],
    ['t\u0001g', false],
  ])('"tag" is %o: %s', (text, expected) => {
    const { start, end } = place(text);
    expect(isWord(bytes, start, end, ascii('tag'))).toBe(expected);
  });

  it('does not take a control character for punctuation', () => {
    const { start, end } = place('a\rb');
    expect(isWord(bytes, start, end, ascii('a-b'))).toBe(false);
  });
});
