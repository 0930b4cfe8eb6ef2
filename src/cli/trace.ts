/** `strowger trace`: the messages of calls, live or after the fact, over the control socket. */

import { closeSync, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TracedCall } from '../runtime/trace/latest-calls.ts';
import { pcapHeader, pcapRecord } from '../runtime/trace/pcap.ts';
import type { RecentAnswer, TraceQuestion } from '../runtime/trace/trace-service.ts';
import { capturedOf, type TracedMessage } from '../runtime/trace/traced-message.ts';
import { type Arguments, type CommandName, UsageError } from './arguments.ts';
import { countOf } from './check.ts';
import { asking, type ControlClient, ControlError } from './control-client.ts';
import { Ladder } from './ladder.ts';
import { asJson, grouped, printable, renderTable } from './table.ts';

type TraceCommand = Extract<CommandName, 'trace' | `trace ${string}`>;

const POLL_MS = 250;
/** Messages of one answer. */
const PAGE = 500;
/** Of lines where there is no terminal. */
const DEFAULT_WIDTH = 110;
const DEFAULT_CALLS = 20;

/** The exit code. */
export function trace(args: Arguments, command: TraceCommand): Promise<number> {
  if (args.wants.has('json') && args.wants.has('text')) throw new UsageError('--json or --text, not both');
  if (args.valueFor('pcap') === '-' && (args.wants.has('json') || args.wants.has('text'))) {
    throw new UsageError('--pcap - needs the standard output for itself');
  }
  return asking(args, (client) => ASK[command](client, args));
}

const ASK: { readonly [command in TraceCommand]: (client: ControlClient, args: Arguments) => Promise<void> } = {
  trace: watch,
  'trace show': show,
  'trace list': list,
};

async function watch(client: ControlClient, args: Arguments): Promise<void> {
  const filter = filterOf(args);
  const sink = openSink(args);
  const endMs = performance.now() + 1000 * Number(args.valueFor('duration') ?? Infinity);
  let left = Number(args.valueFor('limit') ?? Infinity);
  let isOver = false;
  const end = new AbortController();
  const stop = () => {
    isOver = true;
    end.abort();
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  let lost = 0;
  try {
    // The first answer has no messages yet: from then on the server keeps them.
    let { after } = await recent(client, { filter, live: true });
    console.error(`watching ${sayFilter(filter)}; Ctrl-C ends it`);
    while (!isOver && left > 0) {
      const limit = Math.min(PAGE, left);
      const answer = await recent(client, { filter, after, limit, live: true, form: sink.form });
      sink.write(answer.messages);
      after = answer.after;
      left -= answer.messages.length;
      lost += answer.lost;
      if (answer.lost > 0) console.error(`${grouped(answer.lost)} messages came too fast and are missing`);
      const pauseMs = Math.min(POLL_MS, endMs - performance.now());
      if (pauseMs <= 0) break;
      // A full answer: there is more.
      if (answer.messages.length === limit) continue;
      await sleep(pauseMs, undefined, { signal: end.signal }).catch(() => undefined);
    }
  } finally {
    sink.close();
    console.error(`${countOf(sink.count, 'message')}${lost > 0 ? `, ${grouped(lost)} missing` : ''}`);
  }
}

async function show(client: ControlClient, args: Arguments): Promise<void> {
  const filter = { callId: args.operands[0]! };
  const sink = openSink(args);
  const { messages, sample } = await recent(client, { filter, limit: PAGE, live: false, form: sink.form });
  if (messages.length === 0)
    throw new ControlError(`${printable(filter.callId)}: no messages of it are kept${sayKept(sample)}`);
  sink.write(messages);
  sink.close();
}

async function list(client: ControlClient, args: Arguments): Promise<void> {
  const limit = Number(args.valueFor('limit') ?? DEFAULT_CALLS);
  const { calls, sample } = (await client.call('trace.calls', { filter: filterOf(args), limit })) as {
    readonly calls: readonly TracedCall[];
    readonly sample: number;
  };
  if (args.wants.has('json')) {
    for (const call of calls) console.log(asJson(call));
    return;
  }
  if (calls.length === 0) {
    console.log(`no calls are kept${sayKept(sample)}`);
    return;
  }
  const columns = [
    { title: 'BEGAN' },
    { title: 'METHOD' },
    { title: 'FROM', leastWidth: 12 },
    { title: 'TO', leastWidth: 12 },
    { title: 'STATUS', isFigure: true },
    { title: 'LASTS', isFigure: true },
    { title: 'MESSAGES', isFigure: true },
    { title: 'CALL-ID' },
  ];
  const rows = calls.map(({ firstUs, lastUs, method, from, to, status, messages, callId }) => [
    new Date(firstUs / 1000).toLocaleTimeString('en-GB'),
    method ?? '-',
    from ?? '-',
    to ?? '-',
    status === null ? '-' : String(status),
    `${((lastUs - firstUs) / 1e6).toFixed(1)} s`,
    grouped(messages),
    callId,
  ]);
  console.log(renderTable(columns, rows, process.stdout.isTTY ? process.stdout.columns : undefined));
}

function recent(client: ControlClient, question: object): Promise<RecentAnswer> {
  return client.call('trace.recent', question) as Promise<RecentAnswer>;
}

function filterOf(args: Arguments): TraceQuestion {
  return { callId: args.valueFor('call-id'), user: args.valueFor('user'), from: args.valueFor('from') };
}

function sayFilter({ callId, user, from }: TraceQuestion): string {
  const parts = [
    ...(callId === undefined ? [] : [`with Call-ID ${callId}`]),
    ...(user === undefined ? [] : [`of user ${user}`]),
    ...(from === undefined ? [] : [`from ${from}`]),
  ];
  return printable(parts.length === 0 ? 'every call' : `calls ${parts.join(' and ')}`);
}

function sayKept(sample: number): string {
  if (sample === 1) return '; the oldest are overwritten (trace.recentKiB)';
  const kept = sample === 0 ? 'none is (trace.sample)' : `one call in ${sample} is (trace.sample)`;
  return `; ${kept}. strowger trace watches any call live`;
}

// ---- Where messages go ----------------------------------------------------------------------------------------------

interface Sink {
  /** How messages are asked for. */
  readonly form: 'text' | 'base64';
  readonly count: number;
  write(messages: readonly TracedMessage[]): void;
  close(): void;
}

function openSink(args: Arguments): Sink {
  const file = args.valueFor('pcap');
  const capture = file === undefined ? null : openCapture(file);
  const print = file === '-' ? null : printerOf(args);
  let count = 0;
  return {
    form: capture === null ? 'text' : 'base64',
    get count() {
      return count;
    },
    write(messages) {
      if (messages.length === 0) return;
      count += messages.length;
      for (const message of messages) capture?.write(pcapRecord(capturedOf(message)));
      print?.(messages.map(withText));
    },
    close: () => capture?.close(),
  };
}

function printerOf(args: Arguments): (messages: readonly TracedMessage[]) => void {
  if (args.wants.has('json')) return printEach(asJson);
  if (args.wants.has('text')) return printEach(textOf);
  const { isTTY, columns } = process.stdout;
  const ladder = new Ladder({
    width: isTTY ? columns : DEFAULT_WIDTH,
    hasColours: isTTY && !process.env['NO_COLOR'],
    hasUnicode: isUnicode(process.env),
  });
  return (messages) => console.log(ladder.render(messages));
}

function printEach(render: (message: TracedMessage) => string): (messages: readonly TracedMessage[]) => void {
  return (messages) => console.log(messages.map(render).join('\n'));
}

/** The first that is set counts. Without any, nobody has said that it is not. */
function isUnicode({ LC_ALL, LC_CTYPE, LANG }: NodeJS.ProcessEnv): boolean {
  const locale = LC_ALL || LC_CTYPE || LANG || '';
  return locale === '' || /utf-?8/i.test(locale);
}

/** Captured messages come as bytes. */
function withText(message: TracedMessage): TracedMessage {
  if (message.base64 === null) return message;
  return { ...message, text: Buffer.from(message.base64, 'base64').toString(), base64: null };
}

/** A line about the message, and its lines. */
function textOf({ timeUs, direction, transport, local, peer, error, isCut, text }: TracedMessage): string {
  const [from, to] = direction === 'in' ? [peer, local] : [local, peer];
  const date = new Date(timeUs / 1000).toISOString();
  const micros = String(Math.floor(timeUs % 1e6)).padStart(6, '0');
  const head = `${date.slice(0, 19)}.${micros}Z ${direction} ${transport} ${from} -> ${to}${error === null ? '' : ` ! ${error}`}`;
  const lines = (text ?? '').replace(/(?:\r?\n)+$/, '').split(/\r?\n/);
  return [head, ...lines.map(printable), ...(isCut ? ['(cut short)'] : []), ''].join('\n');
}

function openCapture(file: string): { write(bytes: Buffer): void; close(): void } {
  if (file === '-') {
    process.stdout.write(pcapHeader());
    return { write: (bytes) => process.stdout.write(bytes), close: () => undefined };
  }
  try {
    // A call's data is nobody else's business.
    const fd = openSync(file, 'w', 0o600);
    writeSync(fd, pcapHeader());
    return { write: (bytes) => writeSync(fd, bytes), close: () => closeSync(fd) };
  } catch (error) {
    throw new ControlError(`${file} cannot be written (${(error as NodeJS.ErrnoException).code})`);
  }
}
