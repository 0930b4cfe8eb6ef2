/** A phone that answers digest challenges, for tests of authentication in the running element: the digests are made here from
 *  RFC 7616 3.4 and 3.5 with node:crypto, and share nothing with the server. */

import { createHash } from 'node:crypto';
import { expect, onTestFinished } from 'vitest';
import { fieldsOf, type RequestParts, request, statusOf } from '../messages.ts';
import { type Answer, answerOf, type RegisterFields, register } from '../registrar/register.ts';
import { NOTHING_HELD } from '../stateful/call.ts';
import { ALICE, createElement, type ElementOptions, type Endpoint, type Sent } from '../virtual-network.ts';

export type Mode = 'stateful' | 'stateless';

const REGISTRAR_DOMAIN = 'example.org';
const PROXY_DOMAIN = 'biloxi.example';
export const USERS = [
  { user: 'alice', password: 'wonderland' },
  { user: 'bob', password: 'builder' },
] as const;
export const ALICE_PASSWORD = USERS[0].password;

const NODE_HASHES: Readonly<Record<string, string>> = { MD5: 'md5', 'SHA-256': 'sha256', 'SHA-512-256': 'sha512-256' };

export function hash(algorithm: string, text: string): string {
  return createHash(NODE_HASHES[algorithm]!).update(text, 'latin1').digest('hex');
}

/** The values behind "Digest ", unquoted. */
export type Params = Readonly<Record<string, string>>;

export function paramsOf(value: string): Params {
  const params: Record<string, string> = {};
  const list = value.replace(/^\s*Digest\s+/i, '');
  for (const [, name, quoted, token] of list.matchAll(/([^\s=,"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g)) {
    expect(params, `${name} stands once in ${value}`).not.toHaveProperty(name!);
    params[name!] = quoted === undefined ? token! : quoted.replace(/\\(.)/g, '$1');
  }
  return params;
}

/** The challenges of a 401 or 407, in order. */
export function challengesOf(text: string): Params[] {
  const name = statusOf(text) === 401 ? 'WWW-Authenticate' : 'Proxy-Authenticate';
  return fieldsOf(text, name).map(paramsOf);
}

/** What a phone says, and what the digest is made of. */
export interface Credentials {
  readonly username?: string;
  readonly password?: string;
  readonly realm: string;
  readonly nonce: string;
  readonly method: string;
  readonly uri: string;
  /** null: not said, and so MD5. */
  readonly algorithm?: string | null;
  /** null: as in RFC 2069. */
  readonly qop?: string | null;
  readonly nc?: string;
  readonly cnonce?: string;
  readonly body?: string;
}

export function digestOf(credentials: Credentials): string {
  const { username = 'alice', password = ALICE_PASSWORD, realm, nonce, method, uri, body = '' } = credentials;
  const { qop = 'auth', nc = '00000001', cnonce = 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ' } = credentials;
  const algorithm = credentials.algorithm ?? 'MD5';
  const a1 = hash(algorithm, `${username}:${realm}:${password}`);
  const isWhole = qop?.toLowerCase() === 'auth-int';
  const a2 = hash(algorithm, `${method}:${uri}${isWhole ? `:${hash(algorithm, body)}` : ''}`);
  return hash(algorithm, qop === null ? `${a1}:${nonce}:${a2}` : `${a1}:${nonce}:${nc}:${cnonce}:${qop}:${a2}`);
}

/** What takes the place of a parameter, as it stands behind the "="; null leaves it out. */
export type Changes = Readonly<Record<string, string | null>>;

/** The value of an Authorization or Proxy-Authorization header field. */
export function authorization(credentials: Credentials, changes: Changes = {}): string {
  const { username = 'alice', realm, nonce, uri, algorithm = null } = credentials;
  const { qop = 'auth', nc = '00000001', cnonce = 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ' } = credentials;
  const params: Record<string, string | null> = {
    username: quote(username),
    realm: quote(realm),
    nonce: quote(nonce),
    uri: quote(uri),
    response: quote(digestOf(credentials)),
    algorithm,
    cnonce: qop === null ? null : quote(cnonce),
    qop,
    nc: qop === null ? null : nc,
    ...changes,
  };
  const said = Object.entries(params).filter(([, value]) => value !== null);
  return `Digest ${said.map(([name, value]) => `${name}=${value}`).join(', ')}`;
}

export function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** What a test says about the credentials of a request; the rest comes from the challenge. */
export interface Say extends Partial<Omit<Credentials, 'method' | 'body'>> {
  readonly changes?: Changes;
  /** In place of the method of the request, in A2. */
  readonly method?: string;
}

export interface Digested extends Omit<ElementOptions, 'domains'> {
  /** Settings of the one domain. */
  readonly domain?: Readonly<Record<string, unknown>>;
  readonly auth?: Readonly<Record<string, unknown>>;
  /** More domains. */
  readonly others?: readonly Readonly<Record<string, unknown>>[];
}

function elementOf(mode: Mode, name: string, methods: readonly string[], options: Digested) {
  const { domain, auth, others = [], settings, ...rest } = options;
  const own = { name, users: USERS, authenticate: methods, ...domain };
  const element = createElement({
    mode,
    domains: [own, ...others] as { name: string }[],
    ...rest,
    settings: { ...(auth === undefined ? {} : { auth }), ...settings },
  });
  onTestFinished(() => {
    element.advance(900_000);
    expect(element.occupancy()).toEqual(NOTHING_HELD);
  });
  return element;
}

let cseqs = 1;

/** A registrar for example.org, and a phone in front of it that counts its CSeqs and its nonce counts. */
export function digestRegistrar(mode: Mode, options: Digested = {}) {
  const element = elementOf(mode, REGISTRAR_DOMAIN, ['REGISTER'], { nextHops: [], ...options });
  const send = (text: string, from: Endpoint = ALICE): Answer => answerOf(element.receive(text, from));
  const plain = (fields: RegisterFields = {}, from?: Endpoint) => send(register({ cseq: cseqs++, ...fields }), from);
  /** A challenge of the registrar: the first with that algorithm. */
  const challenge = (algorithm = 'MD5', fields: RegisterFields = {}): Params => {
    const { sent, status } = plain(fields);
    expect(status).toBe(401);
    const found = challengesOf(sent.text).find((one) => one.algorithm === algorithm);
    expect(found, sent.text).toBeDefined();
    return found!;
  };
  /** The Authorization header line for a REGISTER of these fields. */
  const line = (nonce: string, say: Say = {}, fields: RegisterFields = {}): string => {
    const { domain = REGISTRAR_DOMAIN, uri = `sip:${domain}` } = fields;
    const { changes = {}, ...rest } = say;
    const body = '';
    return `Authorization: ${authorization({ realm: domain, nonce, method: 'REGISTER', uri, body, ...rest }, changes)}`;
  };
  const text = (nonce: string, say: Say = {}, fields: RegisterFields = {}): string => {
    const headers = [...(fields.headers ?? []), line(nonce, say, fields)];
    return register({ cseq: cseqs++, ...fields, headers });
  };
  /** A REGISTER with credentials for a nonce. */
  const answer = (nonce: string, say: Say = {}, fields: RegisterFields = {}, from?: Endpoint): Answer =>
    send(text(nonce, say, fields), from);
  /** Challenge and answer. */
  const signOn = (say: Say = {}, fields: RegisterFields = {}): Answer =>
    answer(challenge(say.algorithm ?? 'MD5').nonce!, say, fields);
  /** The bindings of a user, asked for with the right password. */
  const bindings = (user: 'alice' | 'bob' = 'alice'): readonly string[] => {
    const { password } = USERS.find((one) => one.user === user)!;
    const query = signOn({ username: user, password }, { user, callId: 'query' });
    expect(query.status).toBe(200);
    return query.contacts;
  };
  return { element, send, plain, challenge, line, text, answer, signOn, bindings };
}

export const FROM_ALICE = `Alice <sip:alice@${PROXY_DOMAIN}>;tag=9fxced76sl`;

let branches = 0;

/** Another transaction. */
export function viaOfAlice(): string {
  return `SIP/2.0/UDP ${ALICE.address}:${ALICE.port};branch=z9hG4bKdigest${++branches}`;
}

/** A request by Alice, who is a user of the proxy's domain: each another transaction unless `via` says which. */
export function ownRequest(parts: RequestParts = {}): string {
  const { method = 'INVITE' } = parts;
  return request({ from: FROM_ALICE, via: viaOfAlice(), cseq: `${cseqs++} ${method}`, ...parts });
}

/** A proxy for biloxi.example that asks its users, and Alice's phone in front of it. */
export function digestProxy(mode: Mode, options: Digested = {}, methods: readonly string[] = ['INVITE', 'MESSAGE']) {
  const element = elementOf(mode, PROXY_DOMAIN, methods, options);
  const send = (text: string, from: Endpoint = ALICE): Sent[] =>
    element.receive(text, from).filter((one) => statusOf(one.text) !== 100);
  const challenge = (algorithm = 'MD5', parts: RequestParts = {}): Params => {
    const asked = ownRequest({ method: 'MESSAGE', ...parts });
    const [only] = send(asked);
    expect(statusOf(only!.text), only!.text).toBe(407);
    const found = challengesOf(only!.text).find((one) => one.algorithm === algorithm);
    expect(found, only!.text).toBeDefined();
    return found!;
  };
  const line = (nonce: string, say: Say = {}, parts: RequestParts = {}): string => {
    const { method = 'INVITE', uri = 'sip:bob@biloxi.example', body = '' } = parts;
    const { changes = {}, ...rest } = say;
    return `Proxy-Authorization: ${authorization({ realm: PROXY_DOMAIN, nonce, method, uri, body, ...rest }, changes)}`;
  };
  const text = (nonce: string, say: Say = {}, parts: RequestParts = {}): string =>
    ownRequest({ ...parts, headers: [...(parts.headers ?? []), line(nonce, say, parts)] });
  const answer = (nonce: string, say: Say = {}, parts: RequestParts = {}, from?: Endpoint): Sent[] =>
    send(text(nonce, say, parts), from);
  /** A request with the right credentials for a new nonce. */
  const call = (parts: RequestParts = {}, say: Say = {}, from?: Endpoint): Sent[] =>
    answer(challenge(say.algorithm ?? 'MD5').nonce!, say, parts, from);
  return { element, send, challenge, line, text, answer, call };
}

/** The status of the only message, a response; 0: it is a request. */
export function statusOfOnly(sent: readonly Sent[]): number {
  expect(sent.map((one) => one.text.split('\r\n')[0])).toHaveLength(1);
  return statusOf(sent[0]!.text);
}

/** Whether the challenges of an answer say stale=true; all of them say the same. */
export function isStale(text: string): boolean {
  const said = challengesOf(text).map((challenge) => challenge.stale?.toLowerCase() === 'true');
  expect(said.length).toBeGreaterThan(0);
  expect(new Set(said).size).toBe(1);
  return said[0]!;
}
