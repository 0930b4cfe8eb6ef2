/** Web pages that may connect (RFC 6454 6.2, RFC 6455 10.2). */

import { describe, expect, it } from 'vitest';
import { Origins, originProblem } from '../../src/config/origins.ts';

describe('an entry', () => {
  it.each([
    'https://phone.example.org',
    'https://*.example.org',
    'http://localhost:8080',
    'https://[2001:db8::1]:8443',
    'app://phone',
    'none',
  ])('%s is one', (text) => {
    expect(originProblem(text)).toBeNull();
  });

  it.each([
    'phone.example.org',
    'https://',
    'https://a.example/',
    'https://a.example/path',
    'https://user@a.example',
    'https://a.*.example',
    'https://*',
    'https://a b',
    'https://a.example:port',
    'null',
    '*',
    '',
  ])('%s is none', (text) => {
    expect(originProblem(text)).toMatch(/is not (an origin|a host)/);
  });
});

describe('of a list', () => {
  const origins = new Origins(['https://Phone.example.org', 'https://*.shop.example:443', 'http://localhost:8080']);

  it.each([
    'https://phone.example.org',
    'HTTPS://PHONE.example.org',
    'https://a.shop.example',
    'http://localhost:8080',
  ])('%s is one', (origin) => {
    expect(origins.has(origin)).toBe(true);
  });

  it.each([
    'http://phone.example.org',
    'https://phone.example.org:8443',
    'https://shop.example',
    'https://.shop.example',
    'https://a.b.shop.example',
    'https://evil.example:443.shop.example',
    'http://localhost',
    'null',
    '',
    undefined,
  ])('%s is none', (origin) => {
    expect(origins.has(origin)).toBe(false);
  });

  it('that is empty, all are; `none` is for who says nothing', () => {
    expect([new Origins([]).has('https://x.example'), new Origins([]).has(undefined)]).toEqual([true, true]);
    const withNone = new Origins(['https://a.example', 'none']);
    expect([withNone.has(undefined), withNone.has('none'), withNone.has('https://b.example')]).toEqual([
      true,
      false,
      false,
    ]);
  });
});
