/** 16.11 under a reload: retransmissions, the CANCEL and the ACK of an INVITE go where the INVITE went. */

import { describe, expect, it } from 'vitest';
import { type RequestParts, request } from '../messages.ts';
import { brief, CAROL, DAVE } from '../stateful/call.ts';
import { ALICE, BOB, createElement, type Endpoint } from '../virtual-network.ts';

const hopTo = ({ address, port }: Endpoint) => ({ nextHops: [`sip:${address}:${port}`] });
const open = () => createElement({ settings: hopTo(BOB) });
/** Alice's call of this number. Without the cookie it is by a client of RFC 2543. */
const ofCall = (number: number, method: string, isOld = false): string => {
  const parts: RequestParts = {
    method,
    cseq: `1 ${method}`,
    callId: `${number}@atlanta.example`,
    via: `SIP/2.0/UDP 192.0.2.10:5060;branch=${isOld ? '' : 'z9hG4bK'}call${number}`,
  };
  return request(parts);
};
/** Timer C and 64 × T1 of the defaults. */
const LIFETIME_MS = 185_000 + 32_000;

describe.each([false, true])('a reload without transactions (RFC 2543 client: %s)', (isOld) => {
  const send = (proxy: ReturnType<typeof open>, number: number, method: string) =>
    brief(proxy.receive(ofCall(number, method, isOld), ALICE));

  it('sends what belongs to an INVITE after it, and new ones the new way', () => {
    const proxy = open();
    expect(send(proxy, 1, 'INVITE')).toEqual(['INVITE to Bob']);
    proxy.reload(hopTo(CAROL));
    expect(send(proxy, 2, 'INVITE')).toEqual(['INVITE to Carol']);
    for (const method of ['INVITE', 'CANCEL', 'ACK']) {
      expect(send(proxy, 1, method)).toEqual([`${method} to Bob`]);
      expect(send(proxy, 2, method)).toEqual([`${method} to Carol`]);
    }
    proxy.reload(hopTo(DAVE));
    for (const method of ['INVITE', 'CANCEL', 'ACK']) {
      expect(send(proxy, 1, method)).toEqual([`${method} to Bob`]);
      expect(send(proxy, 2, method)).toEqual([`${method} to Carol`]);
      expect(send(proxy, 3, method)).toEqual([`${method} to Dave`]);
    }
  });

  it('keeps the old tables as long as a transaction may last, and no longer', () => {
    const proxy = open();
    send(proxy, 1, 'INVITE');
    proxy.reload(hopTo(CAROL));
    proxy.advance(LIFETIME_MS - 1);
    expect(send(proxy, 1, 'CANCEL')).toEqual(['CANCEL to Bob']);
    expect(proxy.snapshotCount()).toBe(2);
    proxy.advance(2);
    expect(proxy.snapshotCount()).toBe(1);
    expect(send(proxy, 1, 'CANCEL')).toEqual(['CANCEL to Carol']);
  });

  it('lets the oldest tables go when there are too many', () => {
    const proxy = open();
    send(proxy, 0, 'INVITE');
    for (let i = 1; i <= 20; i++) {
      proxy.reload(hopTo(i % 2 === 0 ? BOB : CAROL));
      send(proxy, i, 'INVITE');
    }
    expect(proxy.snapshotCount()).toBe(16);
    expect(send(proxy, 19, 'CANCEL')).toEqual(['CANCEL to Carol']);
    expect(send(proxy, 5, 'CANCEL')).toEqual(['CANCEL to Carol']);
    expect(send(proxy, 1, 'CANCEL')).toEqual(['CANCEL to Bob']);
  });
});

describe('a request that waits for a name while the configuration is exchanged', () => {
  it('is the business of the one that it came under', () => {
    const proxy = createElement({ settings: hopTo(BOB), trusted: ['192.0.2.0/24'] });
    const text = request({ uri: 'sip:bob@chicago.example' });
    expect(brief(proxy.receive(text, ALICE))).toEqual(['INVITE to 198.51.100.9:5060']);
    proxy.reload({ ...hopTo(BOB), trusted: [] });
    expect(brief(proxy.receive(text, ALICE))).toEqual(['INVITE to 198.51.100.9:5060']);
    expect(
      brief(
        proxy.receive(
          request({ uri: 'sip:bob@chicago.example', via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKnew' }),
          ALICE,
        ),
      ),
    ).toEqual(['403 to Alice']);
  });
});
