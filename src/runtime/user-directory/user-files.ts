/** The files of users that domains name (`domains[].usersFile`): read at the start, and again whenever they change, into one
 *  table with the users of the configuration, which every thread opens. Main thread, cold.
 *
 *  A file is looked at twice a second and read once it has been the same at two looks: editors and htdigest write in pieces or
 *  replace the file. What cannot be read changes nothing. */

import { readFileSync, statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Logger } from 'pino';
import { ALGORITHM_NAMES } from '../../auth/algorithms.ts';
import { credentialsOf } from '../../auth/configured.ts';
import {
  type RealmCredentials,
  type SharedCredentials,
  shareCredentials,
  type UserCredentials,
} from '../../auth/credential-table.ts';
import { asksForPasswords } from '../../config/asks-for-passwords.ts';
import { sayErrno } from '../../config/file-error.ts';
import type { Config, DomainEntry } from '../../config/schema.ts';
import { parseUsersFile } from './users-file.ts';

const LOOK_MS = 500;
const MAX_FILE_BYTES = 256 * 1024 * 1024;
/** Problems that the log line of a failed reload says. */
const LOGGED_PROBLEMS = 3;
const MISSING = 'missing';

/** What `new UserFiles` throws: `message` is a line for each problem. The code tells it from mistakes of our own. */
export class UserFilesError extends Error {
  readonly code = 'EUSERS';

  constructor(problems: readonly string[]) {
    super(['the files of users cannot be used', ...problems].join('\n'));
  }
}

type Built =
  | { readonly shared: SharedCredentials; readonly realms: readonly RealmCredentials[]; readonly problems?: undefined }
  | { readonly problems: readonly string[] };

export class UserFiles {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #files: readonly string[];
  /** What each file was like when it was read last, and at the last look. */
  readonly #read = new Map<string, string>();
  readonly #seen = new Map<string, string>();
  #shared: SharedCredentials | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #onChange: (shared: SharedCredentials) => void = () => undefined;
  reloads = 0;
  failedReloads = 0;

  /** Reads the files. Throws a UserFilesError that says everything that is wrong with them. */
  constructor(config: Config, log: Logger) {
    this.#config = config;
    this.#log = log;
    this.#files = [...new Set(config.domains.flatMap(({ usersFile }) => usersFile ?? []))];
    if (!asksForPasswords(config) && this.#files.length === 0) return;
    for (const file of this.#files) this.#read.set(file, fingerprintNow(file));
    const built = this.#build();
    if (built.problems !== undefined) throw new UserFilesError(built.problems);
    this.#shared = built.shared;
    this.#warn(built.realms);
  }

  /** The users as of now; null: there are none that anybody would ask for. */
  get shared(): SharedCredentials | null {
    return this.#shared;
  }

  /** Calls `onChange` with the users whenever the files have changed and are fine. */
  watch(onChange: (shared: SharedCredentials) => void): void {
    this.#onChange = onChange;
    if (this.#files.length === 0) return;
    this.#timer = setInterval(() => void this.look(), LOOK_MS);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Looks at the files once. Never rejects. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    let isChanged = false;
    let isSettled = true;
    for (const file of this.#files) {
      const now = await fingerprint(file);
      if (now !== this.#read.get(file)) {
        isChanged = true;
        if (now !== this.#seen.get(file)) isSettled = false;
      }
      this.#seen.set(file, now);
    }
    this.#isLooking = false;
    if (isChanged && isSettled) this.#reload();
  }

  #reload(): void {
    for (const file of this.#files) this.#read.set(file, this.#seen.get(file)!);
    const built = this.#build();
    if (built.problems !== undefined) {
      this.failedReloads++;
      const { problems } = built;
      const said = problems.slice(0, LOGGED_PROBLEMS).join('; ');
      this.#log.warn(
        { problems: problems.length, failedReloads: this.failedReloads },
        `files of users changed and cannot be used, so the users of before stay: ${said}`,
      );
      return;
    }
    this.reloads++;
    this.#shared = built.shared;
    this.#onChange(built.shared);
    const users = built.realms.reduce((sum, realm) => sum + realm.users.length, 0);
    this.#log.info({ users, reloads: this.reloads }, 'files of users changed: users exchanged');
    this.#warn(built.realms);
  }

  #build(): Built {
    const problems: string[] = [];
    const contents = new Map<string, Uint8Array>();
    for (const file of this.#files) {
      const content = readContent(file);
      if (typeof content === 'string') problems.push(`${file}: ${content}`);
      else contents.set(file, content);
    }
    const configured = credentialsOf(this.#config);
    const realms = this.#config.domains.map((domain, i): RealmCredentials => {
      const content = contents.get(domain.usersFile ?? '');
      if (content === undefined) return configured[i]!;
      const { realm, users } = configured[i]!;
      const parsed = parseUsersFile(content, domain.usersFile!, realm, this.#otherRealms(domain));
      problems.push(...(parsed.problems ?? clashes(users, parsed.users, domain)));
      return { ...configured[i]!, users: parsed.users === undefined ? users : [...users, ...parsed.users] };
    });
    if (problems.length > 0) return { problems: [...new Set(problems)] };
    return { shared: shareCredentials(realms), realms };
  }

  /** Realms of the other domains that have the same file. */
  #otherRealms({ name, usersFile }: DomainEntry): Set<string> {
    const others = this.#config.domains.filter((other) => other.usersFile === usersFile && other.name !== name);
    return new Set(others.map((other) => other.realm ?? other.name));
  }

  /** A client picks one of the algorithms that are offered before anybody knows who it is. */
  #warn(realms: readonly RealmCredentials[]): void {
    for (const [i, { usersFile, authenticate }] of this.#config.domains.entries()) {
      if (usersFile === undefined || authenticate.length === 0) continue;
      for (const name of this.#config.auth.algorithms) {
        const lacking = realms[i]!.users.filter(({ ha1 }) => hasHa1(ha1) && ha1?.[name] === undefined).length;
        if (lacking === 0) continue;
        this.#log.warn(
          { file: usersFile, users: lacking, algorithm: name },
          'users have no HA1 for an algorithm that is offered, and phones that choose it cannot log in: ' +
            `leave ${name} out of auth.algorithms, or give these users such an HA1`,
        );
      }
    }
  }
}

function hasHa1(ha1: UserCredentials['ha1']): boolean {
  return ha1 !== undefined && ALGORITHM_NAMES.some((name) => ha1[name] !== undefined);
}

/** Users with a password in the configuration who stand in the file, too. */
function clashes(
  configured: readonly UserCredentials[],
  users: readonly UserCredentials[],
  { name, usersFile }: DomainEntry,
): string[] {
  const exact = new Set(
    configured.filter(({ password, ha1 }) => password !== undefined || hasHa1(ha1)).map(({ user }) => user),
  );
  if (exact.size === 0) return [];
  const twice = users.filter(({ user }) => exact.has(user));
  return twice.map(
    ({ user }) => `${usersFile}: ${JSON.stringify(user)} has a password in the users of ${name} already`,
  );
}

function readContent(file: string): Uint8Array | string {
  try {
    const { size } = statSync(file);
    if (size > MAX_FILE_BYTES) return `is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB`;
    return readFileSync(file);
  } catch (error) {
    return sayErrno(error);
  }
}

interface FileState {
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly size: bigint;
  readonly ino: bigint;
}

/** What changes with the file: its times, size and inode. */
function sayState({ mtimeNs, ctimeNs, size, ino }: FileState): string {
  return `${mtimeNs} ${ctimeNs} ${size} ${ino}`;
}

function fingerprintNow(file: string): string {
  try {
    return sayState(statSync(file, { bigint: true }));
  } catch {
    return MISSING; // why, the reading says
  }
}

async function fingerprint(file: string): Promise<string> {
  try {
    return sayState(await stat(file, { bigint: true }));
  } catch {
    return MISSING;
  }
}
