/** Content-Length for streams (RFC 3261 16.6 step 9, 18.3, 20.14): there nothing else says where a message ends. Runs on the
 *  shard. Hot: once per message that leaves by a stream, allocates nothing. */

import { literal } from '../base/ascii.ts';
import { HEADER_ID } from '../sip/header-table.ts';
import type { MessageEdits } from '../sip/message-edits.ts';
import type { MessageIndex } from '../sip/message-index.ts';
import type { Outbound } from '../sip/outbound.ts';

const CONTENT_LENGTH = literal('Content-Length: ');
const CRLF = literal('\r\n');

/** Adds the header as the last one, if the message came without: its body then goes to the end of the datagram (18.3). */
export function addContentLength(index: MessageIndex, edits: MessageEdits, outbound: Outbound): void {
  if (index.first[HEADER_ID.CONTENT_LENGTH] !== -1) return;
  const from = outbound.cursor;
  outbound.put(CONTENT_LENGTH);
  outbound.putDecimal(index.end - index.bodyStart);
  outbound.put(CRLF);
  edits.insert(index.headersEnd, from, outbound.cursor);
}
