/** What the server asks for: RFC 3261 22.1, 22.2 and 22.4, RFC 7616 3.3, RFC 8760 2.3 and 2.6 item 8. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, tagOf } from '../messages.ts';
import { MODES } from '../registrar/register.ts';
import { BOB } from '../virtual-network.ts';
import { challengesOf, digestProxy, digestRegistrar, FROM_ALICE, isStale, ownRequest, statusOfOnly } from './phone.ts';

const CONTACT = '<sip:alice@192.0.2.10>';

describe.each(MODES)('a 401 to a REGISTER in mode %s', (mode) => {
  it('has one challenge for each algorithm, the preferred one first (8760 2.3)', () => {
    for (const algorithms of [['SHA-256', 'MD5'], ['MD5', 'SHA-512-256', 'SHA-256'], ['SHA-512-256']]) {
      const answer = digestRegistrar(mode, { auth: { algorithms } }).plain({ contacts: [CONTACT] });
      expect(answer.status).toBe(401);
      expect(challengesOf(answer.sent.text).map(({ algorithm }) => algorithm)).toEqual(algorithms);
      expect(answer.headers('Proxy-Authenticate')).toEqual([]);
    }
  });

  it('offers SHA-256 before MD5 unless told otherwise', () => {
    const answer = digestRegistrar(mode).plain();
    expect(challengesOf(answer.sent.text).map(({ algorithm }) => algorithm)).toEqual(['SHA-256', 'MD5']);
  });

  it('has a qop always (22.4 item 8), with quotes, and the algorithm without (7616 3.3)', () => {
    for (const header of digestRegistrar(mode).plain().headers('WWW-Authenticate')) {
      expect(header).toMatch(/^Digest /);
      expect(header).toMatch(/, *qop="auth, ?auth-int"(,|$)/);
      expect(header).toMatch(/, *algorithm=(SHA-256|MD5)(,|$)/);
      expect(header).toMatch(/realm="example\.org"/);
      expect(header).toMatch(/nonce="[^"]{16,}"/);
    }
  });

  it('offers the protection that the configuration says', () => {
    const qops = (qop: readonly string[]) =>
      challengesOf(digestRegistrar(mode, { auth: { qop } }).plain().sent.text).map((challenge) => challenge.qop);
    expect(qops(['auth'])).toEqual(['auth', 'auth']);
    expect(qops(['auth', 'auth-int']).map((qop) => qop!.split(/, ?/).sort())).toEqual([
      ['auth', 'auth-int'],
      ['auth', 'auth-int'],
    ]);
  });

  it('names the realm of the domain, or the one that is configured', () => {
    const realms = (domain: object) =>
      challengesOf(digestRegistrar(mode, { domain: { ...domain } }).plain().sent.text).map(({ realm }) => realm);
    expect(realms({})).toEqual(['example.org', 'example.org']);
    expect(realms({ realm: 'Phones of the example, inc.' })).toEqual(Array(2).fill('Phones of the example, inc.'));
  });

  it('has another nonce each time (7616 3.3)', () => {
    const { plain } = digestRegistrar(mode);
    const nonces = Array.from({ length: 50 }, () => challengesOf(plain().sent.text)[0]!.nonce);
    expect(new Set(nonces).size).toBe(50);
  });

  it('says no stale=true to who has not tried (7616 3.3)', () => {
    expect(isStale(digestRegistrar(mode).plain().sent.text)).toBe(false);
  });

  it('has a To tag, the same for a retransmission (8.2.6.2, 8.2.7)', () => {
    const { plain } = digestRegistrar(mode);
    const fields = { branch: 'z9hG4bKsame', cseq: 7 };
    const tags = [plain(fields), plain(fields)].map(({ header }) => tagOf(header('To')!));
    expect(tags[0]).toMatch(/./);
    expect(tags[1]).toBe(tags[0]);
  });

  it('is for a query and for "*", too, and nothing is told or changed', () => {
    const { plain, signOn, bindings } = digestRegistrar(mode);
    signOn({}, { contacts: [CONTACT] });
    for (const fields of [{}, { contacts: ['*'], expires: 0 }, { contacts: [CONTACT], expires: 0 }]) {
      const { status, contacts } = plain({ callId: 'other', ...fields });
      expect([status, contacts]).toEqual([401, []]);
    }
    expect(bindings()).toHaveLength(1);
  });

  it('is not sent where the domain does not list REGISTER, nor to exempt sources', () => {
    expect(digestRegistrar(mode, { domain: { authenticate: ['INVITE'] } }).plain().status).toBe(200);
    const { plain } = digestRegistrar(mode, { auth: { exempt: ['192.0.2.30'] } });
    expect(plain({ contacts: ['<sip:alice@192.0.2.30>'] }, BOB).status).toBe(200);
    expect(plain().status).toBe(401);
  });

  it('asks each domain for itself', () => {
    const others = [{ name: 'free.example' }, { name: 'other.example', authenticate: ['REGISTER'] }];
    const { plain } = digestRegistrar(mode, { others });
    expect(plain({ domain: 'free.example' }).status).toBe(200);
    const answer = plain({ domain: 'other.example' });
    expect(challengesOf(answer.sent.text).map(({ realm }) => realm)).toEqual(['other.example', 'other.example']);
  });
});

describe.each(MODES)('a 407 in mode %s', (mode) => {
  it.each(['INVITE', 'MESSAGE', 'SUBSCRIBE', 'OPTIONS', 'PUBLISH'])(
    'is for %s where that is listed (22.3)',
    (method) => {
      const { element, send } = digestProxy(mode, {}, [method]);
      const text = ownRequest({ method });
      const sent = send(text);
      expect(statusOfOnly(sent)).toBe(407);
      expect(challengesOf(sent[0]!.text).map(({ realm, algorithm, qop }) => [realm, algorithm, qop])).toEqual([
        ['biloxi.example', 'SHA-256', 'auth,auth-int'],
        ['biloxi.example', 'MD5', 'auth,auth-int'],
      ]);
      expect(fieldsOf(sent[0]!.text, 'WWW-Authenticate')).toEqual([]);
      expect(tagOf(fieldsOf(sent[0]!.text, 'To')[0]!)).toMatch(/./);
      // 8.2.6.2: the rest is as in the request.
      for (const name of ['Via', 'From', 'Call-ID', 'CSeq'])
        expect(fieldsOf(sent[0]!.text, name)[0]!.startsWith(fieldsOf(text, name)[0]!)).toBe(true);
      expect(element.occupancy().clientTransactions).toBe(0);
    },
  );

  it('is not for methods that are not listed', () => {
    const { send } = digestProxy(mode);
    for (const method of ['SUBSCRIBE', 'OPTIONS', 'PUBLISH', 'REFER', 'FOO'])
      expect(statusOfOnly(send(ownRequest({ method })))).toBe(0);
  });

  it.each([
    'sip:alice@atlanta.example',
    'sip:alice@biloxi.example.org',
    'sip:anonymous@anonymous.invalid',
    'tel:+15550100',
  ])('is not for %s: its users are not ours to ask', (uri) => {
    const { send } = digestProxy(mode);
    expect(statusOfOnly(send(ownRequest({ from: `<${uri}>;tag=1` })))).toBe(0);
  });

  it.each([
    '<sip:alice@BILOXI.example>;tag=1',
    '<sips:alice@biloxi.example>;tag=1',
    '<sip:alice@biloxi.example.>;tag=1',
    '<sip:alice@biloxi.example:5060>;tag=1',
    '<sip:alice@biloxi.example:9999;transport=tcp;x>;tag=1',
    '<sip:alice:secret@biloxi.example>;tag=1',
    'sip:alice@biloxi.example;tag=1',
    '"sip:a@atlanta.example" <sip:alice@biloxi.example>;tag=1',
    '"<sip:a@atlanta.example>" <sip:alice@biloxi.example>;tag=1',
    '<sip:nobody@biloxi.example>;tag=1',
    '<sip:biloxi.example>;tag=1',
    'A\r\n <sip:alice@biloxi.example>;tag=1',
  ])('is for who says that he is of ours as %j', (from) => {
    expect(statusOfOnly(digestProxy(mode).send(ownRequest({ from })))).toBe(407);
  });

  it.each(['<sip:alice@biloxi.example:99999>;tag=1', '<sip:alice@biloxi.example;=>;tag=1'])(
    'or 400 is for a From that is no URI but looks like one of ours, %s: else callees see a name nobody has proved (26.1.2)',
    (from) => {
      expect([400, 407]).toContain(statusOfOnly(digestProxy(mode).send(ownRequest({ from }))));
    },
  );

  it('is for the compact form of From, too', () => {
    const { send } = digestProxy(mode);
    expect(statusOfOnly(send(ownRequest({ from: null, headers: [`f: ${FROM_ALICE}`] })))).toBe(407);
  });

  it('or 400 is for a second From that is one of ours', () => {
    const headers = [`From: ${FROM_ALICE}`];
    const from = '<sip:eve@atlanta.example>;tag=1';
    expect([400, 407]).toContain(statusOfOnly(digestProxy(mode).send(ownRequest({ from, headers }))));
  });

  it('is not for ACK and CANCEL (22.1)', () => {
    const methods = ['INVITE', 'BYE', 'ACK', 'CANCEL', 'MESSAGE'];
    const { send } = digestProxy(mode, {}, methods);
    const to = 'Bob <sip:bob@biloxi.example>;tag=314159';
    expect(statusOfOnly(send(ownRequest({ method: 'ACK', to })))).toBe(0);
    const statuses = (method: string) =>
      send(ownRequest({ method })).map(({ text }) => /^SIP\/2.0 (\d+)/.exec(text)?.[1]);
    expect(statuses('ACK')).not.toContain('407');
    expect(statuses('CANCEL')).not.toContain('407');
  });

  it.each([
    ['no Route', []],
    ['a Route to us that is not by us', ['<sip:192.0.2.254:5060;lr>']],
    ['a Route to us with a token that is not ours', ['<sip:192.0.2.254:5060;lr;dlg=0123456789abcdef>']],
    ['half a token', ['<sip:192.0.2.254:5060;lr;dlg=01234567>']],
    ['what looks like one from afar', ['<sip:192.0.2.254:5060;lr;dlg=0123456789abcdeg>', '<sip:192.0.2.254;dlg;lr>']],
  ])('is for who says in a To tag that he is in a dialog, with %s', (_, route) => {
    const { send } = digestProxy(mode, {}, ['INVITE', 'BYE', 'MESSAGE']);
    const to = 'Bob <sip:bob@biloxi.example>;tag=made-up';
    for (const method of ['INVITE', 'BYE', 'MESSAGE'])
      expect(statusOfOnly(send(ownRequest({ method, to, route })))).toBe(407);
  });

  it('is not for exempt sources', () => {
    const { send } = digestProxy(mode, { auth: { exempt: ['192.0.2.0/28'] } });
    expect(statusOfOnly(send(ownRequest()))).toBe(0);
    expect(statusOfOnly(send(ownRequest(), BOB))).toBe(407);
  });

  it('is for sources that are trusted with relaying, too', () => {
    const { send } = digestProxy(mode, { trusted: ['192.0.2.10'] });
    expect(statusOfOnly(send(ownRequest()))).toBe(407);
  });

  it('comes after the checks that need no user: 16.3 steps 1 to 5', () => {
    const { send } = digestProxy(mode);
    expect(statusOfOnly(send(ownRequest({ headers: ['Proxy-Require: foo'] })))).toBe(420);
    expect(statusOfOnly(send(ownRequest({ maxForwards: 0 })))).toBe(483);
    expect(statusOfOnly(send(ownRequest({ uri: 'foo:bar' })))).toBe(416);
    expect(statusOfOnly(send(ownRequest({ callId: null })))).toBe(400);
  });

  it('comes before the user who is called is looked for, so that nobody learns who exists (16.3 step 6, 16.5)', () => {
    const { send } = digestProxy(mode);
    expect(statusOfOnly(send(ownRequest({ uri: 'sip:nobody@biloxi.example' })))).toBe(407);
    expect(statusOfOnly(send(ownRequest({ uri: 'sip:x@nowhere.example' })))).toBe(407);
  });

  it('is not for a REGISTER on its way to another registrar', () => {
    const domain = { authenticate: ['INVITE'], registrar: 'off' };
    const { send } = digestProxy(mode, { domain });
    const authorization = 'Authorization: Digest username="alice", realm="elsewhere", nonce="x", uri="y", response="z"';
    const text = ownRequest({ method: 'REGISTER', uri: 'sip:biloxi.example', headers: [authorization] });
    const sent = send(text);
    expect(statusOfOnly(sent)).toBe(0);
    // 7616 3.6: proxies are transparent.
    expect(`Authorization: ${fieldsOf(sent[0]!.text, 'Authorization')[0]}`).toBe(authorization);
  });
});
