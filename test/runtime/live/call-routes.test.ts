/** Calls over HTTP, of a real trace: what is found, what is refused, and by whom it may be asked. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AdminListener, openAdmin, type PageOptions } from '../../../src/runtime/admin-http.ts';
import type { ProcessOperations } from '../../../src/runtime/control/method.ts';
import { callsOf } from '../../../src/runtime/control/methods.ts';
import type { RunningServer } from '../../../src/runtime/running-server.ts';
import type { TraceOperations } from '../../../src/runtime/trace/trace-service.ts';
import { CountingView } from './counting-view.ts';

const PAGE: PageOptions = { firstCall: [], recentErrors: () => [], onError: () => undefined };

const listeners: AdminListener[] = [];
afterEach(async () => {
  await Promise.all(listeners.splice(0).map((listener) => listener.close()));
});

/** A trace that answers with what it is asked. */
const trace = {
  calls: async (question: object) => ({ calls: [question], sample: 8 }),
  recent: async (question: object) => ({ messages: [question], after: 'x.1', lost: 0, sample: 8 }),
  pcap: async () => ({ base64: Buffer.from('a capture').toString('base64') }),
} as unknown as TraceOperations;

async function open(
  listen = '127.0.0.1:0',
  traced: TraceOperations | null = trace,
  tokenFile?: string,
): Promise<string> {
  const admin = await openAdmin(listen, tokenFile);
  listeners.push(admin);
  const server = { live: new CountingView(), trace: traced } as unknown as RunningServer;
  const calls = callsOf(server, {} as ProcessOperations);
  admin.serve(server, PAGE, { calls, log: pino({ level: 'silent' }), onUnauthorized: () => undefined });
  return admin.url;
}

async function ask(url: string): Promise<[number, string]> {
  const response = await fetch(url);
  return [response.status, await response.text()];
}

describe('calls', () => {
  it('are looked for by user, Call-ID or address', async () => {
    const url = await open();
    const [status, text] = await ask(`${url}/live/calls?user=alice&from=192.0.2.0%2F24`);
    expect(status).toBe(200);
    expect(JSON.parse(text).calls[0]).toEqual({ filter: { user: 'alice', from: '192.0.2.0/24' }, limit: 40 });
    const [, latest] = await ask(`${url}/live/calls`);
    expect(JSON.parse(latest).calls[0].filter).toEqual({});
  });

  it('have messages, and those that came since', async () => {
    const url = await open();
    const [, text] = await ask(`${url}/live/messages?callId=a%40b&after=x.0`);
    expect(JSON.parse(text)).toMatchObject({
      messages: [{ filter: { callId: 'a@b' }, after: 'x.0', limit: 500, live: false, form: 'text' }],
    });
  });

  it('are a file for Wireshark', async () => {
    const response = await fetch(`${await open()}/live/calls.pcap?callId=a`);
    expect(response.headers.get('content-type')).toBe('application/vnd.tcpdump.pcap');
    expect(response.headers.get('content-disposition')).toBe('attachment; filename="call.pcap"');
    expect(await response.text()).toBe('a capture');
  });

  it.each([
    ['/live/calls?user=', /^filter\.user: /],
    ['/live/calls?user=a&user=b', /^filter\.user: .*expected string/],
    [`/live/calls?callId=${'x'.repeat(2000)}`, /^filter\.callId: /],
    ['/live/messages?callId=a&after=', /^after: /],
  ])('are refused with a reason: %s', async (path, reason) => {
    const [status, text] = await ask((await open()) + path);
    expect([status, text]).toEqual([400, expect.stringMatching(reason)]);
  });

  it('are not there without a trace', async () => {
    const [status, text] = await ask(`${await open('127.0.0.1:0', null)}/live/calls`);
    expect([status, text]).toEqual([409, expect.stringContaining('trace.recentKiB')]);
  });

  it('are not there while the server starts', async () => {
    const admin = await openAdmin('127.0.0.1:0');
    listeners.push(admin);
    expect(await ask(`${admin.url}/live/calls`)).toEqual([503, 'starting\n']);
  });

  it('are for nobody who calls a listener of loopback by a name of his own', async () => {
    const url = await open();
    const status = await new Promise((resolve) => {
      get(`${url}/live/calls`, { headers: { host: 'evil.example' } }, (response) =>
        resolve(response.resume().statusCode),
      );
    });
    expect(status).toBe(403);
  });

  it('are not on a listener that others reach', async () => {
    const url = await open('0.0.0.0:0');
    for (const path of ['/live/calls', '/live/messages?callId=a', '/live/calls.pcap']) {
      expect((await ask(url + path))[0], path).toBe(403);
    }
    expect((await ask(`${url}/live.json`))[0]).toBe(200);
  });
});

describe('with a token', () => {
  const TOKEN = 'a-token-of-many-characters';
  const folder = mkdtempSync(join(tmpdir(), 'strowger-live-'));
  const tokenFile = join(folder, 'token');
  beforeEach(() => writeFileSync(tokenFile, `${TOKEN}\n`));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const withToken = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
  const DATA = ['/live.json', '/live/calls', '/live/messages?callId=a', '/live/calls.pcap'];

  it.each(['127.0.0.1:0', '0.0.0.0:0'])(
    'data on %s is for who gives it, and the page itself for everybody',
    async (listen) => {
      const url = await open(listen, trace, tokenFile);
      for (const path of [...DATA, '/live/events']) {
        expect(await ask(url + path), path).toEqual([401, 'give the token: Authorization: Bearer TOKEN\n']);
      }
      for (const path of DATA) expect((await fetch(url + path, withToken(TOKEN))).status, path).toBe(200);
      for (const path of ['/', '/live/live.js']) expect((await ask(url + path))[0], path).toBe(200);
    },
  );

  it('nobody guesses it: ten wrong ones, and the address waits; asking without one is no guess', async () => {
    const url = await open('127.0.0.1:0', trace, tokenFile);
    for (let i = 0; i < 20; i++) await ask(`${url}/live/calls`);
    for (let i = 0; i < 10; i++) expect((await fetch(`${url}/live/calls`, withToken(`wrong-${i}`))).status).toBe(401);
    const response = await fetch(`${url}/live/calls`, withToken(TOKEN));
    expect([response.status, await response.text()]).toEqual([429, expect.stringMatching(/try again in \d+ s/)]);
  });

  it('nobody gets in while its file cannot be used', async () => {
    const url = await open('127.0.0.1:0', trace, tokenFile);
    writeFileSync(tokenFile, '');
    const response = await fetch(`${url}/live/calls`, withToken(''.padEnd(20, 'x')));
    expect([response.status, await response.text()]).toEqual([503, 'the file of the token cannot be used\n']);
  });
});
