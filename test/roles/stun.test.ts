import { beforeEach, describe, expect, it } from 'vitest';
import { EGRESS } from '../../src/memory/layout.ts';
import { Counters, readCounters } from '../../src/observe/counters.ts';
import { answerStun } from '../../src/roles/stun.ts';
import { Outbound } from '../../src/sip/outbound.ts';
import { type Arrival, arena, arrive, payload, slotWord } from './received-slot.ts';

const ID = 'b7e7a701bc34d686fa87dfae';
const counters = new Counters(arena, 0);
const outbound = new Outbound(arena, 0, () => outbound.clear());

beforeEach(() => outbound.clear());

/** A STUN message in hexadecimal: type and attributes; the length is filled in. */
function stun(type: string, attributes = '', length = attributes.replaceAll(' ', '').length / 2): Buffer {
  const lengthText = length.toString(16).padStart(4, '0');
  return Buffer.from(`${type}${lengthText}2112a442${ID}${attributes.replaceAll(' ', '')}`, 'hex');
}

/** The answer in hexadecimal without its cookie and id, or null. */
function answerTo(message: Buffer, arrival: Arrival = {}): string | null {
  const end = arrive(message, arrival);
  answerStun(arena, slotWord, payload, end, outbound, counters);
  if (outbound.count === 0) return null;
  const entry = arena.map.egress >> 2;
  expect(arena.words[entry + EGRESS.SPAN_COUNT_WORD]).toBe(1);
  expect(arena.words[entry + EGRESS.PORT_WORD]).toBe(arrival.port ?? 5060);
  const start = arena.words[entry + EGRESS.SPANS_WORD]!;
  const length = arena.words[entry + EGRESS.SPANS_WORD + 1]!;
  const hex = Buffer.from(arena.bytes.slice(start, start + length)).toString('hex');
  expect(hex.slice(8, 40)).toBe(`2112a442${ID}`);
  expect(Number.parseInt(hex.slice(4, 8), 16)).toBe(length - 20);
  return `${hex.slice(0, 4)} ${hex.slice(40)}`;
}

describe('a binding request (RFC 5389 7.3.1)', () => {
  it('is answered with the source it came from, XORed (RFC 5769 2.2)', () => {
    expect(answerTo(stun('0001'), { from: '192.0.2.1', port: 32_853 })).toBe('0101 002000080001a147e112a643');
  });

  it('is answered with an IPv6 source, XORed with the transaction id (RFC 5769 2.3)', () => {
    const from = '2001:db8:1234:5678:11:2233:4455:6677';
    const answer = answerTo(stun('0001'), { from, port: 32_853 });
    expect(answer).toBe('0101 002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9');
  });

  it.each([
    ['SOFTWARE', '8022 0004 74657374'],
    ['USERNAME with padding', '0006 0003 616263 00'],
    ['MESSAGE-INTEGRITY and FINGERPRINT', `0008 0014 ${'00'.repeat(20)} 8028 0004 00000000`],
    ['an empty optional attribute', 'ffff 0000'],
  ])('may carry %s', (_what, attributes) => {
    expect(answerTo(stun('0001', attributes))).toMatch(/^0101 /);
  });

  it('with attributes that must be understood and are not is answered 420 with their list', () => {
    // ERROR-CODE 420, UNKNOWN-ATTRIBUTES 0x0024 0x7ffe.
    const attributes = '0024 0004 00000001 7ffe 0001 61000000';
    expect(answerTo(stun('0001', attributes))).toBe('0111 0009000400000414000a000400247ffe');
  });

  it('pads an odd list', () => {
    expect(answerTo(stun('0001', '7ffe 0000'))).toBe('0111 0009000400000414000a00027ffe0000');
  });

  it('with a hundred unknown attributes gets an answer that is no longer than the request', () => {
    const request = stun('0001', '7ffe0000'.repeat(100));
    const answer = answerTo(request)!;
    expect(answer.length / 2).toBeLessThan(request.length);
    expect(answer).toMatch(/^0111 /);
  });
});

describe('anything else is ignored and counted', () => {
  it.each([
    ['a binding response', stun('0101')],
    ['a binding error', stun('0111')],
    ['an indication', stun('0011')],
    ['another method', stun('0003')],
    ['a length beyond the datagram', stun('0001', '', 4)],
    ['a length short of the datagram', stun('0001', '80220000', 0)],
    ['an attribute cut off in its header', stun('0001', '8022')],
    ['an attribute cut off in its value', stun('0001', '8022 0008 74657374')],
    ['an attribute cut off in its padding', stun('0001', '8022 0003 746573')],
    ['half a header', stun('0001').subarray(0, 12)],
  ])('%s', (_what, message) => {
    const before = readCounters(arena).stun_ignored_total;
    expect(answerTo(message)).toBeNull();
    expect(readCounters(arena).stun_ignored_total).toBe(before + 1);
  });
});
