/** Bodies of requests that this server answers itself (RFC 3261 8.2.3). Of any type and language they mean nothing to it and may be
 *  there, but none is decoded. Runs on the shard. Cold but for the first look: requests to us have no body as a rule. */

import { ascii } from '../base/ascii.ts';
import { HEADER_ID } from '../sip/header-table.ts';
import { isWord, skipLws } from '../sip/lexis.ts';
import type { MessageIndex } from '../sip/message-index.ts';
import { ParamView, readParam } from '../sip/params.ts';
import { nextToken, TokenView } from '../sip/token-list.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

const IDENTITY = ascii('identity');
const HANDLING = ascii('handling');
const OPTIONAL = ascii('optional');
const SEMICOLON = 0x3b;

const token = new TokenView();
const param = new ParamView();

/** Whether the body is encoded (20.12) and has to be understood: then it is answered 415. */
export function isUndecodable(bytes: Bytes, index: MessageIndex): boolean {
  return index.bodyStart < index.end && isEncoded(bytes, index) && !isOptional(bytes, index);
}

function isEncoded(bytes: Bytes, index: MessageIndex): boolean {
  for (let header = index.find(bytes, HEADER_ID.CONTENT_ENCODING); header !== -1; header = index.next(header)) {
    token.begin(index.valueStart(header));
    while (nextToken(bytes, index.valueEnd(header), token)) {
      if (!isWord(bytes, token.start, token.end, IDENTITY)) return true;
    }
  }
  return false;
}

/** 20.11: `handling=optional`. */
function isOptional(bytes: Bytes, index: MessageIndex): boolean {
  const header = index.find(bytes, HEADER_ID.CONTENT_DISPOSITION);
  if (header === -1) return false;
  const end = index.valueEnd(header);
  let at = index.valueStart(header);
  while (at < end && bytes[at] !== SEMICOLON) at++;
  while (at < end && bytes[at] === SEMICOLON) {
    at = readParam(bytes, skipLws(bytes, at + 1, end), end, param);
    if (at < 0) return false;
    if (param.valueStart === -1) continue;
    const isHandling = isWord(bytes, param.nameStart, param.nameEnd, HANDLING);
    if (isHandling) return isWord(bytes, param.valueStart, param.valueEnd, OPTIONAL);
  }
  return false;
}
