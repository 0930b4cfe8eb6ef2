/** Request forwarding, RFC 3261 16.6, with what 18.2.1 and RFC 3581 add to the top Via on receipt. */

import { describe, expect, it } from 'vitest';
import {
  ALICE_VIA,
  fieldsOf,
  linesOf,
  message,
  parameterOf,
  request,
  uriOf,
  valuesOf,
  withoutOurLines,
} from './messages.ts';
import { answered, forwarded } from './sole.ts';
import { ALICE, BOB, CHICAGO, createElement } from './virtual-network.ts';

const EDGE = { address: '198.51.100.10', port: 5060 };
const OWN_VIA = /^SIP\/2\.0\/UDP 192\.0\.2\.254(:5060)?;branch=z9hG4bK[!%'*+.0-9A-Z_`a-z~-]+$/;

const element = createElement();
const receive = (text: string) => element.receive(text, ALICE);

describe('16.6 step 1, the copy', () => {
  it('is byte for byte what came, but for Max-Forwards, Via and Max-Breadth', () => {
    const text = request({
      headers: [
        'Contact: <sip:alice@192.0.2.10>',
        'Record-Route: <sip:p1.example;lr>',
        'x-Unknown :  odd   spacing\t',
        'Subject: folded\r\n  over \r\n\tthree lines',
        'Authorization: Digest username="a, b",\r\n realm="c"',
        'Record-Route: <sip:p0.example;lr>, "Q, x" <sip:p.example>',
        'Content-Type: application/sdp',
      ],
      body: 'v=0\r\n\r\n\0\xff binary \n\r\n',
    });
    const sent = forwarded(receive(text), BOB);
    expect(withoutOurLines(sent.text, text)).toBe(text.replace('Max-Forwards: 70', 'Max-Forwards: 69'));
  });

  it('keeps the way header names and values are written', () => {
    const text = message('INVITE sip:bob@biloxi.example SIP/2.0', [
      't:<sip:bob@biloxi.example>',
      'CALL-id: 9',
      'v: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1',
      'max-forwards:  070 ',
      'F: <sip:alice@atlanta.example>;tag=1',
      'V: SIP/2.0/TCP 10.0.0.1',
      'cseq:  1   INVITE',
    ]);
    const sent = forwarded(receive(text), BOB);
    expect(withoutOurLines(sent.text, text).replace(/max-forwards:\s+69 ?\r\n/, 'max-forwards:  070 \r\n')).toBe(text);
  });

  it('is not sent twice', () => {
    expect(receive(request())).toHaveLength(1);
  });
});

describe('16.6 step 3, Max-Forwards', () => {
  it.each([
    ['70', '69'],
    ['255', '254'],
    ['0068', '67'],
    ['100', '99'],
    ['10', '9'],
    ['1', '0'],
  ])('%s becomes %s', (before, after) => {
    const [value] = fieldsOf(forwarded(receive(request({ maxForwards: before }))).text, 'Max-Forwards');
    expect(Number(value)).toBe(Number(after));
    expect(value).toMatch(/^\d+$/);
  });

  it('is added as 70 when missing', () => {
    const sent = forwarded(receive(request({ maxForwards: null })), BOB);
    expect(fieldsOf(sent.text, 'Max-Forwards')).toEqual(['70']);
  });
});

describe('16.6 step 4, Record-Route', () => {
  it('is not added in stateless mode, and what others recorded stays', () => {
    expect(fieldsOf(forwarded(receive(request())).text, 'Record-Route')).toEqual([]);
    const text = request({ headers: ['Record-Route: <sip:p1.example;lr>'] });
    expect(fieldsOf(forwarded(receive(text)).text, 'Record-Route')).toEqual(['<sip:p1.example;lr>']);
  });
});

describe('16.6 step 6, a strict router behind us', () => {
  it('gets its own URI as Request-URI, and the Request-URI as last Route', () => {
    const route = ['<sip:edge.chicago.example;x=1>', '<sip:p2.example;lr>'];
    const sent = forwarded(receive(request({ uri: 'sip:carol@there.example;p', route })), EDGE);
    expect(uriOf(sent.text)).toBe('sip:edge.chicago.example;x=1');
    expect(valuesOf(sent.text, 'Route')).toEqual(['<sip:p2.example;lr>', '<sip:carol@there.example;p>']);
  });

  it('also when it is the only Route', () => {
    const sent = forwarded(
      receive(request({ uri: 'sip:carol@there.example', route: ['"E" <sip:edge.chicago.example>;q=1'] })),
      EDGE,
    );
    expect(uriOf(sent.text)).toBe('sip:edge.chicago.example');
    expect(valuesOf(sent.text, 'Route')).toEqual(['<sip:carol@there.example>']);
  });

  it('also behind a Route of ours, in one line', () => {
    const route = ['<sip:192.0.2.254;lr>, <sip:edge.chicago.example>, <sip:p2.example;lr>'];
    const sent = forwarded(receive(request({ uri: 'sip:carol@there.example', route })), EDGE);
    expect(uriOf(sent.text)).toBe('sip:edge.chicago.example');
    expect(valuesOf(sent.text, 'Route')).toEqual(['<sip:p2.example;lr>', '<sip:carol@there.example>']);
  });

  it.each([
    '<sip:edge.chicago.example;lr>',
    '<sip:edge.chicago.example;LR>',
    '<sip:edge.chicago.example;lr=on>',
    '<sip:edge.chicago.example;a;lr;b>',
  ])('is not %s', (route) => {
    const sent = forwarded(receive(request({ uri: 'sip:carol@there.example', route: [route] })), EDGE);
    expect(uriOf(sent.text)).toBe('sip:carol@there.example');
    expect(valuesOf(sent.text, 'Route')).toEqual([route]);
  });

  it.each([
    '<sip:edge.chicago.example>;lr',
    '<sip:lr@edge.chicago.example;lrx>',
    '<sip:edge.chicago.example;x=lr>',
    '<sip:edge.chicago.example?lr=1>',
  ])('is %s: no lr parameter of the URI', (route) => {
    const sent = forwarded(receive(request({ uri: 'sip:carol@there.example', route: [route] })), EDGE);
    expect(valuesOf(sent.text, 'Route')).toEqual(['<sip:carol@there.example>']);
  });
});

describe('16.6 step 7, the next hop', () => {
  it('is the top Route before the Request-URI', () => {
    forwarded(receive(request({ uri: 'sip:carol@chicago.example', route: ['<sip:198.51.100.99:5090;lr>'] })), {
      address: '198.51.100.99',
      port: 5090,
    });
  });

  it('is the top Route before the next hops of a domain of ours', () => {
    forwarded(receive(request({ route: ['<sip:edge.chicago.example;lr>'] })), EDGE);
  });

  it('is the maddr of the top Route', () => {
    forwarded(receive(request({ route: ['<sip:edge.chicago.example:5090;lr;maddr=198.51.100.99>'] })), {
      address: '198.51.100.99',
      port: 5090,
    });
  });

  it('is the Request-URI without a Route', () => {
    forwarded(receive(request({ uri: 'sip:carol@chicago.example' })), CHICAGO);
  });

  it('is not read from To, From or Contact', () => {
    const text = request({ to: '<sip:x@198.51.100.1>', headers: ['Contact: <sip:y@198.51.100.2>'] });
    forwarded(receive(text), BOB);
  });
});

describe('16.6 step 8, Via', () => {
  it('of ours is put above all others, with a branch of RFC 3261', () => {
    const sent = forwarded(receive(request({ via: [ALICE_VIA, 'SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKz'] })));
    const vias = valuesOf(sent.text, 'Via');
    expect(vias).toHaveLength(3);
    expect(vias[0]).toMatch(OWN_VIA);
    expect(vias.slice(1)).toEqual([ALICE_VIA, 'SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKz']);
  });

  it('names the socket the request leaves by', () => {
    const two = createElement({ listen: ['udp:192.0.2.254:5060', 'udp:192.0.2.254:5070'] });
    const sent = forwarded(two.receive(request(), ALICE, 1));
    const port = ['5060', '5070'][sent.socket]!;
    expect(valuesOf(sent.text, 'Via')[0]).toMatch(
      new RegExp(`^SIP/2.0/UDP 192.0.2.254${port === '5060' ? '(:5060)?' : ':5070'};`),
    );
  });

  it('carries the advertised name', () => {
    const named = createElement({
      listen: [{ address: 'udp:192.0.2.254:5060', advertise: 'proxy.biloxi.example:15060' }],
    });
    expect(valuesOf(forwarded(named.receive(request(), ALICE)).text, 'Via')[0]).toMatch(
      /^SIP\/2\.0\/UDP proxy\.biloxi\.example:15060;branch=/,
    );
  });

  it('is put above a Via that is the last header field', () => {
    const text = message('OPTIONS sip:bob@biloxi.example SIP/2.0', [
      'To: <sip:bob@biloxi.example>',
      'From: <sip:a@atlanta.example>;tag=1',
      'Call-ID: 1',
      'CSeq: 1 OPTIONS',
      `Via: ${ALICE_VIA}`,
    ]);
    const vias = valuesOf(forwarded(receive(text), BOB).text, 'Via');
    expect(vias[1]).toBe(ALICE_VIA);
  });
});

describe('18.2.1, received', () => {
  const viaBack = (via: string, from = ALICE) =>
    valuesOf(forwarded(element.receive(request({ via }), from)).text, 'Via')[1]!;

  it('is added when the sent-by is another address', () => {
    const via = viaBack('SIP/2.0/UDP 10.1.1.1:4540;branch=z9hG4bKk');
    expect(parameterOf(via, 'received')).toBe('192.0.2.10');
    expect(via.replace(';received=192.0.2.10', '')).toBe('SIP/2.0/UDP 10.1.1.1:4540;branch=z9hG4bKk');
  });

  it('is added when the sent-by is a name, even one of the source', () => {
    expect(parameterOf(viaBack('SIP/2.0/UDP client.atlanta.example;branch=z9hG4bKk'), 'received')).toBe('192.0.2.10');
  });

  it('is not needed, and not added, when the sent-by is the source', () => {
    expect(viaBack(ALICE_VIA)).toBe(ALICE_VIA);
  });

  it('does not look at the port', () => {
    expect(viaBack('SIP/2.0/UDP 192.0.2.10:9999;branch=z9hG4bKk')).toBe('SIP/2.0/UDP 192.0.2.10:9999;branch=z9hG4bKk');
  });

  it('goes to the top Via only, also in a line of several', () => {
    const sent = forwarded(
      receive(request({ via: 'SIP/2.0/UDP pc.example;branch=z9hG4bKk , SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKz' })),
    );
    const [, top, second] = valuesOf(sent.text, 'Via');
    expect(parameterOf(top!, 'received')).toBe('192.0.2.10');
    expect(second).toBe('SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKz');
  });

  it('goes inside a Via line with space at its end', () => {
    const sent = forwarded(receive(request({ via: 'SIP/2.0/UDP pc.example;branch=z9hG4bKk \t ' })));
    expect(parameterOf(valuesOf(sent.text, 'Via')[1]!, 'received')).toBe('192.0.2.10');
    expect(parameterOf(valuesOf(sent.text, 'Via')[1]!, 'branch')).toBe('z9hG4bKk');
  });

  it('is the source of the datagram, whatever the sender wrote there', () => {
    const via = viaBack('SIP/2.0/UDP pc.example;received=203.0.113.1;branch=z9hG4bKk');
    expect(via.match(/received=/g)).toHaveLength(1);
    expect(parameterOf(via, 'received')).toBe('192.0.2.10');
  });
});

describe('RFC 3581 4, rport', () => {
  const viaBack = (via: string, port = 9988) =>
    valuesOf(forwarded(element.receive(request({ via }), { address: '192.0.2.10', port })).text, 'Via')[1]!;

  it('without a value gets the source port, and received is added', () => {
    const via = viaBack('SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKk');
    expect(parameterOf(via, 'rport')).toBe('9988');
    expect(parameterOf(via, 'received')).toBe('192.0.2.10');
    expect(parameterOf(via, 'branch')).toBe('z9hG4bKk');
  });

  it('adds received even where it equals the sent-by', () => {
    const via = viaBack('SIP/2.0/UDP 192.0.2.10:9988;branch=z9hG4bKk;rport');
    expect(parameterOf(via, 'rport')).toBe('9988');
    expect(parameterOf(via, 'received')).toBe('192.0.2.10');
  });

  it('is read in any case', () => {
    expect(parameterOf(viaBack('SIP/2.0/UDP 10.1.1.1;RPort;branch=z9hG4bKk'), 'rport')).toBe('9988');
  });

  it('appears once', () => {
    expect(viaBack('SIP/2.0/UDP 10.1.1.1;rport;branch=z9hG4bKk').match(/rport/g)).toHaveLength(1);
  });

  it('is not invented', () => {
    expect(viaBack('SIP/2.0/UDP 10.1.1.1;branch=z9hG4bKk;xrport;alias')).not.toMatch(/;rport/);
  });
});

describe('RFC 5393 5.3.3, Max-Breadth', () => {
  it('of 60 is given to a request without one', () => {
    expect(fieldsOf(forwarded(receive(request())).text, 'Max-Breadth')).toEqual(['60']);
  });

  it.each(['1', '7', '59', '60'])('of %s is passed on', (value) => {
    const sent = forwarded(receive(request({ headers: [`Max-Breadth: ${value}`] })));
    expect(fieldsOf(sent.text, 'Max-Breadth').map(Number)).toEqual([Number(value)]);
  });

  it.each(['61', '255', '99999999999999999999', 'many', '', '-1', '60, 60'])(
    'of "%s" is brought down to our 60',
    (value) => {
      const sent = forwarded(receive(request({ headers: [`Max-Breadth: ${value}`] })));
      expect(fieldsOf(sent.text, 'Max-Breadth')).toEqual(['60']);
    },
  );

  it('is one, however many there were', () => {
    const sent = forwarded(receive(request({ headers: ['Max-Breadth: 7', 'Max-Breadth: 9'] })));
    expect(fieldsOf(sent.text, 'Max-Breadth')).toHaveLength(1);
  });

  it('of 0 leaves nothing to forward with', () => {
    answered(receive(request({ headers: ['Max-Breadth: 0'] })), [400, 440]);
  });

  it('is not given to a CANCEL', () => {
    const sent = forwarded(receive(request({ method: 'CANCEL' })));
    expect(fieldsOf(sent.text, 'Max-Breadth')).toEqual([]);
  });

  it.each(['ACK', 'BYE', 'OPTIONS', 'NEWMETHOD'])('is given to an %s', (method) => {
    expect(fieldsOf(forwarded(receive(request({ method }))).text, 'Max-Breadth')).toEqual(['60']);
  });
});

describe('16.6 step 9, Content-Length', () => {
  it('is left as it is over UDP, present or not', () => {
    const text = request({ contentLength: null });
    const sent = withoutOurLines(forwarded(receive(text)).text, text);
    expect(linesOf(sent)).toHaveLength(linesOf(text).length);
    expect(fieldsOf(sent, 'Content-Length')).toEqual([]);
  });
});

describe('16.6, the size of things', () => {
  it('forwards a message longer than an ordinary slot', () => {
    const body = 'a'.repeat(20_000);
    expect(forwarded(receive(request({ body })), BOB).text.endsWith(`\r\n\r\n${body}`)).toBe(true);
  });

  it('forwards 60 Vias and 60 Routes in order', () => {
    const via = [ALICE_VIA, ...Array.from({ length: 59 }, (_, i) => `SIP/2.0/UDP 10.0.0.${i};branch=z9hG4bK${i}`)];
    const route = ['<sip:edge.chicago.example;lr>', ...Array.from({ length: 59 }, (_, i) => `<sip:p${i}.example;lr>`)];
    const sent = forwarded(receive(request({ via, route })), EDGE);
    expect(valuesOf(sent.text, 'Via').slice(1)).toEqual(via);
    expect(valuesOf(sent.text, 'Route')).toEqual(route);
  });
});
