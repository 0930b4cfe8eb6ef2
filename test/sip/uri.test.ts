import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOST_KIND, parseUri, SCHEME, TRANSPORT, URI_ERROR, UriView } from '../../src/sip/uri.ts';
import { bytes, place, textOf } from './arena-text.ts';
import { printUri, uri, uriParts } from './grammar.ts';

describe('19.1.1 SIP and SIPS URI components', () => {
  it('reads every part', () => {
    const view = parse(
      'sips:alice:secret@atlanta.com:5061;transport=tcp;lr;maddr=239.255.255.1;ttl=15;method=REGISTER?a=b&c=',
    );
    expect(partsOf(view)).toEqual({
      scheme: SCHEME.SIPS,
      user: 'alice',
      password: 'secret',
      host: 'atlanta.com',
      hostKind: HOST_KIND.NAME,
      port: 5061,
      params: ';transport=tcp;lr;maddr=239.255.255.1;ttl=15;method=REGISTER',
      headers: 'a=b&c=',
    });
    expect([view.isLoose, view.transport, view.ttl]).toEqual([true, TRANSPORT.TCP, 15]);
    expect(textOf(view.maddrStart, view.maddrEnd)).toBe('239.255.255.1');
    expect(textOf(view.methodStart, view.methodEnd)).toBe('REGISTER');
  });

  it('says what is absent', () => {
    const view = parse('sip:192.0.2.4');
    expect(partsOf(view)).toEqual({
      scheme: SCHEME.SIP,
      user: undefined,
      password: undefined,
      host: '192.0.2.4',
      hostKind: HOST_KIND.IPV4,
      port: -1,
      params: undefined,
      headers: undefined,
    });
    expect([view.isLoose, view.transport, view.ttl, view.maddrStart, view.methodStart]).toEqual([false, 0, -1, -1, -1]);
  });

  it.each([
    ['sip:alice:secretword@atlanta.com;transport=tcp', 'alice', 'atlanta.com'],
    ['sip:+1-212-555-1212:1234@gateway.com;user=phone', '+1-212-555-1212', 'gateway.com'],
    ['sip:alice;day=tuesday@atlanta.com', 'alice;day=tuesday', 'atlanta.com'],
    ['sip:user;par=u%40example.net@example.com', 'user;par=u%40example.net', 'example.com'],
    ['sip:sips%3Auser%40example.com@example.net', 'sips%3Auser%40example.com', 'example.net'],
    [
      "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
      "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*",
      'example.com',
    ],
    ['sip:1001@192.0.2.1', '1001', '192.0.2.1'],
    ['sip:192.0.2.9@192.0.2.1', '192.0.2.9', '192.0.2.1'],
    ['sip:a.b.c?d@e.f', 'a.b.c?d', 'e.f'],
    ['sip:a:5060@e.f:5070', 'a', 'e.f'],
    ['sip:a:@e.f', 'a', 'e.f'],
    ['sip:%00@e.f', '%00', 'e.f'],
  ])('finds the user in %s', (text, user, host) => {
    const view = parse(text);
    expect([textOf(view.userStart, view.userEnd), textOf(view.hostStart, view.hostEnd)]).toEqual([user, host]);
  });

  it.each([
    ['sip:@example.com', URI_ERROR.USER],
    ['sip::pw@example.com', URI_ERROR.USER],
    ['sip:a@b@example.com', URI_ERROR.HOST],
    ['sip:a[b@example.com', URI_ERROR.HOST],
    ['sip:a:b:c@example.com', URI_ERROR.PORT],
    ['sip:a:b;c@example.com', URI_ERROR.PORT],
    ['sip:a%4@example.com', URI_ERROR.ESCAPE],
    ['sip:a%g0@example.com', URI_ERROR.ESCAPE],
    ['sip:a:%4@example.com', URI_ERROR.ESCAPE],
    ['sip:us er@example.com', URI_ERROR.HOST],
    ['sip:us"er@example.com', URI_ERROR.HOST],
    ['sip:usér@example.com', URI_ERROR.HOST],
  ])('refuses the userinfo of %s', (text, error) => {
    expect(errorOf(text)).toBe(error);
  });

  it.each([
    ['sip:example.com', HOST_KIND.NAME],
    ['sip:example.com.', HOST_KIND.NAME],
    ['sip:localhost', HOST_KIND.NAME],
    ['sip:3com.com', HOST_KIND.NAME],
    ['sip:10.1.1.1.example.com', HOST_KIND.NAME],
    ['sip:a--b.x-1', HOST_KIND.NAME],
    ['sip:sip_edge.example.com', HOST_KIND.NAME],
    ['sip:3f2a9c', HOST_KIND.NAME],
    ['sip:0.0.0.0', HOST_KIND.IPV4],
    ['sip:[2001:db8::10]', HOST_KIND.IPV6],
    ['sip:[2001:db8::10:5070]', HOST_KIND.IPV6],
    ['sip:user@[2001:db8:::192.0.2.1]', HOST_KIND.IPV6],
    ['sip:[0000:0000:0000:0000:0000:ffff:255.255.255.255]', HOST_KIND.IPV6],
  ])('tells the kind of the host of %s', (text, kind) => {
    expect(parse(text).hostKind).toBe(kind);
  });

  it.each([
    'sip:',
    'sip:-a.com',
    'sip:a-.com',
    'sip:a..com',
    'sip:.com',
    'sip:a.-',
    'sip:..',
    'sip:.',
    'sip:1234',
    'sip:1.2.3',
    'sip:1.2.3.4.5',
    'sip:1.2.3.4.',
    'sip:256.1.1.1',
    'sip:a.1',
    'sip:a.1.',
    'sip:2001:db8::10',
    'sip:[2001:db8::10',
    'sip:[]',
    'sip:[1.2.3.4]',
    'sip:[::1]x',
    'sip:[fe80::1%25eth0]',
    'sip:exa mple.com',
    'sip: example.com',
    'sip:example.com ',
    'sip:exa%6Dple.com',
    'sip://example.com',
    'sip:a@',
    'sip:example.com/x',
    'sip:example.com#x',
    '<sip:example.com>',
    'sip:user@example.com>',
  ])('refuses the host of %o', (text) => {
    expect(errorOf(text)).toBeLessThan(0);
  });

  it.each([
    ['sip:a.b:1', 1],
    ['sip:a.b:65535', 65_535],
    ['sip:a.b:0005060', 5060],
    ['sip:u@[::1]:5070', 5070],
  ])('reads the port of %s', (text, port) => {
    expect(parse(text).port).toBe(port);
  });

  it.each([
    'sip:a.b:',
    'sip:a.b:0',
    'sip:a.b:65536',
    'sip:a.b:-1',
    'sip:a.b:+1',
    'sip:a.b:5060x',
    'sip:a.b:99999999999999999999',
    'sip:a.b:;lr',
  ])('refuses the port of %s', (text) => {
    expect(errorOf(text)).toBe(URI_ERROR.PORT);
  });

  it.each(['sip:a.b;lr', 'sip:a.b;x;LR=on', 'sip:a.b;%6C%72;n%61me=v%61lue%25%34%31', 'sip:a.b;Lr?x=y'])(
    'finds lr in %s',
    (text) => {
      expect(parse(text).isLoose).toBe(true);
    },
  );

  it.each(['sip:a.b;lrx', 'sip:a.b;l', 'sip:a.b;x=lr', 'sip:a.b?lr=', 'sip:lr', 'sip:a;lr@b.c', 'sip:a.b;%6Cx'])(
    'finds no lr in %s',
    (text) => {
      expect(parse(text).isLoose).toBe(false);
    },
  );

  it.each([
    ['udp', TRANSPORT.UDP],
    ['TCP', TRANSPORT.TCP],
    ['tls', TRANSPORT.TLS],
    ['sctp', TRANSPORT.SCTP],
    ['ws', TRANSPORT.WS],
    ['WSS', TRANSPORT.WSS],
    ['tls-sctp', TRANSPORT.OTHER],
    ['ud', TRANSPORT.OTHER],
    ['udx', TRANSPORT.OTHER],
  ])('reads transport=%s', (name, transport) => {
    expect(parse(`sip:a.b;transport=${name}`).transport).toBe(transport);
    expect(parse(`sip:a.b;Transport=${name};lr`).transport).toBe(transport);
    expect(parse(`sip:a.b;%74ransport=${name}`).transport).toBe(transport);
  });

  it.each([
    ['sip:a.b;', URI_ERROR.PARAMETER],
    ['sip:a.b;;lr', URI_ERROR.PARAMETER],
    ['sip:a.b;x=', URI_ERROR.PARAMETER],
    ['sip:a.b;=y', URI_ERROR.PARAMETER],
    ['sip:a.b;x=y=z', URI_ERROR.PARAMETER],
    ['sip:a.b; lr', URI_ERROR.PARAMETER],
    ['sip:a.b;lr ', URI_ERROR.PARAMETER],
    ['sip:a.b;x="y"', URI_ERROR.PARAMETER],
    ['sip:u@a.b;x=y@z', URI_ERROR.PARAMETER],
    ['sip:a.b;x%', URI_ERROR.ESCAPE],
    ['sip:a.b;x=%4', URI_ERROR.ESCAPE],
    ['sip:a.b;transport', URI_ERROR.PARAMETER],
    ['sip:a.b;method', URI_ERROR.PARAMETER],
    ['sip:a.b;maddr', URI_ERROR.PARAMETER],
    ['sip:a.b;maddr=1.2.3', URI_ERROR.PARAMETER],
    ['sip:a.b;ttl=256', URI_ERROR.PARAMETER],
    ['sip:a.b;ttl=1x', URI_ERROR.PARAMETER],
    ['sip:a.b;transport=udp;Transport=tcp', URI_ERROR.REPEATED],
    ['sip:a.b;maddr=1.2.3.4;maddr=1.2.3.4', URI_ERROR.REPEATED],
    ['sip:a.b?', URI_ERROR.HEADER],
    ['sip:a.b?x', URI_ERROR.HEADER],
    ['sip:a.b?=x', URI_ERROR.HEADER],
    ['sip:a.b?x=y&', URI_ERROR.HEADER],
    ['sip:a.b?x=y;z', URI_ERROR.HEADER],
    ['sip:a.b?x=%', URI_ERROR.ESCAPE],
  ])('refuses the parameters or headers of %s', (text, error) => {
    expect(errorOf(text)).toBe(error);
  });
});

describe('RFC 3966 tel URI', () => {
  it.each([
    ['tel:+1-201-555-0123', '+1-201-555-0123', undefined],
    ['tel:7042;phone-context=example.com', '7042', ';phone-context=example.com'],
    ['TEL:863-1234;phone-context=+1-914-555', '863-1234', ';phone-context=+1-914-555'],
    ['tel:*72#;isub=a?b;ext=12', '*72#', ';isub=a?b;ext=12'],
    ['tel:911', '911', undefined],
  ])('reads %s', (text, number, params) => {
    const view = parse(text);
    expect(view.scheme).toBe(SCHEME.TEL);
    expect([textOf(view.userStart, view.userEnd), textOf(view.paramsStart, view.paramsEnd)]).toEqual([number, params]);
    expect([view.hostStart, view.hostKind]).toEqual([-1, HOST_KIND.NONE]);
  });

  it.each([
    'tel:',
    'tel:+',
    'tel:-',
    'tel:+1;',
    'tel:+1;=x',
    'tel:+1;ext=',
    'tel:+1x',
    'tel:+1*',
    'tel:1 2',
    'tel:+1;a_b=c',
    'tel:+1;x=%1',
    'tel:+1?x=y',
  ])('refuses %o', (text) => {
    expect(errorOf(text)).toBeLessThan(0);
  });
});

describe('25.1 absoluteURI', () => {
  it.each([
    'nobodyKnowsThisScheme:totallyopaquecontent',
    'soap.beep://192.0.2.103:3002',
    'isbn:2983792873',
    'name:John_Smith',
    'http://[::1]:80/?x=y',
    'urn:service:sos.fire',
    'a+b-1.c:/%20',
    'sipx:a',
    'si:p',
    'telx:1',
  ])('accepts %s', (text) => {
    expect(parse(text).scheme).toBe(SCHEME.OTHER);
  });

  it.each([
    '',
    ':',
    'sip',
    'x:',
    '1x:y',
    '-x:y',
    'x y:z',
    'x:y z',
    'x:<y>',
    'x:%1',
    'x:y\u0000',
    'x:"y"',
    'x:[::1]',
    'alice@example.com',
    'x:é',
  ])('refuses %o', (text) => {
    expect(errorOf(text)).toBeLessThan(0);
  });
});

describe('any URI', () => {
  it('parses into the parts it was printed from', () => {
    fc.assert(
      fc.property(uriParts, (parts) => {
        const view = parse(printUri(parts));
        expect(partsOf(view)).toMatchObject({
          user: parts.user,
          password: parts.password,
          host: parts.host,
          port: parts.port ?? -1,
          params: parts.params,
          headers: parts.headers,
        });
      }),
      { numRuns: 500 },
    );
  });

  it('reads arbitrary bytes without throwing, and nothing outside its span', () => {
    const mutated = fc.tuple(uri, fc.nat(60), fc.nat(255)).map(([text, at, byte]) => {
      const content = Buffer.from(text);
      content[at % content.length] = byte;
      return content;
    });
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 60 })), (content) => {
        const outcomes = [0x61, 0x30, 0x40, 0x3a, 0x5d, 0x3b].map((around) => {
          const { start, end } = place(content, around);
          const view = new UriView();
          const error = parseUri(bytes, start, end, view);
          return JSON.stringify([error, view]);
        });
        expect(new Set(outcomes).size).toBe(1);
      }),
      { numRuns: 500 },
    );
  });
});

function parse(text: string): UriView {
  const { start, end } = place(text);
  const view = new UriView();
  expect(parseUri(bytes, start, end, view), text).toBe(URI_ERROR.NONE);
  return view;
}

function errorOf(text: string): number {
  const { start, end } = place(text);
  return parseUri(bytes, start, end, new UriView());
}

function partsOf(view: UriView) {
  return {
    scheme: view.scheme,
    user: textOf(view.userStart, view.userEnd),
    password: textOf(view.passwordStart, view.passwordEnd),
    host: textOf(view.hostStart, view.hostEnd),
    hostKind: view.hostKind,
    port: view.port,
    params: textOf(view.paramsStart, view.paramsEnd),
    headers: textOf(view.headersStart, view.headersEnd),
  };
}
