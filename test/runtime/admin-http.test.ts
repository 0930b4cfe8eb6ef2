/** The admin HTTP listener: what it answers before and while the server serves, and addresses that cannot be had. */

import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { type AdminListener, openAdmin, type PageOptions } from '../../src/runtime/admin-http.ts';
import type { RunningServer } from '../../src/runtime/running-server.ts';
import { PATIENCE_MS } from '../process/patience.ts';

const listeners: AdminListener[] = [];
afterEach(async () => {
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
});

async function open(listen = '127.0.0.1:0'): Promise<AdminListener> {
  const listener = await openAdmin(listen);
  listeners.push(listener);
  return listener;
}

const PAGE: PageOptions = { firstCall: [], recentErrors: () => [], onError: () => undefined };

async function get(url: string): Promise<{ status: number; type: string | null; text: string }> {
  const response = await fetch(url);
  return { status: response.status, type: response.headers.get('content-type'), text: await response.text() };
}

function serverThat(reasons: string[]): RunningServer {
  return { metrics: () => 'up 1\n', notReadyBecause: () => reasons } as unknown as RunningServer;
}

describe('the admin listener', () => {
  it('says that the server is starting until it serves', async () => {
    const admin = await open();
    expect(await get(`${admin.url}/healthz`)).toMatchObject({ status: 200, text: 'ok\n' });
    expect(await get(`${admin.url}/readyz`)).toMatchObject({ status: 503, text: 'starting\n' });
    expect(await get(`${admin.url}/metrics`)).toMatchObject({ status: 503, text: 'starting\n' });
  });

  it('is ready when nothing speaks against it, and else says what does', async () => {
    const admin = await open();
    const reasons: string[] = [];
    admin.serve(serverThat(reasons), PAGE);
    expect(await get(`${admin.url}/readyz`)).toMatchObject({ status: 200, text: 'ready\n' });
    reasons.push('shard 1 is down', 'stopping');
    expect(await get(`${admin.url}/readyz`)).toMatchObject({ status: 503, text: 'shard 1 is down\nstopping\n' });
    expect(await get(`${admin.url}/healthz`)).toMatchObject({ status: 200 });
  });

  it('gives metrics in the format that Prometheus asks for', async () => {
    const admin = await open();
    admin.serve(serverThat([]), PAGE);
    const type = 'text/plain; version=0.0.4; charset=utf-8';
    expect(await get(`${admin.url}/metrics`)).toEqual({ status: 200, type, text: 'up 1\n' });
  });

  it('of every interface, without a token, neither takes orders nor shows calls', async () => {
    const admin = await open('*:0');
    admin.serve(serverThat([]), PAGE);
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'status' });
    const headers = { 'content-type': 'application/json' };
    const order = await fetch(`${admin.url}/rpc`, { method: 'POST', headers, body });
    expect([order.status, await order.text()]).toEqual([
      403,
      'control over HTTP is off: it needs a token (setting control.tokenFile)\n',
    ]);
    for (const path of ['/live/calls', '/live/messages', '/live/calls.pcap']) {
      const { status, text } = await get(`${admin.url}${path}`);
      expect([status, text], path).toEqual([403, expect.stringContaining('only with a token')]);
    }
    expect(await get(`${admin.url}/metrics`)).toMatchObject({ status: 200 });
  });

  it('says what there is, where there is nothing', async () => {
    const admin = await open();
    const { status, text } = await get(`${admin.url}/metric`);
    expect([status, text]).toEqual([404, 'there are /, /live.json, /metrics, /healthz, /readyz, /rpc\n']);
  });

  it('ends at once although a scraper keeps its connection', async () => {
    const admin = await openAdmin('127.0.0.1:0');
    await get(`${admin.url}/healthz`);
    const beganMs = performance.now();
    await admin.close();
    // Of itself a connection is kept for over a minute.
    expect(performance.now() - beganMs).toBeLessThan(PATIENCE_MS);
    await expect(fetch(`${admin.url}/healthz`)).rejects.toThrow();
  });

  it('names the address that is taken', async () => {
    const occupant = createServer();
    await new Promise<void>((resolve) => occupant.listen(0, '127.0.0.1', resolve));
    const { port } = occupant.address() as { port: number };
    const listen = `127.0.0.1:${port}`;
    await expect(openAdmin(listen)).rejects.toMatchObject({ code: 'EADDRINUSE', adminListen: listen });
    occupant.close();
  });
});

describe('admin.listen', () => {
  const problemsOf = (admin: string, ...sets: string[]) => loadConfig({ flags: { admin }, sets }).problems ?? [];

  it('is off unless it is said', () => {
    expect(loadConfig({}).config!.admin).toEqual({ listen: 'off', allowWildcard: false });
  });

  it.each(['127.0.0.1:9560', '[::1]:9560', '192.0.2.1:80', '127.0.0.1:0', 'off'])('accepts %s', (admin) => {
    expect(problemsOf(admin)).toEqual([]);
  });

  it.each(['*:9560', '0.0.0.0:9560', '[::]:9560', '[0:0:0:0:0:0:0:0]:1'])(
    'refuses %s, which is every interface, unless that is said',
    (admin) => {
      expect(problemsOf(admin).join()).toMatch(/every interface of this machine.*admin\.allowWildcard=true/);
      expect(problemsOf(admin, 'admin.allowWildcard=true')).toEqual([]);
    },
  );

  it.each([
    ['localhost:9560', /"localhost" is not an IP address/],
    ['127.0.0.1', /"127\.0\.0\.1" has no port/],
    ['127.0.0.1:70000', /is not a port/],
    ['http://127.0.0.1:9560', /without http:/],
    ['::1:9560', /goes in brackets/],
    ['', /.+/],
  ])('refuses %s and says why', (admin, why) => {
    expect(problemsOf(admin).join()).toMatch(why);
  });
});
