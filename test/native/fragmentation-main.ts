/** The part of test/native/fragmentation.test.ts that runs in a network namespace of its own, where loopback has the MTU of
 *  the first argument: sends a batch of the other arguments' lengths from a socket of the addon to another, as often as the
 *  second argument says, and prints what became of the last one as JSON. */

import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createArena } from '../../src/memory/arena.ts';
import {
  EGRESS,
  EGRESS_FLAG,
  EGRESS_STRIDE_BYTES,
  RECEIVE_BATCH,
  SLOT,
  SLOT_HEADER_BYTES,
  SLOT_PAYLOAD_BYTES,
  SPILL_BYTES,
  slotOffset,
} from '../../src/memory/layout.ts';
import { addSocket, attach, openUdp, receiveBatch, sendBatch } from '../../src/runtime/udp-socket.ts';

export interface FragmentationReport {
  /** RESULT of each egress entry: 0 or an errno. */
  readonly results: readonly number[];
  /** Lengths as they arrived, in the order of the one batch that was received. */
  readonly arrived: readonly number[];
  /** Whether each of these holds the bytes that were sent. */
  readonly intact: readonly boolean[];
  /** IP_MTU_DISCOVER of the sender before and after. */
  readonly pathDiscovery: readonly number[];
  /** Sends as the kernel counts them (OutDatagrams): several messages that leave as one piece of work are one. */
  readonly sends: number;
  /** Datagrams the kernel split (FragOKs), and the pieces it made of them (FragCreates). */
  readonly fragmented: number;
  readonly fragments: number;
}

const SENDER = 0;
const RECEIVER = 1;
const PATIENCE_MS = 30_000;

const arena = createArena({ shardCount: 1, slotCount: 256, jumboCount: 1 });
const { bytes, words, map } = arena;

const [mtu, batches, ...given] = process.argv.slice(2).map(Number);
main(mtu!, batches!, given);

/** `given`: the lengths of the messages, below 0 of those that may leave in any order. */
function main(mtu: number, batches: number, given: readonly number[]): void {
  const lengths = given.map(Math.abs);
  execFileSync('ip', ['link', 'set', 'lo', 'mtu', String(mtu), 'up']);
  attach(bytes);
  for (let i = 0; i < RECEIVE_BATCH; i++) words[(map.plan >> 2) + i] = i;
  const sender = open(SENDER);
  const receiver = open(RECEIVER);
  const before = pathDiscoveryOf(sender.fd);
  let scratch = map.scratch;
  for (const [entry, length] of lengths.entries()) {
    bytes.set(payloadOf(length), scratch);
    putEgress(entry, receiver.port, scratch, length, given[entry]! < 0);
    scratch += length;
  }
  for (let batch = 1; batch < batches; batch++) {
    sendBatch(0, 0, lengths.length);
    receiveBatch(RECEIVE_BATCH, PATIENCE_MS);
  }
  const sendsBefore = statistic('Udp', 'OutDatagrams');
  sendBatch(0, 0, lengths.length);
  const sends = statistic('Udp', 'OutDatagrams') - sendsBefore;
  const arrivals = Array.from({ length: receiveBatch(RECEIVE_BATCH, PATIENCE_MS) }, (_, position) => arrival(position));
  const report: FragmentationReport = {
    results: lengths.map((_, entry) => words[egressWord(entry) + EGRESS.RESULT_WORD]!),
    arrived: arrivals.map(({ length }) => length),
    intact: arrivals.map((datagram) => datagram.equals(payloadOf(datagram.length))),
    pathDiscovery: [before, pathDiscoveryOf(sender.fd)],
    sends,
    fragmented: statistic('Ip', 'FragOKs'),
    fragments: statistic('Ip', 'FragCreates'),
  };
  process.stdout.write(JSON.stringify(report));
}

function open(index: number) {
  const socket = openUdp({
    host: '127.0.0.1',
    port: 0,
    family: 4,
    dualStack: false,
    receiveBufferBytes: 1 << 20,
    sendBufferBytes: 1 << 20,
    dscp: 0,
    reusePort: false,
  });
  addSocket(index, socket.fd, 4, false);
  return socket;
}

/** Bytes that a swapped, repeated or missing fragment would change: a period that divides no fragment. */
function payloadOf(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (i % 251) ^ (length & 0xff)));
}

function egressWord(entry: number): number {
  return (map.egress + entry * EGRESS_STRIDE_BYTES) >> 2;
}

function putEgress(entry: number, port: number, offset: number, length: number, isInAnyOrder: boolean): void {
  const word = egressWord(entry);
  words[word + EGRESS.SPAN_COUNT_WORD] = 1;
  words[word + EGRESS.SOCKET_WORD] = SENDER;
  words[word + EGRESS.FAMILY_WORD] = 4;
  words[word + EGRESS.PORT_WORD] = port;
  bytes.set([127, 0, 0, 1], (word + EGRESS.ADDRESS_WORD) * 4);
  words[word + EGRESS.RESULT_WORD] = -1;
  words[word + EGRESS.FLAGS_WORD] = isInAnyOrder ? EGRESS_FLAG.ANY_ORDER : 0;
  words[word + EGRESS.SPANS_WORD] = offset;
  words[word + EGRESS.SPANS_WORD + 1] = length;
}

/** The datagram at `position` of the batch: what fits its slot, then its spill area. */
function arrival(position: number): Buffer {
  const slot = slotOffset(map, position);
  const length = words[(slot >> 2) + SLOT.LENGTH_WORD]!;
  const spill = map.spill + position * SPILL_BYTES;
  const head = slot + SLOT_HEADER_BYTES;
  return Buffer.concat([
    bytes.slice(head, head + Math.min(length, SLOT_PAYLOAD_BYTES)),
    bytes.slice(spill, spill + Math.max(0, length - SLOT_PAYLOAD_BYTES)),
  ]);
}

/** Node has no getsockopt: asked by a child that inherits the socket. */
function pathDiscoveryOf(fd: number): number {
  const script = 'import socket; print(socket.socket(fileno=3).getsockopt(socket.IPPROTO_IP, 10))';
  const { stdout } = spawnSync('python3', ['-c', script], {
    stdio: ['ignore', 'pipe', 'inherit', fd],
    encoding: 'utf8',
  });
  return Number(stdout);
}

function statistic(protocol: string, name: string): number {
  const lines = readFileSync('/proc/self/net/snmp', 'latin1').split('\n');
  const [names, values] = lines.filter((line) => line.startsWith(`${protocol}: `));
  return Number(values!.split(' ')[names!.split(' ').indexOf(name)]);
}
