/** Two servers in a takeover: what comes, comes to the second; what belongs to transactions of the first goes on there. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RELAY_SOCKET, SLOT_HEADER_BYTES } from '../../../src/memory/layout.ts';
import { createKeyTable, KeyTable, keysIn } from '../../../src/roles/proxy/predecessor.ts';
import { request, statusOf } from '../messages.ts';
import { ALICE, BOB, type Endpoint, type Sent, type VirtualElement } from '../virtual-network.ts';
import { brief, Call, openProxy, replyOf, requestOf, responseOf } from './call.ts';

/** Both, and between them the relay. */
class Pair {
  readonly first = openProxy();
  readonly second = openProxy();
  /** Messages that went over the relay. */
  relayed = 0;

  /** From now on all comes to the second. */
  takeOver(): void {
    this.second.setPredecessor(this.first.transactionKeys());
  }

  /** The first has ended. */
  forget(): void {
    this.second.setPredecessor(null);
  }

  receive(text: string, from: Endpoint): Sent[] {
    return this.second.receive(text, from).flatMap((sent) => {
      if (sent.socket !== RELAY_SOCKET) return [sent];
      this.relayed++;
      return this.first.receive(sent.bytes.subarray(SLOT_HEADER_BYTES), from);
    });
  }
}

/** A call that the first server has begun, and goes on after the takeover. */
function callBefore(prepare: (call: Call) => void = () => undefined) {
  const pair = new Pair();
  const call = new Call({ proxy: pair.first });
  prepare(call);
  pair.takeOver();
  const reply = (status: string, method?: string) =>
    pair.receive(replyOf(BOB, call.reached(BOB, method).text, status), BOB);
  return { pair, call, reply };
}

const nothingHeld = (proxy: VirtualElement) => proxy.occupancy().serverTransactions;

describe('a call of before', () => {
  it('rings, is taken, and a 2xx that comes again goes back again', () => {
    const { pair, reply } = callBefore();
    expect(brief(reply('180 Ringing'))).toEqual(['180 to Alice']);
    expect(brief(reply('200 OK'))).toEqual(['200 to Alice']);
    expect(brief(reply('200 OK'))).toEqual(['200 to Alice']);
    expect(pair.relayed).toBe(3);
    expect(nothingHeld(pair.second)).toBe(0);
  });

  it('is absorbed when it comes again, and does not ring twice', () => {
    const { pair, call, reply } = callBefore();
    reply('180 Ringing');
    expect(brief(pair.receive(call.text, ALICE))).toEqual(['180 to Alice']);
    expect(nothingHeld(pair.second)).toBe(0);
  });

  it('can be cancelled', () => {
    const { pair, reply } = callBefore();
    reply('180 Ringing');
    const cancel = request({ method: 'CANCEL', cseq: '1 CANCEL' });
    const sent = pair.receive(cancel, ALICE);
    expect(brief(sent)).toEqual(['200 to Alice', 'CANCEL to Bob']);
    pair.receive(replyOf(BOB, requestOf(sent, 'CANCEL').text, '200 OK'), BOB);
    expect(brief(reply('487 Request Terminated'))).toEqual(['487 to Alice', 'ACK to Bob']);
  });

  it('fails, and its ACK ends the repetitions of the failure', () => {
    const { pair, call, reply } = callBefore();
    const busy = responseOf(reply('486 Busy Here'), 486);
    const to = /\r\nTo: (.*)\r\n/.exec(busy.text)![1]!;
    expect(pair.receive(request({ method: 'ACK', cseq: '1 ACK', to }), ALICE)).toEqual([]);
    expect(pair.first.pending()).toBe(0);
    expect(call.proxy.advance(10_000)).toEqual([]);
  });

  it('that this server had refused itself is acknowledged there', () => {
    const pair = new Pair();
    const [refusal] = pair.first.receive(request({ uri: 'sip:bob@198.51.100.9', method: 'INVITE' }), {
      address: '203.0.113.66',
      port: 5060,
    });
    expect(statusOf(refusal!.text)).toBe(403);
    expect(pair.first.pending()).toBe(1);
    pair.takeOver();
    const to = /\r\nTo: (.*)\r\n/.exec(refusal!.text)![1]!;
    pair.receive(request({ method: 'ACK', cseq: '1 ACK', to, uri: 'sip:bob@198.51.100.9' }), ALICE);
    expect(pair.first.pending()).toBe(0);
  });

  it('without the magic cookie (RFC 2543) is known too', () => {
    const pair = new Pair();
    const old = { via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=1' };
    const there = requestOf(pair.first.receive(request(old), ALICE), 'INVITE');
    pair.takeOver();
    expect(brief(pair.receive(request(old), ALICE))).toEqual(['100 to Alice']);
    const busy = responseOf(pair.receive(replyOf(BOB, there.text, '486 Busy Here'), BOB), 486);
    const to = /\r\nTo: (.*)\r\n/.exec(busy.text)![1]!;
    pair.receive(request({ ...old, method: 'ACK', cseq: '1 ACK', to }), ALICE);
    expect(pair.first.pending()).toBe(0);
  });
});

describe('a second takeover while the first server still has calls', () => {
  it('passes what is theirs through the server between', () => {
    const { pair, reply } = callBefore();
    const third = openProxy();
    // What a server passes on itself, it passes on to its successor.
    third.setPredecessor(Int32Array.from([...pair.second.transactionKeys(), ...pair.first.transactionKeys()]));
    const toThird = (text: string, from: Endpoint) =>
      third
        .receive(text, from)
        .flatMap((sent) =>
          sent.socket === RELAY_SOCKET
            ? pair.receive(Buffer.from(sent.bytes.subarray(SLOT_HEADER_BYTES)).toString('latin1'), from)
            : [sent],
        );
    reply('180 Ringing');
    const cancelled = toThird(request({ method: 'CANCEL', cseq: '1 CANCEL' }), ALICE);
    expect(brief(cancelled)).toEqual(['200 to Alice', 'CANCEL to Bob']);
  });
});

describe('what begins after', () => {
  it('stays with the new server', () => {
    const { pair } = callBefore();
    const later = { via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlater', callId: 'later' };
    const there = requestOf(pair.receive(request(later), ALICE), 'INVITE');
    expect(brief(pair.receive(replyOf(BOB, there.text, '200 OK'), BOB))).toEqual(['200 to Alice']);
    const ack = { method: 'ACK', to: '<sip:bob@biloxi.example>;tag=1', cseq: '1 ACK' };
    expect(brief(pair.receive(request({ ...later, ...ack, via: `${later.via}ack` }), ALICE))).toEqual(['ACK to Bob']);
    expect(pair.relayed).toBe(0);
  });

  it('within a call of before: its BYE and the ACK to its 2xx are nobody’s in particular', () => {
    const { pair, reply } = callBefore();
    reply('200 OK');
    const before = pair.relayed;
    for (const [method, cseq] of [
      ['ACK', '1 ACK'],
      ['BYE', '2 BYE'],
    ] as const) {
      const within = { method, cseq, to: '<sip:bob@biloxi.example>;tag=1' };
      const sent = pair.receive(request({ ...within, via: `SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK${method}` }), ALICE);
      expect(requestOf(sent, method).to).toEqual(BOB);
    }
    expect(pair.relayed).toBe(before);
  });

  it('once the first has ended, is all of it', () => {
    const { pair, call, reply } = callBefore();
    reply('200 OK');
    pair.forget();
    const before = pair.relayed;
    expect(reply('200 OK'), 'nobody knows it any more').toEqual([]);
    expect(brief(pair.receive(call.text, ALICE))).toEqual(['100 to Alice', 'INVITE to Bob']);
    expect(pair.relayed).toBe(before);
    expect(pair.second.counters()).toMatchObject({ late_responses_total: 1 });
  });
});

describe('a stateless server', () => {
  it('passes nothing on: its messages say all there is to know', () => {
    const first = openProxy({ mode: 'stateless' });
    expect(first.transactionKeys()).toHaveLength(0);
    first.setPredecessor(new Int32Array([1, 2]));
    expect(brief(first.receive(request(), ALICE))).toEqual(['INVITE to Bob']);
  });
});

describe('the table of keys', () => {
  it('has those that were put in, and no others', () => {
    const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    const key = fc.tuple(word, fc.oneof(word, fc.integer({ min: 0, max: 3 })));
    const isKey = ([high, low]: [number, number]) => (high | low) !== 0;
    fc.assert(
      fc.property(fc.array(key.filter(isKey), { maxLength: 3000 }), fc.array(key.filter(isKey)), (keys, others) => {
        const table = new KeyTable(createKeyTable(Int32Array.from(keys.flat())));
        const there = new Set(keys.map(String));
        for (const [high, low] of keys) expect(table.has(high, low)).toBe(true);
        expect(keysIn(createKeyTable(Int32Array.from(keys.flat())))).toHaveLength(2 * keys.length);
        for (const [high, low] of others) expect(table.has(high, low)).toBe(there.has(String([high, low])));
      }),
      { numRuns: 50 },
    );
  });
});
