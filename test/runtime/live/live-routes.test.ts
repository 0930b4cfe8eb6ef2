/** The live page over real HTTP: its files, its events, and who is turned away. */

import { get } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type AdminListener, openAdmin, type PageOptions } from '../../../src/runtime/admin-http.ts';
import { MAX_WATCHERS } from '../../../src/runtime/live/live-feed.ts';
import { isNamedByAddress } from '../../../src/runtime/live/live-routes.ts';
import type { RunningServer } from '../../../src/runtime/running-server.ts';
import { until } from '../../process/server-process.ts';
import { CountingView } from './counting-view.ts';

const PAGE: PageOptions = { firstCall: ['sipp -sn uas'], recentErrors: () => [], onError: () => undefined };

const listeners: AdminListener[] = [];
afterEach(async () => {
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
});

async function open(view: CountingView | null = new CountingView()): Promise<AdminListener> {
  const admin = await openAdmin('127.0.0.1:0');
  listeners.push(admin);
  if (view !== null) admin.serve({ live: view, notReadyBecause: () => [] } as unknown as RunningServer, PAGE);
  return admin;
}

/** The events of a stream until there are `count`; the connection stays. */
async function eventsOf(url: string, count: number): Promise<{ text: string; end: () => void; response: Response }> {
  const abort = new AbortController();
  const response = await fetch(`${url}/live/events`, { signal: abort.signal });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (text.split('\n\n').length <= count) {
    const { done, value } = await reader.read();
    if (done) break;
    text += value;
  }
  return { text, end: () => abort.abort(), response };
}

describe('the files of the page', () => {
  it('are there before the server serves, and nothing may be fetched from elsewhere', async () => {
    const { url } = await open(null);
    for (const [path, type] of [
      ['/', 'text/html; charset=utf-8'],
      ['/live/live.js', 'text/javascript; charset=utf-8'],
      ['/live/palette.css', 'text/css; charset=utf-8'],
      ['/live/live.css', 'text/css; charset=utf-8'],
      ['/live/icon.svg', 'image/svg+xml'],
    ] as const) {
      const response = await fetch(url + path);
      expect([response.status, response.headers.get('content-type')], path).toEqual([200, type]);
      const policy = response.headers.get('content-security-policy')!;
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toMatch(/unsafe|https?:|\*/);
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
    }
  });

  it('are sent once', async () => {
    const { url } = await open(null);
    const first = await fetch(`${url}/live/live.css`);
    const again = await fetch(`${url}/live/live.css`, { headers: { 'if-none-match': first.headers.get('etag')! } });
    expect([again.status, await again.text()]).toEqual([304, '']);
  });

  it.each(['/live/', '/live/none.js', '/live/..%2fpage-files.ts', '/live/%2e%2e/live-feed.ts', '/live/tsconfig.json'])(
    'are those of the page alone: %s is not there',
    async (path) => {
      const { url } = await open();
      const response = await fetch(url + path);
      expect([response.status, await response.text()]).toEqual([
        404,
        'there are /, /live.json, /metrics, /healthz, /readyz, /rpc\n',
      ]);
    },
  );
});

describe('events', () => {
  it('are hello and then a frame a second, for as long as somebody reads them', async () => {
    const view = new CountingView();
    const { url } = await open(view);
    const { text, end, response } = await eventsOf(url, 3);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect([...text.matchAll(/^event: (\w+)$/gm)].map(([, name]) => name).slice(0, 3)).toEqual([
      'hello',
      'frame',
      'frame',
    ]);
    expect(view.isWatched).toBe(true);
    end();
    await until('nobody watches', () => !view.isWatched);
  });

  it('are not there while the server starts', async () => {
    const { url } = await open(null);
    for (const path of ['/live/events', '/live.json']) {
      const response = await fetch(url + path);
      expect([response.status, await response.text()], path).toEqual([503, 'starting\n']);
    }
  });

  it('are for so many pages at once, and the others are told', async () => {
    const view = new CountingView();
    const { url } = await open(view);
    const streams = await Promise.all(Array.from({ length: MAX_WATCHERS }, () => eventsOf(url, 1)));
    const response = await fetch(`${url}/live/events`);
    expect([response.status, await response.text()]).toEqual([
      503,
      'too many pages are open on this server: close some of them\n',
    ]);
    expect(view.refused).toBe(1);
    for (const { end } of streams) end();
  });

  it('end with a word when the server stops', async () => {
    const admin = await open();
    const response = await fetch(`${admin.url}/live/events`);
    await admin.close();
    expect(await response.text()).toMatch(/\nevent: bye\ndata: \{\}\n\n$/);
  });

  it('are cut off where nobody reads them, and the others go on', async () => {
    const view = new CountingView();
    const { url } = await open(view);
    // Frames so large that the network's own buffers are full at once.
    const { read } = view;
    const large = 'x'.repeat(8 << 20);
    view.read = () => ({ ...read.call(view), storeState: large });
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.pause();
    socket.write('GET /live/events HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until('the page is cut off', () => view.cutOff === 1);
    socket.destroy();
    expect(view.isWatched).toBe(false);
  });
});

describe('/live.json', () => {
  it('is a frame with its rates', async () => {
    const { url } = await open();
    const response = await fetch(`${url}/live.json`);
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(await response.json()).toMatchObject({ windowSec: 10, frame: { point: { received: 100 } } });
  });
});

describe('a name that is not ours', () => {
  it.each(['127.0.0.1', '127.0.0.1:9560', 'localhost', 'LOCALHOST:9560', '[::1]:9560', '[::1]'])('%s is', (host) => {
    expect(isNamedByAddress(host)).toBe(true);
  });

  it.each([
    undefined,
    '',
    'evil.example',
    'evil.example:9560',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    '::1',
  ])('%s is not', (host) => {
    expect(isNamedByAddress(host)).toBe(false);
  });

  it('gets no data from a listener of loopback, whatever it resolves to', async () => {
    const { url } = await open();
    for (const path of ['/live/events', '/live.json']) {
      const status = await new Promise((resolve) => {
        get(url + path, { headers: { host: 'evil.example' } }, (response) => resolve(response.resume().statusCode));
      });
      expect(status, path).toBe(403);
    }
  });
});
