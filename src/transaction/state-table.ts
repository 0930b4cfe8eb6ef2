/** A state machine as a table: for each state and event the next state and the ACTION bits. Written as rows to read, looked up
 *  as one array. Runs on the shard. Hot: several times per message, allocates nothing. */

import { assert } from '../base/assert.ts';

export interface Row {
  readonly state: number;
  readonly event: number;
  readonly next: number;
  /** ACTION bits. */
  readonly actions: number;
  /** Where the RFC says so. */
  readonly section: string;
}

const STATE_BITS = 8;
const STATE_MASK = (1 << STATE_BITS) - 1;

export class StateTable {
  readonly states: readonly string[];
  readonly events: readonly string[];
  readonly rows: readonly Row[];
  readonly #cells: Int32Array;
  readonly #eventCount: number;

  /** A cell without a row leaves the state as it is and asks for nothing. */
  constructor(states: readonly string[], events: readonly string[], rows: readonly Row[]) {
    this.states = states;
    this.events = events;
    this.rows = rows;
    this.#eventCount = events.length;
    this.#cells = Int32Array.from({ length: states.length * events.length }, (_, cell) =>
      Math.trunc(cell / events.length),
    );
    const seen = new Set<number>();
    for (const { state, event, next, actions } of rows) {
      const isKnown = state < states.length && event < events.length && next < states.length;
      assert(isKnown, 'a row of a state table has a state or event that there is not');
      const cell = state * events.length + event;
      assert(!seen.has(cell), 'a cell of a state table has two rows');
      seen.add(cell);
      this.#cells[cell] = next | (actions << STATE_BITS);
    }
  }

  /** The cell of a state and an event, for `nextOf` and `actionsOf`. */
  step(state: number, event: number): number {
    return this.#cells[state * this.#eventCount + event]!;
  }
}

export function nextOf(step: number): number {
  return step & STATE_MASK;
}

export function actionsOf(step: number): number {
  return step >>> STATE_BITS;
}
