import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALGORITHM } from '../../src/auth/algorithms.ts';
import { VERDICT } from '../../src/auth/digest.ts';
import { HA1, type Ha1Answer, type Ha1Source } from '../../src/auth/ha1-source.ts';
import { Realm } from '../../src/auth/realm.ts';
import { HEADER_ID } from '../../src/sip/header-table.ts';
import { ALICE, AuthWorld, LIFETIME_SEC, NOW_MS } from './auth-world.ts';
import { credentialsOf, responseOf } from './digest-client.ts';

describe('7616 3.4', () => {
  it.each(['MD5', 'SHA-256', 'SHA-512-256', undefined])('a right response is OK: algorithm %s', (algorithm) => {
    const world = new AuthWorld({ algorithms: [ALGORITHM.SHA_512_256, ALGORITHM.SHA_256, ALGORITHM.MD5] });
    expect(world.try(world.attempt({ algorithm }))).toBe('OK');
    expect(world.user).toBe('alice');
  });

  it.each([
    ['another password', {}, { password: 'Circle Of Life' }],
    ['another user', {}, { user: 'bob' }],
    ['a response that ends otherwise', { response: `"${'0'.repeat(32)}"` }, {}],
  ])('%s is WRONG', (_name, changes, account) => {
    const world = new AuthWorld();
    expect(world.try(world.attempt(), { ...ALICE, ...account }, changes)).toMatch(/^WRONG (RESPONSE|UNKNOWN_USER)$/);
    expect(world.try(world.attempt())).toBe('OK');
  });

  it('every digit counts', () => {
    const world = new AuthWorld();
    const attempt = world.attempt();
    const right = responseOf(ALICE, attempt);
    for (let i = 0; i < right.length; i++) {
      for (const digit of 'g0123456789abcde/:@ ') {
        const wrong = right.slice(0, i) + digit + right.slice(i + 1);
        if (wrong !== right) expect(world.try(attempt, ALICE, { response: `"${wrong}"` })).toBe('WRONG RESPONSE');
      }
    }
    for (const wrong of [right.slice(1), `${right}0`, `${right}${right}`, '0', ' '])
      expect(world.try(attempt, ALICE, { response: `"${wrong}"` })).toBe('WRONG RESPONSE');
    expect(world.try(attempt)).toBe('OK');
  });

  it('digits may be capitals', () => {
    const world = new AuthWorld();
    const attempt = world.attempt();
    expect(world.try(attempt, ALICE, { response: `"${responseOf(ALICE, attempt).toUpperCase()}"` })).toBe('OK');
  });

  it.each([
    ['nothing at all', [], 'NO_CREDENTIALS'],
    ['Basic', ['Authorization: Basic YWxpY2U6eA=='], 'NO_CREDENTIALS'],
    [
      'another realm',
      ['Authorization: Digest realm="b", username="alice", nonce="n", uri="u", response="r"'],
      'NO_CREDENTIALS',
    ],
    ['the other header', ['Proxy-Authorization: Digest realm="atlanta.example", x="'], 'NO_CREDENTIALS'],
    ['what cannot be read', ['Authorization: Digest realm="atlanta.example'], 'MALFORMED SYNTAX'],
    ['no realm', ['Authorization: Digest username="alice"'], 'MALFORMED SYNTAX'],
    ['username*', ['Authorization: Digest realm="atlanta.example", username*=UTF-8\'\'a'], 'NO_CREDENTIALS'],
    [
      '8760 2.7: a client that was not challenged yet',
      ['Authorization: Digest realm="atlanta.example", username="alice", nonce="", uri="sip:a", response=""'],
      'NO_CREDENTIALS',
    ],
  ])('%s', (_name, lines, verdict) => {
    expect(new AuthWorld().verify({ lines })).toBe(verdict);
  });

  it.each(['username', 'nonce', 'uri', 'response', 'nc', 'cnonce'])('%s must be there', (name) => {
    const world = new AuthWorld();
    expect(world.try(world.attempt(), ALICE, { [name]: null })).toBe('MALFORMED PARAMETER');
  });

  it.each(['0000001', '000000001', '00000000', '0000000g', ''])('nc is eight digits and not 0: %s', (nc) => {
    const world = new AuthWorld();
    const verdict = world.try(world.attempt({ nc: nc === '' ? '""' : nc }));
    expect(verdict).toBe('MALFORMED PARAMETER');
  });

  it('a cnonce has an end', () => {
    const world = new AuthWorld();
    expect(world.try(world.attempt({ cnonce: 'x'.repeat(256) }))).toBe('OK');
    expect(world.try(world.attempt({ cnonce: 'x'.repeat(257) }))).toBe('MALFORMED PARAMETER');
  });

  it('what was not offered is challenged anew', () => {
    const world = new AuthWorld({ algorithms: [ALGORITHM.SHA_256], acceptsNoQop: false });
    expect(world.try(world.attempt({ algorithm: 'SHA-256' }))).toBe('OK');
    expect(world.try(world.attempt({ algorithm: 'MD5' }))).toBe('WRONG ALGORITHM');
    expect(world.try(world.attempt({ algorithm: undefined }))).toBe('WRONG ALGORITHM');
    expect(world.try(world.attempt(), ALICE, { algorithm: 'SHA-256-sess' })).toBe('WRONG ALGORITHM');
    expect(world.try(world.attempt({ algorithm: 'SHA-256', qop: 'auth-int' }))).toBe('WRONG QOP');
    expect(world.try(world.attempt({ algorithm: 'SHA-256', qop: 'auth-conf' }))).toBe('WRONG QOP');
    expect(world.try(world.attempt({ algorithm: 'SHA-256', qop: undefined }))).toBe('WRONG QOP');
  });

  it('names with quotes and backslashes are those without their escapes (3.4.5)', () => {
    const account = { user: 'o"malley\\', password: 'p"\\' };
    const world = new AuthWorld({ name: 'a "quoted" realm', users: [account] });
    const attempt = world.attempt();
    expect(attempt.realm).toBe('a "quoted" realm');
    expect(world.try(attempt, account)).toBe('OK');
    expect(world.user).toBe('o"malley\\');
  });

  it('quoted qop, nc and algorithm are taken', () => {
    const world = new AuthWorld();
    const changes = { qop: '"auth"', nc: '"00000001"', algorithm: '"MD5"' };
    expect(world.try(world.attempt(), ALICE, changes)).toBe('OK');
  });
});

describe('7616 3.9.1, its example', () => {
  const attempt = {
    method: 'GET',
    uri: '/dir/index.html',
    realm: 'http-auth@example.org',
    nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
    qop: 'auth',
    nc: '00000001',
    cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
  };
  const mufasa = { user: 'Mufasa', password: 'Circle of Life' };

  // The nonce is none of ours, so a response that is right is stale.
  it.each([
    ['MD5', '8ca523f5e9506fed4657c9700eebdbec'],
    ['SHA-256', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
  ])('%s', (algorithm, response) => {
    const world = new AuthWorld({ name: 'http-auth@example.org', users: [mufasa] });
    const verdict = (password: string) => {
      const changes = { response: `"${response}"` };
      return new AuthWorld({ name: 'http-auth@example.org', users: [{ ...mufasa, password }] }).try(
        { ...attempt, algorithm },
        mufasa,
        changes,
        { matchesUri: false },
      );
    };
    expect(world.realm.offers(ALGORITHM.MD5)).toBe(true);
    expect(verdict('Circle of Life')).toBe('STALE NONCE_FORGED');
    expect(verdict('Circle Of Life')).toBe('WRONG RESPONSE');
  });
});

describe('7616 3.9.2 as erratum 4897 has it', () => {
  it('SHA-512-256', () => {
    const doe = { user: 'Jäsøn Doe', password: 'Secret, or not?' };
    const world = new AuthWorld({ name: 'api@example.org', users: [doe], algorithms: [ALGORITHM.SHA_512_256] });
    const attempt = {
      method: 'GET',
      uri: '/doe.json',
      realm: 'api@example.org',
      nonce: '5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK',
      algorithm: 'SHA-512-256',
      qop: 'auth',
      cnonce: 'NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v',
    };
    const response = '3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5';
    const verdict = world.try(attempt, doe, { response: `"${response}"` }, { matchesUri: false });
    expect(verdict).toBe('STALE NONCE_FORGED');
    expect(world.user).toBe('Jäsøn Doe');
  });
});

describe('7616 3.4.3 auth-int, 8760 2.6 item 7', () => {
  const body = 'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n';

  it.each(['MD5', 'SHA-256'])('covers the body: %s', (algorithm) => {
    const world = new AuthWorld({ offersAuthInt: true });
    expect(world.try(world.attempt({ algorithm, qop: 'auth-int', body }))).toBe('OK');
    expect(world.try(world.attempt({ algorithm, qop: 'auth-int' }))).toBe('OK');
    const attempt = world.attempt({ algorithm, qop: 'auth-int', body });
    const lines = [`Authorization: ${credentialsOf(ALICE, attempt)}`];
    expect(world.verify({ lines, body: body.replace('192', '198') })).toBe('WRONG RESPONSE');
    expect(world.verify({ lines, body })).toBe('OK');
  });

  it('auth does not', () => {
    const world = new AuthWorld({ offersAuthInt: true });
    const lines = [`Authorization: ${credentialsOf(ALICE, world.attempt())}`];
    expect(world.verify({ lines, body })).toBe('OK');
  });
});

describe('one request after the other', () => {
  it('each is judged by its own method, uri and algorithm', () => {
    const world = new AuthWorld({ offersAuthInt: true });
    const variants = ['REGISTER', 'INVITE', 'REGISTERS', ''].flatMap((method) =>
      ['sip:a', 'sip:ab', `sip:${'x'.repeat(150)}`, ':', ''].flatMap((uri) =>
        ['MD5', 'SHA-256'].flatMap((algorithm) =>
          ['auth', 'auth-int'].map((qop) => ({ method: method || 'A', uri: `sip:${uri}`, algorithm, qop })),
        ),
      ),
    );
    for (let i = 0; i < 3 * variants.length; i++) {
      const variant = variants[(i * 7) % variants.length]!;
      for (const one of [variant, variant, variants[(i * 11) % variants.length]!]) {
        const attempt = world.attempt(one);
        expect(world.try(attempt, ALICE, {}, { matchesUri: false }), JSON.stringify(one)).toBe('OK');
        const other = { response: `"${responseOf(ALICE, { ...attempt, method: `${one.method}X` })}"` };
        expect(world.try(attempt, ALICE, other, { matchesUri: false })).toBe('WRONG RESPONSE');
      }
    }
  });
});

describe('3261 22.4 item 6, 7616 3.4.6 the uri', () => {
  it('must be equivalent to the Request-URI where that is asked for', () => {
    const world = new AuthWorld();
    const lines = [`Authorization: ${credentialsOf(ALICE, world.attempt({ uri: 'sip:ATLANTA.example' }))}`];
    expect(world.verify({ uri: 'sip:atlanta.example:5070', lines })).toBe('MALFORMED URI');
    expect(world.verify({ uri: 'sip:atlanta.example', lines })).toBe('OK');
  });

  it('may be another where it is not', () => {
    const world = new AuthWorld();
    const lines = [`Authorization: ${credentialsOf(ALICE, world.attempt({ uri: 'sip:bob@atlanta.example' }))}`];
    expect(world.verify({ uri: 'sip:bob@192.0.2.4', lines }, { matchesUri: false })).toBe('OK');
  });
});

describe('nonces', () => {
  it('are stale when they are old, for who knows the password', () => {
    const world = new AuthWorld();
    const attempt = world.attempt();
    const late = { nowMs: NOW_MS + LIFETIME_SEC * 1000 };
    expect(world.try(attempt, ALICE, {}, late)).toBe('STALE NONCE_EXPIRED');
    expect(world.try(attempt, { ...ALICE, password: 'x' }, {}, late)).toBe('WRONG RESPONSE');
    expect(world.try(world.attempt())).toBe('OK');
  });

  it('of an earlier run, another realm or nowhere are stale too', () => {
    const world = new AuthWorld();
    expect(world.try(new AuthWorld().attempt())).toBe('STALE NONCE_FORGED');
    expect(world.try(new AuthWorld({ number: 1 }).attempt())).toBe('STALE NONCE_FORGED');
    expect(world.try(world.attempt({ nonce: 'no" nonce' }))).toBe('STALE NONCE_FORGED');
  });

  it('are used once per count, but by a retransmission', () => {
    const world = new AuthWorld();
    const first = world.attempt();
    const second = { ...first, nc: '00000002' };
    expect(world.try(first, ALICE, {}, { transaction: 7 })).toBe('OK');
    expect(world.try(first, ALICE, {}, { transaction: 7 })).toBe('OK');
    expect(world.try(first, ALICE, {}, { transaction: 8 })).toBe('STALE REPLAY');
    expect(world.try(second, ALICE, {}, { transaction: 8 })).toBe('OK');
    expect(world.try({ ...first, nc: 'ffffffff' })).toBe('STALE NONCE_USED_UP');
  });

  it('keep their counts from who does not know the password', () => {
    const world = new AuthWorld();
    const attempt = world.attempt();
    expect(world.try(attempt, { ...ALICE, password: 'x' }, {}, { transaction: 5 })).toBe('WRONG RESPONSE');
    expect(world.try(attempt, ALICE, {}, { transaction: 6 })).toBe('OK');
  });

  it('serve a client without qop once (RFC 2069)', () => {
    const world = new AuthWorld();
    const attempt = world.attempt({ qop: undefined });
    expect(world.try(attempt, ALICE, {}, { transaction: 1 })).toBe('OK');
    expect(world.try(attempt, ALICE, {}, { transaction: 1 })).toBe('OK');
    expect(world.try(attempt, ALICE, {}, { transaction: 2 })).toBe('STALE REPLAY');
  });
});

describe('3261 22.3 several credentials', () => {
  const other = 'Authorization: Digest realm="biloxi.example", username="b", nonce="n", uri="u", response="r"';

  it('those of our realm are found among others, broken ones too', () => {
    const world = new AuthWorld();
    const own = `Authorization: ${credentialsOf(ALICE, world.attempt())}`;
    for (const lines of [
      [own, other],
      [other, own],
      ['Authorization: Digest realm=', own],
      [other, own, 'Authorization: Basic x'],
    ]) {
      expect(world.verify({ lines })).toBe('OK');
      expect(world.user).toBe('alice');
    }
  });

  it('an old one of ours is judged although others follow', () => {
    const world = new AuthWorld();
    const old = `Authorization: ${credentialsOf(ALICE, new AuthWorld().attempt())}`;
    expect(world.verify({ lines: [old, other] })).toBe('STALE NONCE_FORGED');
    expect(world.user).toBe('alice');
  });

  it('of several with our realm the one with our nonce counts', () => {
    const world = new AuthWorld();
    const neighbour = `Authorization: ${credentialsOf({ user: 'eve', password: 'x' }, new AuthWorld().attempt())}`;
    const own = `Authorization: ${credentialsOf(ALICE, world.attempt())}`;
    expect(world.verify({ lines: [neighbour, own] })).toBe('OK');
    expect(world.verify({ lines: [own, neighbour] })).toBe('OK');
    expect(world.verify({ lines: Array(4).fill(neighbour).concat(own) })).toBe('WRONG UNKNOWN_USER');
  });

  it('Proxy-Authorization is for proxies', () => {
    const world = new AuthWorld();
    const lines = [`Proxy-Authorization: ${credentialsOf(ALICE, world.attempt())}`];
    expect(world.verify({ lines })).toBe('NO_CREDENTIALS');
    expect(world.verify({ lines }, { header: HEADER_ID.PROXY_AUTHORIZATION })).toBe('OK');
  });
});

describe('where HA1s come from', () => {
  const answering = (answer: Ha1Answer): Ha1Source => ({ lookup: () => answer });

  it.each([
    ['PENDING', HA1.PENDING, 'PENDING'],
    ['UNAVAILABLE', HA1.UNAVAILABLE, 'UNAVAILABLE'],
    ['ABSENT', HA1.ABSENT, 'WRONG UNKNOWN_USER'],
  ])('%s is said', (_name, answer, verdict) => {
    const world = new AuthWorld({ source: answering(answer) });
    expect(world.try(world.attempt())).toBe(verdict);
  });

  it('an unknown user cannot be right, whatever the source left in the HA1', () => {
    let isKnown = true;
    const source: Ha1Source = {
      lookup: (_realm, _text, _start, _end, _algorithm, target) => {
        if (isKnown) target.set(Buffer.from('0123456789abcdef0123456789abcdef', 'hex'));
        return isKnown ? HA1.FOUND : HA1.ABSENT;
      },
    };
    const world = new AuthWorld({ source });
    expect(world.try(world.attempt())).toBe('WRONG RESPONSE');
    isKnown = false;
    expect(world.try(world.attempt())).toBe('WRONG UNKNOWN_USER');
  });

  it('realms have users of their own', () => {
    const seen: number[] = [];
    const source: Ha1Source = { lookup: (realm) => (seen.push(realm) > 0 ? HA1.ABSENT : HA1.FOUND) };
    const world = new AuthWorld({ source });
    const realm = new Realm({ number: 5, name: 'atlanta.example', algorithms: [ALGORITHM.MD5] });
    world.try(world.attempt(), ALICE, {}, { realm });
    expect(seen).toEqual([5]);
  });
});

describe('any credentials', () => {
  it('come to a verdict, and to OK only with the password', () => {
    const world = new AuthWorld({ offersAuthInt: true });
    const value = fc.oneof(
      fc.string({ maxLength: 12 }),
      fc.constantFrom('auth', 'MD5', '00000001', 'sip:atlanta.example'),
    );
    const name = fc.constantFrom('username', 'realm', 'nonce', 'uri', 'response', 'algorithm', 'qop', 'nc', 'cnonce');
    const clean = value.map((text) => text.replace(/[^\x20-\x7e]/g, '?').trim());
    const verdicts = Object.keys(VERDICT);
    fc.assert(
      fc.property(name, clean, fc.boolean(), (changed, text, isRaw) => {
        const changes = { [changed]: isRaw ? text : `"${text.replace(/["\\]/g, '\\$&')}"` };
        const attempt = world.attempt();
        const verdict = world.try(attempt, { ...ALICE, password: 'guess' }, changes, { matchesUri: false });
        expect(verdicts).toContain(verdict.split(' ')[0]);
        expect(verdict).not.toBe('OK');
      }),
      { numRuns: 3000 },
    );
  });
});
