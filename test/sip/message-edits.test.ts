import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Literal } from '../../src/base/ascii.ts';
import { createArena } from '../../src/memory/arena.ts';
import { EGRESS, EGRESS_SPANS, SCRATCH_BYTES, SLOT_HEADER_BYTES, slotOffset } from '../../src/memory/layout.ts';
import { MessageEdits } from '../../src/sip/message-edits.ts';
import { Outbound } from '../../src/sip/outbound.ts';

const arena = createArena({ shardCount: 1, slotCount: 128, jumboCount: 1 });
const start = slotOffset(arena.map, 128) + SLOT_HEADER_BYTES;

/** What `edits`, in the order they are made, turn `text` into. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

function apply(text: string, list: readonly Edit[]): { result: string; spanCount: number; isInside: boolean } {
  arena.bytes.set(Buffer.from(text, 'latin1'), start);
  const outbound = new Outbound(arena, 0, () => outbound.clear());
  const edits = new MessageEdits();
  outbound.begin();
  for (const edit of list) {
    const from = outbound.cursor;
    outbound.put(new Literal(Buffer.from(edit.text, 'latin1')));
    if (edit.text === '') edits.remove(start + edit.start, start + edit.end);
    else if (edit.start === edit.end) edits.insert(start + edit.start, from, outbound.cursor);
    else edits.replace(start + edit.start, start + edit.end, from, outbound.cursor);
  }
  edits.apply(outbound, start, start + text.length);
  outbound.commit(0);
  const word = arena.map.egress >> 2;
  const spanCount = arena.words[word + EGRESS.SPAN_COUNT_WORD]!;
  let result = '';
  let isInside = true;
  for (let i = 0; i < spanCount; i++) {
    const from = arena.words[word + EGRESS.SPANS_WORD + 2 * i]!;
    const to = from + arena.words[word + EGRESS.SPANS_WORD + 2 * i + 1]!;
    const isText = from >= arena.map.scratch && to <= arena.map.scratch + SCRATCH_BYTES;
    isInside &&= to > from && (isText || (from >= start && to <= start + text.length));
    result += Buffer.from(arena.bytes.slice(from, to)).toString('latin1');
  }
  return { result, spanCount, isInside };
}

/** The same with strings. Edits do not overlap; those at one place keep their order. */
function naive(text: string, list: readonly Edit[]): string {
  const inOrder = list.toSorted((a, b) => a.start - b.start);
  let result = '';
  let from = 0;
  for (const edit of inOrder) {
    result += text.slice(from, edit.start) + edit.text;
    from = edit.end;
  }
  return result + text.slice(from);
}

/** Non-overlapping edits of a text, in a shuffled order. */
function editsOf(text: string, maxCount: number): fc.Arbitrary<Edit[]> {
  return fc
    .tuple(
      fc.uniqueArray(fc.nat(text.length), { maxLength: maxCount * 2 }),
      fc.infiniteStream(fc.string({ maxLength: 6 })),
      fc.infiniteStream(fc.nat(2)),
    )
    .chain(([places, texts, kinds]) => {
      const sorted = places.toSorted((a, b) => a - b);
      const list: Edit[] = [];
      for (let i = 0; i + 1 < sorted.length; i += 2) {
        const kind = kinds.next().value!;
        const at = sorted[i]!;
        const text = texts.next().value!;
        const end = kind === 0 || text === '' ? sorted[i + 1]! : kind === 1 ? at : sorted[i + 1]!;
        list.push({ start: at, end, text: kind === 0 ? '' : text });
      }
      return fc.shuffledSubarray(list, { minLength: list.length });
    });
}

const TEXT = Array.from({ length: 400 }, (_, i) => String.fromCharCode(0x21 + (i % 90))).join('');

describe('MessageEdits', () => {
  it('makes random edits as a naive editor of strings does', () => {
    fc.assert(
      fc.property(editsOf(TEXT, 12), (list) => {
        expect(apply(TEXT, list).result).toBe(naive(TEXT, list));
      }),
      { numRuns: 500 },
    );
  });

  it(`does so with more pieces than the ${EGRESS_SPANS} of an entry, which are then fewer`, () => {
    fc.assert(
      fc.property(editsOf(TEXT, 60), (list) => {
        const { result, spanCount, isInside } = apply(TEXT, list);
        expect(result).toBe(naive(TEXT, list));
        expect(spanCount).toBeLessThanOrEqual(EGRESS_SPANS);
        expect(isInside).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('keeps a message without edits as one span', () => {
    expect(apply(TEXT, [])).toEqual({ result: TEXT, spanCount: 1, isInside: true });
  });

  it('keeps the order of insertions at one place', () => {
    const list = ['1', '2', '3'].map((text) => ({ start: 5, end: 5, text }));
    expect(apply('aaaaabbbbb', list).result).toBe('aaaaa123bbbbb');
  });

  it.each([
    ['at the beginning', { start: 0, end: 0, text: 'x' }, 'xabc'],
    ['at the end', { start: 3, end: 3, text: 'x' }, 'abcx'],
    ['of everything', { start: 0, end: 3, text: 'x' }, 'x'],
    ['of everything by nothing', { start: 0, end: 3, text: '' }, ''],
    ['by something longer', { start: 1, end: 2, text: 'long' }, 'alongc'],
  ])('edits %s', (_where, edit, expected) => {
    expect(apply('abc', [edit]).result).toBe(expected);
  });

  it('takes out neighbouring pieces made in any order among other edits', () => {
    const pieces = fc.array(fc.record({ length: fc.nat(5), kind: fc.nat(3) }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(
        pieces.chain((all) => {
          let at = 0;
          const list = all.flatMap(({ length, kind }): Edit[] => {
            const start = at;
            at += length + 1;
            if (kind === 0) return [];
            return [{ start, end: at, text: kind === 1 ? 'new' : '' }];
          });
          return fc.shuffledSubarray(list, { minLength: list.length });
        }),
        (list) => {
          expect(apply(TEXT, list).result).toBe(naive(TEXT, list));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('takes out neighbouring pieces, however many lines a message may have', () => {
    const list = Array.from({ length: 512 }, (_, i) => ({ start: 10 + i * 20, end: 30 + i * 20, text: '' }));
    const text = 'x'.repeat(10) + 'y'.repeat(512 * 20) + 'z'.repeat(10);
    expect(apply(text, list)).toEqual({ result: 'x'.repeat(10) + 'z'.repeat(10), spanCount: 2, isInside: true });
  });
});
