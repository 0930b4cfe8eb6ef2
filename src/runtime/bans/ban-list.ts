/** The banned sources: who, why and until when; kept in a file, and made into tables for the intake (ban-table.ts). Main thread,
 *  cold. */

import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { type Cidr, formatCidr, overlapCidrs, parseCidr } from '../../config/cidr.ts';
import { INVALID_PARAMS, REFUSED, RequestError } from '../request-error.ts';
import { buildBanTable } from './ban-table.ts';

/** More are not a list that somebody keeps by hand: a firewall does that better. */
const MAX_BANS = 65_536;
export const MAX_REASON_CHARS = 200;
/** Longest time-out that Node takes; a later end is looked at again then. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/** A ban as lists have it. */
export interface ListedBan {
  /** An address, or a block with its prefix: canonical. */
  readonly source: string;
  /** Empty: none was given. */
  readonly reason: string;
  /** ISO 8601. */
  readonly addedAt: string;
  /** Time left, rounded up; null: for good. */
  readonly expiresSec: number | null;
}

/** The bans for operators. Sources are addresses or blocks. Throws a RequestError with one line of what is wrong. */
export interface BanOperations {
  /** By the time they were added, the latest first. */
  list(limit: number): { readonly bans: readonly ListedBan[]; readonly total: number };
  /** Takes the place of an equal one. `isForced`: also one of ours. `isStored`: it will be there after a restart. */
  add(ban: { source: string; durationSec?: number | undefined; reason: string; isForced: boolean }): {
    readonly source: string;
    readonly isNew: boolean;
    readonly isStored: boolean;
  };
  /** Throws if it is not there. */
  remove(source: string): { readonly source: string; readonly isStored: boolean };
}

/** What must not be banned by mistake, and what it is called. */
export interface ProtectedBlock {
  readonly cidr: Cidr;
  readonly what: string;
}

export interface BanListOptions {
  /** null: bans end with the process. */
  readonly file: string | null;
  readonly isProtected: () => readonly ProtectedBlock[];
  /** Called with another table whenever the bans have changed; null: there are none. */
  readonly onChange: (table: SharedArrayBuffer | null) => void;
  readonly log: Logger;
  readonly wallMs?: () => number;
}

interface Ban {
  readonly cidr: Cidr;
  readonly reason: string;
  readonly addedMs: number;
  /** null: for good. */
  readonly untilMs: number | null;
}

const storedBans = z.strictObject({
  bans: z
    .array(
      z.strictObject({
        source: z.string(),
        reason: z.string().max(MAX_REASON_CHARS),
        addedMs: z.number(),
        untilMs: z.number().nullable(),
      }),
    )
    .max(MAX_BANS),
});

export class BanList implements BanOperations {
  readonly #options: BanListOptions;
  readonly #wallMs: () => number;
  readonly #bans = new Map<string, Ban>();
  #expiry: NodeJS.Timeout | undefined;

  /** Reads the file; one that cannot be read is put aside, and said in the log. */
  constructor(options: BanListOptions) {
    this.#options = options;
    this.#wallMs = options.wallMs ?? Date.now;
    this.#load();
    if (this.#bans.size > 0) this.#use();
  }

  get count(): number {
    return this.#bans.size;
  }

  list(limit: number): { bans: ListedBan[]; total: number } {
    const nowMs = this.#wallMs();
    const bans = [...this.#bans]
      .sort(([, a], [, b]) => b.addedMs - a.addedMs)
      .slice(0, limit)
      .map(([source, { reason, addedMs, untilMs }]) => ({
        source,
        reason,
        addedAt: new Date(addedMs).toISOString(),
        expiresSec: untilMs === null ? null : Math.max(1, Math.ceil((untilMs - nowMs) / 1000)),
      }));
    return { bans, total: this.#bans.size };
  }

  add({ source, durationSec, reason, isForced }: Parameters<BanOperations['add']>[0]): {
    source: string;
    isNew: boolean;
    isStored: boolean;
  } {
    const cidr = readSource(source);
    const key = formatCidr(cidr);
    const ours = isForced ? undefined : this.#options.isProtected().find((block) => overlapCidrs(block.cidr, cidr));
    if (ours !== undefined) {
      throw new RequestError(REFUSED, `${key} is ${ours.what}; with force (--force) it is banned all the same`);
    }
    const isNew = !this.#bans.has(key);
    if (isNew && this.#bans.size >= MAX_BANS) {
      throw new RequestError(
        REFUSED,
        `there are ${MAX_BANS} bans already, and there can be no more: ban larger blocks`,
      );
    }
    const addedMs = this.#wallMs();
    this.#bans.set(key, {
      cidr,
      reason,
      addedMs,
      untilMs: durationSec === undefined ? null : addedMs + durationSec * 1000,
    });
    this.#use();
    return { source: key, isNew, isStored: this.#store() };
  }

  remove(source: string): { source: string; isStored: boolean } {
    const key = formatCidr(readSource(source));
    if (!this.#bans.delete(key)) throw new RequestError(REFUSED, `${key} is not banned`);
    this.#use();
    return { source: key, isStored: this.#store() };
  }

  close(): void {
    clearTimeout(this.#expiry);
  }

  /** Makes the bans as they are now those of the intake, and looks again when the next one ends. */
  #use(): void {
    const nowMs = this.#wallMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [key, { untilMs }] of this.#bans) {
      if (untilMs === null) continue;
      if (untilMs <= nowMs) this.#bans.delete(key);
      else nextMs = Math.min(nextMs, untilMs);
    }
    this.#options.onChange(buildBanTable([...this.#bans.values()].map(({ cidr }) => cidr)));
    clearTimeout(this.#expiry);
    if (nextMs === Number.POSITIVE_INFINITY) return;
    const onExpiry = () => {
      this.#use();
      this.#store();
    };
    this.#expiry = setTimeout(onExpiry, Math.min(MAX_TIMEOUT_MS, nextMs - nowMs)).unref();
  }

  #load(): void {
    const { file, log } = this.#options;
    if (file === null) return;
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT') log.error({ file, code }, 'the file of bans cannot be read: nobody is banned');
      return;
    }
    const problem = this.#read(text);
    if (problem === null) return;
    this.#bans.clear();
    const aside = `${file}.unreadable`;
    try {
      renameSync(file, aside);
    } catch {
      // It is overwritten by the next change then; the line below says what was wrong with it.
    }
    log.error(
      { file, reason: problem, hint: `mend ${aside} and put it back` },
      'the file of bans is broken: nobody is banned',
    );
  }

  /** What is wrong with the text, or null. */
  #read(text: string): string | null {
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (error) {
      return (error as Error).message;
    }
    const { success, data, error } = storedBans.safeParse(json);
    if (!success) return `${error.issues[0]!.path.join('.')}: ${error.issues[0]!.message}`;
    const nowMs = this.#wallMs();
    for (const { source, reason, addedMs, untilMs } of data.bans) {
      const cidr = parseCidr(source);
      if (typeof cidr === 'string') return cidr;
      if (untilMs === null || untilMs > nowMs) this.#bans.set(formatCidr(cidr), { cidr, reason, addedMs, untilMs });
    }
    return null;
  }

  /** False: it could not, or there is no file. */
  #store(): boolean {
    const { file, log } = this.#options;
    if (file === null) return false;
    const bans = [...this.#bans].map(([source, { reason, addedMs, untilMs }]) => ({
      source,
      reason,
      addedMs,
      untilMs,
    }));
    try {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      // Renamed when it is whole: who dies in between leaves the one before.
      writeFileSync(`${file}.new`, `${JSON.stringify({ bans }, null, 1)}\n`, { mode: 0o600, flush: true });
      renameSync(`${file}.new`, file);
      return true;
    } catch (error) {
      log.error(
        { file, code: (error as NodeJS.ErrnoException).code },
        'the bans cannot be stored: they end with this process',
      );
      return false;
    }
  }
}

function readSource(text: string): Cidr {
  const cidr = parseCidr(text);
  if (typeof cidr === 'string') throw new RequestError(INVALID_PARAMS, `source: ${cidr}`);
  return cidr;
}
