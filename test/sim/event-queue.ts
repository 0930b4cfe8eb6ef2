/** What is to happen, by virtual time: a binary heap. Events of the same moment happen in the order they were asked for, so
 *  that a run is the same each time. */

export interface SimEvent {
  readonly atMs: number;
  readonly order: number;
  readonly happen: () => void;
  isOff: boolean;
}

export class EventQueue {
  readonly #heap: SimEvent[] = [];
  #order = 0;

  /** To call off: `event.isOff = true`. */
  add(atMs: number, happen: () => void): SimEvent {
    const heap = this.#heap;
    const event = { atMs, order: this.#order++, happen, isOff: false };
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
    return event;
  }

  /** Infinity: nothing is left. */
  nextMs(): number {
    const heap = this.#heap;
    while (heap.length > 0 && heap[0]!.isOff) this.#drop();
    return heap.length === 0 ? Number.POSITIVE_INFINITY : heap[0]!.atMs;
  }

  /** The event that `nextMs` speaks of. */
  take(): SimEvent {
    const event = this.#heap[0]!;
    this.#drop();
    return event;
  }

  #drop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
