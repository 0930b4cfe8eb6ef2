import { describe, expect, it } from 'vitest';
import { NON_INVITE_SERVER, NON_INVITE_SERVER_STATE } from '../../src/transaction/non-invite-server.ts';
import { IGNORED, TableWalk, testEveryCell } from './table-walk.ts';

describe('server transaction for anything but an INVITE (figure 8, RFC 4320)', () => {
  it('numbers its states as the table does, TERMINATED being 0', () => {
    expect(Object.values(NON_INVITE_SERVER_STATE)).toEqual(NON_INVITE_SERVER.states.map((_, state) => state));
    expect(NON_INVITE_SERVER_STATE.TERMINATED).toBe(0);
  });

  testEveryCell(NON_INVITE_SERVER, {
    TERMINATED: {
      REQUEST: 'TRYING: PASS_UP START_RETRANSMIT [17.2.2]',
      ACK: IGNORED,
      SEND_1XX: IGNORED,
      SEND_2XX: IGNORED,
      SEND_FINAL: IGNORED,
      TIMER_RETRANSMIT: IGNORED,
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: IGNORED,
    },
    TRYING: {
      REQUEST: IGNORED,
      ACK: IGNORED,
      SEND_1XX: IGNORED,
      SEND_2XX: 'COMPLETED: SEND KEEP START_LINGER [17.2.2]',
      SEND_FINAL: 'COMPLETED: SEND KEEP START_LINGER [17.2.2]',
      TIMER_RETRANSMIT: 'PROCEEDING: TRYING [RFC 4320 4.1]',
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: IGNORED,
    },
    PROCEEDING: {
      REQUEST: 'PROCEEDING: TRYING [17.2.2]',
      ACK: IGNORED,
      SEND_1XX: IGNORED,
      SEND_2XX: 'COMPLETED: SEND KEEP START_LINGER [17.2.2]',
      SEND_FINAL: 'COMPLETED: SEND KEEP START_LINGER [17.2.2]',
      TIMER_RETRANSMIT: IGNORED,
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: IGNORED,
    },
    COMPLETED: {
      REQUEST: 'COMPLETED: RETRANSMIT [17.2.2]',
      ACK: IGNORED,
      SEND_1XX: IGNORED,
      SEND_2XX: IGNORED,
      SEND_FINAL: IGNORED,
      TIMER_RETRANSMIT: IGNORED,
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: 'TERMINATED [17.2.2]',
    },
  });
});

describe('17.2.2 Trying', () => {
  it('passes the request up once and discards it when it comes again', () => {
    const server = new TableWalk(NON_INVITE_SERVER);
    expect(server.put('REQUEST')).toBe('PASS_UP START_RETRANSMIT');
    expect(server.put('REQUEST')).toBe('');
    expect(server.state).toBe('TRYING');
  });
});

describe('RFC 4320 4.1 Provisional responses', () => {
  it('sends none that the user has', () => {
    const server = new TableWalk(NON_INVITE_SERVER, 'REQUEST');
    expect(server.put('SEND_1XX')).toBe('');
    expect(server.state).toBe('TRYING');
    server.put('TIMER_RETRANSMIT');
    expect(server.put('SEND_1XX')).toBe('');
  });

  it("sends a 100 once the client's Timer E has reached T2, and again for each retransmission from then on", () => {
    const server = new TableWalk(NON_INVITE_SERVER, 'REQUEST');
    expect(server.put('TIMER_RETRANSMIT')).toBe('TRYING');
    expect(server.put('REQUEST')).toBe('TRYING');
    expect(server.put('REQUEST')).toBe('TRYING');
    expect(server.state).toBe('PROCEEDING');
  });

  it('sends no 100 after a final response', () => {
    const server = new TableWalk(NON_INVITE_SERVER, 'REQUEST', 'SEND_2XX');
    expect(server.put('TIMER_RETRANSMIT')).toBe('');
    expect(server.put('REQUEST')).toBe('RETRANSMIT');
  });
});

describe('17.2.2 Completed', () => {
  it.each(['SEND_2XX', 'SEND_FINAL'])('keeps a %s and sends it whenever the request comes again', (response) => {
    const server = new TableWalk(NON_INVITE_SERVER, 'REQUEST');
    expect(server.put(response)).toBe('SEND KEEP START_LINGER');
    expect(server.put('REQUEST')).toBe('RETRANSMIT');
    expect(server.put('REQUEST')).toBe('RETRANSMIT');
  });

  it('discards further final responses', () => {
    const server = new TableWalk(NON_INVITE_SERVER, 'REQUEST', 'SEND_2XX');
    expect(server.put('SEND_2XX')).toBe('');
    expect(server.put('SEND_FINAL')).toBe('');
    expect(server.state).toBe('COMPLETED');
  });

  it('ends when Timer J fires', () => {
    expect(new TableWalk(NON_INVITE_SERVER, 'REQUEST', 'SEND_FINAL', 'TIMER_LINGER').state).toBe('TERMINATED');
  });
});

describe('RFC 6026 8.8 Transport errors', () => {
  it('have no event, since the transaction stays in its state', () => {
    expect(NON_INVITE_SERVER.events).not.toContain('TRANSPORT_ERROR');
  });
});
