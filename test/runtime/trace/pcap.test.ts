/** Capture files, as tshark reads them. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type CapturedMessage, pcapHeader, pcapRecord } from '../../../src/runtime/trace/pcap.ts';

const hasTshark = spawnSync('tshark', ['-v']).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'strowger-pcap-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SIP = 'OPTIONS sip:bob@example.org SIP/2.0\r\nCall-ID: a@b\r\nCSeq: 7 OPTIONS\r\nContent-Length: 0\r\n\r\n';
const IPV4: CapturedMessage = {
  timeUs: 1_764_439_270_123_456,
  source: { address: Uint8Array.of(192, 0, 2, 10), port: 5062 },
  destination: { address: Uint8Array.of(198, 51, 100, 7), port: 5060 },
  length: SIP.length,
  bytes: Buffer.from(SIP),
};
const IPV6: CapturedMessage = {
  ...IPV4,
  source: { address: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), port: 5062 },
  destination: { address: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2), port: 5060 },
};

/** Fields of each packet. */
function dissect(messages: readonly CapturedMessage[], fields: readonly string[]): string[][] {
  const file = join(folder, 'x.pcap');
  writeFileSync(file, Buffer.concat([pcapHeader(), ...messages.map(pcapRecord)]));
  const checks = ['-o', 'ip.check_checksum:TRUE', '-o', 'udp.check_checksum:TRUE'];
  const wanted = fields.flatMap((field) => ['-e', field]);
  const { stdout, status } = spawnSync('tshark', ['-r', file, '-t', 'e', ...checks, '-T', 'fields', ...wanted], {
    encoding: 'utf8',
  });
  expect(status).toBe(0);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
}

describe('a capture file', () => {
  it('begins as every pcap of raw IP does', () => {
    expect(pcapHeader().toString('hex')).toBe('d4c3b2a1020004000000000000000000ffff000065000000');
  });

  it('has a made-up header before each message', () => {
    const record = pcapRecord({ ...IPV4, length: 2, bytes: Buffer.from('hi') });
    expect(record.toString('hex', 0, 16)).toBe('e6342b6940e201001e0000001e000000');
    expect(record.toString('hex', 16)).toBe('4500001e0000000040118e8ac000020ac633640713c613c4000a83a16869');
  });

  it.skipIf(!hasTshark)('is read by tshark: addresses, times, checksums, SIP', () => {
    const fields = [
      'frame.time_epoch',
      'ip.src',
      'ipv6.src',
      'udp.srcport',
      'ip.checksum.status',
      'udp.checksum.status',
      'sip.Method',
      'sip.Call-ID',
      'sip.CSeq.seq',
    ];
    expect(dissect([IPV4, IPV6], fields)).toEqual([
      ['1764439270.123456000', '192.0.2.10', '', '5062', '1', '1', 'OPTIONS', 'a@b', '7'],
      ['1764439270.123456000', '', '2001:db8::1', '5062', '', '1', 'OPTIONS', 'a@b', '7'],
    ]);
  });

  it.skipIf(!hasTshark)('shows what was cut as cut', () => {
    const cut = { ...IPV4, length: 5000 };
    expect(dissect([cut], ['frame.len', 'frame.cap_len', 'udp.length', 'sip.Method'])).toEqual([
      ['5028', String(SIP.length + 28), '5008', 'OPTIONS'],
    ]);
  });

  it('holds the longest message there is', () => {
    const bytes = Buffer.alloc(65_535, 'x');
    expect(pcapRecord({ ...IPV4, length: bytes.length, bytes })).toHaveLength(16 + 65_535);
    expect(pcapRecord({ ...IPV6, length: bytes.length, bytes }).readUInt32LE(12)).toBe(65_535);
  });
});
