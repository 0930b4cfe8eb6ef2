import { describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { USER, Users } from '../../src/roles/proxy/users.ts';
import { parseUri, UriView } from '../../src/sip/uri.ts';

const make = (...domains: unknown[]) => new Users(configSchema.parse({ domains }));
const view = new UriView();

/** What `find` says of the user part of sip:USER@a.example, or of sip:a.example for null. */
function find(users: Users, user: string | null, domain = 0): number {
  const text = Buffer.from(user === null ? 'sip:a.example' : `sip:${user}@a.example`);
  const bytes = new Uint8Array(new SharedArrayBuffer(text.length));
  bytes.set(text);
  expect(parseUri(bytes, 0, bytes.length, view)).toBe(0);
  return users.find(domain, bytes, view.userStart, view.userEnd);
}

describe('16.5, the users of a domain', () => {
  it('are any unless there is a list', () => {
    const users = make('a.example', { name: 'b.example', users: 'any' });
    expect(users.hasLists).toBe(false);
    expect([0, 1, -1, -2].map((domain) => find(users, 'nobody', domain))).toEqual(Array(4).fill(USER.KNOWN));
  });

  it('are those of the list, in their case', () => {
    const users = make({ name: 'a.example', users: ['alice', 'Bob', '+49-30'] }, 'b.example');
    expect(users.hasLists).toBe(true);
    expect(['alice', 'Bob', '+49-30'].map((user) => find(users, user))).toEqual(Array(3).fill(USER.KNOWN));
    expect(['bob', 'ALICE', 'alic', 'alicee', '+4930'].map((user) => find(users, user))).toEqual(
      Array(5).fill(USER.UNKNOWN),
    );
    expect(find(users, 'nobody', 1)).toBe(USER.KNOWN);
  });

  it('may be nobody', () => {
    expect(find(make({ name: 'a.example', users: [] }), 'alice')).toBe(USER.UNKNOWN);
  });

  it('are compared without escapes and without a password (19.1.4)', () => {
    const users = make({ name: 'a.example', users: ['alice', 'jürgen', 'a/b', '/x@y/'] });
    const known = ['%61lice', '%61%6C%69%63%65', 'alice:secret', 'j%C3%BCrgen', 'a/b', 'a%2fb', 'x%40y'];
    expect(known.map((user) => find(users, user))).toEqual(Array(known.length).fill(USER.KNOWN));
    expect(['%41lice', 'alice%00', 'j%FCrgen', '%EF%BB%BFalice'].map((user) => find(users, user))).toEqual(
      Array(4).fill(USER.UNKNOWN),
    );
  });

  it('are none for the domain itself and for our bare addresses', () => {
    const users = make({ name: 'a.example', users: ['alice'] });
    expect(find(users, null)).toBe(USER.KNOWN);
    expect(find(users, 'nobody', -2)).toBe(USER.KNOWN);
  });

  it('match a pattern as a whole', () => {
    const users = make({ name: 'a.example', users: ['/1\\d\\d/', '/sales|support/', '/a.c/'] });
    expect(['100', '199', 'sales', 'support', 'a/c'].map((user) => find(users, user))).toEqual(
      Array(5).fill(USER.KNOWN),
    );
    const unknown = ['1000', '0100', '10', 'salesx', 'xsupport', 'A/c', 'a%0Ac', '100%0A'];
    expect(unknown.map((user) => find(users, user))).toEqual(Array(unknown.length).fill(USER.UNKNOWN));
  });

  it('are at most 256 bytes long, their escapes undone', () => {
    const users = make({ name: 'a.example', users: ['/x*/'] });
    expect(find(users, '%78'.repeat(256))).toBe(USER.KNOWN);
    expect(find(users, 'x'.repeat(257))).toBe(USER.UNKNOWN);
  });

  it('that are called like a property of every object are none', () => {
    const users = make({ name: 'a.example', users: ['alice'] });
    expect(['constructor', '__proto__', 'toString'].map((user) => find(users, user))).toEqual(
      Array(3).fill(USER.UNKNOWN),
    );
  });
});

describe('16.5, fixed contacts', () => {
  const users = make(
    {
      name: 'a.example',
      users: [
        '/.*/',
        { user: 'plain' },
        {
          user: 'support',
          contacts: [
            { uri: 'sip:late@10.0.0.3', q: 0.25 },
            'sip:first@10.0.0.1',
            { uri: 'sip:never@10.0.0.4', q: 0 },
            { uri: 'sip:second@10.0.0.2;user=phone', q: 1 },
          ],
        },
      ],
    },
    { name: 'b.example', users: [{ user: 'support', contacts: ['sip:b@10.0.0.9'] }] },
  );
  const contactsOf = (user: string, domain: number) =>
    users.contactsOf(find(users, user, domain)).map(({ uri, q }) => [new TextDecoder().decode(uri.bytes), q]);

  it('come by descending q, in their order where it is the same', () => {
    expect(contactsOf('support', 0)).toEqual([
      ['sip:first@10.0.0.1', 1000],
      ['sip:second@10.0.0.2;user=phone', 1000],
      ['sip:late@10.0.0.3', 250],
      ['sip:never@10.0.0.4', 0],
    ]);
  });

  it('belong to the user of that domain, before any pattern', () => {
    expect(contactsOf('s%75pport', 1)).toEqual([['sip:b@10.0.0.9', 1000]]);
    expect(find(users, 'plain')).toBe(USER.KNOWN);
    expect(find(users, 'other')).toBe(USER.KNOWN);
    expect(find(users, 'other', 1)).toBe(USER.UNKNOWN);
  });
});

describe('a domain with any user', () => {
  it('costs no garbage', () => {
    const users = make('a.example', { name: 'b.example', users: ['alice'] });
    const bytes = new Uint8Array(new SharedArrayBuffer(16));
    let sum = 0;
    const findAll = () => {
      for (let i = 0; i < 100_000; i++) sum += users.find(0, bytes, 0, 5);
    };
    let least = Number.POSITIVE_INFINITY;
    // The lowest of a few rounds: a collection or the test runner's own work in between would only add.
    for (let round = 0; round < 5; round++) {
      const before = process.memoryUsage().heapUsed;
      findAll();
      least = Math.min(least, Math.abs(process.memoryUsage().heapUsed - before) / 100_000);
    }
    expect(sum).toBe(5 * 100_000 * USER.KNOWN);
    expect(least).toBeLessThan(1);
  });
});
