/** The control socket, end to end with a stand-in for the server. */

import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { type Calls, MAX_REQUEST_BYTES } from '../../src/runtime/control/json-rpc.ts';
import type { ProcessOperations } from '../../src/runtime/control/method.ts';
import { callsOf } from '../../src/runtime/control/methods.ts';
import {
  type ControlSocket,
  controlDirectories,
  controlPath,
  findControlSockets,
  isControlSocketAlive,
  openControlSocket,
} from '../../src/runtime/control.ts';
import { RequestError } from '../../src/runtime/request-error.ts';
import type { RunningServer } from '../../src/runtime/running-server.ts';

const server: RunningServer = {
  describe: () => ({ listening: [], mode: 'stateless', shards: 1, receiveBufferNotes: [] }),
  stats: () => ({ datagrams_received_total: 12 }),
  status: () => ({ ready: true }),
  metrics: () => '',
  notReadyBecause: () => [],
  location: {
    list: ({ cursor, limit }) => ({ bindings: [], cursor: cursor + limit }),
    count: () => ({ domains: [], cursor: null }),
    show: (aor) => ({ aor, bindings: [] }),
    add: () => {
      throw new RequestError(1, 'full');
    },
    remove: ({ aor, contact }) => ({ aor, removed: contact === undefined ? 2 : 1 }),
  },
  tls: { list: () => [], reload: () => ({ isChanged: false, problem: null }) },
  live: {} as RunningServer['live'],
  settings: () => configSchema.parse({}),
  configuration: {} as RunningServer['configuration'],
  trace: null,
  bans: {
    list: () => ({ bans: [], total: 0 }),
    add: ({ source }) => ({ source, isNew: true, isStored: true }),
    remove: (source) => ({ source, isStored: true }),
  },
  invite: () => Promise.resolve({ path: 'x', secret: 'y' }),
  isAlive: () => Promise.resolve(true),
  drain: () => undefined,
  cancelDrain: () => 'not draining' as const,
  drainStatus: () => ({ isDraining: true, pending: 1, held: 2, deadlineInSec: 3 }),
  shards: {
    list: () => [],
    restart: async (shard) => ({ shard, starts: 2, tookMs: 1 }),
    transactions: async () => ({ transactions: [], cursor: null }),
    hops: async () => [],
  },
  noteUnauthorized: () => undefined,
  useCallLevel: () => undefined,
  stop: async () => undefined,
  finished: new Promise(() => undefined),
};

const operations: ProcessOperations = {
  logs: {
    recentErrors: () => [],
    levels: () => ({ level: 'info', modules: {} }),
    setLevel: (level, module) => ({ level: level ?? 'info', modules: module === null ? {} : { [module]: 'warn' } }),
  },
  restart: () => Promise.resolve({ pid: 2, predecessor: 1 }),
};

let directory = '';
let logged: Record<string, unknown>[] = [];
let open: ControlSocket[] = [];
const log = pino({ level: 'debug' }, { write: (line: string) => void logged.push(JSON.parse(line)) });

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'strowger-control-'));
  logged = [];
});
afterEach(async () => {
  for (const control of open) await control.close();
  open = [];
  rmSync(directory, { recursive: true });
});

async function opened(calls: Calls = callsOf(server, operations), name = 'a.sock'): Promise<ControlSocket> {
  const control = await openControlSocket(join(directory, name), calls, log);
  if (control === null) throw new Error(`not opened: ${JSON.stringify(logged)}`);
  open.push(control);
  return control;
}

/** Sends the text, reads `count` lines, or until the server hangs up. */
async function exchange(path: string, text: string, count: number): Promise<unknown[]> {
  const socket = connect(path);
  socket.on('error', () => undefined); // a server that hangs up while we still write
  socket.write(text);
  const answers: unknown[] = [];
  for await (const line of createInterface({ input: socket })) {
    answers.push(JSON.parse(line));
    if (answers.length === count) break;
  }
  socket.destroy();
  return answers;
}

const request = (id: unknown, method: unknown, params?: unknown) =>
  `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`;

describe('requests', () => {
  it('are answered in their order', async () => {
    const { path } = await opened();
    expect(await exchange(path, request(1, 'stats') + request('two', 'status'), 2)).toEqual([
      { jsonrpc: '2.0', id: 1, result: { datagrams_received_total: 12 } },
      { jsonrpc: '2.0', id: 'two', result: { ready: true } },
    ]);
  });

  it('may come in pieces, with empty lines between them', async () => {
    const { path } = await opened();
    const socket = connect(path);
    const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
    for (const piece of ['\r\n\n{"jsonrpc":"2.0",', '"id":1,"method":"sta', 'tus"}\n']) {
      await new Promise((resolve) => socket.write(piece, resolve));
    }
    expect(JSON.parse((await lines.next()).value ?? '')).toEqual({ jsonrpc: '2.0', id: 1, result: { ready: true } });
    socket.destroy();
  });

  it('in a batch are answered as a batch; notifications get no answer', async () => {
    const { path } = await opened();
    const batch = [{ jsonrpc: '2.0', id: 1, method: 'status' }, { jsonrpc: '2.0', method: 'stats' }, 3];
    const notification = { jsonrpc: '2.0', method: 'nothing' };
    const text = `${JSON.stringify(batch)}\n${JSON.stringify(notification)}\n[]\n`;
    expect(await exchange(path, text, 2)).toMatchObject([
      [
        { id: 1, result: { ready: true } },
        { id: null, error: { code: -32600 } },
      ],
      { id: null, error: { code: -32600 } },
    ]);
  });

  it.each([
    ['not json', -32700, null],
    ['"text"', -32600, null],
    ['null', -32600, null],
    ['{"id":1,"method":"stats"}', -32600, 1],
    ['{"jsonrpc":"2.0","id":{},"method":"stats"}', -32600, null],
    ['{"jsonrpc":"2.0","id":7,"method":4}', -32600, 7],
    ['{"jsonrpc":"2.0","id":7,"method":"nonsense"}', -32601, 7],
    ['{"jsonrpc":"2.0","id":7,"method":"constructor"}', -32601, 7],
    ['{"jsonrpc":"2.0","id":7,"method":"__proto__"}', -32601, 7],
  ])('%s get error %i, and the connection lives on', async (line, code, id) => {
    const { path } = await opened();
    const [error, next] = await exchange(path, `${line}\n${request(8, 'status')}`, 2);
    expect(error).toMatchObject({ jsonrpc: '2.0', id, error: { code, message: expect.any(String) } });
    expect(next).toMatchObject({ id: 8, result: { ready: true } });
  });

  it.each([
    ['with', `${'x'.repeat(MAX_REQUEST_BYTES + 1)}\n`],
    ['without', 'x'.repeat(MAX_REQUEST_BYTES * 3)],
  ])('beyond the limit, %s an end, are refused and the connection closed', async (_, text) => {
    const { path } = await opened();
    const answers = await exchange(path, text, 5);
    expect(answers).toMatchObject([{ id: null, error: { code: -32600 } }]);
    expect(await exchange(path, request(1, 'status'), 1)).toMatchObject([{ id: 1 }]);
  });

  it('whose method fails get an error, and the server lives', async () => {
    const { path } = await opened({
      bug: () => {
        throw new TypeError('secret');
      },
      late: () => Promise.reject(new RequestError(-32602, 'shard must be a number')),
      nothing: () => undefined,
    });
    expect(await exchange(path, request(1, 'bug') + request(2, 'late') + request(3, 'nothing'), 3)).toEqual([
      { jsonrpc: '2.0', id: 1, error: { code: -32603, message: expect.not.stringContaining('secret') } },
      { jsonrpc: '2.0', id: 2, error: { code: -32602, message: 'shard must be a number' } },
      { jsonrpc: '2.0', id: 3, result: null },
    ]);
    expect(logged).toMatchObject([{ msg: 'control method failed', method: 'bug' }]);
  });
});

describe('a client', () => {
  it('that sends a thousand requests at once gets its answers in order', async () => {
    const { path } = await opened();
    const text = Array.from({ length: 1000 }, (_, id) => request(id, 'status')).join('');
    const answers = (await exchange(path, text, 1000)) as { id: number }[];
    expect(answers.map(({ id }) => id)).toEqual(Array.from({ length: 1000 }, (_, id) => id));
  });

  it('that does not read its answers is cut off, and the others are served', async () => {
    const { path } = await opened({ much: () => 'x'.repeat(1 << 20), status: () => ({ ready: true }) });
    const socket = connect(path);
    socket.pause();
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.write(Array.from({ length: 50 }, (_, id) => request(id, 'much')).join(''));
    await new Promise((resolve) => setImmediate(resolve));
    expect(await exchange(path, request(1, 'status'), 1)).toMatchObject([{ id: 1 }]);
    // The end shows once what the kernel has is read.
    socket.resume();
    await closed;
  });
});

describe('parameters of the location methods', () => {
  it.each([
    ['list', undefined, { bindings: [], cursor: 250 }],
    ['list', { cursor: 7, limit: 3, domain: 'example.org' }, { bindings: [], cursor: 10 }],
    ['count', {}, { domains: [], cursor: null }],
    ['show', { aor: 'alice@example.org' }, { aor: 'alice@example.org', bindings: [] }],
    ['remove', { aor: 'a@b' }, { aor: 'a@b', removed: 2 }],
    ['remove', { aor: 'a@b', contact: 'sip:c' }, { aor: 'a@b', removed: 1 }],
  ])('of %s: %j are taken', async (verb, params, result) => {
    const { path } = await opened();
    expect(await exchange(path, request(1, `location.${verb}`, params), 1)).toEqual([
      { jsonrpc: '2.0', id: 1, result },
    ]);
  });

  it.each([
    ['list', { limit: 0 }, /^limit: /],
    ['list', { limit: 1001 }, /^limit: /],
    ['list', { cursor: -1 }, /^cursor: /],
    ['list', { cursor: 0.5 }, /^cursor: /],
    ['list', { page: 2 }, /page/],
    ['list', [1], /expected object/],
    ['show', undefined, /^aor: /],
    ['show', { aor: '' }, /^aor: /],
    ['add', { aor: 'a@b' }, /^contact: /],
    ['add', { aor: 'a@b', contact: 'sip:c', expiresSec: 0 }, /^expiresSec: /],
    ['add', { aor: 'a@b', contact: 'sip:c', expiresSec: 2 ** 32 }, /^expiresSec: /],
    ['add', { aor: 'a@b', contact: 'sip:c', q: 1.1 }, /^q: /],
    ['remove', { aor: 'a@b', contact: 'x'.repeat(2049) }, /^contact: /],
  ])('of %s: %j are refused', async (verb, params, message) => {
    const { path } = await opened();
    expect(await exchange(path, request(1, `location.${verb}`, params), 1)).toMatchObject([
      { id: 1, error: { code: -32602, message: expect.stringMatching(message) } },
    ]);
    expect(logged.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });

  it('that are right and meet a refusal get a code of ours', async () => {
    const { path } = await opened();
    const add = request(1, 'location.add', { aor: 'a@b', contact: 'sip:c' });
    expect(await exchange(path, add, 1)).toMatchObject([{ id: 1, error: { code: 1, message: 'full' } }]);
  });
});

describe('the socket', () => {
  it('is for its owner only, and gone after close', async () => {
    const control = await opened();
    expect(statSync(control.path).mode & 0o777).toBe(0o600);
    await control.close();
    expect(statSync(control.path, { throwIfNoEntry: false })).toBeUndefined();
  });

  it('closes though clients are connected', async () => {
    const control = await opened();
    const socket = connect(control.path);
    await new Promise((resolve) => socket.once('connect', resolve));
    const hungUp = new Promise((resolve) => socket.once('close', resolve));
    await control.close();
    await hungUp;
  });

  it('of a dead process is replaced', async () => {
    const path = join(directory, 'stale.sock');
    const { spawnSync } = await import('node:child_process');
    // Bound and then killed, so that nobody removes the file.
    const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script]);
    expect(statSync(path).isSocket()).toBe(true);
    expect(await isControlSocketAlive(path)).toBe(false);
    const control = await opened(undefined, 'stale.sock');
    expect(await exchange(control.path, request(1, 'status'), 1)).toMatchObject([{ id: 1 }]);
  });

  it('of a living process is left alone, with a warning', async () => {
    const path = join(directory, 'live.sock');
    const other = createServer((socket) => {
      socket.on('error', () => undefined); // the probe hangs up without reading
      socket.end('{"mine":true}\n');
    });
    await new Promise<void>((resolve) => other.listen(path, resolve));
    expect(await openControlSocket(path, callsOf(server, operations), log)).toBeNull();
    expect(logged).toMatchObject([{ level: 40, msg: expect.stringContaining('belongs to another running process') }]);
    expect(await exchange(path, '', 1)).toEqual([{ mine: true }]);
    await new Promise((resolve) => other.close(resolve));
  });

  it.each([
    ['a file', 'file', /is not a socket/],
    ['a missing directory', 'none/a.sock', /cannot be made \(\w+\)/],
  ])('cannot be at %s: a warning, and the server runs on', async (_, name, expected) => {
    writeFileSync(join(directory, 'file'), 'precious');
    expect(await openControlSocket(join(directory, name), callsOf(server, operations), log)).toBeNull();
    expect(logged).toMatchObject([{ level: 40, msg: expect.stringMatching(expected) }]);
    expect(statSync(join(directory, 'file')).size).toBe(8);
  });
});

describe('where it lies', () => {
  it('is told, off, or made from the port', () => {
    const environment = { XDG_RUNTIME_DIR: directory };
    expect(controlPath('/a/b.sock', 5060, environment)).toBe('/a/b.sock');
    expect(controlPath('off', 5060, environment)).toBeNull();
    expect(controlPath('auto', 5060, environment)).toBe(join(directory, 'strowger-5060.sock'));
  });

  it('is the temporary directory where the first choice cannot be written', () => {
    const environment = { XDG_RUNTIME_DIR: join(directory, 'none') };
    expect(controlPath('auto', 5060, environment)).toBe(join(tmpdir(), 'strowger-5060.sock'));
  });

  it('is found by port, or as one of all', () => {
    for (const name of ['strowger-5060.sock', 'strowger-5062.sock', 'strowger-x.sock', 'other.sock']) {
      writeFileSync(join(directory, name), '');
    }
    const environment = { XDG_RUNTIME_DIR: directory };
    const here = (paths: string[]) =>
      paths.filter((path) => path.startsWith(directory)).map((path) => path.slice(directory.length));
    expect(controlDirectories(environment)[0]).toBe(directory);
    expect(here(findControlSockets(null, environment))).toEqual(['/strowger-5060.sock', '/strowger-5062.sock']);
    expect(here(findControlSockets(5062, environment))).toEqual(['/strowger-5062.sock']);
    expect(here(findControlSockets(1, environment))).toEqual([]);
  });
});
