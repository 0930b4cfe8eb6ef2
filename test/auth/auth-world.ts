/** A verifier with its users, in the memory of a test: takes requests as text, gives back verdicts by name. */

import { ALGORITHM } from '../../src/auth/algorithms.ts';
import { CHALLENGE, type Challenge, Challenges } from '../../src/auth/challenges.ts';
import { CredentialTable, type RealmCredentials, shareCredentials } from '../../src/auth/credential-table.ts';
import { DigestVerifier, PROBLEM, VERDICT } from '../../src/auth/digest.ts';
import type { Ha1Source } from '../../src/auth/ha1-source.ts';
import { createNonceTable } from '../../src/auth/nonce-counts.ts';
import { Nonces } from '../../src/auth/nonces.ts';
import { Realm, type RealmSettings } from '../../src/auth/realm.ts';
import { assert } from '../../src/base/assert.ts';
import { HEADER_ID } from '../../src/sip/header-table.ts';
import { MessageIndex } from '../../src/sip/message-index.ts';
import { MESSAGE_ERROR, parseMessage } from '../../src/sip/parse-message.ts';
import { bytes, place, view, words } from '../sip/arena-text.ts';
import { type Account, type Attempt, challengesIn, credentialsOf } from './digest-client.ts';

export const NOW_MS = 1_764_000_000_000;
export const LIFETIME_SEC = 300;
export const SECRET = new TextEncoder().encode('a secret of the test');
export const ALICE: Account = { user: 'alice', password: 'Circle of Life' };
const TARGET_AT = 100_000;

export interface Request {
  readonly method?: string;
  readonly uri?: string;
  readonly body?: string;
  /** Whole header lines. */
  readonly lines: readonly string[];
}

/** How a request is verified, where it matters. */
export interface Way {
  readonly header?: number;
  readonly transaction?: number;
  readonly nowMs?: number;
  readonly matchesUri?: boolean;
  readonly realm?: Realm;
}

export interface WorldSettings extends Partial<RealmSettings> {
  readonly users?: RealmCredentials['users'];
  readonly source?: Ha1Source;
}

const verdictNames = Object.fromEntries(Object.entries(VERDICT).map(([name, value]) => [value, name]));
const problemNames = Object.fromEntries(Object.entries(PROBLEM).map(([name, value]) => [value, name]));

export class AuthWorld {
  readonly realm: Realm;
  readonly nonces = new Nonces(createNonceTable(1024), SECRET, LIFETIME_SEC);
  readonly verifier: DigestVerifier;
  readonly index = new MessageIndex();

  constructor(settings: WorldSettings = {}) {
    const { users = [ALICE], source, ...rest } = settings;
    const algorithms = [ALGORITHM.SHA_256, ALGORITHM.MD5];
    this.realm = new Realm({ number: 0, name: 'atlanta.example', algorithms, ...rest });
    const table = new CredentialTable(
      shareCredentials([{ realm: new TextDecoder().decode(this.realm.name.bytes), users }]),
    );
    this.verifier = new DigestVerifier({ bytes, view, words }, this.nonces, source ?? table, SECRET);
  }

  /** The header lines of a challenge. */
  challenge(challenge: Challenge = CHALLENGE.WWW, isStale = false, nowMs = NOW_MS): string {
    const challenges = new Challenges(this.realm, this.nonces);
    const end = challenges.write({ bytes, view, words }, TARGET_AT, challenge, isStale, nowMs);
    assert(end - TARGET_AT <= challenges.maxBytes, 'challenges are longer than they say');
    return Buffer.from(bytes.slice(TARGET_AT, end)).toString();
  }

  /** A first attempt to register after a challenge, by MD5. */
  attempt(changes: Partial<Attempt> = {}): Attempt {
    const { nonce, realm } = challengesIn(this.challenge())[0]!;
    const attempt = { method: 'REGISTER', uri: 'sip:atlanta.example', realm: realm!, nonce: nonce!, algorithm: 'MD5' };
    return { ...attempt, qop: 'auth', ...changes };
  }

  /** The verdict, and the problem if there is one. */
  verify({ method = 'REGISTER', uri = 'sip:atlanta.example', body = '', lines }: Request, way: Way = {}): string {
    const { header = HEADER_ID.AUTHORIZATION, transaction = 1, nowMs = NOW_MS, matchesUri = true } = way;
    const text = [`${method} ${uri} SIP/2.0`, ...lines, `Content-Length: ${Buffer.byteLength(body)}`, '', body];
    const { start, end } = place(text.join('\r\n'));
    assert(parseMessage(bytes, words, start, end, this.index) === MESSAGE_ERROR.NONE, 'the request cannot be read');
    const { verifier } = this;
    const verdict = verifier.verify(this.index, header, way.realm ?? this.realm, transaction, nowMs, matchesUri);
    const problem = verifier.problem === PROBLEM.NONE ? '' : ` ${problemNames[verifier.problem]}`;
    return verdictNames[verdict]! + problem;
  }

  /** The verdict on an attempt that is made as a client makes it. */
  try(attempt: Attempt, account = ALICE, changes: Readonly<Record<string, string | null>> = {}, way: Way = {}): string {
    const { method, uri, body } = attempt;
    const lines = [`Authorization: ${credentialsOf(account, attempt, changes)}`];
    return this.verify({ method, uri, lines, ...(body === undefined ? {} : { body }) }, way);
  }

  get user(): string {
    const { user, userStart, userEnd } = this.verifier;
    return Buffer.from(user.bytes.slice(userStart, userEnd)).toString();
  }
}
