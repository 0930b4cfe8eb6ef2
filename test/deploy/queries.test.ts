/** What dashboard and rules ask for exists: metric by metric, label by label. And the dashboard is one that Grafana can lay out. That
 *  every panel has something to show is seen in test/sipp/dashboard, with a real Prometheus. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { dashboard } from '../../deploy/grafana/dashboard.ts';
import { allMetrics } from '../../src/observe/metrics.ts';
import { root } from '../tidy/source-files.ts';

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string; readonly refId: string }[];
}

const { panels } = dashboard() as { panels: Panel[] };

/** Labels by the name of each series. */
const SERIES = new Map<string, ReadonlySet<string>>(
  allMetrics().flatMap(({ name, type, labels }) => {
    // Prometheus adds these two.
    const known = new Set([...labels, 'instance', 'job']);
    if (type !== 'histogram') return [[name, known]];
    return ['_bucket', '_sum', '_count'].map((suffix): [string, Set<string>] => [`${name}${suffix}`, known]);
  }),
);

/** What an expression asks for that is not there. */
function findingsOf(expr: string, recorded: ReadonlySet<string> = new Set()): string[] {
  const findings: string[] = [];
  const labels = new Set<string>();
  for (const [name] of expr.matchAll(/(?<![\w:$])(?:instance\w*:)?(?:strowger|process)_\w+(?::\w+)?/g)) {
    if (recorded.has(name)) continue;
    const known = SERIES.get(name);
    if (known === undefined) findings.push(`no metric ${name}`);
    for (const label of known ?? []) labels.add(label);
  }
  const asked = [
    ...[...expr.matchAll(/(\w+)\s*(?:=~|!~|!=|=(?!=))\s*"/g)].map(([, label]) => label!),
    ...[...expr.matchAll(/\b(?:by|on|without)\s*\(([^)]*)\)/g)].flatMap(([, list]) => list!.split(',')),
  ].map((label) => label.trim());
  for (const label of asked) {
    if (labels.size > 0 && !labels.has(label)) findings.push(`no label ${label}: ${expr}`);
  }
  return findings;
}

describe('queries', () => {
  it('of the dashboard ask for what there is', () => {
    const exprs = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    expect(exprs.length).toBeGreaterThan(50);
    expect(exprs.flatMap((expr) => findingsOf(expr))).toEqual([]);
    // Every legend is told apart by labels that its query leaves.
    for (const { targets = [] } of panels) {
      for (const { expr, legendFormat } of targets) {
        for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          expect(expr).toMatch(new RegExp(`by \\(.*${label}`));
      }
    }
  });

  it('of the rules ask for what there is', () => {
    const file = readFileSync(join(root, 'deploy/prometheus/strowger.rules.yml'), 'utf8');
    const rules = (parse(file) as { groups: { rules: { record?: string; expr: string }[] }[] }).groups.flatMap(
      (group) => group.rules,
    );
    const recorded = new Set(rules.flatMap(({ record }) => record ?? []));
    expect(rules.flatMap(({ expr }) => findingsOf(expr, recorded))).toEqual([]);
  });

  it('that ask for nothing are found', () => {
    expect(findingsOf('rate(strowger_nonsense_total[1m])')).toEqual(['no metric strowger_nonsense_total']);
    expect(findingsOf('sum by (colour) (strowger_ready)')).toHaveLength(1);
    expect(findingsOf('strowger_ready{thread="shard-0"}')).toHaveLength(1);
    expect(findingsOf('strowger_transit_seconds')).toHaveLength(1);
    expect(findingsOf('instance:nothing:rate1m')).toEqual([]);
    expect(findingsOf('instance:strowger_nothing:rate1m')).toHaveLength(1);
    expect(findingsOf('sum by (le) (rate(strowger_transit_seconds_bucket{instance=~".*"}[1m]))')).toEqual([]);
  });
});

describe('the dashboard', () => {
  it('has the rows an operator looks for', () => {
    const rows = panels.filter(({ type }) => type === 'row').map(({ title }) => title);
    expect(rows).toEqual([
      'At a glance',
      'Traffic',
      'Latency',
      'Transactions',
      'Location',
      'Shards',
      'Kernel drops',
      'Overload',
    ]);
  });

  it('has panels of their own id and title that do not overlap and fill their row', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(new Set(panels.map(({ title, type }) => `${type} ${title}`)).size).toBe(panels.length);
    const taken = new Set<string>();
    for (const { title, gridPos, targets = [] } of panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x} ${y}`), title).toBe(false);
          taken.add(`${x} ${y}`);
        }
      }
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
    }
    const bottom = Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
    expect(taken.size).toBe(bottom * 24);
  });
});
