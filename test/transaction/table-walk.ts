/** State tables in words: every cell against a matrix written by hand from the RFC, and one transaction on its way through. */

import { expect, it } from 'vitest';
import { ACTION } from '../../src/transaction/actions.ts';
import { actionsOf, nextOf, type StateTable } from '../../src/transaction/state-table.ts';

/** The cell asks for nothing and leaves the state as it is. */
export const IGNORED = 'ignored';

/** Next state, actions in the order of their bits, and the section that says so, as in `COMPLETED: PASS_UP ACK [17.1.1.2]`; or
 *  IGNORED, where no section says anything; by event and state. */
export type Matrix = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** One test for each state and event there is. A cell that the matrix does not mention fails, and so does one that it
 *  mentions and that does not exist. */
export function testEveryCell(table: StateTable, matrix: Matrix): void {
  for (const [state, stateName] of table.states.entries()) {
    for (const [event, eventName] of table.events.entries()) {
      const expected = matrix[stateName]?.[eventName];
      it(`${stateName}, ${eventName}: ${expected ?? 'not mentioned'}`, () => {
        const step = table.step(state, event);
        const isIgnored = nextOf(step) === state && actionsOf(step) === 0;
        const actions = namesOf(actionsOf(step));
        const next = table.states[nextOf(step)];
        const section = sectionOf(table, state, event);
        const what = actions === '' ? next : `${next}: ${actions}`;
        expect(isIgnored ? IGNORED : `${what} [${section}]`).toBe(expected);
      });
    }
  }

  it('has no states and events but those', () => {
    expect(Object.keys(matrix).sort()).toEqual([...table.states].sort());
    for (const cells of Object.values(matrix)) expect(Object.keys(cells).sort()).toEqual([...table.events].sort());
  });
}

/** The section that the row of a cell names, without its timer. */
function sectionOf(table: StateTable, state: number, event: number): string | undefined {
  return table.rows.find((row) => row.state === state && row.event === event)?.section.replace(/ Timer [A-M]$/, '');
}

/** One transaction: events by name in, actions by name out. */
export class TableWalk {
  readonly #table: StateTable;
  #state = 0;

  constructor(table: StateTable, ...events: readonly string[]) {
    this.#table = table;
    for (const event of events) this.put(event);
  }

  get state(): string {
    return this.#table.states[this.#state]!;
  }

  put(event: string): string {
    const index = this.#table.events.indexOf(event);
    expect(index, `there is no event ${event}`).not.toBe(-1);
    const step = this.#table.step(this.#state, index);
    this.#state = nextOf(step);
    return namesOf(actionsOf(step));
  }
}

function namesOf(actions: number): string {
  const known = Object.entries(ACTION).filter(([, bit]) => (actions & bit) !== 0);
  expect(
    known.reduce((sum, [, bit]) => sum | bit, 0),
    'bits without a name',
  ).toBe(actions);
  return known
    .sort(([, a], [, b]) => a - b)
    .map(([name]) => name)
    .join(' ');
}
