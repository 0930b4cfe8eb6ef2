import { describe, expect, it } from 'vitest';
import { EGRESS } from '../../src/memory/layout.ts';
import { ViaMarker } from '../../src/roles/via-marker.ts';
import { MessageEdits } from '../../src/sip/message-edits.ts';
import { Outbound } from '../../src/sip/outbound.ts';
import { parseVia, ViaView } from '../../src/sip/via.ts';
import { type Arrival, arena, arrive, payload, slotWord } from './received-slot.ts';

const outbound = new Outbound(arena, 0, () => outbound.clear());
const marker = new ViaMarker(arena, outbound);
const edits = new MessageEdits();

/** The Via value as the server has it in the request it passes on. */
function marked(value: string, arrival: Arrival): string {
  const end = arrive(value, arrival);
  const via = new ViaView();
  expect(parseVia(arena.bytes, payload, end, via)).toBe(0);
  outbound.begin();
  edits.clear();
  marker.mark(via, slotWord, edits);
  edits.apply(outbound, payload, end);
  outbound.commit(0);
  const entry = (arena.map.egress >> 2) + EGRESS.SPAN_COUNT_WORD;
  let text = '';
  for (let i = 0; i < arena.words[entry]!; i++) {
    const start = arena.words[entry + EGRESS.SPANS_WORD + 2 * i]!;
    const length = arena.words[entry + EGRESS.SPANS_WORD + 2 * i + 1]!;
    text += Buffer.from(arena.bytes.slice(start, start + length)).toString('latin1');
  }
  outbound.clear();
  return text;
}

const V = 'SIP/2.0/UDP';
const B = 'branch=z9hG4bK1';

describe('18.2.1, received', () => {
  it.each([
    ['a host name', `${V} a.example;${B}`, '192.0.2.10'],
    ['another address', `${V} 192.0.2.11;${B}`, '192.0.2.10'],
    ['an address of the other family', `${V} [2001:db8::9];${B}`, '192.0.2.10'],
    ['an IPv4-mapped address', `${V} [::ffff:192.0.2.10];${B}`, '192.0.2.10'],
    ['an IPv6 source', `${V} [2001:db8::8];${B}`, '2001:db8::9'],
    ['an IPv4 address that the IPv6 source begins with', `${V} 32.1.13.184;${B}`, '2001:db8::'],
    ['no parameter', `${V} a.example:5061`, '192.0.2.10'],
  ])('is added to a sent-by that is not the source: %s', (_what, value, from) => {
    expect(marked(value, { from })).toBe(`${value};received=${from}`);
  });

  it.each([
    [`${V} 192.0.2.10;${B}`, '192.0.2.10'],
    [`${V} 192.0.2.10:5099;${B}`, '192.0.2.10'],
    [`${V} [2001:db8::9];${B}`, '2001:db8::9'],
    [`${V} [2001:DB8:0:0:0:0:0:9]:5060;${B}`, '2001:db8::9'],
  ])('is not added to %s from %s', (value, from) => {
    expect(marked(value, { from })).toBe(value);
  });

  it('stands before white space and a comma that follow', () => {
    expect(marked(`${V} a;${B} \t, ${V} b`, {})).toBe(`${V} a;${B};received=192.0.2.10 \t, ${V} b`);
    expect(marked(`${V} a , ${V} b`, {})).toBe(`${V} a;received=192.0.2.10 , ${V} b`);
  });

  it('takes the place of one that the client made up', () => {
    expect(marked(`${V} a;received=203.0.113.66;${B}`, {})).toBe(`${V} a;received=192.0.2.10;${B}`);
    expect(marked(`${V} 192.0.2.10; received = 203.0.113.66 ;${B}`, {})).toBe(
      `${V} 192.0.2.10; received=192.0.2.10 ;${B}`,
    );
  });

  it('has no brackets around IPv6, and the shortest form', () => {
    expect(marked(`${V} a`, { from: '2001:db8:0:0:1:0:0:1' })).toBe(`${V} a;received=2001:db8::1:0:0:1`);
  });
});

describe('RFC 3581 section 4, rport', () => {
  it.each([
    [`${V} 192.0.2.10;rport;${B}`, `${V} 192.0.2.10;rport=4711;${B};received=192.0.2.10`],
    [`${V} 192.0.2.10;${B};rport`, `${V} 192.0.2.10;${B};rport=4711;received=192.0.2.10`],
    [`${V} a.example:5099 ; RPort ; ${B}`, `${V} a.example:5099 ; rport=4711 ; ${B};received=192.0.2.10`],
    [`${V} a;rport=1;${B}`, `${V} a;rport=4711;${B};received=192.0.2.10`],
    [`${V} a;received=10.0.0.1;rport`, `${V} a;received=192.0.2.10;rport=4711`],
    [`${V} a;rport;received=10.0.0.1`, `${V} a;rport=4711;received=192.0.2.10`],
  ])('%s gets the source port, and received in any case', (value, expected) => {
    expect(marked(value, { port: 4711 })).toBe(expected);
  });

  it('is not added where nobody asked', () => {
    expect(marked(`${V} a;${B};xrport;rportx`, { port: 4711 })).toBe(`${V} a;${B};xrport;rportx;received=192.0.2.10`);
  });

  it.each([1, 65_535])('can be %i', (port) => {
    expect(marked(`${V} a;rport`, { port })).toBe(`${V} a;rport=${port};received=192.0.2.10`);
  });
});
