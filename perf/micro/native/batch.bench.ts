/** What does the addon cost per datagram over loopback? A socket sends a batch to itself, receives it and does it again;
 *  the two halves are timed apart by the thread's CPU clock. The kernel's share (delivery is paid by the sender) is nearly
 *  all of it: compare the rows with each other, and with a bare relay, not with 0.
 *
 *  `--quick` runs a few rounds only. */

import { createArena } from '../../../src/memory/arena.ts';
import { EGRESS, EGRESS_STRIDE_BYTES, RECEIVE_BATCH, SLOT, slotOffset } from '../../../src/memory/layout.ts';
import {
  addSocket,
  attach,
  close,
  createEventFd,
  openUdp,
  receiveBatch,
  removeSocket,
  sendBatch,
  signal,
  threadCpuNs,
} from '../../../src/runtime/udp-socket.ts';

const DATAGRAM_BYTES = 767;
const ROUNDS = 5;
const datagramsPerRow = process.argv.includes('--quick') ? 2000 : 500_000;

const arena = createArena({ shardCount: 1, slotCount: 1024, jumboCount: 1 });
const { words, map } = arena;
attach(arena.bytes);

const options = {
  family: 4,
  dualStack: false,
  receiveBufferBytes: 4 << 20,
  sendBufferBytes: 4 << 20,
  dscp: 0,
} as const;
let checksum = 0;

interface Row {
  name: string;
  batch: number;
  spans: number;
  isWildcard: boolean;
  /** Messages of one length to one destination leave together. Otherwise few of them do. */
  hasOneLength: boolean;
}

/** Median over the rounds of CPU nanoseconds per datagram, for sending and for receiving. */
function measure({ batch, spans, isWildcard, hasOneLength }: Row): { sendNs: number; receiveNs: number } {
  const host = isWildcard ? '0.0.0.0' : '127.0.0.1';
  const socket = openUdp({ ...options, host, port: 0, reusePort: false });
  addSocket(0, socket.fd, 4, isWildcard);
  for (let i = 0; i < RECEIVE_BATCH; i++) {
    const bytes = hasOneLength ? DATAGRAM_BYTES : DATAGRAM_BYTES - (Math.imul(i, 0x9e3779b1) >>> 27);
    putEntry(i, spans, bytes, socket.port, isWildcard);
  }

  const send: number[] = [];
  const receive: number[] = [];
  // The first round warms up.
  for (let round = 0; round <= ROUNDS; round++) {
    let sendNs = 0;
    let receiveNs = 0;
    let count = 0;
    while (count < datagramsPerRow / ROUNDS) {
      // Slots travel on, as they do in the dispatcher.
      for (let i = 0; i < batch; i++) words[(map.plan >> 2) + i] = (count + i) % map.slotCount;
      const start = threadCpuNs();
      const failures = sendBatch(0, 0, batch);
      const middle = threadCpuNs();
      const received = receiveBatch(batch, 0);
      const end = threadCpuNs();
      if (failures !== 0 || received !== batch) throw new Error(`lost something: ${failures} failed, ${received} came`);
      sendNs += middle - start;
      receiveNs += end - middle;
      count += batch;
      checksum = (checksum + words[(slotOffset(map, count % map.slotCount) >> 2) + SLOT.LENGTH_WORD]!) | 0;
    }
    if (round === 0) continue;
    send.push(sendNs / count);
    receive.push(receiveNs / count);
  }
  removeSocket(0);
  close(socket.fd);
  return { sendNs: median(send), receiveNs: median(receive) };
}

function putEntry(entry: number, spans: number, bytes: number, port: number, isWildcard: boolean): void {
  const word = (map.egress + entry * EGRESS_STRIDE_BYTES) >> 2;
  words[word + EGRESS.SPAN_COUNT_WORD] = spans;
  words[word + EGRESS.SOCKET_WORD] = 0;
  words[word + EGRESS.FAMILY_WORD] = 4;
  words[word + EGRESS.PORT_WORD] = port;
  const loopback = [127, 0, 0, 1];
  arena.bytes.set(loopback, (word + EGRESS.ADDRESS_WORD) * 4);
  arena.bytes.set(isWildcard ? loopback : [0, 0, 0, 0], (word + EGRESS.LOCAL_WORD) * 4);
  for (let i = 0; i < spans; i++) {
    const from = Math.floor((bytes * i) / spans);
    const to = Math.floor((bytes * (i + 1)) / spans);
    words[word + EGRESS.SPANS_WORD + 2 * i] = map.scratch + entry * 1024 + from;
    words[word + EGRESS.SPANS_WORD + 2 * i + 1] = to - from;
  }
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}

/** Nanoseconds per call of something small. */
function perCall(call: () => void): number {
  const count = Math.max(1000, datagramsPerRow / 5);
  for (let i = 0; i < 1000; i++) call();
  const start = threadCpuNs();
  for (let i = 0; i < count; i++) call();
  return (threadCpuNs() - start) / count;
}

const ROWS: Row[] = [
  { name: 'batch 64, 1 span', batch: 64, spans: 1, isWildcard: false, hasOneLength: true },
  { name: 'batch 64, 5 spans', batch: 64, spans: 5, isWildcard: false, hasOneLength: true },
  { name: 'batch 64, 5 spans, wildcard', batch: 64, spans: 5, isWildcard: true, hasOneLength: true },
  { name: 'batch 64, 5 spans, 32 lengths', batch: 64, spans: 5, isWildcard: false, hasOneLength: false },
  { name: 'batch 16, 5 spans', batch: 16, spans: 5, isWildcard: false, hasOneLength: true },
  { name: 'batch 4, 5 spans', batch: 4, spans: 5, isWildcard: false, hasOneLength: true },
  { name: 'batch 1, 5 spans', batch: 1, spans: 5, isWildcard: false, hasOneLength: true },
];

console.log(`${DATAGRAM_BYTES}-byte datagrams over loopback, CPU ns per datagram, median of ${ROUNDS}`);
for (const row of ROWS) {
  const { sendNs, receiveNs } = measure(row);
  console.log(
    `${row.name.padEnd(30)} send ${sendNs.toFixed(0).padStart(6)}   receive ${receiveNs.toFixed(0).padStart(6)}`,
  );
}
const fd = createEventFd();
console.log(
  `signal ${perCall(() => signal(fd)).toFixed(0)} ns, threadCpuNs ${perCall(threadCpuNs).toFixed(0)} ns a call`,
);
close(fd);
console.log(`checksum ${checksum}`);
