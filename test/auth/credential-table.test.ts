import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALGORITHM, ALGORITHM_NAMES, type Algorithm, DIGEST_BYTES } from '../../src/auth/algorithms.ts';
import {
  CredentialTable,
  MAX_USERNAME_BYTES,
  type RealmCredentials,
  shareCredentials,
} from '../../src/auth/credential-table.ts';
import { HA1 } from '../../src/auth/ha1-source.ts';
import { bytes, place, view, words } from '../sip/arena-text.ts';
import { ha1Of } from './digest-client.ts';

const text = { bytes, view, words };
const MD5_HA1 = '0123456789abcdef0123456789abcdef';

function tableOf(...realms: readonly RealmCredentials[]): CredentialTable {
  // As it goes to a shard.
  return new CredentialTable(structuredClone(shareCredentials(realms)));
}

/** Hex of the HA1, or the answer. */
function lookup(table: CredentialTable, realm: number, user: string, algorithm: Algorithm): string | number {
  const target = new Uint8Array(32).fill(0xee);
  const { start, end } = place(user);
  const answer = table.lookup(realm, text, start, end, algorithm, target);
  if (answer !== HA1.FOUND) return answer;
  return Buffer.from(target.subarray(0, DIGEST_BYTES[algorithm])).toString('hex');
}

describe('users with a name', () => {
  it('have the HA1 of their password for every algorithm', () => {
    const table = tableOf({ realm: 'a.example', users: [{ user: 'alice', password: 'pässword' }] });
    for (const algorithm of Object.values(ALGORITHM)) {
      expect(lookup(table, 0, 'alice', algorithm)).toBe(
        ha1Of(ALGORITHM_NAMES[algorithm], { user: 'alice', password: 'pässword' }, 'a.example'),
      );
    }
    expect(table.userCount).toBe(1);
  });

  it('have the HA1s that are given and no others', () => {
    const table = tableOf({
      realm: 'r',
      users: [{ user: 'alice', ha1: { MD5: MD5_HA1, 'SHA-512-256': `ABCDEF01${'00'.repeat(28)}` } }],
    });
    expect(lookup(table, 0, 'alice', ALGORITHM.MD5)).toBe(MD5_HA1);
    expect(lookup(table, 0, 'alice', ALGORITHM.SHA_256)).toBe(HA1.ABSENT);
    expect(lookup(table, 0, 'alice', ALGORITHM.SHA_512_256)).toBe(`abcdef01${'00'.repeat(28)}`);
  });

  it('are told apart by realm, case and every byte', () => {
    const table = tableOf(
      { realm: 'a', users: [{ user: 'alice', password: '1' }] },
      {
        realm: 'b',
        users: [
          { user: 'alice', password: '2' },
          { user: 'Älice', password: '3' },
        ],
      },
      { realm: 'c', users: [] },
    );
    const md5 = (realm: string, user: string, password: string) => ha1Of('MD5', { user, password }, realm);
    expect(lookup(table, 0, 'alice', ALGORITHM.MD5)).toBe(md5('a', 'alice', '1'));
    expect(lookup(table, 1, 'alice', ALGORITHM.MD5)).toBe(md5('b', 'alice', '2'));
    expect(lookup(table, 1, 'Älice', ALGORITHM.MD5)).toBe(md5('b', 'Älice', '3'));
    for (const nobody of ['Alice', 'alic', 'alice\0', '', 'x'.repeat(MAX_USERNAME_BYTES + 1)]) {
      expect(lookup(table, 0, nobody, ALGORITHM.MD5)).toBe(HA1.ABSENT);
    }
    expect(lookup(table, 2, 'alice', ALGORITHM.MD5)).toBe(HA1.ABSENT);
  });

  it('are found among any others', () => {
    const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { maxLength: 60 });
    fc.assert(
      fc.property(names, names, (users, strangers) => {
        const wellFormed = users.filter((user) => user.isWellFormed());
        const table = tableOf({
          realm: 'r',
          algorithms: [ALGORITHM.MD5],
          users: wellFormed.map((user) => ({ user, password: user })),
        });
        for (const user of wellFormed) {
          expect(lookup(table, 0, user, ALGORITHM.MD5)).toBe(ha1Of('MD5', { user, password: user }, 'r'));
        }
        for (const stranger of strangers) {
          if (!users.includes(stranger) && stranger.isWellFormed())
            expect(lookup(table, 0, stranger, ALGORITHM.MD5)).toBe(HA1.ABSENT);
        }
      }),
    );
  });

  it('leave no password in the buffer', () => {
    const { buffer } = shareCredentials([{ realm: 'r', users: [{ user: 'alice', password: 'correct horse' }] }]);
    const all = Buffer.from(new Uint8Array(buffer)).toString('latin1');
    expect(all).toContain('alice');
    expect(all).not.toContain('correct horse');
  });

  it('without password or HA1 are nobody', () => {
    const table = tableOf({ realm: 'r', users: [{ user: 'alice' }, { user: 'bob', ha1: {} }, { user: /.*/ }] });
    expect(lookup(table, 0, 'alice', ALGORITHM.MD5)).toBe(HA1.ABSENT);
    expect(table.userCount).toBe(0);
    expect(table.algorithmsOf(0)).toBe(0b111);
  });

  it('stand in a realm once, with HA1s that are some', () => {
    const build =
      (...users: RealmCredentials['users']) =>
      () =>
        shareCredentials([{ realm: 'r', users }]);
    expect(build({ user: 'a', password: '1' }, { user: 'a', password: '2' })).toThrow('"a" stands twice in realm r');
    expect(build({ user: 'a', ha1: { MD5: MD5_HA1.slice(2) } })).toThrow('MD5 is not one');
    expect(build({ user: 'a', ha1: { MD5: `${MD5_HA1.slice(2)}zz` } })).toThrow('MD5 is not one');
    expect(build({ user: 'é'.repeat(129), password: 'x' })).toThrow('longer');
    expect(build({ user: 'a', password: '1' }, { user: 'b', password: '1' })).not.toThrow();
  });
});

describe('users that a pattern matches', () => {
  const table = tableOf({
    realm: 'r',
    users: [
      { user: '100', password: 'own' },
      { user: /^1\d\d$/g, password: 'all' },
      { user: /^é+$/u, password: 'e' },
    ],
  });

  it('share its password, and those with a name have their own', () => {
    for (let round = 0; round < 3; round++) {
      for (const user of ['101', '102', '199']) {
        for (const algorithm of Object.values(ALGORITHM)) {
          expect(lookup(table, 0, user, algorithm)).toBe(
            ha1Of(ALGORITHM_NAMES[algorithm], { user, password: 'all' }, 'r'),
          );
        }
      }
      expect(lookup(table, 0, '100', ALGORITHM.MD5)).toBe(ha1Of('MD5', { user: '100', password: 'own' }, 'r'));
      expect(lookup(table, 0, 'ééé', ALGORITHM.MD5)).toBe(ha1Of('MD5', { user: 'ééé', password: 'e' }, 'r'));
      for (const user of ['1', '1000', '', 'x']) expect(lookup(table, 0, user, ALGORITHM.MD5)).toBe(HA1.ABSENT);
    }
  });

  it('are right whatever the cache forgot, with long names too', () => {
    const all = tableOf({ realm: 'r', users: [{ user: /^.*$/s, password: 'p' }] });
    for (let i = 0; i < 3000; i++) {
      const user = `${i % 700}`.padStart(i % 7 === 0 ? 80 : 3, 'x');
      expect(lookup(all, 0, user, ALGORITHM.MD5)).toBe(ha1Of('MD5', { user, password: 'p' }, 'r'));
    }
  });
});

describe('algorithmsOf', () => {
  it('is what all users of a realm have in common', () => {
    const table = tableOf(
      {
        realm: 'a',
        users: [
          { user: 'x', password: 'p' },
          { user: 'y', ha1: { MD5: MD5_HA1 } },
        ],
      },
      { realm: 'b', users: [{ user: /./, password: 'p' }], algorithms: [ALGORITHM.SHA_256, ALGORITHM.MD5] },
      {
        realm: 'c',
        users: [
          { user: 'x', ha1: { MD5: MD5_HA1 } },
          { user: 'y', ha1: { 'SHA-256': MD5_HA1 + MD5_HA1 } },
        ],
      },
    );
    expect([0, 1, 2].map((realm) => table.algorithmsOf(realm))).toEqual([0b001, 0b011, 0]);
  });
});
