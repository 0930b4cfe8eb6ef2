import { describe, expect, it } from 'vitest';
import { AssertionError } from '../../src/base/assert.ts';
import { ACTION } from '../../src/transaction/actions.ts';
import { INVITE_CLIENT } from '../../src/transaction/invite-client.ts';
import { INVITE_SERVER } from '../../src/transaction/invite-server.ts';
import { NON_INVITE_CLIENT } from '../../src/transaction/non-invite-client.ts';
import { NON_INVITE_SERVER } from '../../src/transaction/non-invite-server.ts';
import { actionsOf, nextOf, type Row, StateTable } from '../../src/transaction/state-table.ts';

const STATES = ['OVER', 'OPEN'];
const EVENTS = ['BEGIN', 'TURN', 'END'];
const OPENING: Row = { state: 0, event: 0, next: 1, actions: ACTION.SEND, section: '1' };

describe('state table', () => {
  it('looks up the next state and the actions of a row', () => {
    const step = new StateTable(STATES, EVENTS, [OPENING]).step(0, 0);
    expect([nextOf(step), actionsOf(step)]).toEqual([1, ACTION.SEND]);
  });

  it('keeps all actions there are, and the highest state, apart', () => {
    const states = Array.from({ length: 256 }, (_, state) => `S${state}`);
    const actions = Object.values(ACTION).reduce<number>((sum, bit) => sum | bit, 0);
    const step = new StateTable(states, EVENTS, [{ ...OPENING, next: 255, actions }]).step(0, 0);
    expect([nextOf(step), actionsOf(step)]).toEqual([255, actions]);
  });

  it('leaves the state as it is, and asks for nothing, where there is no row', () => {
    const table = new StateTable(STATES, EVENTS, [OPENING]);
    const step = table.step(1, 2);
    expect([nextOf(step), actionsOf(step)]).toEqual([1, 0]);
  });

  it('takes no two rows for one cell', () => {
    expect(() => new StateTable(STATES, EVENTS, [OPENING, { ...OPENING, next: 0 }])).toThrow(AssertionError);
  });

  it.each([
    ['a state', { ...OPENING, state: 2 }],
    ['an event', { ...OPENING, event: 3 }],
    ['a next state', { ...OPENING, next: 2 }],
  ])('takes no row with %s that there is not', (_what, row) => {
    expect(() => new StateTable(STATES, EVENTS, [row])).toThrow(AssertionError);
  });
});

describe('actions', () => {
  it('are one bit each, and no bit means two things', () => {
    const bits = Object.values(ACTION);
    for (const bit of bits) expect(bit & (bit - 1)).toBe(0);
    expect(new Set(bits).size).toBe(bits.length);
  });

  it('are all asked for by some table', () => {
    const tables = [INVITE_CLIENT, NON_INVITE_CLIENT, INVITE_SERVER, NON_INVITE_SERVER];
    const asked = tables.flatMap(({ rows }) => rows).reduce((sum, { actions }) => sum | actions, 0);
    expect(asked).toBe(Object.values(ACTION).reduce<number>((sum, bit) => sum | bit, 0));
  });

  it('have their section in each row', () => {
    const tables = [INVITE_CLIENT, NON_INVITE_CLIENT, INVITE_SERVER, NON_INVITE_SERVER];
    for (const { section } of tables.flatMap(({ rows }) => rows)) expect(section).toMatch(/^(RFC \d{4} )?\d+(\.\d+)+/);
  });
});
