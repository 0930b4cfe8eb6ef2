/** INVITE server transaction (RFC 3261 17.2.1, RFC 6026 8.7). The 100 is the proxy's, which sends it at once (16.2). */

import { ACTION } from './actions.ts';
import { SERVER_EVENT, SERVER_EVENTS } from './server-events.ts';
import { type Row, StateTable } from './state-table.ts';

export const INVITE_SERVER_STATE = { TERMINATED: 0, PROCEEDING: 1, COMPLETED: 2, CONFIRMED: 3, ACCEPTED: 4 } as const;

const { TERMINATED, PROCEEDING, COMPLETED, CONFIRMED, ACCEPTED } = INVITE_SERVER_STATE;
const on = SERVER_EVENT;
const a = ACTION;

const ROWS: readonly Row[] = [
  { state: TERMINATED, event: on.REQUEST, next: PROCEEDING, actions: a.PASS_UP, section: '17.2.1' },

  { state: PROCEEDING, event: on.REQUEST, next: PROCEEDING, actions: a.RETRANSMIT, section: '17.2.1' },
  { state: PROCEEDING, event: on.SEND_1XX, next: PROCEEDING, actions: a.SEND | a.KEEP, section: '17.2.1' },
  { state: PROCEEDING, event: on.SEND_2XX, next: ACCEPTED, actions: a.SEND | a.START_LINGER, section: 'RFC 6026 8.7' },
  {
    state: PROCEEDING,
    event: on.SEND_FINAL,
    next: COMPLETED,
    actions: a.SEND | a.KEEP | a.START_RETRANSMIT | a.START_TIMEOUT,
    section: '17.2.1',
  },

  { state: COMPLETED, event: on.REQUEST, next: COMPLETED, actions: a.RETRANSMIT, section: '17.2.1' },
  { state: COMPLETED, event: on.ACK, next: CONFIRMED, actions: a.START_LINGER, section: '17.2.1' },
  {
    state: COMPLETED,
    event: on.TIMER_RETRANSMIT,
    next: COMPLETED,
    actions: a.RETRANSMIT | a.BACK_OFF,
    section: '17.2.1 Timer G',
  },
  { state: COMPLETED, event: on.TIMER_TIMEOUT, next: TERMINATED, actions: a.REPORT_TIMEOUT, section: '17.2.1 Timer H' },

  { state: CONFIRMED, event: on.TIMER_LINGER, next: TERMINATED, actions: 0, section: '17.2.1 Timer I' },

  { state: ACCEPTED, event: on.ACK, next: ACCEPTED, actions: a.PASS_UP, section: 'RFC 6026 8.7' },
  { state: ACCEPTED, event: on.SEND_2XX, next: ACCEPTED, actions: a.SEND, section: 'RFC 6026 8.7' },
  { state: ACCEPTED, event: on.TIMER_LINGER, next: TERMINATED, actions: 0, section: 'RFC 6026 8.7 Timer L' },
];

export const INVITE_SERVER = new StateTable(Object.keys(INVITE_SERVER_STATE), SERVER_EVENTS, ROWS);
