/** What does it cost to authenticate a REGISTER that brings credentials, by algorithm, and to challenge one that brings none?
 *  Every request has a nonce count of its own, a hundred to a nonce, as phones make them that refresh; users are among a
 *  hundred thousand. Timed is `verify` on a message that is indexed already, its two main parts alone (reading the
 *  credentials, checking a nonce), wrong and unknown users, a challenge, and an Authentication-Info.
 *  Goal: below 2 µs for MD5 with qop=auth. CPU time of this thread. `--quick` runs a few rounds only. */

import { hash } from 'node:crypto';
import { ALGORITHM, ALGORITHM_NAMES, type Algorithm, NODE_HASHES } from '../../../src/auth/algorithms.ts';
import {
  CHALLENGE,
  Challenges,
  MAX_AUTHENTICATION_INFO_BYTES,
  writeAuthenticationInfo,
} from '../../../src/auth/challenges.ts';
import { CredentialTable, shareCredentials } from '../../../src/auth/credential-table.ts';
import { DigestVerifier, VERDICT } from '../../../src/auth/digest.ts';
import { DigestCredentials, FIELD, textOver } from '../../../src/auth/digest-credentials.ts';
import { createNonceTable } from '../../../src/auth/nonce-counts.ts';
import { NONCE_CHARS, Nonces } from '../../../src/auth/nonces.ts';
import { Realm } from '../../../src/auth/realm.ts';
import { HEADER_ID } from '../../../src/sip/header-table.ts';
import { MessageIndex } from '../../../src/sip/message-index.ts';
import { parseMessage } from '../../../src/sip/parse-message.ts';
import { medianCpuNs } from '../cpu-time.ts';

const QUICK = process.argv.includes('--quick');
/** Requests of one round; medianCpuNs makes eight, each of requests that were not seen before. */
const REQUESTS = QUICK ? 20 : 2000;
const RUNS = 8;
const USERS = QUICK ? 100 : 100_000;
const COUNTS_PER_NONCE = 100;
const STRIDE_BYTES = 1024;
const NOW_MS = 1_764_000_000_000;
const REALM = 'example.com';
const SECRET = new TextEncoder().encode('the secret of a benchmark');

const buffer = new SharedArrayBuffer(REQUESTS * RUNS * STRIDE_BYTES + 65_536);
const arena = textOver(buffer);
const written = REQUESTS * RUNS * STRIDE_BYTES;
const nonces = new Nonces(createNonceTable(), SECRET, 3600);
const algorithms = [ALGORITHM.SHA_256, ALGORITHM.SHA_512_256, ALGORITHM.MD5];
const realm = new Realm({ number: 0, name: REALM, algorithms });
const users = Array.from({ length: USERS }, (_, i) => ({ user: userOf(i), password: passwordOf(i) }));
const table = new CredentialTable(shareCredentials([{ realm: REALM, users }]));
const verifier = new DigestVerifier(arena, nonces, table, SECRET);
const index = new MessageIndex();
let checksum = 0;

function userOf(i: number): string {
  return `user${String((i * 7919) % 1_000_000).padStart(6, '0')}`;
}

function passwordOf(i: number): string {
  return `pass-${i * 31}`;
}

/** Puts REQUESTS × RUNS requests into the arena, where `password` and `user` say how they are made. */
function placeRequests(algorithm: Algorithm, user = userOf, password = passwordOf): void {
  const name = NODE_HASHES[algorithm];
  const nonceBytes = new Uint8Array(NONCE_CHARS);
  let nonce = '';
  for (let request = 0; request < REQUESTS * RUNS; request++) {
    const count = request % COUNTS_PER_NONCE;
    if (count === 0) {
      nonces.write(nonceBytes, 0, realm.mark, NOW_MS);
      nonce = Buffer.from(nonceBytes).toString();
    }
    const i = (request * 12_347) % USERS;
    const nc = (count + 1).toString(16).padStart(8, '0');
    const cnonce = `a1b2${request.toString(16).padStart(12, '0')}`;
    const ha1 = hash(name, `${user(i)}:${REALM}:${password(i)}`);
    const response = hash(name, `${ha1}:${nonce}:${nc}:${cnonce}:auth:${hash(name, `REGISTER:sip:${REALM}`)}`);
    const text = [
      `REGISTER sip:${REALM} SIP/2.0`,
      `Via: SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bK${request};rport`,
      'Max-Forwards: 70',
      `From: <sip:${user(i)}@${REALM}>;tag=${request}`,
      `To: <sip:${user(i)}@${REALM}>`,
      `Call-ID: ${request}@192.0.2.7`,
      `CSeq: ${count + 2} REGISTER`,
      `Contact: <sip:${user(i)}@192.0.2.7:5060>;expires=600`,
      `Authorization: Digest username="${user(i)}", realm="${REALM}", nonce="${nonce}", uri="sip:${REALM}", response="${response}", algorithm=${ALGORITHM_NAMES[algorithm]}, cnonce="${cnonce}", qop=auth, nc=${nc}`,
      'Content-Length: 0',
      '\r\n',
    ].join('\r\n');
    arena.bytes.set(Buffer.from(text), request * STRIDE_BYTES + (request % 29));
  }
}

/** Indexes request after request and hands each to `work`; the time of the indexing alone is `indexNs`. */
function forEachRequest(first: number, work: (request: number) => void): void {
  for (let request = first; request < first + REQUESTS; request++) {
    const start = request * STRIDE_BYTES + (request % 29);
    parseMessage(arena.bytes, arena.words, start, start + STRIDE_BYTES - 64, index);
    index.find(arena.bytes, HEADER_ID.AUTHORIZATION);
    work(request);
  }
}

function time(what: string, work: (request: number) => void, less = 0): number {
  let run = 0;
  const ns = medianCpuNs(REQUESTS, () => forEachRequest((run++ % RUNS) * REQUESTS, work)) - less;
  console.log(`${what.padEnd(40)} ${ns.toFixed(0).padStart(6)} ns`);
  return ns;
}

function expectVerdict(verdict: number, algorithm: Algorithm, what: string, indexNs: number): void {
  time(
    `verify, ${what}, ${ALGORITHM_NAMES[algorithm]}`,
    (request) => {
      const found = verifier.verify(index, HEADER_ID.AUTHORIZATION, realm, request, NOW_MS, true);
      if (found !== verdict) throw new Error(`verdict ${found}, problem ${verifier.problem}`);
      checksum = (Math.imul(checksum, 31) + verifier.userEnd - verifier.userStart + verifier.nonceCount) | 0;
    },
    indexNs,
  );
}

placeRequests(ALGORITHM.MD5);
time('(index, warming up)', () => {});
const indexNs = time('(index)', () => {});
expectVerdict(VERDICT.OK, ALGORITHM.MD5, '(warming up)', indexNs);
placeRequests(ALGORITHM.MD5);
expectVerdict(VERDICT.OK, ALGORITHM.MD5, 'right', indexNs);

const info = (request: number) => {
  checksum +=
    writeAuthenticationInfo(arena, written, verifier, realm, nonces, arena.view, request, request, NOW_MS) & 15;
};
time('Authentication-Info, MD5', info, indexNs);

const credentials = new DigestCredentials(arena);
const read = () => {
  const header = index.find(arena.bytes, HEADER_ID.AUTHORIZATION);
  checksum += credentials.read(arena, index.valueStart(header), index.valueEnd(header));
};
const readNs = time('reading the credentials', read, indexNs);
const check = () => {
  read();
  checksum += nonces.check(
    arena.bytes,
    credentials.start(FIELD.NONCE),
    credentials.end(FIELD.NONCE),
    realm.mark,
    NOW_MS,
  );
};
time('checking the nonce', check, indexNs + readNs);

for (const algorithm of [ALGORITHM.SHA_256, ALGORITHM.SHA_512_256]) {
  placeRequests(algorithm);
  expectVerdict(VERDICT.OK, algorithm, 'right', indexNs);
}
placeRequests(ALGORITHM.MD5, userOf, () => 'guess');
expectVerdict(VERDICT.WRONG, ALGORITHM.MD5, 'wrong', indexNs);
placeRequests(ALGORITHM.MD5, (i) => `nobody${i}`);
expectVerdict(VERDICT.WRONG, ALGORITHM.MD5, 'unknown', indexNs);

const challenges = new Challenges(realm, nonces);
if (challenges.maxBytes > 65_536 - MAX_AUTHENTICATION_INFO_BYTES) throw new Error('no room for challenges');
const challenge = () => {
  checksum += challenges.write(arena, written, CHALLENGE.WWW, false, NOW_MS) & 15;
};
time('challenge, three algorithms', challenge, indexNs);
console.log(`checksum ${checksum}`);
