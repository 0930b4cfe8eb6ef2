/** Connections that clients have opened and that requests to them go by as well (RFC 5923): the table of aliases. A client asks for it
 *  by the parameter alias of its Via, at the address that it comes from and the port of its sent-by.
 *
 *  Only those who have proved by a certificate who they are get one (8.2, 9.2), and by it goes only what is for a domain that this
 *  certificate is for, as if we had connected to them (9.1, RFC 5922 7.3). By TCP anybody could have another's requests so (9.3).
 *  Thread of the streams; nothing of it is met where there are no such clients. */

import { ascii } from '../../base/ascii.ts';
import type { Arena } from '../../memory/arena.ts';
import { isWord, skipLws } from '../../sip/lexis.ts';
import { ParamView, readParam } from '../../sip/params.ts';
import { defaultPortOf } from '../../sip/transport.ts';
import type { ViaView } from '../../sip/via.ts';
import { type CertificateNames, isFor } from '../tls/sip-identities.ts';
import { isReusableTo, peerHash, type TableEntry } from './connection-table.ts';
import type { TopVia } from './top-via.ts';

/** A connection that may get an alias. */
export interface AliasedEntry extends TableEntry {
  /** The address that it was accepted from. */
  readonly source: string | null;
  /** Of the certificate that its peer has proved to be its own; null: none. */
  readonly peerNames: CertificateNames | null;
}

interface Alias<Entry> {
  readonly entry: Entry;
  readonly port: number;
  /** The domain asked for last, and whether the certificate is for it: mostly it is the same again. */
  name: string;
  isForName: boolean;
}

const ALIAS = ascii('alias');

export class ConnectionAliases<Entry extends AliasedEntry> {
  readonly #arena: Arena;
  readonly #byPlace = new Map<number, Alias<Entry>[]>();
  /** The place of each connection that has one: the first that it asked for. */
  readonly #placeOf = new Map<Entry, number>();
  readonly #topVia: TopVia;
  readonly #param = new ParamView();

  constructor(arena: Arena, topVia: TopVia) {
    this.#arena = arena;
    this.#topVia = topVia;
  }

  get count(): number {
    return this.#placeOf.size;
  }

  /** Looks at a message that came by `entry`, whose peer has shown a certificate. */
  note(entry: Entry, start: number, end: number): void {
    if (this.#placeOf.has(entry)) return;
    const port = this.#portAskedFor(start, end, entry.transport);
    if (port === 0) return;
    const place = peerHash(entry.transport, port, entry.a0, entry.a1, entry.a2, entry.a3);
    const aliases = this.#byPlace.get(place) ?? [];
    this.#byPlace.set(place, aliases);
    this.#placeOf.set(entry, place);
    aliases.push({ entry, port, name: '', isForName: isFor(entry.peerNames!, entry.source!) });
  }

  forget(entry: Entry): void {
    const place = this.#placeOf.get(entry);
    if (place === undefined) return;
    this.#placeOf.delete(entry);
    const left = this.#byPlace.get(place)!.filter((alias) => alias.entry !== entry);
    if (left.length === 0) this.#byPlace.delete(place);
    else this.#byPlace.set(place, left);
  }

  /** The latest open connection that leads to a place and whose peer is who the certificate for `serverName`, or without one for the
   *  address, belongs to. null: there is none. */
  find(
    transport: number,
    family: number,
    port: number,
    a0: number,
    a1: number,
    a2: number,
    a3: number,
    serverName: string,
  ): Entry | null {
    if (this.#placeOf.size === 0) return null;
    const aliases = this.#byPlace.get(peerHash(transport, port, a0, a1, a2, a3)) ?? [];
    for (let i = aliases.length - 1; i >= 0; i--) {
      const alias = aliases[i]!;
      const { entry } = alias;
      if (alias.port === port && isReusableTo(entry, transport, family, a0, a1, a2, a3) && isPeer(alias, serverName)) {
        return entry;
      }
    }
    return null;
  }

  /** 8.2: the port of the sent-by, or the default one. 0: it is no request, or does not ask for an alias. */
  #portAskedFor(start: number, end: number, transport: number): number {
    const topVia = this.#topVia;
    const via = topVia.view;
    if (!topVia.read(start, end) || !topVia.isRequest) return 0;
    if (via.transport !== transport || !this.#hasAlias(via)) return 0;
    return via.port === -1 ? defaultPortOf(transport) : via.port;
  }

  #hasAlias({ paramsStart, paramsEnd }: ViaView): boolean {
    const { bytes } = this.#arena;
    const param = this.#param;
    // Each begins behind a semicolon, and `parseVia` has found nothing wrong with any.
    for (let at = paramsStart; at !== -1 && at < paramsEnd; ) {
      at = readParam(bytes, skipLws(bytes, at + 1, paramsEnd), paramsEnd, param);
      if (isWord(bytes, param.nameStart, param.nameEnd, ALIAS)) return true;
    }
    return false;
  }
}

function isPeer(alias: Alias<AliasedEntry>, name: string): boolean {
  if (alias.name !== name) {
    alias.name = name;
    alias.isForName = isFor(alias.entry.peerNames!, name === '' ? alias.entry.source! : name);
  }
  return alias.isForName;
}
