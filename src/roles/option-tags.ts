/** Option-tags that a request requires of who answers it (RFC 3261 8.2.2.3, 20.32). Runs on the shard. Cold but for the look whether
 *  there is a Require at all. */

import { ascii, Literal } from '../base/ascii.ts';
import { HEADER_ID } from '../sip/header-table.ts';
import { isWord } from '../sip/lexis.ts';
import type { MessageIndex } from '../sip/message-index.ts';
import { nextToken, TokenView } from '../sip/token-list.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

const UNSUPPORTED = ascii('Unsupported: ');
const COMMA = ascii(', ');
const CRLF = ascii('\r\n');

const token = new TokenView();

/** The Unsupported line (20.40) for what is required and not among the `known`; null if that is nothing. */
export function unsupportedOf(bytes: Bytes, index: MessageIndex, known: readonly Uint8Array[]): Literal | null {
  const first = index.find(bytes, HEADER_ID.REQUIRE);
  if (first === -1) return null;
  const unsupported: Uint8Array[] = [];
  for (let header = first; header !== -1; header = index.next(header)) {
    token.begin(index.valueStart(header));
    while (nextToken(bytes, index.valueEnd(header), token)) {
      const { start, end } = token;
      if (known.some((tag) => isWord(bytes, start, end, tag))) continue;
      unsupported.push(unsupported.length === 0 ? UNSUPPORTED : COMMA, bytes.slice(start, end));
    }
  }
  return unsupported.length === 0
    ? null
    : new Literal(Uint8Array.from([...unsupported, CRLF].flatMap((part) => [...part])));
}
