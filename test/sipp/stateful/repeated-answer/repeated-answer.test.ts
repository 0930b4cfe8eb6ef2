/** A 2xx to an INVITE comes again until its ACK does: each goes through, and so does each ACK (RFC 3261 16.7 step 5, RFC
 *  6026 8.4, 8.7). */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers } from '../../../process/server-process.ts';
import { headerOf } from '../../../process/sip-texts.ts';
import { type Arrival, UdpPeer } from '../../../process/udp-peer.ts';
import { endLoadGenerators, runUac } from '../../load-generator.ts';
import { countersOnceIdle, HARMLESS, startStateful } from '../stateful-server.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 20;
const ANSWERS = 3;

describe('a 200 that comes several times', () => {
  it('crosses the proxy each time, and each is acknowledged', async () => {
    const proxy = await startStateful();
    const callee = await UdpPeer.open();
    callee.onArrival = (arrival) => {
      const method = methodOf(arrival);
      const answers = method === 'INVITE' ? ANSWERS : method === 'BYE' ? 1 : 0;
      for (let i = 0; i < answers; i++) void callee.send(answerTo(arrival, callee.hostPort), arrival.from.port);
    };
    const scenario = new URL('./uac.xml', import.meta.url);
    const target = callee.hostPort;
    const figures = await runUac({ scenario, target, by: proxy.by, calls: CALLS, perSec: 50 });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    // SIPp counts as such what it gets again; on a busy machine it also sends some of its own again.
    expect(figures.retransmissions).toBeGreaterThanOrEqual(CALLS * (ANSWERS - 1));
    const counters = await countersOnceIdle(proxy);
    callee.close();
    expect(callee.arrivals.filter((arrival) => methodOf(arrival) === 'ACK')).toHaveLength(CALLS * ANSWERS);
    expect(counters).toMatchObject({
      ...HARMLESS,
      requests_forwarded_total: CALLS * (2 + ANSWERS),
      responses_forwarded_total: CALLS * (ANSWERS + 1),
      late_responses_total: 0,
    });
  });
});

function methodOf({ datagram }: Arrival): string {
  return datagram.subarray(0, datagram.indexOf(' ')).toString('latin1');
}

/** 200 with a tag, the Record-Route and a Contact. */
function answerTo({ datagram }: Arrival, contact: string): Buffer {
  const head = datagram.subarray(0, datagram.indexOf('\r\n\r\n')).toString('latin1').split('\r\n').slice(1);
  const kept = head.filter((line) => /^(?:via|from|call-id|cseq|record-route):/i.test(line));
  const to = headerOf(datagram, 'To')!;
  const tagged = to.includes(';tag=') ? to : `${to};tag=callee`;
  const lines = ['SIP/2.0 200 OK', ...kept, `To: ${tagged}`, `Contact: <sip:${contact}>`, 'Content-Length: 0'];
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}
