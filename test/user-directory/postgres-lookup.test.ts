import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { configSchema } from '../../src/config/schema.ts';
import { ha1sOf } from '../../src/runtime/user-directory/postgres-lookup.ts';
import { ha1Of } from '../auth/digest-client.ts';

const MD5 = '0123456789abcdef'.repeat(2);
const SHA = MD5 + MD5;
const hexOf = (row: Record<string, unknown>) =>
  ha1sOf(row, 'example.org', 'alice').map((ha1) => (ha1 === null ? null : Buffer.from(ha1).toString('hex')));

describe('the HA1s of a row', () => {
  it.each([
    [{ ha1: MD5 }, [MD5, null, null]],
    [{ ha1: `${MD5.toUpperCase()}  ` }, [MD5, null, null]],
    [{ ha1: SHA }, [null, SHA, null]],
    [{ ha1: MD5, ha1_sha256: SHA, ha1_sha512t256: SHA }, [MD5, SHA, SHA]],
    [{ ha1_sha512_256: SHA }, [null, null, SHA]],
    [{ ha1: '', ha1_sha256: null }, [null, null, null]],
    [{ ha1: 'x'.repeat(32), ha1_sha256: MD5 }, [null, null, null]],
    [{ password: '' }, [null, null, null]],
  ])('%j', (row, ha1s) => {
    expect(hexOf(row)).toEqual(ha1s);
  });

  it('are made of the password where they are missing', () => {
    const account = { user: 'alice', password: 'secret' };
    const made = ['MD5', 'SHA-256', 'SHA-512-256'].map((algorithm) => ha1Of(algorithm, account, 'example.org'));
    expect(hexOf({ password: 'secret' })).toEqual(made);
    expect(hexOf({ password: 'secret', ha1: MD5 })).toEqual([MD5, made[1], made[2]]);
  });

  it('without any of the columns are an error, which quotes nothing of the row', () => {
    expect(() => hexOf({ hash: 'secret' })).toThrow(/^auth\.directory\.query gives none of the columns ha1, [^"]*$/);
    expect(() => hexOf({ hash: 'secret' })).not.toThrow('secret');
  });
});

describe('auth.directory', () => {
  const directory = (settings: object) => loadConfig({ sets: [`auth.directory=${JSON.stringify(settings)}`] });

  it('needs an URL alone', () => {
    const { config } = directory({ url: 'postgres://strowger@db.example.org/kamailio' });
    const { url, query, ...rest } = config!.auth.directory!;
    expect(query).toContain('FROM subscriber');
    expect(rest).toEqual({ timeoutMs: 1000, cacheSec: 300, absentSec: 30, maxPending: 256 });
    expect(configSchema.parse({}).auth.directory).toBeUndefined();
  });

  it.each([
    [{ url: 'mysql://u:secret@db/kamailio' }, 'auth.directory.url: is not a URL that begins with postgres://'],
    [{ url: 'postgres://db/x', query: 'SELECT 1' }, 'auth.directory.query: has no $1'],
    [{}, 'auth.directory.url: is missing'],
  ])('%j is refused without quoting a password', (settings, problem) => {
    const { problems } = directory(settings);
    expect(problems).toHaveLength(1);
    expect(problems![0]).toContain(problem);
    expect(problems![0]).not.toContain('secret');
  });
});
