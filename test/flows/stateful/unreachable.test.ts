/** What ICMP says of a destination, RFC 3261 18.4, 17.1.4, 16.9; where to go then, RFC 3263 4.3. */

import { describe, expect, it } from 'vitest';
import { request, startLineOf } from '../messages.ts';
import { ALICE, BOB } from '../virtual-network.ts';
import { openProxy } from './call.ts';

const FIRST = { address: '192.0.2.30', port: 5080 };
const SECOND = { address: '192.0.2.31', port: 5080 };
const TWO_HOPS = {
  nextHops: ['sip:192.0.2.30:5080', 'sip:192.0.2.31:5080'].map((uri, priority) => ({ uri, priority })),
};

describe('18.4 and 17.1.4, a destination that ICMP says is unreachable', () => {
  it('is given up for the next one when Timer A would send the INVITE again', () => {
    const proxy = openProxy({ settings: TWO_HOPS });
    expect(proxy.receive(request(), ALICE)[1]!.to).toEqual(FIRST);
    proxy.noteUnreachable(FIRST);
    const sent = proxy.advance(520);
    expect(sent.map(({ text, to }) => ({ start: startLineOf(text), to }))).toEqual([
      { start: 'INVITE sip:bob@biloxi.example SIP/2.0', to: SECOND },
    ]);
    expect(proxy.counters()).toMatchObject({ failovers_total: 1 });
    // And the next call does not try it.
    expect(
      proxy.receive(request({ via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK2', callId: '2' }), ALICE)[1]!.to,
    ).toEqual(SECOND);
  });

  it('is a 500 where there is no other', () => {
    const proxy = openProxy();
    proxy.receive(request(), ALICE);
    proxy.noteUnreachable(BOB);
    expect(proxy.advance(520).map(({ text }) => startLineOf(text))).toEqual(['SIP/2.0 500 Next Hop Unreachable']);
  });

  it('is sent to again if it was another port, or if what came back was sent long ago', () => {
    const proxy = openProxy();
    proxy.noteUnreachable(BOB);
    proxy.advance(5000);
    proxy.receive(request(), ALICE);
    proxy.noteUnreachable({ ...BOB, port: 5081 });
    expect(proxy.advance(520).map(({ text }) => startLineOf(text))).toEqual(['INVITE sip:bob@biloxi.example SIP/2.0']);
  });
});
