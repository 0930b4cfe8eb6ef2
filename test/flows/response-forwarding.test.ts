/** Responses through a stateless proxy, RFC 3261 16.11, 18.1.2, 18.2.2, 18.3 and RFC 3581 4. */

import { describe, expect, it } from 'vitest';
import { ALICE_VIA, message, replyTo, request, startLineOf, valuesOf, withoutTopViaLine } from './messages.ts';
import { answered, forwarded, silent, sole } from './sole.ts';
import { ALICE, BOB, createElement, type Endpoint, PROXY } from './virtual-network.ts';

const element = createElement();

/** The Via our element puts on a request of that top Via, and the request as the UAS sees it. */
function throughUs(via: string | readonly string[], from: Endpoint = ALICE) {
  const sent = forwarded(element.receive(request({ via }), from), BOB);
  return { text: sent.text, own: valuesOf(sent.text, 'Via')[0]! };
}
const OWN = throughUs(ALICE_VIA).own;

/** A response with exactly these header lines for its Vias. */
function response(
  viaLines: readonly string[],
  status = '200 OK',
  headers: readonly string[] = ['Content-Length: 0'],
): string {
  return message(`SIP/2.0 ${status}`, [
    ...viaLines,
    'From: Alice <sip:alice@atlanta.example>;tag=9fxced76sl',
    'To: Bob <sip:bob@biloxi.example>;tag=8321234356',
    'Call-ID: 2xTb9vxSit55XU7p8@atlanta.example',
    'CSeq: 1 INVITE',
    ...headers,
  ]);
}
const receive = (text: string) => element.receive(text, BOB);
const replyVia = (via: string) => response([`Via: ${OWN}`, `Via: ${via}`]);

describe('16.11, a response whose top Via is ours', () => {
  it('goes back without it, otherwise byte for byte', () => {
    const { text } = throughUs(ALICE_VIA);
    const reply = replyTo(text, '200 OK', 'v=0\r\n\0\xff');
    const back = sole(receive(reply));
    expect(back.to).toEqual(ALICE);
    expect(back.text).toBe(withoutTopViaLine(reply));
    expect(valuesOf(back.text, 'Via')).toEqual([ALICE_VIA]);
  });

  it.each([
    '100 Trying',
    '180 Ringing',
    '200 OK',
    '302 Moved Temporarily',
    '486 Busy Here',
    '503 Service Unavailable',
    '603 Decline',
    '699 Odd',
    '299 ',
  ])('goes back whatever its status: %s', (status) => {
    expect(
      startLineOf(
        answered(receive(response([`Via: ${OWN}`, `Via: ${ALICE_VIA}`], status)), Number(status.slice(0, 3)), ALICE)
          .text,
      ),
    ).toBe(`SIP/2.0 ${status}`);
  });

  it('goes back each time it is retransmitted', () => {
    const reply = replyTo(throughUs(ALICE_VIA).text);
    for (let i = 0; i < 3; i++) expect(sole(receive(reply)).to).toEqual(ALICE);
  });

  it('goes back through two passes of a spiral at once, where only this server was between them', () => {
    const first = forwarded(element.receive(request(), ALICE));
    const spiral = first.text.replace('INVITE sip:bob@biloxi.example', 'INVITE sip:carol@chicago.example');
    const second = forwarded(element.receive(spiral, PROXY));
    const back = sole(receive(replyTo(second.text)));
    expect(back.to).toEqual(ALICE);
    expect(valuesOf(back.text, 'Via')).toHaveLength(1);
  });

  it('costs one datagram however often it names us', () => {
    const back = sole(receive(response([...Array<string>(200).fill(`Via: ${OWN}`), `Via: ${ALICE_VIA}`])));
    expect(back.to).toEqual(ALICE);
    expect(valuesOf(back.text, 'Via')).toEqual([ALICE_VIA]);
  });

  it.each<[string, readonly string[], string]>([
    ['both in one line', [`Via: ${OWN}, ${ALICE_VIA}`], `Via: ${ALICE_VIA}`],
    ['both in one line, no space', [`Via: ${OWN},${ALICE_VIA}`], `Via: ${ALICE_VIA}`],
    ['compact', [`v: ${OWN}`, `v: ${ALICE_VIA}`], `v: ${ALICE_VIA}`],
    ['folded between the two', [`Via: ${OWN}\r\n , ${ALICE_VIA}`], `Via: ${ALICE_VIA}`],
    ['folded before ours', [`Via:\r\n ${OWN}`, `Via: ${ALICE_VIA}`], `Via: ${ALICE_VIA}`],
    ['folded inside ours', [`Via: ${OWN.replace(';', '\r\n\t;')}`, `VIA : ${ALICE_VIA}`], `VIA : ${ALICE_VIA}`],
  ])('is taken out, %s', (_, lines, left) => {
    const back = sole(receive(response(lines)));
    expect(back.to).toEqual(ALICE);
    expect(valuesOf(back.text, 'Via')).toEqual([ALICE_VIA]);
    expect(back.text.replace(/(via\s*:)\s+/i, '$1 ')).toBe(response([left]).replace(/(via\s*:)\s+/i, '$1 '));
  });

  it('is known by its sent-by, default port or not, in any case', () => {
    for (const own of [
      OWN,
      OWN.replace(/254(:5060)?;/, '254;'),
      OWN.replace(/254(:5060)?;/, '254:5060;'),
      OWN.replace('SIP/2.0/UDP', 'sip / 2.0 / udp'),
    ])
      expect(sole(receive(response([`Via: ${own}`, `Via: ${ALICE_VIA}`]))).to).toEqual(ALICE);
  });

  it('is taken out far from the next one', () => {
    const lines = [`Via: ${OWN}`, 'Server: x', `v: ${ALICE_VIA}`];
    expect(sole(receive(response(lines))).text).toBe(response(lines.slice(1)));
  });

  it('is recognised on a port that is not the default only with that port', () => {
    const other = createElement({ listen: ['udp:192.0.2.254:5070'] });
    const own = valuesOf(forwarded(other.receive(request(), ALICE)).text, 'Via')[0]!;
    expect(own).toContain('192.0.2.254:5070;');
    expect(sole(other.receive(response([`Via: ${own}`, `Via: ${ALICE_VIA}`]), BOB)).to).toEqual(ALICE);
    silent(other.receive(response([`Via: ${own.replace(':5070', '')}`, `Via: ${ALICE_VIA}`]), BOB));
  });

  it('reads quoted parameters with separators in them', () => {
    const odd = 'SIP/2.0/UDP 192.0.2.10:5060;x="a;maddr=192.0.2.99, SIP/2.0/UDP b";branch=z9hG4bK1';
    for (const lines of [[`Via: ${OWN}`, `Via: ${odd}`], [`Via: ${OWN}, ${odd}`], [`Via: ${OWN};y="p, q", ${odd}`]]) {
      const back = sole(receive(response(lines)));
      expect(back.to).toEqual(ALICE);
      expect(back.text.replace(/Via:\s+/, 'Via: ')).toBe(response([`Via: ${odd}`]));
    }
  });

  it('keeps the other Vias in order', () => {
    const others = [
      'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK1, SIP/2.0/TCP 10.0.0.1',
      'SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK2',
    ];
    const back = sole(receive(response([`Via: ${OWN}`, ...others.map((via) => `Via: ${via}`)])));
    expect(back.text).toBe(response(others.map((via) => `Via: ${via}`)));
  });
});

describe('16.11, 18.1.2: a response that is not for us', () => {
  it.each([
    ['another host', 'SIP/2.0/UDP 192.0.2.253:5060;branch=z9hG4bKx'],
    ['another port', 'SIP/2.0/UDP 192.0.2.254:5099;branch=z9hG4bKx'],
    ['a name that is not ours', 'SIP/2.0/UDP proxy.example;branch=z9hG4bKx'],
    ['no sent-by', 'SIP/2.0/UDP ;branch=z9hG4bKx'],
  ])('is silently dropped: %s', (_, via) => {
    silent(receive(response([`Via: ${via}`, `Via: ${ALICE_VIA}`])));
  });

  it('is silently dropped when ours is not the top Via', () => {
    silent(receive(response([`Via: ${ALICE_VIA}`, `Via: ${OWN}`])));
  });

  it('is silently dropped when no Via is left after ours (16.7 step 3)', () => {
    silent(receive(response([`Via: ${OWN}`])));
  });

  it('is silently dropped without any Via', () => {
    silent(receive(response([])));
  });

  it('is silently dropped when the next Via is broken', () => {
    silent(receive(replyVia('SIP/2.0/UDP ;branch=z9hG4bKx')));
    silent(receive(replyVia('gibberish')));
  });
});

describe('18.2.2, where a response goes', () => {
  it.each<[string, string, Endpoint]>([
    [
      'the sent-by address and port',
      'SIP/2.0/UDP 192.0.2.10:5062;branch=z9hG4bK1',
      { address: '192.0.2.10', port: 5062 },
    ],
    ['port 5060 when there is none', 'SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1', { address: '192.0.2.10', port: 5060 }],
    [
      'received, at the port of sent-by',
      'SIP/2.0/UDP 10.1.1.1:4540;received=192.0.2.10;branch=z9hG4bK1',
      { address: '192.0.2.10', port: 4540 },
    ],
    [
      'received, at port 5060',
      'SIP/2.0/UDP pc.example;branch=z9hG4bK1;received=192.0.2.10',
      { address: '192.0.2.10', port: 5060 },
    ],
    [
      'received and rport',
      'SIP/2.0/UDP 10.1.1.1:4540;received=192.0.2.1;rport=9988;branch=z9hG4bK1',
      { address: '192.0.2.1', port: 9988 },
    ],
    [
      'received and rport, any case and space',
      'SIP/2.0/UDP 10.1.1.1 ; Received = 192.0.2.1 ; RPORT = 9988',
      { address: '192.0.2.1', port: 9988 },
    ],
    [
      'sent-by where rport has no received beside it',
      'SIP/2.0/UDP 192.0.2.10:5062;rport=9988',
      { address: '192.0.2.10', port: 5062 },
    ],
    [
      'maddr, at the port of sent-by',
      'SIP/2.0/UDP 192.0.2.10:5062;maddr=192.0.2.99;branch=z9hG4bK1',
      { address: '192.0.2.99', port: 5062 },
    ],
    ['maddr, at port 5060', 'SIP/2.0/UDP 192.0.2.10;maddr=192.0.2.99', { address: '192.0.2.99', port: 5060 }],
    [
      'maddr before received and rport',
      'SIP/2.0/UDP 10.1.1.1;received=192.0.2.1;rport=9988;maddr=192.0.2.99',
      { address: '192.0.2.99', port: 5060 },
    ],
    [
      'a name, looked up',
      'SIP/2.0/UDP client.atlanta.example:5064;branch=z9hG4bK1',
      { address: '192.0.2.10', port: 5064 },
    ],
    [
      'a name, looked up, at port 5060',
      'SIP/2.0/UDP client.atlanta.example;branch=z9hG4bK1',
      { address: '192.0.2.10', port: 5060 },
    ],
  ])('%s', (_, via, to) => {
    const back = sole(receive(replyVia(via)));
    expect(back.to).toEqual(to);
    expect(valuesOf(back.text, 'Via')).toEqual([via]);
  });

  it('is nowhere when the name does not resolve', () => {
    silent(receive(replyVia('SIP/2.0/UDP nowhere.example;branch=z9hG4bK1')));
  });

  it.each(['255.255.255.255', '0.0.0.0'])('is not %s, in sent-by, received or maddr (RFC 4475 3.3.10)', (address) => {
    silent(receive(replyVia(`SIP/2.0/UDP ${address};branch=z9hG4bK1`)));
    silent(receive(replyVia(`SIP/2.0/UDP 192.0.2.10;received=${address};branch=z9hG4bK1`)));
    silent(receive(replyVia(`SIP/2.0/UDP 192.0.2.10;maddr=${address};branch=z9hG4bK1`)));
  });

  it('is the client behind a NAT, by what we wrote into its Via', () => {
    const nat = { address: '192.0.2.1', port: 9988 };
    const { text } = throughUs('SIP/2.0/UDP 10.1.1.1:4540;rport;branch=z9hG4bKkjshdyff', nat);
    expect(sole(receive(replyTo(text))).to).toEqual(nat);
  });

  it('is the source of a request whose sent-by was a name', () => {
    const { text } = throughUs('SIP/2.0/UDP pc33.atlanta.example:5066;branch=z9hG4bKa', {
      address: '192.0.2.12',
      port: 40000,
    });
    expect(sole(receive(replyTo(text))).to).toEqual({ address: '192.0.2.12', port: 5066 });
  });

  it('leaves from the socket the request came by (RFC 3581 4)', () => {
    const two = createElement({ listen: ['udp:192.0.2.254:5060', 'udp:192.0.2.254:5070'] });
    for (const socket of [0, 1]) {
      const via = `SIP/2.0/UDP 10.1.1.1;rport;branch=z9hG4bKs${socket}`;
      const out = forwarded(two.receive(request({ via }), { address: '192.0.2.1', port: 9988 }, socket));
      const back = sole(two.receive(replyTo(out.text), BOB, out.socket));
      expect(back.socket).toBe(socket);
      expect(back.to).toEqual({ address: '192.0.2.1', port: 9988 });
    }
  });
});

describe('18.3 and bad bytes in responses', () => {
  const vias = [`Via: ${OWN}`, `Via: ${ALICE_VIA}`];

  it('drops the octets beyond Content-Length', () => {
    const text = response(vias, '200 OK', ['Content-Length: 3']);
    expect(sole(receive(`${text}abcSIP/2.0 200 OK\r\n`)).text.endsWith('Content-Length: 3\r\n\r\nabc')).toBe(true);
  });

  it('discards a response whose body is short', () => {
    silent(receive(`${response(vias, '200 OK', ['Content-Length: 4'])}abc`));
  });

  it('discards a response with a broken Content-Length', () => {
    silent(receive(response(vias, '200 OK', ['Content-Length: -1'])));
    silent(receive(response(vias, '200 OK', ['Content-Length: 0', 'Content-Length: 5'])));
  });

  it.each(['4294967301 too large', '99 too small', '700 beyond', '20 OK', 'OK'])(
    'drops a status line that is none: %s',
    (status) => {
      silent(receive(response(vias, status)));
    },
  );

  it('drops another version of SIP', () => {
    silent(receive(response(vias).replace('SIP/2.0 200', 'SIP/3.0 200')));
  });

  it('forwards a reason phrase of any characters, or none', () => {
    for (const status of ['200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe', '200 ', '183 \x80\xff %41'])
      expect(startLineOf(sole(receive(response(vias, status))).text)).toBe(`SIP/2.0 ${status}`);
  });

  it('never answers a response', () => {
    for (const text of [
      response([]),
      response(vias, '200 OK', ['Content-Length: 9']),
      'SIP/2.0 200 OK\r\n\r\n',
      'SIP/2.0 200 OK\r\n',
    ])
      silent(receive(text));
  });
});
