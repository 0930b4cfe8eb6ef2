/** The Via lines this server puts on top (RFC 3261 16.6 step 8): one template for each socket a request leaves by and each
 *  local address it came to. Runs on the shard. Hot: finding one; making one is rare. */

import { ascii } from '../../base/ascii.ts';
import type { Arena } from '../../memory/arena.ts';
import { SLOT } from '../../memory/layout.ts';
import { BRANCH_PREFIX, CHANGING_DIGITS, isHex } from '../../sip/branch.ts';
import { formatIpAddress, MAX_ADDRESS_BYTES } from '../../sip/ip-address.ts';
import type { ViaTemplate } from '../../sip/outbound.ts';
import type { BoundSocket } from '../bound-socket.ts';

/** "Via: " and the line's end are not in its value. */
const NAME_BYTES = 5;
const CRLF_BYTES = 2;
/** Local addresses of wildcard sockets are few; where they are not, templates are simply made again. */
const MAX_TEMPLATES = 64;

interface KnownTemplate extends ViaTemplate {
  readonly socket: number;
  readonly ingressSocket: number;
  readonly family: number;
  readonly isFromLocal: boolean;
  readonly local: readonly [number, number, number, number];
}

export class ViaTemplates {
  readonly #arena: Arena;
  readonly #sockets: readonly BoundSocket[];
  readonly #localAddresses: readonly string[];
  #known: KnownTemplate[] = [];
  #nextId = 1;

  /** `localAddresses`: literals of the machine, for a wildcard socket when the request came by the other family. */
  constructor(arena: Arena, sockets: readonly BoundSocket[], localAddresses: readonly string[]) {
    this.#arena = arena;
    this.#sockets = sockets;
    this.#localAddresses = localAddresses;
  }

  /** The template for a request that came in the slot at `slotWord` and leaves by `socket` to an address of `family`.
   *  `isFromLocal`: it leaves from the local address it came to. */
  of(socket: number, family: number, slotWord: number, isFromLocal: boolean): ViaTemplate {
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
        template.ingressSocket === ingressSocket &&
        template.local[0] === words[local] &&
        template.local[1] === words[local + 1] &&
        template.local[2] === words[local + 2] &&
        template.local[3] === words[local + 3]
      ) {
        return template;
      }
    }
    return this.#make(socket, family, ingressSocket, slotWord, isFromLocal);
  }

  /** Where the branch begins in the Via value [start, end) if that is one of ours as it left: nothing was added to it, and
   *  only the branch, which ends it, differs. −1: it may still be ours, but has to be read. */
  branchOfOwnVia(start: number, end: number): number {
    const known = this.#known;
    const { bytes } = this.#arena;
    for (let i = 0; i < known.length; i++) {
      const { bytes: line, branchAt } = known[i]!;
      if (end - start !== line.length - NAME_BYTES - CRLF_BYTES) continue;
      let at = NAME_BYTES;
      while (at < branchAt && bytes[start + at - NAME_BYTES] === line[at]) at++;
      if (at !== branchAt) continue;
      const digits = start + branchAt - NAME_BYTES;
      return isHex(bytes, digits, end) ? digits - BRANCH_PREFIX.length : -1;
    }
    return -1;
  }

  /** Cold. */
  #make(socket: number, family: number, ingressSocket: number, slotWord: number, isFromLocal: boolean): ViaTemplate {
    const { words } = this.#arena;
    const at = slotWord + SLOT.LOCAL_WORD;
    const local = [words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!] as const;
    const localBytes = isSet(words, at) ? (words[slotWord + SLOT.FAMILY_WORD] === 4 ? 4 : 16) : 0;
    const suffix = Buffer.from(new Int32Array(local).buffer, 0, localBytes).toString('hex');
    const head = `Via: SIP/2.0/UDP ${this.#sentBy(socket, family, slotWord, isFromLocal)};branch=${BRANCH_PREFIX}`;
    const template: KnownTemplate = {
      id: this.#nextId++,
      socket,
      ingressSocket,
      family,
      isFromLocal,
      local,
      bytes: ascii(`${head}${'0'.repeat(CHANGING_DIGITS)}${suffix}\r\n`),
      branchAt: head.length,
    };
    if (this.#known.length === MAX_TEMPLATES) this.#known = [];
    this.#known.push(template);
    return template;
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

function isSet(words: Int32Array, at: number): boolean {
  return (words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]!) !== 0;
}
