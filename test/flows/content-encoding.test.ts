/** RFC 3261 8.2.3, bodies of requests that end here: what is encoded and has to be understood is answered 415. */

import { describe, expect, it } from 'vitest';
import { fieldsOf, request, statusOf } from './messages.ts';
import { MODES, register, registrarOf } from './registrar/register.ts';
import { ALICE, BOB, createElement } from './virtual-network.ts';

const BODY = 'v=0\r\n';
const OPTIONAL = 'Content-Disposition: render;x="handling=required;";Handling=OPTIONAL';

describe.each(MODES)('8.2.3 in mode %s', (mode) => {
  const options = (headers: readonly string[], body: string) =>
    request({ method: 'OPTIONS', uri: 'sip:192.0.2.254', headers, body });
  const registration = (headers: readonly string[], body: string) =>
    register({ contacts: ['<sip:alice@192.0.2.10>'], headers }).replace('Length: 0', `Length: ${body.length}`) + body;

  describe.each([
    ['OPTIONS', options],
    ['REGISTER', registration],
  ])('%s', (_, make) => {
    const answerTo = (headers: readonly string[], body = BODY) => {
      const [answer, ...more] = registrarOf({ mode }).receive(make(headers, body), ALICE);
      expect(more).toEqual([]);
      return answer!.text;
    };

    it.each([
      [['Content-Encoding: gzip']],
      [['e: x-unheard-of']],
      [['Content-Encoding: identity, gzip']],
      [['Content-Encoding: identity', 'e: gzip']],
      [['Content-Encoding: gzip', 'Content-Disposition: render;handling=required']],
      [['Content-Encoding: gzip', 'Content-Disposition: optional']],
      [['Content-Encoding: gzip', 'Content-Disposition: render;handling']],
    ])('with %j is answered 415, which says what is decoded (21.4.13)', (headers) => {
      const text = answerTo(headers);
      expect(statusOf(text)).toBe(415);
      expect(fieldsOf(text, 'Accept-Encoding')).toEqual(['identity']);
      expect(fieldsOf(text, 'Contact')).toEqual([]);
    });

    it.each([
      [['Content-Encoding: identity']],
      [['e: IDENTITY']],
      [['Content-Encoding: gzip', OPTIONAL]],
      [['Content-Type: application/unheard-of', 'Content-Language: tlh']],
      [[]],
    ])('with %j is served', (headers) => {
      expect(statusOf(answerTo(headers))).toBe(200);
    });

    it('without a body is served whatever it says of it', () => {
      expect(statusOf(answerTo(['Content-Encoding: gzip'], ''))).toBe(200);
    });
  });

  it('what is forwarded is left to the callee', () => {
    const text = request({ method: 'OPTIONS', headers: ['Content-Encoding: gzip'], body: BODY });
    const sent = createElement({ mode }).receive(text, ALICE);
    expect(sent.map(({ to }) => to)).toEqual([BOB]);
  });
});
