/** INVITE client transaction (RFC 3261 17.1.1.2, RFC 6026 8.4). */

import { ACTION } from './actions.ts';
import { CLIENT_EVENT, CLIENT_EVENTS } from './client-events.ts';
import { type Row, StateTable } from './state-table.ts';

export const INVITE_CLIENT_STATE = { TERMINATED: 0, CALLING: 1, PROCEEDING: 2, COMPLETED: 3, ACCEPTED: 4 } as const;

const { TERMINATED, CALLING, PROCEEDING, COMPLETED, ACCEPTED } = INVITE_CLIENT_STATE;
const on = CLIENT_EVENT;
const a = ACTION;
const STOP = a.STOP_RETRANSMIT | a.STOP_TIMEOUT;

const ROWS: readonly Row[] = [
  {
    state: TERMINATED,
    event: on.SEND,
    next: CALLING,
    actions: a.SEND | a.START_RETRANSMIT | a.START_TIMEOUT,
    section: '17.1.1.2',
  },

  { state: CALLING, event: on.RESPONSE_1XX, next: PROCEEDING, actions: a.PASS_UP | STOP, section: '17.1.1.2' },
  {
    state: CALLING,
    event: on.RESPONSE_2XX,
    next: ACCEPTED,
    actions: a.PASS_UP | a.START_LINGER,
    section: 'RFC 6026 8.4',
  },
  {
    state: CALLING,
    event: on.RESPONSE_FINAL,
    next: COMPLETED,
    actions: a.PASS_UP | a.ACK | a.START_LINGER,
    section: '17.1.1.2',
  },
  {
    state: CALLING,
    event: on.TIMER_RETRANSMIT,
    next: CALLING,
    actions: a.RETRANSMIT | a.BACK_OFF,
    section: '17.1.1.2',
  },
  { state: CALLING, event: on.TIMER_TIMEOUT, next: TERMINATED, actions: a.REPORT_TIMEOUT, section: '17.1.1.2' },
  { state: CALLING, event: on.TRANSPORT_ERROR, next: TERMINATED, actions: a.REPORT_TRANSPORT_ERROR, section: '17.1.4' },

  { state: PROCEEDING, event: on.RESPONSE_1XX, next: PROCEEDING, actions: a.PASS_UP, section: '17.1.1.2' },
  {
    state: PROCEEDING,
    event: on.RESPONSE_2XX,
    next: ACCEPTED,
    actions: a.PASS_UP | a.START_LINGER,
    section: 'RFC 6026 8.4',
  },
  {
    state: PROCEEDING,
    event: on.RESPONSE_FINAL,
    next: COMPLETED,
    actions: a.PASS_UP | a.ACK | a.START_LINGER,
    section: '17.1.1.2',
  },

  { state: COMPLETED, event: on.RESPONSE_FINAL, next: COMPLETED, actions: a.ACK, section: '17.1.1.2' },
  { state: COMPLETED, event: on.TIMER_LINGER, next: TERMINATED, actions: 0, section: '17.1.1.2 Timer D' },
  {
    state: COMPLETED,
    event: on.TRANSPORT_ERROR,
    next: TERMINATED,
    actions: a.REPORT_TRANSPORT_ERROR,
    section: 'RFC 6026 8.4',
  },

  { state: ACCEPTED, event: on.RESPONSE_2XX, next: ACCEPTED, actions: a.PASS_UP, section: 'RFC 6026 8.4' },
  { state: ACCEPTED, event: on.TIMER_LINGER, next: TERMINATED, actions: 0, section: 'RFC 6026 8.4 Timer M' },
];

export const INVITE_CLIENT = new StateTable(Object.keys(INVITE_CLIENT_STATE), CLIENT_EVENTS, ROWS);
