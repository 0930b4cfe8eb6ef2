/** The Contact values of a REGISTER, read all before any of them is acted upon (RFC 3261 10.3 steps 6 and 7, RFC 5626 6). Runs on
 *  the shard. Hot: once per REGISTER, allocates nothing once warm. */

import { ascii } from '../../base/ascii.ts';
import { HEADER_ID } from '../../sip/header-table.ts';
import { equalInstanceIds } from '../../sip/instance-id.ts';
import { isWord, skipLws } from '../../sip/lexis.ts';
import type { MessageIndex } from '../../sip/message-index.ts';
import { NameAddrView, parseNameAddr } from '../../sip/name-addr.ts';
import type { Outbound } from '../../sip/outbound.ts';
import { ParamView, readParam } from '../../sip/params.ts';
import { parseQ, Q_ONE } from '../../sip/q-value.ts';
import { parseUri, UriView } from '../../sip/uri.ts';
import { equalUris } from '../../sip/uri-equality.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

/** What is wrong with the Contact headers: a value that is none; "*" beside others or without an expiry of zero; more than
 *  anybody has. */
export const CONTACTS = { READ: 0, MALFORMED: -1, BAD_STAR: -2, TOO_MANY: -3 } as const;

/** Contacts of one REGISTER: twice as many as a user may have, since some may go and others come. */
const MAX_CONTACTS = 64;
const NOT_SAID = -1;
/** Section 20.10: what is no number counts as this. */
const MALFORMED_EXPIRES_SEC = 3600;
const MAX_EXPIRES_SEC = 0xffff_ffff;
const MAX_REG_ID = 0x7fff_ffff;

const STAR = 0x2a;
const ZERO = 0x30;

const EXPIRES = ascii('expires');
const Q = ascii('q');
const INSTANCE = ascii('+sip.instance');
const REG_ID = ascii('reg-id');

/** One Contact value. Offsets are absolute; empty spans are at 0. */
export class RequestedContact {
  readonly uri = new UriView();
  /** Asked for, in seconds; 0: it is to go. */
  expiresSec = 0;
  /** 0 … 1000. */
  q: number = Q_ONE;
  /** Quotes included. */
  instanceStart = 0;
  instanceEnd = 0;
  /** 0: none. */
  regId = 0;
  /** The other parameters, each with its semicolon. */
  paramsStart = 0;
  paramsEnd = 0;
  /** It has been put in the place of the binding it updates. */
  isPlaced = false;

  /** Named by instance and reg-id, not by its URI (RFC 5626 6). */
  get isFlow(): boolean {
    return this.regId !== 0 && this.instanceEnd > this.instanceStart;
  }
}

export class RequestedContacts {
  readonly #bytes: Bytes;
  readonly #outbound: Outbound;
  readonly #contacts: RequestedContact[] = [];
  readonly #value = new NameAddrView();
  readonly #param = new ParamView();
  #defaultExpiresSec = 0;
  count = 0;
  /** The one value is "*": all bindings are to go. */
  isStar = false;

  /** `outbound`: whose text area takes parameters that were not side by side. */
  constructor(bytes: Bytes, outbound: Outbound) {
    this.#bytes = bytes;
    this.#outbound = outbound;
  }

  at(i: number): RequestedContact {
    return this.#contacts[i]!;
  }

  /** Reads all of them. `defaultExpiresSec`: for those that do not say, in a request that does not either. Returns one of
   *  CONTACTS. */
  read(index: MessageIndex, defaultExpiresSec: number): number {
    const bytes = this.#bytes;
    this.count = 0;
    this.isStar = false;
    const expires = index.find(bytes, HEADER_ID.EXPIRES);
    const requestSec =
      expires === -1 ? NOT_SAID : readSeconds(bytes, index.valueStart(expires), index.valueEnd(expires));
    this.#defaultExpiresSec = requestSec === NOT_SAID ? defaultExpiresSec : requestSec;
    for (let header = index.find(bytes, HEADER_ID.CONTACT); header !== -1; header = index.next(header)) {
      const end = index.valueEnd(header);
      for (let start = index.valueStart(header); ; start = this.#value.end + 1) {
        if (start === end - 1 && bytes[start] === STAR) {
          this.isStar = true;
          break;
        }
        const error = this.#readValue(start, end);
        if (error !== CONTACTS.READ) return error;
        if (this.#value.end >= end) break;
        // Behind a comma, white space.
        this.#value.end = skipLws(bytes, this.#value.end + 1, end) - 1;
      }
    }
    const isBadStar = this.isStar && (this.count > 0 || requestSec !== 0 || this.#countContacts(index) > 1);
    return isBadStar ? CONTACTS.BAD_STAR : CONTACTS.READ;
  }

  #countContacts(index: MessageIndex): number {
    let count = 0;
    for (let header = index.first[HEADER_ID.CONTACT]!; header !== -1; header = index.next(header)) count++;
    return count;
  }

  #readValue(start: number, end: number): number {
    const value = this.#value;
    const bytes = this.#bytes;
    if (parseNameAddr(bytes, start, end, value) < 0) return CONTACTS.MALFORMED;
    if (this.count === MAX_CONTACTS) return CONTACTS.TOO_MANY;
    if (this.count === this.#contacts.length) this.#contacts.push(new RequestedContact());
    const contact = this.#contacts[this.count]!;
    if (parseUri(bytes, value.uriStart, value.uriEnd, contact.uri) < 0) return CONTACTS.MALFORMED;
    this.count++;
    contact.expiresSec = this.#defaultExpiresSec;
    contact.q = Q_ONE;
    contact.regId = 0;
    contact.instanceStart = contact.instanceEnd = contact.paramsStart = contact.paramsEnd = 0;
    contact.isPlaced = false;
    if (value.paramsStart !== -1) this.#readParams(contact, value.paramsStart, value.paramsEnd);
    this.#supersede(contact);
    return CONTACTS.READ;
  }

  /** Of two values that mean one binding the last counts. */
  #supersede(contact: RequestedContact): void {
    for (let i = 0; i < this.count - 1; i++) {
      if (!this.#isSame(this.#contacts[i]!, contact)) continue;
      this.#contacts.push(...this.#contacts.splice(i, 1));
      this.count--;
      return;
    }
  }

  #isSame(a: RequestedContact, b: RequestedContact): boolean {
    const bytes = this.#bytes;
    if (a.isFlow !== b.isFlow) return false;
    if (!a.isFlow) return equalUris(bytes, a.uri.start, a.uri.end, b.uri.start, b.uri.end);
    return (
      a.regId === b.regId &&
      equalInstanceIds(bytes, a.instanceStart, a.instanceEnd, bytes, b.instanceStart, b.instanceEnd)
    );
  }

  /** Keeps what is not known as one text: where it stands, or put together in the text area if others stand between. */
  #readParams(contact: RequestedContact, start: number, end: number): void {
    const bytes = this.#bytes;
    const param = this.#param;
    for (let at = start; at < end; ) {
      const next = readParam(bytes, skipLws(bytes, at + 1, end), end, param);
      if (next < 0) return;
      const { nameStart, nameEnd, valueStart, valueEnd } = param;
      const hasValue = valueStart !== -1;
      if (isWord(bytes, nameStart, nameEnd, EXPIRES)) {
        contact.expiresSec = hasValue ? readSeconds(bytes, valueStart, valueEnd) : MALFORMED_EXPIRES_SEC;
      } else if (isWord(bytes, nameStart, nameEnd, Q)) {
        contact.q = hasValue ? parseQ(bytes, valueStart, valueEnd) : Q_ONE;
      } else if (hasValue && isWord(bytes, nameStart, nameEnd, INSTANCE)) {
        contact.instanceStart = valueStart;
        contact.instanceEnd = valueEnd;
      } else if (hasValue && isWord(bytes, nameStart, nameEnd, REG_ID)) {
        contact.regId = readRegId(bytes, valueStart, valueEnd);
      } else {
        this.#keepParam(contact, at, hasValue ? valueEnd : nameEnd);
      }
      at = next;
    }
  }

  /** `start`: at the semicolon. */
  #keepParam(contact: RequestedContact, start: number, end: number): void {
    if (contact.paramsEnd === contact.paramsStart) {
      contact.paramsStart = start;
      contact.paramsEnd = end;
    } else if (contact.paramsEnd === start) {
      contact.paramsEnd = end;
    } else {
      const outbound = this.#outbound;
      const isCollected = contact.paramsEnd === outbound.cursor;
      if (!isCollected) {
        const from = outbound.cursor;
        outbound.putCopy(contact.paramsStart, contact.paramsEnd);
        contact.paramsStart = from;
      }
      // No parameter is copied twice, so all of a request take less room than the request.
      outbound.putCopy(start, end);
      contact.paramsEnd = outbound.cursor;
    }
  }
}

/** delta-seconds (section 25.1); what is more than 32 bits counts as the most that there is. */
function readSeconds(bytes: Bytes, start: number, end: number): number {
  if (start === end) return MALFORMED_EXPIRES_SEC;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) return MALFORMED_EXPIRES_SEC;
    value = Math.min(MAX_EXPIRES_SEC, value * 10 + digit);
  }
  return value;
}

/** 1 … 2³¹ − 1 (RFC 5626 4.2.1); anything else is no reg-id. */
function readRegId(bytes: Bytes, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = bytes[at]! - ZERO;
    if (digit < 0 || digit > 9) return 0;
    value = value * 10 + digit;
    if (value > MAX_REG_ID) return 0;
  }
  return value;
}
