/** REGISTERs with anything in the headers that a registrar reads: one well-formed answer each, and calls afterwards that are
 *  well-formed, too. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { request } from '../messages.ts';
import { NOTHING_HELD } from '../stateful/call.ts';
import { ALICE, createElement, type Sent } from '../virtual-network.ts';
import { answerOf, MODES, PHONE, register } from './register.ts';

const STATUSES = [200, 400, 403, 420, 423, 439, 500, 503, 513];

const FRAGMENTS = [
  ...['<', '>', '"', '\\', ',', ';', '=', ':', '@', '*', '?', '%', ' ', '\t', '\r\n ', '\r\n', '\n', '\0', '\xff', '['],
  ...[
    'sip:',
    'sips:',
    'tel:+1',
    'alice@',
    'bob@192.0.2.1',
    '[2001:db8::1]',
    ':5060',
    '<sip:a@192.0.2.1>',
    '<sip:b@h.example>',
  ],
  ...[';expires', '=0', '=60', '=99999999999', ';q=0.5', ';q=', ';reg-id=1', ';+sip.instance="<urn:x>"', ';x="a,b<c>"'],
  ...['path', 'outbound', 'gruu', '0', '3600', ';lr', ';ob', '<sip:192.0.2.31:5080;lr;ob>', '"A, B" ', '%41', '%zz'],
] as const;

const anyValue = fc.oneof(
  { weight: 5, arbitrary: fc.array(fc.constantFrom(...FRAGMENTS), { maxLength: 8 }).map((parts) => parts.join('')) },
  {
    weight: 1,
    arbitrary: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  },
);

const HEADERS = ['Contact', 'm', 'Expires', 'Path', 'Supported', 'k', 'Require', 'User-Agent'] as const;
const anyHeaders = fc.array(
  fc.tuple(fc.constantFrom(...HEADERS), anyValue).map(([name, value]) => `${name}: ${value}`),
  { maxLength: 5 },
);

/** Start line, header lines that may be folded, the empty line, and as much body as it says. */
function expectWellFormed({ text }: Sent): void {
  expect(text).toMatch(/^(SIP\/2\.0 \d{3} [^\r\n]*|[A-Z]+ [^\s]+ SIP\/2\.0)\r\n/);
  const end = text.indexOf('\r\n\r\n');
  const lines = text
    .slice(0, end)
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n')
    .slice(1);
  for (const line of lines) expect(line).toMatch(/^[\w.!%*+`'~-]+[ \t]*:[^\r\n]*$/);
  const [, length] = /\r\n(?:Content-Length|l)[ \t]*:[ \t]*(\d+)/i.exec(text) ?? [];
  expect(text.length - end - 4).toBe(Number(length ?? 0));
}

it.each(MODES)('in mode %s', (mode) => {
  const element = createElement({ mode, domains: ['example.org'], nextHops: [] });
  let number = 0;
  fc.assert(
    fc.property(fc.array(anyHeaders, { minLength: 1, maxLength: 3 }), (requests) => {
      const user = `u${number++}`;
      for (const headers of requests) {
        const text = register({ user, callId: user, cseq: 1 + number++, headers });
        const sent = element.receive(text, PHONE);
        expect(sent).toHaveLength(1);
        expectWellFormed(sent[0]!);
        const { status, contacts, headers: said } = answerOf(sent);
        expect(STATUSES).toContain(status);
        expect(said('Require').every((tag) => tag === 'outbound')).toBe(true);
        for (const contact of contacts)
          expect(contact).toMatch(/^<[a-z][a-z0-9+.-]*:[^<>\s"]*>;expires=[1-9]\d*(;|$)/i);
      }
      const query = answerOf(element.receive(register({ user, callId: 'query' }), PHONE));
      expect(query.status).toBe(200);
      for (const method of ['INVITE', 'MESSAGE']) {
        const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK${method}${number}`;
        const sent = element.receive(request({ method, uri: `sip:${user}@example.org`, via, callId: user }), ALICE);
        expect(sent.length).toBeGreaterThan(0);
        for (const one of sent) expectWellFormed(one);
      }
      if (number % 50 === 0) for (const one of element.advance(300_000)) expectWellFormed(one);
      // What is there can be taken away.
      const none = register({ user, callId: 'none', contacts: ['*'], expires: 0 });
      expect([answerOf(element.receive(none, PHONE)).status, answerOf(element.receive(none, PHONE)).contacts]).toEqual([
        200,
        [],
      ]);
    }),
    { numRuns: 800 },
  );
  element.advance(900_000);
  expect(element.occupancy()).toEqual(NOTHING_HELD);
});
