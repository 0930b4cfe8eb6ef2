/** Anything in Authorization and Proxy-Authorization: one well-formed answer, and nothing is let through without the password. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { statusOf } from '../messages.ts';
import { MODES, register } from '../registrar/register.ts';
import { ALICE, BOB } from '../virtual-network.ts';
import { authorization, digestProxy, digestRegistrar, ownRequest } from './phone.ts';

const FRAGMENTS = [
  ...[
    '"',
    '\\',
    ',',
    '=',
    ';',
    ' ',
    '\t',
    '\r\n ',
    '\n ',
    '\r',
    '\0',
    '\xff',
    'Digest ',
    'Basic ',
    'Digest',
    'digest\t',
  ],
  ...['username=', 'realm=', 'nonce=', 'uri=', 'response=', 'algorithm=', 'qop=', 'nc=', 'cnonce=', 'opaque=', 'x='],
  ...['"alice"', '"bob"', '"example.org"', '"biloxi.example"', '"sip:example.org"', '"sip:bob@biloxi.example"'],
  ...['MD5', 'SHA-256', 'MD5-sess', 'auth', 'auth-int', '00000001', '00000000', '""', `"${'0'.repeat(32)}"`],
  ...["username*=UTF-8''alice", 'userhash=true', '"\\"', '"a\\\r\n b"', `"${'c'.repeat(300)}"`],
] as const;

const anyValue = fc.oneof(
  { weight: 4, arbitrary: fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 24 }).map((parts) => parts.join('')) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes).toString('latin1')) },
);

/** Places of changes in credentials that would be right, and what is put there in place of how much. */
const anyDamage = fc.array(
  fc.record({
    at: fc.nat({ max: 400 }),
    length: fc.nat({ max: 3 }),
    text: fc.oneof(fc.constantFrom(...FRAGMENTS), fc.constant('')),
  }),
  { minLength: 1, maxLength: 3 },
);

/** As the guess of who does not know the password; what is between is by the challenge. */
const anySay = fc.record({
  username: fc.constantFrom('alice', 'bob', 'alice@example.org', 'alice@biloxi.example', '', 'a"\\,b', 'mallory'),
  password: fc.constantFrom('', 'guess', 'Wonderland', 'wonderland '),
  algorithm: fc.constantFrom('MD5', 'SHA-256', null),
  qop: fc.constantFrom('auth', 'auth-int', null),
});

function damage(value: string, changes: readonly { at: number; length: number; text: string }[]): string {
  return changes.reduce((text, change) => {
    const at = change.at % text.length;
    return text.slice(0, at) + change.text + text.slice(at + change.length);
  }, value);
}

function expectWellFormed(text: string): void {
  expect(text).toMatch(/^SIP\/2\.0 \d{3} [^\r\n]*\r\n/);
  const end = text.indexOf('\r\n\r\n');
  for (const line of text.slice(0, end).split('\r\n').slice(1)) expect(line).toMatch(/^[\w-]+: [^\r\n\0]*$/);
  expect(text.length - end - 4).toBe(Number(/\r\nContent-Length: (\d+)/i.exec(text)?.[1] ?? 0));
}

it.each(MODES)('in mode %s a REGISTER gets 400 or 401', (mode) => {
  const { element, challenge, bindings } = digestRegistrar(mode);
  const { nonce } = challenge();
  const realm = 'example.org';
  const base = { realm, nonce: nonce!, method: 'REGISTER', uri: 'sip:example.org' };
  const expectRefused = (values: readonly string[]) => {
    const headers = values.map((value) => `Authorization: ${value}`);
    const sent = element.receive(register({ cseq: 1, contacts: ['<sip:evil@203.0.113.66>'], headers }), ALICE);
    expect(sent).toHaveLength(1);
    expectWellFormed(sent[0]!.text);
    expect([400, 401]).toContain(statusOf(sent[0]!.text));
  };
  fc.assert(fc.property(fc.array(anyValue, { minLength: 1, maxLength: 3 }), expectRefused), { numRuns: 600 });
  fc.assert(
    fc.property(anySay, anyDamage, fc.boolean(), (say, changes, isWhole) => {
      const value = authorization({ ...base, ...say });
      expectRefused([isWhole ? value : damage(value, changes)]);
    }),
    { numRuns: 600 },
  );
  expect(bindings()).toEqual([]);
});

it.each(MODES)('in mode %s a request of a user of ours gets 400 or 407, and goes nowhere', (mode) => {
  const { element, challenge, send } = digestProxy(mode);
  const { nonce } = challenge();
  const base = { realm: 'biloxi.example', nonce: nonce!, method: 'MESSAGE', uri: 'sip:bob@biloxi.example' };
  const expectRefused = (values: readonly string[]) => {
    const headers = values.map((value) => `Proxy-Authorization: ${value}`);
    const sent = send(ownRequest({ method: 'MESSAGE', headers }));
    element.advance(40_000);
    expect(sent).toHaveLength(1);
    expectWellFormed(sent[0]!.text);
    expect([400, 407]).toContain(statusOf(sent[0]!.text));
  };
  fc.assert(fc.property(fc.array(anyValue, { minLength: 1, maxLength: 3 }), expectRefused), { numRuns: 400 });
  fc.assert(
    fc.property(anySay, anyDamage, fc.boolean(), (say, changes, isWhole) => {
      const value = authorization({ ...base, ...say });
      expectRefused([isWhole ? value : damage(value, changes)]);
    }),
    { numRuns: 400 },
  );
});

it.each(MODES)('in mode %s credentials that are right but damaged register for alice or not at all', (mode) => {
  const { element, challenge } = digestRegistrar(mode);
  const base = { realm: 'example.org', method: 'REGISTER', uri: 'sip:example.org' };
  let cseq = 1;
  fc.assert(
    fc.property(anyDamage, fc.constantFrom('auth', 'auth-int', null), (changes, qop) => {
      const value = damage(authorization({ ...base, qop, nonce: challenge().nonce! }), changes);
      const fields = { user: 'bob', cseq: cseq++, contacts: ['<sip:evil@203.0.113.66>'] };
      const sent = element.receive(register({ ...fields, headers: [`Authorization: ${value}`] }), BOB);
      expect(sent).toHaveLength(1);
      expectWellFormed(sent[0]!.text);
      expect([400, 401, 403]).toContain(statusOf(sent[0]!.text));
    }),
    { numRuns: 400 },
  );
});

it.each(MODES)('in mode %s what is put between the headers of a call leaves it well-formed or ends it', (mode) => {
  const { element, challenge, line, send } = digestProxy(mode, { settings: { recordRoute: [] } });
  fc.assert(
    fc.property(fc.array(anyValue, { maxLength: 2 }), fc.nat({ max: 2 }), (values, place) => {
      const ours = line(challenge().nonce!, {}, { method: 'MESSAGE' });
      // Without line ends, so that what comes back has as many lines as went.
      const headers = values.map((value) => `Proxy-Authorization: ${value.replace(/[\r\n\0]/g, '')}`);
      headers.splice(Math.min(place, headers.length), 0, ours);
      const sent = send(ownRequest({ method: 'MESSAGE', headers }));
      element.advance(40_000);
      expect(sent).toHaveLength(1);
      const { text } = sent[0]!;
      if (statusOf(text) !== 0) {
        expect([400, 407]).toContain(statusOf(text));
        return;
      }
      const kept = text.split('\r\n').filter((one) => one.startsWith('Proxy-Authorization:'));
      expect(kept).toEqual(headers.filter((one) => one !== ours));
    }),
    { numRuns: 300 },
  );
});
