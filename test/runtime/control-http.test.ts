/** Control over HTTP: who may, what a browser cannot be made to do, and that the rest is JSON-RPC as over the socket. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openHttpClient } from '../../src/cli/http-client.ts';
import { type AdminListener, openAdmin } from '../../src/runtime/admin-http.ts';
import { MAX_REQUEST_BYTES } from '../../src/runtime/control/json-rpc.ts';
import { readToken, TokenGate } from '../../src/runtime/control/token-gate.ts';
import { RequestError } from '../../src/runtime/request-error.ts';
import type { RunningServer } from '../../src/runtime/running-server.ts';

const TOKEN = '0123456789abcdef0123456789abcdef';
const CALLS = {
  status: () => ({ isReady: true }),
  echo: (params: unknown) => params,
  refuse: () => {
    throw new RequestError(1, 'no');
  },
};

let directory = '';
let tokenFile = '';
let admin: AdminListener;
let refused = 0;
let logged: Record<string, unknown>[] = [];
const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(JSON.parse(line)) });

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strowger-http-'));
  tokenFile = join(directory, 'token');
  writeFileSync(tokenFile, `${TOKEN}\n`);
  refused = 0;
  logged = [];
});
afterEach(async () => {
  await admin?.close();
  rmSync(directory, { recursive: true });
});

async function open(file: string | undefined = tokenFile): Promise<void> {
  admin = await openAdmin('127.0.0.1:0', file);
  const page = { firstCall: [], recentErrors: () => [], onError: () => undefined };
  admin.serve({} as RunningServer, page, { calls: CALLS, log, onUnauthorized: () => refused++ });
}

const RIGHT = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
const STATUS = '{"jsonrpc":"2.0","id":1,"method":"status"}';

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** By node:http, which sends the headers that are asked for, Host and Origin too. */
function post(body: string, headers: Record<string, string> = RIGHT, path = '/rpc', method = 'POST'): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(new URL(path, admin.url), { method, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode!, text, headers: response.headers }));
    });
    request.on('error', reject);
    request.end(body);
  });
}

describe('a request with the token', () => {
  it.each([
    [STATUS, { jsonrpc: '2.0', id: 1, result: { isReady: true } }],
    ['not json', { jsonrpc: '2.0', id: null, error: { code: -32700, message: 'not JSON' } }],
    ['{"jsonrpc":"2.0","id":2,"method":"refuse"}', { jsonrpc: '2.0', id: 2, error: { code: 1, message: 'no' } }],
    [`[${STATUS},${STATUS}]`, [{ id: 1 }, { id: 1 }]],
  ])('gets the answer of JSON-RPC: %s', async (body, expected) => {
    await open();
    const { status, text, headers } = await post(body);
    expect([status, headers['content-type']]).toEqual([200, 'application/json; charset=utf-8']);
    expect(JSON.parse(text)).toMatchObject(expected);
    expect(refused).toBe(0);
  });

  it('that is a notification gets none', async () => {
    await open();
    expect(await post('{"jsonrpc":"2.0","method":"status"}')).toMatchObject({ status: 204, text: '' });
  });

  it('may have the token exchanged between two requests', async () => {
    await open();
    writeFileSync(tokenFile, TOKEN.replace('0', 'f'));
    expect(await post(STATUS)).toMatchObject({ status: 401 });
    expect(await post(STATUS, { ...RIGHT, authorization: `bearer ${TOKEN.replace('0', 'f')}` })).toMatchObject({
      status: 200,
    });
  });

  it.each([
    ['text/plain', 415],
    ['application/x-www-form-urlencoded', 415],
    ['multipart/form-data; boundary=x', 415],
    ['application/json; charset=utf-8', 200],
  ])('of type %s gets %i', async (type, status) => {
    await open();
    expect(await post(STATUS, { ...RIGHT, 'content-type': type })).toMatchObject({ status });
  });

  it('that is too long is refused', async () => {
    await open();
    const { status, text } = await post(`"${'x'.repeat(MAX_REQUEST_BYTES)}"`);
    expect([status, JSON.parse(text).error.code]).toEqual([413, -32600]);
  });

  it('that comes otherwise than by POST is told so', async () => {
    await open();
    expect(await post('', RIGHT, '/rpc', 'GET')).toMatchObject({ status: 405, headers: { allow: 'POST' } });
  });

  it('before the server serves is told so', async () => {
    admin = await openAdmin('127.0.0.1:0', tokenFile);
    expect(await post(STATUS)).toMatchObject({ status: 503, text: 'starting\n' });
  });
});

describe('a request without the token', () => {
  it.each([
    ['none', undefined],
    ['another', `Bearer ${TOKEN.replace('0', '1')}`],
    ['a part of it', `Bearer ${TOKEN.slice(0, -1)}`],
    ['more than it', `Bearer ${TOKEN}0`],
    ['it by another scheme', `Basic ${TOKEN}`],
    ['it alone', TOKEN],
  ])('is refused and counted: %s', async (_, authorization) => {
    await open();
    const headers = { ...RIGHT, ...(authorization === undefined ? {} : { authorization }) };
    if (authorization === undefined) delete (headers as Partial<typeof RIGHT>).authorization;
    const { status, text, headers: answered } = await post(STATUS, headers);
    expect([status, answered['www-authenticate']]).toEqual([401, 'Bearer realm="strowger"']);
    expect(text).not.toContain(TOKEN);
    expect(refused).toBe(1);
  });

  const wrong = (number: number) => ({ ...RIGHT, authorization: `Bearer wrong-${number}` });

  it('is not looked at any more after ten guesses, be the token right', async () => {
    await open();
    for (let i = 0; i < 10; i++) expect(await post(STATUS, wrong(i))).toMatchObject({ status: 401 });
    const { status, headers } = await post(STATUS);
    expect(status).toBe(429);
    expect(Number(headers['retry-after'])).toBeGreaterThan(0);
  });

  it('shuts out nobody who has been there with the token', async () => {
    await open();
    expect(await post(STATUS)).toMatchObject({ status: 200 });
    for (let i = 0; i < 10; i++) expect(await post(STATUS, wrong(i))).toMatchObject({ status: 401 });
    expect(await post(STATUS, wrong(10))).toMatchObject({ status: 429 });
    expect(await post(STATUS)).toMatchObject({ status: 200 });
  });

  it('is refused where there is none to give', async () => {
    admin = await openAdmin('127.0.0.1:0');
    const { status, text } = await post(STATUS);
    expect([status, text]).toEqual([403, 'control over HTTP is off: it needs a token (setting control.tokenFile)\n']);
  });

  it('is refused while the file of the token is gone', async () => {
    await open();
    rmSync(tokenFile);
    expect(await post(STATUS)).toMatchObject({ status: 503 });
    expect(logged.map(({ msg }) => msg)).toEqual([expect.stringContaining('control.tokenFile')]);
  });
});

describe('a page from elsewhere, in a browser that has the token', () => {
  const host = () => new URL(admin.url).host;

  it.each([
    ['an Origin that is another', () => ({ origin: 'https://evil.example' }), 403],
    ['an Origin of another port', () => ({ origin: 'http://127.0.0.1:1' }), 403],
    ['no Origin that it would name', () => ({ origin: 'null' }), 403],
    ['Sec-Fetch-Site: cross-site', () => ({ 'sec-fetch-site': 'cross-site' }), 403],
    ['a name of its own (DNS rebinding)', () => ({ host: 'evil.example' }), 403],
    ['the page of this listener', () => ({ origin: `http://${host()}`, 'sec-fetch-site': 'same-origin' }), 200],
    ['localhost', () => ({ host: host().replace('127.0.0.1', 'localhost') }), 200],
  ])('with %s', async (_, headers, status) => {
    await open();
    expect(await post(STATUS, { ...RIGHT, ...(headers() as Record<string, string>) })).toMatchObject({ status });
  });

  it('gets no leave to ask (CORS)', async () => {
    await open();
    const asked = { origin: 'https://evil.example', 'access-control-request-method': 'POST' };
    const { status, headers } = await post('', asked, '/rpc', 'OPTIONS');
    expect(status).toBe(405);
    expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });
});

describe('the gate', () => {
  const RIGHT_ONE = `Bearer ${TOKEN}`;
  const guess = (gate: TokenGate, address: string, count = 10) =>
    Array.from({ length: count }, (_, i) => gate.admit(`Bearer wrong-${i}`, address));

  it('forgets guesses after a minute, and those of others are not its business', () => {
    let nowMs = 0;
    const gate = new TokenGate(tokenFile, () => nowMs);
    expect(new Set(guess(gate, '192.0.2.1'))).toEqual(new Set(['wrong token']));
    expect(gate.admit(RIGHT_ONE, '192.0.2.1')).toBe('limited');
    expect(gate.retryAfterSec('192.0.2.1')).toBe(60);
    expect(gate.admit(RIGHT_ONE, '192.0.2.2')).toBe('granted');
    nowMs = 60_000;
    expect(gate.admit(RIGHT_ONE, '192.0.2.1')).toBe('granted');
  });

  it('lets the right token in from where it has come within a day, whatever else comes from there', () => {
    let nowMs = 0;
    const gate = new TokenGate(tokenFile, () => nowMs);
    expect(gate.admit(RIGHT_ONE, '192.0.2.1')).toBe('granted');
    guess(gate, '192.0.2.1');
    expect(gate.admit(RIGHT_ONE, '192.0.2.1')).toBe('granted');
    expect(gate.admit('Bearer wrong-10', '192.0.2.1')).toBe('limited');
    nowMs = 24 * 3600_000;
    guess(gate, '192.0.2.1');
    expect(gate.admit(RIGHT_ONE, '192.0.2.1')).toBe('limited');
  });

  it('counts the guesses of a whole /64 of IPv6, however its addresses are written, and of none beside it', () => {
    const gate = new TokenGate(tokenFile, () => 0);
    const within = ['2001:db8:1:2::1', '2001:DB8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:2::', 'fe80::1%eth0', 'fe80::2'];
    for (let i = 0; i < 10; i++) gate.admit(`Bearer wrong-${i}`, `2001:db8:1:2:${i}::1`);
    guess(gate, 'fe80::3%lo');
    for (const address of within) {
      expect([gate.admit(RIGHT_ONE, address), gate.retryAfterSec(address)], address).toEqual(['limited', 60]);
    }
    for (const address of ['2001:db8:1:3::1', '2001:db8:1:1:ffff::1', '::1', '32.1.13.184'])
      expect(gate.admit(RIGHT_ONE, address), address).toBe('granted');
  });

  it('lets the right token in from the address where it has come from, but not from all of its /64', () => {
    const gate = new TokenGate(tokenFile, () => 0);
    expect(gate.admit(RIGHT_ONE, '2001:db8::1')).toBe('granted');
    guess(gate, '2001:db8::2');
    expect(gate.admit(RIGHT_ONE, '2001:db8::1')).toBe('granted');
    expect(gate.admit(RIGHT_ONE, '2001:db8::3')).toBe('limited');
  });

  it('takes an IPv4 address that a dual-stack socket shows as IPv6 for what it is', () => {
    const gate = new TokenGate(tokenFile, () => 0);
    guess(gate, '::ffff:192.0.2.1');
    expect(gate.admit(RIGHT_ONE, '192.0.2.1')).toBe('limited');
    expect(gate.admit(RIGHT_ONE, '::ffff:192.0.2.1')).toBe('limited');
    expect(gate.admit(RIGHT_ONE, '::ffff:192.0.2.2')).toBe('granted');
  });

  it('takes none and the same wrong one again for no guess', () => {
    const gate = new TokenGate(tokenFile, () => 0);
    for (let i = 0; i < 100; i++) expect(gate.admit('Bearer the-one-of-before', '192.0.2.1')).toBe('wrong token');
    for (let i = 0; i < 100; i++) expect(gate.admit(undefined, '192.0.2.1')).toBe('no token');
    expect(gate.admit(RIGHT_ONE, '192.0.2.1')).toBe('granted');
  });

  it('remembers a bounded number of addresses', () => {
    const gate = new TokenGate(tokenFile, () => 0);
    gate.admit(RIGHT_ONE, 'known');
    guess(gate, 'known');
    guess(gate, 'first');
    for (let i = 0; i < 1000; i++) gate.admit('Bearer wrong', `address-${i}`);
    expect(gate.admit('Bearer wrong', 'first')).toBe('wrong token');
    for (let i = 0; i < 1000; i++) gate.admit(RIGHT_ONE, `address-${i}`);
    guess(gate, 'known');
    expect(gate.admit(RIGHT_ONE, 'known')).toBe('limited');
  });

  it.each([
    ['', /is empty: write a token/],
    ['short', /16 characters or more/],
    ['x'.repeat(513), /512 characters at the most/],
    ['0123456789 0123456789', /one word/],
    ['0123456789\n0123456789', /one word/],
  ])('has no use for a file with %j', (text, problem) => {
    writeFileSync(tokenFile, text);
    expect(readToken(tokenFile)).toEqual({ problem: expect.stringMatching(problem) });
  });

  it('has no use for a file that cannot be read', () => {
    expect(readToken(join(directory, 'none'))).toEqual({ problem: expect.stringMatching(/cannot be read \(ENOENT\)/) });
  });
});

describe('the client of the command line', () => {
  it('asks with the token of its file', async () => {
    await open();
    const client = openHttpClient(admin.url, tokenFile);
    expect(await client.call('status')).toEqual({ isReady: true });
    expect(await client.call('echo', { a: 1 })).toEqual({ a: 1 });
    await expect(client.call('refuse')).rejects.toThrow(/^no$/);
  });

  it('says in a line what is wrong', async () => {
    await open();
    const other = join(directory, 'other');
    writeFileSync(other, TOKEN.replace('0', '1'));
    await expect(openHttpClient(admin.url, other).call('status')).rejects.toThrow(
      `${admin.url}: 401 this is not the token`,
    );
    expect(() => openHttpClient('http://[', tokenFile)).toThrow(/is not a URL/);
    expect(() => openHttpClient(admin.url, join(directory, 'none'))).toThrow(/cannot be read/);
    await admin.close();
    await expect(openHttpClient(admin.url, tokenFile).call('status')).rejects.toThrow(/nobody listens there/);
  });
});
