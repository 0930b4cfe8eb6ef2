/** The dashboard and an alert with a real Prometheus that scrapes a real server under the load of docker-compose.yml: no panel is
 *  empty, those of what the load does show it, and an alert fires when a shard crashes. */

import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dashboard } from '../../../deploy/grafana/dashboard.ts';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { freeTcpPort } from '../../process/tcp-port.ts';
import { freePort } from '../../process/udp-peer.ts';
import { endLoads, type LoadOutcome, runLoad } from '../load-script.ts';
import { Prometheus } from './prometheus.ts';

const CALLS_PER_SEC = 50;
const USERS = 100;
const SECONDS = 10;

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

/** What is above zero while that load is on: panel, a slash, legend with labels filled in. */
const MOVING = [
  'Ready/ready',
  'Calls a second/calls',
  'Registered users/users',
  'Transit, p99/p99',
  'Up since/uptime',
  'Requests received, by method/INVITE',
  'Requests received, by method/ACK',
  'Requests received, by method/BYE',
  'Requests received, by method/REGISTER',
  'Responses sent, by class/1xx',
  'Responses sent, by class/2xx',
  'Datagrams/received',
  'Datagrams/sent',
  'What becomes of requests/forwarded',
  'What becomes of requests/registered',
  'Transit through the server/p50',
  'Transit through the server/p99.9',
  'Transit p99, by shard/shard-0',
  'Transit p99, by shard/shard-1',
  'INVITE until its final response/p50',
  'Other requests until their final response/p99',
  'In use/server',
  'In use/client',
  'Share of the limit/transactions',
  'Users and bindings/users',
  'Users and bindings/bindings',
  'Registrations/changed bindings',
  'Store on disk/off',
  'Messages served, by shard/shard-0',
  'Messages served, by shard/shard-1',
  'Most datagrams waiting, by shard/shard-0',
  'Most datagrams waiting, by shard/503 from here',
  'Threads up, and crashes/shard-1 up',
  'CPU and lateness of the main thread/cores',
  'Memory/resident',
  'Memory/kept messages',
  'Slots free/slots',
  'Batching/per recvmmsg',
  'Batching/per sendmmsg',
];

let server: ServerProcess;
let prometheus: Prometheus;
let adminPort: number;
let load: Promise<LoadOutcome>;

beforeAll(async () => {
  const port = await freePort();
  adminPort = await freeTcpPort();
  const admin = `127.0.0.1:${adminPort}`;
  const listen = ['--listen', `udp:127.0.0.1:${port}`, '--admin', admin];
  server = await ServerProcess.start('--mode', 'stateful', '--domain', 'example.org', ...listen);
  prometheus = await Prometheus.start(admin);
  load = runLoad(port, { rate: CALLS_PER_SEC, seconds: SECONDS, users: USERS });
  // Rates need a few scrapes.
  await until('calls are counted', async () => (await callsPerSec()) > CALLS_PER_SEC / 2, {
    pollMs: 200,
    explain: () => server.output,
  });
});

afterAll(async () => {
  endLoads();
  await prometheus?.end();
  await endServers();
});

async function callsPerSec(): Promise<number> {
  const samples = await prometheus.query('sum(rate(strowger_requests_received_total{method="INVITE"}[5s]))');
  return samples[0]?.value ?? 0;
}

/** As Grafana fills in the variables of the dashboard. */
function filledIn(expr: string): string {
  return expr.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '5s');
}

function legendOf(legendFormat: string, labels: Readonly<Record<string, string>>): string {
  return legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label: string) => labels[label] ?? '');
}

/** What the panels show, and what they should and do not. */
async function look(): Promise<{ shown: Map<string, number>; missing: string[] }> {
  const { panels } = dashboard() as { panels: Panel[] };
  const shown = new Map<string, number>();
  const missing: string[] = [];
  for (const { title, targets = [] } of panels) {
    for (const { expr, legendFormat } of targets) {
      const samples = await prometheus.query(filledIn(expr));
      if (samples.length === 0 || samples.some(({ value }) => Number.isNaN(value))) missing.push(`${title}: ${expr}`);
      for (const { labels, value } of samples) shown.set(`${title}/${legendOf(legendFormat, labels)}`, value);
    }
  }
  return { shown, missing: [...missing, ...MOVING.filter((name) => !(shown.get(name)! > 0))] };
}

describe('under calls and registrations', () => {
  it('/metrics is as Prometheus wants it', async () => {
    const page = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: page, encoding: 'utf8' });
    expect([status, stdout, stderr]).toEqual([0, '', '']);
  });

  it('every query of the dashboard has values, and what the load does is seen', async () => {
    let shown = new Map<string, number>();
    let missing: string[] = [];
    // A scrape that is late on a busy machine leaves a rate without a value for a moment.
    await until(
      'all is seen',
      async () => {
        ({ shown, missing } = await look());
        return missing.length === 0;
      },
      { pollMs: 200, explain: () => missing.join('\n') },
    );
    expect(shown.get('Registered users/users')).toBe(USERS);
    expect(shown.get('5xx share/5xx')).toBe(0);
    expect(shown.get('Kernel drops, 1 h/drops')).toBe(0);
  });

  it('every call is served meanwhile, and no alert is on', async () => {
    const firing = (await prometheus.alerts()).filter(({ state }) => state === 'firing');
    expect(firing).toEqual([]);
    const { code, output } = await load;
    expect(code, `${output}\n${server.output}`).toBe(0);
    expect(output).toContain(`all ${CALLS_PER_SEC * SECONDS} calls and `);
  });

  it('the alert fires when a shard crashes, and says what to do', async () => {
    await server.crashShard(1);
    const crashed = async () => {
      const alerts = await prometheus.alerts();
      return alerts.find(({ labels, state }) => labels['alertname'] === 'StrowgerShardCrashed' && state === 'firing');
    };
    await until('the alert fires', async () => (await crashed()) !== undefined, { pollMs: 200 });
    const alert = await crashed();
    expect(alert!.labels).toMatchObject({ thread: 'shard-1', severity: 'warning' });
    expect(alert!.annotations['description']).toMatch(/crash\.directory/);
  });
});
