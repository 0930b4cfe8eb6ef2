/** The threads of the location table's stress test. Each does what its task says on a few AoRs that all share, and writes
 *  down every operation with the time before and after it on a clock that all share. Every record says the same thing in all
 *  its places, so that one put together from two, or reused too early, is noticed: thrown, and so the thread's `error` event. */

import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { assert } from '../../src/base/assert.ts';
import { BindingView, NewBinding, type RecordDraft } from '../../src/location/bindings.ts';
import { LocationTable, UPDATE } from '../../src/location/location-table.ts';
import { NO_RECORD } from '../../src/location/table-layout.ts';

export interface StressTask {
  readonly buffer: SharedArrayBuffer;
  readonly thread: number;
  readonly aorCount: number;
  /** Which AoRs: those that all share, or this thread's own. */
  readonly isShared: boolean;
  readonly operations: number;
  readonly seed: number;
  /** Word 0: the clock. Words 16…: per thread, the last value that it knows to be in its AoR. */
  readonly board: SharedArrayBuffer;
}

/** An operation as a history has it: `wrote` undefined for a look-up, 0 for "no bindings". */
export interface Operation {
  readonly aor: number;
  readonly saw: number;
  readonly wrote?: number;
  readonly from: number;
  readonly to: number;
}

export const ACKNOWLEDGED_WORD = 16;
const UNUSED_CSEQ = 0;
const MAX_BINDINGS = 3;
const MAX_REPEATS = 40;

function start(task: StressTask): Operation[] {
  const { aorCount, thread } = task;
  const board = new Int32Array(task.board);
  const shared = new SharedArrayBuffer(4096);
  const source = { bytes: new Uint8Array(shared), words: new Int32Array(shared) };
  const table = new LocationTable(task.buffer, thread, source);
  const view = new BindingView(table);
  const binding = new NewBinding();
  const history: Operation[] = [];
  let state = task.seed | 1;

  function below(limit: number): number {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  }

  function place(text: string, at: number): number {
    for (let i = 0; i < text.length; i++) source.bytes[at + i] = text.charCodeAt(i);
    return at + text.length;
  }

  /** The value that all bindings of the view's record carry. */
  function readValue(current: BindingView): number {
    let value = UNUSED_CSEQ;
    let count = 0;
    while (current.next()) {
      count++;
      if (value === UNUSED_CSEQ) value = current.cseq;
      assert(current.cseq === value && current.port === (value & 0xffff), 'a record of two updates');
      assert(current.count === 1 + (value % MAX_BINDINGS), 'a record with bindings of another');
      const length = 1 + (value % MAX_REPEATS);
      assert(current.contactEnd - current.contactStart === length, 'a text of another length');
      for (let i = current.contactStart; i < current.contactEnd; i++) {
        assert(current.bytes[i] === 0x41 + (value % 26), 'a text of another record');
      }
    }
    assert(count === current.count, 'fewer bindings than there are');
    return value;
  }

  function add(next: RecordDraft, value: number): void {
    const text = String.fromCharCode(0x41 + (value % 26)).repeat(1 + (value % MAX_REPEATS));
    binding.contactStart = binding.callIdStart = 1024;
    binding.contactEnd = binding.callIdEnd = place(text, 1024);
    binding.cseq = value;
    binding.port = value & 0xffff;
    for (let i = 0; i <= value % MAX_BINDINGS; i++) next.add(binding);
  }

  const now = () => Atomics.add(board, 0, 1);
  const firstValue = (thread + 1) << 20;
  const acknowledged = ACKNOWLEDGED_WORD + thread;
  // A successor goes on where its predecessor may have been.
  let serial = Math.max(0, Atomics.load(board, acknowledged) - firstValue) + 1;
  for (let i = 0; i < task.operations; i++) {
    const aor = below(aorCount);
    const name = task.isShared ? `sip:${aor}@example.com` : `sip:own-${thread}@example.com`;
    const end = place(name, 1);
    const choice = task.isShared ? below(10) : 0;
    const from = now();
    if (choice >= 7) {
      const record = table.lookup(1, end);
      // Holds on to it while others go on.
      for (let spin = below(400); spin > 0; spin--) state = (state + 0) | 0;
      view.open(record);
      const saw = record === NO_RECORD ? 0 : readValue(view);
      history.push({ aor, saw, from, to: now() });
    } else {
      const wrote = choice === 6 ? 0 : firstValue + ++serial;
      let saw = 0;
      const outcome = table.update(1, end, (current, next) => {
        saw = readValue(current);
        if (wrote !== 0) add(next, wrote);
        return true;
      });
      // While another thread is not given the processor, the memory may be used up: nothing has happened then.
      assert(outcome === UPDATE.DONE || outcome === UPDATE.FULL, `an update came to ${outcome}`);
      if (outcome === UPDATE.FULL) {
        table.quiesce();
        continue;
      }
      if (task.isShared) history.push({ aor, saw, wrote, from, to: now() });
      else Atomics.store(board, acknowledged, wrote);
    }
    if (below(3) === 0) table.quiesce();
    if (below(50) === 0) table.sweep(-1, 2);
  }
  table.rest();
  return history;
}

if (!isMainThread && (workerData as StressTask | null)?.board !== undefined) {
  parentPort?.postMessage(start(workerData as StressTask));
}
