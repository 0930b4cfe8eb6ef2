/** Client transaction for anything but an INVITE (RFC 3261 17.1.2.2). */

import { ACTION } from './actions.ts';
import { CLIENT_EVENT, CLIENT_EVENTS } from './client-events.ts';
import { type Row, StateTable } from './state-table.ts';

export const NON_INVITE_CLIENT_STATE = { TERMINATED: 0, TRYING: 1, PROCEEDING: 2, COMPLETED: 3 } as const;

const { TERMINATED, TRYING, PROCEEDING, COMPLETED } = NON_INVITE_CLIENT_STATE;
const on = CLIENT_EVENT;
const a = ACTION;

const ROWS: readonly Row[] = [
  {
    state: TERMINATED,
    event: on.SEND,
    next: TRYING,
    actions: a.SEND | a.START_RETRANSMIT | a.START_TIMEOUT,
    section: '17.1.2.2',
  },

  { state: TRYING, event: on.RESPONSE_1XX, next: PROCEEDING, actions: a.PASS_UP, section: '17.1.2.2' },
  { state: TRYING, event: on.RESPONSE_2XX, next: COMPLETED, actions: a.PASS_UP | a.START_LINGER, section: '17.1.2.2' },
  {
    state: TRYING,
    event: on.RESPONSE_FINAL,
    next: COMPLETED,
    actions: a.PASS_UP | a.START_LINGER,
    section: '17.1.2.2',
  },
  { state: TRYING, event: on.TIMER_RETRANSMIT, next: TRYING, actions: a.RETRANSMIT | a.BACK_OFF, section: '17.1.2.2' },
  { state: TRYING, event: on.TIMER_TIMEOUT, next: TERMINATED, actions: a.REPORT_TIMEOUT, section: '17.1.2.2' },
  { state: TRYING, event: on.TRANSPORT_ERROR, next: TERMINATED, actions: a.REPORT_TRANSPORT_ERROR, section: '17.1.4' },

  { state: PROCEEDING, event: on.RESPONSE_1XX, next: PROCEEDING, actions: a.PASS_UP, section: '17.1.2.2' },
  {
    state: PROCEEDING,
    event: on.RESPONSE_2XX,
    next: COMPLETED,
    actions: a.PASS_UP | a.START_LINGER,
    section: '17.1.2.2',
  },
  {
    state: PROCEEDING,
    event: on.RESPONSE_FINAL,
    next: COMPLETED,
    actions: a.PASS_UP | a.START_LINGER,
    section: '17.1.2.2',
  },
  {
    state: PROCEEDING,
    event: on.TIMER_RETRANSMIT,
    next: PROCEEDING,
    actions: a.RETRANSMIT | a.AT_T2,
    section: '17.1.2.2',
  },
  { state: PROCEEDING, event: on.TIMER_TIMEOUT, next: TERMINATED, actions: a.REPORT_TIMEOUT, section: '17.1.2.2' },
  {
    state: PROCEEDING,
    event: on.TRANSPORT_ERROR,
    next: TERMINATED,
    actions: a.REPORT_TRANSPORT_ERROR,
    section: '17.1.4',
  },

  { state: COMPLETED, event: on.TIMER_LINGER, next: TERMINATED, actions: 0, section: '17.1.2.2 Timer K' },
];

export const NON_INVITE_CLIENT = new StateTable(Object.keys(NON_INVITE_CLIENT_STATE), CLIENT_EVENTS, ROWS);
