/** How long and how often credentials are good: RFC 7616 3.3 (stale), 3.4 (nc), 3.5 (Authentication-Info), 5.5 (replay). A
 *  retransmission is the very same request, and no replay (RFC 3261 17.2.2). */

import { describe, expect, it } from 'vitest';
import { branchOf, fieldsOf, uriOf } from '../messages.ts';
import { MODES, register } from '../registrar/register.ts';
import { replyOf, requestOf } from '../stateful/call.ts';
import { BOB, STRANGER } from '../virtual-network.ts';
import {
  ALICE_PASSWORD,
  challengesOf,
  digestProxy,
  digestRegistrar,
  hash,
  isStale,
  ownRequest,
  paramsOf,
  statusOfOnly,
  viaOfAlice,
} from './phone.ts';

const CONTACT = '<sip:alice@192.0.2.10>';
const EVIL = '<sip:alice@203.0.113.66>';
const FIELDS = { contacts: [CONTACT] };
const nc = (count: number) => ({ nc: count.toString(16).padStart(8, '0') });

describe.each(MODES)('a nonce in mode %s', (mode) => {
  const open = () => digestRegistrar(mode, { auth: { nonceSec: 100 } });

  it('is good for as long as the configuration says, then stale for who knows the password', () => {
    const { element, challenge, answer, bindings } = open();
    const { nonce } = challenge();
    element.advance(99_000);
    expect(answer(nonce!, nc(1), FIELDS).status).toBe(200);
    element.advance(2000);
    const late = answer(nonce!, nc(2), { contacts: [EVIL] });
    expect([late.status, isStale(late.sent.text)]).toEqual([401, true]);
    // What was stale is right with the new nonce, without asking anyone.
    const [sha] = challengesOf(late.sent.text);
    expect(answer(sha!.nonce!, { algorithm: 'SHA-256' }, FIELDS).status).toBe(200);
    expect(bindings()).toHaveLength(1);
  });

  it('is not said to be stale to who does not', () => {
    const { element, challenge, answer } = open();
    const { nonce } = challenge();
    element.advance(101_000);
    for (const say of [{ password: 'guess' }, { username: 'mallory' }, { method: 'INVITE' }]) {
      const late = answer(nonce!, say, FIELDS);
      expect([late.status, isStale(late.sent.text)]).toEqual([401, false]);
    }
  });

  it('is stale in a 407, too', () => {
    const { element, challenge, answer } = digestProxy(mode, { auth: { nonceSec: 100 } });
    const { nonce } = challenge();
    element.advance(101_000);
    const late = answer(nonce!);
    expect([statusOfOnly(late), isStale(late[0]!.text)]).toEqual([407, true]);
    expect(isStale(answer(nonce!, { password: 'guess' })[0]!.text)).toBe(false);
  });

  it('is not good if it is made up, or of another server', () => {
    const { challenge, answer, bindings } = open();
    const { nonce } = challenge();
    const changed = (at: number) => `${nonce!.slice(0, at)}${nonce![at] === 'A' ? 'B' : 'A'}${nonce!.slice(at + 1)}`;
    const forged = [
      ...Array.from({ length: nonce!.length }, (_, at) => changed(at)),
      nonce!.slice(1),
      `${nonce}A`,
      nonce!.toUpperCase(),
      '',
      'x'.repeat(300),
      '\xff'.repeat(nonce!.length),
      open().challenge().nonce!,
    ];
    for (const one of forged) {
      expect([400, 401], one).toContain(answer(one, {}, FIELDS).status);
      const guessed = answer(one, { password: 'guess' }, FIELDS);
      if (guessed.status === 401) expect(isStale(guessed.sent.text)).toBe(false);
    }
    expect(bindings()).toEqual([]);
    // None of that has hurt the real one.
    expect(answer(nonce!, nc(1), FIELDS).status).toBe(200);
  });

  it('of one realm is not good in another', () => {
    const others = [{ name: 'two.example', users: [{ user: 'alice', password: 'two' }], authenticate: ['REGISTER'] }];
    const { challenge, answer } = digestRegistrar(mode, { others });
    const { nonce } = challenge();
    const domain = 'two.example';
    expect(answer(nonce!, { password: 'two' }, { domain }).status).toBe(401);
  });

  it('is the same for nobody: who is challenged at the same time gets another', () => {
    const { challenge, answer } = open();
    const nonces = Array.from({ length: 100 }, () => challenge().nonce!);
    for (const nonce of nonces) expect(answer(nonce, nc(1)).status).toBe(200);
  });
});

describe.each(MODES)('a nonce count in mode %s (7616 3.4)', (mode) => {
  it('goes up, and each is good once', () => {
    const { challenge, answer } = digestRegistrar(mode);
    const { nonce } = challenge();
    for (let count = 1; count <= 20; count++) expect(answer(nonce!, nc(count), FIELDS).status).toBe(200);
    for (let count = 1; count <= 20; count++) {
      expect(answer(nonce!, nc(count), { contacts: [EVIL] }).status).toBe(401);
    }
  });

  it('may come out of order, and with gaps, once each', () => {
    const { challenge, answer } = digestRegistrar(mode);
    const { nonce } = challenge();
    const order = [5, 2, 40, 1, 7, 6, 33, 3, 16, 15, 17];
    for (const count of order) expect(answer(nonce!, nc(count)).status).toBe(200);
    for (const count of order) expect(answer(nonce!, nc(count)).status).toBe(401);
  });

  it('in capitals is the same count (3.4: hexadecimal)', () => {
    const { challenge, answer } = digestRegistrar(mode);
    const { nonce } = challenge();
    expect(answer(nonce!, { nc: '0000000a' }).status).toBe(200);
    expect(answer(nonce!, { nc: '0000000A' }).status).toBe(401);
    expect(answer(nonce!, { nc: '0000000B' }).status).toBe(200);
  });

  it('in another request is a replay, whoever sends it, and changes nothing', () => {
    const { challenge, line, send, bindings } = digestRegistrar(mode);
    const seen = line(challenge().nonce!, nc(1));
    expect(send(register({ cseq: 4, ...FIELDS, headers: [seen] })).status).toBe(200);
    const evil = register({ cseq: 5, contacts: [EVIL], headers: [seen] });
    const replay = send(evil, STRANGER);
    expect(replay.status).toBe(401);
    expect(bindings()).toEqual([expect.stringContaining('192.0.2.10')]);
  });

  it('is not used up by who does not know the password', () => {
    const { challenge, answer } = digestRegistrar(mode);
    const { nonce } = challenge();
    for (let count = 1; count < 5; count++) {
      answer(nonce!, { ...nc(count), password: 'guess' }, FIELDS, STRANGER);
      answer(nonce!, { ...nc(count), changes: { response: `"${'0'.repeat(32)}"` } }, FIELDS, STRANGER);
      expect(answer(nonce!, nc(count), FIELDS).status).toBe(200);
    }
  });

  it('that is too high for the server gets another nonce with stale=true, not a refusal', () => {
    const { challenge, answer } = digestRegistrar(mode);
    const high = answer(challenge().nonce!, { nc: 'ffffffff' }, FIELDS);
    expect([high.status, isStale(high.sent.text)]).toEqual([401, true]);
  });

  it('never ends for a phone that goes on as it is told', () => {
    const { challenge, answer } = digestRegistrar(mode);
    let { nonce } = challenge();
    let challenged = 0;
    for (let i = 0, count = 1; i < 1000; i++, count++) {
      const { status, sent } = answer(nonce!, nc(count));
      if (status === 200) continue;
      expect([status, isStale(sent.text)]).toEqual([401, true]);
      nonce = challengesOf(sent.text)[1]!.nonce;
      count = 0;
      challenged++;
    }
    expect(challenged).toBeLessThan(20);
  });

  it('is missing without qop: such a nonce is good once (RFC 2069)', () => {
    const { challenge, answer } = digestRegistrar(mode);
    const { nonce } = challenge();
    expect(answer(nonce!, { qop: null }, FIELDS).status).toBe(200);
    const again = answer(nonce!, { qop: null }, { contacts: [EVIL] });
    expect([again.status, isStale(again.sent.text)]).toEqual([401, true]);
  });

  it('in a request to be forwarded: a replay of a call reaches nobody', () => {
    const { challenge, line, send } = digestProxy(mode);
    const seen = line(challenge().nonce!, nc(1));
    expect(statusOfOnly(send(ownRequest({ headers: [seen] })))).toBe(0);
    expect(statusOfOnly(send(ownRequest({ headers: [seen] }), STRANGER))).toBe(407);
    expect(statusOfOnly(send(ownRequest({ headers: [seen], uri: 'sip:carol@biloxi.example' })))).toBe(407);
  });
});

describe.each(MODES)('a retransmission in mode %s', (mode) => {
  it('of a REGISTER gets the same answer, however often it comes', () => {
    const { element, challenge, text, send } = digestRegistrar(mode);
    const again = text(challenge().nonce!, nc(1), FIELDS);
    const first = send(again);
    for (const ms of [500, 1000, 2000, 4000, 4000, 4000, 4000, 4000, 4000]) {
      element.advance(ms);
      expect(send(again).contacts.length).toBe(first.contacts.length);
    }
    expect(element.counters().registrations_total).toBe(1);
  });

  it('of a REGISTER is one, though others have come meanwhile', () => {
    const { challenge, text, send, answer } = digestRegistrar(mode);
    const { nonce } = challenge();
    const first = text(nonce!, nc(1), FIELDS);
    const second = text(nonce!, nc(2), FIELDS);
    expect([send(first).status, send(second).status]).toEqual([200, 200]);
    expect([send(first).status, send(second).status]).toEqual([200, 200]);
    expect(answer(nonce!, nc(3), FIELDS).status).toBe(200);
  });

  it('of a challenged REGISTER is challenged', () => {
    const { send } = digestRegistrar(mode);
    const text = register({ ...FIELDS, cseq: 8 });
    expect([send(text).status, send(text).status]).toEqual([401, 401]);
  });

  it('of a call is no replay, and says no credentials of ours to the next either', () => {
    const { text, challenge, send, element } = digestProxy(mode);
    const invite = text(challenge().nonce!, nc(1));
    const [first] = send(invite);
    element.advance(400);
    const repeated = send(invite);
    const left = [...repeated, ...element.advance(200)].filter((one) => one.text.startsWith('INVITE '));
    expect(left.length).toBeGreaterThan(0);
    for (const one of left) {
      expect(branchOf(one.text)).toBe(branchOf(first!.text));
      expect(fieldsOf(one.text, 'Proxy-Authorization')).toEqual([]);
    }
    expect([...repeated].filter((one) => one.text.startsWith('SIP/2.0 4'))).toEqual([]);
  });

  it('of a REGISTER is answered as before though its nonce ended meanwhile (17.2.2, 8.2.7)', () => {
    const { element, challenge, text, send } = digestRegistrar(mode, { auth: { nonceSec: 100 } });
    const { nonce } = challenge();
    element.advance(99_500);
    const last = text(nonce!, nc(1), FIELDS);
    expect(send(last).status).toBe(200);
    element.advance(600);
    expect(send(last).status).toBe(200);
  });
});

describe('a retransmission of a call', () => {
  it('is absorbed though its nonce ended meanwhile, in mode stateful', () => {
    const { element, challenge, text, send } = digestProxy('stateful', { auth: { nonceSec: 100 } });
    const { nonce } = challenge();
    element.advance(99_500);
    const invite = text(nonce!);
    expect(statusOfOnly(send(invite))).toBe(0);
    element.advance(600);
    expect(send(invite)).toEqual([]);
  });

  it('goes the way of the first though its nonce ended meanwhile, in mode stateless (16.11)', () => {
    const { element, challenge, text, send } = digestProxy('stateless', { auth: { nonceSec: 100 } });
    const { nonce } = challenge();
    element.advance(99_500);
    const invite = text(nonce!);
    expect(statusOfOnly(send(invite))).toBe(0);
    element.advance(600);
    expect(statusOfOnly(send(invite))).toBe(0);
  });
});

describe.each(MODES)('who has seen credentials go by, in mode %s (7616 5.4, 5.5)', (mode) => {
  const BRANCH = 'z9hG4bKseen';

  it('registers nothing in the name of a query, though he takes its branch', () => {
    const { challenge, line, send, bindings } = digestRegistrar(mode);
    const seen = line(challenge().nonce!, nc(1));
    expect(send(register({ branch: BRANCH, cseq: 3, headers: [seen] })).status).toBe(200);
    send(register({ branch: BRANCH, cseq: 3, contacts: [EVIL], headers: [seen] }), STRANGER);
    expect(bindings()).toEqual([]);
  });

  it.each([33, 50, 64])(
    'registers nothing in the name of a registration, though he takes its branch, %d s later',
    (sec) => {
      const { element, challenge, line, send, bindings } = digestRegistrar(mode);
      // Marks are kept by periods of 32.768 s: begins with one.
      const startMs = 1_764_000_000_000;
      element.advance(32_768 - (startMs % 32_768));
      const seen = line(challenge().nonce!, nc(1));
      expect(send(register({ branch: BRANCH, cseq: 3, ...FIELDS, headers: [seen] })).status).toBe(200);
      element.advance(sec * 1000);
      const evil = { branch: BRANCH, callId: 'evil', cseq: 3, contacts: [EVIL], headers: [seen] };
      send(register(evil), STRANGER);
      expect(bindings()).toEqual([expect.stringContaining('192.0.2.10')]);
    },
  );

  it('registers nothing at once either: he is answered as if he had sent the same again (17.2.2)', () => {
    const { challenge, line, send, bindings } = digestRegistrar(mode);
    const seen = line(challenge().nonce!, nc(1));
    expect(send(register({ branch: BRANCH, cseq: 3, ...FIELDS, headers: [seen] })).status).toBe(200);
    send(register({ branch: BRANCH, callId: 'evil', cseq: 3, contacts: [EVIL], headers: [seen] }), STRANGER);
    expect(bindings()).toEqual([expect.stringContaining('192.0.2.10')]);
  });

  it('does not bring back a registration that ended, later than any retransmission comes (17.1.2.2)', () => {
    const { element, challenge, text, answer, send, bindings } = digestRegistrar(mode);
    const startMs = 1_764_000_000_000;
    element.advance(32_768 - (startMs % 32_768));
    const { nonce } = challenge();
    const seen = text(nonce!, nc(1), FIELDS);
    expect(send(seen).status).toBe(200);
    element.advance(5000);
    expect(answer(nonce!, nc(2), { contacts: ['*'], expires: 0 }).status).toBe(200);
    element.advance(30_000);
    send(seen, STRANGER);
    expect(bindings()).toEqual([]);
  });

  it('calls nobody else in the name of a call that is over, though he takes its branch', () => {
    const { element, challenge, line, send } = digestProxy(mode);
    const via = viaOfAlice();
    const seen = line(challenge().nonce!, nc(1));
    const invite = ownRequest({ via, cseq: '7 INVITE', headers: [seen] });
    const [reached] = send(invite);
    expect(statusOfOnly([reached!])).toBe(0);
    send(replyOf(BOB, reached!.text, '486 Busy Here'), BOB);
    const to = 'Bob <sip:bob@biloxi.example>;tag=at-192.0.2.30';
    send(ownRequest({ method: 'ACK', via, cseq: '7 ACK', to }));
    element.advance(6000);
    const uri = 'tel:+19005550100';
    const evil = { via, uri, to: `<${uri}>`, callId: 'evil', cseq: '7 INVITE', headers: [seen] };
    const sent = send(ownRequest(evil), STRANGER);
    expect(sent.filter(({ text }) => text.startsWith('INVITE ')).map(({ text }) => uriOf(text))).toEqual([]);
  });

  it('nor with a request that differs only where MurmurHash3 does not, whatever its seed', () => {
    const { challenge, line, send } = digestRegistrar(mode);
    const seen = line(challenge().nonce!, nc(1));
    const [one, other] = collidingTexts();
    const textOf = (value: string, padding: string) =>
      register({ branch: BRANCH, cseq: 3, contacts: [`${CONTACT};${padding}="${value}"`], headers: [seen] });
    const padding = ['x', 'xx', 'xxx', 'xxxx'].find((name) => textOf(one, name).indexOf(one) % 4 === 0)!;
    expect(send(textOf(one, padding)).status).toBe(200);
    expect(send(textOf(other, padding), STRANGER).status).toBe(401);
  });

  it('gets no further with the same credentials under a branch of his own', () => {
    const { challenge, line, send, bindings } = digestRegistrar(mode);
    const seen = line(challenge().nonce!, nc(1));
    expect(send(register({ branch: BRANCH, cseq: 3, headers: [seen] })).status).toBe(200);
    expect(send(register({ cseq: 3, contacts: [EVIL], headers: [seen] }), STRANGER).status).toBe(401);
    expect(bindings()).toEqual([]);
  });

  it('nor with the branch of another client, which is another transaction (17.2.3: sent-by)', () => {
    const { challenge, line, send } = digestRegistrar(mode);
    const seen = line(challenge().nonce!, nc(1));
    expect(send(register({ branch: BRANCH, cseq: 3, headers: [seen] })).status).toBe(200);
    const via = `203.0.113.66:5060;branch=${BRANCH}`;
    expect(send(register({ via, cseq: 3, contacts: [EVIL], headers: [seen] }), STRANGER).status).toBe(401);
  });
});

describe.each(MODES)('Authentication-Info in mode %s (7616 3.5)', (mode) => {
  const infoOf = (header: string | undefined) => paramsOf(`Digest ${header}`);

  it.each([
    ['MD5', 'auth'],
    ['MD5', 'auth-int'],
    ['SHA-256', 'auth'],
    ['SHA-256', 'auth-int'],
    ['SHA-512-256', 'auth'],
    ['SHA-512-256', 'auth-int'],
  ])('proves with %s and %s that the server knows the password, too', (algorithm, qop) => {
    const auth = { mutual: true, algorithms: ['MD5', 'SHA-256', 'SHA-512-256'] };
    const { challenge, answer } = digestRegistrar(mode, { auth });
    const { nonce } = challenge(algorithm);
    const cnonce = 'a "quoted\\" one, and more';
    const { status, headers } = answer(nonce!, { algorithm, qop, cnonce, ...nc(0xab) }, FIELDS);
    expect(status).toBe(200);
    expect(headers('Authentication-Info')).toHaveLength(1);
    const [info] = headers('Authentication-Info');
    const a1 = hash(algorithm, `alice:example.org:${ALICE_PASSWORD}`);
    const a2 = hash(algorithm, `:sip:example.org${qop === 'auth-int' ? `:${hash(algorithm, '')}` : ''}`);
    expect(infoOf(info)).toMatchObject({
      qop,
      nc: '000000ab',
      cnonce,
      rspauth: hash(algorithm, `${a1}:${nonce}:000000ab:${cnonce}:${qop}:${a2}`),
    });
    // Which of them have quotes.
    expect(info).toMatch(/qop=auth(-int)?(,|$)/);
    expect(info).toMatch(/nc=000000ab(,|$)/);
    expect(info).toMatch(/rspauth="/);
  });

  it('has a nextnonce when the nonce is about to end, not before, and that is good', () => {
    const { element, challenge, answer } = digestRegistrar(mode, { auth: { mutual: true, nonceSec: 100 } });
    const { nonce } = challenge();
    expect(infoOf(answer(nonce!, nc(1)).header('Authentication-Info'))).not.toHaveProperty('nextnonce');
    element.advance(95_000);
    const { nextnonce } = infoOf(answer(nonce!, nc(2)).header('Authentication-Info'));
    expect(nextnonce).toMatch(/.{16,}/);
    expect(nextnonce).not.toBe(nonce);
    // The old one is good to its end, and the new one for its own time.
    expect(answer(nonce!, nc(3)).status).toBe(200);
    element.advance(90_000);
    expect(answer(nonce!, nc(4)).status).toBe(401);
    expect(answer(nextnonce!, nc(1), FIELDS).status).toBe(200);
    expect(answer(nextnonce!, nc(1), FIELDS).status).toBe(401);
  });

  it('has a nextnonce in time for who uses up the counts, so that he is never challenged', () => {
    const { challenge, answer } = digestRegistrar(mode);
    let { nonce } = challenge();
    for (let i = 0, count = 1; i < 600; i++, count++) {
      const { status, header } = answer(nonce!, nc(count));
      expect(status).toBe(200);
      const info = header('Authentication-Info');
      if (info === undefined) continue;
      const { nextnonce, rspauth } = infoOf(info);
      expect(rspauth).toMatch(/^[0-9a-f]{32}$/);
      if (nextnonce === undefined) throw new Error('an Authentication-Info that nobody needs');
      nonce = nextnonce;
      count = 0;
    }
  });

  it('is in the 200 to who was authenticated alone', () => {
    const { plain, answer, challenge } = digestRegistrar(mode, { auth: { mutual: true, exempt: ['203.0.113.66'] } });
    expect(answer(challenge().nonce!, nc(1), FIELDS).headers('Authentication-Info')).toHaveLength(1);
    const exempt = plain({}, STRANGER);
    expect([exempt.status, exempt.headers('Authentication-Info')]).toEqual([200, []]);
    expect(plain().headers('Authentication-Info')).toEqual([]);
  });

  it('is not made by a proxy for requests that it forwards (7616 3.6)', () => {
    const { call, send } = digestProxy(mode);
    const sent = call({ method: 'MESSAGE' });
    const headers = ['Authentication-Info: qop=auth, rspauth="0", cnonce="1", nc=00000001'];
    const [back] = send(replyOf(BOB, requestOf(sent, 'MESSAGE').text, '200 OK', { headers }), BOB);
    expect(`Authentication-Info: ${fieldsOf(back!.text, 'Authentication-Info').join('|')}`).toBe(headers[0]);
  });
});

/** Two texts of eight octets that may stand in quotes and are the same to MurmurHash3 (x86, 32 bits) wherever they begin at a word: a
 *  difference in bit 18 of the first scrambled word is one in bit 31 of the state, which that of the second takes back. */
function collidingTexts(): [string, string] {
  const [first, firstTwin] = twinsBy(18);
  const [second, secondTwin] = twinsBy(31);
  return [first + second, firstTwin + secondTwin];
}

function twinsBy(bit: number): [string, string] {
  const [c1, c2] = [0xcc9e2d51, 0x1b873593];
  const [c1Inverse, c2Inverse] = [inverseOf(c1), inverseOf(c2)];
  const [text, word] = [Buffer.alloc(4), Buffer.alloc(4)];
  const mayBeQuoted = (octets: Buffer) => octets.every((octet) => octet >= 0x80 || (octet > 0x5c && octet < 0x7f));
  for (let number = 0; number < 100_000; number++) {
    text.writeInt32LE(Math.imul(number, 0x9e3779b1));
    const product = Math.imul(text.readInt32LE(0), c1);
    const scrambled = Math.imul((product << 15) | (product >>> 17), c2) ^ (1 << bit);
    const turned = Math.imul(scrambled, c2Inverse);
    word.writeInt32LE(Math.imul((turned << 17) | (turned >>> 15), c1Inverse));
    if (mayBeQuoted(text) && mayBeQuoted(word)) return [text.toString('latin1'), word.toString('latin1')];
  }
  throw new Error('there are none');
}

/** Of an odd number, modulo 2^32. */
function inverseOf(value: number): number {
  let inverse = value;
  for (let i = 0; i < 5; i++) inverse = Math.imul(inverse, 2 - Math.imul(value, inverse));
  return inverse;
}
