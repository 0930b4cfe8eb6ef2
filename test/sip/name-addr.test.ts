import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NAME_ADDR_ERROR, NameAddrView, parseNameAddr } from '../../src/sip/name-addr.ts';
import { parseUri, URI_ERROR, UriView } from '../../src/sip/uri.ts';
import { bytes, place, START, textOf } from './arena-text.ts';
import { headerParam, lws, quotedString, sws, token, uri } from './grammar.ts';

describe('20.10 name-addr and addr-spec', () => {
  it.each([
    ['<sip:a@b.c>', undefined, 'sip:a@b.c', undefined, undefined],
    ['sip:a@b.c', undefined, 'sip:a@b.c', undefined, undefined],
    ['sip:a@b.c;tag=x', undefined, 'sip:a@b.c', ';tag=x', 'x'],
    ['<sip:a@b.c;lr>;tag=x', undefined, 'sip:a@b.c;lr', ';tag=x', 'x'],
    [
      '"A. G. Bell" <sip:agb@bell-telephone.com> ;tag=a48s',
      '"A. G. Bell"',
      'sip:agb@bell-telephone.com',
      ';tag=a48s',
      'a48s',
    ],
    [
      'Anonymous <sip:c8oqz84zk7z@privacy.org>;tag=hyh8',
      'Anonymous',
      'sip:c8oqz84zk7z@privacy.org',
      ';tag=hyh8',
      'hyh8',
    ],
    ['caller<sip:caller@example.com>;tag=323', 'caller', 'sip:caller@example.com', ';tag=323', '323'],
    [
      "token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
      "token1~` token2'+_ token3*%!.-",
      'sip:mundane@example.com',
      ";fromParam''~+*_!.-%=\"работающий\";tag=_token~1'+`*%!-.",
      "_token~1'+`*%!-.",
    ],
    [
      '"BEL:\\\u0007 NUL:\\\u0000 DEL:\\\u007f" <sip:x@example.com>',
      '"BEL:\\\u0007 NUL:\\\u0000 DEL:\\\u007f"',
      'sip:x@example.com',
      undefined,
      undefined,
    ],
    [
      'sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n',
      undefined,
      'sip:vivekg@chair-dnrc.example.com',
      ';   tag    = 1918181833n',
      '1918181833n',
    ],
    [
      '"J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8',
      '"J Rosenberg \\\\\\""',
      'sip:jdrosen@example.com',
      ';\r\n  tag = 98asjd8',
      '98asjd8',
    ],
    [
      '\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>',
      undefined,
      'sip:services.example.com;lr;unknownwith=value;unknown-no-value',
      undefined,
      undefined,
    ],
    [
      '"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33',
      '"Quoted string \\"\\""',
      'sip:jdrosen@example.com',
      '; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33',
      undefined,
    ],
    ['"" <sip:a@b.c>', '""', 'sip:a@b.c', undefined, undefined],
    ['"<sip:x@y.z>" <sip:a@b.c>', '"<sip:x@y.z>"', 'sip:a@b.c', undefined, undefined],
    ['isbn:2983792873', undefined, 'isbn:2983792873', undefined, undefined],
    ['<http://www.example.com>;tag=3234233', undefined, 'http://www.example.com', ';tag=3234233', '3234233'],
    ['<tel:*72#>', undefined, 'tel:*72#', undefined, undefined],
    ['<sip:a,b@c.d?e=f>', undefined, 'sip:a,b@c.d?e=f', undefined, undefined],
    ['<sip:a@[::1]>;x=[::1];y=2001:db8::1;TAG=t', undefined, 'sip:a@[::1]', ';x=[::1];y=2001:db8::1;TAG=t', 't'],
  ])('reads %o', (text, display, uriText, params, tag) => {
    expect(partsOf(parse(text))).toEqual({ display, uri: uriText, params, tag });
  });

  it('stops at the comma before the next value', () => {
    const text = '"a,b" <sip:c,d@e.f>;x="g,h" , <sip:i@j.k>,sip:l@m.n';
    const { start, end } = place(text);
    const view = new NameAddrView();
    const found: (string | undefined)[] = [];
    for (let at = start; ; at = view.end + 1) {
      expect(parseNameAddr(bytes, at, end, view)).toBe(NAME_ADDR_ERROR.NONE);
      found.push(textOf(view.uriStart, view.uriEnd));
      if (view.end === end) break;
    }
    expect(found).toEqual(['sip:c,d@e.f', 'sip:i@j.k', 'sip:l@m.n']);
  });

  it.each([
    ['', NAME_ADDR_ERROR.URI],
    [' ', NAME_ADDR_ERROR.URI],
    ['<>', NAME_ADDR_ERROR.URI],
    ['<sip:>', NAME_ADDR_ERROR.URI],
    ['<a@b.c>', NAME_ADDR_ERROR.URI],
    ['<;lr>', NAME_ADDR_ERROR.URI],
    ['<sip:a@b.c', NAME_ADDR_ERROR.URI],
    ['<sip:a@b.c;tag=x', NAME_ADDR_ERROR.URI],
    ['< sip:a@b.c>', NAME_ADDR_ERROR.URI],
    ['<sip:a@b.c >', NAME_ADDR_ERROR.URI],
    ['<sip:a @b.c>', NAME_ADDR_ERROR.URI],
    ['<sip:a"@b.c>', NAME_ADDR_ERROR.URI],
    ['<<sip:a@b.c>>', NAME_ADDR_ERROR.URI],
    ['<sip:a@b.c>>', NAME_ADDR_ERROR.URI],
    ['<sip:a@b.c> x', NAME_ADDR_ERROR.URI],
    ['"x"', NAME_ADDR_ERROR.DISPLAY_NAME],
    ['"x" sip:a@b.c', NAME_ADDR_ERROR.DISPLAY_NAME],
    ['"Mr. J. User <sip:j.user@example.com>', NAME_ADDR_ERROR.DISPLAY_NAME],
    ['"x\\" <sip:a@b.c>', NAME_ADDR_ERROR.DISPLAY_NAME],
    ['"x\u0001" <sip:a@b.c>', NAME_ADDR_ERROR.DISPLAY_NAME],
    ['"x\\\r\n " <sip:a@b.c>', NAME_ADDR_ERROR.DISPLAY_NAME],
    ['"x\r\n" <sip:a@b.c>', NAME_ADDR_ERROR.DISPLAY_NAME],
    ['"x" y <sip:a@b.c>', NAME_ADDR_ERROR.DISPLAY_NAME],
    ['Bell, Alexander <sip:a.g.bell@example.com>;tag=43', NAME_ADDR_ERROR.DISPLAY_NAME],
    ['a(b) <sip:a@b.c>', NAME_ADDR_ERROR.DISPLAY_NAME],
    ['a b sip:a@b.c', NAME_ADDR_ERROR.DISPLAY_NAME],
    ['alice', NAME_ADDR_ERROR.DISPLAY_NAME],
    ['*', NAME_ADDR_ERROR.DISPLAY_NAME],
    ['%:x', NAME_ADDR_ERROR.URI],
    ['sip:a@b.c?x=y', NAME_ADDR_ERROR.URI],
    ['sip:a@b.c x', NAME_ADDR_ERROR.URI],
    ['sip:', NAME_ADDR_ERROR.URI],
    ['sip: a@b.c', NAME_ADDR_ERROR.URI],
    ['sip:a@b.c>', NAME_ADDR_ERROR.URI],
    ['sip:a@b.c;', NAME_ADDR_ERROR.PARAMETER],
    ['<sip:a@b.c>;', NAME_ADDR_ERROR.PARAMETER],
    ['<sip:a@b.c>;;tag=x', NAME_ADDR_ERROR.PARAMETER],
    ['<sip:a@b.c>;tag', NAME_ADDR_ERROR.PARAMETER],
    ['<sip:a@b.c>;tag=', NAME_ADDR_ERROR.PARAMETER],
    ['<sip:a@b.c>;tag="x"', NAME_ADDR_ERROR.PARAMETER],
    ['<sip:a@b.c>;x=y z', NAME_ADDR_ERROR.PARAMETER],
    ['<sip:a@b.c>;x="y', NAME_ADDR_ERROR.PARAMETER],
    ['<sip:a@b.c>;tag=x;tag=y', NAME_ADDR_ERROR.REPEATED],
  ])('refuses %o', (text, error) => {
    const { start, end } = place(text);
    expect(parseNameAddr(bytes, start, end, new NameAddrView())).toBe(error);
  });
});

const bracketed = fc
  .record({
    display: fc.option(
      fc.oneof(
        quotedString,
        fc.array(token, { minLength: 1, maxLength: 3 }).map((all) => all.join(' ')),
      ),
      { nil: undefined },
    ),
    gap: lws,
    lead: sws,
    uri,
    others: fc.array(headerParam, { maxLength: 3 }),
    tag: fc.option(token, { nil: undefined }),
  })
  .map((parts) => ({
    ...parts,
    text: `${parts.lead}${parts.display === undefined ? '' : parts.display + parts.gap}<${parts.uri}>${parts.others.join('')}${parts.tag === undefined ? '' : `${parts.lead};${parts.lead}Tag${parts.lead}=${parts.tag}`}`,
  }));

describe('any name-addr', () => {
  it('parses into the parts it was printed from, up to the comma', () => {
    fc.assert(
      fc.property(bracketed, fc.constantFrom('', ',', ' , <sip:x>'), (parts, rest) => {
        const view = parse(parts.text + rest);
        const { display, uri: uriText, tag } = partsOf(view);
        expect({ display, uri: uriText, tag }).toEqual({ display: parts.display, uri: parts.uri, tag: parts.tag });
        if (rest === '') expect(view.end - START).toBe(Buffer.byteLength(parts.text));
        else expect(view.end - START).toBe(Buffer.byteLength(parts.text) + rest.indexOf(','));
      }),
      { numRuns: 500 },
    );
  });

  it('delimits every URI that parseUri accepts', () => {
    fc.assert(
      fc.property(uri, (text) => {
        const view = parse(`<${text}>`);
        expect(parseUri(bytes, view.uriStart, view.uriEnd, new UriView())).toBe(URI_ERROR.NONE);
      }),
      { numRuns: 200 },
    );
  });

  it('reads arbitrary bytes without throwing, and nothing outside its span', () => {
    const mutated = fc.tuple(bracketed, fc.nat(200), fc.nat(255)).map(([{ text }, at, byte]) => {
      const content = Buffer.from(text);
      content[at % content.length] = byte;
      return content.subarray(0, content.length - (at % 7));
    });
    fc.assert(
      fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 60 })), (content) => {
        const outcomes = [0x61, 0x3c, 0x20, 0x3a, 0x22, 0x3b].map((around) => {
          const { start, end } = place(content, around);
          const view = new NameAddrView();
          const error = parseNameAddr(bytes, start, end, view);
          expect(view.end).toBeLessThanOrEqual(end);
          return JSON.stringify([error, view]);
        });
        expect(new Set(outcomes).size).toBe(1);
      }),
      { numRuns: 500 },
    );
  });
});

function parse(text: string): NameAddrView {
  const { start, end } = place(text);
  const view = new NameAddrView();
  expect(parseNameAddr(bytes, start, end, view), text).toBe(NAME_ADDR_ERROR.NONE);
  return view;
}

function partsOf(view: NameAddrView) {
  return {
    display: textOf(view.displayStart, view.displayEnd),
    uri: textOf(view.uriStart, view.uriEnd),
    params: textOf(view.paramsStart, view.paramsEnd),
    tag: textOf(view.tagStart, view.tagEnd),
  };
}
