/** What operators see of the transactions and the next hops of a shard. */

import { describe, expect, it } from 'vitest';
import { request } from '../messages.ts';
import { ALICE, BOB, createElement } from '../virtual-network.ts';
import { CAROL, Call, forkTo, openProxy, responseOf } from './call.ts';

const CALL_ID = '2xTb9vxSit55XU7p8@atlanta.example';

describe('a transaction', () => {
  it('is listed with its branches, from the moment it begins', () => {
    const call = new Call({ settings: forkTo(BOB, CAROL) });
    call.reply(CAROL, '180 Ringing');
    call.advance(1500);
    expect(call.proxy.transactions()).toEqual({
      cursor: null,
      transactions: [
        {
          method: 'INVITE',
          state: 'proceeding',
          peer: '192.0.2.10:5060',
          callId: CALL_ID,
          requestUri: 'sip:bob@biloxi.example',
          ageMs: 1500,
          pending: 2,
          branches: [
            { method: 'INVITE', state: 'calling', peer: '192.0.2.30:5080' },
            { method: 'INVITE', state: 'proceeding', peer: '192.0.2.31:5080' },
          ],
        },
      ],
    });
    call.reply(CAROL, '603 Decline');
    call.reply(BOB, '487 Request Terminated');
    call.acknowledge(responseOf(call.sent, 603));
  });

  it('that is cancelled shows the CANCEL beside its branch', () => {
    const call = new Call();
    call.reply(BOB, '180 Ringing');
    call.cancel();
    const methods = call.proxy
      .transactions({ method: 'INVITE' })
      .transactions.map(({ branches }) => branches.map(({ method }) => method));
    expect(methods).toEqual([['INVITE', 'CANCEL']]);
    call.reply(BOB, '200 OK', 'CANCEL');
    call.reply(BOB, '487 Request Terminated', 'INVITE');
    call.acknowledge(responseOf(call.sent, 487));
  });

  it('that was answered with a 2xx is there as accepted, without what it no longer keeps', () => {
    const call = new Call();
    call.reply(BOB, '200 OK');
    expect(call.proxy.transactions().transactions).toMatchObject([
      { state: 'accepted', callId: null, requestUri: null, ageMs: null, pending: 0, branches: [{ state: 'accepted' }] },
    ]);
    expect(call.proxy.transactions({ callId: CALL_ID }).transactions).toEqual([]);
  });

  it('other than an INVITE has its Call-ID from the response that it keeps', () => {
    const call = new Call({ request: { method: 'OPTIONS' } });
    call.reply(BOB, '200 OK');
    expect(call.proxy.transactions().transactions).toMatchObject([
      { method: 'OPTIONS', state: 'completed', callId: CALL_ID, requestUri: null, ageMs: null },
    ]);
  });

  it('is gone when its timers have run out', () => {
    const call = new Call();
    call.reply(BOB, '200 OK');
    call.advance(40_000);
    expect(call.proxy.transactions()).toEqual({ transactions: [], cursor: null });
  });
});

describe('a list', () => {
  /** Calls 0 … count − 1, all of them ringing. */
  function ringing(count: number) {
    const proxy = openProxy({ keptKib: 16_384, settings: { limits: { transactions: 4096 } } });
    for (let i = 0; i < count; i++) {
      const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKlist${i}`;
      proxy.receive(request({ via, callId: `call-${i}@list` }), ALICE);
    }
    return proxy;
  }
  const callIds = (transactions: readonly { readonly callId: string | null }[]) =>
    transactions.map(({ callId }) => callId);

  it('is as long as was asked for, and says where to go on', () => {
    const proxy = ringing(5);
    const first = proxy.transactions({ limit: 2 });
    expect(callIds(first.transactions)).toEqual(['call-0@list', 'call-1@list']);
    const second = proxy.transactions({ limit: 10, cursor: first.cursor! });
    expect(callIds(second.transactions)).toEqual(['call-2@list', 'call-3@list', 'call-4@list']);
    expect(second.cursor).toBeNull();
  });

  it('looks at a bounded number of records at once, at fewer where each message is read', () => {
    const proxy = ringing(1500);
    expect(proxy.transactions({ state: 'completed' })).toEqual({ transactions: [], cursor: null });
    const first = proxy.transactions({ callId: 'call-1499@list' });
    expect(first).toEqual({ transactions: [], cursor: 1024 });
    expect(callIds(proxy.transactions({ callId: 'call-1499@list', cursor: 1024 }).transactions)).toEqual([
      'call-1499@list',
    ]);
  });

  it.each([
    [{ callId: 'call-1@list' }, 1],
    [{ callId: 'call-1@lisT' }, 0],
    [{ method: 'INVITE' }, 3],
    [{ method: 'BYE' }, 0],
    [{ state: 'proceeding' }, 3],
    [{ state: 'accepted' }, 0],
    [{ cursor: 1 }, 2],
    [{ cursor: 1_000_000 }, 0],
  ])('of %j has %i of three', (question, count) => {
    expect(ringing(3).transactions(question).transactions).toHaveLength(count);
  });

  it('is empty in stateless mode', () => {
    const proxy = createElement();
    proxy.receive(request(), ALICE);
    expect(proxy.transactions()).toEqual({ transactions: [], cursor: null });
    expect(proxy.hops()).toBeNull();
  });
});

describe('next hops', () => {
  it('are listed with their failures and their rest', () => {
    const call = new Call({ element: { nextHops: ['sip:192.0.2.30:5080', 'sip:192.0.2.31:5080'] } });
    const asked = call.sent.at(-1)!.to.address === BOB.address ? BOB : CAROL;
    const up = { restsForMs: 0, failures: 0, failedAgoMs: null };
    expect(call.proxy.hops()).toEqual([
      { uri: 'sip:192.0.2.30:5080', ...up },
      { uri: 'sip:192.0.2.31:5080', ...up },
    ]);
    call.reply(asked, '503 Service Unavailable');
    call.advance(1000);
    const failed = call.proxy.hops()!.find(({ uri }) => uri === `sip:${asked.address}:5080`);
    expect(failed).toMatchObject({ failures: 1, failedAgoMs: 1000, restsForMs: expect.any(Number) });
    expect(failed!.restsForMs).toBeGreaterThan(0);
    expect(call.proxy.hops()!.filter(({ failures }) => failures === 0)).toHaveLength(1);
    call.reply(asked === BOB ? CAROL : BOB, '200 OK');
  });
});
