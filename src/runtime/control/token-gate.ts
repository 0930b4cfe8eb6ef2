/** Who may control the server over HTTP: whoever has the token that lies in a file. Wrong tokens of one address are answered a few
 *  times a minute and then no longer looked at. Main thread, cold. */

import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';

const MIN_TOKEN_CHARS = 16;
const MAX_TOKEN_CHARS = 512;
/** RFC 6750 section 2.1: b64token. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

/** Failures of one address within a window; further requests of it are turned away until the window ends. */
const MAX_FAILURES = 10;
const WINDOW_MS = 60_000;
/** Addresses that are remembered; the one whose window began first goes. */
const MAX_ADDRESSES = 1000;

export type Admission = 'granted' | 'no token' | 'wrong token' | 'limited' | 'unreadable';

/** What is wrong with a file of a token, or the token. One line of it; the rest of the file is empty. */
export function readToken(file: string): { readonly token: string } | { readonly problem: string } {
  let text: string;
  try {
    text = readFileSync(file, 'latin1');
  } catch (error) {
    return { problem: `${file} cannot be read (${(error as NodeJS.ErrnoException).code})` };
  }
  const token = text.trim();
  if (token === '') return { problem: `${file} is empty: write a token into it, e.g. with: openssl rand -hex 32` };
  if (token.length < MIN_TOKEN_CHARS) {
    return {
      problem: `${file}: a token has ${MIN_TOKEN_CHARS} characters or more; make one with: openssl rand -hex 32`,
    };
  }
  if (token.length > MAX_TOKEN_CHARS)
    return { problem: `${file}: a token has ${MAX_TOKEN_CHARS} characters at the most` };
  if (!TOKEN.test(token)) return { problem: `${file}: a token is one word of letters, digits and . _ ~ + / - =` };
  return { token };
}

export class TokenGate {
  readonly #file: string;
  readonly #nowMs: () => number;
  readonly #failures = new Map<string, { count: number; readonly sinceMs: number }>();

  constructor(file: string, nowMs: () => number = () => performance.now()) {
    this.#file = file;
    this.#nowMs = nowMs;
  }

  /** `authorization`: the header (RFC 6750); `address`: who asks. The file is read anew each time, so that a token can be exchanged. */
  admit(authorization: string | undefined, address: string): Admission {
    if (this.retryAfterSec(address) > 0) return 'limited';
    const read = readToken(this.#file);
    if ('problem' in read) return 'unreadable';
    const [, given] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
    if (given === undefined) return this.#fail(address, 'no token');
    return isSame(given, read.token) ? 'granted' : this.#fail(address, 'wrong token');
  }

  /** Until an address that has failed too often may try again; 0: it may. */
  retryAfterSec(address: string): number {
    const failures = this.#failures.get(address);
    if (failures === undefined) return 0;
    const leftMs = failures.sinceMs + WINDOW_MS - this.#nowMs();
    if (leftMs <= 0) this.#failures.delete(address);
    return leftMs > 0 && failures.count >= MAX_FAILURES ? Math.ceil(leftMs / 1000) : 0;
  }

  #fail<Kind extends Admission>(address: string, kind: Kind): Kind {
    const failures = this.#failures.get(address) ?? { count: 0, sinceMs: this.#nowMs() };
    failures.count++;
    this.#failures.set(address, failures);
    if (this.#failures.size > MAX_ADDRESSES) this.#failures.delete(this.#failures.keys().next().value!);
    return kind;
  }
}

/** Takes as long whatever is wrong: hashes have one length, and are compared to their end. */
function isSame(given: string, token: string): boolean {
  return timingSafeEqual(hashOf(given), hashOf(token));
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
