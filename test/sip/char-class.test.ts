import { describe, expect, it } from 'vitest';
import {
  ALPHA,
  DIGIT,
  ESCAPE,
  HEX,
  LOWER,
  NOT_HEX,
  TOKEN,
  URI_ANY,
  URI_HEADER,
  URI_PARAM,
  URI_PASSWORD,
  URI_USER,
  WORD,
  WSP,
} from '../../src/base/char-class.ts';

const ALPHANUM = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const UNRESERVED = `${ALPHANUM}-_.!~*'()`;

describe('25.1 Basic rules', () => {
  it.each([
    ['token', TOKEN, `${ALPHANUM}-.!%*_+\`'~`],
    ['word', WORD, `${ALPHANUM}-.!%*_+\`'~()<>:\\"/[]?{}`],
    ['WSP', WSP, ' \t'],
    ['DIGIT', DIGIT, '0123456789'],
    ['ALPHA', ALPHA, ALPHANUM.slice(0, 52)],
    ['user', URI_USER, `${UNRESERVED}&=+$,;?/%`],
    ['password', URI_PASSWORD, `${UNRESERVED}&=+$,%`],
    ['paramchar', URI_PARAM, `${UNRESERVED}[]/:&+$%`],
    ['hname', URI_HEADER, `${UNRESERVED}[]/?:+$%`],
    ['uric', URI_ANY, `${UNRESERVED};/?:@&=+$,%`],
  ])('%s has exactly its characters', (_name, table, members) => {
    for (let byte = 0; byte < 256; byte++) expect(table[byte] !== 0).toBe(members.includes(String.fromCharCode(byte)));
  });

  it('marks the percent sign of URI classes, and of no other', () => {
    for (const table of [URI_USER, URI_PASSWORD, URI_PARAM, URI_HEADER, URI_ANY]) expect(table[0x25]).toBe(ESCAPE);
    expect(TOKEN[0x25]).toBe(1);
  });

  it('knows hexadecimal digits and small letters', () => {
    for (let byte = 0; byte < 256; byte++) {
      const character = String.fromCharCode(byte);
      expect(HEX[byte]).toBe(/^[0-9a-f]$/i.test(character) ? Number.parseInt(character, 16) : NOT_HEX);
      expect(LOWER[byte]).toBe(/^[A-Z]$/.test(character) ? character.toLowerCase().charCodeAt(0) : byte);
    }
  });
});
