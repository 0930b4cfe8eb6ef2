import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isFor, sipIdentities } from '../../../src/runtime/tls/sip-identities.ts';

const of = (subjectAltName: string | undefined, subject = 'CN=cn.example') =>
  sipIdentities({ subjectAltName, subject });

describe('RFC 5922 7.1 whom a certificate is for', () => {
  it.each([
    { what: 'a sip URI', names: 'URI:sip:A.example', identities: ['a.example'] },
    { what: 'several', names: 'URI:sip:a.example, URI:SIP:b.example', identities: ['a.example', 'b.example'] },
    { what: 'a sip URI before DNS names', names: 'DNS:d.example, URI:sip:a.example', identities: ['a.example'] },
    { what: 'DNS names without one', names: 'DNS:a.example, DNS:B.example', identities: ['a.example', 'b.example'] },
    { what: 'no sips URI', names: 'URI:sips:a.example', identities: [] },
    { what: 'no http URI', names: 'URI:http://a.example, DNS:d.example', identities: ['d.example'] },
    { what: 'no user of a domain', names: 'URI:sip:bob@a.example', identities: [] },
    { what: 'a host whatever its parameters', names: 'URI:sip:a.example;transport=tls', identities: ['a.example'] },
    { what: 'no IP address', names: 'IP Address:192.0.2.1', identities: [] },
    {
      what: 'a name that is quoted',
      names: 'DNS:"a.example\\u0000.evil.example", DNS:b.example',
      identities: ['a.example\0.evil.example', 'b.example'],
    },
    {
      what: 'a list within quotes is one name',
      names: 'DNS:"x, DNS:victim.example"',
      identities: ['x, dns:victim.example'],
    },
  ])('$what', ({ names, identities }) => {
    expect(of(names)).toEqual(identities);
  });

  it('is the common name only where there is no subjectAltName', () => {
    expect(of(undefined, 'C=DE\nCN=Cn.Example\nO=x')).toEqual(['cn.example']);
    expect(of(undefined, 'O=x')).toEqual([]);
    expect(of('URI:sips:a.example')).toEqual([]);
  });

  it('throws for nothing', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (names, host) => {
        isFor({ subjectAltName: names, subject: names }, host);
      }),
    );
  });
});

describe('7.2 comparing', () => {
  it.each([
    { host: 'a.example', is: true },
    { host: 'A.EXAMPLE', is: true },
    { host: 'a.example.', is: true },
    { host: 'b.a.example', is: false },
    { host: 'example', is: false },
    { host: '*.wild.example', is: true },
    { host: 'x.wild.example', is: false },
    { host: '192.0.2.1', is: true },
    { host: '192.0.2.2', is: false },
    { host: '[2001:DB8::1]', is: true },
    { host: '2001:db8:0:0::1', is: true },
    { host: '', is: false },
  ])('$host: $is', ({ host, is }) => {
    const subjectAltName = 'DNS:a.example, DNS:*.wild.example, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1';
    expect(isFor({ subjectAltName, subject: undefined }, host)).toBe(is);
  });
});
