import { describe, expect, it } from 'vitest';
import { INVITE_SERVER, INVITE_SERVER_STATE } from '../../src/transaction/invite-server.ts';
import { IGNORED, TableWalk, testEveryCell } from './table-walk.ts';

describe('INVITE server transaction (RFC 6026 figure 7)', () => {
  it('numbers its states as the table does, TERMINATED being 0', () => {
    expect(Object.values(INVITE_SERVER_STATE)).toEqual(INVITE_SERVER.states.map((_, state) => state));
    expect(INVITE_SERVER_STATE.TERMINATED).toBe(0);
  });

  testEveryCell(INVITE_SERVER, {
    TERMINATED: {
      REQUEST: 'PROCEEDING: PASS_UP [17.2.1]',
      ACK: IGNORED,
      SEND_1XX: IGNORED,
      SEND_2XX: IGNORED,
      SEND_FINAL: IGNORED,
      TIMER_RETRANSMIT: IGNORED,
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: IGNORED,
    },
    PROCEEDING: {
      REQUEST: 'PROCEEDING: RETRANSMIT [17.2.1]',
      ACK: IGNORED,
      SEND_1XX: 'PROCEEDING: SEND KEEP [17.2.1]',
      SEND_2XX: 'ACCEPTED: SEND START_LINGER [RFC 6026 8.7]',
      SEND_FINAL: 'COMPLETED: SEND KEEP START_RETRANSMIT START_TIMEOUT [17.2.1]',
      TIMER_RETRANSMIT: IGNORED,
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: IGNORED,
    },
    COMPLETED: {
      REQUEST: 'COMPLETED: RETRANSMIT [17.2.1]',
      ACK: 'CONFIRMED: START_LINGER [17.2.1]',
      SEND_1XX: IGNORED,
      SEND_2XX: IGNORED,
      SEND_FINAL: IGNORED,
      TIMER_RETRANSMIT: 'COMPLETED: RETRANSMIT BACK_OFF [17.2.1]',
      TIMER_TIMEOUT: 'TERMINATED: REPORT_TIMEOUT [17.2.1]',
      TIMER_LINGER: IGNORED,
    },
    CONFIRMED: {
      REQUEST: IGNORED,
      ACK: IGNORED,
      SEND_1XX: IGNORED,
      SEND_2XX: IGNORED,
      SEND_FINAL: IGNORED,
      TIMER_RETRANSMIT: IGNORED,
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: 'TERMINATED [17.2.1]',
    },
    ACCEPTED: {
      REQUEST: IGNORED,
      ACK: 'ACCEPTED: PASS_UP [RFC 6026 8.7]',
      SEND_1XX: IGNORED,
      SEND_2XX: 'ACCEPTED: SEND [RFC 6026 8.7]',
      SEND_FINAL: IGNORED,
      TIMER_RETRANSMIT: IGNORED,
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: 'TERMINATED [RFC 6026 8.7]',
    },
  });
});

describe('17.2.1 Proceeding', () => {
  it('passes the INVITE up once, and answers it with the last provisional response when it comes again', () => {
    const server = new TableWalk(INVITE_SERVER);
    expect(server.put('REQUEST')).toBe('PASS_UP');
    expect(server.put('SEND_1XX')).toBe('SEND KEEP');
    expect(server.put('REQUEST')).toBe('RETRANSMIT');
    expect(server.state).toBe('PROCEEDING');
  });

  it('sends any number of provisional responses, none of them by a timer', () => {
    const server = new TableWalk(INVITE_SERVER, 'REQUEST', 'SEND_1XX');
    expect(server.put('SEND_1XX')).toBe('SEND KEEP');
    expect(server.put('TIMER_RETRANSMIT')).toBe('');
  });
});

describe('17.2.1 Completed', () => {
  it('sends the final response at intervals that double until the ACK comes', () => {
    const server = new TableWalk(INVITE_SERVER, 'REQUEST');
    expect(server.put('SEND_FINAL')).toBe('SEND KEEP START_RETRANSMIT START_TIMEOUT');
    expect(server.put('TIMER_RETRANSMIT')).toBe('RETRANSMIT BACK_OFF');
    expect(server.put('TIMER_RETRANSMIT')).toBe('RETRANSMIT BACK_OFF');
    expect(server.put('ACK')).toBe('START_LINGER');
    expect(server.put('TIMER_RETRANSMIT')).toBe('');
    expect(server.state).toBe('CONFIRMED');
  });

  it('answers a retransmitted INVITE with the final response', () => {
    expect(new TableWalk(INVITE_SERVER, 'REQUEST', 'SEND_FINAL').put('REQUEST')).toBe('RETRANSMIT');
  });

  it('sends no other response once a final one was sent', () => {
    const server = new TableWalk(INVITE_SERVER, 'REQUEST', 'SEND_FINAL');
    for (const response of ['SEND_1XX', 'SEND_2XX', 'SEND_FINAL']) expect(server.put(response)).toBe('');
    expect(server.state).toBe('COMPLETED');
  });

  it('reports when Timer H fires that no ACK came', () => {
    const server = new TableWalk(INVITE_SERVER, 'REQUEST', 'SEND_FINAL');
    expect(server.put('TIMER_TIMEOUT')).toBe('REPORT_TIMEOUT');
    expect(server.state).toBe('TERMINATED');
  });
});

describe('17.2.1 Confirmed', () => {
  it('absorbs further ACKs until Timer I fires', () => {
    const server = new TableWalk(INVITE_SERVER, 'REQUEST', 'SEND_FINAL', 'ACK');
    expect(server.put('ACK')).toBe('');
    expect(server.put('TIMER_TIMEOUT')).toBe('');
    expect(server.state).toBe('CONFIRMED');
    server.put('TIMER_LINGER');
    expect(server.state).toBe('TERMINATED');
  });
});

describe('RFC 6026 8.7 Accepted', () => {
  it('absorbs retransmissions of the INVITE and sends no 2xx of its own accord', () => {
    const server = new TableWalk(INVITE_SERVER, 'REQUEST');
    expect(server.put('SEND_2XX')).toBe('SEND START_LINGER');
    expect(server.put('REQUEST')).toBe('');
    expect(server.put('TIMER_RETRANSMIT')).toBe('');
    expect(server.state).toBe('ACCEPTED');
  });

  it('sends each further 2xx without starting Timer L anew', () => {
    const server = new TableWalk(INVITE_SERVER, 'REQUEST', 'SEND_2XX');
    expect(server.put('SEND_2XX')).toBe('SEND');
    expect(server.put('SEND_2XX')).toBe('SEND');
  });

  it('sends nothing else after a 2xx', () => {
    const server = new TableWalk(INVITE_SERVER, 'REQUEST', 'SEND_2XX');
    expect(server.put('SEND_1XX')).toBe('');
    expect(server.put('SEND_FINAL')).toBe('');
    expect(server.state).toBe('ACCEPTED');
  });

  it('passes each ACK up', () => {
    const server = new TableWalk(INVITE_SERVER, 'REQUEST', 'SEND_2XX');
    expect(server.put('ACK')).toBe('PASS_UP');
    expect(server.put('ACK')).toBe('PASS_UP');
    expect(server.state).toBe('ACCEPTED');
  });

  it('ends when Timer L fires, ACK or none', () => {
    expect(new TableWalk(INVITE_SERVER, 'REQUEST', 'SEND_2XX', 'TIMER_LINGER').state).toBe('TERMINATED');
    expect(new TableWalk(INVITE_SERVER, 'REQUEST', 'SEND_2XX', 'ACK', 'TIMER_LINGER').state).toBe('TERMINATED');
  });
});

describe('RFC 6026 8.8 Transport errors', () => {
  it('have no event, since the transaction stays in its state', () => {
    expect(INVITE_SERVER.events).not.toContain('TRANSPORT_ERROR');
  });
});
