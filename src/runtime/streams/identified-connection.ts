/** What every connection is known by, whatever it speaks: who is at both ends, as the table and the slots have it. Thread of the
 *  streams. */

import { constants } from 'node:os';
import type { CertificateNames } from '../tls/sip-identities.ts';
import type { AddressWords } from './address-words.ts';
import type { TableEntry } from './connection-table.ts';

/** Who is at both ends. */
export interface ConnectionIdentity {
  readonly number: number;
  /** Index of the listening point that it belongs to. */
  readonly socket: number;
  /** TRANSPORT. */
  readonly transport: number;
  readonly peer: AddressWords;
  readonly port: number;
  /** NO_ADDRESS unless the listening point is a wildcard. */
  readonly local: AddressWords;
  /** The address that it was accepted from; null: we opened it. */
  readonly source: string | null;
  /** The domain that it leads to, of TLS, which its certificate has been checked for; empty: none, or any. */
  readonly serverName: string;
  /** Of the certificate that the client has proved to be its own, if aliases are for it (RFC 5923 9.2); null: none. */
  readonly peerNames: CertificateNames | null;
}

export class IdentifiedConnection {
  readonly number: number;
  readonly socketIndex: number;
  readonly transport: number;
  readonly family: number;
  readonly port: number;
  readonly a0: number;
  readonly a1: number;
  readonly a2: number;
  readonly a3: number;
  readonly local: AddressWords;
  readonly source: string | null;
  readonly serverName: string;
  readonly peerNames: CertificateNames | null;
  nextOfHash: TableEntry | null = null;

  constructor(identity: ConnectionIdentity) {
    this.number = identity.number;
    this.socketIndex = identity.socket;
    this.transport = identity.transport;
    this.family = identity.peer.family;
    this.port = identity.port;
    this.a0 = identity.peer.a0;
    this.a1 = identity.peer.a1;
    this.a2 = identity.peer.a2;
    this.a3 = identity.peer.a3;
    this.local = identity.local;
    this.source = identity.source;
    this.serverName = identity.serverName;
    this.peerNames = identity.peerNames;
  }
}

/** The number of what a socket has complained of. */
export function errnoOf({ code }: NodeJS.ErrnoException): number {
  return constants.errno[code as keyof typeof constants.errno] ?? constants.errno.EIO;
}
