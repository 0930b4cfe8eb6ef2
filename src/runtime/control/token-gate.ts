/** Who may control the server over HTTP: whoever has the token that lies in a file. Of one address (of IPv6: one
 *  /64, of which a client has all addresses) a few different wrong tokens are answered a minute, and then nothing of it is looked at any
 *  more, unless the right one has come from that very address before: whoever shares an address with others (a proxy in front, a
 *  machine with many users) is not shut out by them. Main thread, cold. */

import { createHash, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { addressWords } from '../streams/address-words.ts';

const MIN_TOKEN_CHARS = 16;
const MAX_TOKEN_CHARS = 512;
/** RFC 6750 section 2.1: b64token. */
const TOKEN = /^[A-Za-z0-9._~+/-]+=*$/;

/** Guesses of one address within a window; further requests of it are turned away until the window ends. */
const MAX_GUESSES = 10;
const WINDOW_MS = 60_000;
/** For so long an address is one that the right token comes from. */
const KNOWN_MS = 24 * 3600_000;
/** Addresses that are remembered of each kind; the one that came first goes. */
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
  /** By network (`networkOf`): hashes of the wrong tokens. The same one again, of a program that has not heard of another, is no further guess. */
  readonly #guesses = new Map<string, { readonly hashes: Set<string>; readonly sinceMs: number }>();
  /** By address: until when the right token counts as coming from there. */
  readonly #known = new Map<string, number>();

  constructor(file: string, nowMs: () => number = () => performance.now()) {
    this.#file = file;
    this.#nowMs = nowMs;
  }

  /** `authorization`: the header (RFC 6750); `address`: who asks. The file is read anew each time, so that a token can be exchanged. */
  admit(authorization: string | undefined, address: string): Admission {
    const [, given] = /^Bearer +(\S+) *$/i.exec(authorization ?? '') ?? [];
    if (given === undefined) return 'no token';
    const isLimited = this.retryAfterSec(address) > 0;
    if (isLimited && (this.#known.get(address) ?? 0) <= this.#nowMs()) return 'limited';
    const read = readToken(this.#file);
    if ('problem' in read) return 'unreadable';
    if (isSame(given, read.token)) {
      remember(this.#known, address, this.#nowMs() + KNOWN_MS);
      return 'granted';
    }
    if (isLimited) return 'limited';
    this.#noteGuess(address, given);
    return 'wrong token';
  }

  /** Until an address that has guessed too often may try again; 0: it may. */
  retryAfterSec(address: string): number {
    const network = networkOf(address);
    const guesses = this.#guesses.get(network);
    if (guesses === undefined) return 0;
    const leftMs = guesses.sinceMs + WINDOW_MS - this.#nowMs();
    if (leftMs <= 0) this.#guesses.delete(network);
    return leftMs > 0 && guesses.hashes.size >= MAX_GUESSES ? Math.ceil(leftMs / 1000) : 0;
  }

  #noteGuess(address: string, given: string): void {
    const network = networkOf(address);
    const there = this.#guesses.get(network);
    const { hashes } = there ?? remember(this.#guesses, network, { hashes: new Set<string>(), sinceMs: this.#nowMs() });
    hashes.add(hashOf(given).toString('base64'));
  }
}

/** What a client has all addresses of: the first 64 bits of an IPv6 address, all of an IPv4 one, which a dual-stack socket shows as
 *  `::ffff:192.0.2.1`. */
function networkOf(address: string): string {
  const { family, a0, a1 } = addressWords(address);
  if (family === 0) return address;
  return family === 4 ? `4 ${a0}` : `6 ${a0} ${a1}`;
}

/** As the last of them; the first goes if there are too many. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): Value {
  map.delete(key);
  map.set(key, value);
  if (map.size > MAX_ADDRESSES) map.delete(map.keys().next().value!);
  return value;
}

/** Takes as long whatever is wrong: hashes have one length, and are compared to their end. */
function isSame(given: string, token: string): boolean {
  return timingSafeEqual(hashOf(given), hashOf(token));
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
