/** Requests and answers as plain clients write them, and Call-IDs that belong to a given shard. */

import { hashCallId } from '../../src/sip/scan.ts';

const CRLF = '\r\n';

export interface OptionsFields {
  readonly uri: string;
  readonly callId: string;
  /** Sent-by of our Via, `HOST:PORT`. */
  readonly sentBy: string;
  readonly maxForwards?: number;
  readonly headers?: readonly string[];
  readonly body?: Buffer;
}

/** Written with eight digits, so that requests of the same fields have the same length. */
let lastBranch = 0;

export function optionsRequest(fields: OptionsFields): Buffer {
  const { uri, callId, sentBy, maxForwards = 70, headers = [], body = Buffer.alloc(0) } = fields;
  const lines = [
    `OPTIONS ${uri} SIP/2.0`,
    `Via: SIP/2.0/UDP ${sentBy};branch=z9hG4bKtest${String(++lastBranch).padStart(8, '0')}`,
    `Max-Forwards: ${maxForwards}`,
    'From: <sip:tester@test.invalid>;tag=1',
    `To: <${uri}>`,
    `Call-ID: ${callId}`,
    'CSeq: 1 OPTIONS',
    ...headers,
    `Content-Length: ${body.length}`,
  ];
  return Buffer.concat([Buffer.from(lines.join(CRLF) + CRLF + CRLF), body]);
}

/** 200 to a request as it arrived, with the headers section 8.2.6 wants back. */
export function okTo(request: Buffer, body: Buffer = Buffer.alloc(0)): Buffer {
  const head = request.subarray(0, request.indexOf('\r\n\r\n')).toString('latin1').split(CRLF).slice(1);
  const kept = head.filter((line) => /^(via|from|to|call-id|cseq):/i.test(line));
  const lines = ['SIP/2.0 200 OK', ...kept, `Content-Length: ${body.length}`];
  return Buffer.concat([Buffer.from(lines.join(CRLF) + CRLF + CRLF, 'latin1'), body]);
}

export function headerOf(message: Buffer, name: string): string | undefined {
  const head = message.subarray(0, message.indexOf('\r\n\r\n')).toString('latin1');
  const line = head.split(CRLF).find((candidate) => candidate.toLowerCase().startsWith(`${name.toLowerCase()}:`));
  return line?.slice(name.length + 1).trim();
}

export function bodyOf(message: Buffer): Buffer {
  return message.subarray(message.indexOf('\r\n\r\n') + 4);
}

/** The shard of a message, as the intake chooses it (runtime/intake.ts). */
export function shardOf(message: Buffer, shardCount: number): number {
  const shared = new SharedArrayBuffer((message.length + 3) & ~3);
  const bytes = new Uint8Array(shared);
  bytes.set(message);
  const hash = hashCallId(bytes, new Int32Array(shared), 0, message.length);
  return Math.trunc(((hash >>> 0) * shardCount) / 0x1_0000_0000);
}

let lastCallId = 0;

/** A new Call-ID whose messages go to `shard`. */
export function callIdOfShard(shard: number, shardCount: number): string {
  for (;;) {
    const callId = `call-${process.pid}-${++lastCallId}`;
    if (shardOf(Buffer.from(`OPTIONS sip:a SIP/2.0\r\nCall-ID: ${callId}\r\n\r\n`), shardCount) === shard)
      return callId;
  }
}
