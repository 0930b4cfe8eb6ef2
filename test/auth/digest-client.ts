/** The other side of digest authentication, written from RFC 7616 3.4 with node:crypto and strings, and nothing of src/auth:
 *  reads a challenge, makes credentials. */

import { createHash } from 'node:crypto';

export interface Account {
  readonly user: string;
  readonly password: string;
}

export interface Attempt {
  readonly method: string;
  readonly uri: string;
  readonly realm: string;
  readonly nonce: string;
  /** undefined: not said, and so MD5. */
  readonly algorithm?: string | undefined;
  /** undefined: as RFC 2069 had it. */
  readonly qop?: string | undefined;
  readonly nc?: string;
  readonly cnonce?: string;
  readonly body?: string;
}

const NODE_NAMES: Readonly<Record<string, string>> = { MD5: 'md5', 'SHA-256': 'sha256', 'SHA-512-256': 'sha512-256' };

export function hex(algorithm: string | undefined, text: string): string {
  return createHash(NODE_NAMES[algorithm ?? 'MD5']!)
    .update(text, 'utf8')
    .digest('hex');
}

export function ha1Of(algorithm: string, { user, password }: Account, realm: string): string {
  return hex(algorithm, `${user}:${realm}:${password}`);
}

/** The `response` of an attempt; with an empty method, and the body of the response, the `rspauth`. */
export function responseOf(account: Account, attempt: Attempt): string {
  const { method, uri, realm, nonce, algorithm, qop, nc = '00000001', cnonce = 'c0ffee', body = '' } = attempt;
  const ha1 = ha1Of(algorithm ?? 'MD5', account, realm);
  const a2 = qop === 'auth-int' ? `${method}:${uri}:${hex(algorithm, body)}` : `${method}:${uri}`;
  const ha2 = hex(algorithm, a2);
  const between = qop === undefined ? nonce : `${nonce}:${nc}:${cnonce}:${qop}`;
  return hex(algorithm, `${ha1}:${between}:${ha2}`);
}

/** The value of an Authorization header field. `changes` take the place of parameters; null leaves one out. */
export function credentialsOf(
  account: Account,
  attempt: Attempt,
  changes: Readonly<Record<string, string | null>> = {},
): string {
  const { uri, realm, nonce, algorithm, qop, nc = '00000001', cnonce = 'c0ffee' } = attempt;
  const params: Record<string, string | null> = {
    username: quote(account.user),
    realm: quote(realm),
    nonce: quote(nonce),
    uri: quote(uri),
    response: quote(responseOf(account, attempt)),
    ...(algorithm === undefined ? {} : { algorithm }),
    ...(qop === undefined ? {} : { qop, nc, cnonce: quote(cnonce) }),
    ...changes,
  };
  const said = Object.entries(params).filter(([, value]) => value !== null);
  return `Digest ${said.map(([name, value]) => `${name}=${value}`).join(', ')}`;
}

export function quote(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`;
}

/** The parameters of each challenge in a text of header lines, unquoted. */
export function challengesIn(text: string): Record<string, string>[] {
  return text
    .split('\r\n')
    .filter((line) => line !== '')
    .map((line) => paramsOf(line.replace(/^[\w-]+: Digest /, '')));
}

export function paramsOf(list: string): Record<string, string> {
  const params = list.matchAll(/([\w*-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g);
  return Object.fromEntries(
    [...params].map(([, name, quoted, token]) => [name!, quoted?.replace(/\\(.)/g, '$1') ?? token!]),
  );
}
