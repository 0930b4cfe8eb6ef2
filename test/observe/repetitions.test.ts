/** One line per distinct error and minute. */

import { expect, it } from 'vitest';
import { REPETITION_WINDOW_MS, Repetitions } from '../../src/observe/repetitions.ts';

function watched() {
  const state = { nowMs: 0 };
  const repetitions = new Repetitions<string>(() => state.nowMs);
  const said: [string, number][] = [];
  const say = (key: string, line: string) => {
    const isFirst = repetitions.isFirst(key, line, (forgotten) => said.push([forgotten.line, forgotten.count]));
    if (isFirst) said.push([line, 0]);
  };
  const check = () => {
    for (const { line, count } of repetitions.due()) said.push([line, count]);
  };
  return { state, said, say, check };
}

it('says the first at once, and what comes again with its count when the minute is over', () => {
  const { state, said, say, check } = watched();
  say('disk', 'disk full 1');
  for (let i = 2; i <= 4; i++) say('disk', `disk full ${i}`);
  say('net', 'net down');
  check();
  expect(said).toEqual([
    ['disk full 1', 0],
    ['net down', 0],
  ]);
  state.nowMs = REPETITION_WINDOW_MS;
  check();
  expect(said.slice(2)).toEqual([['disk full 4', 3]]);
  say('disk', 'disk full 5');
  expect(said).toHaveLength(3);
  state.nowMs = 2 * REPETITION_WINDOW_MS;
  check();
  expect(said.slice(3)).toEqual([['disk full 5', 1]]);
});

it('begins anew after a minute of silence', () => {
  const { state, said, say, check } = watched();
  say('disk', 'a');
  state.nowMs = REPETITION_WINDOW_MS;
  check();
  say('disk', 'b');
  expect(said).toEqual([
    ['a', 0],
    ['b', 0],
  ]);
});

it('loses no count where the check comes late', () => {
  const { state, said, say } = watched();
  say('disk', 'a');
  say('disk', 'b');
  state.nowMs = REPETITION_WINDOW_MS + 5000;
  say('disk', 'c');
  expect(said).toEqual([
    ['a', 0],
    ['b', 1],
    ['c', 0],
  ]);
});

it('is bounded, and says the count of what it forgets', () => {
  const { said, say } = watched();
  say('first', 'first');
  say('first', 'first again');
  for (let i = 0; i < 200; i++) say(`kind ${i}`, '');
  expect(said).toContainEqual(['first again', 1]);
});
