/** How a request finds its server transaction (RFC 3261 17.2.3), and when each timer of it fires (table 4, RFC 6026 8.7,
 *  RFC 4320 4.1). */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { METHOD } from '../../src/sip/methods.ts';
import { ACTION } from '../../src/transaction/actions.ts';
import { SERVER_EVENT } from '../../src/transaction/server-events.ts';
import { SERVER, ServerTransactions } from '../../src/transaction/server-transactions.ts';
import { TimerValues } from '../../src/transaction/timer-settings.ts';
import { FIRED, NO_RECORD, TERMINATED } from '../../src/transaction/transaction-records.ts';
import { TimedRecords } from './timed-records.ts';

const TIMERS = new TimerValues(500, 4000, 5000);
const on = SERVER_EVENT;

function newServers(capacity = 16) {
  return new TimedRecords((clock, wheel, first) => new ServerTransactions(capacity, clock, wheel, first, TIMERS));
}

/** What timers stand for goes back into the machine. */
function running(records: ServerTransactions) {
  const events = {
    [FIRED.RETRANSMIT]: on.TIMER_RETRANSMIT,
    [FIRED.TIMEOUT]: on.TIMER_TIMEOUT,
    [FIRED.LINGER]: on.TIMER_LINGER,
  };
  return (record: number, fired: number) => void records.put(record, events[fired as keyof typeof events]);
}

describe('17.2.3 find', () => {
  it('finds a transaction by its key and method', () => {
    const { records } = newServers();
    const invite = records.open(0x1234, 0x5678, METHOD.INVITE);
    const other = records.open(-0x1234, -0x5678, METHOD.OPTIONS);
    expect(records.find(0x1234, 0x5678, METHOD.INVITE)).toBe(invite);
    expect(records.find(-0x1234, -0x5678, METHOD.OPTIONS)).toBe(other);
  });

  it.each([
    ['another high word', 0x1235, 0x5678, METHOD.INVITE],
    ['a high word of the same bucket', 0x1234 | (1 << 30), 0x5678, METHOD.INVITE],
    ['another low word', 0x1234, 0x5679, METHOD.INVITE],
    ['another method', 0x1234, 0x5678, METHOD.BYE],
    ['nothing but zeros', 0, 0, 0],
  ])('finds nothing by %s', (_, high, low, method) => {
    const { records } = newServers();
    records.open(0x1234, 0x5678, METHOD.INVITE);
    expect(records.find(high, low, method)).toBe(NO_RECORD);
  });

  it('tells transactions of one key apart by their methods: the branch of an INVITE and its CANCEL', () => {
    const { records } = newServers();
    const cancel = records.open(1, 2, METHOD.CANCEL);
    const invite = records.open(1, 2, METHOD.INVITE);
    expect(records.find(1, 2, METHOD.INVITE)).toBe(invite);
    expect(records.find(1, 2, METHOD.CANCEL)).toBe(cancel);
  });

  it('finds nothing in a table that is empty again', () => {
    const { records, advance } = newServers();
    records.put(records.open(1, 2, METHOD.BYE), on.SEND_2XX);
    advance(40_000, running(records));
    expect(records.find(1, 2, METHOD.BYE)).toBe(NO_RECORD);
  });
});

describe('9.2 findCancelled', () => {
  it('finds what a CANCEL of this key is for, whatever its method', () => {
    const { records } = newServers();
    const invite = records.open(1, 2, METHOD.INVITE);
    const options = records.open(3, 4, METHOD.OPTIONS);
    expect(records.findCancelled(1, 2)).toBe(invite);
    expect(records.findCancelled(3, 4)).toBe(options);
    expect(records.findCancelled(1, 4)).toBe(NO_RECORD);
  });
});

describe('open', () => {
  it('gives NO_RECORD when all are in use, and leaves the chains as they are', () => {
    const { records } = newServers(2);
    records.open(1, 1, METHOD.BYE);
    records.open(1, 2, METHOD.BYE);
    expect(records.open(1, 3, METHOD.BYE)).toBe(NO_RECORD);
    expect([1, 2, 3].map((low) => records.find(1, low, METHOD.BYE))).toEqual([0, 1, NO_RECORD]);
  });

  it('begins an INVITE without a timer, since the proxy sends the 100 itself (16.2)', () => {
    const { records, wheel } = newServers();
    records.open(1, 2, METHOD.INVITE);
    expect(wheel.count).toBe(0);
  });
});

describe('unlink', () => {
  it.each([0, 1, 2, 3])('takes record %i out of a chain of four, and leaves the others', (gone) => {
    const { records } = newServers();
    // High words that differ above the mask share a bucket.
    const highs = [5, 5 | (1 << 20), 5 | (1 << 25), 5 | (1 << 31)];
    const opened = highs.map((high) => records.open(high, 7, METHOD.BYE));
    records.unlink(opened[gone]!);
    const found = highs.map((high) => records.find(high, 7, METHOD.BYE));
    expect(found).toEqual(opened.map((record, i) => (i === gone ? NO_RECORD : record)));
  });

  it('does nothing to a record that is in no chain', () => {
    const { records } = newServers();
    const first = records.open(5, 1, METHOD.BYE);
    const second = records.open(5, 2, METHOD.BYE);
    records.unlink(first);
    records.unlink(first);
    expect(records.find(5, 2, METHOD.BYE)).toBe(second);
  });

  it('comes with the end of a transaction: its key is free for another one while the old record is still there', () => {
    const { records, advance } = newServers();
    const old = records.open(1, 2, METHOD.BYE);
    records.put(old, on.SEND_2XX);
    advance(40_000, running(records));
    const fresh = records.open(1, 2, METHOD.BYE);
    expect(fresh).not.toBe(old);
    expect(records.find(1, 2, METHOD.BYE)).toBe(fresh);
    records.free(old);
    expect(records.find(1, 2, METHOD.BYE)).toBe(fresh);
  });

  it('is right after any opening and ending, with keys that collide', () => {
    const key = fc.record({ high: fc.constantFrom(1, 2, 1 | (1 << 20), 1 | (1 << 31)), low: fc.nat(2) });
    const operation = fc.record({ key, method: fc.constantFrom(METHOD.INVITE, METHOD.BYE), isEnd: fc.boolean() });
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 100 }), (operations) => {
        const { records } = newServers(8);
        const model = new Map<string, number>();
        for (const { key, method, isEnd } of operations) {
          const name = `${key.high} ${key.low} ${method}`;
          const known = model.get(name);
          expect(records.find(key.high, key.low, method)).toBe(known ?? NO_RECORD);
          if (isEnd && known !== undefined) {
            records.put(known, method === METHOD.INVITE ? on.SEND_2XX : on.SEND_FINAL);
            records.put(known, on.TIMER_LINGER);
            expect(records.stateOf(known)).toBe(TERMINATED);
            records.free(known);
            model.delete(name);
          } else if (!isEnd && known === undefined) {
            const record = records.open(key.high, key.low, method);
            expect(record === NO_RECORD).toBe(model.size === 8);
            if (record !== NO_RECORD) model.set(name, record);
          }
          expect(records.count).toBe(model.size);
        }
      }),
    );
  });
});

describe('17.2.1 timers of an INVITE', () => {
  it('G doubles up to T2, and H ends it', () => {
    const { records, advance } = newServers();
    const invite = records.open(1, 2, METHOD.INVITE);
    expect(advance(3000)).toEqual([]);
    records.put(invite, on.SEND_FINAL);
    expect(advance(100_000, running(records))).toEqual([
      ...[500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500].map((ms) => `${3000 + ms} RETRANSMIT`),
      '35000 TIMEOUT',
    ]);
    expect(records.find(1, 2, METHOD.INVITE)).toBe(NO_RECORD);
  });

  it('I absorbs further ACKs for T4 after the first', () => {
    const { records, advance } = newServers();
    const invite = records.open(1, 2, METHOD.INVITE);
    records.put(invite, on.SEND_FINAL);
    advance(700, running(records));
    expect(records.isConfirmed(invite)).toBe(false);
    records.put(invite, on.ACK);
    expect(records.isConfirmed(invite)).toBe(true);
    advance(1000, running(records));
    records.put(invite, on.ACK);
    expect(advance(100_000, running(records))).toEqual(['5700 LINGER']);
  });

  it('L (RFC 6026 8.7) lasts 64 T1 from the first 2xx, whatever comes meanwhile', () => {
    const { records, advance } = newServers();
    const invite = records.open(1, 2, METHOD.INVITE);
    records.put(invite, on.SEND_1XX);
    expect(records.isAccepted(invite)).toBe(false);
    advance(1000);
    records.put(invite, on.SEND_2XX);
    expect(records.isAccepted(invite)).toBe(true);
    advance(1000);
    expect(records.put(invite, on.REQUEST)).toBe(0);
    expect(records.put(invite, on.ACK)).toBe(ACTION.PASS_UP);
    expect(records.put(invite, on.SEND_2XX)).toBe(ACTION.SEND);
    expect(advance(100_000, running(records))).toEqual(['33000 LINGER']);
  });
});

describe('17.2.2 timers of other requests', () => {
  it('asks for a 100 once Timer E of the client has reached T2 (RFC 4320 4.1), once', () => {
    const { records, advance } = newServers();
    records.open(1, 2, METHOD.OPTIONS);
    expect(advance(100_000, running(records))).toEqual(['3500 RETRANSMIT']);
  });

  it.each([on.SEND_2XX, on.SEND_FINAL])('J lasts 64 T1 after the final response %i', (event) => {
    const { records, advance } = newServers();
    const options = records.open(1, 2, METHOD.OPTIONS);
    advance(200);
    records.put(options, event);
    advance(1000);
    expect(records.put(options, on.REQUEST)).toBe(ACTION.RETRANSMIT);
    expect(advance(100_000, running(records))).toEqual(['32200 LINGER']);
  });

  it('is never accepted or confirmed, though its states have the same numbers', () => {
    const { records } = newServers();
    const options = records.open(1, 2, METHOD.OPTIONS);
    records.put(options, on.SEND_2XX);
    expect([records.isAccepted(options), records.isConfirmed(options)]).toEqual([false, false]);
  });
});

describe('table 4, over a reliable transport', () => {
  it('sends no final response again, and still waits for the ACK', () => {
    const { records, advance } = newServers();
    records.put(records.open(1, 2, METHOD.INVITE, true), on.SEND_FINAL);
    expect(advance(100_000, running(records))).toEqual(['32000 TIMEOUT']);
  });

  it('is over with the ACK, and with the final response to something else', () => {
    const { records, advance } = newServers();
    const invite = records.open(1, 2, METHOD.INVITE, true);
    records.put(invite, on.SEND_FINAL);
    records.put(invite, on.ACK);
    records.put(records.open(3, 4, METHOD.OPTIONS, true), on.SEND_FINAL);
    expect(advance(100_000, running(records))).toEqual(['10 LINGER', '10 LINGER']);
  });

  it('keeps an accepted INVITE as long as over UDP (RFC 6026 8.7)', () => {
    const { records, advance } = newServers();
    records.put(records.open(1, 2, METHOD.INVITE, true), on.SEND_2XX);
    expect(advance(100_000, running(records))).toEqual(['32000 LINGER']);
  });

  it('leaves the lower bits of the flags to the transaction user', () => {
    const { records } = newServers();
    const invite = records.open(1, 2, METHOD.INVITE);
    records.words[records.at(invite) + SERVER.FLAGS]! |= 0xffff;
    expect(records.machineOf(invite).durations.retransmitMs).toBe(500);
  });
});
