import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseUsersFile } from '../../src/runtime/user-directory/users-file.ts';

const MD5 = '0123456789abcdef0123456789ABCDEF';
const SHA = MD5 + MD5;

const parse = (text: string | Uint8Array, others: string[] = []) =>
  parseUsersFile(Buffer.from(text), 'users', 'example.org', new Set(others));

/** Users with their HA1s. */
function usersOf(text: string, others: string[] = []) {
  const { users, problems } = parse(text, others);
  expect(problems).toBeUndefined();
  return users!.map(({ user, ha1, exists }) => ({ user, ha1: { ...ha1 }, exists }));
}

function problemsOf(text: string | Uint8Array, others: string[] = []): readonly string[] {
  const { users, problems } = parse(text, others);
  expect(users).toBeUndefined();
  return problems!;
}

describe('a file of users', () => {
  it('may be one that htdigest wrote', () => {
    expect(usersOf(`alice:example.org:${MD5}\nbob:example.org:${MD5}\n`)).toEqual([
      { user: 'alice', ha1: { MD5 }, exists: true },
      { user: 'bob', ha1: { MD5 }, exists: true },
    ]);
  });

  it('gives a user an HA1 for each algorithm, in lines of any order', () => {
    const text = `alice:example.org:SHA-256:${SHA}\nbob\nalice:example.org:sha-512-256:${SHA}\nalice:example.org:MD5:${MD5}`;
    expect(usersOf(text)).toEqual([
      { user: 'alice', ha1: { MD5, 'SHA-256': SHA, 'SHA-512-256': SHA }, exists: true },
      { user: 'bob', ha1: {}, exists: true },
    ]);
  });

  it('has comments, empty lines and line ends of Windows', () => {
    expect(usersOf(`# alice:x\r\n\r\nalice:example.org:${MD5}\r\nbob\r\n`).map(({ user }) => user)).toEqual([
      'alice',
      'bob',
    ]);
  });

  it('may begin with a byte order mark', () => {
    expect(usersOf('\ufeffalice\n')).toEqual([{ user: 'alice', ha1: {}, exists: true }]);
  });

  it('reads a realm that has colons', () => {
    const parsed = parseUsersFile(Buffer.from(`alice:a:b:${MD5}\nalice:a:b:SHA-256:${SHA}`), 'users', 'a:b');
    expect(parsed.users).toMatchObject([{ user: 'alice', ha1: { MD5, 'SHA-256': SHA } }]);
  });

  it('passes over the realm of another domain that has the same file, and takes no other', () => {
    const text = `alice:example.org:${MD5}\neve:example.net:${MD5}`;
    expect(usersOf(text, ['example.net']).map(({ user }) => user)).toEqual(['alice']);
    expect(problemsOf(text)).toEqual(['users:2: "eve": the realm is "example.net", that of the domain "example.org"']);
  });

  it.each([
    ['alice:example.org', '"alice": one colon only; accepted'],
    [`alice:example.org:${MD5}0`, '"alice": an HA1 by MD5 has 32 hexadecimal digits'],
    [`alice:example.org:${MD5.slice(1)}g`, '"alice": an HA1 by MD5 has 32'],
    [`alice:example.org:SHA-256:${MD5}`, '"alice": an HA1 by SHA-256 has 64'],
    [`alice:example.org:SHA-1:${MD5}`, '"alice": not an algorithm after the realm'],
    [`al ice:example.org:${MD5}`, 'does not begin with a user name'],
    [`alice@example.org:example.org:${MD5}`, 'does not begin with a user name'],
    ['/1../', 'does not begin with a user name'],
    [`:example.org:${MD5}`, 'does not begin with a user name'],
    [`${'a'.repeat(257)}`, 'does not begin with a user name'],
  ])('says what is wrong with %s', (line, problem) => {
    const [said, ...others] = problemsOf(`# one\n${line}\nbob\n`);
    expect(said).toContain(`users:2: ${problem}`);
    expect(others).toEqual([]);
  });

  it('says everything that is wrong, with the lines, and nothing that may be a password', () => {
    const problems = problemsOf(`alice:secret\nbob\nbob secret\ncarol:example.org:secret\n`);
    expect(problems.map((problem) => problem.split(':')[1])).toEqual(['1', '3', '4']);
    expect(problems.join()).not.toContain('secret');
  });

  it('refuses a second HA1 of a user for one algorithm', () => {
    expect(problemsOf(`alice:example.org:${MD5}\nbob\nalice:example.org:MD5:${MD5}`)).toEqual([
      'users:3: "alice": the HA1 for MD5 is there already, in line 1',
    ]);
  });

  it('refuses a file without users, and one that is no text', () => {
    expect(problemsOf('')).toEqual(['users: has no users in it']);
    expect(problemsOf('# nobody\n')).toEqual(['users: has no users in it']);
    expect(problemsOf(Buffer.from([0x61, 0xff, 0x0a]))).toEqual(['users: is not UTF-8 text']);
  });

  it('stops listing problems after a thousand', () => {
    const problems = problemsOf('a:b\n'.repeat(1500));
    expect(problems).toHaveLength(1001);
    expect(problems.at(-1)).toBe('users: and 500 more problems');
  });

  it('is read as it was written, whoever the users are', () => {
    const name = fc.stringMatching(/^[a-z0-9ä+._-]{1,20}$/);
    const hex = fc.stringMatching(/^[0-9a-f]{32}$/);
    const bytes = fc.oneof(fc.string(), fc.constantFrom(':', '\n', '\r\n', 'example.org', MD5, SHA, 'SHA-256', '#'));
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, hex), { minLength: 1, selector: ([user]) => user }), (entries) => {
        const text = entries.map(([user, ha1]) => `${user}:example.org:${ha1}`).join('\n');
        expect(usersOf(text).map(({ user, ha1 }) => [user, ha1.MD5])).toEqual(entries);
      }),
      { numRuns: 50 },
    );
    fc.assert(
      fc.property(fc.array(bytes), (pieces) => {
        const { users, problems } = parse(pieces.join(''));
        expect((users === undefined) !== (problems === undefined)).toBe(true);
        for (const problem of problems ?? []) expect(problem).toMatch(/^users(?::\d+)?: /);
      }),
    );
  });
});
