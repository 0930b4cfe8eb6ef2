/** The table of metrics: complete, named as Prometheus wants it, with labels of which there are few values. */

import { describe, expect, it } from 'vitest';
import { COUNTER_NAMES } from '../../src/observe/counters.ts';
import {
  allMetrics,
  LABELS,
  METRIC,
  metricOfCounter,
  renderMetricsReference,
  threadsCounting,
} from '../../src/observe/metrics.ts';

describe('metrics', () => {
  it('show every counter, on its own or as a value of a label', () => {
    const names = new Set(allMetrics().map(({ name }) => name));
    for (const name of COUNTER_NAMES) {
      const shown = metricOfCounter(name);
      // The others have a metric of their name from elsewhere.
      expect(names.has(shown?.metric.name ?? `strowger_${name}`), name).toBe(true);
    }
    expect(metricOfCounter('invite_requests_total')).toEqual({ metric: METRIC.requests, labels: { method: 'INVITE' } });
    expect(metricOfCounter('other_requests_total')?.labels).toEqual({ method: 'other' });
    expect(metricOfCounter('responses_5xx_total')?.labels).toEqual({ class: '5xx' });
    expect(metricOfCounter('naps_total')?.metric.name).toBe('strowger_naps_total');
  });

  it('have names, types and labels by the conventions, each once', () => {
    const metrics = allMetrics();
    expect(new Set(metrics.map(({ name }) => name)).size).toBe(metrics.length);
    for (const { name, type, help, labels } of metrics) {
      expect(name).toMatch(/^(?:strowger|process)_[a-z0-9]+(?:_[a-z0-9]+)*$/);
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      if (type === 'histogram') expect(name).toMatch(/_seconds$/);
      expect(help, name).toMatch(/[^.]$/);
      for (const label of labels) expect(LABELS, `${name} ${label}`).toHaveProperty(label);
    }
  });

  it('are given by the threads that count them: shards, then the dispatcher, then main', () => {
    expect(threadsCounting('requests_forwarded_total', 2, true)).toEqual([0, 1]);
    expect(threadsCounting('datagrams_received_total', 2, true)).toEqual([2]);
    expect(threadsCounting('junk_datagrams_total', 2, true)).toEqual([0, 1, 2]);
    expect(threadsCounting('users_reloads_total', 2, true)).toEqual([3]);
  });

  it("are the only shard's where that has the intake", () => {
    expect(threadsCounting('datagrams_received_total', 1, false)).toEqual([0]);
    expect(threadsCounting('junk_datagrams_total', 1, false)).toEqual([0]);
  });

  it('are all in the reference', () => {
    const reference = renderMetricsReference();
    for (const { name } of allMetrics()) expect(reference).toContain(`| \`${name}\` |`);
  });
});
