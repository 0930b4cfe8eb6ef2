import { describe, expect, it } from 'vitest';
import { INVITE_CLIENT, INVITE_CLIENT_STATE } from '../../src/transaction/invite-client.ts';
import { IGNORED, TableWalk, testEveryCell } from './table-walk.ts';

describe('INVITE client transaction (RFC 6026 figure 5)', () => {
  it('numbers its states as the table does, TERMINATED being 0', () => {
    expect(Object.values(INVITE_CLIENT_STATE)).toEqual(INVITE_CLIENT.states.map((_, state) => state));
    expect(INVITE_CLIENT_STATE.TERMINATED).toBe(0);
  });

  testEveryCell(INVITE_CLIENT, {
    TERMINATED: {
      SEND: 'CALLING: SEND START_RETRANSMIT START_TIMEOUT [17.1.1.2]',
      RESPONSE_1XX: IGNORED,
      RESPONSE_2XX: IGNORED,
      RESPONSE_FINAL: IGNORED,
      TIMER_RETRANSMIT: IGNORED,
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: IGNORED,
      TRANSPORT_ERROR: IGNORED,
    },
    CALLING: {
      SEND: IGNORED,
      RESPONSE_1XX: 'PROCEEDING: PASS_UP STOP_RETRANSMIT STOP_TIMEOUT [17.1.1.2]',
      RESPONSE_2XX: 'ACCEPTED: PASS_UP START_LINGER [RFC 6026 8.4]',
      RESPONSE_FINAL: 'COMPLETED: PASS_UP ACK START_LINGER [17.1.1.2]',
      TIMER_RETRANSMIT: 'CALLING: RETRANSMIT BACK_OFF [17.1.1.2]',
      TIMER_TIMEOUT: 'TERMINATED: REPORT_TIMEOUT [17.1.1.2]',
      TIMER_LINGER: IGNORED,
      TRANSPORT_ERROR: 'TERMINATED: REPORT_TRANSPORT_ERROR [17.1.4]',
    },
    PROCEEDING: {
      SEND: IGNORED,
      RESPONSE_1XX: 'PROCEEDING: PASS_UP [17.1.1.2]',
      RESPONSE_2XX: 'ACCEPTED: PASS_UP START_LINGER [RFC 6026 8.4]',
      RESPONSE_FINAL: 'COMPLETED: PASS_UP ACK START_LINGER [17.1.1.2]',
      TIMER_RETRANSMIT: IGNORED,
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: IGNORED,
      TRANSPORT_ERROR: IGNORED,
    },
    COMPLETED: {
      SEND: IGNORED,
      RESPONSE_1XX: IGNORED,
      RESPONSE_2XX: IGNORED,
      RESPONSE_FINAL: 'COMPLETED: ACK [17.1.1.2]',
      TIMER_RETRANSMIT: IGNORED,
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: 'TERMINATED [17.1.1.2]',
      TRANSPORT_ERROR: 'TERMINATED: REPORT_TRANSPORT_ERROR [RFC 6026 8.4]',
    },
    ACCEPTED: {
      SEND: IGNORED,
      RESPONSE_1XX: IGNORED,
      RESPONSE_2XX: 'ACCEPTED: PASS_UP [RFC 6026 8.4]',
      RESPONSE_FINAL: IGNORED,
      TIMER_RETRANSMIT: IGNORED,
      TIMER_TIMEOUT: IGNORED,
      TIMER_LINGER: 'TERMINATED [RFC 6026 8.4]',
      TRANSPORT_ERROR: IGNORED,
    },
  });
});

describe('17.1.1.2 Calling', () => {
  it('sends the INVITE and starts Timers A and B', () => {
    const client = new TableWalk(INVITE_CLIENT);
    expect(client.put('SEND')).toBe('SEND START_RETRANSMIT START_TIMEOUT');
    expect(client.state).toBe('CALLING');
  });

  it('retransmits at intervals that double each time Timer A fires', () => {
    const client = new TableWalk(INVITE_CLIENT, 'SEND');
    for (let again = 0; again < 6; again++) expect(client.put('TIMER_RETRANSMIT')).toBe('RETRANSMIT BACK_OFF');
    expect(client.state).toBe('CALLING');
  });

  it('stops retransmitting, and cannot time out any more, once a provisional response arrives', () => {
    const client = new TableWalk(INVITE_CLIENT, 'SEND', 'TIMER_RETRANSMIT', 'RESPONSE_1XX');
    expect(client.put('TIMER_RETRANSMIT')).toBe('');
    expect(client.put('TIMER_TIMEOUT')).toBe('');
    expect(client.state).toBe('PROCEEDING');
  });

  it('reports a timeout without an ACK when Timer B fires', () => {
    const client = new TableWalk(INVITE_CLIENT, 'SEND');
    expect(client.put('TIMER_TIMEOUT')).toBe('REPORT_TIMEOUT');
    expect(client.state).toBe('TERMINATED');
  });
});

describe('17.1.1.2 Completed', () => {
  it('acknowledges each retransmission of the final response, and passes up none', () => {
    const client = new TableWalk(INVITE_CLIENT, 'SEND', 'RESPONSE_1XX');
    expect(client.put('RESPONSE_FINAL')).toBe('PASS_UP ACK START_LINGER');
    expect(client.put('RESPONSE_FINAL')).toBe('ACK');
    expect(client.put('RESPONSE_FINAL')).toBe('ACK');
    expect(client.state).toBe('COMPLETED');
  });

  it('does not acknowledge a 2xx that comes after another final response', () => {
    expect(new TableWalk(INVITE_CLIENT, 'SEND', 'RESPONSE_FINAL').put('RESPONSE_2XX')).toBe('');
  });

  it('ends when Timer D fires', () => {
    expect(new TableWalk(INVITE_CLIENT, 'SEND', 'RESPONSE_FINAL', 'TIMER_LINGER').state).toBe('TERMINATED');
  });
});

describe('17.1.4 Transport errors', () => {
  it('reports that the INVITE could not be sent', () => {
    const client = new TableWalk(INVITE_CLIENT, 'SEND');
    expect(client.put('TRANSPORT_ERROR')).toBe('REPORT_TRANSPORT_ERROR');
    expect(client.state).toBe('TERMINATED');
  });

  it('reports that the ACK could not be sent', () => {
    const client = new TableWalk(INVITE_CLIENT, 'SEND', 'RESPONSE_FINAL');
    expect(client.put('TRANSPORT_ERROR')).toBe('REPORT_TRANSPORT_ERROR');
    expect(client.state).toBe('TERMINATED');
  });
});

describe('RFC 6026 8.4 Accepted', () => {
  it('passes up each further 2xx, and acknowledges none', () => {
    const client = new TableWalk(INVITE_CLIENT, 'SEND', 'RESPONSE_1XX');
    expect(client.put('RESPONSE_2XX')).toBe('PASS_UP START_LINGER');
    expect(client.put('RESPONSE_2XX')).toBe('PASS_UP');
    expect(client.put('RESPONSE_2XX')).toBe('PASS_UP');
    expect(client.state).toBe('ACCEPTED');
  });

  it('ignores what is no 2xx', () => {
    const client = new TableWalk(INVITE_CLIENT, 'SEND', 'RESPONSE_2XX');
    expect(client.put('RESPONSE_1XX')).toBe('');
    expect(client.put('RESPONSE_FINAL')).toBe('');
    expect(client.state).toBe('ACCEPTED');
  });

  it('stays when something could not be sent, and ends when Timer M fires', () => {
    const client = new TableWalk(INVITE_CLIENT, 'SEND', 'RESPONSE_2XX', 'TRANSPORT_ERROR');
    expect(client.state).toBe('ACCEPTED');
    client.put('TIMER_LINGER');
    expect(client.state).toBe('TERMINATED');
  });

  it('passes up nothing once it has ended', () => {
    expect(new TableWalk(INVITE_CLIENT, 'SEND', 'RESPONSE_2XX', 'TIMER_LINGER').put('RESPONSE_2XX')).toBe('');
  });
});
