import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { equalUris } from '../../src/sip/uri-equality.ts';
import { bytes, place, placeSecond } from './arena-text.ts';
import { printUri, uri, uriParts } from './grammar.ts';

describe('19.1.4 URI comparison', () => {
  describe('the URIs of each set are equivalent', () => {
    it.each([
      ['sip:%61lice@atlanta.com;transport=TCP', 'sip:alice@AtLanTa.CoM;Transport=tcp'],
      ['sip:carol@chicago.com', 'sip:carol@chicago.com;newparam=5'],
      ['sip:carol@chicago.com', 'sip:carol@chicago.com;security=on'],
      ['sip:carol@chicago.com;newparam=5', 'sip:carol@chicago.com;security=on'],
      [
        'sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com',
        'sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com',
      ],
      [
        'sip:alice@atlanta.com?subject=project%20x&priority=urgent',
        'sip:alice@atlanta.com?priority=urgent&subject=project%20x',
      ],
      // Not transitive: both of these, but see below.
      ['sip:carol@chicago.com', 'sip:carol@chicago.com;security=off'],
    ])('%s = %s', (a, b) => {
      expect(equal(a, b)).toBe(true);
    });
  });

  describe('the URIs of each set are not equivalent', () => {
    it.each([
      ['SIP:ALICE@AtLanTa.CoM;Transport=udp', 'sip:alice@AtLanTa.CoM;Transport=UDP'],
      ['sip:bob@biloxi.com', 'sip:bob@biloxi.com:5060'],
      ['sip:bob@biloxi.com', 'sip:bob@biloxi.com;transport=udp'],
      ['sip:bob@biloxi.com', 'sip:bob@biloxi.com:6000;transport=tcp'],
      ['sip:carol@chicago.com', 'sip:carol@chicago.com?Subject=next%20meeting'],
      ['sip:bob@phone21.boxesbybob.com', 'sip:bob@192.0.2.4'],
      ['sip:carol@chicago.com;security=on', 'sip:carol@chicago.com;security=off'],
    ])('%s ≠ %s', (a, b) => {
      expect(equal(a, b)).toBe(false);
    });
  });

  it.each([
    ['sip:a@b.c', 'SIP:a@B.C'],
    ['sip:a:pW@b.c', 'sip:%61:p%57@b.c'],
    ['sip:a%40@b.c', 'sip:%61%40@b.c'],
    ['sip:a%3b@b.c', 'sip:a%3B@b.c'],
    ['sip:a@b.c:5060', 'sip:a@b.c:05060'],
    ['sip:a@[2001:db8::1]', 'sip:a@[2001:DB8:0:0::1]'],
    ['sip:a@[::ffff:192.0.2.1]', 'sip:a@[::ffff:c000:201]'],
    ['sip:a@b.c;lr', 'sip:a@b.c'],
    ['sip:a@b.c;%6Cr', 'sip:a@b.c;LR'],
    ['sip:a@b.c;x=%61', 'sip:a@b.c;X=A'],
    ['sip:a@b.c;user=phone', 'sip:a@b.c;user=Phone'],
    ['sip:a@b.c;maddr=1.2.3.4;ttl=5', 'sip:a@b.c;ttl=5;maddr=1.2.3.4'],
    ['sip:a@b.c?x=y&x=z', 'sip:a@b.c?X=z&x=Y'],
    ['sip:a@b.c?x=', 'sip:a@b.c?x='],
  ])('holds %s and %s for the same', (a, b) => {
    expect(equal(a, b)).toBe(true);
  });

  it.each([
    ['sip:a@b.c', 'sips:a@b.c'],
    ['sip:a@b.c', 'sip:b.c'],
    ['sip:a@b.c', 'sip:a:@b.c'],
    ['sip:a:x@b.c', 'sip:a:X@b.c'],
    ['sip:a;b@b.c', 'sip:a%3Bb@b.c'],
    ['sip:a%3Ab@b.c', 'sip:a:b@b.c'],
    ['sip:a@b.c', 'sip:a@b.c.'],
    ['sip:a@[::1]', 'sip:a@[::2]'],
    ['sip:a@[::1.2.3.4]', 'sip:a@1.2.3.4'],
    ['sip:a@b.c;user=phone', 'sip:a@b.c'],
    ['sip:a@b.c;ttl=1', 'sip:a@b.c'],
    ['sip:a@b.c;method=INVITE', 'sip:a@b.c'],
    ['sip:a@b.c;maddr=1.2.3.4', 'sip:a@b.c'],
    ['sip:a@b.c;%75ser=ip', 'sip:a@b.c'],
    ['sip:a@b.c;x', 'sip:a@b.c;x=y'],
    ['sip:a@b.c;x=%3A', 'sip:a@b.c;x=:'],
    ['sip:a@b.c?x=y', 'sip:a@b.c?x=z'],
    ['sip:a@b.c?x=y&x=y', 'sip:a@b.c?x=y'],
    ['sip:a@b.c?x=y&x=y&x=z', 'sip:a@b.c?x=y&x=z&x=z'],
    ['sip:a@b.c', 'tel:+1'],
  ])('tells %s and %s apart', (a, b) => {
    expect(equal(a, b)).toBe(false);
    expect(equal(b, a)).toBe(false);
  });

  it('is reflexive, symmetric, and blind to the order of parameters and to needless escapes', () => {
    fc.assert(
      fc.property(uriParts, uri, (parts, other) => {
        const text = printUri(parts);
        expect(equal(text, text)).toBe(true);
        expect(equal(text, other)).toBe(equal(other, text));
        const reversed = parts.params
          ?.split(';')
          .toReversed()
          .filter(Boolean)
          .map((param) => `;${param}`)
          .join('');
        const escapedUser = parts.user?.replace(/^[a-zA-Z]/, (letter) => `%${letter.charCodeAt(0).toString(16)}`);
        // Of a name that stands twice the first counts, so the order matters then.
        fc.pre(
          new Set(parts.params?.toLowerCase().match(/;[^;=]*/g)).size === (parts.params?.match(/;/g)?.length ?? 0),
        );
        fc.pre(!parts.params?.includes('%'));
        expect(equal(text, printUri({ ...parts, params: reversed, user: escapedUser }))).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('compares a URI of very many parameters byte by byte', () => {
    const many = Array.from({ length: 5000 }, (_, i) => `;p${i}`).join('');
    expect(equal(`sip:a@b.c${many}`, `sip:a@b.c${many}`)).toBe(true);
    expect(equal(`sip:a@b.c${many}`, `sip:a@b.c${many};x`)).toBe(false);
  });
});

describe('URIs of other schemes', () => {
  it.each([
    ['urn:service:sos', 'URN:service:sos', true],
    ['urn:service:sos', 'urn:service:SOS', false],
    ['http://a/', 'https://a/', false],
    ['x:y', 'x:yz', false],
    ['not a uri', 'not a uri', true],
    ['not a uri', 'not a URI', false],
    ['not a uri', 'sip:a@b.c', false],
  ])('%s, %s: %s', (a, b, expected) => {
    expect(equal(a, b)).toBe(expected);
  });

  it.each([
    ['tel:+1-201-555-0123', 'TEL:+1(201)555.0123', true],
    ['tel:7042;phone-context=example.com', 'tel:7042;phone-context=Example.COM', true],
    ['tel:7042;phone-context=+1-914', 'tel:70-42;phone-context=+1914', true],
    ['tel:+1;ext=1-2;x=y', 'tel:+1;X=Y;ext=12', true],
    ['tel:7042;phone-context=+1-914', 'tel:7042;phone-context=+1915', false],
    ['tel:+12015550123', 'tel:12015550123', false],
    ['tel:+1;x=y', 'tel:+1', false],
    ['tel:+1;x=y', 'tel:+1;z=y', false],
    ['tel:12a', 'tel:12A', true],
  ])('RFC 3966 section 4: %s, %s: %s', (a, b, expected) => {
    expect(equal(a, b)).toBe(expected);
  });
});

function equal(a: string, b: string): boolean {
  const first = place(a);
  const second = placeSecond(b);
  return equalUris(bytes, first.start, first.end, second.start, second.end);
}
