/** The request in hand: its index, the parts that were looked into, and what routing made of it. One per shard, reused for
 *  every request. Hot, allocates nothing. */

import { TransactionKey } from '../sip/branch.ts';
import { CSeqView } from '../sip/cseq.ts';
import { MessageIndex } from '../sip/message-index.ts';
import { NameAddrView } from '../sip/name-addr.ts';
import { ROUTE_WORDS } from '../sip/outbound.ts';
import { UriView } from '../sip/uri.ts';
import { ViaView } from '../sip/via.ts';

export class ReceivedRequest {
  readonly index = new MessageIndex();
  slot = 0;
  /** First word of the slot's header. */
  slotWord = 0;

  readonly topVia = new ViaView();
  /** The Request-URI that counts: the received one or, behind a strict router, the last Route value. */
  readonly uri = new UriView();
  readonly from = new NameAddrView();
  readonly to = new NameAddrView();
  /** Its syntax was checked and found right: the views are of this request. */
  isSound = false;
  readonly cseq = new CSeqView();
  /** Header of the Max-Forwards, −1: none. */
  maxForwardsHeader = -1;
  maxForwards = 0;

  readonly transaction = new TransactionKey();
  loop = 0;

  // ---- Routing (route-preprocessing.ts) ----
  /** First Route value that is left: its header and where it begins; −1: no Route is left. */
  routeHeader = -1;
  routeStart = 0;
  /** A Route value of ours was taken off: the request goes the way that our Record-Route laid. */
  hadOwnRoute = false;
  /** That Record-Route was written for this dialog (dialog-tokens.ts). */
  isOfOwnDialog = false;
  /** The last Route value was made the Request-URI: its header and where the cut begins; −1: it was not. */
  cutHeader = -1;
  cutStart = 0;
  /** maddr, port and transport are taken out of the Request-URI. */
  isMaddrStripped = false;
  /** Path of the target, to be its first Routes (RFC 3327 5.4): a span of the arena, empty if it has none. */
  pathStart = 0;
  pathEnd = 0;
  /** Block that says by which flow the target is reached, like a slot's header; 0: by its URI or Path. */
  flow = 0;
  /** A Route of ours named the flow it is to go by (RFC 5626 5.3.1): in `flowRoute`, as in a transaction's record. */
  hasFlowRoute = false;
  /** That flow is gone, and it is tried where its Request-URI or the rest of its Route says. */
  hasLostFlow = false;
  readonly flowRoute = new Int32Array(ROUTE_WORDS);
  /** Its caller is a user of ours and has proved it. */
  isAuthenticated = false;
  /** It goes to the peer of a server that drains, which will not be there for the rest of the dialog. */
  isPassedOn = false;

  begin(slot: number, slotWord: number): void {
    this.slot = slot;
    this.slotWord = slotWord;
    this.isSound = false;
    this.maxForwardsHeader = -1;
    this.routeHeader = -1;
    this.cutHeader = -1;
    this.hadOwnRoute = false;
    this.isOfOwnDialog = false;
    this.hasFlowRoute = false;
    this.hasLostFlow = false;
    this.isMaddrStripped = false;
    this.pathStart = this.pathEnd = this.flow = 0;
    this.isAuthenticated = false;
    this.isPassedOn = false;
  }
}
