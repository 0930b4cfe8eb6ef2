/** Server transaction for anything but an INVITE (RFC 3261 17.2.2, RFC 4320 4.1: no provisional response but 100, and that
 *  not before the client's Timer E has reached T2). */

import { ACTION } from './actions.ts';
import { SERVER_EVENT, SERVER_EVENTS } from './server-events.ts';
import { type Row, StateTable } from './state-table.ts';

export const NON_INVITE_SERVER_STATE = { TERMINATED: 0, TRYING: 1, PROCEEDING: 2, COMPLETED: 3 } as const;

const { TERMINATED, TRYING, PROCEEDING, COMPLETED } = NON_INVITE_SERVER_STATE;
const on = SERVER_EVENT;
const a = ACTION;
const FINAL = a.SEND | a.KEEP | a.START_LINGER;

const ROWS: readonly Row[] = [
  { state: TERMINATED, event: on.REQUEST, next: TRYING, actions: a.PASS_UP | a.START_RETRANSMIT, section: '17.2.2' },

  { state: TRYING, event: on.SEND_2XX, next: COMPLETED, actions: FINAL, section: '17.2.2' },
  { state: TRYING, event: on.SEND_FINAL, next: COMPLETED, actions: FINAL, section: '17.2.2' },
  { state: TRYING, event: on.TIMER_RETRANSMIT, next: PROCEEDING, actions: a.TRYING, section: 'RFC 4320 4.1' },

  { state: PROCEEDING, event: on.REQUEST, next: PROCEEDING, actions: a.TRYING, section: '17.2.2' },
  { state: PROCEEDING, event: on.SEND_2XX, next: COMPLETED, actions: FINAL, section: '17.2.2' },
  { state: PROCEEDING, event: on.SEND_FINAL, next: COMPLETED, actions: FINAL, section: '17.2.2' },

  { state: COMPLETED, event: on.REQUEST, next: COMPLETED, actions: a.RETRANSMIT, section: '17.2.2' },
  { state: COMPLETED, event: on.TIMER_LINGER, next: TERMINATED, actions: 0, section: '17.2.2 Timer J' },
];

export const NON_INVITE_SERVER = new StateTable(Object.keys(NON_INVITE_SERVER_STATE), SERVER_EVENTS, ROWS);
