import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { embeddedJson, escapeMarkup, markup } from '../../../perf/bench/report/markup.ts';

describe('markup', () => {
  it('escapes what is put in, and nothing twice', () => {
    const inner = markup`<b title="${'a"b'}">${'<i>&'}</b>`;
    expect(markup`<p>${inner}${[1, null, 'x', false, undefined]}</p>`.text).toBe(
      '<p><b title="a&quot;b">&lt;i&gt;&amp;</b>1x</p>',
    );
  });

  it('leaves no character by which text could get out of it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary-ascii' }), (text) => {
        expect(escapeMarkup(text)).not.toMatch(/[<>"']|&(?!amp;|lt;|gt;|quot;|#39;)/);
      }),
    );
    expect(escapeMarkup('a\u0000b\ud800c\td')).toBe('a\ufffdb\ufffdc\td');
  });

  it('JSON in a script element reads back equal and cannot end the element', () => {
    const hostile = { title: '</script><script>alert(1)</script><!--', lines: '\u2028\u2029' };
    expect(embeddedJson(hostile).text).not.toContain('<');
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const { text } = embeddedJson(value);
        expect(text).not.toMatch(/[<\u2028\u2029]/);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});
