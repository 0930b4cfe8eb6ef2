/** The order of SRV records (RFC 2782) and of NAPTR records (RFC 3263 4.1, RFC 3403 4.1). */

import { describe, expect, it } from 'vitest';
import {
  compareSrvTargets,
  type NaptrRecord,
  orderSrvTargets,
  rulesOf,
  type SrvTarget,
  selectSrvTarget,
} from '../../../src/runtime/resolver/service-records.ts';
import { TRANSPORT } from '../../../src/sip/transport.ts';
import { selectors } from './selectors.ts';

describe('RFC 2782: order and weights', () => {
  const target = (priority: number, weight: number, name: string): SrvTarget => ({
    priority,
    weight,
    port: 5060,
    name,
  });
  const shares = (targets: readonly SrvTarget[]) => {
    const counts = new Map<string, number>();
    for (const selector of selectors(10_000)) {
      const { name } = targets[selectSrvTarget(targets, 0, targets.length, selector)]!;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return counts;
  };

  it('sorts by priority, weight 0 first, then name, whatever the order of arrival', () => {
    const sorted = [target(1, 0, 'z'), target(1, 5, 'a'), target(1, 5, 'b'), target(2, 0, 'a')];
    expect(sorted.toReversed().sort(compareSrvTargets)).toEqual(sorted);
    expect([sorted[2]!, sorted[0]!, sorted[3]!, sorted[1]!].sort(compareSrvTargets)).toEqual(sorted);
  });

  it('selects in proportion to weight', () => {
    const counts = shares([target(1, 10, 'a'), target(1, 30, 'b'), target(1, 60, 'c')]);
    expect(counts.get('a')! / 10_000).toBeCloseTo(0.1, 1);
    expect(counts.get('b')! / 10_000).toBeCloseTo(0.3, 1);
    expect(counts.get('c')! / 10_000).toBeCloseTo(0.6, 1);
  });

  it('gives weight 0 a small chance beside others', () => {
    const counts = shares([target(1, 0, 'zero'), target(1, 99, 'full')]);
    expect(counts.get('zero')).toBe(100);
  });

  it('shares equally where all weights are 0', () => {
    const counts = shares([target(1, 0, 'a'), target(1, 0, 'b')]);
    expect(counts).toEqual(
      new Map([
        ['a', 5000],
        ['b', 5000],
      ]),
    );
  });

  it('selects the only one, at the ends of the selector too', () => {
    for (const selector of [0, -1, 2 ** 31 - 1, -(2 ** 31)]) {
      expect(selectSrvTarget([target(1, 65_535, 'a')], 0, 1, selector)).toBe(0);
      expect(selectSrvTarget([target(1, 1, 'a'), target(1, 1, 'b')], 0, 2, selector)).toBeLessThan(2);
    }
  });

  it('tries every target once, one priority after the other, the selected one first', () => {
    const targets = [target(1, 1, 'a'), target(1, 2, 'b'), target(1, 3, 'c'), target(5, 0, 'd'), target(5, 0, 'e')];
    for (const selector of selectors(100)) {
      const ordered = orderSrvTargets(targets, selector);
      expect(ordered.toSorted(compareSrvTargets)).toEqual(targets);
      expect(ordered.map(({ priority }) => priority)).toEqual([1, 1, 1, 5, 5]);
      expect(ordered[0]).toBe(targets[selectSrvTarget(targets, 0, 3, selector)]);
    }
  });
});

const ONLY_UDP = [TRANSPORT.UDP];

describe('RFC 3263 4.1: NAPTR records for SIP over UDP', () => {
  const record = (order: number, preference: number, flags: string, service: string, replacement: string) =>
    ({ order, preference, flags, service, regexp: '', replacement }) satisfies NaptrRecord;
  const udp = (order: number, preference: number, replacement: string) =>
    record(order, preference, 's', 'SIP+D2U', replacement);
  const names = (records: NaptrRecord[]) => rulesOf(records, ONLY_UDP)?.map(({ name }) => name) ?? null;

  it('are taken by preference, those of the lowest order only, whatever the order of arrival', () => {
    const records = [udp(10, 1, 'b'), udp(10, 2, 'a'), udp(10, 2, 'c'), udp(5, 9, 'z'), udp(5, 10, 'y')];
    expect(names(records)).toEqual(['z', 'y']);
    expect(names(records.toReversed())).toEqual(['z', 'y']);
    expect(names(records.slice(0, 3))).toEqual(['b', 'a', 'c']);
    expect(names(records.slice(0, 3).toReversed())).toEqual(['b', 'a', 'c']);
  });

  it('count whatever the order of records for other transports', () => {
    expect(
      names([record(1, 1, 's', 'SIP+D2T', 'tcp'), record(2, 1, 's', 'SIPS+D2T', 'tls'), udp(3, 1, 'udp')]),
    ).toEqual(['udp']);
  });

  it('may be written in any case, and with a final dot', () => {
    expect(rulesOf([record(1, 1, 'S', 'sip+D2u', '_SIP._udp.Example.')], ONLY_UDP)).toEqual([
      { isService: true, name: '_sip._udp.example', transport: TRANSPORT.UDP },
    ]);
    expect(rulesOf([record(1, 1, 'A', 'Sip+d2U', 'Host')], ONLY_UDP)).toEqual([
      { isService: false, name: 'host', transport: TRANSPORT.UDP },
    ]);
  });

  it('are none, of several services of SIP', () => {
    for (const service of ['SIP+D2T', 'SIPS+D2T', 'SIP+D2S', 'SIPS+D2U', 'SIP+D2W', 'SIP+D2UX']) {
      expect(rulesOf([record(1, 1, 's', service, 'x')], ONLY_UDP)).toEqual([]);
    }
  });

  it('are not there at all, where others are or they are in error', () => {
    expect(rulesOf([], ONLY_UDP)).toBeNull();
    for (const service of ['', 'E2U+sip', 'x-eduroam:radius.tls', 'SIP', 'XSIP+D2U']) {
      expect(rulesOf([record(1, 1, 's', service, 'x')], ONLY_UDP)).toBeNull();
    }
    for (const flags of ['', 'u', 'p', 'sa'])
      expect(rulesOf([record(1, 1, flags, 'SIP+D2U', 'x')], ONLY_UDP)).toBeNull();
    expect(rulesOf([{ ...udp(1, 1, 'x'), regexp: '!^.*$!sip:x@example.com!' }], ONLY_UDP)).toBeNull();
    expect(rulesOf([udp(1, 1, '')], ONLY_UDP)).toBeNull();
    expect(names([udp(1, 1, '.'), udp(2, 1, 'good')])).toEqual(['good']);
  });

  it('are taken once, and few', () => {
    expect(names([udp(1, 1, 'x'), udp(1, 2, 'X.'), udp(1, 3, 'y')])).toEqual(['x', 'y']);
    expect(names(Array.from({ length: 20 }, (_, i) => udp(1, i, `host-${i}`)))).toEqual([
      'host-0',
      'host-1',
      'host-2',
      'host-3',
    ]);
  });
});
