/** What this server puts on top of a request (RFC 3261 16.6): its Record-Route where it wants to stay in the dialog (step 4), its
 *  Via (step 8), a Max-Breadth where there is none (RFC 5393 5.3.3). All of it but the branch follows from the socket the
 *  request leaves by, the socket and local address it came to, and which of the lines it needs: one template for each.
 *  Runs on the shard. Hot: finding one; making one is rare. */

import { ascii, type Literal, literal } from '../../base/ascii.ts';
import type { Arena } from '../../memory/arena.ts';
import { SLOT } from '../../memory/layout.ts';
import { BRANCH_PREFIX, CHANGING_DIGITS, isHex, readHex } from '../../sip/branch.ts';
import { formatIpAddress, MAX_ADDRESS_BYTES } from '../../sip/ip-address.ts';
import type { ViaTemplate } from '../../sip/outbound.ts';
import { isReliable, isSecure, TRANSPORT, TRANSPORT_PARAMS, VIA_TRANSPORT_NAMES } from '../../sip/transport.ts';
import { CONNECTION_DIGITS } from '../../sip/via.ts';
import type { BoundSocket } from '../bound-socket.ts';

/** "Via: " is not in its value. */
const VIA_NAME = 'Via: ';

/** Lines of a template besides the Via, as bits. */
/** SIPS: of the Record-Route, whose URIs then are sips ones. */
export const EXTRA = { NONE: 0, RECORD_ROUTE: 1, MAX_BREADTH: 2, SIPS: 4 } as const;
/** Local addresses of wildcard sockets are few; where they are not, templates are simply made again. */
const MAX_TEMPLATES = 64;

/** Behind the branch: the connection that the request came by, for the response (RFC 3261 18.2.2). Kamailio has the same. A number
 *  that was made up, or is of a connection that is no more, finds none, and the response goes to the address in the Via below. */
const CONNECTION = ';i=';

/** RFC 5923 8.1: requests to us may come by the connection that this one leaves by. */
const ALIAS = ';alias';

/** A URI of ours in two pieces, between which a user part has its place, with lr. */
export interface OwnUri {
  readonly scheme: Literal;
  readonly place: Literal;
}

export interface KnownTemplate extends ViaTemplate {
  /** Where requests of the dialog reach us from the side it leaves by, and from the one it came by. */
  readonly egressUri: OwnUri;
  readonly ingressUri: OwnUri;
  /** Both are the same. */
  readonly isOneSide: boolean;
  readonly socket: number;
  readonly ingressSocket: number;
  readonly family: number;
  readonly isFromLocal: boolean;
  readonly extras: number;
  readonly local: readonly [number, number, number, number];
}

/** The value of a Via of ours as it leaves: up to the changing part of its branch, where its branch ends, and its length in all. */
interface OwnVia {
  readonly head: Uint8Array;
  readonly branchEnd: number;
  readonly length: number;
}

/** No two templates of a thread have the same, whichever snapshot of the configuration they belong to: `Outbound` keeps texts by it. */
let nextId = 1;

export class ViaTemplates {
  readonly #arena: Arena;
  readonly #sockets: readonly BoundSocket[];
  readonly #localAddresses: readonly string[];
  readonly #maxBreadth: number;
  readonly #namesConnections: boolean;
  readonly #hasAliases: boolean;
  #known: KnownTemplate[] = [];
  #ownVias: OwnVia[] = [];
  /** Of the Via that `branchOfOwnVia` found last: where its branch ends, and the connection it names (0: none). */
  branchEnd = 0;
  connection = 0;

  /** `localAddresses`: literals of the machine, for a wildcard socket when the request came by the other family.
   *  `maxBreadth`: what a request gets that came without. `namesConnections`: there are no transactions that know by which
   *  connection a request came, so the Via says it. `hasAliases`: those who we connect to by TLS may send requests back. */
  constructor(
    arena: Arena,
    sockets: readonly BoundSocket[],
    localAddresses: readonly string[],
    maxBreadth: number,
    namesConnections: boolean,
    hasAliases: boolean,
  ) {
    this.#arena = arena;
    this.#sockets = sockets;
    this.#localAddresses = localAddresses;
    this.#maxBreadth = maxBreadth;
    this.#namesConnections = namesConnections;
    this.#hasAliases = hasAliases;
  }

  /** The template for a request that came in the slot at `slotWord` and leaves by `socket` to an address of `family`.
   *  `isFromLocal`: it leaves from the local address it came to. `extras`: bits of EXTRA. */
  of(socket: number, family: number, slotWord: number, isFromLocal: boolean, extras: number): KnownTemplate {
    const { words } = this.#arena;
    const ingressSocket = words[slotWord + SLOT.SOCKET_WORD]!;
    const local = slotWord + SLOT.LOCAL_WORD;
    const known = this.#known;
    for (let i = 0; i < known.length; i++) {
      const template = known[i]!;
      if (
        template.socket === socket &&
        template.family === family &&
        template.isFromLocal === isFromLocal &&
        template.extras === extras &&
        template.ingressSocket === ingressSocket &&
        template.local[0] === words[local] &&
        template.local[1] === words[local + 1] &&
        template.local[2] === words[local + 2] &&
        template.local[3] === words[local + 3]
      ) {
        return template;
      }
    }
    return this.#make(socket, family, ingressSocket, slotWord, isFromLocal, extras);
  }

  /** Where the branch begins in the Via value [start, end) if that is one of ours as it left: nothing was added to it, and
   *  only the branch and the connection's number, which end it, differ. −1: it may still be ours, but has to be read. */
  branchOfOwnVia(start: number, end: number): number {
    const ownVias = this.#ownVias;
    const { bytes } = this.#arena;
    for (let i = 0; i < ownVias.length; i++) {
      const { head, length, branchEnd } = ownVias[i]!;
      if (end - start !== length) continue;
      let at = 0;
      while (at < head.length && bytes[start + at] === head[at]) at++;
      if (at !== head.length) continue;
      this.branchEnd = start + branchEnd;
      this.connection = 0;
      if (!isHex(bytes, start + at, start + branchEnd)) return -1;
      if (branchEnd < length && !this.#readConnection(start + branchEnd, end)) return -1;
      return start + at - BRANCH_PREFIX.length;
    }
    return -1;
  }

  #readConnection(start: number, end: number): boolean {
    const { bytes } = this.#arena;
    for (let i = 0; i < CONNECTION.length; i++) if (bytes[start + i] !== CONNECTION.charCodeAt(i)) return false;
    if (!isHex(bytes, start + CONNECTION.length, end)) return false;
    this.connection = readHex(bytes, start + CONNECTION.length, end);
    return true;
  }

  /** Cold. */
  #make(
    socket: number,
    family: number,
    ingressSocket: number,
    slotWord: number,
    isFromLocal: boolean,
    extras: number,
  ): KnownTemplate {
    const { words } = this.#arena;
    const at = slotWord + SLOT.LOCAL_WORD;
    const local = [words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!] as const;
    const localBytes = isSet(words, at) ? (words[slotWord + SLOT.FAMILY_WORD] === 4 ? 4 : 16) : 0;
    const suffix = Buffer.from(new Int32Array(local).buffer, 0, localBytes).toString('hex');
    const sentBy = this.#sentBy(socket, family, slotWord, isFromLocal);
    const isSips = (extras & EXTRA.SIPS) !== 0;
    const ingressFamily = words[slotWord + SLOT.FAMILY_WORD]!;
    const ingress = this.#sentBy(ingressSocket, ingressFamily, slotWord, isSet(words, at));
    const egressUri = this.#uri(sentBy, socket, isSips);
    const ingressUri = this.#uri(ingress, ingressSocket, isSips);
    const isOneSide = socket === ingressSocket && family === ingressFamily && sentBy === ingress;
    const isRecorded = (extras & EXTRA.RECORD_ROUTE) !== 0;
    const recordRoutes = isRecorded ? this.#recordRoutes(egressUri, ingressUri, isOneSide) : '';
    const maxBreadth = (extras & EXTRA.MAX_BREADTH) !== 0 ? `Max-Breadth: ${this.#maxBreadth}\r\n` : '';
    const { transport } = this.#sockets[socket]!;
    const alias = this.#hasAliases && transport === TRANSPORT.TLS ? ALIAS : '';
    const value = `SIP/2.0/${VIA_TRANSPORT_NAMES[transport]} ${sentBy}${alias};branch=${BRANCH_PREFIX}`;
    const head = `${recordRoutes}${VIA_NAME}${value}`;
    const isNaming = this.#namesConnections && isReliable(this.#sockets[ingressSocket]!.transport);
    const connection = isNaming ? `${CONNECTION}${'0'.repeat(CONNECTION_DIGITS)}` : '';
    const branchEnd = head.length + CHANGING_DIGITS + suffix.length;
    const template: KnownTemplate = {
      id: nextId++,
      socket,
      ingressSocket,
      family,
      isFromLocal,
      extras,
      local,
      egressUri: ownUriOf(egressUri),
      ingressUri: ownUriOf(ingressUri),
      isOneSide,
      text: literal(`${head}${'0'.repeat(CHANGING_DIGITS)}${suffix}${connection}\r\n${maxBreadth}`),
      branchAt: head.length,
      connectionAt: isNaming ? branchEnd + CONNECTION.length : -1,
    };
    if (this.#known.length === MAX_TEMPLATES) {
      this.#known = [];
      this.#ownVias = [];
    }
    this.#known.push(template);
    const ownBranchEnd = value.length + CHANGING_DIGITS + suffix.length;
    const own = { head: ascii(value), branchEnd: ownBranchEnd, length: ownBranchEnd + connection.length };
    const isKnown = (known: OwnVia) => known.length === own.length && Buffer.from(known.head).equals(own.head);
    if (!this.#ownVias.some(isKnown)) this.#ownVias.push(own);
    return template;
  }

  /** Step 4: loose routing. One value where both sides of the dialog reach this server by the same URI and address family; else one
   *  for each, the side it leaves by on top (RFC 5658: nobody has to rewrite it in responses). */
  #recordRoutes(egressUri: string, ingressUri: string, isOneSide: boolean): string {
    const below = isOneSide ? '' : `Record-Route: <${ingressUri}>\r\n`;
    return `Record-Route: <${egressUri}>\r\n${below}`;
  }

  /** With the transport, as requests of the dialog have to come back by it. An address and port without one are for UDP
   *  (RFC 3263 4.1), in a sips URI for TLS. A sips URI where the Request-URI is one (16.6 step 4, RFC 5630 3.1.3).
   *
   *  Departs from RFC 5630 5.3, which has no transport=tls: a SIP URI without it would have the rest of a dialog come by UDP to a
   *  port where TLS is, and a SIPS URI would ask of the next hops what the caller did not. Peers write it, too. */
  #uri(sentBy: string, socket: number, isSips: boolean): string {
    const { transport } = this.#sockets[socket]!;
    if (!isSips || !isSecure(transport)) return `sip:${sentBy}${TRANSPORT_PARAMS[transport]};lr`;
    return `sips:${sentBy}${transport === TRANSPORT.WSS ? TRANSPORT_PARAMS[transport] : ''};lr`;
  }

  /** What is advertised, else the address the request leaves from: the socket's or, on a wildcard, the one it came to or
   *  one of the machine's. */
  #sentBy(socket: number, family: number, slotWord: number, isFromLocal: boolean): string {
    const { address, port, isWildcard, advertisedHost, advertisedPort } = this.#sockets[socket]!;
    if (advertisedHost !== null) return `${advertisedHost}:${advertisedPort ?? port}`;
    const host = !isWildcard ? address : isFromLocal ? this.#localOf(slotWord, family) : this.#anyLocal(family);
    return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  }

  #localOf(slotWord: number, family: number): string {
    const text = new Uint8Array(new SharedArrayBuffer(MAX_ADDRESS_BYTES));
    const end = formatIpAddress(this.#arena.words, slotWord + SLOT.LOCAL_WORD, family, text, 0);
    return Buffer.from(text.subarray(0, end)).toString('latin1');
  }

  #anyLocal(family: number): string {
    const isOfFamily = (literal: string) => literal.includes(':') === (family === 6);
    const isRemote = (literal: string) =>
      !literal.startsWith('127.') && literal !== '::1' && !literal.startsWith('fe80');
    const candidates = this.#localAddresses.filter(isOfFamily);
    return candidates.find(isRemote) ?? candidates[0] ?? (family === 6 ? '::1' : '127.0.0.1');
  }
}

function ownUriOf(uri: string): OwnUri {
  const colon = uri.indexOf(':') + 1;
  return { scheme: literal(uri.slice(0, colon)), place: literal(uri.slice(colon)) };
}

function isSet(words: Int32Array, at: number): boolean {
  return (words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]!) !== 0;
}
