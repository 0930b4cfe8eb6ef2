/** A file of users in the lines of Apache's htdigest, extended by other algorithms and by users without a password:
 *
 *  ```
 *  # a comment
 *  alice:example.org:0f2b…               user:realm:HA1, by MD5
 *  alice:example.org:SHA-256:9c41…       another HA1 of the same user; SHA-512-256 likewise
 *  door                                  exists, and can be called, but cannot authenticate
 *  ```
 *  From bytes to users, or to the lines that say what is wrong. These never quote more than a name and a realm: the rest may
 *  be a password. Main thread, cold. */

import { ALGORITHM, ALGORITHM_COUNT, ALGORITHM_NAMES, type Algorithm, DIGEST_BYTES } from '../../auth/algorithms.ts';
import type { UserCredentials } from '../../auth/credential-table.ts';
import { userProblem } from '../../config/user-pattern.ts';

/** Most users of one file. */
const MAX_FILE_USERS = 1_000_000;
/** Problems said of one file; the rest is a number. */
const MAX_PROBLEMS = 1000;

const ACCEPTED = 'accepted: USER, USER:REALM:HA1, USER:REALM:SHA-256:HA1, USER:REALM:SHA-512-256:HA1, # comment';
const HEX = /^[0-9a-fA-F]+$/;

export type ParsedUsers =
  | { readonly users: readonly UserCredentials[]; readonly problems?: undefined }
  | { readonly users?: undefined; readonly problems: readonly string[] };

/** One line that is neither empty nor a comment. `realm` null: the user alone. */
interface UserLine {
  readonly user: string;
  readonly realm: string | null;
  readonly algorithm: Algorithm;
  readonly ha1: string;
}

/** The users that `content` has for `realm`. Lines of a realm in `others` are those of another domain and passed over; of any
 *  other realm they are a problem. `file` stands before each problem, with the line. */
export function parseUsersFile(
  content: Uint8Array,
  file: string,
  realm: string,
  others: ReadonlySet<string> = new Set(),
): ParsedUsers {
  const text = decode(content);
  if (text === null) return { problems: [`${file}: is not UTF-8 text`] };
  const list = new UserList(file, realm, others);
  let number = 0;
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    list.add(text.slice(start, end).trimEnd(), ++number);
    start = end + 1;
  }
  return list.end();
}

function decode(content: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(content);
  } catch {
    return null; // said by the caller
  }
}

/** A user with the number of the line that each HA1 was on; 0: there is none. */
interface Draft {
  readonly user: string;
  readonly ha1: Partial<Record<(typeof ALGORITHM_NAMES)[number], string>>;
  readonly lines: number[];
  readonly exists: true;
}

class UserList {
  readonly #file: string;
  readonly #realm: string;
  readonly #others: ReadonlySet<string>;
  readonly #users = new Map<string, Draft>();
  readonly #problems: string[] = [];
  #problemCount = 0;

  constructor(file: string, realm: string, others: ReadonlySet<string>) {
    this.#file = file;
    this.#realm = realm;
    this.#others = others;
  }

  add(text: string, number: number): void {
    if (text === '' || text.startsWith('#')) return;
    const line = parseLine(text);
    const problem = typeof line === 'string' ? line : this.#keep(line, number);
    if (problem === null || ++this.#problemCount > MAX_PROBLEMS) return;
    this.#problems.push(`${this.#file}:${number}: ${problem}`);
  }

  end(): ParsedUsers {
    if (this.#problemCount > MAX_PROBLEMS) {
      this.#problems.push(`${this.#file}: and ${this.#problemCount - MAX_PROBLEMS} more problems`);
    }
    // An empty file is rather one that is being written than the wish to have no users.
    if (this.#problemCount === 0 && this.#users.size === 0) this.#problems.push(`${this.#file}: has no users in it`);
    return this.#problems.length > 0 ? { problems: this.#problems } : { users: [...this.#users.values()] };
  }

  /** null, or what is wrong. */
  #keep({ user, realm, algorithm, ha1 }: UserLine, number: number): string | null {
    if (realm !== null && realm !== this.#realm) {
      if (this.#others.has(realm)) return null;
      return `${show(user)}: the realm is ${show(realm)}, that of the domain ${show(this.#realm)}`;
    }
    const draft = this.#users.get(user) ?? { user, ha1: {}, lines: [0, 0, 0], exists: true };
    if (draft.lines[algorithm] !== 0 && realm !== null) {
      return `${show(user)}: the HA1 for ${ALGORITHM_NAMES[algorithm]} is there already, in line ${draft.lines[algorithm]}`;
    }
    this.#users.set(user, draft);
    if (this.#users.size > MAX_FILE_USERS) return `more than ${MAX_FILE_USERS} users`;
    if (realm === null) return null;
    draft.ha1[ALGORITHM_NAMES[algorithm]] = ha1;
    draft.lines[algorithm] = number;
    return null;
  }
}

/** What a line says, or what is wrong with it. A realm may have colons, a user and an HA1 may not. */
function parseLine(text: string): UserLine | string {
  const fields = text.split(':');
  const user = fields[0]!;
  if (user.startsWith('/') || userProblem(user) !== null) {
    return 'does not begin with a user name (no blanks, no @, no escapes, no pattern, at most 256 bytes)';
  }
  if (fields.length === 1) return { user, realm: null, algorithm: ALGORITHM.MD5, ha1: '' };
  if (fields.length === 2) return `${show(user)}: one colon only; ${ACCEPTED}`;
  const ha1 = fields.at(-1)!;
  const named = fields.length > 3 ? algorithmNamed(fields.at(-2)!) : -1;
  if (named < 0 && fields.length > 3 && /^(?:md|sha)/i.test(fields.at(-2)!)) {
    return `${show(user)}: not an algorithm after the realm; accepted: ${ALGORITHM_NAMES.join(', ')}`;
  }
  const realm = fields.slice(1, named < 0 ? -1 : -2).join(':');
  const algorithm = (named < 0 ? ALGORITHM.MD5 : named) as Algorithm;
  const digits = DIGEST_BYTES[algorithm] * 2;
  if (ha1.length !== digits || !HEX.test(ha1)) {
    return `${show(user)}: an HA1 by ${ALGORITHM_NAMES[algorithm]} has ${digits} hexadecimal digits`;
  }
  return { user, realm, algorithm, ha1 };
}

function algorithmNamed(text: string): number {
  const name = text.toUpperCase();
  for (let algorithm = 0; algorithm < ALGORITHM_COUNT; algorithm++) {
    if (ALGORITHM_NAMES[algorithm as Algorithm] === name) return algorithm;
  }
  return -1;
}

function show(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
