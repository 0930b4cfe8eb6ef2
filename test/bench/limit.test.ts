/** What limited a turn of one second, by who was busy. */

import { describe, expect, it } from 'vitest';
import { type LimitFigures, limitBeside, limitOf } from '../../perf/bench/limit.ts';

const SECOND_NS = 1e9;

function limit(figures: Partial<LimitFigures>) {
  return limitOf({
    ratePerSec: null,
    wallMs: 1000,
    successful: 500,
    isBaseline: false,
    serverNs: 0.3 * SECOND_NS,
    serverCpus: 1,
    serverBusyNs: 0.3 * SECOND_NS,
    busiestThreadNs: 0.2 * SECOND_NS,
    generatorNs: [0.2 * SECOND_NS, 0.2 * SECOND_NS],
    generatorBusyNs: 0.4 * SECOND_NS,
    generatorCpus: 1,
    ...figures,
  });
}

describe('the limit', () => {
  it.each<[string, Partial<LimitFigures>]>([
    ['neither', {}],
    ['rate', { ratePerSec: 500, generatorNs: [SECOND_NS] }],
    ['server', { serverNs: 0.97 * SECOND_NS }],
    ['server', { busiestThreadNs: 0.97 * SECOND_NS, serverCpus: 4 }],
    ['server', { busiestThreadNs: 0.97 * SECOND_NS, serverCpus: null }],
    ['others', { serverBusyNs: 0.97 * SECOND_NS }],
    ['generator', { generatorNs: [0.93 * SECOND_NS], generatorCpus: 4 }],
    ['generator', { generatorNs: [0.5 * SECOND_NS, 0.45 * SECOND_NS] }],
    ['generator', { generatorBusyNs: 0.99 * SECOND_NS }],
    ['unknown', { serverNs: null, serverCpus: null, serverBusyNs: null, busiestThreadNs: null }],
    ['neither', { isBaseline: true, serverNs: null, serverCpus: null, serverBusyNs: null, busiestThreadNs: null }],
  ])('is %s with %j', (expected, figures) => expect(limit(figures)).toBe(expected));

  it('is the rate only as long as it was kept', () => {
    expect(limit({ ratePerSec: 520 })).toBe('neither');
    expect(limit({ ratePerSec: 502 })).toBe('rate');
  });
});

describe('beside the baseline', () => {
  it('a server that is hardly slower than none was not at its limit', () => {
    expect(limitBeside('unknown', 950, 1000)).toBe('generator');
    expect(limitBeside('neither', 950, 1000)).toBe('generator');
    expect(limitBeside('neither', 800, 1000)).toBe('neither');
  });

  it('what is known stays, and without a baseline everything does', () => {
    expect(limitBeside('server', 950, 1000)).toBe('server');
    expect(limitBeside('unknown', 950, null)).toBe('unknown');
  });
});
