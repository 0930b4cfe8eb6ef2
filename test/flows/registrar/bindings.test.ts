/** RFC 3261 10.3 steps 6 and 7: what a REGISTER does to the bindings of its address-of-record. */

import { describe, expect, it } from 'vitest';
import { request } from '../messages.ts';
import { createElement } from '../virtual-network.ts';
import { answerOf, MODES, PHONE, type RegisterFields, register, registrarOf, uriIn } from './register.ts';

const DESK = 'sip:alice@192.0.2.10';
const CELL = 'sip:alice@192.0.2.11';
const HOME = 'sip:alice@192.0.2.12';

describe.each(MODES)('10.3 in mode %s', (mode) => {
  const open = (options: Parameters<typeof registrarOf>[0] = {}) => registrarOf({ mode, ...options });
  /** A registrar where alice has DESK and CELL by call-1 with CSeq 5. */
  const openWithTwo = (options: Parameters<typeof registrarOf>[0] = {}) => {
    const registrar = open(options);
    expect(registrar.register({ cseq: 5, contacts: [`<${DESK}>`, `<${CELL}>`] }).status).toBe(200);
    return registrar;
  };

  describe('the Contact values', () => {
    it.each([
      ['in one header', ['<sip:a@192.0.2.1>, <sip:b@192.0.2.2>;q=0.5 , "C, \\"<x>" <sip:c@192.0.2.3>']],
      ['in several headers', ['<sip:a@192.0.2.1>', 'sip:b@192.0.2.2', 'Some One <sip:c@192.0.2.3>']],
      ['in both', ['<sip:a@192.0.2.1>;expires=100,<sip:b@192.0.2.2>', '"a;b,c<d>" <sip:c@192.0.2.3>;expires=60']],
      ['in folded lines', ['<sip:a@192.0.2.1>,\r\n <sip:b@192.0.2.2>\r\n\t, <sip:c@192.0.2.3>']],
    ])('%s count all', (_, contacts) => {
      const registrar = open();
      expect(registrar.register({ contacts }).contacts).toHaveLength(3);
      expect(registrar.uris()).toEqual(['sip:a@192.0.2.1', 'sip:b@192.0.2.2', 'sip:c@192.0.2.3']);
    });

    it('may stand in the compact form of the header', () => {
      const registrar = open();
      expect(registrar.register({ headers: [`m: <${DESK}>`, `M : <${CELL}>`] }).status).toBe(200);
      expect(registrar.uris()).toEqual([DESK, CELL]);
    });

    it('may be of any scheme (20.10)', () => {
      const registrar = open();
      const contacts = ['<tel:+15550100>', '<mailto:alice@example.org>', '<sips:alice@192.0.2.1>', '<irc:a,b>'];
      expect(registrar.register({ contacts }).status).toBe(200);
      expect(registrar.uris()).toEqual([
        'irc:a,b',
        'mailto:alice@example.org',
        'sips:alice@192.0.2.1',
        'tel:+15550100',
      ]);
    });

    it.each([
      '<sip:alice@>',
      'alice',
      '<sip:alice@192.0.2.1',
      '',
      ',',
      '<sip:alice@192.0.2.1>,',
      '"alice <sip:alice@192.0.2.1>',
      '<sip:alice@192.0.2.1:99999>',
    ])('are taken all or none: %s beside a good one is 400', (bad) => {
      const registrar = openWithTwo();
      expect(registrar.register({ cseq: 6, contacts: [`<${HOME}>`, bad] }).status).toBe(400);
      expect(registrar.register({ cseq: 7, contacts: [`<${DESK}>;expires=0`, bad] }).status).toBe(400);
      expect(registrar.uris()).toEqual([DESK, CELL]);
    });

    it('are one binding if they mean one', () => {
      const registrar = open();
      registrar.register({ contacts: [`<${DESK}>;q=0.1`, `<${DESK};foo>, <sip:%61lice@192.0.2.10>;q=0.2`] });
      expect(registrar.bindings().length).toBeLessThan(2);
    });

    it('are one binding if one means two that there are (19.1.4 is not transitive)', () => {
      const registrar = open();
      registrar.register({ cseq: 2, contacts: [`<${DESK};x=1>`] });
      registrar.register({ cseq: 3, contacts: [`<${DESK};x=2>`] });
      expect(registrar.uris()).toHaveLength(2);
      registrar.register({ cseq: 4, contacts: [`<${DESK}>`] });
      expect(registrar.uris()).toEqual([DESK]);
    });

    it('are one binding if they mean one that there is', () => {
      const registrar = openWithTwo();
      registrar.register({ cseq: 6, contacts: [`<${DESK}>;q=0.1`, `<${DESK}>;q=0.2`] });
      expect(registrar.uris()).toEqual([DESK, CELL]);
    });
  });

  describe('step 6: *', () => {
    it('with Expires 0 removes all', () => {
      const registrar = openWithTwo();
      const answer = registrar.register({ cseq: 6, contacts: ['*'], expires: 0 });
      expect([answer.status, answer.contacts]).toEqual([200, []]);
      expect(registrar.bindings()).toEqual([]);
    });

    it.each<[string, RegisterFields]>([
      ['without Expires', { contacts: ['*'] }],
      ['with another Expires', { contacts: ['*'], expires: 60 }],
      ['with an Expires that is no number', { contacts: ['*'], expires: 'now' }],
      ['with a parameter in its stead', { contacts: ['*;expires=0'] }],
      ['before another', { contacts: ['*', `<${HOME}>`], expires: 0 }],
      ['behind another', { contacts: [`<${HOME}>`, '*'], expires: 0 }],
      ['in a list', { contacts: [`*, <${HOME}>`], expires: 0 }],
      ['at the end of a list', { contacts: [`<${HOME}>,*`], expires: 0 }],
      ['twice', { contacts: ['*', '*'], expires: 0 }],
    ])('%s is 400, and nothing changes', (_, fields) => {
      const registrar = openWithTwo();
      expect(registrar.register({ cseq: 6, ...fields }).status).toBe(400);
      expect(registrar.register({ callId: 'other', ...fields }).status).toBe(400);
      expect(registrar.uris()).toEqual([DESK, CELL]);
    });

    it.each([4, 5])('with CSeq %i of the same Call-ID is refused, and removes none', (cseq) => {
      const registrar = openWithTwo();
      registrar.register({ callId: 'other', cseq: 1, contacts: [`<${HOME}>`] });
      const answer = registrar.register({ cseq, contacts: ['*'], expires: 0 });
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(600);
      expect(registrar.uris()).toEqual([DESK, CELL, HOME]);
    });

    it('with another Call-ID removes all, whatever its CSeq', () => {
      const registrar = openWithTwo();
      expect(registrar.register({ callId: 'other', cseq: 0, contacts: ['*'], expires: 0 }).status).toBe(200);
      expect(registrar.bindings()).toEqual([]);
    });

    it('where nothing is changes nothing', () => {
      expect(open().register({ contacts: ['*'], expires: 0 }).status).toBe(200);
    });
  });

  describe('step 7: Call-ID and CSeq', () => {
    it.each([
      ['updates', 3, 300],
      ['removes', 3, 0],
    ])('a lower one %s nothing: 500', (_, cseq, expires) => {
      const registrar = openWithTwo();
      expect(registrar.register({ cseq, contacts: [`<${DESK}>;expires=${expires};q=0.1`] }).status).toBe(500);
      expect(registrar.bindings()).toEqual([`<${DESK}>;expires=3600`, `<${CELL}>;expires=3600`]);
    });

    it('one and the same in another transaction, once the one before is over: 500', () => {
      const registrar = openWithTwo();
      registrar.advance(32_000);
      expect(registrar.register({ cseq: 5, contacts: [`<${DESK}>;expires=0`] }).status).toBe(500);
      expect(registrar.uris()).toEqual([DESK, CELL]);
    });

    it('one and the same in another transaction is a merged request until then: 482 (8.2.2.2)', () => {
      const registrar = openWithTwo();
      registrar.advance(31_000);
      for (const contacts of [[`<${DESK}>;expires=0`], [`<${HOME}>`, `<${DESK}>`], [`<${DESK}>`, `<${CELL}>`]]) {
        expect(registrar.register({ cseq: 5, contacts }).status).toBe(482);
      }
      expect(registrar.uris()).toEqual([DESK, CELL]);
    });

    it('is no merged request with another From tag, or with a To tag: 500 (8.2.2.2)', () => {
      const registrar = openWithTwo();
      const again = register({ cseq: 5, contacts: [`<${DESK}>`], branch: 'z9hG4bKanother' });
      const statusOf = (text: string) => answerOf(registrar.receive(text, PHONE)).status;
      expect(statusOf(again)).toBe(482);
      const inAnother = (number: number) => again.replace('another', `another${number}`);
      expect(statusOf(inAnother(2).replace(';tag=from-tag', ';tag=other'))).toBe(500);
      expect(statusOf(inAnother(3).replace(/\r\nTo: .*/, '$&;tag=1'))).toBe(500);
    });

    it('a lower one for one contact undoes all others of the request', () => {
      const registrar = openWithTwo();
      registrar.register({ cseq: 9, contacts: [`<${CELL}>`] });
      const contacts = [`<${HOME}>`, `<${DESK}>;expires=0`, `<${CELL}>;expires=0`];
      expect(registrar.register({ cseq: 8, contacts }).status).toBe(500);
      expect(registrar.uris()).toEqual([DESK, CELL]);
    });

    it('a higher one updates and removes', () => {
      const registrar = openWithTwo();
      const contacts = [`<${DESK}>;expires=0`, `<${CELL}>;q=0.3;expires=120`];
      expect(registrar.register({ cseq: 6, contacts }).contacts).toEqual([`<${CELL}>;expires=120;q=0.3`]);
      expect(registrar.register({ cseq: 2_147_483_647, contacts: [`<${CELL}>;expires=0`] }).status).toBe(200);
      expect(registrar.bindings()).toEqual([]);
    });

    it('a lower one may add what there is not', () => {
      const registrar = openWithTwo();
      expect(registrar.register({ cseq: 2, contacts: [`<${HOME}>`] }).status).toBe(200);
      expect(registrar.uris()).toEqual([DESK, CELL, HOME]);
    });

    it('another Call-ID may update and remove with any CSeq, and is the one that counts from then on', () => {
      const registrar = openWithTwo();
      const other = { callId: 'CALL-1' };
      const contacts = [`<${DESK}>;expires=0`, `<${CELL}>;q=0.7`];
      expect(registrar.register({ ...other, cseq: 2, contacts }).contacts).toEqual([`<${CELL}>;expires=3600;q=0.7`]);
      expect(registrar.register({ ...other, cseq: 1, contacts: [`<${CELL}>`] }).status).toBe(500);
      expect(registrar.register({ cseq: 1, contacts: [`<${CELL}>`] }).status).toBe(200);
    });

    it.each([[[`<${DESK}>`, `<${CELL}>`]], [[`<${DESK}>;expires=0`, `<${HOME}>`]], [[`<${DESK}>;expires=0`]]])(
      'the same request once more gets the same answer: %s',
      (contacts) => {
        const registrar = openWithTwo();
        const text = register({ cseq: 6, contacts });
        const [first, second] = [registrar.receive(text, PHONE), registrar.receive(text, PHONE)];
        expect(first[0]!.text).toMatch(/^SIP\/2.0 200 /);
        expect(second).toEqual(first);
      },
    );

    it('a refused request once more is refused once more', () => {
      const registrar = openWithTwo();
      const text = register({ cseq: 4, contacts: [`<${DESK}>`] });
      expect(registrar.receive(text, PHONE)).toEqual(registrar.receive(text, PHONE));
    });

    it('* once more gets the same answer', () => {
      const registrar = openWithTwo();
      const text = register({ cseq: 6, contacts: ['*'], expires: 0 });
      expect(registrar.receive(text, PHONE)).toEqual(registrar.receive(text, PHONE));
    });
  });

  describe('step 7: the expiry', () => {
    it.each<[string, RegisterFields, number]>([
      ['of the parameter', { contacts: [`<${DESK}>;expires=100`], expires: 200 }, 100],
      ['of the parameter in any case', { contacts: [`<${DESK}>;Expires = 100`], expires: 200 }, 100],
      ['of the parameter without brackets', { contacts: [`${DESK};expires=100`], expires: 200 }, 100],
      ['of the header', { contacts: [`<${DESK};expires=100>`], expires: 200 }, 200],
      ['of the configuration', { contacts: [`<${DESK}>`] }, 1800],
      [
        'of an hour if the parameter is no number (20.10)',
        { contacts: [`<${DESK}>;expires=soon`], expires: 200 },
        3600,
      ],
      ['of an hour if the parameter is quoted', { contacts: [`<${DESK}>;expires="100"`], expires: 200 }, 3600],
      ['of an hour if the parameter is negative', { contacts: [`<${DESK}>;expires=-1`], expires: 200 }, 3600],
      ['of an hour if the header is a date (20.10, 8.3)', dated(), 3600],
      ['of the maximum if it is longer', { contacts: [`<${DESK}>;expires=99999999999999999999`] }, 7200],
      ['of the maximum if the header says 2³² − 1', { contacts: [`<${DESK}>`], expires: 4_294_967_295 }, 7200],
      ['of the minimum itself', { contacts: [`<${DESK}>`], expires: 90 }, 90],
    ])('%s', (_, fields, expires) => {
      const settings = { registrar: { minExpiresSec: 90, defaultExpiresSec: 1800, maxExpiresSec: 7200 } };
      const contacts = open({ settings }).register(fields).contacts;
      expect(contacts.map((contact) => />;expires=(\d+)/.exec(contact)?.[1])).toEqual([String(expires)]);
    });

    it('is said once, whatever came', () => {
      const [contact] = open().register({ contacts: [`<${DESK}>;expires;foo`], expires: 300 }).contacts;
      expect(contact!.match(/;expires/g)).toHaveLength(1);
    });

    it('that is too short is answered 423 with the shortest there is, and nothing changes', () => {
      const registrar = openWithTwo({ settings: { registrar: { minExpiresSec: 90 } } });
      const contacts = [`<${HOME}>`, `<${DESK}>;expires=0`, `<${CELL}>;expires=89`];
      const answer = registrar.register({ cseq: 6, contacts });
      expect([answer.status, answer.header('Min-Expires')]).toEqual([423, '90']);
      expect(registrar.uris()).toEqual([DESK, CELL]);
    });

    it('of an hour or of nothing is never too short', () => {
      const registrar = open({
        settings: { registrar: { minExpiresSec: 3600, maxExpiresSec: 3600, defaultExpiresSec: 3600 } },
      });
      expect(registrar.register({ contacts: [`<${DESK}>;expires=3600`] }).status).toBe(200);
      expect(registrar.register({ cseq: 2, contacts: [`<${DESK}>;expires=3599`] }).status).toBe(423);
      expect(registrar.register({ cseq: 2, contacts: [`<${DESK}>`], expires: 0 }).status).toBe(200);
      expect(registrar.register({ cseq: 3, contacts: ['*'], expires: 0 }).status).toBe(200);
    });

    it('of zero for what there is not changes nothing', () => {
      const registrar = openWithTwo();
      expect(registrar.register({ cseq: 6, contacts: [`<${HOME}>;expires=0`] }).status).toBe(200);
      expect(open().register({ contacts: [`<${HOME}>;expires=0`] }).contacts).toEqual([]);
      expect(registrar.uris()).toEqual([DESK, CELL]);
    });

    it('runs down, and then the binding is none', () => {
      const registrar = open();
      registrar.register({ contacts: [`<${DESK}>;expires=100`, `<${CELL}>;expires=200`] });
      registrar.advance(60_500);
      expect(registrar.bindings()).toEqual([`<${DESK}>;expires=40`, `<${CELL}>;expires=140`]);
      registrar.advance(39_500);
      expect(registrar.uris()).toEqual([CELL]);
      // Its Call-ID and CSeq are gone with it.
      expect(registrar.register({ cseq: 1, contacts: [`<${DESK}>`] }).status).toBe(200);
      registrar.advance(3_600_000);
      expect(registrar.bindings()).toEqual([]);
    });

    it('of a refresh counts from the refresh', () => {
      const registrar = open();
      registrar.register({ contacts: [`<${DESK}>;expires=100`] });
      registrar.advance(90_000);
      registrar.register({ cseq: 2, contacts: [`<${DESK}>;expires=100`] });
      registrar.advance(90_000);
      expect(registrar.bindings()).toEqual([`<${DESK}>;expires=10`]);
    });
  });

  describe('step 7: which contacts are one (19.1.4)', () => {
    it.each([
      ['sip:alice@atlanta.example', 'SIP:alice@AtLanTa.EXAMPLE'],
      ['sip:%61lice@atlanta.example;transport=TCP', 'sip:alice@AtlanTa.Example;Transport=tcp'],
      ['sip:carol@chicago.example', 'sip:carol@chicago.example;newparam=5'],
      ['sip:carol@chicago.example;newparam=5', 'sip:carol@chicago.example;security=on'],
      ['sip:alice@192.0.2.1;transport=udp;lr;x=1', 'sip:alice@192.0.2.1;x=1;lr;transport=UDP'],
      ['sip:alice@[2001:db8::1]', 'sip:alice@[2001:DB8:0:0::1]'],
      ['tel:+1-555-0100', 'tel:+15550100'],
    ])('%s is %s', (one, same) => {
      const registrar = open();
      registrar.register({ contacts: [`<${one}>`] });
      expect(registrar.register({ cseq: 2, contacts: [`<${same}>`] }).contacts.map(uriIn)).toEqual([same]);
      expect(registrar.register({ cseq: 1, contacts: [`<${one}>`] }).status).toBe(482);
      registrar.advance(32_000);
      expect(registrar.register({ cseq: 1, contacts: [`<${one}>`] }).status).toBe(500);
      expect(registrar.register({ cseq: 3, contacts: [`<${one}>;expires=0`] }).contacts).toEqual([]);
    });

    it.each([
      ['sip:alice@192.0.2.1', 'sip:Alice@192.0.2.1'],
      ['sip:bob@biloxi.example', 'sip:bob@biloxi.example:5060'],
      ['sip:bob@biloxi.example', 'sip:bob@biloxi.example;transport=udp'],
      ['sip:bob@biloxi.example', 'sip:bob@biloxi.example;maddr=192.0.2.1'],
      ['sip:bob@biloxi.example;newparam=5', 'sip:bob@biloxi.example;newparam=6'],
      ['sip:bob@192.0.2.1:5060', 'sip:bob@192.0.2.1:5070'],
      ['sip:bob@192.0.2.1', 'sips:bob@192.0.2.1'],
      ['sip:bob@192.0.2.1', 'sip:192.0.2.1'],
      ['sip:bob@192.0.2.1', 'sip:bob:secret@192.0.2.1'],
      ['sip:bob@biloxi.example?Subject=next%20meeting', 'sip:bob@biloxi.example'],
      ['mailto:a@example.org', 'mailto:b@example.org'],
    ])('%s is not %s', (one, other) => {
      const registrar = open();
      registrar.register({ contacts: [`<${one}>`] });
      expect(registrar.register({ cseq: 2, contacts: [`<${other}>`] }).contacts).toHaveLength(2);
      expect(registrar.register({ cseq: 3, contacts: [`<${one}>;expires=0`] }).contacts.map(uriIn)).toEqual([other]);
    });
  });

  describe('how many contacts', () => {
    const settings = { registrar: { maxContacts: 2 } };

    it('one more than there may be: 403, and nothing changes', () => {
      const registrar = openWithTwo({ settings });
      expect(registrar.register({ cseq: 6, contacts: [`<${HOME}>`] }).status).toBe(403);
      expect(registrar.register({ cseq: 6, contacts: [`<${HOME}>`, `<${DESK}>;q=0.1`] }).status).toBe(403);
      expect(registrar.bindings()).toEqual([`<${DESK}>;expires=3600`, `<${CELL}>;expires=3600`]);
    });

    it('at the limit, one in the place of another', () => {
      const registrar = openWithTwo({ settings });
      expect(registrar.register({ cseq: 6, contacts: [`<${HOME}>`, `<${DESK}>;expires=0`] }).status).toBe(200);
      expect(registrar.register({ cseq: 7, contacts: [`<${CELL}>;q=0.1`] }).status).toBe(200);
      expect(registrar.uris()).toEqual([CELL, HOME]);
    });

    it('expired ones do not count', () => {
      const registrar = openWithTwo({ settings });
      registrar.advance(3_600_000);
      expect(registrar.register({ cseq: 6, contacts: [`<${HOME}>`] }).status).toBe(200);
    });

    it('one too large for a record is refused, and nothing changes', () => {
      const registrar = openWithTwo();
      for (const length of [1_000, 4_000, 20_000]) {
        const answer = registrar.register({ callId: 'long', contacts: [`<${HOME};x=${'y'.repeat(length)}>`] });
        if (answer.status === 200) registrar.register({ callId: 'gone', contacts: [`<${HOME}>;expires=0`] });
        else expect([length, answer.status]).toEqual([length, 513]);
        expect(registrar.uris()).toEqual([DESK, CELL]);
      }
    });

    it('the parameters of one take no memory but their own', () => {
      const element = createElement({ mode: 'stateful', domains: ['example.org'], nextHops: [] });
      const call = request({ uri: 'sip:nobody@example.org' });
      const [kept] = element.receive(call, PHONE);
      element.receive(register({ contacts: [`<${DESK}>${';a;q=1'.repeat(1000)}`] }), PHONE);
      const [again] = element.receive(call, PHONE);
      // Not by toBe: what differs may be long.
      expect(again!.text === kept!.text).toBe(true);
    });

    it('many more in one request: 403', () => {
      const contacts = Array.from({ length: 99 }, (_, i) => `<sip:${i}@192.0.2.1>`);
      expect(open().register({ contacts: [contacts.slice(0, 40).join()] }).status).toBe(403);
      expect(open().register({ contacts }).status).toBe(403);
    });
  });
});

/** The Expires of RFC 2543. */
function dated(): RegisterFields {
  return { contacts: [`<${DESK}>`], expires: 'Thu, 01 Dec 2040 16:00:00 GMT' };
}

describe('17.2, a request that comes late', () => {
  it('once more after Timer J is a new one', () => {
    const registrar = registrarOf();
    const first = register({ cseq: 1, contacts: [`<${DESK}>`] });
    registrar.receive(first, PHONE);
    registrar.register({ cseq: 2, contacts: [`<${DESK}>;expires=0`] });
    registrar.advance(33_000);
    registrar.receive(first, PHONE);
    expect(registrar.uris()).toEqual([DESK]);
  });

  it('once more after the next one of its client changes nothing', () => {
    const registrar = registrarOf();
    const first = register({ cseq: 1, contacts: [`<${DESK}>`] });
    registrar.receive(first, PHONE);
    registrar.register({ cseq: 2, contacts: [`<${DESK}>;expires=0`] });
    // 10.3: "handles requests according to … Section 17.2": within Timer J it is a retransmission.
    registrar.receive(first, PHONE);
    expect(registrar.bindings()).toEqual([]);
  });

  it('gets the answer that it got, as long as what it wrote is there (17.2.2)', () => {
    const registrar = registrarOf();
    registrar.register({ callId: 'other', contacts: [`<${CELL}>;expires=600`] });
    registrar.advance(10_000);
    const text = register({ cseq: 7, contacts: [`<${DESK}>;expires=60`] });
    const [first] = registrar.receive(text, PHONE);
    for (let i = 0; i < 3; i++) {
      registrar.advance(1_100);
      expect(registrar.receive(text, PHONE).map((sent) => sent.text)).toEqual([first!.text]);
    }
    // A query is another matter.
    expect(registrar.bindings()).toEqual([`<${CELL}>;expires=587`, `<${DESK}>;expires=57`].sort());
  });
});
