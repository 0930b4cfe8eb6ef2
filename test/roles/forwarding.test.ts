/** What the element does to any well-formed request: nothing but 16.6 and 18.2.1, by a diff against what came in. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { statusOf } from '../flows/messages.ts';
import { ALICE, createElement } from '../flows/virtual-network.ts';
import { faultOfForwarding } from '../fuzz/invariants.ts';
import { headerParam, lws, method, quotedString, token, uri } from '../sip/grammar.ts';

const element = createElement();

/** White space around a value, as an implementer in a mood would have it. */
const spaced = (name: string) =>
  fc
    .tuple(
      fc.constantFrom(name, name.toLowerCase(), name.toUpperCase()),
      fc.constantFrom('', ' ', '\t'),
      fc.oneof(fc.constant(' '), fc.constant(''), lws),
    )
    .map(([written, before, after]) => `${written}${before}:${after}`);
const line = (name: string, value: fc.Arbitrary<string>) =>
  fc
    .tuple(spaced(name), value, fc.constantFrom('', ' ', '\r\n '))
    .map(([head, text, behind]) => `${head}${text}${behind}`);
const header = (name: string, compact: string, value: fc.Arbitrary<string>) =>
  fc.oneof(line(name, value), line(compact, value));

const latin1 = (text: string) => Buffer.from(text, 'utf8').toString('latin1');
const displayName = fc.oneof(fc.constant(''), quotedString.map(latin1), fc.constant('Bob Smith '));
const nameAddr = fc
  .tuple(displayName, uri, fc.array(headerParam, { maxLength: 2 }))
  .map(([name, address, params]) => `${name}<${address}>${latin1(params.join(''))}`);
const viaValue = fc
  .tuple(
    fc.constantFrom('SIP/2.0/UDP ', 'SIP / 2.0 / TCP\r\n ', 'SIP/2.0/SCTP\t'),
    fc.constantFrom('10.0.0.1', 'a.example:5070', '[2001:db8::1]', '192.0.2.10'),
    token,
    fc.constantFrom('', ';rport', ';rport=1', ';received=1.2.3.4', ' ; rport ; received = 1::2'),
    fc.array(headerParam, { maxLength: 2 }),
  )
  .map(
    ([protocol, host, branch, marks, params]) =>
      `${protocol}${host};branch=z9hG4bK${branch}${marks}${latin1(params.join(''))}`,
  );
const via = header(
  'Via',
  'v',
  fc.array(viaValue, { minLength: 1, maxLength: 3 }).map((all) => all.join(' ,')),
);
const otherValue = fc
  .string({ unit: fc.constantFrom(...'aB1 ,;:<>"=@\0\xe9\xff', '\r\n '), maxLength: 20 })
  .map((text) => `x${text}x`);
const other = fc.oneof(
  line('Subject', otherValue),
  line('Contact', nameAddr),
  line('Record-Route', nameAddr),
  line('Proxy-Authorization', otherValue),
  token.chain((name) => line(`X${name}`, otherValue)),
);

const requestText = fc
  .record({
    method: method.filter((name) => name !== 'OPTIONS'),
    uri: fc.constantFrom('sip:bob@biloxi.example', 'sip:bob@chicago.example;x', 'sip:198.51.100.9:5099', 'tel:+1-2'),
    version: fc.constantFrom('SIP/2.0', 'sip/2.0'),
    via,
    vias: fc.array(via, { maxLength: 2 }),
    from: header('From', 'f', nameAddr),
    to: header('To', 't', nameAddr),
    callId: header('Call-ID', 'i', token),
    cseq: fc.tuple(spaced('CSeq'), fc.nat(2 ** 31 - 1), lws),
    maxForwards: fc.option(fc.tuple(spaced('Max-Forwards'), fc.integer({ min: 1, max: 255 }))),
    routes: fc.array(
      line(
        'Route',
        fc.constantFrom(
          '<sip:192.0.2.254;lr>',
          '<sip:edge.chicago.example;lr>, <sip:b.example;lr>',
          '<sip:chicago.example>',
        ),
      ),
      { maxLength: 3 },
    ),
    others: fc.array(other, { maxLength: 5 }),
    body: fc.string({ unit: fc.constantFrom(...'ab\0\xff\r\n'), maxLength: 20 }),
    excess: fc.option(fc.constantFrom('', 'x', '\r\n\r\n')),
    order: fc.infiniteStream(fc.nat(100)),
  })
  .map((r) => {
    const lines = [r.from, r.to, r.callId, `${r.cseq[0]}${r.cseq[1]}${r.cseq[2]}${r.method}`, ...r.others];
    if (r.maxForwards !== null) lines.push(`${r.maxForwards[0]}${r.maxForwards[1]}`);
    if (r.excess !== null) lines.push(`l: ${r.body.length}`);
    // Via and Route lines keep their order among themselves, everything else stands anywhere.
    for (const list of [[r.via, ...r.vias], r.routes]) {
      let at = 0;
      for (const one of list) {
        at += r.order.next().value! % (lines.length + 1 - at);
        lines.splice(at++, 0, one);
      }
    }
    const excess = r.excess ?? '';
    return `${[`${r.method} ${r.uri} ${r.version}`, ...lines].join('\r\n')}\r\n\r\n${r.body}${excess}`;
  });

describe('16.6, any well-formed request', () => {
  it('leaves as it came, but for what the section lets a proxy change', () => {
    let forwardedCount = 0;
    fc.assert(
      fc.property(requestText, (text) => {
        const sent = element.receive(Buffer.from(text, 'latin1'), ALICE);
        expect(sent.length).toBeLessThanOrEqual(1);
        const [out] = sent;
        if (out === undefined || statusOf(out.text) !== 0) return;
        forwardedCount++;
        expect(faultOfForwarding(text, out.text)).toBeNull();
      }),
      { numRuns: 1000 },
    );
    expect(forwardedCount).toBeGreaterThan(500);
  });

  it('is never called malformed', () => {
    fc.assert(
      fc.property(requestText, (text) => {
        const [out] = element.receive(Buffer.from(text, 'latin1'), ALICE);
        const status = out === undefined ? 0 : statusOf(out.text);
        expect(status === 400 ? out!.text : '').toBe('');
      }),
      { numRuns: 300 },
    );
  });
});
