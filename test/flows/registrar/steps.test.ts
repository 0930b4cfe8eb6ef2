/** A REGISTER in the order of RFC 3261 10.3: whose it is, what it requires, whom it is about. What becomes of its contacts is
 *  in bindings.test.ts, the answer in answer.test.ts. */

import { describe, expect, it } from 'vitest';
import { fieldsOf } from '../messages.ts';
import { BOB, createElement, PROXY, STRANGER } from '../virtual-network.ts';
import { answerOf, MODES, PHONE, register, registrarOf } from './register.ts';

const CONTACT = '<sip:alice@192.0.2.10>';

describe.each(MODES)('10.3 in mode %s', (mode) => {
  const open = (options: Parameters<typeof registrarOf>[0] = {}) => registrarOf({ mode, ...options });

  describe('step 1: the domain of the Request-URI', () => {
    it('is served if it is ours, in any case and with a closing dot', () => {
      expect(open().register({ uri: 'sip:example.org', contacts: [CONTACT] }).status).toBe(200);
      expect(open().register({ uri: 'sip:EXAMPLE.org', contacts: [CONTACT] }).status).toBe(200);
      expect(open().register({ uri: 'sip:example.org.', contacts: [CONTACT] }).status).toBe(200);
    });

    it('that is foreign gets strangers 403', () => {
      const answer = open().register({ domain: 'chicago.example', contacts: [CONTACT] }, STRANGER);
      expect(answer.status).toBe(403);
    });

    it('that is foreign is forwarded for those we trust', () => {
      const sent = open().receive(register({ domain: 'chicago.example', contacts: [CONTACT] }), PHONE);
      expect(sent.map(({ to, text }) => [to.address, text.slice(0, 33)])).toEqual([
        ['198.51.100.9', 'REGISTER sip:chicago.example SIP/'],
      ]);
    });

    it('goes to its next hops if it has some, unless it is said to be registered here', () => {
      const name = 'example.org';
      const nextHops = [`sip:${BOB.address}:${BOB.port}`];
      const receive = (domain: object) =>
        createElement({ mode, domains: [{ name, nextHops, ...domain }] }).receive(
          register({ contacts: [CONTACT] }),
          PHONE,
        );
      expect(receive({})[0]!.to).toEqual(BOB);
      expect(receive({ registrar: 'off' })[0]!.to).toEqual(BOB);
      expect(answerOf(receive({ registrar: 'on' })).status).toBe(200);
    });

    it('does not keep it from going by a Route (16.6 step 7)', () => {
      const headers = [`Route: <sip:${BOB.address}:${BOB.port};lr>`];
      const [sent] = open().receive(register({ contacts: [CONTACT], headers }), PHONE);
      expect([sent!.to, fieldsOf(sent!.text, 'Max-Forwards')]).toEqual([BOB, ['69']]);
    });

    it('but not without a hop left (16.3 step 3)', () => {
      const headers = [`Route: <sip:${BOB.address}:${BOB.port};lr>`];
      expect(open().register({ contacts: [CONTACT], headers, maxForwards: 0 }).status).toBe(483);
    });

    it('nor where a strict router has put our URI before its own (16.4, 16.3 step 3)', () => {
      const headers = [`Route: <sip:${BOB.address}:${BOB.port}>`];
      const uri = `sip:${PROXY.address}:${PROXY.port};lr`;
      expect(open().register({ uri, contacts: [CONTACT], headers, maxForwards: 0 }).status).toBe(483);
    });

    it('is reached over a Route of our own', () => {
      const headers = [`Route: <sip:${PROXY.address}:${PROXY.port};lr>`];
      expect(open().register({ contacts: [CONTACT], headers, maxForwards: 0 }).status).toBe(200);
    });

    it('needs no hop to go (16.3 step 3)', () => {
      expect(open().register({ contacts: [CONTACT], maxForwards: 0 }).status).toBe(200);
    });
  });

  describe('step 2: Require (8.2.2.3)', () => {
    it('with what we know changes nothing', () => {
      const headers = ['Require: path, outbound', 'Supported: path'];
      expect(open().register({ contacts: [CONTACT], headers }).status).toBe(200);
    });

    it('with what we do not know is answered 420, which names that only', () => {
      const registrar = open();
      const headers = ['Require: path, gruu', 'Require: foo', 'Supported: path, gruu'];
      const answer = registrar.register({ contacts: [CONTACT], headers });
      expect(answer.status).toBe(420);
      expect(answer.headers('Unsupported').flatMap((value) => value.split(/\s*,\s*/))).toEqual(['gruu', 'foo']);
      expect(registrar.bindings()).toEqual([]);
    });

    it('comes before steps 5 to 7', () => {
      const headers = ['Require: foo'];
      const wrong = { to: '<sip:alice@elsewhere.example>', contacts: ['<bad>'], headers };
      expect(open().register(wrong).status).toBe(420);
      expect(open().register({ contacts: ['*'], headers }).status).toBe(420);
    });
  });

  describe('step 5: the address-of-record', () => {
    it.each(['<sip:alice@elsewhere.example>', '<sip:alice@192.0.2.254>', '<sip:example.org>'])(
      '%s is none of the domain: 404',
      (to) => {
        expect(open().register({ to, contacts: [CONTACT] }).status).toBe(404);
      },
    );

    it.each(['<tel:+15550100>', '<mailto:alice@example.org>', '<urn:service:sos>', 'isbn:2983792873'])(
      '%s is none: 400 (10.2, RFC 4475 3.3.4)',
      (to) => {
        expect(open().register({ to, contacts: [CONTACT] }).status).toBe(400);
      },
    );

    it('of a user that there is not: 404', () => {
      const registrar = open({ domains: [{ name: 'example.org', users: ['alice'] } as { name: string }] });
      expect(registrar.register({ user: 'mallory', contacts: [CONTACT] }).status).toBe(404);
      expect(registrar.register({ user: 'Alice', contacts: [CONTACT] }).status).toBe(404);
      expect(registrar.register({ user: '%61lice', contacts: [CONTACT] }).status).toBe(200);
      expect(registrar.uris()).toEqual(['sip:alice@192.0.2.10']);
    });

    it.each([
      '<sip:%61lice@example.org>',
      '<sip:alice@EXAMPLE.ORG>',
      '<sip:alice@example.org;user=phone>',
      '<sip:alice@example.org;transport=tcp;foo>',
      '<sip:alice@example.org:5060>',
      '"Alice, <the> \\"A\\"" <sip:alice@example.org>',
      'sip:alice@example.org',
      'Alice Smith <SIP:alice@example.org>;x=y',
    ])('is canonical: %s', (to) => {
      const registrar = open();
      expect(registrar.register({ to, contacts: [CONTACT] }).status).toBe(200);
      expect(registrar.uris()).toEqual(['sip:alice@192.0.2.10']);
    });

    it.each(['<sip:Alice@example.org>', '<sip:alice%20@example.org>', '<sip:alic@example.org>'])(
      'is another one: %s',
      (to) => {
        const registrar = open();
        expect(registrar.register({ to, contacts: [CONTACT] }).status).toBe(200);
        expect(registrar.uris()).toEqual([]);
      },
    );

    it('is that in To, not the one in From: third parties may register', () => {
      const registrar = open();
      const text = register({ contacts: [CONTACT] }).replace(/From: [^\r]*/, 'From: <sip:boss@example.org>;tag=1');
      expect(answerOf(registrar.receive(text, PHONE)).status).toBe(200);
      expect(registrar.uris()).toEqual(['sip:alice@192.0.2.10']);
      expect(registrar.uris('boss')).toEqual([]);
    });

    it('comes before steps 6 and 7', () => {
      const to = '<sip:alice@elsewhere.example>';
      expect(open().register({ to, contacts: ['*'] }).status).toBe(404);
      expect(open().register({ to, contacts: [CONTACT], expires: 1 }).status).toBe(404);
    });
  });
});
