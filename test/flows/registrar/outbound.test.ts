/** Outbound (RFC 5626): flows at the registrar (6) and at the authoritative proxy (7). */

import { describe, expect, it } from 'vitest';
import { fieldsOf, request, uriOf } from '../messages.ts';
import { brief, CAROL, Call, DAVE, openProxy, requestOf, responseOf } from '../stateful/call.ts';
import { ALICE, BOB, createElement, type Endpoint, type VirtualElement } from '../virtual-network.ts';
import {
  type Answer,
  answerOf,
  MODES,
  PHONE,
  type RegisterFields,
  register,
  registrarOf,
  signUp,
  viaOf,
} from './register.ts';

const ONE = '"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"';
const TWO = '"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"';
const DESK = 'sip:alice@10.0.0.1';
const CELL = 'sip:alice@10.0.0.2';
const OUTBOUND = ['Supported: path, outbound'];
const flow = (uri: string, regId: number | string, instance = ONE) =>
  `<${uri}>;+sip.instance=${instance};reg-id=${regId}`;
const HOME = { domains: ['biloxi.example'], nextHops: [] };

describe.each(MODES)('RFC 5626 6, the registrar in mode %s', (mode) => {
  const open = (options: Parameters<typeof registrarOf>[0] = {}) => registrarOf({ mode, ...options });
  const requires = (answer: Answer) => answer.headers('Require');

  it('instance and reg-id are the binding, whatever the URI', () => {
    const registrar = open();
    registrar.register({ contacts: [flow(DESK, 1)], headers: OUTBOUND });
    const answer = registrar.register({ cseq: 2, contacts: [flow(CELL, 1)], headers: OUTBOUND });
    expect(answer.contacts).toEqual([`<${CELL}>;expires=3600;+sip.instance=${ONE};reg-id=1`]);
    expect(requires(answer)).toEqual(['outbound']);
  });

  it('a Flow-Timer is said if it is set, of flows alone', () => {
    expect(
      open()
        .register({ contacts: [flow(DESK, 1)], headers: OUTBOUND })
        .headers('Flow-Timer'),
    ).toEqual([]);
    const registrar = open({ settings: { registrar: { flowTimerSec: 120 } } });
    const answer = registrar.register({ contacts: [flow(DESK, 1)], headers: OUTBOUND });
    expect([requires(answer), answer.headers('Flow-Timer')]).toEqual([['outbound'], ['120']]);
    expect(registrar.register({ callId: 'two', contacts: [`<${CELL}>`] }).headers('Flow-Timer')).toEqual([]);
  });

  it('the same instance in another spelling is the same (4.1)', () => {
    const registrar = open();
    registrar.register({ contacts: [flow(DESK, 1)], headers: OUTBOUND });
    const spelling = ONE.replace('urn:uuid', 'URN:Uuid').replace('AABBCCDDEEFF', 'aabbCCddeeff');
    registrar.register({ cseq: 2, contacts: [flow(CELL, 1, spelling)], headers: OUTBOUND });
    expect(registrar.uris()).toEqual([CELL]);
    const both = [`${flow(DESK, 1)};expires=0`, flow(CELL, 1, spelling)];
    expect(registrar.register({ cseq: 3, contacts: both, headers: OUTBOUND }).status).toBe(200);
    expect(registrar.uris()).toEqual([CELL]);
  });

  it('another reg-id, and another instance, are another binding, with one URI too', () => {
    const registrar = open();
    registrar.register({ contacts: [flow(DESK, 1)], headers: OUTBOUND });
    registrar.register({ cseq: 2, contacts: [flow(DESK, 2)], headers: OUTBOUND });
    registrar.register({ callId: 'two', contacts: [flow(DESK, 1, TWO)], headers: OUTBOUND });
    registrar.register({ callId: 'three', contacts: [`<${CELL}>`] });
    expect(registrar.bindings()).toHaveLength(4);
    const gone = registrar.register({ cseq: 3, contacts: [`${flow(CELL, 2)};expires=0`], headers: OUTBOUND });
    expect(gone.contacts).toHaveLength(3);
    expect(gone.contacts.filter((contact) => contact.includes('reg-id=2'))).toEqual([]);
  });

  it('Call-ID and CSeq are asked for flows, too (3261 10.3 step 7)', () => {
    const registrar = open();
    registrar.register({ cseq: 5, contacts: [flow(DESK, 1)], headers: OUTBOUND });
    expect(registrar.register({ cseq: 4, contacts: [flow(CELL, 1)], headers: OUTBOUND }).status).toBe(500);
    expect(registrar.register({ callId: 'reboot', contacts: [flow(CELL, 1)], headers: OUTBOUND }).status).toBe(200);
    expect(registrar.uris()).toEqual([CELL]);
  });

  it('all parameters of the contact are stored', () => {
    const contact = `<${DESK}>;a=1;+sip.instance=${ONE};methods="INVITE,BYE";reg-id=1;audio;q=0.5;+x="<y>"`;
    const [stored] = open().register({ contacts: [contact], headers: OUTBOUND }).contacts;
    for (const param of [
      'a=1',
      `+sip.instance=${ONE}`,
      'methods="INVITE,BYE"',
      'reg-id=1',
      'audio',
      'q=0.5',
      '+x="<y>"',
    ])
      expect(`${stored};`).toContain(`;${param};`);
  });

  it.each([
    ['a reg-id without an instance', `<${DESK}>;reg-id=1`, OUTBOUND],
    ['an instance without a reg-id', `<${DESK}>;+sip.instance=${ONE}`, OUTBOUND],
    ['neither', `<${DESK}>`, OUTBOUND],
    ['a reg-id of 0', flow(DESK, 0), OUTBOUND],
    ['a reg-id above 2³¹ − 1', flow(DESK, 2_147_483_648), OUTBOUND],
    ['a reg-id that is no number', flow(DESK, 'x'), OUTBOUND],
  ])('%s is no flow: bound by its URI, and nothing is required', (_, contact, headers) => {
    const registrar = open();
    expect(requires(registrar.register({ contacts: [contact], headers }))).toEqual([]);
    const answer = registrar.register({ cseq: 2, contacts: [`<${DESK};x=1>`], headers });
    expect(answer.contacts).toEqual([`<${DESK};x=1>;expires=3600`]);
  });

  it('outbound is required only of who supports it', () => {
    const headers = ['Supported: path'];
    expect(requires(open().register({ contacts: [flow(DESK, 1)], headers }))).toEqual([]);
    expect(requires(open().register({ contacts: [flow(DESK, 1)], headers: ['k: outbound'] }))).toEqual(['outbound']);
  });

  it('outbound is required in the answer to who removes his last flow, too', () => {
    const registrar = open();
    registrar.register({ contacts: [flow(DESK, 1)], headers: OUTBOUND });
    const contacts = [`${flow(DESK, 1)};expires=0`];
    expect(requires(registrar.register({ cseq: 2, contacts, headers: OUTBOUND }))).toEqual(['outbound']);
  });

  it('is not required because another request was refused before', () => {
    const registrar = open();
    registrar.register({ cseq: 5, contacts: [flow(DESK, 1)], headers: OUTBOUND });
    expect(registrar.register({ cseq: 4, contacts: [flow(DESK, 1)], headers: OUTBOUND }).status).toBe(500);
    expect(requires(registrar.register({ callId: 'query' }))).toEqual([]);
  });

  it('the same request once more gets the same answer', () => {
    const registrar = open();
    for (const contact of [flow(DESK, 1), `${flow(DESK, 1)};expires=0`]) {
      const text = register({ cseq: contact.length, contacts: [contact], headers: OUTBOUND });
      const [first, again] = [registrar.receive(text, PHONE), registrar.receive(text, PHONE)];
      expect(again.map((sent) => sent.text)).toEqual(first.map((sent) => sent.text));
    }
  });

  it('several contacts to be kept, one with a reg-id: 400, and nothing changes', () => {
    const registrar = open();
    const contacts = [flow(DESK, 1), flow(CELL, 2)];
    expect(registrar.register({ contacts, headers: OUTBOUND }).status).toBe(400);
    expect(registrar.register({ contacts: [flow(DESK, 1), `<${CELL}>`], headers: OUTBOUND }).status).toBe(400);
    expect(registrar.bindings()).toEqual([]);
  });

  it('one to be kept may come with some that go', () => {
    const registrar = open();
    registrar.register({ contacts: [flow(DESK, 1)], headers: OUTBOUND });
    const contacts = [`${flow(DESK, 1)};expires=0`, flow(CELL, 2)];
    expect(registrar.register({ cseq: 2, contacts, headers: OUTBOUND }).status).toBe(200);
    expect(registrar.uris()).toEqual([CELL]);
  });

  describe('behind other proxies', () => {
    const EDGE_VIA = 'Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKclient';
    const registerVia = (headers: readonly string[], supported = OUTBOUND, contacts = [flow(DESK, 1)]) => {
      const registrar = open();
      const answer = registrar.register({ contacts, headers: [EDGE_VIA, ...headers, ...supported] });
      return { registrar, answer };
    };

    it('a first hop that says ob in the Path supports it', () => {
      const { answer } = registerVia(['Path: "E" <sip:token@192.0.2.40;lr;ob>, <sip:192.0.2.41;lr>']);
      expect([answer.status, requires(answer)]).toEqual([200, ['outbound']]);
    });

    it.each([
      ['no Path', []],
      ['a Path without ob', ['Path: <sip:192.0.2.40;lr>']],
      ['ob in the second of them', ['Path: <sip:192.0.2.40;lr>, <sip:192.0.2.41;lr;ob>']],
      ['ob beside the URI', ['Path: <sip:192.0.2.40;lr>;ob']],
      ['something like ob', ['Path: <sip:ob@192.0.2.40;lr;obx;xob;x=ob>']],
    ])('%s is 439 for a client that supports it, and nothing changes', (_, path) => {
      const { registrar, answer } = registerVia(path);
      expect([answer.status, answer.reason]).toEqual([439, 'First Hop Lacks Outbound Support']);
      expect(registrar.bindings()).toEqual([]);
    });

    it('the reg-id of a client that does not say so is ignored', () => {
      const { registrar, answer } = registerVia(['Path: <sip:192.0.2.40;lr>'], ['Supported: path']);
      expect([answer.status, requires(answer)]).toEqual([200, []]);
      const again = registrar.register({ callId: 'other', contacts: [`<${DESK}>`] });
      expect(again.contacts).toHaveLength(1);
    });

    it('a client that supports it, without a reg-id, is as any other', () => {
      const { answer } = registerVia(['Path: <sip:192.0.2.40;lr>'], OUTBOUND, [`<${DESK}>;+sip.instance=${ONE}`]);
      expect(answer.status).toBe(200);
    });

    it('both Vias in one header are two hops', () => {
      const via = '192.0.2.10:5060;branch=z9hG4bK1x, SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK2x';
      expect(open().register({ via, contacts: [flow(DESK, 1)], headers: OUTBOUND }).status).toBe(439);
    });
  });
});

/** bob registers a flow from there: his contact says something else. */
function signUpFlow(proxy: VirtualElement, regId: number, from: Endpoint, fields: RegisterFields = {}): void {
  const contacts = [`<sip:bob@10.0.0.9>;+sip.instance=${ONE};reg-id=${regId}`];
  signUp(proxy, contacts, { callId: `flow-${regId}`, headers: OUTBOUND, ...fields, contacts }, from);
}

describe.each(MODES)('RFC 5626 7, requests in mode %s', (mode) => {
  it('go by the flow: to where the REGISTER came from, from where it came to', () => {
    const proxy = createElement({ mode, ...HOME, listen: ['udp:192.0.2.254:5060', 'udp:192.0.2.253:5070'] });
    const contacts = [`<sip:bob@10.0.0.9>;+sip.instance=${ONE};reg-id=1`];
    signUp(proxy, contacts, { headers: OUTBOUND }, CAROL);
    const sent = requestOf(proxy.receive(request(), ALICE, 1), 'INVITE');
    expect([sent.to, sent.socket, uriOf(sent.text)]).toEqual([CAROL, 0, 'sip:bob@10.0.0.9']);
    expect(fieldsOf(sent.text, 'Route')).toEqual([]);
  });

  it('leave a wildcard socket by the address that the REGISTER came to', () => {
    const proxy = createElement({ mode, ...HOME, listen: ['udp:0.0.0.0:5060'] });
    const contact = `<sip:bob@10.0.0.9>;+sip.instance=${ONE};reg-id=1`;
    const fields = { user: 'bob', domain: 'biloxi.example', contacts: [contact], headers: OUTBOUND, via: viaOf(CAROL) };
    expect(answerOf(proxy.receive(register(fields), CAROL, 0, '192.0.2.253')).status).toBe(200);
    const sent = requestOf(proxy.receive(request(), ALICE, 0, '192.0.2.254'), 'INVITE');
    expect([sent.to, sent.from]).toEqual([CAROL, '192.0.2.253']);
  });

  it('a refresh from elsewhere moves the flow', () => {
    const proxy = createElement({ mode, ...HOME });
    signUpFlow(proxy, 1, CAROL);
    signUpFlow(proxy, 1, DAVE, { cseq: 2 });
    expect(requestOf(proxy.receive(request(), ALICE), 'INVITE').to).toEqual(DAVE);
  });

  it('behind an edge proxy they go by its Path', () => {
    const proxy = createElement({ mode, ...HOME });
    const contacts = [`<sip:bob@10.0.0.9>;+sip.instance=${ONE};reg-id=1`];
    const path = `<sip:token@${DAVE.address}:${DAVE.port};lr;ob>`;
    const headers = ['Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKclient', `Path: ${path}`, ...OUTBOUND];
    signUp(proxy, contacts, { headers });
    const sent = requestOf(proxy.receive(request(), ALICE), 'INVITE');
    expect([sent.to, fieldsOf(sent.text, 'Route'), uriOf(sent.text)]).toEqual([DAVE, [path], 'sip:bob@10.0.0.9']);
  });
});

describe('RFC 5626 7, several flows of one instance', () => {
  const openWithFlows = (parts: Parameters<typeof request>[0] = {}) => {
    const proxy = openProxy(HOME);
    signUpFlow(proxy, 1, CAROL);
    proxy.advance(1000);
    signUpFlow(proxy, 2, DAVE);
    return new Call({ proxy, request: parts });
  };

  it('no two of them at once: the latest', () => {
    const call = openWithFlows();
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Dave']);
    call.reply(DAVE, '200 OK');
  });

  it('two instances ring together', () => {
    const proxy = openProxy(HOME);
    signUpFlow(proxy, 1, CAROL);
    signUp(proxy, [`<sip:bob@10.0.0.9>;+sip.instance=${TWO};reg-id=1`], { callId: 'b', headers: OUTBOUND }, DAVE);
    const call = new Call({ proxy });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Carol', 'INVITE to Dave']);
    call.reply(DAVE, '180 Ringing');
    call.reply(CAROL, '200 OK');
    call.reply(DAVE, '200 OK', 'CANCEL');
    call.reply(DAVE, '487 Request Terminated', 'INVITE');
  });

  it.each(['430 Flow Failed', '408 Request Timeout'])('another one after a %s', (status) => {
    const call = openWithFlows();
    expect(brief(call.reply(DAVE, status))).toEqual(['ACK to Dave', 'INVITE to Carol']);
    call.reply(CAROL, '200 OK');
  });

  it.each(['486 Busy Here', '404 Not Found', '500 Server Error', '603 Decline'])(
    'no other one after a %s',
    (status) => {
      const call = openWithFlows();
      const code = Number(status.slice(0, 3));
      const sent = call.reply(DAVE, status);
      expect(brief(sent)).toEqual([`${code} to Alice`, 'ACK to Dave']);
      call.acknowledge(responseOf(sent, code));
    },
  );

  it.each(['430 Flow Failed', '408 Request Timeout'])(
    'no other one after a %s to a call that was cancelled',
    (status) => {
      const call = openWithFlows();
      call.reply(DAVE, '180 Ringing');
      call.cancel();
      call.reply(DAVE, '200 OK', 'CANCEL');
      const sent = call.reply(DAVE, status, 'INVITE');
      expect(brief(sent).at(-1)).toBe('ACK to Dave');
      expect(sent).toHaveLength(2);
      call.acknowledge(sent.find(({ to }) => to.address === ALICE.address)!);
    },
  );

  it('each of them once, and the best answer when all have failed', () => {
    const call = openWithFlows();
    call.reply(DAVE, '430 Flow Failed');
    const sent = call.reply(CAROL, '430 Flow Failed');
    // 11.5: an endpoint never gets a 430.
    expect(brief(sent)).toEqual(['480 to Alice', 'ACK to Carol']);
    call.acknowledge(responseOf(sent, 480));
  });

  it('the one with the highest q before the latest', () => {
    const proxy = openProxy(HOME);
    signUp(proxy, [`<sip:bob@${CAROL.address}:${CAROL.port}>;q=0.9;+sip.instance=${ONE}`]);
    proxy.advance(1000);
    signUp(proxy, [`<sip:bob@${DAVE.address}:${DAVE.port}>;q=0.5;+sip.instance=${ONE}`], { callId: 'b' });
    const call = new Call({ proxy });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Carol']);
    expect(brief(call.reply(CAROL, '408 Request Timeout'))).toEqual(['ACK to Carol', 'INVITE to Dave']);
    call.reply(DAVE, '200 OK');
  });

  it('another one after a 408 to something else than an INVITE, too', () => {
    const call = openWithFlows({ method: 'MESSAGE', cseq: '1 MESSAGE' });
    expect(brief(call.reply(DAVE, '408 Request Timeout', 'MESSAGE'))).toEqual(['MESSAGE to Carol']);
    expect(brief(call.reply(CAROL, '200 OK', 'MESSAGE'))).toEqual(['200 to Alice']);
  });

  it('whose answer counts, and not that the other flow has failed', () => {
    const call = openWithFlows();
    call.reply(DAVE, '430 Flow Failed');
    const sent = call.reply(CAROL, '486 Busy Here');
    expect(brief(sent)).toEqual(['486 to Alice', 'ACK to Carol']);
    call.acknowledge(responseOf(sent, 486));
  });

  it('the one flow that there is has failed: 480', () => {
    const proxy = openProxy(HOME);
    signUpFlow(proxy, 1, CAROL);
    const call = new Call({ proxy });
    const sent = call.reply(CAROL, '430 Flow Failed');
    expect(brief(sent)).toEqual(['480 to Alice', 'ACK to Carol']);
    call.acknowledge(responseOf(sent, 480));
  });

  it('contacts of one instance that are no flows do not ring together either', () => {
    const proxy = openProxy(HOME);
    signUp(proxy, [`<sip:bob@${CAROL.address}:${CAROL.port}>;+sip.instance=${ONE}`]);
    proxy.advance(1000);
    signUp(proxy, [`<sip:bob@${DAVE.address}:${DAVE.port}>;+sip.instance=${ONE}`], { callId: 'b' });
    const call = new Call({ proxy });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Dave']);
    expect(brief(call.reply(DAVE, '408 Request Timeout'))).toEqual(['ACK to Dave', 'INVITE to Carol']);
    call.reply(CAROL, '200 OK');
  });

  it('another one when nobody answers', () => {
    const call = openWithFlows();
    expect(brief(call.advance(32_100)).filter((one) => one !== 'INVITE to Dave')).toEqual(['INVITE to Carol']);
    call.reply(CAROL, '200 OK');
  });

  it('a flow of which ICMP says that nobody is there is a binding no more', () => {
    const proxy = openProxy(HOME);
    signUpFlow(proxy, 1, CAROL);
    const call = new Call({ proxy });
    proxy.noteUnreachable(CAROL);
    call.acknowledge(responseOf(call.advance(520), 500));
    expect(signUp(proxy, [], { callId: 'query' }, BOB).contacts).toEqual([]);
  });
});
