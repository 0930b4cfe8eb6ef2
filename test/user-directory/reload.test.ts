import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ha1Of } from '../auth/digest-client.ts';
import { endServers, ServerProcess, until } from '../process/server-process.ts';
import { callIdOfShard } from '../process/sip-texts.ts';
import { freePort } from '../process/udp-peer.ts';
import { Phone } from './phone.ts';

const folder = mkdtempSync(join(tmpdir(), 'strowger-users-'));
const file = join(folder, 'users');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(endServers);

const lineOf = (user: string, password = `of ${user}`) =>
  `${user}:example.org:${ha1Of('MD5', { user, password }, 'example.org')}\n`;

let port: number;
beforeAll(async () => {
  port = await freePort();
});

const args = () => [
  ...['--listen', `udp:127.0.0.1:${port}`, '--set', 'location.store=off', '--set', 'auth.algorithms=[MD5]'],
  ...['--set', `domains=[{name: example.org, authenticate: [REGISTER], usersFile: ${JSON.stringify(file)}}]`],
];

/** As an editor does it. */
function replace(text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

describe('the file of users of a running server', () => {
  it('is exchanged under registrations, and stays as it was while a new one is wrong', async () => {
    writeFileSync(file, lineOf('alice') + lineOf('carol'));
    const server = await ServerProcess.start(...args());
    const phone = await Phone.open(port);
    const register = (user: string, callId?: string) => phone.register(user, `of ${user}`, 'MD5', callId);
    const answered = (text: string) => () => server.log.some(({ msg }) => msg.includes(text));
    expect([await register('alice'), await register('carol'), await register('bob')]).toEqual([200, 200, 401]);
    expect([await phone.ask('bob'), await phone.ask('door')]).toEqual([404, 404]);

    const statuses: number[] = [];
    let isOver = false;
    const registrations = (async () => {
      while (!isOver) statuses.push(await register('alice'));
    })();
    replace(`${lineOf('alice')}${lineOf('bob')}door\n`);
    await until('the new users', answered('users exchanged'));
    isOver = true;
    await registrations;
    expect(statuses.length).toBeGreaterThan(3);
    expect(new Set(statuses)).toEqual(new Set([200]));
    for (const shard of [0, 1]) {
      const at = () => callIdOfShard(shard, 2);
      await until(`shard ${shard}`, async () => (await register('bob', at())) === 200, { pollMs: 20 });
      expect(await register('carol', at())).toBe(401);
    }
    expect([await phone.ask('door'), await phone.ask('carol')]).toEqual([480, 404]);

    replace(`${lineOf('alice')}bob:example.org\n`);
    await until('the complaint', answered(`${file}:2: "bob": one colon only`));
    expect([await register('alice'), await register('bob')]).toEqual([200, 200]);
    await server.crashShard(0);
    await until('the successor', async () => (await server.observe()).shards[0]!.starts === 2);
    for (const user of ['bob', 'carol']) {
      expect(await register(user, callIdOfShard(0, 2))).toBe(user === 'bob' ? 200 : 401);
    }
    phone.close();
  });

  it('keeps a server from starting if it is wrong, which says every line', async () => {
    writeFileSync(file, `${lineOf('alice')}bob:secret\ncarol:example.org:secret\n`);
    const server = new ServerProcess(args());
    const { code } = await server.exit;
    expect(code).toBe(1);
    expect(server.stderr).toMatch(new RegExp(`\n${file}:2: "bob": .*\n${file}:3: "carol": .*\n$`));
    expect(server.output).not.toContain('secret');
  });
});
