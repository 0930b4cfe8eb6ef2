/** Lists of option-tags and other tokens, as in Require, Supported and Allow (RFC 3261 7.3.1, 25.1). Runs on the shard. Hot:
 *  allocates nothing. */

import { TOKEN } from '../base/char-class.ts';
import { skipLws } from './lexis.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

const COMMA = 0x2c;

/** Where in a list a walk stands. */
export class TokenView {
  start = 0;
  end = 0;
  next = 0;

  /** Stands before the first token of a list. */
  begin(start: number): void {
    this.next = start;
  }
}

/** Moves to the next token of the list that ends at `end`. False: there is none. What is no token is passed over up to its
 *  comma; so are empty places. */
export function nextToken(bytes: Bytes, end: number, view: TokenView): boolean {
  let at = view.next;
  while (at < end) {
    at = skipLws(bytes, at, end);
    const start = at;
    while (at < end && TOKEN[bytes[at]!] === 1) at++;
    view.start = start;
    view.end = at;
    while (at < end && bytes[at] !== COMMA) at++;
    at++;
    view.next = at;
    if (view.end > view.start) return true;
  }
  view.next = end;
  return false;
}
