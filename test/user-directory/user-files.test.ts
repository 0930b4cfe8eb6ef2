import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ALGORITHM } from '../../src/auth/algorithms.ts';
import { CredentialTable, type SharedCredentials } from '../../src/auth/credential-table.ts';
import { HA1 } from '../../src/auth/ha1-source.ts';
import { configSchema } from '../../src/config/schema.ts';
import { USER, Users } from '../../src/roles/proxy/users.ts';
import { UserFiles, UserFilesError } from '../../src/runtime/user-directory/user-files.ts';
import { UserTable } from '../../src/runtime/user-directory/user-table.ts';
import { ha1Of } from '../auth/digest-client.ts';
import { bytes, place, view, words } from '../sip/arena-text.ts';
import { quietLog } from './quiet-log.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'strowger-users-'));
  file = join(folder, 'users');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const lineOf = (user: string, realm = 'example.org', password = 'secret') =>
  `${user}:${realm}:${ha1Of('MD5', { user, password }, realm)}\n`;

function configOf(domain: object = {}, others: object[] = []) {
  const common = { usersFile: file, authenticate: ['REGISTER'] };
  return configSchema.parse({
    domains: [{ name: 'example.org', ...common, ...domain }, ...others.map((other) => ({ ...common, ...other }))],
    auth: { algorithms: ['MD5'] },
  });
}

/** The HA1 by MD5 in hexadecimal digits, or ''. */
function ha1In(shared: SharedCredentials, user: string, realm = 0): string {
  const { start, end } = place(user);
  const target = new Uint8Array(32);
  const answer = new UserTable(shared).lookup(realm, { bytes, view, words }, start, end, ALGORITHM.MD5, target);
  return answer === HA1.FOUND ? Buffer.from(target.subarray(0, 16)).toString('hex') : '';
}

describe('files of users', () => {
  it('are one table with the users of the configuration', () => {
    writeFileSync(file, lineOf('alice'));
    const users = [{ user: 'bob', password: 'b' }, 'alice'];
    const { shared } = new UserFiles(configOf({ users }), quietLog().log);
    expect(ha1In(shared!, 'alice')).toBe(ha1Of('MD5', { user: 'alice', password: 'secret' }, 'example.org'));
    expect(ha1In(shared!, 'bob')).toBe(ha1Of('MD5', { user: 'bob', password: 'b' }, 'example.org'));
    expect(ha1In(shared!, 'carol')).toBe('');
  });

  it('may be the same file for several domains', () => {
    writeFileSync(file, lineOf('alice') + lineOf('eve', 'a realm'));
    const { shared } = new UserFiles(configOf({}, [{ name: 'example.net', realm: 'a realm' }]), quietLog().log);
    expect(ha1In(shared!, 'alice', 0)).not.toBe('');
    expect(ha1In(shared!, 'alice', 1)).toBe('');
    expect(ha1In(shared!, 'eve', 1)).toBe(ha1Of('MD5', { user: 'eve', password: 'secret' }, 'a realm'));
  });

  it('say all that is wrong with all of them before anything starts', () => {
    writeFileSync(file, `alice:x\n${lineOf('bob')}${lineOf('bob')}`);
    const missing = join(folder, 'missing');
    const make = () => new UserFiles(configOf({}, [{ name: 'example.net', usersFile: missing }]), quietLog().log);
    expect(make).toThrow(UserFilesError);
    expect(make).toThrow(
      new RegExp(
        `^the files of users cannot be used\n${missing}: there is no such file\n${file}:1: .*\n${file}:3: .*$`,
      ),
    );
  });

  it('have no user who has a password in the configuration', () => {
    writeFileSync(file, lineOf('alice'));
    const make = () => new UserFiles(configOf({ users: [{ user: 'alice', password: 'x' }] }), quietLog().log);
    expect(make).toThrow(`${file}: "alice" has a password in the users of example.org already`);
  });

  it('warn of algorithms that are offered and that users have no HA1 for', () => {
    writeFileSync(file, `${lineOf('alice')}door\n`);
    const { log, lines } = quietLog();
    new UserFiles(configSchema.parse({ domains: configOf().domains }), log);
    expect(lines).toMatchObject([{ level: 40, file, users: 1, algorithm: 'SHA-256' }]);
  });

  it('are nothing where nobody asks for users', () => {
    expect(new UserFiles(configSchema.parse({ domains: ['example.org'] }), quietLog().log).shared).toBeNull();
  });

  it('load 100,000 users in less than two seconds', () => {
    const ha1 = '0123456789abcdef'.repeat(2);
    let text = '';
    for (let i = 0; i < 100_000; i++) text += `user${i}:example.org:${ha1}\n`;
    writeFileSync(file, text);
    const config = configOf();
    const startedMs = process.cpuUsage().user;
    const { shared } = new UserFiles(config, quietLog().log);
    expect((process.cpuUsage().user - startedMs) / 1e6).toBeLessThan(2);
    expect(new UserTable(shared!).userCount).toBe(100_000);
    expect(ha1In(shared!, 'user99999')).toBe(ha1);
  });
});

describe('a changed file', () => {
  /** Files that are watched, and looked at by hand. */
  function watched(text: string) {
    writeFileSync(file, text);
    const { log, lines } = quietLog();
    const files = new UserFiles(configOf(), log);
    const seen: SharedCredentials[] = [];
    files.watch((shared) => seen.push(shared));
    files.close();
    return { files, lines, seen };
  }

  it('is read once it has been the same at two looks', async () => {
    const { files, seen, lines } = watched(lineOf('alice'));
    await files.look();
    writeFileSync(file, lineOf('bob'));
    await files.look();
    expect(seen).toEqual([]);
    writeFileSync(file, lineOf('bob') + lineOf('carol'));
    await files.look();
    expect(seen).toEqual([]);
    await files.look();
    expect(seen).toEqual([files.shared]);
    expect([ha1In(files.shared!, 'alice') === '', ha1In(files.shared!, 'carol') === '']).toEqual([true, false]);
    expect(lines).toMatchObject([{ level: 30, users: 2, reloads: 1 }]);
    await files.look();
    expect(seen).toHaveLength(1);
  });

  it('may be replaced by another file', async () => {
    const { files, seen } = watched(lineOf('alice'));
    writeFileSync(join(folder, 'new'), lineOf('carol'));
    renameSync(join(folder, 'new'), file);
    await files.look();
    await files.look();
    expect(seen).toHaveLength(1);
    expect(ha1In(files.shared!, 'carol')).not.toBe('');
  });

  it('changes nothing while it is wrong or gone, which is said once', async () => {
    const { files, seen, lines } = watched(lineOf('alice'));
    const { shared } = files;
    writeFileSync(file, 'alice:secret\n');
    for (let i = 0; i < 4; i++) await files.look();
    rmSync(file);
    for (let i = 0; i < 4; i++) await files.look();
    expect(seen).toEqual([]);
    expect(files.shared).toBe(shared);
    expect(lines).toMatchObject([
      { level: 40, failedReloads: 1, problems: 1 },
      { level: 40, failedReloads: 2, problems: 1 },
    ]);
    expect(lines[0]!.msg).toContain(`${file}:1: "alice": one colon only`);
    expect(lines[1]!.msg).toContain(`${file}: there is no such file`);
    writeFileSync(file, lineOf('alice') + lineOf('bob'));
    await files.look();
    await files.look();
    expect([files.reloads, files.failedReloads, seen.length]).toEqual([1, 2, 1]);
  });
});

describe('the users of a domain with a file', () => {
  function find(users: Users, user: string): number {
    const { start, end } = place(user);
    return users.find(0, bytes, start, end);
  }

  function usersOf(domain: object) {
    const config = configOf(domain);
    const table = new UserTable(new UserFiles(config, quietLog().log).shared!);
    return { users: new Users(config, table), table, config };
  }

  it('are those of the file alone, with or without a password', () => {
    writeFileSync(file, `${lineOf('alice')}door\n`);
    const { users, config } = usersOf({});
    expect(users.hasLists).toBe(true);
    const known = ['alice', '%61lice', 'door', 'eve', 'Alice', 'doo', 'a'.repeat(300)];
    expect(known.map((user) => find(users, user) === USER.KNOWN)).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
    expect(find(new Users(config), 'alice')).toBe(USER.UNKNOWN);
  });

  it('are those of the list, too', () => {
    writeFileSync(file, lineOf('alice'));
    const { users } = usersOf({ users: ['bob', '/1../', { user: 'alice', contacts: ['sip:alice@192.0.2.7'] }] });
    expect(['bob', '123', 'eve'].map((user) => find(users, user) === USER.KNOWN)).toEqual([true, true, false]);
    expect(users.contactsOf(find(users, 'alice'))).toHaveLength(1);
  });

  it('cost no garbage', () => {
    writeFileSync(file, `${lineOf('alice')}door\n`);
    const { users } = usersOf({});
    const { start, end } = place('door');
    let sum = 0;
    let least = Number.POSITIVE_INFINITY;
    // The lowest of a few rounds: a collection or the test runner's own work in between would only add.
    for (let round = 0; round < 5; round++) {
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < 100_000; i++) sum += users.find(0, bytes, start, end);
      least = Math.min(least, Math.abs(process.memoryUsage().heapUsed - before) / 100_000);
    }
    expect(sum).toBe(5 * 100_000 * USER.KNOWN);
    expect(least).toBeLessThan(1);
  });

  it('who have no password leave the algorithms of the others as they are', () => {
    writeFileSync(file, `door\n${lineOf('alice')}`);
    const { shared } = new UserFiles(configOf(), quietLog().log);
    expect(new CredentialTable(shared!).algorithmsOf(0)).toBe(1 << ALGORITHM.MD5);
    expect([ha1In(shared!, 'door'), new UserTable(shared!).userCount]).toEqual(['', 2]);
  });

  it('change with the table', async () => {
    writeFileSync(file, lineOf('alice'));
    const { users, table, config } = usersOf({});
    writeFileSync(file, lineOf('bob'));
    table.use(new UserFiles(config, quietLog().log).shared!);
    expect(['alice', 'bob'].map((user) => find(users, user) === USER.KNOWN)).toEqual([false, true]);
  });
});
