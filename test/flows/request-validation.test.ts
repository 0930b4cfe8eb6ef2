/** Request validation, RFC 3261 16.3 in its order, and the framing of 18.3. */

import { describe, expect, it } from 'vitest';
import { ALICE_VIA, fieldsOf, message, request, startLineOf, valuesOf } from './messages.ts';
import { answered, forwarded, refused, silent, sole } from './sole.ts';
import { ALICE, BOB, CHICAGO, createElement } from './virtual-network.ts';

const element = createElement();
const receive = (text: string) => element.receive(text, ALICE);

describe('16.3 step 1, reasonable syntax', () => {
  it('forwards a request that has every mandatory header field', () => {
    forwarded(receive(request()), BOB);
  });

  it.each([
    ['From', request({ from: null })],
    ['To', request({ to: null })],
    ['Call-ID', request({ callId: null })],
    ['CSeq', request({ cseq: null })],
  ])('answers 400 and names the field when %s is missing', (name, text) => {
    refused(receive(text), 400, new RegExp(name, 'i'));
  });

  it('never forwards a request without Via, and answers it 400 if at all', () => {
    for (const sent of receive(request({ via: null }))) answered([sent], 400);
  });

  it.each([
    ['From', 'From: <sip:eve@atlanta.example>;tag=2'],
    ['To', 'To: <sip:other@biloxi.example>'],
    ['Call-ID', 'Call-ID: another@atlanta.example'],
    ['CSeq', 'CSeq: 2 INVITE'],
    ['Max-Forwards', 'Max-Forwards: 5'],
    ['From', 'f: <sip:eve@atlanta.example>;tag=2'],
    ['Call-ID', 'i: another@atlanta.example'],
  ])('answers 400 and names the field when there are two of %s', (name, line) => {
    refused(receive(request({ headers: [line] })), 400, new RegExp(name, 'i'));
  });

  it.each([
    ['no transport', 'SIP/2.0 192.0.2.10;branch=z9hG4bKa'],
    ['no sent-by', 'SIP/2.0/UDP ;branch=z9hG4bKa'],
    ['an empty value', ''],
    ['a port that is no number', 'SIP/2.0/UDP 192.0.2.10:sip;branch=z9hG4bKa'],
    ['a port beyond 65535', 'SIP/2.0/UDP 192.0.2.10:65536;branch=z9hG4bKa'],
    ['an unclosed IPv6 reference', 'SIP/2.0/UDP [2001:db8::1;branch=z9hG4bKa'],
    ['empty parameters', 'SIP/2.0/UDP 192.0.2.10;;branch=z9hG4bKa'],
  ])('answers 400 and names Via when the top one has %s', (_, via) => {
    for (const sent of receive(request({ via }))) refused([sent], 400, /via/i);
  });

  it.each([
    ['From', { from: 'Alice <sip:alice@atlanta.example;tag=1' }],
    ['From', { from: '"Alice <sip:alice@atlanta.example>;tag=1' }],
    ['To', { to: '"Bob <sip:bob@biloxi.example>' }],
    ['To', { to: 'Bob <>' }],
    ['Call-ID', { callId: '' }],
    ['Call-ID', { callId: 'two words' }],
    ['CSeq', { cseq: 'INVITE' }],
    ['CSeq', { cseq: '1' }],
    ['CSeq', { cseq: '-1 INVITE' }],
    ['CSeq', { cseq: '2147483648 INVITE' }],
    ['CSeq', { cseq: '36893488147419103232 INVITE' }],
    ['CSeq', { cseq: '1 INVITE extra' }],
  ])('answers 400 and names the field for a broken %s %o', (name, parts) => {
    refused(receive(request(parts)), 400, new RegExp(name, 'i'));
  });

  it('takes the largest CSeq number, 2**31 - 1, and 0', () => {
    forwarded(receive(request({ cseq: '2147483647 INVITE' })));
    forwarded(receive(request({ cseq: '0 INVITE' })));
  });

  it('answers 400 when the method of CSeq is another', () => {
    refused(receive(request({ method: 'OPTIONS', cseq: '8 INVITE' })), 400, /cseq/i);
    refused(receive(request({ method: 'INVITE', cseq: '8 invite' })), 400, /cseq/i);
  });

  it('answers 505 for another version of SIP', () => {
    answered(receive(request({ version: 'SIP/3.0' })), 505);
    answered(receive(request({ version: 'SIP/2.1' })), 505);
  });

  it('takes the version in any case and sends it in upper case (7.1)', () => {
    forwarded(receive(request({ version: 'sip/2.0' })), BOB);
  });

  it.each([
    'sip:',
    'sip:bob@',
    'sip:@biloxi.example',
    'sip:bob@biloxi.example:port',
    'sip:bob@biloxi.example:65536',
    'sip:bob@[2001:db8::1',
    'sip:b%4@biloxi.example',
    'sip:bob@biloxi..example',
    '<sip:bob@biloxi.example>',
    'bob@biloxi.example',
  ])('answers 400 for the Request-URI %s', (uri) => {
    refused(receive(request({ uri })), 400, /uri|request/i);
  });

  it('never forwards header fields escaped in a Request-URI (19.1.1)', () => {
    for (const sent of receive(request({ uri: 'sip:bob@biloxi.example?Route=%3Csip:evil.example%3E' })))
      expect(sent.text).not.toMatch(/^INVITE[^\r]*Route/);
  });

  it('forwards a request with a method it does not know, and header fields it does not know', () => {
    const text = request({ method: 'NEWMETHOD', headers: ['X-Odd!: ;;,,"', 'Date: yesterday'] });
    const sent = forwarded(receive(text), BOB);
    expect(sent.text).toContain('\r\nX-Odd!: ;;,,"\r\nDate: yesterday\r\n');
  });

  it('ignores broken header fields that are not its business', () => {
    const text = request({
      headers: ['Contact: <sip:', 'Expires: soon', 'Content-Type: /', 'Require: @', 'Record-Route: <<'],
    });
    forwarded(receive(text), BOB);
  });

  it('answers 400 to a line that is no header field', () => {
    answered(receive(request({ headers: ['this is no header field'] })), 400);
  });

  it('answers 400 to a header without its empty line', () => {
    answered(receive(request().replace(/\r\n\r\n$/, '\r\n')), 400);
  });

  it('answers 400 to a broken top Route, which it would need', () => {
    refused(receive(request({ route: ['<sip:p1.example'] })), 400, /route/i);
    refused(receive(request({ route: ['not a route'] })), 400, /route/i);
  });

  it('does not pass on a line that ends in LF alone (7: CRLF, a MUST): the next element would read other lines', () => {
    for (const text of [
      request({ headers: ['X: a\nY: b'] }),
      request({ headers: ['X: a\n\r\nY: b'] }),
      request().replaceAll('\r\n', '\n'),
    ]) {
      for (const sent of receive(text)) {
        if (startLineOf(sent.text).startsWith('SIP/2.0 400')) continue;
        expect(sent.text).not.toMatch(/[^\r]\n/);
      }
    }
  });

  it('ignores CRLF before the start line (7.5)', () => {
    forwarded(receive(`\r\n\r\n${request()}`), BOB);
  });

  it('is silent about what is not SIP at all', () => {
    silent(receive('GET / HTTP/1.1\r\nHost: biloxi.example\r\n\r\n'));
    silent(receive('hello\r\n\r\n'));
  });
});

describe('18.3, framing', () => {
  const body = 'v=0\r\no=alice 1 1 IN IP4 192.0.2.10\r\ns=-\r\nt=0 0\r\n';

  it('forwards the body as it came', () => {
    expect(forwarded(receive(request({ body }))).text.endsWith(`\r\n\r\n${body}`)).toBe(true);
  });

  it('drops the octets beyond Content-Length', () => {
    const sent = forwarded(receive(`${request({ body })}INVITE sip:trailing@biloxi.example SIP/2.0\r\n`));
    expect(sent.text.endsWith(`Content-Length: ${body.length}\r\n\r\n${body}`)).toBe(true);
  });

  it('takes the rest of the datagram as body when there is no Content-Length', () => {
    const sent = forwarded(receive(request({ contentLength: null, body })));
    expect(sent.text.endsWith(`\r\n\r\n${body}`)).toBe(true);
  });

  it('reads the compact form of Content-Length', () => {
    const text = request({ contentLength: null, headers: ['l: 3'], body: 'abcdef' });
    expect(forwarded(receive(text)).text.endsWith('\r\n\r\nabc')).toBe(true);
  });

  it('answers 400 when the datagram ends before the body', () => {
    answered(receive(request({ body, contentLength: body.length + 1 })), 400);
    answered(receive(request({ body, contentLength: 9999 })), 400);
  });

  it.each(['-999', 'five', '', '99999999999999999999'])('answers 400 to Content-Length %o', (contentLength) => {
    refused(receive(request({ body, contentLength })), 400, /content-length|body/i);
  });

  it('answers 400 to two Content-Length header fields', () => {
    answered(receive(request({ body, headers: ['Content-Length: 5'] })), 400);
  });
});

describe('16.3 step 2, URI scheme', () => {
  it.each(['nobodyKnowsThisScheme:totallyopaquecontent', 'soap.beep://192.0.2.103:3002', 'mailto:bob@biloxi.example'])(
    'answers 416 for %s',
    (uri) => {
      answered(receive(request({ uri })), 416);
    },
  );

  it('does not look at To for the way (RFC 4475 3.3.2)', () => {
    answered(receive(request({ uri: 'unknown:bob', to: '<sip:bob@chicago.example>' })), 416);
  });

  it('forwards unknown schemes in other header fields', () => {
    const text = request({
      to: 'isbn:2983792873',
      from: '<http://www.example.com>;tag=3',
      headers: ['Contact: <name:John>'],
    });
    forwarded(receive(text), BOB);
  });

  it('takes the scheme in any case (19.1.1)', () => {
    forwarded(receive(request({ uri: 'SIP:bob@biloxi.example' })), BOB);
  });

  it('forwards a tel URI along its Route', () => {
    const sent = forwarded(receive(request({ uri: 'tel:+12155551212', route: ['<sip:chicago.example;lr>'] })), CHICAGO);
    expect(startLineOf(sent.text)).toBe('INVITE tel:+12155551212 SIP/2.0');
  });

  it('never sends a sips request over UDP (19.1, 26.2.2)', () => {
    const sent = sole(receive(request({ uri: 'sips:bob@chicago.example' })));
    expect(startLineOf(sent.text)).toMatch(/^SIP\/2\.0 [45]/);
  });
});

describe('16.3 step 3, Max-Forwards', () => {
  it.each(['INVITE', 'BYE', 'CANCEL', 'REGISTER', 'NEWMETHOD'])('answers 483 to %s with Max-Forwards 0', (method) => {
    answered(receive(request({ method, maxForwards: 0 })), 483);
  });

  it('reads 0 with leading zeros and space', () => {
    answered(receive(request({ maxForwards: '000' })), 483);
    answered(receive(request({ maxForwards: '  0  ' })), 483);
  });

  it('answers an OPTIONS to itself with Max-Forwards 0: 200 (11)', () => {
    answered(receive(request({ method: 'OPTIONS', uri: 'sip:192.0.2.254', maxForwards: 0 })), 200);
  });

  it.each(['sip:bob@biloxi.example', 'sip:chicago.example', 'sip:bob@192.0.2.254'])(
    'answers 483 to one for somebody else (RFC 4475 3.3.11): %s',
    (uri) => {
      answered(receive(request({ method: 'OPTIONS', uri, maxForwards: 0 })), 483);
    },
  );

  it('forwards Max-Forwards 1 as 0', () => {
    expect(fieldsOf(forwarded(receive(request({ maxForwards: 1 }))).text, 'Max-Forwards')).toEqual(['0']);
  });

  it.each(['many', '-1', '', '7 0'])('answers 400 to Max-Forwards %o', (maxForwards) => {
    refused(receive(request({ maxForwards })), 400, /max-forwards/i);
  });

  it('does not wrap around at a huge Max-Forwards', () => {
    for (const sent of receive(request({ maxForwards: '4294967296' }))) {
      if (startLineOf(sent.text).startsWith('SIP/2.0 400')) continue;
      expect(Number(fieldsOf(sent.text, 'Max-Forwards')[0])).toBeGreaterThan(0);
    }
  });
});

describe('16.3 step 4, loop detection', () => {
  it('answers 482 to a request that comes back unchanged', () => {
    const once = forwarded(receive(request()), BOB);
    answered(element.receive(once.text, BOB), 482);
  });

  it('answers 482 when another proxy took part in the loop', () => {
    const once = forwarded(receive(request()), BOB);
    const back = once.text
      .replace('\r\nVia: ', '\r\nVia: SIP/2.0/UDP 192.0.2.30:5080;branch=z9hG4bKloop1\r\nVia: ')
      .replace(/Max-Forwards: \d+/, 'Max-Forwards: 42');
    answered(element.receive(back, BOB), 482);
  });

  it('forwards a spiral: the same request for another Request-URI', () => {
    const once = forwarded(receive(request()), BOB);
    const spiral = once.text.replace('INVITE sip:bob@biloxi.example', 'INVITE sip:robert@chicago.example');
    const twice = forwarded(element.receive(spiral, BOB), CHICAGO);
    expect(valuesOf(twice.text, 'Via')).toHaveLength(3);
  });

  it('is silent about an ACK that loops', () => {
    const once = forwarded(receive(request({ method: 'ACK' })), BOB);
    silent(element.receive(once.text, BOB));
  });
});

describe('16.3 step 5, Proxy-Require', () => {
  it('answers 420 and lists every unsupported option tag', () => {
    const sent = answered(receive(request({ headers: ['Proxy-Require: foo, bar', 'Proxy-Require: baz'] })), 420);
    expect(valuesOf(sent.text, 'Unsupported')).toEqual(['foo', 'bar', 'baz']);
  });

  it('lists tags of folded lines in one well-formed list', () => {
    const sent = answered(receive(request({ headers: ['Proxy-Require: foo,\r\n bar', 'proxy-require :baz'] })), 420);
    expect(valuesOf(sent.text, 'Unsupported')).toEqual(['foo', 'bar', 'baz']);
  });

  it('leaves Require to the endpoint', () => {
    forwarded(receive(request({ headers: ['Require: 100rel, nothingSupportsThis'] })), BOB);
  });

  it.each(['ACK', 'CANCEL'])('ignores Proxy-Require in %s (8.2.2.3)', (method) => {
    forwarded(receive(request({ method, headers: ['Proxy-Require: foo'] })), BOB);
  });
});

describe('16.3, the order of the checks', () => {
  const requireFoo = ['Proxy-Require: foo'];

  it('finds bad syntax before an unknown scheme', () => {
    answered(receive(request({ uri: 'unknown:x', cseq: '1 BYE', headers: requireFoo })), 400);
  });

  it('finds an unknown scheme before Max-Forwards 0', () => {
    answered(receive(request({ uri: 'unknown:x', maxForwards: 0, headers: requireFoo })), 416);
  });

  it('finds Max-Forwards 0 before a loop', () => {
    const once = forwarded(receive(request()), BOB);
    answered(element.receive(once.text.replace('Max-Forwards: 69', 'Max-Forwards: 0'), BOB), 483);
  });

  it('finds a loop before Proxy-Require', () => {
    const once = forwarded(receive(request()), BOB);
    answered(element.receive(once.text.replace('\r\nFrom', '\r\nProxy-Require: foo\r\nFrom'), BOB), [482, 420]);
  });

  it('finds Max-Forwards 0 before Proxy-Require', () => {
    answered(receive(request({ maxForwards: 0, headers: requireFoo })), 483);
  });
});

describe('7.3.1, the many ways to write a header field', () => {
  it('reads compact forms, any case, space before the colon and folded lines', () => {
    const text = message('INVITE sip:bob@biloxi.example SIP/2.0', [
      `v : SIP / 2.0 / UDP\r\n 192.0.2.10:5060 ;\r\n\tbranch = z9hG4bK74bf9`,
      'f:"A, \\"B;tag=x" <sip:alice@atlanta.example>\r\n ;tag=1',
      'T:\r\n <sip:bob@biloxi.example>',
      'i:a',
      'cSEQ:1\r\n\tINVITE',
      'MAX-FORWARDS :\t70',
      'L:0',
    ]);
    const sent = forwarded(receive(text), BOB);
    expect(fieldsOf(sent.text, 'Max-Forwards')).toEqual(['69']);
    expect(sent.text).toContain(
      '\r\nf:"A, \\"B;tag=x" <sip:alice@atlanta.example>\r\n ;tag=1\r\nT:\r\n <sip:bob@biloxi.example>\r\n',
    );
  });

  it('reads separators inside quotes as text', () => {
    const via = 'SIP/2.0/UDP 192.0.2.10:5060;x="a;received=1.2.3.4, SIP/2.0/UDP b";branch=z9hG4bKq';
    const from = '"<sip:x>;tag=0, \\" y" <sip:alice@atlanta.example>;tag=1';
    const route = ['"x>, <sip:y;lr>" <sip:192.0.2.254;lr>, "p, q" <sip:edge.chicago.example;lr>'];
    const sent = forwarded(receive(request({ via, from, route })), { address: '198.51.100.10', port: 5060 });
    expect(fieldsOf(sent.text, 'Via').slice(1)).toEqual([via]);
    expect(fieldsOf(sent.text, 'From')).toEqual([from]);
    expect(fieldsOf(sent.text, 'Route')).toEqual(['"p, q" <sip:edge.chicago.example;lr>']);
  });

  it('reads a folded Max-Forwards', () => {
    const sent = forwarded(receive(request({ maxForwards: '\r\n  70' })), BOB);
    expect(fieldsOf(sent.text, 'Max-Forwards')).toEqual(['69']);
  });

  it('reads several Vias in one line', () => {
    const sent = forwarded(receive(request({ via: `${ALICE_VIA}, SIP/2.0/UDP 10.1.1.1;branch=z9hG4bKzz` })), BOB);
    expect(valuesOf(sent.text, 'Via').slice(1)).toEqual([ALICE_VIA, 'SIP/2.0/UDP 10.1.1.1;branch=z9hG4bKzz']);
  });
});
