import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HOST_KIND } from '../../src/sip/host.ts';
import { TRANSPORT } from '../../src/sip/transport.ts';
import { parseVia, RPORT_ABSENT, RPORT_EMPTY, VIA_ERROR, ViaView } from '../../src/sip/via.ts';
import { bytes, place, START, textOf } from './arena-text.ts';
import { address, headerParam, host, lws, port, sws, token } from './grammar.ts';

describe('20.42 Via', () => {
  it('reads every part', () => {
    const view = parse(
      'SIP/2.0/UDP erlang.bell-telephone.com:5060;received=192.0.2.207;rport=9988;branch=z9hG4bK87asdks7;maddr=224.2.0.1;ttl=16',
    );
    expect(partsOf(view)).toEqual({
      transport: 'UDP',
      sentBy: 'erlang.bell-telephone.com:5060',
      host: 'erlang.bell-telephone.com',
      port: 5060,
      branch: 'z9hG4bK87asdks7',
      received: '192.0.2.207',
      rport: 9988,
      maddr: '224.2.0.1',
      ttl: 16,
      end: 120,
    });
    expect(textOf(view.paramsStart, view.paramsEnd)).toBe(
      ';received=192.0.2.207;rport=9988;branch=z9hG4bK87asdks7;maddr=224.2.0.1;ttl=16',
    );
    expect([textOf(view.rportStart, view.rportEnd), textOf(view.receivedParamStart, view.receivedParamEnd)]).toEqual([
      'rport=9988',
      'received=192.0.2.207',
    ]);
  });

  it('says what is absent', () => {
    const view = parse('SIP/2.0/TCP [2001:db8::9:1]');
    expect(partsOf(view)).toEqual({
      transport: 'TCP',
      sentBy: '[2001:db8::9:1]',
      host: '[2001:db8::9:1]',
      port: -1,
      branch: undefined,
      received: undefined,
      rport: RPORT_ABSENT,
      maddr: undefined,
      ttl: -1,
      end: 27,
    });
    expect([view.hostKind, view.paramsStart, view.rportStart, view.receivedParamStart]).toEqual([
      HOST_KIND.IPV6,
      -1,
      -1,
      -1,
    ]);
  });

  it.each([
    ['SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw', 'UDP', '192.0.2.2', -1, '390skdjuw'],
    [
      'SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ',
      'TCP',
      'spindle.example.com',
      -1,
      'z9hG4bK9ikj8',
    ],
    [
      'SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239',
      'UDP',
      '192.168.255.111',
      -1,
      'z9hG4bK30239',
    ],
    [
      'SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1',
      'UDP',
      'first.example.com',
      4000,
      'z9hG4bKa7c6a8dlze.1',
    ],
    ["SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~", 'TCP', 'host1.example.com', -1, "z9hG4bK-.!%66*_+`'~"],
    ['sip/2.0/udp a.b \t:\t5060 ;BRANCH=x', 'udp', 'a.b', 5060, 'x'],
    ['SIP/7.0/UDP c.example.com;branch=z9', 'UDP', 'c.example.com', -1, 'z9'],
    ['FOO/1/BAR-x c.example.com.', 'BAR-x', 'c.example.com.', -1, undefined],
    ['SIP/2.0/UDP 192.0.2.1;hidden="a;branch=b,c\\"";branch=x;y=[::1]', 'UDP', '192.0.2.1', -1, 'x'],
    ['  SIP/2.0/UDP a.b', 'UDP', 'a.b', -1, undefined],
  ])('reads %o', (text, transport, sentBy, portNumber, branch) => {
    const parts = partsOf(parse(text));
    expect([parts.transport, parts.host, parts.port, parts.branch]).toEqual([transport, sentBy, portNumber, branch]);
  });

  it('stops at the comma before the next value', () => {
    const text = 'SIP/2.0/UDP a.b;branch=1 , SIP/2.0/TCP c.d:5070,SIP/2.0/UDP e.f';
    const view = parse(text);
    const { start } = place(text);
    expect([view.end - start, textOf(view.branchStart, view.branchEnd)]).toEqual([25, '1']);
    expect(parseVia(bytes, view.end + 1, start + text.length, view)).toBe(VIA_ERROR.NONE);
    expect([view.end - start, view.port, textOf(view.hostStart, view.hostEnd), view.branchStart]).toEqual([
      47,
      5070,
      'c.d',
      -1,
    ]);
    expect(parseVia(bytes, view.end + 1, start + text.length, view)).toBe(VIA_ERROR.NONE);
    expect([view.end - start, textOf(view.hostStart, view.hostEnd)]).toEqual([text.length, 'e.f']);
  });

  it.each([
    ['UDP', TRANSPORT.UDP],
    ['udp', TRANSPORT.UDP],
    ['TCP', TRANSPORT.TCP],
    ['TLS', TRANSPORT.TLS],
    ['SCTP', TRANSPORT.SCTP],
    ['WS', TRANSPORT.WS],
    ['WSS', TRANSPORT.WSS],
    ['UNKNOWN', TRANSPORT.OTHER],
    ['TLS-SCTP', TRANSPORT.OTHER],
    ['U', TRANSPORT.OTHER],
  ])('knows the transport %s', (name, transport) => {
    expect(parse(`SIP/2.0/${name} a.b`).transport).toBe(transport);
  });

  it.each([
    ['', VIA_ERROR.PROTOCOL],
    ['SIP/2.0', VIA_ERROR.PROTOCOL],
    ['SIP/2.0/', VIA_ERROR.PROTOCOL],
    ['SIP/2.0/UDP', VIA_ERROR.PROTOCOL],
    ['SIP/2.0/ ', VIA_ERROR.PROTOCOL],
    ['SIP//UDP a.b', VIA_ERROR.PROTOCOL],
    ['SIP 2.0/UDP a.b', VIA_ERROR.PROTOCOL],
    ['SIP/2.0/U@P a.b', VIA_ERROR.PROTOCOL],
    ['SIP/2.0/UDP\r\na.b', VIA_ERROR.PROTOCOL],
    ['SIP/2.0/UDP ', VIA_ERROR.SENT_BY],
    ['SIP/2.0/UDP ;branch=x', VIA_ERROR.SENT_BY],
    ['SIP/2.0/UDP 2001:db8::1', VIA_ERROR.SENT_BY],
    ['SIP/2.0/UDP [2001:db8::1', VIA_ERROR.SENT_BY],
    ['SIP/2.0/UDP u@a.b', VIA_ERROR.SENT_BY],
    ['SIP/2.0/UDP a.b c.d', VIA_ERROR.SENT_BY],
    ['SIP/2.0/UDP a.b:', VIA_ERROR.PORT],
    ['SIP/2.0/UDP a.b:0', VIA_ERROR.PORT],
    ['SIP/2.0/UDP a.b:65536', VIA_ERROR.PORT],
    ['SIP/2.0/UDP a.b:50 60', VIA_ERROR.SENT_BY],
    ['SIP/2.0/UDP a.b;', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP 192.0.2.15;;,;,,', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;branch', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;branch=', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;branch="x"', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;branch=[::1]', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;branch=a b', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;branch=a=b', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;x="y', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;x=y"z"', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;x=\r\ny', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;rport=', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;rport=0', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;rport=x', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;rport=65536', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;received', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;received=host.example.com', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;received=[192.0.2.1]', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;received=2001:db8', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;maddr', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;maddr=1.2.3', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;ttl', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;ttl=256', VIA_ERROR.PARAMETER],
    ['SIP/2.0/UDP a.b;branch=a;branch=b', VIA_ERROR.REPEATED],
    ['SIP/2.0/UDP a.b;branch=a;Branch=a', VIA_ERROR.REPEATED],
    ['SIP/2.0/UDP a.b;rport;rport=1', VIA_ERROR.REPEATED],
    ['SIP/2.0/UDP a.b;received=1.2.3.4;received=1.2.3.4', VIA_ERROR.REPEATED],
    ['SIP/2.0/UDP a.b;ttl=0;ttl=0', VIA_ERROR.REPEATED],
    ['SIP/2.0/UDP a.b;maddr=a.b;maddr=a.b', VIA_ERROR.REPEATED],
  ])('refuses %o', (text, error) => {
    const { start, end } = place(text);
    expect(parseVia(bytes, start, end, new ViaView())).toBe(error);
  });
});

describe('RFC 3581 rport', () => {
  it.each([
    ['SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff', RPORT_EMPTY, 'rport'],
    ['SIP/2.0/UDP 10.1.1.1:4540;branch=z9;RPort', RPORT_EMPTY, 'RPort'],
    ['SIP/2.0/UDP 10.1.1.1; rport = 9988 ;branch=z9', 9988, 'rport = 9988'],
    ['SIP/2.0/UDP 10.1.1.1;xrport;rport', RPORT_EMPTY, 'rport'],
  ])('reads %s', (text, rport, span) => {
    const view = parse(text);
    expect([view.rport, textOf(view.rportStart, view.rportEnd)]).toEqual([rport, span]);
  });
});

describe('RFC 5118 4.5 IPv6 in received', () => {
  it.each([
    ['SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKas3-111', 'received=[2001:db8::9:255]'],
    ['SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKas3', 'received=2001:db8::9:255'],
  ])('accepts %s', (text, span) => {
    const view = parse(text);
    expect(textOf(view.receivedStart, view.receivedEnd)).toBe('2001:db8::9:255');
    expect(textOf(view.receivedParamStart, view.receivedParamEnd)).toBe(span);
  });

  it('accepts one that begins with its colons', () => {
    const view = parse('SIP/2.0/UDP a.b;received=::1;branch=x');
    expect(textOf(view.receivedStart, view.receivedEnd)).toBe('::1');
  });
});

const viaParts = fc.record({
  transport: token,
  host,
  port: fc.option(port, { nil: undefined }),
  branch: fc.option(token, { nil: undefined }),
  received: fc.option(address, { nil: undefined }),
  rport: fc.option(fc.oneof(port, fc.constant(RPORT_EMPTY)), { nil: undefined }),
  ttl: fc.option(fc.nat(255), { nil: undefined }),
  maddr: fc.option(host, { nil: undefined }),
  others: fc.array(headerParam, { maxLength: 3 }),
  gaps: fc.array(sws, { minLength: 8, maxLength: 8 }),
  gap: lws,
});

type ViaParts = typeof viaParts extends fc.Arbitrary<infer T> ? T : never;

function printVia(parts: ViaParts): string {
  const [a, b, c, d, e, f, g, h] = parts.gaps;
  const params = [
    parts.received === undefined ? '' : `;${e}received${f}=${parts.received}`,
    parts.branch === undefined ? '' : `${g};BrAnch${h}=${parts.branch}`,
    parts.rport === undefined ? '' : parts.rport === RPORT_EMPTY ? `;rport${a}` : `;${b}rport=${parts.rport}`,
    ...parts.others,
    parts.ttl === undefined ? '' : `;ttl=${c}${parts.ttl}`,
    parts.maddr === undefined ? '' : `;maddr=${parts.maddr}`,
  ].join('');
  const portText = parts.port === undefined ? '' : `${e}:${f}${parts.port}`;
  return `SIP${a}/${b}2.0${c}/${d}${parts.transport}${parts.gap}${parts.host}${portText}${params}`;
}

describe('any Via', () => {
  it('parses into the parts it was printed from, up to the comma', () => {
    fc.assert(
      fc.property(viaParts, fc.constantFrom('', ' ,', ',SIP/2.0/UDP x'), (parts, rest) => {
        const text = printVia(parts);
        const found = partsOf(parse(text + rest));
        expect(found).toMatchObject({
          transport: parts.transport,
          host: parts.host,
          port: parts.port ?? -1,
          branch: parts.branch,
          received: parts.received,
          rport: parts.rport ?? RPORT_ABSENT,
          ttl: parts.ttl ?? -1,
          maddr: parts.maddr,
        });
        expect(found.end).toBe(Buffer.byteLength(text) + (rest === ' ,' ? 1 : 0));
      }),
      { numRuns: 500 },
    );
  });

  it('reads arbitrary bytes without throwing, and nothing outside its span', () => {
    const mutated = fc.tuple(viaParts.map(printVia), fc.nat(200), fc.nat(255)).map(([text, at, byte]) => {
      const content = Buffer.from(text);
      content[at % content.length] = byte;
      return content.subarray(0, content.length - (at % 7));
    });
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 60 })), (content) => {
        const outcomes = [0x61, 0x30, 0x20, 0x3a, 0x5d, 0x3b].map((around) => {
          const { start, end } = place(content, around);
          const view = new ViaView();
          const error = parseVia(bytes, start, end, view);
          expect(view.end).toBeLessThanOrEqual(end);
          return JSON.stringify([error, view]);
        });
        expect(new Set(outcomes).size).toBe(1);
      }),
      { numRuns: 500 },
    );
  });
});

function parse(text: string): ViaView {
  const { start, end } = place(text);
  const view = new ViaView();
  expect(parseVia(bytes, start, end, view), text).toBe(VIA_ERROR.NONE);
  return view;
}

function partsOf(view: ViaView) {
  return {
    transport: textOf(view.transportStart, view.transportEnd),
    sentBy: textOf(view.sentByStart, view.sentByEnd),
    host: textOf(view.hostStart, view.hostEnd),
    port: view.port,
    branch: textOf(view.branchStart, view.branchEnd),
    received: textOf(view.receivedStart, view.receivedEnd),
    rport: view.rport,
    maddr: textOf(view.maddrStart, view.maddrEnd),
    ttl: view.ttl,
    end: view.end - START,
  };
}
