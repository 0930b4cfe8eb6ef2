import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ha1Of } from '../auth/digest-client.ts';
import { STOP_PATIENCE_MS } from '../process/patience.ts';
import { endServers, ServerProcess, until } from '../process/server-process.ts';
import { freePort } from '../process/udp-peer.ts';
import { Phone } from './phone.ts';
import { PASSWORD, PostgresServer } from './postgres-server.ts';

/** Longer than a busy machine may hold up a query. */
const TIMEOUT_MS = 3000;
/** Kamailio's own, without what nobody here asks for. */
const SUBSCRIBER = `CREATE TABLE subscriber (
  id SERIAL PRIMARY KEY NOT NULL,
  username VARCHAR(64) DEFAULT '' NOT NULL,
  domain VARCHAR(64) DEFAULT '' NOT NULL,
  password VARCHAR(64) DEFAULT '' NOT NULL,
  ha1 VARCHAR(128) DEFAULT '' NOT NULL,
  ha1b VARCHAR(128) DEFAULT '' NOT NULL,
  CONSTRAINT subscriber_account_idx UNIQUE (username, domain)
)`;

let database: PostgresServer;
let server: ServerProcess;
let phone: Phone;
let secondPhone: Phone;

beforeAll(async () => {
  database = await PostgresServer.start();
  const client = await database.connect();
  await client.query(SUBSCRIBER);
  for (let i = 0; i < 20; i++) await subscribe(client, `user${i}`);
  await client.end();
  const port = await freePort();
  const directory = { url: database.url, timeoutMs: TIMEOUT_MS, absentSec: 1 };
  server = await ServerProcess.start(
    ...['--mode', 'stateful', '--workers', '1', '--listen', `udp:127.0.0.1:${port}`, '--set', 'location.store=off'],
    ...['--set', 'domains=[{name: example.org, authenticate: [REGISTER, OPTIONS]}]'],
    ...['--set', `auth.directory=${JSON.stringify(directory)}`],
  );
  phone = await Phone.open(port);
  secondPhone = await Phone.open(port);
});

afterAll(async () => {
  phone?.close();
  secondPhone?.close();
  await endServers();
  await database?.remove();
});

async function subscribe(client: Client, user: string): Promise<void> {
  const ha1 = ha1Of('MD5', { user, password: `secret of ${user}` }, 'example.org');
  await client.query('INSERT INTO subscriber (username, domain, ha1) VALUES ($1, $2, $3)', [user, 'example.org', ha1]);
}

const register = (user: string, password = `secret of ${user}`) => phone.register(user, password);
const unavailable = async () => (await server.counters())['users_unavailable_total'];
const messages = () => server.log.map(({ msg }) => msg).filter((msg) => msg.includes('directory of users'));

describe("Kamailio's subscribers", () => {
  it('register with their passwords', async () => {
    expect(await register('user0')).toBe(200);
    expect(await register('user0')).toBe(200);
  });

  it('are challenged again for another password, as are those whom the table has not', async () => {
    expect(await register('user1', 'secret of user0')).toBe(401);
    expect(await register('user1')).toBe(200);
    expect(await register('nobody')).toBe(401);
    expect(await register('user0', 'secret of user1')).toBe(401);
    expect(await register("' OR username = 'user0")).not.toBe(200);
  });

  it('are asked for the password when they call, too', async () => {
    const ask = (password: string) => phone.askAs('user18', password, 'user19');
    expect([await ask('secret of user18'), await ask('secret of user0')]).toEqual([480, 407]);
  });

  it('are found once they are in the table', async () => {
    expect(await register('late')).toBe(401);
    const client = await database.connect();
    await subscribe(client, 'late');
    await client.end();
    await until('the new subscriber', async () => (await register('late')) === 200, { pollMs: 100 });
  });

  it('by SHA-256 where the hash for that is in another column', async () => {
    const client = await database.connect();
    await client.query("ALTER TABLE subscriber ADD COLUMN ha1_sha256 VARCHAR(64) DEFAULT '' NOT NULL");
    const ha1 = ha1Of('SHA-256', { user: 'user2', password: 'better' }, 'example.org');
    await client.query("UPDATE subscriber SET ha1_sha256 = $1 WHERE username = 'user2'", [ha1]);
    await client.end();
    expect(await phone.register('user2', 'better', 'SHA-256')).toBe(200);
    expect(await phone.register('user3', 'secret of user3', 'SHA-256')).toBe(401);
  });
});

describe('a database', () => {
  it('that hangs costs a request its deadline, and 503', async () => {
    const client = await database.connect();
    await client.query('BEGIN');
    await client.query('LOCK TABLE subscriber IN ACCESS EXCLUSIVE MODE');
    const before = await unavailable();
    const startedMs = performance.now();
    const [waiting, known] = await Promise.all([register('user4'), secondPhone.register('user0', 'secret of user0')]);
    const tookMs = performance.now() - startedMs;
    expect([waiting, known]).toEqual([503, 200]);
    expect(tookMs).toBeGreaterThan(TIMEOUT_MS * 0.9);
    expect(await unavailable()).toBe(before! + 1);
    await client.query('ROLLBACK');
    await client.end();
    await until('the user', async () => (await register('user4')) === 200, { pollMs: 50 });
  });

  it('that died means 503 for those who are not known yet, until it is back', async () => {
    await database.kill();
    const before = await unavailable();
    const statuses = [];
    for (let i = 5; i < 15; i++) statuses.push(await register(`user${i}`));
    expect(statuses).toEqual(new Array(10).fill(503));
    expect(await unavailable()).toBe(before! + 10);
    expect(await register('user0')).toBe(200);
    expect(messages()).toEqual(['the directory of users fails: requests of its users get 503']);
    await database.run();
    await until('user5', async () => (await register('user5')) === 200, { pollMs: 100 });
    expect(await register('user6')).toBe(200);
    expect(messages()).toHaveLength(2);
    const { shards } = await server.observe();
    expect(shards.map(({ starts, crashes }) => [starts, crashes])).toEqual([[1, 0]]);
  });

  it('whose connections are ended in between is asked over new ones', async () => {
    const client = await database.connect();
    await client.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [
      'strowger',
    ]);
    await client.end();
    await until('user16', async () => (await register('user16')) === 200, { pollMs: 50 });
  });
});

describe('the server', () => {
  it('says neither passwords nor hashes anywhere', () => {
    for (const secret of [
      PASSWORD,
      'secret of',
      ha1Of('MD5', { user: 'user0', password: 'secret of user0' }, 'example.org'),
    ]) {
      expect(server.output).not.toContain(secret);
    }
    expect(server.output).toContain('directory of users');
  });

  it('stops in time while a request waits for the database', async () => {
    const client = await database.connect();
    await client.query('BEGIN');
    await client.query('LOCK TABLE subscriber IN ACCESS EXCLUSIVE MODE');
    const waiting = register('user17');
    await until('a parked request', async () => {
      const { rows } = await client.query(
        "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'subscriber'::regclass",
      );
      return rows.length > 0;
    });
    const askedMs = performance.now();
    server.child.kill('SIGTERM');
    expect(await waiting).toBe(503);
    const { code, atMs } = await server.exit;
    expect(code).toBe(0);
    expect(atMs - askedMs).toBeLessThan(STOP_PATIENCE_MS);
    await client.end();
  });
});
