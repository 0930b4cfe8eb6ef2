/** RFC 3261 10.3 with authentication: who may register what, in the order of its steps, and registrations under Path (RFC 3327)
 *  and Outbound (RFC 5626). */

import { describe, expect, it } from 'vitest';
import { request } from '../messages.ts';
import { MODES, register, viaOf } from '../registrar/register.ts';
import { ALICE, BOB, PROXY, STRANGER } from '../virtual-network.ts';
import { challengesOf, digestRegistrar } from './phone.ts';

const CONTACT = '<sip:alice@192.0.2.10>';
const FIELDS = { contacts: [CONTACT] };
const BOB_SAYS = { username: 'bob', password: 'builder' };

describe.each(MODES)('10.3 with authentication in mode %s', (mode) => {
  describe('step 4: whose address-of-record it is', () => {
    it("another user's is 403, whatever is to be done with it, and nothing is told or changed", () => {
      const { signOn, bindings } = digestRegistrar(mode);
      expect(signOn({}, FIELDS).status).toBe(200);
      const attempts = [
        { contacts: ['<sip:bob@192.0.2.30>'] },
        { contacts: ['*'], expires: 0 },
        { contacts: [CONTACT], expires: 0 },
        {},
      ];
      for (const fields of attempts) {
        const answer = signOn(BOB_SAYS, { user: 'alice', ...fields });
        expect([answer.status, answer.contacts]).toEqual([403, []]);
        expect(answer.headers('Authentication-Info')).toEqual([]);
      }
      expect(bindings()).toHaveLength(1);
    });

    it('is in To: From does not help, and does not matter (third parties)', () => {
      const { challenge, line, send } = digestRegistrar(mode);
      const { nonce } = challenge();
      const withFrom = (user: string, from: string, nc: string, say = {}) => {
        const text = register({ user, cseq: 9, ...FIELDS, headers: [line(nonce!, { nc, ...say })] });
        return send(text.replace(/From: [^\r]*/, `From: <${from}>;tag=1`)).status;
      };
      expect(withFrom('bob', 'sip:alice@example.org', '00000001')).toBe(403);
      expect(withFrom('alice', 'sip:bob@example.org', '00000002')).toBe(200);
    });

    it.each([
      ['too short', { contacts: [`${CONTACT};expires=5`] }, 423],
      ['no contact', { contacts: ['alice'] }, 400],
      ["another user's", { user: 'bob', contacts: [CONTACT] }, 403],
    ])('what was refused is refused again when it comes again (17.2.2): %s', (_, fields, status) => {
      const { challenge, text, send } = digestRegistrar(mode);
      const refused = text(challenge().nonce!, {}, fields);
      expect([send(refused).status, send(refused).status]).toEqual([status, status]);
    });

    it.each([
      ['we"ird', 'we%22ird', 'we%22irdo'],
      ['J\xc3\xa4s', 'J%c3%a4s', 'J%c3%a4'],
      ['a%c', 'a%25c', 'a%2525c'],
      ['a%25c', 'a%2525c', 'a%25c'],
      ['we"ird@example.org', 'we%22ird', 'we%22ird%40example.org'],
      ['a@c', 'a%40c', 'a'],
      ['bob@example.org', 'bob', 'bob%40example.org'],
    ])('is compared once escapes are undone: %j is %s and not %s', (user, escaped, other) => {
      const { signOn } = digestRegistrar(mode, { domain: { users: [{ user: `/.*/`, password: 'x' }] } });
      const say = { username: user, password: 'x' };
      expect(signOn(say, { to: `<sip:${escaped}@example.org>`, ...FIELDS }).status).toBe(200);
      expect(signOn(say, { to: `<sip:${other}@example.org>`, ...FIELDS }).status).toBe(403);
    });

    it.each(['<sip:%61lice@EXAMPLE.org;user=phone>', 'sip:alice@example.org', '"Bob" <sip:alice@example.org:5060>'])(
      'is compared as step 5 makes it: %s',
      (to) => {
        const { signOn } = digestRegistrar(mode);
        expect(signOn({}, { to, ...FIELDS }).status).toBe(200);
        expect(signOn(BOB_SAYS, { to, ...FIELDS }).status).toBe(403);
      },
    );

    it.each([
      '<sip:Alice@example.org>',
      '<sip:alice%20@example.org>',
      '<sip:lice@example.org>',
      '<sip:alice2@example.org>',
    ])('is another one: %s', (to) => {
      const domain = {
        users: [
          { user: 'alice', password: 'wonderland' },
          { user: '/.*/', password: 'any' },
        ],
      };
      expect(digestRegistrar(mode, { domain }).signOn({}, { to, ...FIELDS }).status).toBe(403);
    });

    it('may be named whole by its user, alice@example.org', () => {
      const { signOn } = digestRegistrar(mode);
      expect(signOn({ username: 'alice@example.org' }, FIELDS).status).toBe(200);
      expect(signOn({ username: 'alice@example.org' }, { ...FIELDS, user: 'bob' }).status).toBe(403);
    });

    it('may be named whole by its user where the configuration knows him so', () => {
      const domain = { users: ['alice', 'bob', { user: '/.*@example\\.org/', password: 'wonderland' }] };
      const { signOn } = digestRegistrar(mode, { domain });
      expect(signOn({ username: 'alice@example.org' }, FIELDS).status).toBe(200);
      expect(signOn({ username: 'alice@example.org' }, { ...FIELDS, user: 'bob' }).status).toBe(403);
    });

    it.each(['alice@example.net', 'alice@', '@example.org', 'example.org', 'sip:alice@example.org', 'ALICE', 'alice '])(
      'is not of a user named %j',
      (username) => {
        expect([400, 401, 403]).toContain(digestRegistrar(mode).signOn({ username }, FIELDS).status);
      },
    );

    it('of sips is of the user, too', () => {
      const { signOn } = digestRegistrar(mode);
      const sips = { to: '<sips:alice@example.org>', contacts: ['<sips:alice@192.0.2.10>'] };
      expect(signOn({}, sips).status).toBe(200);
      expect(signOn(BOB_SAYS, sips).status).toBe(403);
    });

    it('with a password in it is none of his: 19.1.4 tells it from his own', () => {
      const { signOn, bindings } = digestRegistrar(mode);
      const other = signOn(BOB_SAYS, { to: '<sip:alice:bob@example.org>', ...FIELDS });
      expect(other.status).toBe(403);
      expect(bindings()).toEqual([]);
    });
  });

  describe('the order of the steps', () => {
    it('1 before 3: what is not ours is not challenged', () => {
      expect(digestRegistrar(mode).plain({ domain: 'nowhere.example' }, STRANGER).status).toBe(403);
    });

    it('2 before 3: 420 before 401', () => {
      const { plain, answer, challenge } = digestRegistrar(mode);
      const headers = ['Require: foo'];
      const refused = plain({ ...FIELDS, headers });
      expect([refused.status, refused.headers('WWW-Authenticate')]).toEqual([420, []]);
      // And the nonce count is not lost by it.
      const { nonce } = challenge();
      expect(answer(nonce!, {}, { ...FIELDS, headers }).status).toBe(420);
      expect(answer(nonce!, {}, FIELDS).status).toBe(200);
    });

    it.each([
      ['404', { to: '<sip:alice@elsewhere.example>' }],
      ['404 for a user that there is not', { user: 'nobody' }],
      ['404 for another scheme', { to: '<tel:+15550100>' }],
      ['400 for "*"', { contacts: ['*'] }],
      ['400 for contacts that are none', { contacts: ['<bad'] }],
      ['423', { contacts: [CONTACT], expires: 1 }],
      ['420 for Path', { contacts: [CONTACT], headers: ['Path: <sip:p.example;lr>'] }],
      [
        '439',
        {
          contacts: [`${CONTACT};+sip.instance="<urn:x>";reg-id=1`],
          via: `${viaOf(ALICE)}, SIP/2.0/UDP 10.0.0.1`,
          headers: ['Supported: path, outbound'],
        },
      ],
    ])('3 before the rest: 401 before %s', (_, fields) => {
      const answer = digestRegistrar(mode).plain(fields);
      expect(answer.status).toBe(401);
      expect(challengesOf(answer.sent.text).length).toBeGreaterThan(0);
    });

    it('the rest is as ever for who was authenticated', () => {
      const { signOn } = digestRegistrar(mode);
      expect(signOn({}, { contacts: ['*'] }).status).toBe(400);
      expect(signOn({}, { contacts: ['<bad'] }).status).toBe(400);
      const brief = signOn({}, { contacts: [CONTACT], expires: 1 });
      expect([brief.status, brief.header('Min-Expires')]).toEqual([423, '60']);
    });

    it('4 before the rest: 403 before 400, 423', () => {
      const { signOn } = digestRegistrar(mode);
      for (const fields of [{ contacts: ['*'] }, { contacts: ['<bad'] }, { contacts: [CONTACT], expires: 1 }]) {
        expect(signOn(BOB_SAYS, { user: 'alice', ...fields }).status).toBe(403);
      }
    });

    it('4 before 5: 403 before 404, so that no user learns who the others are', () => {
      const { signOn } = digestRegistrar(mode);
      expect(signOn({}, { user: 'bob', ...FIELDS }).status).toBe(403);
      expect(signOn({}, { user: 'nobody', ...FIELDS }).status).toBe(403);
    });

    it('401 comes though no hop is left (16.3 step 3 is for who forwards)', () => {
      expect(digestRegistrar(mode).plain({ ...FIELDS, maxForwards: 0 }).status).toBe(401);
    });
  });

  describe('bindings', () => {
    it('are made, asked for, refreshed and removed by their user', () => {
      const { challenge, answer } = digestRegistrar(mode);
      const { nonce } = challenge();
      const contacts = (nc: string, fields: object) => {
        const { status, contacts: all } = answer(nonce!, { nc }, fields);
        return [status, ...all];
      };
      expect(contacts('00000001', FIELDS)).toEqual([200, `${CONTACT};expires=3600`]);
      expect(contacts('00000002', {})).toEqual([200, `${CONTACT};expires=3600`]);
      expect(contacts('00000003', { ...FIELDS, expires: 100 })).toEqual([200, `${CONTACT};expires=100`]);
      expect(contacts('00000004', { contacts: ['*'], expires: 0 })).toEqual([200]);
    });

    it('by Path: in the 200 and stored, as without authentication (3327 5.3)', () => {
      const { signOn } = digestRegistrar(mode);
      const headers = ['Path: <sip:192.0.2.31:5080;lr>', 'Supported: path'];
      const answer = signOn({}, { ...FIELDS, headers });
      expect([answer.status, answer.headers('Path')]).toEqual([200, ['<sip:192.0.2.31:5080;lr>']]);
      expect(signOn({}, { ...FIELDS, headers: headers.slice(0, 1) }).status).toBe(420);
    });

    it('by Outbound: flows of one instance, with one nonce (5626 6)', () => {
      const { challenge, answer } = digestRegistrar(mode);
      const { nonce } = challenge();
      const headers = ['Supported: path, outbound'];
      const flow = (id: number) => `<sip:alice@10.0.0.${id}>;+sip.instance="<urn:uuid:1>";reg-id=${id}`;
      const one = answer(nonce!, { nc: '00000001' }, { contacts: [flow(1)], headers });
      const two = answer(nonce!, { nc: '00000002' }, { contacts: [flow(2)], callId: 'two', headers }, BOB);
      expect([one.status, two.status, two.contacts.length]).toEqual([200, 200, 2]);
      expect(two.headers('Require')).toEqual(['outbound']);
    });

    it('of a request that came over another proxy (5.3 of 3327; 22.3)', () => {
      const { challenge, line, send } = digestRegistrar(mode);
      const text = register({
        cseq: 20,
        via: `${viaOf(BOB)}, SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKphone`,
        ...FIELDS,
        headers: [line(challenge().nonce!), 'Path: <sip:192.0.2.30:5080;lr>', 'Supported: path'],
      });
      const answer = send(text, BOB);
      expect([answer.status, answer.sent.to]).toEqual([200, BOB]);
    });
  });

  describe('step 3 at the address of a server that asks the users of its domain', () => {
    const { address } = PROXY;
    const contacts = ['<sip:+19005550100@198.51.100.9>'];

    it('asks there, too, or serves nobody', () => {
      const { plain } = digestRegistrar(mode, { trusted: [] });
      expect([401, 403, 404]).toContain(plain({ domain: address, contacts }, STRANGER).status);
    });

    it('relays for no stranger who has registered there whom he wants to be called', () => {
      const { element, plain } = digestRegistrar(mode, { trusted: [] });
      plain({ domain: address, contacts }, STRANGER);
      const uri = `sip:alice@${address}`;
      const sent = element.receive(request({ uri, to: `<${uri}>` }), STRANGER);
      expect(sent.filter(({ text }) => text.startsWith('INVITE ')).map(({ to }) => to)).toEqual([]);
    });
  });
});
