/** JSON-RPC 2.0 by the examples of its specification (section 7), and by what is no request at all. */

import fc from 'fast-check';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { answerText, type Calls } from '../../src/runtime/control/json-rpc.ts';
import { METHODS } from '../../src/runtime/control/methods.ts';
import { INVALID_PARAMS, RequestError } from '../../src/runtime/request-error.ts';
import type { RunningServer } from '../../src/runtime/running-server.ts';

const log = pino({ level: 'silent' });

/** Ours take parameters by name alone. */
function numbersIn(params: unknown): { minuend: number; subtrahend: number } {
  if (Array.isArray(params)) throw new RequestError(INVALID_PARAMS, 'params go by name');
  return params as { minuend: number; subtrahend: number };
}

const notified: unknown[] = [];
const CALLS: Calls = {
  subtract: (params) => numbersIn(params).minuend - numbersIn(params).subtrahend,
  update: (params) => void notified.push(params),
  get_data: () => ['hello', 5],
};

const ask = async (text: string) => {
  const answer = await answerText(text, CALLS, log);
  return answer === null ? null : JSON.parse(answer);
};
const failed = (id: unknown, code: number) => ({ jsonrpc: '2.0', id, error: { code, message: expect.any(String) } });

describe('7 Examples', () => {
  it.each([
    [
      'named parameters',
      '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
      { jsonrpc: '2.0', result: 19, id: 3 },
    ],
    [
      'positional parameters, which ours do not take',
      '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
      failed(1, -32602),
    ],
    ['a notification', '{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', null],
    ['a notification of a method that is not there', '{"jsonrpc": "2.0", "method": "foobar"}', null],
    ['a method that is not there', '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}', failed('1', -32601)],
    ['invalid JSON', '{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', failed(null, -32700)],
    ['an invalid request', '{"jsonrpc": "2.0", "method": 1, "params": "bar"}', failed(null, -32600)],
    [
      'a batch of invalid JSON',
      '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]',
      failed(null, -32700),
    ],
    ['an empty array', '[]', failed(null, -32600)],
    ['an invalid batch', '[1]', [failed(null, -32600)]],
    ['a longer one', '[1,2,3]', [failed(null, -32600), failed(null, -32600), failed(null, -32600)]],
    [
      'a batch of everything',
      `[{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": "2"},
        {"jsonrpc": "2.0", "method": "update", "params": [7]}, {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "get_data", "id": "9"}]`,
      [
        { jsonrpc: '2.0', result: 19, id: '2' },
        failed(null, -32600),
        failed('5', -32601),
        { jsonrpc: '2.0', result: ['hello', 5], id: '9' },
      ],
    ],
    [
      'a batch of notifications',
      '[{"jsonrpc": "2.0", "method": "update"}, {"jsonrpc": "2.0", "method": "update", "params": [7]}]',
      null,
    ],
  ])('%s', async (_, text, expected) => {
    expect(await ask(text)).toEqual(expected);
  });

  it('a null id is an id, and an answer comes', async () => {
    expect(await ask('{"jsonrpc":"2.0","method":"get_data","id":null}')).toMatchObject({
      id: null,
      result: ['hello', 5],
    });
  });

  it('a batch beyond its limit is refused as a whole', async () => {
    const one = '{"jsonrpc":"2.0","method":"update"}';
    notified.length = 0;
    expect(await ask(`[${new Array(65).fill(one).join(',')}]`)).toEqual(failed(null, -32600));
    expect(notified).toEqual([]);
  });
});

describe('whatever comes', () => {
  const isAnswer = (answer: { jsonrpc?: unknown; result?: unknown; error?: { code?: unknown } }) =>
    answer.jsonrpc === '2.0' && 'result' in answer !== (typeof answer.error?.code === 'number');

  it('gets answers of JSON-RPC, or none', async () => {
    const value = fc.oneof(
      fc.jsonValue(),
      fc.record(
        {
          jsonrpc: fc.constant('2.0'),
          id: fc.jsonValue(),
          method: fc.oneof(fc.constantFrom(...Object.keys(CALLS), '__proto__', 'constructor'), fc.string()),
          params: fc.jsonValue(),
        },
        { requiredKeys: [] },
      ),
    );
    const text = fc.oneof(
      fc.string(),
      value.map((one) => JSON.stringify(one)),
      fc.array(value, { maxLength: 5 }).map((some) => JSON.stringify(some)),
    );
    await fc.assert(
      fc.asyncProperty(text, async (line) => {
        const answer = await ask(line);
        const answers = answer === null ? [] : Array.isArray(answer) ? answer : [answer];
        expect(answers.every(isAnswer), JSON.stringify(answer)).toBe(true);
      }),
    );
  });

  it('as parameters of any method is refused before anything is done, or taken', async () => {
    const touched: string[] = [];
    const untouchable = new Proxy({} as RunningServer, {
      get: (_, name) => {
        touched.push(String(name));
        return new Proxy(() => undefined, { get: () => () => undefined });
      },
    });
    const params = fc.oneof(fc.jsonValue(), fc.dictionary(fc.string(), fc.jsonValue()));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.entries(METHODS)),
        params,
        async ([, { call, params: schema }], given) => {
          touched.length = 0;
          const isRight = !Array.isArray(given) && schema.safeParse(given ?? {}).success;
          if (isRight) return;
          expect(() => call(untouchable, given, {} as never)).toThrow(RequestError);
          expect(touched).toEqual([]);
        },
      ),
    );
  });
});

describe('rpc.discover', () => {
  it('describes every method', () => {
    const document = METHODS['rpc.discover']!.call({} as RunningServer, {}, {} as never) as {
      openrpc: string;
      methods: { name: string; params: { name: string; required: boolean }[] }[];
    };
    expect(document.openrpc).toMatch(/^1\.\d/);
    expect(document.methods.map(({ name }) => name)).toEqual(Object.keys(METHODS));
    const ban = document.methods.find(({ name }) => name === 'ban.add')!;
    expect(ban.params.map(({ name, required }) => [name, required])).toEqual([
      ['source', true],
      ['durationSec', false],
      ['reason', false],
      ['force', false],
    ]);
  });
});
