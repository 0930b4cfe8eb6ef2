/** What SIPp 3.6 writes down, read: -trace_stat, -trace_counts and -trace_error_codes (a row each half second), the lines of
 *  our scenarios' log actions (-trace_logs, one for each exchange, in microseconds), and -trace_rtt (in milliseconds: SIPp's
 *  own response times come from a clock that ticks so). Bytes in, numbers out; no files. Cold. */

/** One row of -trace_stat: what had been counted up to then. */
export interface StatRow {
  /** Milliseconds of the epoch, with a fraction. */
  readonly atMs: number;
  readonly started: number;
  readonly successful: number;
  readonly failed: number;
  readonly retransmissions: number;
  /** SIPp's words for why exchanges failed, without those that did not happen. */
  readonly causes: { readonly [cause: string]: number };
}

/** One row of -trace_counts. */
export interface CountRow {
  readonly atMs: number;
  /** Without retransmissions. */
  readonly sent: number;
  readonly received: number;
}

/** Columns of failures, and how we call them. */
const CAUSES: { readonly [column: string]: string } = {
  CannotSendMessage: 'could not be sent',
  MaxUDPRetrans: 'timeout',
  TcpConnect: 'no connection',
  TcpClosed: 'connection closed',
  UnexpectedMessage: 'unexpected message',
  CallRejected: 'call rejected',
  CmdNotSent: 'command not sent',
  RegexpDoesntMatch: 'text did not match',
  RegexpShouldntMatch: 'text did not match',
  RegexpHdrNotFound: 'header not there',
  OutboundCongestion: 'could not be sent',
  TimeoutOnRecv: 'timeout',
  TimeoutOnSend: 'timeout',
  TestDoesntMatch: 'test failed',
  TestShouldntMatch: 'test failed',
  StrcmpDoesntMatch: 'text did not match',
  StrcmpShouldntMatch: 'text did not match',
};

/** The names of the columns, from the first line of a trace. */
export function columnsOf(header: string): readonly string[] {
  return header.trim().split(';');
}

/** Null if the line is not whole or no row. */
export function readStatRow(columns: readonly string[], line: string): StatRow | null {
  const cells = line.trim().split(';');
  if (cells.length !== columns.length) return null;
  const cell = (name: string) => cells[columns.indexOf(name)] ?? '';
  const atMs = epochMs(cell('CurrentTime'));
  if (Number.isNaN(atMs)) return null;
  const causes: Record<string, number> = {};
  for (const [column, cause] of Object.entries(CAUSES)) {
    const count = Number(cell(`Failed${column}(C)`));
    if (count > 0) causes[cause] = (causes[cause] ?? 0) + count;
  }
  return {
    atMs,
    started: Number(cell('TotalCallCreated')),
    successful: Number(cell('SuccessfulCall(C)')),
    failed: Number(cell('FailedCall(C)')),
    retransmissions: Number(cell('Retransmissions(C)')),
    causes,
  };
}

/** When SIPp was started, by any row of -trace_stat. */
export function readStartMs(columns: readonly string[], line: string): number {
  return epochMs(line.split(';')[columns.indexOf('StartTime')] ?? '');
}

/** Null if the line is not whole or no row. */
export function readCountRow(columns: readonly string[], line: string): CountRow | null {
  const cells = line.trim().split(';');
  if (cells.length !== columns.length) return null;
  const atMs = epochMs(cells[0]!);
  if (Number.isNaN(atMs)) return null;
  let sent = 0;
  let received = 0;
  for (const [i, column] of columns.entries()) {
    if (column.endsWith('_Sent')) sent += Number(cells[i]);
    else if (column.endsWith('_Recv')) received += Number(cells[i]);
  }
  return { atMs, sent, received };
}

/** Response codes that nobody expected: how often each, by -trace_error_codes, since `sinceMs` of the epoch (as exactly as
 *  its rows). */
export function readErrorCodes(text: string, sinceMs = 0): { readonly [code: string]: number } {
  const counts: Record<string, number> = {};
  for (const line of text.split('\n')) {
    if (!(epochMs(line.split(';')[0]!) >= sinceMs)) continue;
    for (const code of line.split(';')[2]?.split(',') ?? []) {
      if (/^\d{3}$/.test(code)) counts[code] = (counts[code] ?? 0) + 1;
    }
  }
  return counts;
}

/** `2026-11-25 11:05:10.270881 1795604710.270881` with tabs between; NaN for anything else. */
function epochMs(text: string): number {
  const seconds = text.split('\t')[2];
  return seconds === undefined || seconds === '' ? Number.NaN : Number(seconds) * 1000;
}

/** The exchanges that a UAC wrote down, a column for each time: microseconds of the epoch, NaN where nothing was. */
export interface ExchangeTimes {
  readonly count: number;
  /** SIPp's own number of the exchange, from 1, in the order in which they were begun. */
  readonly numbers: Float64Array;
  readonly times: readonly Float64Array[];
}

const NEWLINE = 0x0a;
const SEMICOLON = 0x3b;
const DOT = 0x2e;
const ZERO = 0x30;

/** Lines `NUMBER;SEC;USEC;SEC;USEC…` with `timeCount` pairs, each figure with a fraction of zeros or empty. A last line that
 *  is not whole, and any that is not like this, is passed over. */
export function readExchangeTimes(bytes: Uint8Array, timeCount: number): ExchangeTimes {
  let lines = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) lines++;
  const fieldCount = 1 + 2 * timeCount;
  const numbers = new Float64Array(lines);
  const times = Array.from({ length: timeCount }, () => new Float64Array(lines));
  const fields = new Float64Array(fieldCount);
  let count = 0;
  let at = 0;
  while (count < lines && at < bytes.length) {
    const end = bytes.indexOf(NEWLINE, at);
    if (end < 0) break;
    if (readFields(bytes, at, end, fields)) {
      numbers[count] = fields[0]!;
      for (let i = 0; i < timeCount; i++) times[i]![count] = fields[1 + 2 * i]! * 1e6 + fields[2 + 2 * i]!;
      count++;
    }
    at = end + 1;
  }
  return { count, numbers: numbers.subarray(0, count), times: times.map((column) => column.subarray(0, count)) };
}

/** Whether there are just as many fields as `fields` takes, and the first is a number. */
function readFields(bytes: Uint8Array, start: number, end: number, fields: Float64Array): boolean {
  let field = 0;
  let value = Number.NaN;
  let isFraction = false;
  for (let i = start; i <= end; i++) {
    const byte = i === end ? SEMICOLON : bytes[i]!;
    if (byte === SEMICOLON) {
      if (field === fields.length) return false;
      fields[field++] = value;
      value = Number.NaN;
      isFraction = false;
    } else if (byte === DOT) {
      isFraction = true;
    } else if (byte < ZERO || byte > ZERO + 9) {
      return false;
    } else if (!isFraction) {
      value = (Number.isNaN(value) ? 0 : value * 10) + byte - ZERO;
    }
  }
  return field === fields.length && !Number.isNaN(fields[0]!);
}

/** A line of -trace_rtt. */
export interface ResponseTime {
  /** Milliseconds of the epoch at its end. */
  readonly endMs: number;
  readonly ms: number;
  /** What the scenario calls it. */
  readonly name: string;
}

/** Lines `MS;MS;NAME`, the first counted from `startMs`. */
export function readResponseTimes(text: string, startMs: number): readonly ResponseTime[] {
  const found: ResponseTime[] = [];
  for (const line of text.split('\n')) {
    const [date, ms, name] = line.split(';');
    if (name === undefined || date === undefined || !/^\d/.test(date)) continue;
    found.push({ endMs: startMs + Number(date), ms: Number(ms), name: name.trim() });
  }
  return found;
}

/** The value of a counter between two rows, in proportion; before the first row 0, after the last what that says. */
export function counterAt<Row extends { readonly atMs: number }>(
  rows: readonly Row[],
  atMs: number,
  counter: (row: Row) => number,
): number {
  const next = rows.findIndex((row) => row.atMs >= atMs);
  if (next < 0) return rows.length === 0 ? 0 : counter(rows.at(-1)!);
  const after = rows[next]!;
  if (next === 0) return after.atMs === atMs ? counter(after) : 0;
  const before = rows[next - 1]!;
  const share = (atMs - before.atMs) / (after.atMs - before.atMs);
  return counter(before) + share * (counter(after) - counter(before));
}
