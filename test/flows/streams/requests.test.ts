/** RFC 3261 16.6 steps 7 to 9, 18.1.1 and RFC 3263 4: which transport a request leaves by, and what it says then. */

import { describe, expect, it } from 'vitest';
import { bodyOf, fieldsOf, replyTo, request, uriOf, valuesOf } from '../messages.ts';
import { MODES } from '../registrar/register.ts';
import { brief, requestOf, responseOf } from '../stateful/call.ts';
import { ALICE, BOB, CHICAGO, type ElementOptions } from '../virtual-network.ts';
import { ALICE_BY_TCP, byTcp, openBoth, TCP, UDP } from './by-stream.ts';

const ABROAD = 'sip:carol@198.51.100.9';
const ENETUNREACH = 101;
const ECONNREFUSED = 111;
const NAMES = {
  hosts: {
    'chicago.example': ['198.51.100.9'],
    '_sip._tcp.both.example': ['SRV 0 0 5070 chicago.example'],
    '_sip._udp.both.example': ['SRV 0 0 5080 chicago.example'],
    '_sip._tcp.stream.example': ['SRV 0 0 5090 chicago.example'],
  },
};

describe.each(MODES)('in mode %s', (mode) => {
  const sentTo = (uri: string, options: ElementOptions = {}, parts: Parameters<typeof request>[0] = {}) => {
    const proxy = openBoth(mode, options);
    return requestOf(proxy.receive(request({ uri, ...parts }), ALICE, UDP), 'INVITE');
  };

  it.each([
    [ABROAD, UDP, 5060],
    [`${ABROAD};transport=udp`, UDP, 5060],
    [`${ABROAD};transport=tcp`, TCP, 5060],
    [`${ABROAD};transport=TCP`, TCP, 5060],
    [`${ABROAD}:5070;transport=tcp`, TCP, 5070],
    ['sip:carol@chicago.example:5071;transport=tcp', TCP, 5071],
    ['sip:carol@chicago.example;transport=tcp', TCP, 5060],
    ['sip:carol@chicago.example', UDP, 5060],
    ['sip:carol@both.example', UDP, 5080],
    ['sip:carol@both.example;transport=tcp', TCP, 5070],
    ['sip:carol@stream.example', TCP, 5090],
  ])('RFC 3263 4: %s', (uri, socket, port) => {
    const sent = sentTo(uri, NAMES);
    expect([sent.socket, sent.to]).toEqual([socket, { address: CHICAGO.address, port }]);
    expect(valuesOf(sent.text, 'Via')[0]).toMatch(`SIP/2.0/${socket === TCP ? 'TCP' : 'UDP'} 192.0.2.254:5060;`);
    if (socket === TCP) expect([sent.connection, sent.onlyConnection]).toEqual([0, false]);
  });

  it('16.6 step 7: a Route says by which transport, whatever the Request-URI does', () => {
    const route = ['<sip:198.51.100.9:5075;transport=tcp;lr>'];
    expect(sentTo('sip:carol@203.0.113.9;transport=udp', {}, { route })).toMatchObject({
      socket: TCP,
      to: { address: '198.51.100.9', port: 5075 },
    });
  });

  it('a next hop of ours says by which transport', () => {
    const sent = sentTo('sip:bob@biloxi.example', { nextHops: ['sip:192.0.2.30:5080;transport=tcp'] });
    expect([sent.socket, sent.to]).toEqual([TCP, BOB]);
  });

  it.each(['sctp', 'ws', 'wss', 'tls', 'foo'])('a transport that there is not, %s, is answered 500', (transport) => {
    const proxy = openBoth(mode);
    const sent = proxy.receive(request({ uri: `${ABROAD};transport=${transport}` }), ALICE, UDP);
    expect(responseOf(sent, 500).text).toContain('Next Hop Transport Not Available');
  });

  it('sips is answered 416 while there is no TLS', () => {
    const proxy = openBoth(mode);
    responseOf(proxy.receive(request({ uri: 'sips:bob@biloxi.example' }), ALICE, UDP), 416);
  });

  it('where this server does not listen by TCP nothing leaves by it', () => {
    const proxy = openBoth(mode, { listen: ['udp:192.0.2.254:5060'] });
    responseOf(proxy.receive(request({ uri: `${ABROAD};transport=tcp` }), ALICE, UDP), 500);
  });

  it('where it listens by TCP alone, that is what is used if nothing else is said', () => {
    const proxy = openBoth(mode, { listen: ['tcp:192.0.2.254:5060'] });
    const sent = requestOf(proxy.receive(byTcp({ uri: ABROAD }), ALICE_BY_TCP, 0), 'INVITE');
    expect([sent.socket, sent.to]).toEqual([0, CHICAGO]);
  });

  it('RFC 6761: a name under .invalid is not looked up, and there is nobody there', () => {
    const proxy = openBoth(mode);
    responseOf(proxy.receive(request({ uri: 'sip:carol@df7jal23ls0d.invalid' }), ALICE, UDP), 500);
  });

  it('16.6 step 9: a Content-Length is added on the way to a stream, of all that the datagram had', () => {
    const sent = sentTo(`${ABROAD};transport=tcp`, {}, { contentLength: null, body: 'v=0\r\n' });
    expect(fieldsOf(sent.text, 'Content-Length')).toEqual(['5']);
    expect(bodyOf(sent.text)).toBe('v=0\r\n');
    const empty = sentTo(`${ABROAD};transport=tcp`, {}, { contentLength: null });
    expect(fieldsOf(empty.text, 'Content-Length')).toEqual(['0']);
  });

  it('16.6 step 9: none is added to a datagram, and no second one anywhere', () => {
    expect(fieldsOf(sentTo(ABROAD, {}, { contentLength: null }).text, 'Content-Length')).toEqual([]);
    const sent = sentTo(`${ABROAD};transport=tcp`, {}, { contentLength: null, headers: ['l: 5'], body: 'v=0\r\n' });
    expect(fieldsOf(sent.text, 'Content-Length')).toEqual(['5']);
  });

  it('from TCP to UDP and back', () => {
    const proxy = openBoth(mode);
    const sent = requestOf(proxy.receive(byTcp({ uri: ABROAD }), ALICE_BY_TCP, TCP), 'INVITE');
    expect([sent.socket, sent.to]).toEqual([UDP, CHICAGO]);
    expect(responseOf(proxy.receive(replyTo(sent.text), CHICAGO, UDP), 200)).toMatchObject({ socket: TCP });
  });

  it('several addresses: the socket beside the one that the request came to', () => {
    const proxy = openBoth(mode, { listen: ['192.0.2.253:5060', '192.0.2.254:5060'] });
    const uri = `${ABROAD};transport=tcp`;
    expect(requestOf(proxy.receive(request({ uri }), ALICE, 2), 'INVITE').socket).toBe(3);
    expect(
      requestOf(proxy.receive(request({ uri, via: 'SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKb' }), ALICE, 0), 'INVITE')
        .socket,
    ).toBe(1);
  });
});

describe.each(MODES)('18.1.1 in mode %s: requests of more than 1,300 bytes', (mode) => {
  /** So long that it leaves as exactly `bytes`. */
  const ofLength = (bytes: number, branch = 'z9hG4bK74bf9') => {
    const via = `SIP/2.0/UDP 192.0.2.10:5060;branch=${branch}`;
    const proxy = openBoth(mode, { settings: { maxUdpRequestBytes: 'off' } });
    const plain = requestOf(proxy.receive(request({ via }), ALICE, UDP), 'INVITE').text.length;
    const pad = (more: number) => request({ via, headers: [`X-Long: ${'x'.repeat(more)}`] });
    return pad(bytes - plain - 'X-Long: \r\n'.length);
  };

  it('leave by TCP, to the same address and port, and say so', () => {
    const proxy = openBoth(mode);
    const sent = requestOf(proxy.receive(ofLength(1301), ALICE, UDP), 'INVITE');
    expect([sent.socket, sent.to]).toEqual([TCP, BOB]);
    expect(valuesOf(sent.text, 'Via')[0]).toMatch(/^SIP\/2\.0\/TCP 192\.0\.2\.254:5060;/);
    const back = responseOf(proxy.receive(replyTo(sent.text), BOB, TCP), 200);
    expect([back.socket, back.to]).toEqual([UDP, ALICE]);
  });

  it('1,300 are not more', () => {
    const sent = requestOf(openBoth(mode).receive(ofLength(1300), ALICE, UDP), 'INVITE');
    expect([sent.socket, sent.text.length]).toEqual([UDP, 1300]);
  });

  it('leave by UDP if that is switched off, and from another length on if that is set', () => {
    const off = openBoth(mode, { settings: { maxUdpRequestBytes: 'off' } });
    expect(requestOf(off.receive(ofLength(1301), ALICE, UDP), 'INVITE').socket).toBe(UDP);
    const set = openBoth(mode, { settings: { maxUdpRequestBytes: 1301 } });
    expect(requestOf(set.receive(ofLength(1301), ALICE, UDP), 'INVITE').socket).toBe(UDP);
  });

  it('leave by UDP where this server has no TCP', () => {
    const proxy = openBoth(mode, { listen: ['udp:192.0.2.254:5060'] });
    expect(requestOf(proxy.receive(ofLength(1301), ALICE, UDP), 'INVITE').socket).toBe(UDP);
  });

  it('leave by UDP at once if TCP is refused, and others to there go by it from the beginning, for a while', () => {
    const proxy = openBoth(mode);
    const moved = requestOf(proxy.receive(ofLength(1301), ALICE, UDP), 'INVITE');
    const byUdp = requestOf(proxy.undeliver(moved), 'INVITE');
    expect([byUdp.socket, byUdp.to]).toEqual([UDP, BOB]);
    expect(valuesOf(byUdp.text, 'Via')[0]).toMatch(/^SIP\/2\.0\/UDP /);
    const other = requestOf(proxy.receive(ofLength(1301, 'z9hG4bK74bfA'), ALICE, UDP), 'INVITE');
    expect(other.socket).toBe(UDP);
    proxy.advance(32_001);
    expect(requestOf(proxy.receive(ofLength(1301, 'z9hG4bK74bfB'), ALICE, UDP), 'INVITE').socket).toBe(TCP);
  });
});

describe('18.1.1 with transactions', () => {
  const long = (uri = 'sip:bob@biloxi.example') => request({ uri, headers: [`X-Long: ${'x'.repeat(1300)}`] });

  it('a request that goes by UDP after all is another branch, sent again as any other, and counts as no failure of the hop', () => {
    const proxy = openBoth('stateful', { nextHops: ['sip:192.0.2.30:5080', 'sip:192.0.2.31:5080'] });
    const moved = requestOf(proxy.receive(long(), ALICE, UDP), 'INVITE');
    const first = requestOf(proxy.undeliver(moved), 'INVITE');
    expect(first.to).toEqual(moved.to);
    expect(valuesOf(first.text, 'Via')[0]).not.toBe(valuesOf(moved.text, 'Via')[0]);
    const again = requestOf(proxy.advance(500), 'INVITE');
    expect(again).toMatchObject({ socket: UDP, to: moved.to, text: first.text });
    const other = requestOf(
      proxy.receive(request({ callId: 'x', via: 'SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKx' }), ALICE),
      'INVITE',
    );
    expect(proxy.counters().failovers_total).toBe(1);
    expect(other.socket).toBe(UDP);
  });

  it('is not tried by TCP again, even if its ends come and go', () => {
    const proxy = openBoth('stateful');
    const moved = requestOf(proxy.receive(long(), ALICE, UDP), 'INVITE');
    const byUdp = requestOf(proxy.undeliver(moved), 'INVITE');
    expect(brief(proxy.undeliver(byUdp))).toEqual(['500 to Alice']);
  });

  it('a request that asked for TCP is not sent by UDP', () => {
    const proxy = openBoth('stateful');
    const sent = requestOf(proxy.receive(long(`${ABROAD};transport=tcp`), ALICE, UDP), 'INVITE');
    expect(brief(proxy.undeliver(sent))).toEqual(['500 to Alice']);
  });

  it.each(['ACK', 'CANCEL'])(
    '%s that has none goes by UDP, too, where nobody takes TCP, and is sent once',
    (method) => {
      const proxy = openBoth('stateful');
      const text = request({
        method,
        via: 'SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKloose',
        to: '<sip:bob@example.org>;tag=9',
        headers: [`X-Long: ${'x'.repeat(1300)}`],
      });
      const moved = requestOf(proxy.receive(text, ALICE, UDP), method);
      expect(moved.socket).toBe(TCP);
      const byUdp = requestOf(proxy.undeliver(moved), method);
      expect([byUdp.socket, byUdp.to]).toEqual([UDP, BOB]);
      expect(byUdp.text).toBe(moved.text.replace('SIP/2.0/TCP', 'SIP/2.0/UDP'));
      expect(requestOf(proxy.receive(text, ALICE, UDP), method).socket).toBe(UDP);
      expect(proxy.undeliver(byUdp)).toEqual([]);
    },
  );

  it('an ACK that asked for TCP is lost where nobody takes it, and says nothing about others', () => {
    const proxy = openBoth('stateful');
    const ack = request({ method: 'ACK', uri: `${ABROAD};transport=tcp`, headers: [`X-Long: ${'x'.repeat(1300)}`] });
    expect(proxy.undeliver(requestOf(proxy.receive(ack, ALICE, UDP), 'ACK'))).toEqual([]);
    expect(requestOf(proxy.receive(long(ABROAD), ALICE, UDP), 'INVITE').socket).toBe(TCP);
  });

  it('ACK and CANCEL go the way of their INVITE', () => {
    const proxy = openBoth('stateful');
    const moved = requestOf(proxy.receive(long(), ALICE, UDP), 'INVITE');
    proxy.receive(replyTo(moved.text, '180 Ringing'), BOB, TCP);
    const cancel = requestOf(proxy.receive(request({ method: 'CANCEL' }), ALICE, UDP), 'CANCEL');
    expect([cancel.socket, cancel.to]).toEqual([TCP, BOB]);
    expect(valuesOf(cancel.text, 'Via')).toEqual([valuesOf(moved.text, 'Via')[0]]);
    const ack = requestOf(proxy.receive(replyTo(moved.text, '487 Request Terminated'), BOB, TCP), 'ACK');
    expect([ack.socket, ack.to, uriOf(ack.text)]).toEqual([TCP, BOB, uriOf(moved.text)]);
    expect(fieldsOf(ack.text, 'Content-Length')).toEqual(['0']);
  });
});

describe('18.4, 16.9 without transactions', () => {
  const LONG = { headers: [`X-Long: ${'x'.repeat(1300)}`] };
  const open = (options: ElementOptions = {}) => openBoth('stateless', options);
  const tcp = `${ABROAD};transport=tcp`;

  it('a request that goes by UDP after all is the same one: retransmission, branch and body', () => {
    const proxy = open();
    const text = request({ ...LONG, body: 'v=0\r\n' });
    const moved = requestOf(proxy.receive(text, ALICE, UDP), 'INVITE');
    const byUdp = requestOf(proxy.undeliver(moved), 'INVITE');
    expect(byUdp.text).toBe(moved.text.replace('SIP/2.0/TCP', 'SIP/2.0/UDP'));
    expect(requestOf(proxy.receive(text, ALICE, UDP), 'INVITE').text).toBe(byUdp.text);
    const back = responseOf(proxy.receive(replyTo(byUdp.text), BOB, UDP), 200);
    expect([back.socket, back.to]).toEqual([UDP, ALICE]);
    expect(proxy.counters()).toMatchObject({ requests_received_total: 2, invite_requests_total: 2 });
  });

  it('the CANCEL of one goes by UDP with its branch and sent-by, which is what 17.2.3 compares', () => {
    const proxy = open();
    const moved = requestOf(proxy.receive(request(LONG), ALICE, UDP), 'INVITE');
    const cancel = requestOf(proxy.receive(request({ method: 'CANCEL' }), ALICE, UDP), 'CANCEL');
    expect(cancel).toMatchObject({ socket: UDP, to: moved.to });
    const [ofInvite, ofCancel] = [valuesOf(moved.text, 'Via')[0]!, valuesOf(cancel.text, 'Via')[0]!];
    expect(ofCancel).toBe(ofInvite.replace('/TCP', '/UDP'));
  });

  it('an ACK goes by UDP as well, and is not answered where that fails, too', () => {
    const proxy = open({ refuse: ({ socket }) => (socket === UDP ? ENETUNREACH : 0) });
    const ack = requestOf(proxy.receive(request({ ...LONG, method: 'ACK' }), ALICE, UDP), 'ACK');
    expect(ack.socket).toBe(TCP);
    expect(proxy.undeliver(ack)).toEqual([]);
    expect(proxy.counters().send_errors_total).toBe(2);
    const well = open();
    const moved = requestOf(well.receive(request({ ...LONG, method: 'ACK' }), ALICE, UDP), 'ACK');
    expect(requestOf(well.undeliver(moved), 'ACK')).toMatchObject({ socket: UDP, to: BOB });
  });

  it('what UDP refuses as well is answered 500, once', () => {
    const proxy = open({
      refuse: ({ socket, to }) => (socket === UDP && to.address === BOB.address ? ENETUNREACH : 0),
    });
    const moved = requestOf(proxy.receive(request(LONG), ALICE, UDP), 'INVITE');
    expect(brief(proxy.undeliver(moved))).toEqual(['500 to Alice']);
  });

  it('what comes back for the second time is answered, whatever it was sent by', () => {
    const proxy = open({ settings: { maxUdpRequestBytes: 1300 } });
    const moved = requestOf(proxy.receive(request(LONG), ALICE, UDP), 'INVITE');
    // Nobody remembers so long that the place takes no TCP.
    const EAGAIN = 11;
    const again = requestOf(proxy.undeliver(moved, EAGAIN), 'INVITE');
    expect(again).toMatchObject({ socket: TCP, text: moved.text });
    expect(brief(proxy.undeliver(again))).toEqual(['500 to Alice']);
  });

  it.each(['INVITE', 'OPTIONS', 'CANCEL'])(
    '%s that finds nobody is answered 500, as a datagram that is refused',
    (method) => {
      const proxy = open();
      const sent = requestOf(proxy.receive(request({ method, uri: tcp }), ALICE, UDP), method);
      const answer = responseOf(proxy.undeliver(sent), 500);
      expect([answer.socket, answer.to]).toEqual([UDP, ALICE]);
      const refusing = open({ refuse: ({ socket }) => (socket === TCP ? ECONNREFUSED : 0) });
      expect(brief(refusing.receive(request({ method, uri: tcp }), ALICE, UDP))).toEqual(brief([answer]));
    },
  );

  it('its answer goes by the connection that it came by, and the ACK to it ends here', () => {
    const proxy = open();
    const sent = requestOf(proxy.receive(byTcp({ uri: tcp }), ALICE_BY_TCP, TCP), 'INVITE');
    const answer = responseOf(proxy.undeliver(sent), 500);
    expect(answer).toMatchObject({ socket: TCP, connection: ALICE_BY_TCP.connection });
    const to = valuesOf(answer.text, 'To')[0]!;
    expect(proxy.receive(byTcp({ method: 'ACK', uri: tcp, to }), ALICE_BY_TCP, TCP)).toEqual([]);
  });

  it('an ACK that finds nobody is not answered, nor is a response', () => {
    const proxy = open();
    const ack = requestOf(proxy.receive(request({ method: 'ACK', uri: tcp }), ALICE, UDP), 'ACK');
    expect(proxy.undeliver(ack)).toEqual([]);
    const invite = requestOf(proxy.receive(byTcp({ uri: ABROAD }), ALICE_BY_TCP, TCP), 'INVITE');
    const ok = responseOf(proxy.receive(replyTo(invite.text), CHICAGO, UDP), 200);
    expect(proxy.undeliver(ok)).toEqual([]);
  });

  it('a long request that asked for TCP is not sent by UDP, and says nothing about others', () => {
    const proxy = open({ nextHops: ['sip:198.51.100.9'] });
    const sent = requestOf(proxy.receive(request({ ...LONG, uri: tcp }), ALICE, UDP), 'INVITE');
    expect(brief(proxy.undeliver(sent))).toEqual(['500 to Alice']);
    const other = request({ ...LONG, via: 'SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKother' });
    expect(requestOf(proxy.receive(other, ALICE, UDP), 'INVITE')).toMatchObject({ socket: TCP, to: CHICAGO });
  });
});
