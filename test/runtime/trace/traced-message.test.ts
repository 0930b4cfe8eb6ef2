/** What is told of a record: addresses, fields, whatever is wrong with the message. */

import { describe, expect, it } from 'vitest';
import { FLAG, RECORD, RECORD_HEADER_BYTES } from '../../../src/observe/trace/trace-layout.ts';
import type { TraceRecord } from '../../../src/observe/trace/trace-ring.ts';
import {
  addressBytes,
  fieldsOf,
  RecordReader,
  type TracedSocket,
  userOf,
} from '../../../src/runtime/trace/traced-message.ts';
import { addressBytes as networkBytes } from '../../flows/virtual-network.ts';

const IPV4: TracedSocket = { transport: 'udp', family: 4, address: '192.0.2.254', port: 5060, isWildcard: false };
const ANY4: TracedSocket = { ...IPV4, address: '0.0.0.0', isWildcard: true };
const ANY: TracedSocket = { transport: 'tcp', family: 6, address: '::', port: 5062, isWildcard: true };
const READING = {
  sockets: [IPV4, ANY4, ANY],
  localAddresses: ['127.0.0.1', '::1', 'fe80::1', '198.51.100.7', '2001:db8::7'],
  maskHeaders: [],
};

interface Place {
  readonly socket?: number;
  readonly peer?: string;
  readonly local?: string;
  readonly flags?: number;
  readonly length?: number;
}

function record(text: string, { socket = 0, peer = '192.0.2.10', local, flags = 0, length }: Place = {}): TraceRecord {
  const bytes = Buffer.from(text, 'utf8');
  const header = new Int32Array(RECORD_HEADER_BYTES / 4);
  header[RECORD.FLAGS_WORD] = flags;
  header[RECORD.LENGTH_WORD] = length ?? bytes.length;
  header[RECORD.KEPT_WORD] = bytes.length;
  header[RECORD.SOCKET_WORD] = socket;
  header[RECORD.FAMILY_WORD] = peer.includes(':') ? 6 : 4;
  header[RECORD.PORT_WORD] = 5070;
  const view = new Uint8Array(header.buffer);
  view.set(networkBytes(peer), RECORD.PEER_WORD * 4);
  if (local !== undefined) view.set(networkBytes(local), RECORD.LOCAL_WORD * 4);
  return { shard: 3, sequence: -1, header, timeUs: 1000.6, bytes };
}

const reader = new RecordReader(READING);
const message = (text: string, place?: Place) => reader.message(record(text, place), 5_000_000, 'text');

describe('addresses', () => {
  it.each<[Place, string, string]>([
    [{}, '192.0.2.10:5070', '192.0.2.254:5060'],
    [{ socket: 1, local: '192.0.2.3' }, '192.0.2.10:5070', '192.0.2.3:5060'],
    [{ socket: 1 }, '192.0.2.10:5070', '198.51.100.7:5060'],
    [{ socket: 1, peer: '127.0.0.2' }, '127.0.0.2:5070', '127.0.0.1:5060'],
    [{ socket: 2, peer: '2001:db8::1' }, '[2001:db8::1]:5070', '[2001:db8::7]:5062'],
    [{ socket: 2, peer: '::1' }, '[::1]:5070', '[::1]:5062'],
    [{ socket: 2, peer: '192.0.2.10' }, '192.0.2.10:5070', '198.51.100.7:5062'],
    [{ socket: 9 }, '192.0.2.10:5070', '198.51.100.7:0'],
  ])('of %j', (place, peer, local) => {
    expect(message('', place)).toMatchObject({ peer, local });
  });

  it('are turned for captures as the message went', () => {
    const [come, go] = [0, FLAG.IS_SENT].map((flags) => reader.captured(record('x', { flags }), 0));
    expect([come!.source.port, come!.destination.port]).toEqual([5070, 5060]);
    expect([go!.source.port, go!.destination.port]).toEqual([5060, 5070]);
  });

  it('are read from literals', () => {
    for (const address of ['::', '::1', '2001:db8::1:0:2', '1:2:3:4:5:6:7:8']) {
      expect([...addressBytes(address, 6)]).toEqual([...networkBytes(address)]);
    }
    expect([...addressBytes('fe80::1%eth0', 6)]).toEqual([...networkBytes('fe80::1')]);
  });
});

describe('a message', () => {
  it('has its id, time, transport and direction', () => {
    expect(message('', { socket: 2, flags: FLAG.IS_SENT })).toMatchObject({
      id: '3-4294967295',
      timeUs: 5_001_001,
      transport: 'tcp',
      direction: 'out',
      isCut: false,
    });
  });

  it('is UTF-8 in its text, and what is not remains in base64', () => {
    expect(message('MESSAGE sip:é SIP/2.0\r\n\r\nß', { length: 99 })).toMatchObject({
      text: expect.stringContaining('ß'),
      isCut: true,
    });
    const { text, base64 } = reader.message({ ...record(''), bytes: Buffer.from([0xff, 0x41]) }, 0, 'base64');
    expect([text, base64]).toEqual([null, Buffer.from([0xff, 0x41]).toString('base64')]);
  });

  it('has no secret in its first line', () => {
    expect(message('INVITE sip:a:pw@b SIP/2.0\r\n').firstLine).toBe('INVITE sip:a:**@b SIP/2.0');
  });
});

describe('fields', () => {
  it('of a request with short names, folds and odd cases', () => {
    const text =
      'INVITE sip:bob@b SIP/2.0\r\nv: x\r\ni :\r\n abc@d\r\nF: "A <b>" <sip:alice@A.example;x=1>;tag=1\r\nTO:tel:+1-2\r\nCSeq: 007  INVITE\r\n\r\nCall-ID: body';
    expect(fieldsOf(text)).toMatchObject({
      method: 'INVITE',
      status: null,
      cseq: 7,
      callId: 'abc@d',
      to: 'tel:+1-2',
      requestUri: 'sip:bob@b',
    });
  });

  it('of a response', () => {
    expect(fieldsOf('SIP/2.0 486 Busy Here\r\nCSeq: 2 BYE\r\n')).toMatchObject({
      method: 'BYE',
      status: 486,
      cseq: 2,
      callId: null,
      from: null,
    });
  });

  it.each(['', '\r\n', 'x', '\0\0', 'INVITE', 'SIP/2.0', 'SIP/2.0 abc\r\nFrom:\r\nTo: <\r\nCall-ID:\r\n'])(
    'of %j are missing',
    (text) => {
      expect(fieldsOf(text)).toMatchObject({ method: null, status: null, cseq: null, callId: null, from: null });
    },
  );

  it.each([
    ['<sip:alice@Example.ORG:5060;lr>;tag=1', 'alice@example.org'],
    ['sip:alice:secret@example.org;tag=1', 'alice@example.org'],
    ['"x" <sips:[2001:db8::1]:5061>', '[2001:db8::1]'],
    ['sip:example.org', 'example.org'],
    ['<tel:+1;phone-context=x>', 'tel:+1'],
    ['', null],
  ])('users: %s', (value, expected) => {
    expect(userOf(value)).toBe(expected);
  });
});
