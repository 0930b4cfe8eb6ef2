/** The commands that only ask: their rows fit the methods that they name. */

import { describe, expect, it } from 'vitest';
import { parseArguments, UsageError } from '../../src/cli/arguments.ts';
import { paramsOf } from '../../src/cli/ask.ts';
import { helpOfFlag, methodOf, paramOf, VERB_NAMES, type VerbName, verbOf } from '../../src/cli/verbs.ts';

describe.each(VERB_NAMES.map((name) => [name]))('strowger %s', (name) => {
  const { operands = [], flags = [], examples } = verbOf(name);

  it('names a method, and parameters that it has', () => {
    const { params } = methodOf(name);
    const named = [...operands.map(({ param }) => param), ...flags.map(paramOf)];
    expect(Object.keys(params.shape)).toEqual(expect.arrayContaining(named));
  });

  it('has a help for each flag, and an example that is a command line of its own', () => {
    expect(flags.map((flag) => helpOfFlag(name, flag))).not.toContain('');
    expect(examples.length).toBeGreaterThan(0);
    for (const [line] of examples) expect(line).toContain(`strowger ${name}`);
  });
});

describe('parameters from the command line', () => {
  const read = (name: VerbName, ...args: string[]) => paramsOf(parseArguments([...name.split(' '), ...args]), name);

  it('are numbers where the method wants one', () => {
    expect(read('error list', '--limit', '5')).toEqual({ limit: 5 });
    expect(read('error list')).toEqual({});
  });

  it.each([[['--limit', '0']], [['--limit', 'many']], [['--limit', '1e2']]])(
    'that it would not take are refused: %j',
    (args) => {
      expect(() => read('error list', ...args)).toThrow(UsageError);
    },
  );
});
