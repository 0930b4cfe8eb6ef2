/** The alert rules in the hands of promtool: each fires on what it is about, with all labels that its text needs, and keeps quiet
 *  while it is not so. One fires for real in test/sipp/dashboard. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { root } from '../tidy/source-files.ts';

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly expr: string;
  readonly labels?: Record<string, string>;
  readonly annotations?: Record<string, string>;
}

interface AlertCase {
  readonly alert: string;
  /** Series and values in promtool's notation, one value every 15 s, that make it fire. */
  readonly firing: Record<string, string>;
  readonly quiet: Record<string, string>;
  /** When it fires. Default: 10m. */
  readonly at?: string;
  /** Beside `instance` and what the rule adds. */
  readonly labels?: Record<string, string>;
}

const RULES = join(root, 'deploy/prometheus/strowger.rules.yml');
const JOB = 'job="strowger",instance="a"';
const SHARD = { job: 'strowger', thread: 'shard-0' };

/** A counter that grows by `each` every 15 s, and one that rests. */
const grows = (each: number) => `0+${each}x60`;
const RESTS = '7+0x60';

/** Of `count` transits a minute and a half: all below `seconds`, which is a bound of a bucket. */
function buckets(metric: string, bound: string): Record<string, string> {
  const series = (le: string, each: number) => [`${metric}_bucket{${JOB},le="${le}"}`, grows(each)];
  return Object.fromEntries([series('0.000016', 0), series(bound, 100), series('+Inf', 100)]);
}

const CASES: readonly AlertCase[] = [
  {
    alert: 'StrowgerDown',
    firing: { [`up{${JOB}}`]: '1x4 0x60' },
    quiet: { [`up{${JOB}}`]: '1x60' },
    labels: { job: 'strowger' },
  },
  {
    alert: 'StrowgerNotReady',
    firing: { [`strowger_ready{${JOB}}`]: '0x60' },
    quiet: { [`strowger_ready{${JOB}}`]: '1x38 0 1x20' },
    labels: { job: 'strowger' },
  },
  {
    alert: 'StrowgerThreadDown',
    firing: { [`strowger_thread_up{${JOB},thread="shard-0"}`]: '0x60' },
    quiet: { [`strowger_thread_up{${JOB},thread="shard-0"}`]: '1x60' },
    labels: SHARD,
  },
  {
    alert: 'StrowgerShardCrashed',
    firing: { [`strowger_shard_crashes_total{${JOB},thread="shard-0"}`]: '0x30 1x30' },
    quiet: { [`strowger_shard_crashes_total{${JOB},thread="shard-0"}`]: RESTS },
    labels: SHARD,
  },
  {
    alert: 'StrowgerRestarted',
    firing: { [`process_start_time_seconds{${JOB}}`]: '1000x20 1300x40' },
    quiet: { [`process_start_time_seconds{${JOB}}`]: '1000x60' },
    labels: { job: 'strowger' },
  },
  {
    alert: 'StrowgerLogLost',
    firing: {
      [`strowger_log_lines_lost_total{${JOB},thread="main"}`]: grows(1),
      [`strowger_log_lines_lost_total{${JOB},thread="shard-0"}`]: RESTS,
    },
    quiet: { [`strowger_log_lines_lost_total{${JOB},thread="main"}`]: RESTS },
  },
  {
    alert: 'StrowgerControlUnauthorized',
    firing: { [`strowger_control_unauthorized_total{${JOB},thread="main"}`]: grows(1) },
    quiet: { [`strowger_control_unauthorized_total{${JOB},thread="main"}`]: '0+1x5 5x60' },
  },
  {
    alert: 'StrowgerMainThreadBusy',
    firing: buckets('strowger_main_event_loop_delay_seconds', '2.097152'),
    quiet: buckets('strowger_main_event_loop_delay_seconds', '0.002048'),
  },
  {
    alert: 'StrowgerKernelDrops',
    firing: { [`strowger_kernel_drops_total{${JOB},socket="udp:192.0.2.1:5060"}`]: '0x30 3x30' },
    quiet: { [`strowger_kernel_drops_total{${JOB},socket="udp:192.0.2.1:5060"}`]: RESTS },
    labels: { job: 'strowger', socket: 'udp:192.0.2.1:5060' },
  },
  {
    alert: 'StrowgerSendLost',
    firing: {
      [`strowger_send_congested_total{${JOB},thread="shard-0"}`]: RESTS,
      [`strowger_send_errors_total{${JOB},thread="shard-0"}`]: grows(1),
    },
    quiet: {
      [`strowger_send_congested_total{${JOB},thread="shard-0"}`]: RESTS,
      [`strowger_send_errors_total{${JOB},thread="shard-0"}`]: RESTS,
    },
  },
  {
    alert: 'StrowgerRingAboveMark',
    firing: {
      [`strowger_ring_depth_high{${JOB},thread="shard-0"}`]: '900x60',
      [`strowger_ring_reject_mark{${JOB}}`]: '819x60',
    },
    quiet: {
      [`strowger_ring_depth_high{${JOB},thread="shard-0"}`]: '800x60',
      [`strowger_ring_reject_mark{${JOB}}`]: '819x60',
    },
    labels: SHARD,
  },
  {
    alert: 'StrowgerShedding',
    firing: {
      [`strowger_shed_requests_total{${JOB},thread="dispatcher"}`]: RESTS,
      [`strowger_filtered_requests_total{${JOB},thread="dispatcher"}`]: RESTS,
      [`strowger_overload_rejected_total{${JOB},thread="shard-0"}`]: grows(20),
    },
    quiet: {
      [`strowger_shed_requests_total{${JOB},thread="dispatcher"}`]: RESTS,
      [`strowger_filtered_requests_total{${JOB},thread="dispatcher"}`]: RESTS,
      [`strowger_overload_rejected_total{${JOB},thread="shard-0"}`]: RESTS,
    },
  },
  {
    alert: 'StrowgerSlotsLow',
    firing: { [`strowger_slots_free{${JOB}}`]: '400x60', [`strowger_slots{${JOB}}`]: '4096x60' },
    quiet: { [`strowger_slots_free{${JOB}}`]: '420x60', [`strowger_slots{${JOB}}`]: '4096x60' },
  },
  {
    alert: 'StrowgerTransactionsNearlyFull',
    firing: {
      [`strowger_transactions{${JOB},thread="shard-0",side="client"}`]: '810x60',
      [`strowger_transactions_limit{${JOB}}`]: '1000x60',
    },
    quiet: {
      [`strowger_transactions{${JOB},thread="shard-0",side="client"}`]: '790x60',
      [`strowger_transactions_limit{${JOB}}`]: '1000x60',
    },
    labels: { ...SHARD, side: 'client' },
  },
  {
    alert: 'StrowgerServerErrors',
    firing: {
      [`strowger_responses_sent_total{${JOB},thread="shard-0",class="2xx"}`]: grows(90),
      [`strowger_responses_sent_total{${JOB},thread="shard-0",class="5xx"}`]: grows(10),
    },
    quiet: {
      [`strowger_responses_sent_total{${JOB},thread="shard-0",class="1xx"}`]: grows(0),
      [`strowger_responses_sent_total{${JOB},thread="shard-0",class="2xx"}`]: grows(98),
      [`strowger_responses_sent_total{${JOB},thread="shard-0",class="5xx"}`]: grows(2),
    },
  },
  {
    alert: 'StrowgerTimeouts',
    firing: {
      [`strowger_timeouts_total{${JOB},thread="shard-0"}`]: grows(20),
      [`strowger_client_transactions_total{${JOB},thread="shard-0"}`]: grows(100),
    },
    quiet: {
      [`strowger_timeouts_total{${JOB},thread="shard-0"}`]: grows(5),
      [`strowger_client_transactions_total{${JOB},thread="shard-0"}`]: grows(100),
    },
  },
  {
    alert: 'StrowgerSlow',
    firing: buckets('strowger_transit_seconds', '0.131072'),
    quiet: buckets('strowger_transit_seconds', '0.000256'),
  },
  {
    alert: 'StrowgerLocationStoreFailed',
    firing: { [`strowger_location_store_state{${JOB},state="failed"}`]: '1x60' },
    quiet: { [`strowger_location_store_state{${JOB},state="failed"}`]: '0x60' },
    labels: { job: 'strowger', state: 'failed' },
  },
  {
    alert: 'StrowgerLocationNearlyFull',
    firing: { [`strowger_location_aors{${JOB}}`]: '950x60', [`strowger_location_limit_aors{${JOB}}`]: '1000x60' },
    quiet: { [`strowger_location_aors{${JOB}}`]: '900x60', [`strowger_location_limit_aors{${JOB}}`]: '1000x60' },
    labels: { job: 'strowger' },
  },
  {
    alert: 'StrowgerUsersUnavailable',
    firing: { [`strowger_users_unavailable_total{${JOB},thread="shard-0"}`]: '0x30 2x30' },
    quiet: { [`strowger_users_unavailable_total{${JOB},thread="shard-0"}`]: RESTS },
    labels: SHARD,
  },
  {
    alert: 'StrowgerPasswordGuessing',
    firing: { [`strowger_wrong_credentials_total{${JOB},thread="shard-0"}`]: grows(150) },
    quiet: { [`strowger_wrong_credentials_total{${JOB},thread="shard-0"}`]: grows(30) },
  },
];

const folder = mkdtempSync(join(tmpdir(), 'strowger-rules-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function rules(): Rule[] {
  const { groups } = parse(readFileSync(RULES, 'utf8')) as { groups: { rules: Rule[] }[] };
  return groups.flatMap((group) => group.rules);
}

function promtool(...args: string[]): { status: number | null; output: string } {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { encoding: 'utf8' });
  if (error !== undefined) throw new Error(`these tests need promtool on PATH (Debian: prometheus): ${error.message}`);
  return { status, output: stdout + stderr };
}

/** A test of promtool's: nothing of an alert, or that it fires once with these labels and the rule's own text. */
function testOf(
  { alert, at = '10m', labels = {} }: AlertCase,
  series: Record<string, string>,
  isFiring: boolean,
): object {
  const rule = rules().find((candidate) => candidate.alert === alert);
  const expected = { exp_labels: { instance: 'a', ...labels, ...rule?.labels }, exp_annotations: rule?.annotations };
  return {
    name: `${alert} ${isFiring ? 'fires' : 'keeps quiet'}`,
    interval: '15s',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    alert_rule_test: [{ alertname: alert, eval_time: at, exp_alerts: isFiring ? [expected] : [] }],
  };
}

function testRules(tests: readonly object[]): { status: number | null; output: string } {
  const file = join(folder, 'rules.test.yml');
  // Whatever is JSON is YAML.
  writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: '15s', tests }));
  return promtool('test', 'rules', file);
}

describe('the rules of Prometheus', () => {
  it('are valid, and so is what scrapes', () => {
    const { status, output } = promtool('check', 'config', join(root, 'deploy/prometheus/prometheus.yml'));
    expect(status, output).toBe(0);
    expect(output).toMatch(new RegExp(`SUCCESS: ${rules().length} rules found`));
  });

  it('each have a case here, a severity, and say what to do', () => {
    const alerts = rules().filter(({ alert }) => alert !== undefined);
    expect(CASES.map(({ alert }) => alert)).toEqual(alerts.map(({ alert }) => alert));
    for (const { alert, labels, annotations } of alerts) {
      expect(['critical', 'warning'], alert).toContain(labels?.['severity']);
      expect(annotations?.['summary'], alert).toMatch(/\w/);
      expect(annotations?.['description'], alert).toMatch(/\.$/);
    }
  });

  it('fire on what they are about, and keep quiet otherwise', () => {
    const tests = CASES.flatMap((each) => [testOf(each, each.firing, true), testOf(each, each.quiet, false)]);
    const { status, output } = testRules(tests);
    expect(status, output).toBe(0);
  });

  it('are noticed when they do not', () => {
    const { status, output } = testRules(CASES.map((each) => testOf(each, each.quiet, true)));
    expect(status).toBe(1);
    for (const { alert } of CASES) expect(output).toContain(`alertname: ${alert},`);
  });

  it('keep quiet before the time they allow has passed', () => {
    const down = CASES.find(({ alert }) => alert === 'StrowgerDown')!;
    const early = testOf({ ...down, at: '90s' }, down.firing, false);
    expect(testRules([early, testOf({ ...down, at: '2m30s' }, down.firing, true)])).toMatchObject({ status: 0 });
  });
});
