import { describe, expect, it } from 'vitest';
import { NON_INVITE_CLIENT, NON_INVITE_CLIENT_STATE } from '../../src/transaction/non-invite-client.ts';
import { IGNORED, TableWalk, testEveryCell } from './table-walk.ts';

describe('client transaction for anything but an INVITE (figure 6)', () => {
  it('numbers its states as the table does, TERMINATED being 0', () => {
    expect(Object.values(NON_INVITE_CLIENT_STATE)).toEqual(NON_INVITE_CLIENT.states.map((_, state) => state));
    expect(NON_INVITE_CLIENT_STATE.TERMINATED).toBe(0);
  });

  testEveryCell(NON_INVITE_CLIENT, {
    TERMINATED: {
      SEND: 'TRYING: SEND START_RETRANSMIT START_TIMEOUT [17.1.2.2]',
      RESPONSE_1XX: IGNORED,
      RESPONSE_2XX: IGNORED,
      RESPONSE_FINAL: IGNORED,
      TIMER_RETRANSMIT: IGNORED,
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: IGNORED,
      TRANSPORT_ERROR: IGNORED,
    },
    TRYING: {
      SEND: IGNORED,
      RESPONSE_1XX: 'PROCEEDING: PASS_UP [17.1.2.2]',
      RESPONSE_2XX: 'COMPLETED: PASS_UP START_LINGER [17.1.2.2]',
      RESPONSE_FINAL: 'COMPLETED: PASS_UP START_LINGER [17.1.2.2]',
      TIMER_RETRANSMIT: 'TRYING: RETRANSMIT BACK_OFF [17.1.2.2]',
      TIMER_TIMEOUT: 'TERMINATED: REPORT_TIMEOUT [17.1.2.2]',
      TIMER_LINGER: IGNORED,
      TRANSPORT_ERROR: 'TERMINATED: REPORT_TRANSPORT_ERROR [17.1.4]',
    },
    PROCEEDING: {
      SEND: IGNORED,
      RESPONSE_1XX: 'PROCEEDING: PASS_UP [17.1.2.2]',
      RESPONSE_2XX: 'COMPLETED: PASS_UP START_LINGER [17.1.2.2]',
      RESPONSE_FINAL: 'COMPLETED: PASS_UP START_LINGER [17.1.2.2]',
      TIMER_RETRANSMIT: 'PROCEEDING: RETRANSMIT AT_T2 [17.1.2.2]',
      TIMER_TIMEOUT: 'TERMINATED: REPORT_TIMEOUT [17.1.2.2]',
      TIMER_LINGER: IGNORED,
      TRANSPORT_ERROR: 'TERMINATED: REPORT_TRANSPORT_ERROR [17.1.4]',
    },
    COMPLETED: {
      SEND: IGNORED,
      RESPONSE_1XX: IGNORED,
      RESPONSE_2XX: IGNORED,
      RESPONSE_FINAL: IGNORED,
      TIMER_RETRANSMIT: IGNORED,
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: 'TERMINATED [17.1.2.2]',
      TRANSPORT_ERROR: IGNORED,
    },
  });
});

describe('17.1.2.2 Trying', () => {
  it('sends the request and starts Timers E and F', () => {
    const client = new TableWalk(NON_INVITE_CLIENT);
    expect(client.put('SEND')).toBe('SEND START_RETRANSMIT START_TIMEOUT');
    expect(client.state).toBe('TRYING');
  });

  it('retransmits at intervals that double', () => {
    const client = new TableWalk(NON_INVITE_CLIENT, 'SEND', 'TIMER_RETRANSMIT');
    expect(client.put('TIMER_RETRANSMIT')).toBe('RETRANSMIT BACK_OFF');
  });

  it('reports a timeout when Timer F fires', () => {
    const client = new TableWalk(NON_INVITE_CLIENT, 'SEND');
    expect(client.put('TIMER_TIMEOUT')).toBe('REPORT_TIMEOUT');
    expect(client.state).toBe('TERMINATED');
  });
});

describe('17.1.2.2 Proceeding', () => {
  it('goes on retransmitting every T2 after a provisional response', () => {
    const client = new TableWalk(NON_INVITE_CLIENT, 'SEND', 'RESPONSE_1XX');
    expect(client.put('TIMER_RETRANSMIT')).toBe('RETRANSMIT AT_T2');
    expect(client.put('RESPONSE_1XX')).toBe('PASS_UP');
    expect(client.put('TIMER_RETRANSMIT')).toBe('RETRANSMIT AT_T2');
    expect(client.state).toBe('PROCEEDING');
  });

  it('times out in spite of a provisional response', () => {
    const client = new TableWalk(NON_INVITE_CLIENT, 'SEND', 'RESPONSE_1XX');
    expect(client.put('TIMER_TIMEOUT')).toBe('REPORT_TIMEOUT');
    expect(client.state).toBe('TERMINATED');
  });
});

describe('17.1.2.2 Completed', () => {
  it.each(['RESPONSE_2XX', 'RESPONSE_FINAL'])('passes up the first %s only, and never an ACK', (response) => {
    const client = new TableWalk(NON_INVITE_CLIENT, 'SEND');
    expect(client.put(response)).toBe('PASS_UP START_LINGER');
    expect(client.put(response)).toBe('');
    expect(client.put('TIMER_RETRANSMIT')).toBe('');
    expect(client.state).toBe('COMPLETED');
  });

  it('ends when Timer K fires', () => {
    expect(new TableWalk(NON_INVITE_CLIENT, 'SEND', 'RESPONSE_2XX', 'TIMER_LINGER').state).toBe('TERMINATED');
  });
});

describe('17.1.4 Transport errors', () => {
  it.each([[['SEND']], [['SEND', 'RESPONSE_1XX']]])('reports that the request could not be sent after %j', (before) => {
    const client = new TableWalk(NON_INVITE_CLIENT, ...before);
    expect(client.put('TRANSPORT_ERROR')).toBe('REPORT_TRANSPORT_ERROR');
    expect(client.state).toBe('TERMINATED');
  });
});
