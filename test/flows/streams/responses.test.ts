/** RFC 3261 18.2.1, 18.2.2 over connections: what a request gets that came by TCP, and by which way responses go back. */

import { describe, expect, it } from 'vitest';
import { branchOf, fieldsOf, parameterOf, replyTo, request, statusOf, valuesOf } from '../messages.ts';
import { MODES } from '../registrar/register.ts';
import { requestOf, responseOf } from '../stateful/call.ts';
import { ALICE, BOB, STRANGER } from '../virtual-network.ts';
import { ALICE_BY_TCP, ALICE_TCP_VIA, byTcp, openBoth, TCP, UDP } from './by-stream.ts';

const BY_HER_CONNECTION = { socket: TCP, connection: ALICE_BY_TCP.connection, onlyConnection: false };

describe.each(MODES)('in mode %s', (mode) => {
  it('18.2.1: the Via says where the connection comes from, and its port if that is asked for', () => {
    const proxy = openBoth(mode);
    const via = 'SIP/2.0/TCP alice.atlanta.example:5070;rport;branch=z9hG4bK1';
    const { text } = requestOf(proxy.receive(byTcp({ via }), ALICE_BY_TCP, TCP), 'INVITE');
    const [, second] = valuesOf(text, 'Via') as [string, string];
    expect(parameterOf(second, 'received')).toBe('192.0.2.10');
    expect(parameterOf(second, 'rport')).toBe('40123');
  });

  it('18.2.1: nothing is added where the sent-by is the address of the connection', () => {
    const proxy = openBoth(mode);
    const { text } = requestOf(proxy.receive(byTcp(), ALICE_BY_TCP, TCP), 'INVITE');
    expect(valuesOf(text, 'Via')[1]).toBe(ALICE_TCP_VIA);
  });

  it('18.2.2: responses go by the connection of the request, or else to the received and the port of the sent-by', () => {
    const proxy = openBoth(mode);
    const via = 'SIP/2.0/TCP alice.atlanta.example:5070;rport;branch=z9hG4bK1';
    const { text } = requestOf(proxy.receive(byTcp({ via }), ALICE_BY_TCP, TCP), 'INVITE');
    for (const status of ['180 Ringing', '200 OK']) {
      const back = responseOf(proxy.receive(replyTo(text, status), BOB, UDP), Number(status.slice(0, 3)));
      expect(back).toMatchObject({ ...BY_HER_CONNECTION, to: { address: '192.0.2.10', port: 5070 } });
    }
  });

  it('18.2.2: without a port the default one is where a new connection would go', () => {
    const proxy = openBoth(mode);
    const via = 'SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1';
    const { text } = requestOf(proxy.receive(byTcp({ via }), ALICE_BY_TCP, TCP), 'INVITE');
    const back = responseOf(proxy.receive(replyTo(text), BOB, UDP), 200);
    expect(back).toMatchObject({ ...BY_HER_CONNECTION, to: { address: '192.0.2.10', port: 5060 } });
  });

  it('18.2.2: a maddr is for datagrams', () => {
    const proxy = openBoth(mode);
    const via = 'SIP/2.0/TCP 192.0.2.10;maddr=203.0.113.7;branch=z9hG4bK1';
    const { text } = requestOf(proxy.receive(byTcp({ via }), ALICE_BY_TCP, TCP), 'INVITE');
    const back = responseOf(proxy.receive(replyTo(text), BOB, UDP), 200);
    expect(back).toMatchObject({ ...BY_HER_CONNECTION, to: { address: '192.0.2.10', port: 5060 } });
  });

  it('answers of our own go by the connection, too', () => {
    const proxy = openBoth(mode);
    const [sent] = proxy.receive(byTcp({ uri: 'sips:bob@biloxi.example' }), ALICE_BY_TCP, TCP);
    expect(statusOf(sent!.text)).toBe(416);
    expect(sent).toMatchObject({ ...BY_HER_CONNECTION, to: ALICE });
  });

  it('each client has its own, whatever the order of their responses', () => {
    const proxy = openBoth(mode);
    const reached = [0x7001, 0x7002, 0x7003].map((connection, i) => {
      const text = byTcp({ via: `${ALICE_TCP_VIA}${i}`, callId: `call-${i}` });
      const sent = proxy.receive(text, { ...ALICE_BY_TCP, connection }, TCP);
      return [connection, requestOf(sent, 'INVITE').text] as const;
    });
    for (const [connection, text] of reached.reverse()) {
      expect(responseOf(proxy.receive(replyTo(text), BOB, UDP), 200).connection).toBe(connection);
    }
  });

  it('18.2.2: a response by UDP to a request by UDP says nothing of connections', () => {
    const proxy = openBoth(mode);
    const { text } = requestOf(proxy.receive(request(), ALICE, UDP), 'INVITE');
    expect(valuesOf(text, 'Via')[0]).not.toContain(';i=');
    const back = responseOf(proxy.receive(replyTo(text), BOB, UDP), 200);
    expect([back.socket, back.to]).toEqual([UDP, ALICE]);
  });

  it('18.3: a response to a connection gets the Content-Length that it came without', () => {
    const proxy = openBoth(mode);
    const { text } = requestOf(proxy.receive(byTcp(), ALICE_BY_TCP, TCP), 'INVITE');
    const reply = replyTo(text, '200 OK', 'v=0\r\n').replace(/Content-Length: \d+\r\n/, '');
    const back = responseOf(proxy.receive(reply, BOB, UDP), 200).text;
    expect(fieldsOf(back, 'Content-Length')).toEqual(['5']);
    expect(back.endsWith('\r\n\r\nv=0\r\n')).toBe(true);
  });
});

describe('16.11, the connection in the Via of a stateless proxy', () => {
  const open = () => openBoth('stateless');

  it('is a parameter, while the branch is that of the message: CANCEL and ACK have the same', () => {
    const proxy = open();
    const vias = ['INVITE', 'CANCEL', 'ACK'].map(
      (method) => valuesOf(requestOf(proxy.receive(byTcp({ method }), ALICE_BY_TCP, TCP), method).text, 'Via')[0]!,
    );
    expect(vias.map((via) => parameterOf(via, 'i'))).toEqual(['00007001', '00007001', '00007001']);
    const byAnother = proxy.receive(byTcp(), { ...ALICE_BY_TCP, connection: 0x7002 }, TCP);
    vias.push(valuesOf(requestOf(byAnother, 'INVITE').text, 'Via')[0]!);
    expect(new Set(vias.map((via) => parameterOf(via, 'branch'))).size).toBe(1);
  });

  it('is found in a Via that others have added to', () => {
    const proxy = open();
    const { text } = requestOf(proxy.receive(byTcp(), ALICE_BY_TCP, TCP), 'INVITE');
    const [ours] = valuesOf(text, 'Via') as [string];
    for (const via of [
      `${ours};received=192.0.2.254`,
      ours.replace(/;branch=[^;]*/, '').concat(`;branch=${branchOf(text)}`),
    ]) {
      const back = responseOf(proxy.receive(replyTo(text).replace(ours, via), BOB, UDP), 200);
      expect(back).toMatchObject(BY_HER_CONNECTION);
    }
  });

  it.each(['xyz', '7001', '0000700g', '123456789', ''])('is nothing if it says %j', (value) => {
    const proxy = open();
    const { text } = requestOf(proxy.receive(byTcp(), ALICE_BY_TCP, TCP), 'INVITE');
    const reply = replyTo(text).replace(';i=00007001', value === '' ? '' : `;i=${value}`);
    const back = responseOf(proxy.receive(reply, BOB, UDP), 200);
    expect(back).toMatchObject({ connection: 0, to: ALICE });
  });

  it('in a Via that never was ours is nothing: the response is dropped', () => {
    const proxy = open();
    const { text } = requestOf(proxy.receive(byTcp(), ALICE_BY_TCP, TCP), 'INVITE');
    const forged = replyTo(text).replace('192.0.2.254:5060', '192.0.2.253:5060');
    expect(proxy.receive(forged, STRANGER, UDP)).toEqual([]);
  });

  it.each(['TCP', 'TLS', 'SCTP', 'UDP'])('a response goes back as its request came, whose Via says %s', (name) => {
    const proxy = open();
    const byUdp = request({ via: `SIP/2.0/${name} 192.0.2.10:5060;branch=z9hG4bKu` });
    const first = requestOf(proxy.receive(byUdp, ALICE, UDP), 'INVITE');
    expect(responseOf(proxy.receive(replyTo(first.text), BOB, UDP), 200)).toMatchObject({ socket: UDP, to: ALICE });
    const byTcp = request({ via: `SIP/2.0/${name} 192.0.2.10:5060;branch=z9hG4bKt` });
    const second = requestOf(proxy.receive(byTcp, { ...ALICE, connection: 0x51 }, TCP), 'INVITE');
    const back = responseOf(proxy.receive(replyTo(second.text), BOB, UDP), 200);
    expect([back.socket, back.connection]).toEqual([TCP, 0x51]);
  });
});
