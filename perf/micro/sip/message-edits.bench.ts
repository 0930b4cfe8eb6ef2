/** What do the edits of forwarding cost, from a parsed message to its entry in the egress table: a Via stamped and put on
 *  top, Max-Forwards counted down; or, in a response, the top Via taken off? And what when far more is to change than
 *  ever is? Goal: 150 ns for a request. CPU time of this thread, median of rounds, caches warm. `--quick` runs a few
 *  rounds only. */

import { literal } from '../../../src/base/ascii.ts';
import { EGRESS, EGRESS_STRIDE_BYTES } from '../../../src/memory/layout.ts';
import { HEADER_ID } from '../../../src/sip/header-table.ts';
import { MessageEdits } from '../../../src/sip/message-edits.ts';
import { MessageIndex } from '../../../src/sip/message-index.ts';
import { Outbound, type ViaTemplate } from '../../../src/sip/outbound.ts';
import { parseMessage } from '../../../src/sip/parse-message.ts';
import { medianCpuNs } from '../cpu-time.ts';
import { createMessageArena, MESSAGES, placeCopies } from './messages.ts';

const isQuick = process.argv.includes('--quick');
const MESSAGES_PER_ROUND = isQuick ? 2000 : 500_000;
const BATCH = 64;
const LOOPBACK = 0x0100007f;

const arena = createMessageArena();
const { bytes, words, map } = arena;
const edits = new MessageEdits();
const outbound = new Outbound(arena, 0, flush);
const viaLine = 'Via: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKs00000000000000000000000000\r\n';
const template: ViaTemplate = {
  id: 1,
  text: literal(viaLine),
  branchAt: viaLine.indexOf('000000'),
  connectionAt: -1,
};
let checksum = 0;

measure('request: Via and Max-Forwards', 'INVITE with SDP', forwardRequest);
measure('response: the top Via off', '200 to OPTIONS', forwardResponse);
measure('30 edits, joined by copying', '65 headers', cutUp);
console.log(`checksum ${checksum}`);

function measure(name: string, message: string, forward: (index: MessageIndex) => void): void {
  const { starts, ends } = placeCopies(arena, MESSAGES[message]!);
  // Parsed beforehand: parse-message.bench.ts has that.
  const indices = Array.from(starts, (start, i) => {
    const index = new MessageIndex();
    if (parseMessage(bytes, words, start, ends[i]!, index) !== 0) throw new Error('the message is not parsed');
    return index;
  });
  const ns = medianCpuNs(MESSAGES_PER_ROUND, () => run(indices, forward));
  console.log(`${name.padEnd(32)} ${ns.toFixed(0).padStart(6)} ns`);
}

function run(indices: readonly MessageIndex[], forward: (index: MessageIndex) => void): void {
  for (let i = 0; i < MESSAGES_PER_ROUND; i++) {
    outbound.begin();
    edits.clear();
    const index = indices[i % indices.length]!;
    forward(index);
    edits.apply(outbound, index.start, index.end);
    outbound.to(0, 4, 5070, LOOPBACK, 0, 0, 0, 0);
    outbound.commit(0);
    if (outbound.count === BATCH) flush();
  }
}

function forwardRequest(index: MessageIndex): void {
  const via = index.lineStart(index.first[HEADER_ID.VIA]!);
  const ours = outbound.stampVia(template, index.start, index.end, via, 0, 0);
  edits.insert(via, ours, ours + template.text.length);
  const maxForwards = index.first[HEADER_ID.MAX_FORWARDS]!;
  const from = outbound.cursor;
  outbound.putDecimal(69);
  edits.replace(index.valueStart(maxForwards), index.valueEnd(maxForwards), from, outbound.cursor);
}

function forwardResponse(index: MessageIndex): void {
  const via = index.first[HEADER_ID.VIA]!;
  edits.remove(index.lineStart(via), index.lineEnd(via));
}

/** Every other header gone: more pieces than an iovec list holds. */
function cutUp(index: MessageIndex): void {
  for (let header = 2; header < 62; header += 2) edits.remove(index.lineStart(header), index.lineEnd(header));
  const from = outbound.cursor;
  for (let header = 3; header < 63; header += 6) {
    outbound.putDecimal(header);
    edits.replace(index.valueStart(header), index.valueEnd(header), from, outbound.cursor);
  }
}

/** As the shard does, but nothing is sent. */
function flush(): void {
  for (let entry = 0; entry < outbound.count; entry += 7) {
    const word = (map.egress + entry * EGRESS_STRIDE_BYTES) >> 2;
    const spans = words[word + EGRESS.SPAN_COUNT_WORD]!;
    checksum = (Math.imul(checksum, 31) + spans + words[word + EGRESS.SPANS_WORD + 2 * spans - 1]!) | 0;
  }
  outbound.clear();
}
