/** Route information preprocessing, RFC 3261 16.4. */

import { describe, expect, it } from 'vitest';
import { request, uriOf, valuesOf } from './messages.ts';
import { answered, forwarded } from './sole.ts';
import { ALICE, BOB, CHICAGO, createElement } from './virtual-network.ts';

const EDGE = { address: '198.51.100.10', port: 5060 };

const element = createElement({
  listen: [{ address: 'udp:192.0.2.254:5060', advertise: 'proxy.biloxi.example' }, 'udp:192.0.2.254:5070'],
});
const receive = (text: string) => element.receive(text, ALICE);

describe('16.4, a Route of ours on top', () => {
  it.each([
    '<sip:192.0.2.254;lr>',
    '<sip:192.0.2.254:5060;lr>',
    '<sip:192.0.2.254:5070;lr>',
    '<sip:alice@192.0.2.254;lr;transport=udp>',
    '<SIP:192.0.2.254;LR>',
    '"Out, bound" <sip:192.0.2.254;lr>;x=y',
    '<sip:proxy.biloxi.example;lr>',
    '<sip:PROXY.Biloxi.Example:5060;lr>',
  ])('is removed: %s', (own) => {
    const sent = forwarded(receive(request({ uri: 'sip:carol@chicago.example', route: [own] })), CHICAGO);
    expect(valuesOf(sent.text, 'Route')).toEqual([]);
    expect(sent.text).not.toMatch(/\r\nRoute/i);
  });

  it('is removed when it names a domain of ours', () => {
    const sent = forwarded(
      receive(request({ uri: 'sip:carol@chicago.example', route: ['<sip:biloxi.example;lr>'] })),
      CHICAGO,
    );
    expect(valuesOf(sent.text, 'Route')).toEqual([]);
  });

  it('is removed from the front of a line, the rest of the line stays', () => {
    const text = request({
      uri: 'sip:carol@chicago.example',
      route: ['<sip:192.0.2.254;lr>, <sip:edge.chicago.example;lr>'],
    });
    const sent = forwarded(receive(text), EDGE);
    expect(valuesOf(sent.text, 'Route')).toEqual(['<sip:edge.chicago.example;lr>']);
  });

  it('is removed as a line of its own, the next line becomes the next hop', () => {
    const route = ['<sip:192.0.2.254;lr>', '<sip:edge.chicago.example;lr>,<sip:p9.example;lr>'];
    const sent = forwarded(receive(request({ uri: 'sip:carol@chicago.example', route })), EDGE);
    expect(valuesOf(sent.text, 'Route')).toEqual(['<sip:edge.chicago.example;lr>', '<sip:p9.example;lr>']);
  });

  it.each([
    [['<sip:192.0.2.254;lr>, <sip:192.0.2.254:5070;lr>']],
    [['<sip:192.0.2.254;lr>', '<sip:192.0.2.254:5070;lr>']],
  ])('twice (as after a double Record-Route) does not end in a loop: %o', (route) => {
    // Either both are removed at once, or the second is the next hop and removed on the next pass.
    let sent = forwarded(receive(request({ uri: 'sip:carol@chicago.example', route })));
    if (sent.to.address === '192.0.2.254') {
      expect(valuesOf(sent.text, 'Route')).toEqual(['<sip:192.0.2.254:5070;lr>']);
      sent = forwarded(element.receive(sent.text, { address: '192.0.2.254', port: 5060 }, 1));
    }
    expect(sent.to).toEqual(CHICAGO);
    expect(valuesOf(sent.text, 'Route')).toEqual([]);
  });

  it('is looked for by host and port: another port of our host is another element', () => {
    const sent = forwarded(
      receive(request({ uri: 'sip:carol@chicago.example', route: ['<sip:192.0.2.254:5099;lr>'] })),
    );
    expect(sent.to).toEqual({ address: '192.0.2.254', port: 5099 });
    expect(valuesOf(sent.text, 'Route')).toEqual(['<sip:192.0.2.254:5099;lr>']);
  });

  it('leaves a foreign Route on top alone', () => {
    const sent = forwarded(receive(request({ route: ['<sip:edge.chicago.example;lr>'] })), EDGE);
    expect(valuesOf(sent.text, 'Route')).toEqual(['<sip:edge.chicago.example;lr>']);
  });

  it('with a foreign maddr is not ours: the maddr is where it points', () => {
    const route = ['<sip:biloxi.example;lr;maddr=198.51.100.77>'];
    expect(
      valuesOf(forwarded(receive(request({ route })), { address: '198.51.100.77', port: 5060 }).text, 'Route'),
    ).toEqual(route);
  });

  it('with a maddr of ours is ours, whatever its host (19.1.1)', () => {
    for (const own of ['<sip:chicago.example;maddr=192.0.2.254;lr>', '<sip:192.0.2.1:5060;lr;maddr=192.0.2.254>']) {
      const sent = forwarded(receive(request({ uri: 'sip:carol@chicago.example', route: [own] })), CHICAGO);
      expect(valuesOf(sent.text, 'Route')).toEqual([]);
    }
  });

  it('only counts on top: a later Route of ours stays', () => {
    const route = ['<sip:edge.chicago.example;lr>', '<sip:192.0.2.254;lr>'];
    expect(valuesOf(forwarded(receive(request({ route })), EDGE).text, 'Route')).toEqual(route);
  });

  it('applies to CANCEL and ACK as to the INVITE (16.11)', () => {
    for (const method of ['CANCEL', 'ACK']) {
      const text = request({ method, uri: 'sip:carol@chicago.example', route: ['<sip:192.0.2.254;lr>'] });
      expect(valuesOf(forwarded(receive(text), CHICAGO).text, 'Route')).toEqual([]);
    }
  });
});

describe('16.4, a strict router before us', () => {
  it('puts the last Route back into the Request-URI that is ours', () => {
    const route = ['<sip:edge.chicago.example;lr>', '<sip:carol@192.0.2.77:5066>'];
    const sent = forwarded(receive(request({ method: 'BYE', uri: 'sip:192.0.2.254;lr', route })), EDGE);
    expect(uriOf(sent.text)).toBe('sip:carol@192.0.2.77:5066');
    expect(valuesOf(sent.text, 'Route')).toEqual(['<sip:edge.chicago.example;lr>']);
  });

  it('does so with the only Route, and then routes by the Request-URI', () => {
    const text = request({
      method: 'BYE',
      uri: 'sip:192.0.2.254:5060;lr',
      route: ['"C" <sip:carol@192.0.2.77:5066>;p=1'],
    });
    const sent = forwarded(receive(text), { address: '192.0.2.77', port: 5066 });
    expect(uriOf(sent.text)).toBe('sip:carol@192.0.2.77:5066');
    expect(sent.text).not.toMatch(/\r\nRoute/i);
  });

  it('takes the last of a list in one line', () => {
    const text = request({
      method: 'BYE',
      uri: 'sip:192.0.2.254;lr',
      route: ['<sip:edge.chicago.example;lr> , <sip:carol@192.0.2.77>'],
    });
    const sent = forwarded(receive(text), EDGE);
    expect(uriOf(sent.text)).toBe('sip:carol@192.0.2.77');
    expect(valuesOf(sent.text, 'Route')).toEqual(['<sip:edge.chicago.example;lr>']);
  });

  it('leaves a foreign Request-URI alone', () => {
    const route = ['<sip:edge.chicago.example;lr>', '<sip:carol@192.0.2.77>'];
    const sent = forwarded(receive(request({ method: 'BYE', uri: 'sip:p2.example;lr', route })), EDGE);
    expect(uriOf(sent.text)).toBe('sip:p2.example;lr');
    expect(valuesOf(sent.text, 'Route')).toEqual(route);
  });
});

describe('16.4, maddr in the Request-URI', () => {
  it('of ours is stripped, with the default port', () => {
    const sent = forwarded(receive(request({ uri: 'sip:bob@biloxi.example;maddr=192.0.2.254' })), BOB);
    expect(uriOf(sent.text)).toBe('sip:bob@biloxi.example');
  });

  it('of ours is stripped together with a non-default port and the transport, other parameters stay', () => {
    const uri = 'sip:bob@biloxi.example:5070;user=phone;maddr=192.0.2.254;transport=udp;x';
    const sent = forwarded(element.receive(request({ uri }), ALICE, 1), BOB);
    expect(uriOf(sent.text)).toMatch(/^sip:bob@biloxi\.example;user=phone(;transport=udp)?;x$/);
  });

  it('of ours leaves a Request-URI with an address and a port of ours that of a user of ours', () => {
    const uri = 'sip:bob@192.0.2.254:5070;maddr=192.0.2.254';
    expect(uriOf(forwarded(element.receive(request({ uri }), ALICE, 1), BOB).text)).toBe('sip:bob@192.0.2.254');
  });

  it('of ours is as if it had not been there: a foreign domain is reached as one', () => {
    const sent = forwarded(receive(request({ uri: 'sip:carol@chicago.example;maddr=192.0.2.254' })), CHICAGO);
    expect(uriOf(sent.text)).toBe('sip:carol@chicago.example');
  });

  it('of ours on a port that the request did not come by goes to that port', () => {
    const uri = 'sip:bob@biloxi.example:5070;maddr=192.0.2.254';
    const sent = forwarded(receive(request({ uri })), { address: '192.0.2.254', port: 5070 });
    expect(uriOf(sent.text)).toBe(uri);
  });

  it('of another element is the next hop, unchanged (16.5)', () => {
    const uri = 'sip:bob@biloxi.example;maddr=198.51.100.77';
    const sent = forwarded(receive(request({ uri })), { address: '198.51.100.77', port: 5060 });
    expect(uriOf(sent.text)).toBe(uri);
  });

  it('is taken with the port of the URI', () => {
    const uri = 'sip:carol@chicago.example:5099;maddr=198.51.100.77';
    forwarded(receive(request({ uri })), { address: '198.51.100.77', port: 5099 });
  });
});

describe('16.4, requests for the server itself', () => {
  it('are not sent to itself', () => {
    const lonely = createElement({ domains: [], nextHops: [] });
    answered(lonely.receive(request({ uri: 'sip:nobody@192.0.2.254' }), ALICE), [404, 480]);
  });
});
