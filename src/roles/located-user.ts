/** The bindings of the user that a request is for (RFC 3261 16.5, 8.3): one look-up in the location table. Runs on the shard.
 *  Hot: once per request for a user of ours, allocates nothing. */

import { BindingView, type RecordDraft, type TextSource } from '../location/bindings.ts';
import { type LocationTable, UPDATE } from '../location/location-table.ts';
import type { FeedProducer } from '../location/store-feed.ts';
import { NO_RECORD } from '../location/table-layout.ts';
import { SLOT } from '../memory/layout.ts';
import { ADDRESS_OF_RECORD_GROWTH_BYTES, writeAddressOfRecordOf } from '../sip/address-of-record.ts';
import type { Outbound } from '../sip/outbound.ts';
import { isWebSocket } from '../sip/transport.ts';
import { SCHEME, type UriView } from '../sip/uri.ts';
import type { ElementClock } from './ports.ts';

/** Longer URIs are no user's. */
const MAX_URI_BYTES = 1024;

export class LocatedUser {
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #feed: FeedProducer | null;
  readonly #outbound: Outbound;
  readonly #location: LocationTable;
  readonly #clock: ElementClock;
  readonly #view: BindingView;
  /** The record found last, NO_RECORD if there was none. Valid until the next quiescent point. */
  record = NO_RECORD;
  /** Its bindings that have not expired, and those of them that a SIP request can be sent to. */
  count = 0;
  sipCount = 0;
  /** When it was looked up, in ms since 1970. */
  nowMs = 0;

  /** It was a sips URI. */
  #isSips = false;
  /** First word of the flow that `#keepOthers` is about. */
  #lostFlow = 0;
  readonly #keepOthers = (current: BindingView, next: RecordDraft): boolean => {
    while (current.next()) if (!this.#isLost(current)) next.keep(current);
    return next.count < current.count;
  };

  constructor(
    { bytes, words }: TextSource,
    outbound: Outbound,
    location: LocationTable,
    feed: FeedProducer | null,
    clock: ElementClock,
  ) {
    this.#bytes = bytes;
    this.#words = words;
    this.#feed = feed;
    this.#outbound = outbound;
    this.#location = location;
    this.#clock = clock;
    this.#view = new BindingView(location);
  }

  /** Looks up the user that a SIP URI names. */
  find(uri: UriView): void {
    this.forget();
    this.#isSips = uri.scheme === SCHEME.SIPS;
    const length = this.#writeAddressOfRecord(uri);
    if (length < 0) return;
    const start = this.#outbound.cursor;
    this.record = this.#location.lookup(start, start + length);
    if (this.record === NO_RECORD) return;
    this.nowMs = this.#clock.wallMs;
    const view = this.open();
    while (view.next()) {
      if (view.remainingMs(this.nowMs) <= 0) continue;
      this.count++;
      if (this.isReachable(view)) this.sipCount++;
    }
  }

  /** RFC 5626 7, and of WebSockets: nobody is there any more at the end of a flow, which `flowWord` describes as a slot's header
   *  does. The bindings by it of the user that a URI names are no more. Cold. */
  loseFlow(uri: UriView, flowWord: number): void {
    const length = this.#writeAddressOfRecord(uri);
    if (length < 0) return;
    const start = this.#outbound.cursor;
    this.#lostFlow = flowWord;
    const outcome = this.#location.update(start, start + length, this.#keepOthers);
    if (outcome === UPDATE.DONE) this.#feed?.add(this.#bytes, start, start + length);
  }

  #isLost(view: BindingView): boolean {
    const words = this.#words;
    const flow = this.#lostFlow;
    if ((view.regId === 0 && !isWebSocket(view.transport)) || view.family !== words[flow + SLOT.FAMILY_WORD])
      return false;
    if (view.port !== words[flow + SLOT.PORT_WORD] || view.socket !== words[flow + SLOT.SOCKET_WORD]) return false;
    if (view.connection !== 0 && view.connection !== words[flow + SLOT.CONNECTION_WORD]) return false;
    for (let i = 0; i < 4; i++) if (view.sourceWord(i) !== words[flow + SLOT.SOURCE_WORD + i]) return false;
    return true;
  }

  /** Written where the next text goes, and not kept there. Returns the length; below 0: no user's. */
  #writeAddressOfRecord(uri: UriView): number {
    if (uri.userStart === -1 || uri.end - uri.start > MAX_URI_BYTES - ADDRESS_OF_RECORD_GROWTH_BYTES) return -1;
    const outbound = this.#outbound;
    outbound.begin();
    return writeAddressOfRecordOf(this.#bytes, uri, this.#bytes, outbound.cursor);
  }

  /** As if nothing was found. */
  forget(): void {
    this.record = NO_RECORD;
    this.count = this.sipCount = 0;
  }

  /** Before the first of the bindings found, expired ones included. */
  open(): BindingView {
    this.#view.open(this.record);
    return this.#view;
  }

  /** At the binding with the highest q that a SIP request can be sent to, the first of equals; null: there is none. */
  best(): BindingView | null {
    let place = -1;
    let highest = -1;
    let view = this.open();
    for (let i = 0; view.next(); i++) {
      if (view.q <= highest || view.remainingMs(this.nowMs) <= 0 || !this.isReachable(view)) continue;
      highest = view.q;
      place = i;
    }
    if (place === -1) return null;
    view = this.open();
    for (let i = 0; i <= place; i++) view.next();
    return view;
  }

  /** Whether a request to the user found last can be sent to the contact of a binding: it is a SIP URI or, for a request with a sips
   *  URI, a sips one (RFC 5630 5.3). Others, such as tel and mailto, are for people and redirects.
   *
   *  Departs from RFC 5630 5.3, requests with a SIP URI: they are not sent to sips contacts either, with another scheme. Who
   *  registers a sips contact alone wants to be called by sips. */
  isReachable({ bytes, contactStart, contactEnd }: BindingView): boolean {
    const colon = contactStart + (this.#isSips ? 4 : 3);
    return (
      contactEnd > colon + 1 &&
      (bytes[contactStart]! | 0x20) === 0x73 &&
      (bytes[contactStart + 1]! | 0x20) === 0x69 &&
      (bytes[contactStart + 2]! | 0x20) === 0x70 &&
      (!this.#isSips || (bytes[contactStart + 3]! | 0x20) === 0x73) &&
      bytes[colon] === 0x3a
    );
  }
}
