/** RFC 3261 16.4, 16.6 step 4, 16.12 and RFC 5658 across transports: what the Record-Route says, and that it is known again. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, replyTo, request, uriOf, valuesOf } from '../messages.ts';
import { openProxy, requestOf } from '../stateful/call.ts';
import { ALICE, BOB, CHICAGO, type Endpoint, type VirtualElement } from '../virtual-network.ts';
import { ALICE_BY_TCP, ALICE_TCP_VIA, BOTH, byTcp, TCP, UDP } from './by-stream.ts';

const BY_UDP = '<sip:192.0.2.254:5060;lr>';
const BY_TCP = '<sip:192.0.2.254:5060;transport=tcp;lr>';
const CAROL_URI = 'sip:carol@198.51.100.9';

const open = (options = {}) => openProxy({ ...BOTH, ...options });
const routesOf = (text: string) => fieldsOf(text, 'Record-Route');

describe('16.6 step 4', () => {
  it.each([
    ['UDP to UDP', UDP, CAROL_URI, [BY_UDP]],
    ['UDP to TCP', UDP, `${CAROL_URI};transport=tcp`, [BY_TCP, BY_UDP]],
    ['TCP to UDP', TCP, CAROL_URI, [BY_UDP, BY_TCP]],
    ['TCP to TCP', TCP, `${CAROL_URI};transport=tcp`, [BY_TCP]],
  ])('%s', (_, socket, uri, expected) => {
    const [text, from] = socket === TCP ? [byTcp({ uri }), ALICE_BY_TCP] : [request({ uri }), ALICE];
    expect(routesOf(requestOf(open().receive(text, from, socket), 'INVITE').text)).toEqual(expected);
  });

  it('says what is advertised, with the transport', () => {
    const listen = [{ address: '192.0.2.254:5060', advertise: 'edge.example.org:5090' }];
    const { text } = requestOf(open({ listen }).receive(byTcp(), ALICE_BY_TCP, TCP), 'INVITE');
    expect(routesOf(text)).toEqual(['<sip:edge.example.org:5090;lr>', '<sip:edge.example.org:5090;transport=tcp;lr>']);
  });

  it('RFC 5658: a request that is too long for UDP names TCP on that side', () => {
    const long = request({ uri: CAROL_URI, headers: [`X: ${'x'.repeat(1300)}`] });
    expect(routesOf(requestOf(open().receive(long, ALICE, UDP), 'INVITE').text)).toEqual([BY_TCP, BY_UDP]);
  });

  it('from IPv6 by TCP to IPv4 by UDP: a value for each side', () => {
    const listen = ['192.0.2.254:5060', '[2001:db8::53]:5060'];
    const from = { address: '2001:db8::10', port: 40_000, connection: 9 };
    const via = 'SIP/2.0/TCP [2001:db8::10]:5060;branch=z9hG4bK1';
    const { text, socket } = requestOf(
      open({ listen, trusted: ['2001:db8::/32'] }).receive(byTcp({ via }), from, 3),
      'INVITE',
    );
    expect([socket, valuesOf(text, 'Via')[0]!.split(';')[0]]).toEqual([0, 'SIP/2.0/UDP 192.0.2.254:5060']);
    expect(routesOf(text)).toEqual([BY_UDP, '<sip:[2001:db8::53]:5060;transport=tcp;lr>']);
  });
});

describe('a dialog between TCP and UDP', () => {
  /** Alice by TCP, Carol by UDP. Returns what each puts into Route afterwards. */
  function dialog(proxy: VirtualElement) {
    const invite = requestOf(proxy.receive(byTcp({ uri: CAROL_URI }), ALICE_BY_TCP, TCP), 'INVITE');
    const recorded = routesOf(invite.text);
    const ok = replyTo(invite.text).replace(
      '\r\n\r\n',
      `\r\n${recorded.map((r) => `Record-Route: ${r}`).join('\r\n')}\r\n\r\n`,
    );
    const back = proxy.receive(ok, CHICAGO, UDP)[0]!;
    expect(routesOf(back.text)).toEqual(recorded);
    return { caller: [...recorded].reverse(), callee: recorded };
  }

  const inDialog = { to: 'Bob <sip:bob@biloxi.example>;tag=314159' };

  it('her BYE leaves by UDP, with both our values taken off', () => {
    const proxy = open();
    const { caller } = dialog(proxy);
    const via = `${ALICE_TCP_VIA}2`;
    const bye = byTcp({
      ...inDialog,
      method: 'BYE',
      via,
      uri: 'sip:carol@198.51.100.9:5099',
      route: caller,
      cseq: '2 BYE',
    });
    const sent = requestOf(proxy.receive(bye, ALICE_BY_TCP, TCP), 'BYE');
    expect([sent.socket, sent.to]).toEqual([UDP, { ...CHICAGO, port: 5099 }]);
    expect(fieldsOf(sent.text, 'Route')).toEqual([]);
  });

  it('Carol’s BYE goes to the contact that Alice gave, by the transport it names', () => {
    const proxy = open();
    const { callee } = dialog(proxy);
    const uri = `sip:alice@192.0.2.10:${ALICE_BY_TCP.port};transport=tcp`;
    const via = 'SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKbye';
    const bye = request({ ...inDialog, method: 'BYE', via, uri, route: callee, cseq: '7 BYE' });
    const sent = requestOf(proxy.receive(bye, CHICAGO, UDP), 'BYE');
    // Whatever connection there is to that place, and hers is.
    expect(sent).toMatchObject({ socket: TCP, connection: 0, onlyConnection: false });
    expect([sent.to, uriOf(sent.text)]).toEqual([{ address: '192.0.2.10', port: ALICE_BY_TCP.port }, uri]);
    expect(fieldsOf(sent.text, 'Route')).toEqual([]);
  });
});

describe('16.4: which URIs are this server', () => {
  const routed = (listen: readonly string[], route: string, from: Endpoint = ALICE) => {
    const proxy = openProxy({ listen });
    const sent = requestOf(proxy.receive(request({ uri: CAROL_URI, route: [route] }), from, 0), 'INVITE');
    return fieldsOf(sent.text, 'Route');
  };

  it('an address is with a transport by which we listen there, or with none', () => {
    expect(routed(['192.0.2.254:5060'], BY_TCP)).toEqual([]);
    expect(routed(['192.0.2.254:5060'], BY_UDP)).toEqual([]);
    expect(routed(['udp:192.0.2.254:5060', 'tcp:192.0.2.254:5070'], '<sip:192.0.2.254:5070;lr>')).toEqual([]);
  });

  it('an address with a transport by which we do not listen there is somebody else', () => {
    const other = '<sip:192.0.2.254:5070;transport=tcp;lr>';
    const listen = ['udp:192.0.2.254:5060', 'tcp:192.0.2.254:5060', 'udp:192.0.2.254:5070'];
    expect(routed(listen, other)).toEqual([other]);
  });

  it('a maddr is taken out only if the request came by its transport', () => {
    const uri = 'sip:bob@biloxi.example;maddr=192.0.2.254;transport=tcp';
    const byStream = requestOf(open().receive(byTcp({ uri }), ALICE_BY_TCP, TCP), 'INVITE');
    expect([uriOf(byStream.text), byStream.to]).toEqual(['sip:bob@biloxi.example', BOB]);
    const byDatagram = requestOf(open().receive(request({ uri }), ALICE, UDP), 'INVITE');
    expect([uriOf(byDatagram.text), byDatagram.to, byDatagram.socket]).toEqual([
      uri,
      { ...ALICE, address: '192.0.2.254' },
      TCP,
    ]);
  });
});
