import { describe, expect, it } from 'vitest';
import { CALLS_PER_WORLD, simulate } from './simulation.ts';

/** `SEED=… npx vitest run test/sim` runs others. */
const seed = Number(process.env['SEED'] ?? 1);
const faultsOf = (from: number, calls: number) =>
  simulate(from, calls).faults.map(
    (fault) => `${fault.text} (SEED=${fault.seed} CALLS=${fault.calls})\n${fault.ladder}`,
  );

describe('calls over a network that loses, delays, repeats and reorders', () => {
  it.each([seed, seed + 1000])('break no rule from seed %i', (from) => {
    expect(faultsOf(from, 3 * CALLS_PER_WORLD)).toEqual([]);
  });

  it('are the same for the same seed', () => {
    const [first, again, other] = [seed, seed, seed + 1].map((from) => simulate(from, 200));
    expect(first!.carried).toBeGreaterThan(1000);
    expect(again!.checksum).toBe(first!.checksum);
    expect(again!.counters).toEqual(first!.counters);
    expect(other!.checksum).not.toBe(first!.checksum);
  });
});

describe('worlds that showed something once', () => {
  it.each([
    ['a branch without Max-Breadth (RFC 5393 5.3.3)', 2],
    ['408 to an INFO (RFC 4320 4.2)', 24],
    ['a Reason that came into a CANCEL under way (RFC 3326)', 507],
  ])('show it no more: %s', (_, from) => {
    expect(faultsOf(from, CALLS_PER_WORLD)).toEqual([]);
  });
});

describe('what the proxy must not do is seen', () => {
  /** Faults of a world in which every message of the proxy is changed so. */
  const faultsIf = (spoil: (text: string) => string | null) =>
    simulate(7, 150, { spoil }).faults.map(({ text }) => text);
  const isOur = (text: string, method: string) => text.startsWith(`${method} `) && text.split('\r\nVia: ').length === 2;

  it.each([
    ['a failure is not acknowledged at once', (text: string) => (isOur(text, 'ACK') ? null : text)],
    ['the top Via of a forwarded request is not ours', (text: string) => text.replace('z9hG4bKs', 'z9hG4bKx')],
    ['Max-Forwards is not one less', (text: string) => text.replace('Max-Forwards: 69', 'Max-Forwards: 70')],
    ['another header is changed', (text: string) => text.replace(/^(INVITE .*)\r\nTo: /s, '$1\r\nTo:  ')],
    ['a header of a response is changed', (text: string) => text.replace(/^(SIP\/2.0 180 .*)\r\nTo: /s, '$1\r\nTo:  ')],
    ['the Vias below ours are changed', (text: string) => text.replace(/^(SIP\/2.0 2.*)bKdeep/s, '$1bKdeeq')],
    ['a 2xx does not go back at once', (text: string) => (/^SIP\/2.0 200 .*CSeq: 1 INVITE/s.test(text) ? null : text)],
    [
      'an INVITE has no final response',
      (text: string) => (/^SIP\/2.0 [4-6].*CSeq: 1 INVITE/s.test(text) ? null : text),
    ],
    ['the Max-Breadth is not what it may be', (text: string) => text.replace(/Max-Breadth: \d+\r\n/, '')],
    [
      'a CANCEL is not like its INVITE',
      (text: string) => (isOur(text, 'CANCEL') ? text.replace('tag=f', 'tag=g') : text),
    ],
  ])('%s', (fault, spoil) => {
    expect(faultsIf(spoil)).toContain(fault);
  });
});
