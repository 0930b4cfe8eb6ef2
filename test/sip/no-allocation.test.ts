/** The hot parsers allocate nothing: a hundred thousand calls of each leave the young generation as it was. */

import { describe, expect, it } from 'vitest';
import { writeAddressOfRecord } from '../../src/sip/address-of-record.ts';
import { CSeqView, parseCSeq } from '../../src/sip/cseq.ts';
import { headerIdOf } from '../../src/sip/header-table.ts';
import { parseIpAddress } from '../../src/sip/ip-address.ts';
import { nextComma } from '../../src/sip/list.ts';
import { methodIdOf } from '../../src/sip/methods.ts';
import { NameAddrView, parseNameAddr } from '../../src/sip/name-addr.ts';
import { parseUri, UriView } from '../../src/sip/uri.ts';
import { equalUris } from '../../src/sip/uri-equality.ts';
import { parseVia, ViaView } from '../../src/sip/via.ts';
import { bytes, place, words } from './arena-text.ts';

const CALLS = 100_000;
/** V8's own bookkeeping while it optimises is not ours. The smallest object takes 12 bytes. */
const TOLERATED_BYTES_PER_CALL = 1;

const uriView = new UriView();
const viaView = new ViaView();
const nameAddrView = new NameAddrView();
const cseqView = new CSeqView();

const HOT: readonly (readonly [string, string, (start: number, end: number) => number | boolean])[] = [
  ['methodIdOf', 'SUBSCRIBE', (start, end) => methodIdOf(bytes, start, end)],
  ['headerIdOf', 'Content-Length', (start, end) => headerIdOf(bytes, start, end)],
  ['nextComma', '"a,b" <sip:c,d@e.f>, x', (start, end) => nextComma(bytes, start, end)],
  [
    'parseVia',
    'SIP/2.0/UDP [2001:db8::1]:5060;received=[::1];x="y";rport=1;branch=z9',
    (start, end) => parseVia(bytes, start, end, viaView),
  ],
  [
    'parseUri',
    'sip:a%41;b:pw@example.com:5060;transport=tcp;maddr=[::1];lr?x=y',
    (start, end) => parseUri(bytes, start, end, uriView),
  ],
  ['parseUri of nonsense', 'sip:a%41;b:pw@exa mple.com', (start, end) => parseUri(bytes, start, end, uriView)],
  [
    'parseNameAddr',
    '"A \\" B" <sip:a@b.c;lr>;x="y";tag=z',
    (start, end) => parseNameAddr(bytes, start, end, nameAddrView),
  ],
  ['parseCSeq', '314159 INVITE', (start, end) => parseCSeq(bytes, start, end, cseqView)],
  ['parseIpAddress', '2001:db8::192.0.2.1', (start, end) => parseIpAddress(bytes, start, end, words, 30_000)],
  ['equalUris', 'sip:a@b.c;x=y;z?a=b&c=d', (start, end) => equalUris(bytes, start, end, start, end)],
  [
    'writeAddressOfRecord',
    'sip:%41@B.C:5060;x',
    (start, end) => writeAddressOfRecord(bytes, start, end, bytes, 100_000),
  ],
];

describe('hot parsers', () => {
  it.each(HOT)('%s allocates nothing', (_name, text, call) => {
    const { start, end } = place(text);
    let least = Number.POSITIVE_INFINITY;
    // The lowest of a few rounds: a collection or the test runner's own work in between would only add.
    for (let round = 0; round < 5; round++) {
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < CALLS; i++) call(start, end);
      least = Math.min(least, Math.abs(process.memoryUsage().heapUsed - before) / CALLS);
    }
    expect(least).toBeLessThan(TOLERATED_BYTES_PER_CALL);
  });
});
