/** Log lines for people. */

import { describe, expect, it } from 'vitest';
import { prettyLine } from '../../src/runtime/log.ts';

describe('a pretty line', () => {
  it('has time, level, message and fields', () => {
    const event = { level: 'warn', ts: '2026-01-02T03:04:05.678Z', shard: 2, call_id: 'a b', msg: 'shed' };
    expect(prettyLine(JSON.stringify(event))).toBe('03:04:05.678 WARN  shed  shard=2 call_id="a b"\n');
  });

  it('has the stack of an error below it', () => {
    const event = {
      level: 'error',
      ts: '2026-01-02T03:04:05.678Z',
      err: { message: 'm', stack: 'Error: m\n at x' },
      msg: 'died',
    };
    expect(prettyLine(JSON.stringify(event))).toBe('03:04:05.678 ERROR died\n  Error: m\n   at x\n');
  });

  it('never carries control characters of the network to the terminal', () => {
    const event = { level: 'info', ts: '', msg: 'from \u001b[2J\r\n', tag: '\u001b[31m' };
    expect(prettyLine(JSON.stringify(event))).toBe(' INFO  from \\x1b[2J\\x0d\\x0a  tag="\\u001b[31m"\n');
  });

  it('passes on what is not JSON', () => {
    expect(prettyLine('plain\n')).toBe('plain\n');
  });
});
