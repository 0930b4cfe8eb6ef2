/** Which credentials are right, and what is said to those that are not: RFC 3261 22.2 to 22.4, RFC 7616 3.4, RFC 8760 2. */

import { describe, expect, it } from 'vitest';
import { fieldsOf } from '../messages.ts';
import { MODES, register } from '../registrar/register.ts';
import { STRANGER } from '../virtual-network.ts';
import {
  authorization,
  challengesOf,
  digestProxy,
  digestRegistrar,
  hash,
  isStale,
  ownRequest,
  quote,
  statusOfOnly,
} from './phone.ts';

const CONTACT = '<sip:alice@192.0.2.10>';
const FIELDS = { contacts: [CONTACT] };
const ALGORITHMS = ['MD5', 'SHA-256', 'SHA-512-256'] as const;
const ALL = { auth: { algorithms: [...ALGORITHMS] } };

describe.each(MODES)('the right password in mode %s', (mode) => {
  describe.each(ALGORITHMS)('with %s', (algorithm) => {
    it.each(['auth', 'auth-int'])('and qop %s registers and calls', (qop) => {
      const registrar = digestRegistrar(mode, ALL);
      const answer = registrar.signOn({ algorithm, qop }, FIELDS);
      expect([answer.status, answer.contacts]).toEqual([200, [`${CONTACT};expires=3600`]]);
      const proxy = digestProxy(mode, ALL);
      expect(statusOfOnly(proxy.call({}, { algorithm, qop }))).toBe(0);
    });

    it('and auth-int covers the body (7616 3.4.3), that of every byte', () => {
      const { challenge, answer, line, send } = digestProxy(mode, ALL);
      const { nonce } = challenge(algorithm);
      const body = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join('');
      const headers = ['Content-Type: application/octet-stream'];
      expect(statusOfOnly(answer(nonce!, { algorithm, qop: 'auth-int' }, { body, headers }))).toBe(0);
      const about = line(nonce!, { algorithm, qop: 'auth-int', nc: '00000002' }, { body: 'v=0\r\n' });
      const changed = send(ownRequest({ body: 'v=1\r\n', headers: [about] }));
      expect([statusOfOnly(changed), isStale(changed[0]!.text)]).toEqual([407, false]);
    });

    it('and auth-int covers what the Content-Length says, not what lies behind it (18.3)', () => {
      const { challenge, line, send } = digestProxy(mode, ALL);
      const about = line(challenge(algorithm).nonce!, { algorithm, qop: 'auth-int' }, { body: 'v=0\r\n' });
      expect(statusOfOnly(send(`${ownRequest({ body: 'v=0\r\n', headers: [about] })}rubbish`))).toBe(0);
    });

    it('and auth-int covers all that is there if no Content-Length is (18.3)', () => {
      const { challenge, answer } = digestProxy(mode, ALL);
      const parts = { body: 'v=0\r\n\r\n', contentLength: null };
      expect(statusOfOnly(answer(challenge(algorithm).nonce!, { algorithm, qop: 'auth-int' }, parts))).toBe(0);
    });

    it('and auth does not care about the body', () => {
      const { challenge, line, send } = digestProxy(mode, ALL);
      const about = line(challenge(algorithm).nonce!, { algorithm }, {});
      expect(statusOfOnly(send(ownRequest({ body: 'v=0\r\n', headers: [about] })))).toBe(0);
    });

    it('known to the server by its hash alone', () => {
      const ha1 = { [algorithm]: hash(algorithm, 'alice:example.org:wonderland') };
      const domain = { users: [{ user: 'alice', ha1 }] };
      const { signOn } = digestRegistrar(mode, { domain, auth: { algorithms: [algorithm] } });
      expect(signOn({ algorithm }, FIELDS).status).toBe(200);
    });
  });

  it('an algorithm that is not said is MD5 (7616 3.3)', () => {
    expect(digestRegistrar(mode).signOn({ algorithm: null }, FIELDS).status).toBe(200);
  });

  it('without qop, as RFC 2069 had it (3261 22.4)', () => {
    const answer = digestRegistrar(mode).signOn({ qop: null }, FIELDS);
    // Item 8 and below: such a client does not know Authentication-Info.
    expect([answer.status, answer.headers('Authentication-Info')]).toEqual([200, []]);
    expect(statusOfOnly(digestProxy(mode).call({}, { qop: null }))).toBe(0);
  });

  it.each([
    ['qop, nc and algorithm in quotes, as phones send them', { qop: '"auth"', nc: '"00000001"', algorithm: '"MD5"' }],
    ['parameters that nobody knows', { opaque: '"x,y"', 'x-y': 'z', auth_param: '"\\""', userhash: 'false' }],
    ['an algorithm in other case (3261 7.3.1)', { algorithm: 'md5' }],
  ])('with %s', (_, changes) => {
    expect(digestRegistrar(mode).signOn({ changes }, FIELDS).status).toBe(200);
  });

  const variants: [string, (line: string) => string][] = [
    [
      'the names of parameters in capitals',
      (line) => line.replace(/\b(username|realm|nonce|uri|response|qop|nc|cnonce)=/g, (name) => name.toUpperCase()),
    ],
    [
      'the header and the scheme in other case',
      (line) => line.replace('Authorization', 'aUTHORIZATION').replace('Digest', 'dIGEST'),
    ],
    [
      'folds between and around',
      (line) => line.replaceAll(', ', '\r\n ,\r\n\t ').replace(': ', ':\r\n ').replace('Digest ', 'Digest\r\n  '),
    ],
    ['white space around "="', (line) => line.replace(/(\w)=/g, '$1 = ')],
    ['no white space at all', (line) => line.replaceAll(', ', ',')],
    [
      'the parameters in another order',
      (line) => line.replace(/Digest (.*)$/, (_, all: string) => `Digest ${all.split(', ').reverse().join(', ')}`),
    ],
  ];
  it.each(variants)('with %s', (_, change) => {
    const { challenge, line, send } = digestRegistrar(mode);
    const headers = [change(line(challenge().nonce!, {}, FIELDS))];
    expect(send(register({ cseq: 9, ...FIELDS, headers })).status).toBe(200);
    const proxy = digestProxy(mode);
    const sent = proxy.send(ownRequest({ headers: [change(proxy.line(proxy.challenge().nonce!))] }));
    expect(statusOfOnly(sent)).toBe(0);
    // 22.3: what was for us is not for the next.
    expect(sent[0]!.text.toLowerCase()).not.toContain('response');
    expect(sent[0]!.text).not.toMatch(/proxy-authorization/i);
  });

  it('with quoted-pairs (25.1)', () => {
    const withPairs = (line: string) => line.replace('"alice"', '"al\\ice"').replace(/realm="(\w+)\./, 'realm="$1\\.');
    const { challenge, line, send } = digestRegistrar(mode);
    const headers = [withPairs(line(challenge().nonce!, {}, FIELDS))];
    expect(headers[0]).toContain('"example\\.org"');
    expect(send(register({ cseq: 9, ...FIELDS, headers })).status).toBe(200);
    const proxy = digestProxy(mode);
    expect(statusOfOnly(proxy.send(ownRequest({ headers: [withPairs(proxy.line(proxy.challenge().nonce!))] })))).toBe(
      0,
    );
  });

  it('with quoted-pairs in the realm, and they are not passed on either (22.3)', () => {
    const { challenge, line, send } = digestProxy(mode);
    const escaped = line(challenge().nonce!).replace('"biloxi.example"', '"biloxi\\.example"');
    const sent = send(ownRequest({ headers: [escaped] }));
    expect(fieldsOf(sent[0]!.text, 'Proxy-Authorization')).toEqual([]);
  });

  it('of a name and a realm with commas, quotes and spaces in them', () => {
    const users = [{ user: 'al,i;ce', password: 'p:w,"\\' }];
    const realm = 'Alice, Bob = all: <us>; nonce=x, realm=y';
    const { challenge, answer } = digestRegistrar(mode, { domain: { users, realm } });
    const say = { username: 'al,i;ce', password: 'p:w,"\\', realm, cnonce: 'a"b\\c,d' };
    expect(answer(challenge('MD5', { user: 'al,i;ce' }).nonce!, say, { user: 'al,i;ce' }).status).toBe(200);
  });

  it('of a password in UTF-8 (8760 2; 7616 4)', () => {
    const password = 'Blåbærgrød €';
    const bytes = Buffer.from(password, 'utf8').toString('latin1');
    const { signOn } = digestRegistrar(mode, { domain: { users: [{ user: 'alice', password }] } });
    expect(signOn({ password: bytes }, FIELDS).status).toBe(200);
  });

  it('of a pattern of users', () => {
    const users = [{ user: '/1\\d\\d/', password: 'all' }];
    const { challenge, answer } = digestRegistrar(mode, { domain: { users } });
    const { nonce } = challenge();
    const say = { username: '123', password: 'all' };
    expect(answer(nonce!, say, { user: '123' }).status).toBe(200);
    expect(answer(nonce!, { ...say, nc: '00000002' }, { user: '124' }).status).toBe(403);
    expect(answer(nonce!, { ...say, nc: '00000003', username: '1234' }, { user: '1234' }).status).toBe(401);
  });
});

describe.each(MODES)('the wrong credentials in mode %s', (mode) => {
  it('get a new challenge without stale=true, and nothing is changed (7616 3.3, 3.4)', () => {
    const { signOn, bindings } = digestRegistrar(mode, ALL);
    for (const algorithm of ALGORITHMS) {
      for (const say of [{ password: 'Wonderland' }, { username: 'mallory' }, { username: 'bob' }, { username: '' }]) {
        const answer = signOn({ algorithm, ...say }, FIELDS);
        expect([answer.status, isStale(answer.sent.text)]).toEqual([401, false]);
        expect(answer.headers('Authentication-Info')).toEqual([]);
      }
    }
    expect(bindings()).toEqual([]);
  });

  it('say nothing of who exists: the same answer to an unknown user and to a wrong password', () => {
    const { signOn } = digestRegistrar(mode);
    const answerTo = (username: string, user: string) => {
      const { sent } = signOn({ username, password: 'guess' }, { user, branch: 'z9hG4bKguess', cseq: 3 });
      const blank = (text: string) => text.replace(/nonce="[^"]*"/g, '').replaceAll(`:${user}@`, ':');
      return blank(sent.text).replace(/(To: [^\r]*;tag=)[^\r]*/, '$1');
    };
    expect(answerTo('mallory', 'mallory')).toBe(answerTo('alice', 'alice'));
    const proxy = digestProxy(mode);
    const statuses = ['alice', 'mallory'].map((username) =>
      statusOfOnly(proxy.call({ from: `<sip:${username}@biloxi.example>;tag=1` }, { username, password: 'guess' })),
    );
    expect(statuses).toEqual([407, 407]);
  });

  it('of another realm are as none at all', () => {
    const { challenge, answer } = digestRegistrar(mode);
    const wrong = answer(challenge().nonce!, { realm: 'example.net' }, FIELDS);
    expect([wrong.status, isStale(wrong.sent.text)]).toEqual([401, false]);
    const alsoCase = answer(challenge().nonce!, { realm: 'Example.org' }, FIELDS);
    expect(alsoCase.status).toBe(401);
  });

  it('are those for another method: it is part of A2', () => {
    const { challenge, answer } = digestRegistrar(mode);
    expect(answer(challenge().nonce!, { method: 'INVITE' }, FIELDS).status).toBe(401);
    const proxy = digestProxy(mode);
    expect(statusOfOnly(proxy.call({}, { method: 'MESSAGE' }))).toBe(407);
    expect(statusOfOnly(proxy.call({}, { method: '' }))).toBe(407);
  });

  it('for another resource get 400 (7616 3.4.6)', () => {
    for (const uri of ['sip:example.net', 'sip:alice@example.net', 'sip:example.org:5080', '']) {
      expect(digestRegistrar(mode).signOn({ uri }, FIELDS).status).toBe(400);
    }
  });

  it('are not those whose uri is the Request-URI in other letters (19.1.4)', () => {
    for (const uri of ['sip:EXAMPLE.org', 'SIP:example.org'])
      expect(digestRegistrar(mode).signOn({ uri }, FIELDS).status).toBe(200);
  });

  it('with a uri that is not the one which was hashed', () => {
    const changes = { uri: '"sip:EXAMPLE.ORG"' };
    expect(digestRegistrar(mode).signOn({ changes }, FIELDS).status).toBe(401);
  });

  it.each(['', 'bob', 'no uri', '*', '<sip:bob@biloxi.example>'])(
    'of a request to be forwarded get 4xx for a uri that is none, %j (7616 3.4; 8760 2.6 items 3 and 6)',
    (uri) => {
      const status = statusOfOnly(digestProxy(mode).call({}, { uri }));
      expect([400, 403, 407]).toContain(status);
    },
  );

  it('a request to be forwarded may have got another Request-URI on its way (22.4 item 6)', () => {
    expect(statusOfOnly(digestProxy(mode).call({}, { uri: 'sip:bob@biloxi.example:5060;transport=udp' }))).toBe(0);
    expect(statusOfOnly(digestProxy(mode).call({}, { uri: 'sip:robert@biloxi.example' }))).toBe(0);
  });

  it.each(['username', 'nonce', 'uri', 'response', 'realm', 'nc', 'cnonce'])(
    'without %s get 4xx (7616 3.4)',
    (name) => {
      const answer = digestRegistrar(mode).signOn({ changes: { [name]: null } }, FIELDS);
      expect([400, 401]).toContain(answer.status);
      expect(answer.contacts).toEqual([]);
      expect([400, 407]).toContain(statusOfOnly(digestProxy(mode).call({}, { changes: { [name]: null } })));
    },
  );

  it.each([
    '1',
    '0000001',
    '000000001',
    '0000000g',
    '00000000',
    '-0000001',
    '0x000001',
    '""',
    '"0000001"',
    '" 0000001"',
    '",0000001"',
  ])('with nc=%s get 4xx (7616 3.4: exactly 8 digits)', (nc) => {
    const plain = nc.replaceAll('"', '');
    const registered = digestRegistrar(mode).signOn({ nc: plain, changes: { nc } }, FIELDS);
    expect([400, 401]).toContain(registered.status);
    expect([400, 407]).toContain(statusOfOnly(digestProxy(mode).call({}, { nc: plain, changes: { nc } })));
  });

  it.each(['AUTH-CONF', 'auth,auth-int', 'auth ', '', 'none'])(
    'with a qop that was not offered, %j, get 4xx',
    (qop) => {
      const changes = { qop: quote(qop) };
      expect([400, 401]).toContain(digestRegistrar(mode).signOn({ qop, changes }, FIELDS).status);
    },
  );

  it('with auth-int where only auth was offered (7616 3.4)', () => {
    const { signOn } = digestRegistrar(mode, { auth: { qop: ['auth'] } });
    expect([400, 401]).toContain(signOn({ qop: 'auth-int' }, FIELDS).status);
    expect(signOn({ qop: 'auth' }, FIELDS).status).toBe(200);
  });

  it('by an algorithm that was not offered: nobody is talked down (8760 3)', () => {
    const { challenge, answer } = digestRegistrar(mode, { auth: { algorithms: ['SHA-256'] } });
    const { nonce } = challenge('SHA-256');
    for (const algorithm of ['MD5', 'SHA-512-256', null]) {
      const { status } = answer(nonce!, { algorithm }, FIELDS);
      expect(status).toBe(401);
    }
    const named = (name: string) => answer(nonce!, { algorithm: 'SHA-256', changes: { algorithm: name } }, FIELDS);
    for (const name of ['MD5-sess', 'SHA-256-sess', 'SHA-1', '""']) expect([400, 401]).toContain(named(name).status);
    expect(answer(nonce!, { algorithm: 'SHA-256' }, FIELDS).status).toBe(200);
  });

  it.each(['Basic YWxpY2U6d29uZGVybGFuZA==', 'Bearer abc.def.ghi', 'NTLM', 'Digestive username="alice"', 'Basic'])(
    'of another scheme are passed over: %s (22.1, 22.4)',
    (value) => {
      const { challenge, line, send } = digestRegistrar(mode);
      const { nonce } = challenge();
      const other = `Authorization: ${value}`;
      let cseq = 1;
      const registerWith = (headers: string[]) => send(register({ cseq: cseq++, ...FIELDS, headers })).status;
      expect(registerWith([other])).toBe(401);
      expect(registerWith([other, line(nonce!)])).toBe(200);
      expect(registerWith([line(nonce!, { nc: '00000002' }), other])).toBe(200);
      const proxy = digestProxy(mode);
      expect(statusOfOnly(proxy.send(ownRequest({ headers: [`Proxy-Authorization: ${value}`] })))).toBe(407);
    },
  );

  it('are a response that is too long, too short, or none', () => {
    const { challenge, answer } = digestRegistrar(mode);
    const { nonce } = challenge();
    for (const response of ['""', '"0"', `"${'0'.repeat(31)}"`, `"${'0'.repeat(33)}"`, `"${'0'.repeat(64)}"`, '"g"']) {
      expect([400, 401]).toContain(answer(nonce!, { changes: { response } }, FIELDS).status);
    }
  });

  it('an empty response is of who has not been challenged yet: 401 (8760 2.7)', () => {
    const changes = { response: '""', nonce: '""' };
    const answer = digestRegistrar(mode).signOn({ changes }, FIELDS);
    expect([answer.status, isStale(answer.sent.text)]).toEqual([401, false]);
  });

  it('with a parameter twice are not right by one of the two', () => {
    const { challenge, line, send } = digestRegistrar(mode);
    const right = line(challenge().nonce!, {}, FIELDS);
    const wrong = ['username="bob"', 'response="0"', 'nonce="x"', 'realm="x"', 'uri="sip:x"', 'nc=00000007'];
    for (const more of wrong) {
      const headers = [`${right}, ${more}`];
      expect([400, 401], more).toContain(send(register({ cseq: 9, ...FIELDS, headers })).status);
    }
  });

  it('username and username* together are an error (7616 3.4)', () => {
    const changes = { 'username*': "UTF-8''alice" };
    expect(digestRegistrar(mode).signOn({ changes }, FIELDS).status).toBe(400);
  });

  it('in the header field of the other kind are none (22.2, 22.3)', () => {
    const { challenge, line, send } = digestRegistrar(mode);
    const headers = [line(challenge().nonce!).replace('Authorization', 'Proxy-Authorization')];
    expect(send(register({ cseq: 9, ...FIELDS, headers })).status).toBe(401);
    const proxy = digestProxy(mode);
    const other = proxy.line(proxy.challenge().nonce!).replace('Proxy-Authorization', 'Authorization');
    expect(statusOfOnly(proxy.send(ownRequest({ headers: [other] })))).toBe(407);
  });

  it('are those of a domain that has no users at all', () => {
    expect(digestRegistrar(mode, { domain: { users: 'any' } }).signOn({}, FIELDS).status).toBe(401);
    const domain = { users: ['alice', 'bob'] };
    expect(digestRegistrar(mode, { domain }).signOn({ password: '' }, FIELDS).status).toBe(401);
  });

  it('are those of another domain of ours', () => {
    const others = [
      { name: 'other.example', users: [{ user: 'alice', password: 'else' }], authenticate: ['REGISTER'] },
    ];
    const { challenge, answer } = digestRegistrar(mode, { others });
    const domain = 'other.example';
    const { nonce } = challenge('MD5', { domain });
    expect(answer(nonce!, { realm: 'example.org' }, { domain }).status).toBe(401);
    expect(answer(nonce!, { password: 'wonderland' }, { domain }).status).toBe(401);
    expect(answer(nonce!, { password: 'else' }, { domain }).status).toBe(200);
  });
});

describe.each(MODES)('several credentials in mode %s (22.3)', (mode) => {
  const foreign = (realm: string, more = '') =>
    `Digest username="al", realm="${realm}", nonce="1", uri="sip:x", response="${'0'.repeat(32)}"${more}`;

  it('ours are found, wherever they stand', () => {
    const { challenge, line, send } = digestRegistrar(mode);
    const { nonce } = challenge();
    for (let place = 0; place < 4; place++) {
      const headers = ['a.example', 'b.example', 'c.example'].map((realm) => `Authorization: ${foreign(realm)}`);
      headers.splice(place, 0, line(nonce!, { nc: `0000000${place + 1}` }));
      expect(send(register({ cseq: 10 + place, ...FIELDS, headers })).status).toBe(200);
    }
  });

  it('those of our realm with a nonce of another server do not hide ours', () => {
    const { challenge, line, send } = digestRegistrar(mode);
    const { nonce } = challenge();
    const other = (nc: string) => [`Authorization: ${foreign('example.org')}`, line(nonce!, { nc })];
    expect(send(register({ cseq: 5, ...FIELDS, headers: other('00000001') })).status).toBe(200);
    expect(send(register({ cseq: 6, ...FIELDS, headers: other('00000002').reverse() })).status).toBe(200);
  });

  it('one for each algorithm that was offered, in any order', () => {
    for (const order of [0, 1]) {
      const { element, line, send } = digestRegistrar(mode);
      const [sha, md5] = challengesOf(send(register({ cseq: 1 })).sent.text);
      const headers = [line(sha!.nonce!, { algorithm: 'SHA-256' }), line(md5!.nonce!, { algorithm: 'MD5' })];
      if (order === 1) headers.reverse();
      expect(send(register({ cseq: 2, ...FIELDS, headers })).status).toBe(200);
      expect(element.counters().registrations_total).toBe(1);
    }
  });

  it.each([
    [
      'a user name in the extended notation (7616 3.4)',
      `Digest username*=UTF-8''J%C3%A4s, realm="a.example", nonce="1", uri="sip:x", response="0"`,
    ],
    ['what we cannot read', 'Digest realm="a.example", nonce="1", nonce="2"'],
  ])('those of other realms are no business of ours: %s', (_, value) => {
    const proxy = digestProxy(mode);
    const header = `Proxy-Authorization: ${value}`;
    // What is for another realm is not to be judged here: he who has not been asked yet is asked.
    expect(statusOfOnly(proxy.send(ownRequest({ headers: [header] })))).toBe(407);
  });

  it('what cannot be read beside ours does not matter', () => {
    const { challenge, line, send } = digestProxy(mode);
    const { nonce } = challenge();
    const headers = [`Proxy-Authorization: Digest username*=UTF-8''J, realm="a.example"`, line(nonce!)];
    expect(statusOfOnly(send(ownRequest({ headers })))).toBe(0);
  });

  it('a user of ours is asked whether he is at home or elsewhere', () => {
    const { element, challenge, answer } = digestProxy(mode, { trusted: [] });
    const { nonce } = challenge();
    expect(statusOfOnly(answer(nonce!, {}, {}, STRANGER))).toBe(0);
    expect(element.counters().authenticated_total).toBe(1);
  });

  it('the kit of this test makes the digests of RFC 7616 3.9.1', () => {
    const mufasa = {
      username: 'Mufasa',
      password: 'Circle of Life',
      realm: 'http-auth@example.org',
      nonce: '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v',
      method: 'GET',
      uri: '/dir/index.html',
    };
    expect(authorization({ ...mufasa, algorithm: 'MD5' })).toContain('"8ca523f5e9506fed4657c9700eebdbec"');
    expect(authorization({ ...mufasa, algorithm: 'SHA-256' })).toContain(
      '"753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"',
    );
  });
});
