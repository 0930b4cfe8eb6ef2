/** Dialog tokens: what a Record-Route of ours says where users are asked for credentials, so that a request within the dialog can be
 *  told from one that has made up its To tag and its Route. It is the Call-ID, signed, in a parameter of the URI; everything in a
 *  dialog has the same Call-ID, and nobody has to remember it. Runs on the shard. Once per request that may begin a dialog and per
 *  request within one, where users are asked at all; allocates nothing. */

import { SIPHASH_KEY_WORDS, SIPHASH_WORDS, siphash } from '../auth/siphash.ts';
import { ascii, literal } from '../base/ascii.ts';
import { isHex, readHex } from '../sip/branch.ts';
import { HEADER_ID } from '../sip/header-table.ts';
import { isWord } from '../sip/lexis.ts';
import type { MessageIndex } from '../sip/message-index.ts';
import type { Outbound } from '../sip/outbound.ts';
import type { UriView } from '../sip/uri.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

const PARAM = literal(';dlg=');
const WORD_DIGITS = 8;
const TOKEN_WORDS = 2;
const TOKEN_DIGITS = TOKEN_WORDS * WORD_DIGITS;
/** Of a Call-ID, signed at a time together with the signature so far. */
const PIECE_BYTES = 128;

export class DialogTokens {
  readonly #bytes: Bytes;
  readonly #key = new Int32Array(SIPHASH_WORDS);
  readonly #signature = new Int32Array(SIPHASH_WORDS);
  readonly #content = new Int32Array(SIPHASH_WORDS + 2 + PIECE_BYTES / 4);
  readonly #contentBytes = new Uint8Array(this.#content.buffer);

  /** `key`: SIPHASH_KEY_WORDS, the same on all shards; what it signs otherwise is no dialog token. */
  constructor(bytes: Bytes, key: Int32Array) {
    this.#bytes = bytes;
    const purpose = new Int32Array(SIPHASH_KEY_WORDS);
    new Uint8Array(purpose.buffer).set(ascii('dialog tokens'));
    siphash(key, purpose, SIPHASH_KEY_WORDS, this.#key);
  }

  /** Writes the parameter for requests of this Call-ID. */
  put(outbound: Outbound, index: MessageIndex): void {
    this.#sign(index);
    outbound.put(PARAM);
    for (let i = 0; i < TOKEN_WORDS; i++) outbound.putHex(this.#signature[i]!);
  }

  /** Whether a URI has the parameter as it was written for requests of this Call-ID. */
  isIn(uri: UriView, index: MessageIndex): boolean {
    const bytes = this.#bytes;
    const { paramsStart, paramsEnd } = uri;
    if (paramsStart === -1) return false;
    for (let at = paramsStart; at + PARAM.length + TOKEN_DIGITS <= paramsEnd; at++) {
      const digits = at + PARAM.length;
      if (bytes[at] !== PARAM.bytes[0] || !isWord(bytes, at, digits, PARAM.bytes)) continue;
      return isHex(bytes, digits, digits + TOKEN_DIGITS) && this.#isSigned(digits, index);
    }
    return false;
  }

  #isSigned(digits: number, index: MessageIndex): boolean {
    this.#sign(index);
    let difference = 0;
    for (let i = 0; i < TOKEN_WORDS; i++) {
      const at = digits + i * WORD_DIGITS;
      difference |= this.#signature[i]! ^ readHex(this.#bytes, at, at + WORD_DIGITS);
    }
    return difference === 0;
  }

  #sign(index: MessageIndex): void {
    const callId = index.first[HEADER_ID.CALL_ID]!;
    const end = index.valueEnd(callId);
    const content = this.#content;
    this.#signature.fill(0);
    for (let start = index.valueStart(callId); start < end; start += PIECE_BYTES) {
      const length = Math.min(PIECE_BYTES, end - start);
      content.fill(0);
      content.set(this.#signature);
      content[SIPHASH_WORDS] = end - start;
      const at = (SIPHASH_WORDS + 2) * 4;
      for (let i = 0; i < length; i++) this.#contentBytes[at + i] = this.#bytes[start + i]!;
      siphash(this.#key, content, SIPHASH_WORDS + 2 + 2 * Math.ceil(length / 8), this.#signature);
    }
  }
}
