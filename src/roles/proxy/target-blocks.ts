/** Targets of requests with a URI of their own (RFC 3261 16.5), in blocks of kept messages: they outlive the location record,
 *  the configuration or the response they came from. Runs on the shard. Allocates nothing.
 *
 *  ```
 *  header   as of a slot: length of the URI; the flow by which the target is reached, family 0: by its URI; in the word of the
 *           receive time the length of the Path, and FLOW_ONLY
 *  payload  the URI, then the Path values as one text
 *  ``` */

import type { Literal } from '../../base/ascii.ts';
import type { BindingView } from '../../location/bindings.ts';
import { BINDING_FLAG } from '../../location/table-layout.ts';
import type { Arena } from '../../memory/arena.ts';
import { type KeptMessages, NO_BLOCK } from '../../memory/kept-messages.ts';
import { SLOT, SLOT_HEADER_BYTES } from '../../memory/layout.ts';
import { isReliable, isWebSocket } from '../../sip/transport.ts';
import { parseUri } from '../../sip/uri.ts';
import type { BoundSocket } from '../bound-socket.ts';
import type { ReceivedRequest } from '../received-request.ts';

const PATH_LENGTH_WORD = SLOT.TIME_WORD;
const PATH_LENGTH_MASK = 0xffff;
/** Once its flow is gone it is not reached by its contact either (RFC 5626 7, RFC 7118 B.1). */
const FLOW_ONLY = 0x1_0000;
const NO_SOCKET = -1;

export class TargetBlocks {
  readonly #arena: Arena;
  readonly #kept: KeptMessages;
  readonly #sockets: readonly BoundSocket[];

  constructor(arena: Arena, kept: KeptMessages, sockets: readonly BoundSocket[]) {
    this.#arena = arena;
    this.#kept = kept;
    this.#sockets = sockets;
  }

  /** A target for the URI in [start, end) of the arena. NO_BLOCK: no memory is left. */
  ofSpan(start: number, end: number): number {
    const block = this.#take(end - start, 0);
    if (block !== NO_BLOCK) this.#arena.bytes.copyWithin(block + SLOT_HEADER_BYTES, start, end);
    return block;
  }

  /** A target for a URI of the configuration. */
  ofText(uri: Literal): number {
    const block = this.#take(uri.length, 0);
    if (block !== NO_BLOCK) uri.copyTo(this.#arena.view, block + SLOT_HEADER_BYTES);
    return block;
  }

  /** A target for the URI in [start, end) of the arena, by way of `route`, the value of a Route. */
  ofRouted(start: number, end: number, route: Uint8Array): number {
    const block = this.#take(end - start, route.length);
    if (block === NO_BLOCK) return NO_BLOCK;
    const { bytes } = this.#arena;
    bytes.copyWithin(block + SLOT_HEADER_BYTES, start, end);
    bytes.set(route, block + SLOT_HEADER_BYTES + end - start);
    return block;
  }

  /** A target for the binding that the view stands at, with its Path (RFC 3327 5.4) and its flow (RFC 5626 7). */
  ofBinding(view: BindingView): number {
    const { view: target, words } = this.#arena;
    const { contactStart, contactEnd, pathStart, pathEnd } = view;
    const block = this.#take(contactEnd - contactStart, pathEnd - pathStart);
    if (block === NO_BLOCK) return NO_BLOCK;
    const path = view.copyText(contactStart, contactEnd, target, block + SLOT_HEADER_BYTES);
    view.copyText(pathStart, pathEnd, target, path);
    // What a proxy before us put into the Path says where the flow is.
    if ((view.flags & BINDING_FLAG.AT_SOURCE) === 0 || pathEnd > pathStart) return block;
    const { transport } = view;
    const socket = this.#socketOf(view.socket, transport);
    if (socket === NO_SOCKET) return block;
    const header = block >> 2;
    words[header + SLOT.SOCKET_WORD] = socket;
    words[header + SLOT.FAMILY_WORD] = view.family;
    words[header + SLOT.PORT_WORD] = view.port;
    words[header + SLOT.SCOPE_WORD] = isReliable(transport) ? view.connection : view.scope;
    if (view.regId !== 0 || isWebSocket(transport)) words[header + PATH_LENGTH_WORD]! |= FLOW_ONLY;
    for (let i = 0; i < 4; i++) {
      words[header + SLOT.SOURCE_WORD + i] = view.sourceWord(i);
      words[header + SLOT.LOCAL_WORD + i] = view.localWord(i);
    }
    return block;
  }

  /** Makes a target's URI the Request-URI of `request`, its Path the way there. False: the URI cannot be read. */
  aim(request: ReceivedRequest, block: number): boolean {
    const { bytes, words } = this.#arena;
    const header = block >> 2;
    const start = this.uriStart(block);
    const end = this.uriEnd(block);
    request.isMaddrStripped = false;
    request.pathStart = end;
    request.pathEnd = end + (words[header + PATH_LENGTH_WORD]! & PATH_LENGTH_MASK);
    request.flow = words[header + SLOT.FAMILY_WORD] === 0 ? NO_BLOCK : block;
    return parseUri(bytes, start, end, request.uri) >= 0;
  }

  /** Whether the target of a flow may be reached by its contact instead. */
  isFlowOnly(block: number): boolean {
    return (this.#arena.words[(block >> 2) + PATH_LENGTH_WORD]! & FLOW_ONLY) !== 0;
  }

  isFlow(block: number): boolean {
    return this.#arena.words[(block >> 2) + SLOT.FAMILY_WORD] !== 0;
  }

  release(block: number): void {
    this.#kept.release(block);
  }

  uriStart(block: number): number {
    return block + SLOT_HEADER_BYTES;
  }

  uriEnd(block: number): number {
    return block + SLOT_HEADER_BYTES + this.#arena.words[(block >> 2) + SLOT.LENGTH_WORD]!;
  }

  /** The socket of a binding: after a restart with others, the first of its transport. */
  #socketOf(socket: number, transport: number): number {
    if (this.#sockets[socket]?.transport === transport) return socket;
    return this.#sockets.find((other) => other.transport === transport)?.socket ?? NO_SOCKET;
  }

  #take(uriBytes: number, pathBytes: number): number {
    const block = this.#kept.take(uriBytes + pathBytes);
    if (block === NO_BLOCK) return NO_BLOCK;
    const { words } = this.#arena;
    const header = block >> 2;
    words[header + SLOT.LENGTH_WORD] = uriBytes;
    words[header + PATH_LENGTH_WORD] = pathBytes;
    words[header + SLOT.FAMILY_WORD] = 0;
    return block;
  }
}
