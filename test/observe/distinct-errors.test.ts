/** The list of what went wrong lately. */

import { expect, it } from 'vitest';
import { DistinctErrors } from '../../src/observe/distinct-errors.ts';

let nowMs = 0;
const errorsAt = (startMs: number) => {
  nowMs = startMs;
  return new DistinctErrors(() => nowMs);
};

it('counts a kind that comes again, and keeps what was said last', () => {
  const errors = errorsAt(0);
  errors.note({ kind: 'store', text: 'disk full' });
  nowMs = 5000;
  errors.note({ kind: 'store', text: 'disk gone', hint: 'buy one', count: 4 });
  expect(errors.recent()).toEqual([
    {
      kind: 'store',
      count: 5,
      firstAt: '1970-01-01T00:00:00.000Z',
      lastAt: '1970-01-01T00:00:05.000Z',
      text: 'disk gone',
      hint: 'buy one',
    },
  ]);
});

it('has the latest first, and no more than were asked for', () => {
  const errors = errorsAt(0);
  for (const kind of ['a', 'b', 'c', 'a']) errors.note({ kind, text: '' });
  expect(errors.recent().map(({ kind }) => kind)).toEqual(['a', 'c', 'b']);
  expect(errors.recent(1).map(({ kind }) => kind)).toEqual(['a']);
});

it('is bounded: the kind that has not come for longest goes, and long texts are cut', () => {
  const errors = errorsAt(0);
  for (let i = 0; i < 201; i++) errors.note({ kind: `kind ${i}`, text: 'x'.repeat(10_000) });
  const kinds = errors.recent();
  expect(kinds).toHaveLength(200);
  expect(kinds.at(-1)).toMatchObject({ kind: 'kind 1', text: 'x'.repeat(500) });
});
