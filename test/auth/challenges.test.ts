import { describe, expect, it } from 'vitest';
import { ALGORITHM } from '../../src/auth/algorithms.ts';
import { CHALLENGE, MAX_AUTHENTICATION_INFO_BYTES, writeAuthenticationInfo } from '../../src/auth/challenges.ts';
import { Realm } from '../../src/auth/realm.ts';
import { bytes, view, words } from '../sip/arena-text.ts';
import { ALICE, AuthWorld, LIFETIME_SEC, NOW_MS } from './auth-world.ts';
import { type Attempt, challengesIn, paramsOf, responseOf } from './digest-client.ts';

const text = { bytes, view, words };

describe('8760 2.3, 3261 22.2 challenges', () => {
  it('are one line per algorithm, the most preferred first, with one nonce', () => {
    const text = new AuthWorld().challenge();
    const lines = text.split('\r\n');
    expect(lines).toHaveLength(3);
    expect(lines[0]).toMatch(
      /^WWW-Authenticate: Digest realm="atlanta\.example", nonce="[\w-]{32}", algorithm=SHA-256, qop="auth"$/,
    );
    expect(lines[1]).toBe(lines[0]!.replace('SHA-256', 'MD5'));
    expect(lines[2]).toBe('');
  });

  it('of a proxy, stale, with auth-int and opaque', () => {
    const world = new AuthWorld({
      algorithms: [ALGORITHM.SHA_512_256],
      offersAuthInt: true,
      opaque: 'o"paque',
      name: 'a\\b',
    });
    const text = world.challenge(CHALLENGE.PROXY, true);
    expect(text).toMatch(
      /^Proxy-Authenticate: Digest realm="a\\\\b", nonce="[\w-]{32}", algorithm=SHA-512-256, qop="auth,auth-int", opaque="o\\"paque", stale=true\r\n$/,
    );
    expect(challengesIn(text.replace('Proxy-Authenticate', 'x'))[0]).toMatchObject({
      realm: 'a\\b',
      opaque: 'o"paque',
    });
  });

  it('have another nonce each time', () => {
    const world = new AuthWorld();
    const nonces = Array.from({ length: 50 }, () => challengesIn(world.challenge())[0]!.nonce);
    expect(new Set(nonces).size).toBe(50);
  });

  it('need algorithms, each once', () => {
    const realm = (algorithms: readonly (0 | 1 | 2)[]) => () => new Realm({ number: 0, name: 'r', algorithms });
    expect(realm([])).toThrow('algorithms');
    expect(realm([0, 0])).toThrow('another algorithm');
    expect(realm([0, 1])).not.toThrow();
  });
});

describe('7616 3.5 Authentication-Info', () => {
  const AT = 90_000;

  function infoOf(world: AuthWorld, attempt: Attempt, nowMs: number, body = ''): string {
    expect(world.try(attempt, ALICE, {}, { nowMs })).toBe('OK');
    const bodyAt = 95_000;
    bytes.set(Buffer.from(body), bodyAt);
    const { realm, nonces, verifier } = world;
    const end = writeAuthenticationInfo(text, AT, verifier, realm, nonces, view, bodyAt, bodyAt + body.length, nowMs);
    expect(end - AT).toBeLessThanOrEqual(MAX_AUTHENTICATION_INFO_BYTES);
    return Buffer.from(bytes.slice(AT, end)).toString();
  }

  it.each(['MD5', 'SHA-256', 'SHA-512-256'])('proves that we know the password: %s', (algorithm) => {
    const world = new AuthWorld({ algorithms: [ALGORITHM.MD5, ALGORITHM.SHA_256, ALGORITHM.SHA_512_256] });
    const attempt = world.attempt({ algorithm, cnonce: 'q"\\' });
    const rspauth = responseOf(ALICE, { ...attempt, method: '' });
    expect(infoOf(world, attempt, NOW_MS)).toBe(
      `Authentication-Info: qop=auth, rspauth="${rspauth}", cnonce="q\\"\\\\", nc=00000001\r\n`,
    );
  });

  it('covers the body of the response with auth-int', () => {
    const world = new AuthWorld({ offersAuthInt: true });
    const attempt = world.attempt({ qop: 'auth-int', body: 'of the request' });
    const info = paramsOf(infoOf(world, attempt, NOW_MS, 'of the response'));
    expect(info).toMatchObject({
      qop: 'auth-int',
      rspauth: responseOf(ALICE, { ...attempt, method: '', body: 'of the response' }),
    });
  });

  it('brings another nonce when the one in use is about to end', () => {
    const world = new AuthWorld();
    const attempt = world.attempt({ cnonce: '"'.repeat(256), algorithm: 'SHA-256' });
    const late = NOW_MS + LIFETIME_SEC * 750;
    const { nextnonce } = paramsOf(infoOf(world, attempt, late));
    expect(nextnonce).toMatch(/^[\w-]{32}$/);
    expect(nextnonce).not.toBe(attempt.nonce);
    expect(world.try({ ...attempt, nonce: nextnonce! }, ALICE, {}, { nowMs: late + LIFETIME_SEC * 900 })).toBe('OK');
    expect(paramsOf(infoOf(world, world.attempt(), NOW_MS))).not.toHaveProperty('nextnonce');
    expect(paramsOf(infoOf(world, world.attempt({ nc: '000000a0' }), NOW_MS))).toHaveProperty('nextnonce');
  });

  it('is nothing for a client without qop', () => {
    const world = new AuthWorld();
    expect(infoOf(world, world.attempt({ qop: undefined }), NOW_MS)).toBe('');
  });
});
