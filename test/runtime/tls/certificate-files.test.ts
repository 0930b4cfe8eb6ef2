import { copyFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { configSchema } from '../../../src/config/schema.ts';
import {
  CertificateFiles,
  CertificateFilesError,
  type TlsMaterial,
} from '../../../src/runtime/tls/certificate-files.ts';
import { quietLog } from '../../user-directory/quiet-log.ts';
import { Authority, type IssuedCertificate } from './authority.ts';

const authority = new Authority();
afterAll(() => authority.close());

const one = authority.issue('one', ['DNS:One.example', 'URI:sip:one.example']);
const two = authority.issue('two', ['DNS:two.example', 'DNS:www.two.example']);
const expired = authority.issue('expired', ['DNS:old.example'], { days: -1 });
const { log } = quietLog();

function files(...certificates: (IssuedCertificate & { names?: string[] })[]): CertificateFiles {
  return new CertificateFiles(configSchema.parse({ tls: { certificates, authorities: authority.file } }).tls, log);
}

describe('certificates', () => {
  it('are read with their names and days', () => {
    const read = files(one, { ...two, names: ['Other.example'] }, expired);
    expect(read.list()).toMatchObject([
      { file: one.certificate, names: ['one.example'], issuer: 'CN=Test Authority' },
      { file: two.certificate, names: ['other.example'] },
      { file: expired.certificate, names: ['old.example'], daysLeft: -2 },
    ]);
    expect(read.list()[0]!.daysLeft).toBeGreaterThan(360);
    expect(read.list()[0]!.fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    expect(read.material.authorities).toBe(authority.pem);
  });

  it.each([
    {
      what: 'a file that is not there',
      pair: { ...one, certificate: '/nowhere.pem' },
      problem: /\/nowhere\.pem: cannot be read \(ENOENT\)/,
    },
    {
      what: 'a key where the certificate should be',
      pair: { ...one, certificate: one.key },
      problem: /there is no certificate in it/,
    },
    {
      what: 'a certificate where the key should be',
      pair: { ...one, key: one.certificate },
      problem: /there is no private key in it/,
    },
    { what: "another's key", pair: { ...one, key: two.key }, problem: /two\.key is not the key of .*one\.pem/ },
  ])('$what is an error that says so', ({ pair, problem }) => {
    expect(() => files(two, pair)).toThrow(CertificateFilesError);
    expect(() => files(two, pair)).toThrow(problem);
  });

  it('authorities without a certificate are an error', () => {
    const empty = join(authority.folder, 'empty.pem');
    writeFileSync(empty, 'nothing');
    const { tls } = configSchema.parse({ tls: { authorities: empty } });
    expect(() => new CertificateFiles(tls, log)).toThrow(/empty\.pem: there is no certificate in it/);
  });
});

describe('changes', () => {
  /** Files of its own, and what it was told. */
  function changing() {
    const pair = { certificate: join(authority.folder, 'live.pem'), key: join(authority.folder, 'live.key') };
    const put = (from: IssuedCertificate) => {
      copyFileSync(from.certificate, pair.certificate);
      copyFileSync(from.key, pair.key);
    };
    put(one);
    const read = files(pair);
    const told: TlsMaterial[] = [];
    read.watch((material) => told.push(material));
    read.close();
    return { pair, put, read, told };
  }

  it('are taken over once the files have been the same at two looks', () => {
    const { put, read, told } = changing();
    read.look();
    read.look();
    expect(told).toEqual([]);
    put(two);
    read.look();
    expect(told).toEqual([]);
    read.look();
    expect(told).toEqual([read.material]);
    expect(read.list()[0]!.names).toEqual(['two.example', 'www.two.example']);
    expect([read.reloads, read.failedReloads]).toEqual([1, 0]);
  });

  it('that cannot be used change nothing, and are counted once', () => {
    const { pair, put, read, told } = changing();
    copyFileSync(two.key, pair.key);
    for (let look = 0; look < 4; look++) read.look();
    expect([told.length, read.reloads, read.failedReloads]).toEqual([0, 0, 1]);
    rmSync(pair.key);
    for (let look = 0; look < 4; look++) read.look();
    expect(read.failedReloads).toBe(2);
    expect(read.list()[0]!.names).toEqual(['one.example']);
    put(two);
    expect(read.reload()).toEqual({ isChanged: true, problem: null });
    expect(told).toHaveLength(1);
  });

  it('that make a file unreadable, whatever the reason, change nothing either', () => {
    const { pair, read, told } = changing();
    rmSync(pair.certificate);
    // ELOOP; root may read all that others may not.
    symlinkSync(pair.certificate, pair.certificate);
    for (let look = 0; look < 4; look++) read.look();
    expect([told.length, read.reloads, read.failedReloads]).toEqual([0, 0, 1]);
    expect(() => files(pair), 'at the start').toThrow(CertificateFilesError);
    rmSync(pair.certificate);
  });

  it('are read at once when somebody asks for it', () => {
    const { pair, put, read } = changing();
    expect(read.reload()).toEqual({ isChanged: false, problem: null });
    put(two);
    expect(read.reload()).toEqual({ isChanged: true, problem: null });
    writeFileSync(pair.certificate, 'broken');
    expect(read.reload()).toMatchObject({ isChanged: false, problem: expect.stringContaining('no certificate in it') });
    expect(read.reload(), 'as long as it is').toMatchObject({
      problem: expect.stringContaining('no certificate in it'),
    });
  });
});
