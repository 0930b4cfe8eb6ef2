/** RFC 7118 4.2 and 6: what a WebSocket message carries. */

import { describe, expect, it } from 'vitest';
import { CONTENT, contentOf, contentStart } from '../../src/sip/web-socket-framing.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');
const kindOf = (text: string) => {
  const found = contentOf(bytes(text), contentStart(bytes(text)));
  return Object.entries(CONTENT).find(([, kind]) => kind === found)![0];
};

describe('4.2 a SIP message', () => {
  it.each([
    'OPTIONS sip:a SIP/2.0\r\nVia: x\r\n\r\n',
    'options sip:a sip/2.0\r\n',
    'SIP/2.0 200 OK\r\n\r\n',
    'SIP/9.9 200 OK\n',
    // Whether it can be read is for whoever answers it.
    'OPTIONS  SIP/2.0\r\nno header',
  ])('%j', (text) => {
    expect(kindOf(text)).toBe('MESSAGE');
    expect(kindOf(`\r\n\r\n${text}`)).toBe('MESSAGE');
    expect(
      bytes(`\r\n\r\n${text}`)
        .subarray(contentStart(bytes(`\r\n\r\n${text}`)))
        .toString(),
    ).toBe(text);
  });

  it.each([
    'hello',
    'hello\r\n',
    '{"method":"REGISTER"}\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    'OPTIONS sip:a SIP/2.0',
    ' OPTIONS sip:a\r\nX: SIP/2.0\r\n\r\n',
    '\0\x01\0\0',
  ])('%j is none', (text) => {
    expect(kindOf(text)).toBe('GARBAGE');
  });
});

describe('6, RFC 5626 3.5.1: keep-alives', () => {
  it.each([
    ['\r\n\r\n', 'PING'],
    ['\r\n', 'LINE_ENDS'],
    ['', 'LINE_ENDS'],
    ['\n\n', 'LINE_ENDS'],
    ['\n\r\n\r', 'LINE_ENDS'],
    ['\r\n\r\n\r\n', 'LINE_ENDS'],
  ])('%j is %s', (text, kind) => {
    expect(kindOf(text)).toBe(kind);
  });
});
