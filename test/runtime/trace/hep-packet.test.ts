/** HEP3 packets, byte by byte and taken apart again. */

import { describe, expect, it } from 'vitest';
import { type HepAgent, HepEncoder, type HepMessage, MAX_HEP_BYTES } from '../../../src/runtime/trace/hep-packet.ts';
import { decodeHep } from './hep-decoder.ts';

const MESSAGE: HepMessage = {
  timeUs: 0x6507_0809 * 1e6 + 0x0a0b,
  isStream: false,
  source: Uint8Array.of(192, 0, 2, 10),
  sourcePort: 0x13c4,
  destination: Uint8Array.of(198, 51, 100, 7),
  destinationPort: 0x13c6,
  bytes: Buffer.from('--SIP!a@b--'),
  start: 2,
  end: 6,
  callIdStart: 6,
  callIdEnd: 9,
};
const AGENT = { captureId: 0x07d1, authKey: 'key' };

function packetOf(message: HepMessage, agent: HepAgent = AGENT): Buffer {
  const area = Buffer.alloc(MAX_HEP_BYTES + 100, 0xff);
  const end = new HepEncoder(agent).write(message, area, 50);
  expect(area.subarray(0, 50).every((byte) => byte === 0xff)).toBe(true);
  expect(area.subarray(end).every((byte) => byte === 0xff)).toBe(true);
  return area.subarray(50, end);
}

describe('a packet', () => {
  it('is what the specification says', () => {
    const chunks = [
      '0000 0001 0007 02',
      '0000 0002 0007 11',
      '0000 0003 000a c000020a',
      '0000 0004 000a c6336407',
      '0000 0007 0008 13c4',
      '0000 0008 0008 13c6',
      '0000 0009 000a 65070809',
      '0000 000a 000a 00000a0b',
      '0000 000b 0007 01',
      '0000 000c 000a 000007d1',
      '0000 000e 0009 6b6579',
      '0000 0011 0009 614062',
      '0000 000f 000a 53495021',
    ].map((chunk) => chunk.replaceAll(' ', ''));
    const bytes = `48455033${(6 + chunks.join('').length / 2).toString(16).padStart(4, '0')}${chunks.join('')}`;
    expect(packetOf(MESSAGE).toString('hex')).toBe(bytes);
  });

  it('says what it is in IPv6, over TCP, without key and Call-ID', () => {
    const address = Uint8Array.from({ length: 16 }, (_, i) => i);
    const packet = packetOf(
      {
        ...MESSAGE,
        isStream: true,
        source: address,
        sourcePort: 1,
        destination: address,
        callIdStart: -1,
        callIdEnd: -1,
      },
      { captureId: 0xffff_ffff, authKey: undefined },
    );
    expect(decodeHep(packet)).toMatchObject({
      family: 10,
      protocol: 6,
      source: '000102030405060708090a0b0c0d0e0f:1',
      captureId: 0xffff_ffff,
      authKey: undefined,
      correlationId: undefined,
      payload: 'SIP!',
    });
  });

  it('is never too long for a datagram: the message loses its end', () => {
    const bytes = Buffer.alloc(65_535, 'x');
    const packet = packetOf({ ...MESSAGE, bytes, start: 0, end: bytes.length });
    expect(packet).toHaveLength(MAX_HEP_BYTES);
    expect(decodeHep(packet).payload).toMatch(/^x{65000,}$/);
  });
});
