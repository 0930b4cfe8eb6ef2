import { describe, expect, it } from 'vitest';
import { HEADER_ID } from '../../src/sip/header-table.ts';
import { MessageIndex, UNIDENTIFIED } from '../../src/sip/message-index.ts';
import { MESSAGE_ERROR, parseMessage } from '../../src/sip/parse-message.ts';
import { bytes, place, textOf, words } from './arena-text.ts';

function indexOf(...lines: readonly string[]): MessageIndex {
  const index = new MessageIndex();
  fill(index, ...lines);
  return index;
}

function fill(index: MessageIndex, ...lines: readonly string[]): void {
  const { start, end } = place(`${['OPTIONS sip:a@b SIP/2.0', ...lines].join('\r\n')}\r\n\r\n`);
  expect(parseMessage(bytes, words, start, end, index)).toBe(MESSAGE_ERROR.NONE);
}

/** Values of all headers of an id, walked with find and next. */
function valuesOf(index: MessageIndex, id: number): (string | undefined)[] {
  const values: (string | undefined)[] = [];
  for (let header = index.find(bytes, id); header !== -1; header = index.next(header)) {
    values.push(textOf(index.valueStart(header), index.valueEnd(header)));
  }
  return values;
}

describe('MessageIndex', () => {
  it('knows core headers at once and the others when asked for one', () => {
    const index = indexOf('Subject: s', 'To: t', 'k: 100rel', 'X-Own: x', 'Supported: timer');
    expect(index.first[HEADER_ID.TO]).toBe(1);
    expect(index.first[HEADER_ID.SUPPORTED]).toBe(-1);
    expect(index.idOf(2)).toBe(UNIDENTIFIED);
    expect(valuesOf(index, HEADER_ID.SUPPORTED)).toEqual(['100rel', 'timer']);
    expect(valuesOf(index, HEADER_ID.SUBJECT)).toEqual(['s']);
    expect(valuesOf(index, HEADER_ID.OTHER)).toEqual(['x']);
    expect(valuesOf(index, HEADER_ID.TO)).toEqual(['t']);
  });

  it('finds nothing that is not there', () => {
    const index = indexOf('To: t', 'Subject: s');
    expect(index.find(bytes, HEADER_ID.VIA)).toBe(-1);
    expect(index.find(bytes, HEADER_ID.CONTACT)).toBe(-1);
    expect(index.next(0)).toBe(-1);
    expect(indexOf().find(bytes, HEADER_ID.TO)).toBe(-1);
  });

  it('walks headers of one id in their order, in long and compact form', () => {
    const index = indexOf('Via: 1', 'To: t', 'v: 2', 'X: x', 'VIA : 3');
    expect(valuesOf(index, HEADER_ID.VIA)).toEqual(['1', '2', '3']);
  });

  it('identifies a name that white space separates from its colon', () => {
    expect(valuesOf(indexOf('Subject \t: s'), HEADER_ID.SUBJECT)).toEqual(['s']);
    expect(valuesOf(indexOf('Subjec: s'), HEADER_ID.SUBJECT)).toEqual([]);
  });

  it('has lines that join up from the first header to the empty line', () => {
    const index = indexOf('To: t', 'Subject: a\r\n b', 'X:', 'Via: 1');
    expect(index.lineStart(0)).toBe(index.headersStart);
    for (let i = 1; i < index.headerCount; i++) expect(index.lineStart(i)).toBe(index.lineEnd(i - 1));
    expect(index.lineEnd(3)).toBe(index.headersEnd);
    expect(textOf(index.lineStart(1), index.lineEnd(1))).toBe('Subject: a\r\n b\r\n');
  });

  it('forgets everything of the message before, asked for or not', () => {
    const index = indexOf('To: t', 'Subject: s', 'Via: 1', 'Via: 2');
    index.find(bytes, HEADER_ID.SUBJECT);
    fill(index, 'Organization: o');
    for (const id of [HEADER_ID.TO, HEADER_ID.VIA, HEADER_ID.SUBJECT]) expect(index.find(bytes, id)).toBe(-1);
    expect(valuesOf(index, HEADER_ID.ORGANIZATION)).toEqual(['o']);
    expect(index.repeated).toBe(0);
    expect(index.headerCount).toBe(1);
  });

  it('is empty before its first message', () => {
    const index = new MessageIndex();
    expect(index.headerCount).toBe(0);
    expect(index.find(bytes, HEADER_ID.TO)).toBe(-1);
  });
});
