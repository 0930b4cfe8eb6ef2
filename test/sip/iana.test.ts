/** The tables of the code against the IANA registry "Session Initiation Protocol (SIP) Parameters". The tables in iana/ hold
 *  the registry's rows for methods, header fields and response codes, written down from the RFCs they name. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { HEADER_NAMES } from '../../src/sip/header-table.ts';
import { METHOD_NAMES } from '../../src/sip/methods.ts';
import { RESPONSE_CODES, reasonPhraseOf } from '../../src/sip/response-codes.ts';

/** In use, though the registry has no row for it: RFC 5806 is historic. */
const UNREGISTERED = ['Diversion'];

describe('IANA SIP parameters', () => {
  it('has the methods of the registry and no others', () => {
    const registered = rowsOf('methods').map(([method]) => method);
    expect(METHOD_NAMES.filter(Boolean).toSorted()).toEqual(registered.toSorted());
  });

  it('has the header fields of the registry with their compact forms and no others but those in use', () => {
    const registered = rowsOf('header-fields').map(([name, compact]) => [name, compact || undefined]);
    const ours = HEADER_NAMES.map(([, [name, compact]]) => [name, compact]).filter(
      ([name]) => !UNREGISTERED.includes(name!),
    );
    expect(new Map(ours as [string, string][])).toEqual(new Map(registered as [string, string][]));
    expect(ours.length).toBe(registered.length);
  });

  it('has the response codes of the registry with their phrases and no others', () => {
    const registered = rowsOf('response-codes').map(([code, phrase]) => [Number(code), phrase]);
    expect(RESPONSE_CODES.map((code) => [code, reasonPhraseOf(code)])).toEqual(registered);
  });

  it('names an RFC or specification for every row', () => {
    for (const table of ['methods', 'header-fields', 'response-codes']) {
      for (const row of rowsOf(table))
        expect(row.at(-1), row.join()).toMatch(/^(\[RFC\d{4}\])+$|^\[3GPP TS 24\.229\]$/);
    }
  });
});

describe('7.2 Reason-Phrase', () => {
  it('is empty for a code that is not registered', () => {
    for (const code of [0, 99, 101, 299, 411, 499, 599, 699, 700]) expect(reasonPhraseOf(code)).toBe('');
  });
});

function rowsOf(table: string): string[][] {
  const text = readFileSync(new URL(`iana/${table}.csv`, import.meta.url), 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .slice(1)
    .map((line) => line.split(','));
}
