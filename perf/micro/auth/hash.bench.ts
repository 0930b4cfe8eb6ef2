/** Who hashes the short texts of a digest response faster, we or node:crypto? The texts are those of `Method:uri` and of whole
 *  responses. node:crypto's time is with the copy of its text and the digest back in bytes, as DigestHash needs them; ours is
 *  MD5 alone. And what signs a nonce: SipHash, beside HMAC-SHA-256 of node:crypto over the same 24 bytes. Kept is what is
 *  faster, and for MD5 what leaves no garbage. CPU time of this thread. `--quick` runs a few rounds only. */

import { createHmac, hash } from 'node:crypto';
import { ALGORITHM, type Algorithm, DIGEST_BYTES, NODE_HASHES } from '../../../src/auth/algorithms.ts';
import { DigestHash } from '../../../src/auth/digest-hash.ts';
import { siphash } from '../../../src/auth/siphash.ts';
import { viewOf } from '../../../src/base/spans.ts';
import { medianCpuNs } from '../cpu-time.ts';

const ROUNDS = process.argv.includes('--quick') ? 100 : 50_000;
const LENGTHS = [36, 150, 214];

const text = new Uint8Array(new SharedArrayBuffer(256)).map((_, i) => 33 + ((i * 37) % 90));
const textView = viewOf(text);
const target = new Uint8Array(32);
const digestHash = new DigestHash();
let checksum = 0;

function report(what: string, length: number, ns: number): void {
  console.log(`${what.padEnd(32)} ${String(length).padStart(4)} bytes ${ns.toFixed(0).padStart(6)} ns`);
}

function ours(algorithm: Algorithm, length: number): void {
  for (let round = 0; round < ROUNDS; round++) {
    text[7] = round;
    digestHash.begin();
    digestHash.add(textView, 0, length);
    digestHash.finish(algorithm, target, 0);
    checksum = (checksum + target[3]!) | 0;
  }
}

function nodes(algorithm: Algorithm, copy: Uint8Array): void {
  for (let round = 0; round < ROUNDS; round++) {
    text[7] = round;
    for (let i = 0; i < copy.length; i++) copy[i] = text[i]!;
    const digest = hash(NODE_HASHES[algorithm], copy, 'latin1');
    for (let i = 0; i < DIGEST_BYTES[algorithm]; i++) target[i] = digest.charCodeAt(i);
    checksum = (checksum + target[3]!) | 0;
  }
}

const key = Int32Array.of(1, 2, 3, 4);
const message = new Int32Array(6);
const signature = new Int32Array(4);

function sign(): void {
  for (let round = 0; round < ROUNDS; round++) {
    message[1] = round;
    siphash(key, message, message.length, signature);
    checksum = (checksum + signature[0]!) | 0;
  }
}

function signByHmac(): void {
  const keyBytes = new Uint8Array(key.buffer);
  for (let round = 0; round < ROUNDS; round++) {
    message[1] = round;
    checksum = (checksum + createHmac('sha256', keyBytes).update(message).digest()[0]!) | 0;
  }
}

for (const length of LENGTHS) {
  for (const algorithm of Object.values(ALGORITHM)) {
    const name = NODE_HASHES[algorithm];
    report(
      `${name}, DigestHash`,
      length,
      medianCpuNs(ROUNDS, () => ours(algorithm, length)),
    );
    const copy = new Uint8Array(length);
    report(
      `${name}, node:crypto`,
      length,
      medianCpuNs(ROUNDS, () => nodes(algorithm, copy)),
    );
  }
}
report('SipHash of a nonce', 24, medianCpuNs(ROUNDS, sign));
report('HMAC-SHA-256 of a nonce', 24, medianCpuNs(ROUNDS, signByHmac));
console.log(`checksum ${checksum}`);
