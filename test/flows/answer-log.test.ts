/** What the log says of requests that the server turns away. */

import { expect, it } from 'vitest';
import type { AnswerLine } from '../../src/roles/answer-log.ts';
import { request } from './messages.ts';
import { ALICE, createElement, STRANGER } from './virtual-network.ts';

const DEBUG = 20;
const WARN = 40;

function listening(level: number) {
  const said: { level: string; line: AnswerLine; text: string }[] = [];
  const state = { level };
  const element = createElement({
    mode: 'stateful',
    hosts: {},
    answerLog: {
      level: () => state.level,
      write: (lineLevel, line, text) => said.push({ level: lineLevel, line, text }),
    },
  });
  let calls = 0;
  const ask = (uri: string, from = ALICE, parts: object = {}) => {
    const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKsaid${++calls}`;
    return element.receive(request({ uri, via, callId: `said-${calls}`, ...parts }), from);
  };
  return { said, state, element, ask };
}

it('says the first of a reason at once, with its Call-ID, method, code and source', () => {
  const { said, ask } = listening(DEBUG);
  ask('sip:bob@elsewhere.example', STRANGER);
  expect(said).toEqual([
    {
      level: 'debug',
      line: { call_id: 'said-1', method: 'INVITE', code: 403, source: '203.0.113.66:5060', count: 1 },
      text: 'answered 403 Relaying Denied',
    },
  ]);
});

it('says those of the next minute in one line, with their count', () => {
  const { said, element, ask } = listening(DEBUG);
  for (let i = 0; i < 5; i++) ask('sip:bob@elsewhere.example', STRANGER);
  element.advance(60_000);
  ask('sip:bob@elsewhere.example', STRANGER);
  expect(said.map(({ line }) => [line.call_id, line.count])).toEqual([
    ['said-1', 1],
    ['said-6', 5],
  ]);
});

it('tells reasons apart, those of one status too', () => {
  const { said, ask } = listening(DEBUG);
  ask('sip:bob@biloxi.example', ALICE, { from: 'nobody' });
  ask('sip:bob@biloxi.example', ALICE, { maxForwards: 'many' });
  expect(said.map(({ text }) => text)).toEqual([
    'answered 400 Malformed From Header',
    'answered 400 Malformed Max-Forwards Header',
  ]);
});

it('says what is the state of the server as a warning, and the rest only to who wants it', () => {
  const { said, state, ask } = listening(WARN);
  ask('sip:bob@elsewhere.example', STRANGER);
  ask('sip:bob@nowhere.example');
  expect(said.map(({ level, text }) => [level, text])).toEqual([['warn', 'answered 500 Next Hop Unresolvable']]);
  state.level = 50;
  ask('sip:bob@elsewhere.example', STRANGER);
  state.level = 0;
  ask('sip:bob@elsewhere.example', STRANGER);
  expect(said).toHaveLength(1);
});

it('says what becomes of a request later, too', () => {
  const { said, element, ask } = listening(DEBUG);
  ask('sip:bob@biloxi.example');
  element.advance(40_000);
  expect(said).toMatchObject([{ line: { call_id: 'said-1', method: 'INVITE', code: 408, count: 1 } }]);
});
