/** RFC 3261 10.3 step 8 and 8.2.6: what the answer to a REGISTER looks like. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, tagOf } from '../messages.ts';
import { STRANGER, WALL_START_MS } from '../virtual-network.ts';
import { answerOf, MODES, PHONE, register, registrarOf } from './register.ts';

const DESK = 'sip:alice@192.0.2.10';
const CELL = 'sip:alice@192.0.2.11';

describe.each(MODES)('10.3 step 8 in mode %s', (mode) => {
  const open = (options: Parameters<typeof registrarOf>[0] = {}) => registrarOf({ mode, ...options });

  it('a query lists all bindings with what is left of them, and changes nothing', () => {
    const registrar = open();
    registrar.register({ contacts: [`<${DESK}>;q=0.25;expires=100`, `"Cell" <${CELL};transport=udp>;foo="a,b";bar`] });
    registrar.advance(10_000);
    const answer = registrar.register({ callId: 'query', cseq: 1, expires: 7 });
    expect(answer.status).toBe(200);
    expect(answer.contacts).toEqual([
      `<${DESK}>;expires=90;q=0.25`,
      `<${CELL};transport=udp>;expires=3590;foo="a,b";bar`,
    ]);
    expect(registrar.bindings()).toHaveLength(2);
  });

  it('a query where nothing is gets a 200 without Contact', () => {
    const answer = open().register();
    expect([answer.status, answer.contacts]).toEqual([200, []]);
  });

  it('all bindings are listed, those of other requests too', () => {
    const registrar = open();
    registrar.register({ contacts: [`<${DESK}>`] });
    expect(registrar.register({ callId: 'other', contacts: [`<${CELL}>`] }).contacts).toHaveLength(2);
  });

  it.each([
    ['1', ''],
    ['1.000', ''],
    ['0', ';q=0'],
    ['0.0', ';q=0'],
    ['0.5', ';q=0.5'],
    ['0.50', ';q=0.5'],
    ['0.05', ';q=0.05'],
    ['0.123', ';q=0.123'],
    ['0.001', ';q=0.001'],
  ])('q=%s comes back as it was meant', (q, said) => {
    expect(open().register({ contacts: [`<${DESK}>;q=${q}`] }).contacts).toEqual([`<${DESK}>;expires=3600${said}`]);
  });

  it('says when it is (20.17)', () => {
    const registrar = open();
    expect(registrar.register({ contacts: [`<${DESK}>`] }).header('Date')).toBe('Mon, 24 Nov 2025 16:00:00 GMT');
    registrar.advance(3_661_000);
    expect(registrar.register().header('Date')).toBe(new Date(WALL_START_MS + 3_661_000).toUTCString());
  });

  it('copies From, Call-ID, CSeq and all Vias, and gives To a tag (8.2.6.2)', () => {
    const headers = ['Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKedge, SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKphone'];
    const text = register({ callId: 'a@b', cseq: 77, contacts: [`<${DESK}>`], branch: 'z9hG4bKtop', headers });
    const answer = answerOf(open().receive(text, PHONE)).sent.text;
    for (const name of ['From', 'Call-ID', 'CSeq', 'Via']) {
      expect(fieldsOf(answer, name), name).toEqual(fieldsOf(text, name));
    }
    const [to] = fieldsOf(answer, 'To') as [string];
    expect(to).toMatch(/^<sip:alice@example\.org>;tag=/);
    expect(tagOf(to)).toMatch(/^[\w.-]{8,}$/);
  });

  it('keeps a To tag there is', () => {
    const to = '<sip:alice@example.org>;tag=mine';
    expect(
      open()
        .register({ to, contacts: [`<${DESK}>`] })
        .header('To'),
    ).toBe(to);
  });

  it('goes to the source if the Via says otherwise (18.2.2), and to its port for rport (RFC 3581 4)', () => {
    const plain = open().register({ via: 'client.example:5070;branch=z9hG4bK1' }, STRANGER);
    expect(plain.sent.to).toEqual({ address: STRANGER.address, port: 5070 });
    expect(plain.header('Via')).toBe('SIP/2.0/UDP client.example:5070;branch=z9hG4bK1;received=203.0.113.66');
    const natted = open().register(
      { via: '10.0.0.1:5070;rport;branch=z9hG4bK1' },
      { address: STRANGER.address, port: 1024 },
    );
    expect(natted.sent.to).toEqual({ address: STRANGER.address, port: 1024 });
    expect(natted.header('Via')).toMatch(/;rport=1024\b/);
    expect(natted.header('Via')).toMatch(/;received=203\.0\.113\.66/);
  });

  it('has no Record-Route (10.3), and what the request has of it is ignored', () => {
    const headers = ['Record-Route: <sip:edge.example;lr>'];
    const answer = open().register({ contacts: [`<${DESK}>`], headers });
    expect([answer.status, answer.headers('Record-Route')]).toEqual([200, []]);
  });

  it('is 503 with Retry-After where there is no room for another user, and others stay', () => {
    const registrar = open({ locationCapacity: 10 });
    const answers = Array.from({ length: 400 }, (_, i) =>
      registrar.register({ user: `u${i}`, contacts: [`<${DESK}>`] }),
    );
    const full = answers.filter(({ status }) => status !== 200);
    expect(full.length).toBeGreaterThan(0);
    expect(new Set(full.map(({ status }) => status))).toEqual(new Set([503]));
    expect(full.every((answer) => /^\d+/.test(answer.header('Retry-After') ?? ''))).toBe(true);
    expect(registrar.uris('u0')).toEqual([DESK]);
    expect(registrar.register({ user: 'u0', cseq: 2, contacts: [`<${DESK}>`], expires: 0 }).status).toBe(200);
  });

  it('has no body, and says so', () => {
    const { sent } = open().register({ contacts: [`<${DESK}>`] });
    expect(sent.text).toMatch(/\r\nContent-Length: 0\r\n\r\n$/);
  });

  it.each([
    [{ domain: 'elsewhere.example' }, 403],
    [{ to: '<sip:alice@elsewhere.example>' }, 404],
    [{ contacts: ['*'] }, 400],
    [{ contacts: [`<${DESK}>`], expires: 1 }, 423],
    [{ headers: ['Require: foo'] }, 420],
  ] as const)('a refusal of %j has a To tag and is the same once more', (fields, status) => {
    const registrar = open({ trusted: [] });
    const text = register(fields);
    const sent = registrar.receive(text, PHONE);
    expect(sent[0]!.text).toContain(`SIP/2.0 ${status} `);
    expect(tagOf(fieldsOf(sent[0]!.text, 'To')[0]!)).toBeDefined();
    expect(registrar.receive(text, PHONE)).toEqual(sent);
  });

  it('holds nothing behind it', () => {
    const registrar = open();
    registrar.register({ contacts: [`<${DESK}>`] });
    registrar.register({ contacts: ['*'] });
    registrar.advance(64_000);
    expect(registrar.occupancy()).toEqual({ serverTransactions: 0, clientTransactions: 0, keptMessages: 0 });
  });
});
