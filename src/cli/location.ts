/** `strowger location`: the bindings of a running server, over the control socket. */

import type {
  BindingPage,
  CountPage,
  DomainCount,
  ListedBinding,
  LocationOperations,
  ShownBinding,
} from '../runtime/running-server.ts';
import { type Arguments, type CommandName, UsageError } from './arguments.ts';
import { countOf } from './check.ts';
import { asking, type ControlClient } from './control-client.ts';
import { asJson, type Column, grouped, printable, renderRows, StreamedTable } from './table.ts';

type LocationCommand = Extract<CommandName, `location ${string}`>;
type Ask = (client: ControlClient, args: Arguments) => Promise<void>;

const DEFAULT_EXPIRES_SEC = 3600;
/** Bindings of one answer. */
const PAGE = 250;
/** Domains that the last line of a list names. */
const NAMED_DOMAINS = 4;

/** The last ones are the first to be cut. */
const LIST_COLUMNS: readonly Column[] = [
  { title: 'AOR', leastWidth: 12 },
  { title: 'CONTACT', leastWidth: 18 },
  { title: 'EXPIRES', isFigure: true },
  { title: 'Q' },
  { title: 'RECEIVED' },
  { title: 'USER AGENT', leastWidth: 10 },
];
const COUNT_COLUMNS: readonly Column[] = [
  { title: 'DOMAIN' },
  { title: 'AORS', isFigure: true },
  { title: 'BINDINGS', isFigure: true },
];

/** The exit code. */
export function location(args: Arguments, command: LocationCommand): Promise<number> {
  if (args.wants.has('count') && args.valueFor('limit') !== undefined) {
    throw new UsageError('--limit means nothing with --count');
  }
  return asking(args, (client) => ASK[command](client, args));
}

const ASK: { readonly [command in LocationCommand]: Ask } = {
  'location list': (client, args) => (args.wants.has('count') ? count(client, args) : list(client, args)),
  'location show': show,
  'location add': add,
  'location remove': remove,
};

// ---- list -----------------------------------------------------------------------------------------------------------

async function list(client: ControlClient, args: Arguments): Promise<void> {
  const isJson = args.wants.has('json');
  const domain = args.valueFor('domain');
  const table = new StreamedTable(LIST_COLUMNS, process.stdout.isTTY ? process.stdout.columns : undefined);
  const tally = new Tally();
  let waiting: ListedBinding[] = [];
  const print = () => {
    if (waiting.length === 0) return;
    console.log(isJson ? waiting.map(asJson).join('\n') : table.render(waiting.map(rowOf)));
    waiting = [];
  };
  let left = Number(args.valueFor('limit') ?? Infinity);
  let isMore = false;
  for (let cursor: number | null = 0; cursor !== null && left > 0; ) {
    const params = { cursor, limit: Math.min(left, PAGE), domain };
    const page = (await client.call('location.list', params)) as BindingPage;
    const bindings = page.bindings.slice(0, left);
    cursor = page.cursor;
    left -= bindings.length;
    isMore = left === 0 && (cursor !== null || bindings.length < page.bindings.length);
    for (const { aor } of bindings) tally.add(aor);
    waiting.push(...bindings);
    // Some pages of a sparse table are all but empty, and columns are aligned over what is printed at once.
    if (waiting.length >= PAGE) print();
  }
  print();
  if (!isJson) console.log(tally.render(domain, isMore));
}

function rowOf({ aor, contact, expiresSec, q, received, userAgent }: ListedBinding): string[] {
  const cells = [plainAor(aor), contact, String(expiresSec), String(q), received ?? '-', userAgent ?? '-'];
  return cells.map(printable);
}

/** What a list has shown, by domain. */
class Tally {
  readonly #counts = new Map<string, { aors: number; bindings: number }>();
  #lastAor = '';

  /** A binding of an AoR; all bindings of one come together. */
  add(aor: string): void {
    const domain = aor.slice(aor.indexOf('@') + 1);
    const count = this.#counts.get(domain) ?? { aors: 0, bindings: 0 };
    count.bindings++;
    if (aor !== this.#lastAor) count.aors++;
    this.#lastAor = aor;
    this.#counts.set(domain, count);
  }

  /** One line. */
  render(domain: string | undefined, isMore: boolean): string {
    const counts = byAors([...this.#counts].map(([name, count]) => ({ domain: name, ...count })));
    const { aors, bindings } = sumOf(counts);
    if (bindings === 0) return domain === undefined ? 'no bindings' : `no bindings in ${domain}`;
    const named = counts.slice(0, NAMED_DOMAINS).map((count) => `${count.domain} ${grouped(count.bindings)}`);
    const others = counts.length - named.length;
    if (others > 0) named.push(`${grouped(others)} more ${others === 1 ? 'domain' : 'domains'}`);
    const total = `${grouped(bindings)} ${bindings === 1 ? 'binding' : 'bindings'} of ${grouped(aors)} ${aors === 1 ? 'AoR' : 'AoRs'}`;
    return `${isMore ? 'the first ' : ''}${total}: ${named.join(', ')}`;
  }
}

async function count(client: ControlClient, args: Arguments): Promise<void> {
  const domain = args.valueFor('domain');
  const counts = new Map<string, DomainCount>();
  for (let cursor: number | null = 0; cursor !== null; ) {
    const page = (await client.call('location.count', { cursor, domain })) as CountPage;
    for (const part of page.domains) {
      const before = counts.get(part.domain);
      counts.set(part.domain, before === undefined ? part : { domain: part.domain, ...sumOf([before, part]) });
    }
    cursor = page.cursor;
  }
  const domains = byAors([...counts.values()]);
  const total = sumOf(domains);
  if (args.wants.has('json')) {
    console.log(asJson({ ...total, domains }));
    return;
  }
  const rows = [...domains, { domain: 'total', ...total }];
  console.log(
    new StreamedTable(COUNT_COLUMNS).render(
      rows.map((row) => [printable(row.domain), grouped(row.aors), grouped(row.bindings)]),
    ),
  );
}

function byAors(counts: DomainCount[]): DomainCount[] {
  return counts.sort((a, b) => b.aors - a.aors || (a.domain < b.domain ? -1 : 1));
}

function sumOf(counts: readonly Omit<DomainCount, 'domain'>[]): Omit<DomainCount, 'domain'> {
  return {
    aors: counts.reduce((sum, { aors }) => sum + aors, 0),
    bindings: counts.reduce((sum, { bindings }) => sum + bindings, 0),
  };
}

// ---- show, add, remove ----------------------------------------------------------------------------------------------

async function show(client: ControlClient, args: Arguments): Promise<void> {
  const answer = (await client.call('location.show', { aor: args.operands[0] })) as ReturnType<
    LocationOperations['show']
  >;
  if (args.wants.has('json')) {
    console.log(asJson(answer));
    return;
  }
  const { aor, bindings } = answer;
  const parts = bindings.map((binding) => renderRows(detailsOf(binding), '  '));
  console.log(`${printable(aor)}: ${countOf(bindings.length, 'binding')}\n\n${parts.join('\n\n')}`);
}

/** What there is of a binding; a row without a text is left out. */
function detailsOf(binding: ShownBinding): [string, string][] {
  const { contact, expiresSec, q, received, socket, localAddress, isReachedAtSource } = binding;
  const rows: [string, string | number | null][] = [
    ['contact', contact],
    ['expires', `in ${expiresSec} s`],
    ['q', q],
    ['Call-ID', binding.callId ?? 'none: added by hand'],
    ['CSeq', binding.cseq],
    ['Path', binding.path],
    ['instance', binding.instance],
    ['reg-id', binding.regId],
    ['received', received === null ? null : `from ${received}`],
    ['', socket === null ? null : `by ${socket}${localAddress === null ? '' : ` at ${localAddress}`}`],
    [
      'reached',
      binding.path !== null ? 'by its Path' : isReachedAtSource ? 'where it was received from' : 'at its contact',
    ],
    ['user agent', binding.userAgent],
    ['parameters', binding.parameters],
    ['updated', binding.updated],
  ];
  return rows
    .filter(([, value]) => value !== null)
    .map(([name, value]): [string, string] => [name, printable(String(value))]);
}

async function add(client: ControlClient, args: Arguments): Promise<void> {
  const [aor, contact] = args.operands;
  const expiresSec = Number(args.valueFor('expires') ?? DEFAULT_EXPIRES_SEC);
  const q = Number(args.valueFor('q') ?? 1);
  const answer = (await client.call('location.add', { aor, contact, expiresSec, q })) as ReturnType<
    LocationOperations['add']
  >;
  const what = answer.isNew ? 'added' : 'replaced';
  say(args, answer, `${answer.aor}: ${what} ${answer.contact} for ${expiresSec} s`);
}

async function remove(client: ControlClient, args: Arguments): Promise<void> {
  const [aor, contact] = args.operands;
  const answer = (await client.call('location.remove', { aor, contact })) as ReturnType<LocationOperations['remove']>;
  say(args, answer, `${answer.aor}: removed ${countOf(answer.removed, 'binding')}`);
}

function say(args: Arguments, answer: object, text: string): void {
  console.log(args.wants.has('json') ? asJson(answer) : printable(text));
}

// ---- Texts ----------------------------------------------------------------------------------------------------------

/** As everybody writes it. */
function plainAor(aor: string): string {
  return aor.startsWith('sip:') ? aor.slice('sip:'.length) : aor;
}
