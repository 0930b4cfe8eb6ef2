/** How a response finds its client transaction (RFC 3261 17.1.3), and when each timer of it fires (table 4, RFC 6026 8.4). */

import { describe, expect, it } from 'vitest';
import { METHOD } from '../../src/sip/methods.ts';
import { CLIENT_EVENT } from '../../src/transaction/client-events.ts';
import { CLIENT, ClientTransactions } from '../../src/transaction/client-transactions.ts';
import { TimerValues } from '../../src/transaction/timer-settings.ts';
import { FIRED, NO_RECORD, TERMINATED } from '../../src/transaction/transaction-records.ts';
import { TimedRecords } from './timed-records.ts';

const TIMERS = new TimerValues(500, 4000, 5000);
const on = CLIENT_EVENT;

function newClients(capacity = 8, random = cookies()) {
  return new TimedRecords(
    (clock, wheel, first) => new ClientTransactions(capacity, clock, wheel, first, TIMERS, random),
  );
}

/** 32 bits, of both signs, that never repeat. */
function cookies(): () => number {
  let state = 0x2545f491;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state;
  };
}

function cookieOf(records: ClientTransactions, record: number): number {
  return records.words[records.at(record) + CLIENT.COOKIE]!;
}

/** A request that was sent. */
function send(records: ClientTransactions, method: number = METHOD.INVITE, isReliable = false): number {
  const record = records.open(3, method, isReliable);
  records.put(record, on.SEND);
  return record;
}

/** What timers stand for goes back into the machine. */
function running(records: ClientTransactions) {
  const events = {
    [FIRED.RETRANSMIT]: on.TIMER_RETRANSMIT,
    [FIRED.TIMEOUT]: on.TIMER_TIMEOUT,
    [FIRED.LINGER]: on.TIMER_LINGER,
  };
  return (record: number, fired: number) => void records.put(record, events[fired as keyof typeof events]);
}

describe('17.1.3 find', () => {
  it('finds the record that a branch names, if it has the cookie', () => {
    const { records } = newClients();
    const sent = Array.from({ length: 8 }, () => send(records));
    for (const record of sent) expect(records.find(record, cookieOf(records, record))).toBe(record);
  });

  it('finds nothing by the cookie of another record, or one bit off', () => {
    const { records } = newClients();
    const first = send(records);
    const second = send(records);
    expect(records.find(first, cookieOf(records, second))).toBe(NO_RECORD);
    for (let bit = 0; bit < 32; bit++) {
      expect(records.find(first, cookieOf(records, first) ^ (1 << bit))).toBe(NO_RECORD);
    }
  });

  it.each([-1, 8, 9, 1 << 30, 0x7fffffff, -0x80000000])(
    'finds nothing at record %i, which does not exist',
    (record) => {
      const { records } = newClients(8);
      send(records);
      for (const cookie of [0, 1, cookieOf(records, 0)]) expect(records.find(record, cookie)).toBe(NO_RECORD);
    },
  );

  it('finds nothing where nothing was ever sent, not even with a cookie of zeros', () => {
    const { records } = newClients();
    for (let record = 0; record < 8; record++) expect(records.find(record, 0)).toBe(NO_RECORD);
    const opened = records.open(3, METHOD.INVITE);
    expect(records.find(opened, cookieOf(records, opened))).toBe(NO_RECORD);
  });

  it('finds a transaction as long as it lingers, and not after', () => {
    const { records, advance } = newClients();
    const bye = send(records, METHOD.BYE);
    const cookie = cookieOf(records, bye);
    records.put(bye, on.RESPONSE_2XX);
    advance(4990, running(records));
    expect(records.find(bye, cookie)).toBe(bye);
    advance(20, running(records));
    expect(records.find(bye, cookie)).toBe(NO_RECORD);
  });

  it('finds neither a freed record nor the next one in its place by the old cookie', () => {
    const { records } = newClients();
    const first = send(records);
    const old = cookieOf(records, first);
    records.terminate(first);
    records.free(first);
    expect(records.find(first, old)).toBe(NO_RECORD);
    const second = send(records);
    expect(second).toBe(first);
    expect(records.find(second, old)).toBe(NO_RECORD);
    expect(records.find(second, cookieOf(records, second))).toBe(second);
  });
});

describe('open', () => {
  it('notes whose transaction it is', () => {
    const { records } = newClients();
    const record = records.open(3, METHOD.CANCEL);
    const at = records.at(record);
    expect([records.words[at + CLIENT.SERVER], records.words[at + CLIENT.METHOD]]).toEqual([3, METHOD.CANCEL]);
  });

  it('begins with nothing of the record before', () => {
    const { records } = newClients(1);
    const first = send(records, METHOD.INVITE, true);
    for (const word of [CLIENT.SIBLING, CLIENT.PARTNER, CLIENT.ACK, CLIENT.TARGET, CLIENT.HOP, CLIENT.BREADTH]) {
      records.words[records.at(first) + word] = 77;
    }
    records.terminate(first);
    records.free(first);
    const at = records.at(records.open(0, METHOD.BYE));
    const left = Object.entries(CLIENT).filter(([, word]) => records.words[at + word] !== 0);
    expect(left.map(([name]) => name)).toEqual(['COOKIE', 'METHOD']);
  });

  it('gives NO_RECORD, and asks for no cookie, when all are in use', () => {
    let asked = 0;
    const { records } = newClients(2, () => ++asked);
    expect([0, 1, 2].map(() => records.open(0, METHOD.BYE))).toEqual([0, 1, NO_RECORD]);
    expect(asked).toBe(2);
  });
});

describe('17.1.1.2 timers of an INVITE', () => {
  it('A doubles without a cap, and B ends it after 64 T1: seven INVITEs in all', () => {
    const { records, advance } = newClients();
    const invite = send(records);
    expect(advance(100_000, running(records))).toEqual([
      ...[500, 1500, 3500, 7500, 15_500, 31_500].map((ms) => `${ms} RETRANSMIT`),
      '32000 TIMEOUT',
    ]);
    expect(records.stateOf(invite)).toBe(TERMINATED);
  });

  it('neither runs any more once a provisional response came', () => {
    const { records, wheel, advance } = newClients();
    const invite = send(records);
    advance(700, running(records));
    records.put(invite, on.RESPONSE_1XX);
    expect(wheel.count).toBe(0);
    records.watch(invite, 180_000);
    expect(advance(200_000)).toEqual(['180700 WATCH']);
  });

  it.each([
    ['D lasts 32 s after a final response that is no 2xx', on.RESPONSE_FINAL],
    ['M lasts 64 T1 after a 2xx (RFC 6026 8.4)', on.RESPONSE_2XX],
  ])('%s, and further ones do not move it', (_, event) => {
    const { records, advance } = newClients();
    const invite = send(records);
    advance(300);
    records.put(invite, event);
    advance(10_000, running(records));
    records.put(invite, event);
    expect(advance(100_000, running(records))).toEqual(['32300 LINGER']);
  });

  it('a watch ends with the final response', () => {
    const { records, advance } = newClients();
    const invite = send(records);
    records.put(invite, on.RESPONSE_1XX);
    records.watch(invite, 20_000);
    records.put(invite, on.RESPONSE_2XX);
    expect(advance(100_000, running(records))).toEqual(['32000 LINGER']);
  });
});

describe('17.1.2.2 timers of other requests', () => {
  const MS = [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];

  it.each([METHOD.BYE, METHOD.CANCEL])('E doubles up to T2, and F ends it: eleven requests of method %i', (method) => {
    const { records, advance } = newClients();
    send(records, method);
    expect(advance(100_000, running(records))).toEqual([...MS.map((ms) => `${ms} RETRANSMIT`), '32000 TIMEOUT']);
  });

  it('E is T2 from its next firing on once a provisional response came, and F stays', () => {
    const { records, advance } = newClients();
    const bye = send(records, METHOD.BYE);
    advance(700, running(records));
    records.put(bye, on.RESPONSE_1XX);
    expect(advance(100_000, running(records))).toEqual([
      ...[1500, 5500, 9500, 13_500, 17_500, 21_500, 25_500, 29_500].map((ms) => `${ms} RETRANSMIT`),
      '32000 TIMEOUT',
    ]);
  });

  it.each([on.RESPONSE_2XX, on.RESPONSE_FINAL])('K lasts T4 after the final response %i', (event) => {
    const { records, advance } = newClients();
    const bye = send(records, METHOD.BYE);
    advance(300);
    records.put(bye, event);
    expect(advance(100_000, running(records))).toEqual(['5300 LINGER']);
  });
});

describe('table 4, over a reliable transport', () => {
  it.each([METHOD.INVITE, METHOD.BYE])('sends nothing again, and ends after 64 T1: method %i', (method) => {
    const { records, advance } = newClients();
    send(records, method, true);
    expect(advance(100_000, running(records))).toEqual(['32000 TIMEOUT']);
  });

  it('does not begin to send again with a provisional response', () => {
    const { records, advance } = newClients();
    records.put(send(records, METHOD.BYE, true), on.RESPONSE_1XX);
    expect(advance(100_000, running(records))).toEqual(['32000 TIMEOUT']);
  });

  it('is over with the final response, but for 2xx to an INVITE (RFC 6026 8.4)', () => {
    const { records, advance } = newClients();
    records.put(send(records, METHOD.INVITE, true), on.RESPONSE_FINAL);
    records.put(send(records, METHOD.BYE, true), on.RESPONSE_2XX);
    records.put(send(records, METHOD.INVITE, true), on.RESPONSE_2XX);
    expect(advance(100_000, running(records))).toEqual(['10 LINGER', '10 LINGER', '32000 LINGER']);
  });
});
