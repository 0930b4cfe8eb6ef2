/** A location table with a few threads' views of it, and texts in and out, for tests. All on one thread. */

import { BindingView, NewBinding, type RecordDraft, type TextSource } from '../../src/location/bindings.ts';
import { createLocationTable, LocationTable, type Update } from '../../src/location/location-table.ts';
import { BLOCK_LINES, LINE_SHIFT, RECORD, TABLE, type TableShape } from '../../src/location/table-layout.ts';

/** A binding as a test writes and reads it. */
export interface Binding {
  readonly contact: string;
  readonly expiresMs: number;
  readonly updatedMs?: number;
  readonly q?: number;
  readonly callId?: string;
  readonly cseq?: number;
  readonly path?: string;
  readonly instance?: string;
  readonly params?: string;
  readonly regId?: number;
  readonly flags?: number;
  readonly transaction?: number;
  readonly userAgent?: string;
  readonly connection?: number;
  readonly transport?: number;
  readonly family?: number;
  readonly port?: number;
  readonly socket?: number;
  readonly scope?: number;
  readonly source?: readonly number[];
  readonly local?: readonly number[];
}

const SOURCE_BYTES = 1 << 18;
const TEXTS_AT = 2048;

/** With a value in every field. */
export const EVERYTHING: Binding = {
  contact: '<sip:alice@[2001:db8::7]:5060;ob>;+sip.ice',
  expiresMs: 2 ** 41 + 12_345,
  updatedMs: 1_799_999_999_999,
  q: 250,
  callId: 'f81d4fae@192.0.2.7',
  cseq: 2 ** 32 - 1,
  path: '<sip:p2.example.com;lr>,<sip:p1.example.com;lr>',
  instance: '<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>',
  regId: 2 ** 31 - 1,
  params: ';audio;methods="INVITE, BYE"',
  flags: 0xffff,
  transaction: -2,
  userAgent: 'Strowger test/1.0',
  connection: -1,
  transport: 2,
  family: 6,
  port: 65_535,
  socket: 63,
  scope: 2,
  source: [1, 2, 3, -4],
  local: [-5, 6, 7, 8],
};

export class LocationWorld {
  readonly buffer: SharedArrayBuffer;
  readonly source: TextSource;
  readonly tables: readonly LocationTable[];
  readonly #binding = new NewBinding();
  #textEnd = TEXTS_AT;

  constructor(shape: Partial<TableShape> = {}, seed = 0x5eed) {
    const full = { capacity: 64, threadCount: 2, spareBytes: 1024, ...shape };
    this.buffer = createLocationTable(full, seed);
    const texts = new SharedArrayBuffer(SOURCE_BYTES);
    this.source = { bytes: new Uint8Array(texts), words: new Int32Array(texts) };
    this.tables = Array.from({ length: full.threadCount }, (_, i) => new LocationTable(this.buffer, i, this.source));
  }

  /** Replaces the bindings of an AoR. */
  set(aor: string, bindings: readonly Binding[], thread = 0): Update {
    return this.change(aor, () => bindings, thread);
  }

  /** Replaces the bindings of an AoR by what `change` makes of them, as a REGISTER does. */
  change(aor: string, change: (current: readonly Binding[]) => readonly Binding[] | null, thread = 0): Update {
    const end = this.#place(aor, 1);
    return this.tables[thread]!.update(1, end, (view, draft) => {
      const next = change(readBindings(view));
      if (next === null) return false;
      for (const binding of next) this.add(draft, binding);
      return true;
    });
  }

  /** The bindings of an AoR as one of the threads sees them. */
  get(aor: string, thread = 0): readonly Binding[] {
    const end = this.#place(aor, 1);
    return this.read(this.tables[thread]!.lookup(1, end), thread);
  }

  read(record: number, thread = 0): readonly Binding[] {
    const view = new BindingView(this.tables[thread]!);
    view.open(record);
    return readBindings(view);
  }

  /** All AoRs, sorted. */
  aors(): string[] {
    const aors: string[] = [];
    const view = new BindingView(this.tables[0]!);
    const visit = (record: number) => {
      view.open(record);
      aors.push(textOf(view.bytes, view.aorStart, view.aorEnd));
    };
    for (let bucket = this.tables[0]!.list(0, 3, visit); bucket !== 0; ) {
      bucket = this.tables[0]!.list(bucket, 3, visit);
    }
    return aors.sort();
  }

  /** All threads pass a quiescent point, often enough for everything to come out of limbo. */
  settle(): void {
    for (let round = 0; round < 4; round++) for (const table of this.tables) table.quiesce();
  }

  add(draft: RecordDraft, binding: Binding): void {
    const fields = this.#binding;
    fields.clear();
    this.#textEnd = TEXTS_AT;
    fields.expiresMs = binding.expiresMs;
    fields.updatedMs = binding.updatedMs ?? 0;
    fields.q = binding.q ?? 1000;
    fields.cseq = binding.cseq ?? 0;
    fields.regId = binding.regId ?? 0;
    fields.flags = binding.flags ?? 0;
    fields.transaction = binding.transaction ?? 0;
    fields.connection = binding.connection ?? 0;
    fields.transport = binding.transport ?? 1;
    fields.family = binding.family ?? 4;
    fields.port = binding.port ?? 0;
    fields.socket = binding.socket ?? 0;
    fields.scope = binding.scope ?? 0;
    fields.source.set(binding.source ?? []);
    fields.local.set(binding.local ?? []);
    [fields.contactStart, fields.contactEnd] = this.#placeText(binding.contact);
    [fields.callIdStart, fields.callIdEnd] = this.#placeText(binding.callId ?? '');
    [fields.pathStart, fields.pathEnd] = this.#placeText(binding.path ?? '');
    [fields.instanceStart, fields.instanceEnd] = this.#placeText(binding.instance ?? '');
    [fields.userAgentStart, fields.userAgentEnd] = this.#placeText(binding.userAgent ?? '');
    [fields.paramsStart, fields.paramsEnd] = this.#placeText(binding.params ?? '');
    draft.add(fields);
  }

  #placeText(text: string): [number, number] {
    const start = this.#textEnd;
    this.#textEnd = this.#place(text, start);
    return [start, this.#textEnd];
  }

  #place(text: string, start: number): number {
    const bytes = Buffer.from(text);
    this.source.bytes.set(bytes, start);
    return start + bytes.length;
  }
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.slice(start, end)).toString();
}

/** The bindings from where the view stands on; only what is not as if left out. */
function readBindings(view: BindingView): readonly Binding[] {
  const bindings: Binding[] = [];
  while (view.next()) {
    const text = (start: number, end: number) => textOf(view.bytes, start, end);
    const words = (word: (i: number) => number) => (word(0) === 0 ? undefined : [0, 1, 2, 3].map(word));
    const fields = {
      contact: text(view.contactStart, view.contactEnd),
      expiresMs: view.expiresMs,
      updatedMs: view.updatedMs || undefined,
      q: view.q === 1000 ? undefined : view.q,
      callId: text(view.callIdStart, view.callIdEnd) || undefined,
      cseq: view.cseq || undefined,
      path: text(view.pathStart, view.pathEnd) || undefined,
      instance: text(view.instanceStart, view.instanceEnd) || undefined,
      regId: view.regId || undefined,
      flags: view.flags || undefined,
      transaction: view.transaction || undefined,
      userAgent: text(view.userAgentStart, view.userAgentEnd) || undefined,
      params: text(view.paramsStart, view.paramsEnd) || undefined,
      connection: view.connection || undefined,
      transport: view.transport === 1 ? undefined : view.transport,
      family: view.family === 4 ? undefined : view.family,
      port: view.port || undefined,
      socket: view.socket || undefined,
      scope: view.scope || undefined,
      source: words((i) => view.sourceWord(i)),
      local: words((i) => view.localWord(i)),
    };
    bindings.push(Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never);
  }
  return bindings;
}

/** Lines of memory that were cut and are in no list and in no record of the table: lost, or in a thread's hand. */
export function lostLines(table: LocationTable): number {
  const { words, map } = table;
  const blocks = [...table.memory.census().free, ...table.memory.census().limbo];
  table.list(0, map.bucketCount, (record) => blocks.push(record));
  if (new Set(blocks).size < blocks.length) throw new Error('a block is in two places');
  const linesOf = (block: number) => BLOCK_LINES[words[(block << LINE_SHIFT) + RECORD.BLOCK_WORD]! & 0xff]!;
  return words[TABLE.UNUSED_WORD]! - map.firstLine - blocks.reduce((sum, block) => sum + linesOf(block), 0);
}
