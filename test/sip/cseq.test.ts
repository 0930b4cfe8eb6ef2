import { describe, expect, it } from 'vitest';
import { CSEQ_ERROR, CSeqView, parseCSeq } from '../../src/sip/cseq.ts';
import { bytes, place, textOf } from './arena-text.ts';

describe('20.16 CSeq', () => {
  it.each([
    ['1 INVITE', 1, 'INVITE'],
    ['0009\r\n  INVITE', 9, 'INVITE'],
    ['0\tACK', 0, 'ACK'],
    ['2147483647 OPTIONS', 2147483647, 'OPTIONS'],
    ["139122385 !interesting-Method0123456789_*+`.%indeed'~", 139122385, "!interesting-Method0123456789_*+`.%indeed'~"],
    ['00000000000000000001 BYE', 1, 'BYE'],
  ])('reads %o', (text, number, method) => {
    const view = new CSeqView();
    const { start, end } = place(text);
    expect(parseCSeq(bytes, start, end, view)).toBe(CSEQ_ERROR.NONE);
    expect([view.number, textOf(view.methodStart, view.methodEnd)]).toEqual([number, method]);
  });

  it.each([
    ['', CSEQ_ERROR.NUMBER],
    ['INVITE', CSEQ_ERROR.NUMBER],
    ['-1 INVITE', CSEQ_ERROR.NUMBER],
    ['2147483648 INVITE', CSEQ_ERROR.NUMBER],
    ['36893488147419103232 REGISTER', CSEQ_ERROR.NUMBER],
    ['1', CSEQ_ERROR.METHOD],
    ['1INVITE', CSEQ_ERROR.METHOD],
    ['1 ', CSEQ_ERROR.METHOD],
    ['1\r\nINVITE', CSEQ_ERROR.METHOD],
    ['1 INVITE x', CSEQ_ERROR.METHOD],
    ['1 INV(TE', CSEQ_ERROR.METHOD],
  ])('refuses %o', (text, error) => {
    const { start, end } = place(text, 0x31);
    expect(parseCSeq(bytes, start, end, new CSeqView())).toBe(error);
  });
});
