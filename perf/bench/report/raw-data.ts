/** The figures as CSV, for spreadsheets: turns, samples over time, and percentiles. Cold. */

import { type BenchResult, DELAYS } from '../result.ts';
import { cpuUsOf, rateOf } from './summary.ts';

type Cell = string | number | null;

export interface CsvFile {
  /** Of the file, without folder. */
  readonly name: string;
  /** RFC 4180, with a line of column names. */
  readonly text: string;
}

export function csvFilesOf(result: BenchResult): readonly CsvFile[] {
  return [
    { name: 'turns.csv', text: csv(TURN_COLUMNS, turnRows(result)) },
    { name: 'over-time.csv', text: csv(SAMPLE_COLUMNS, sampleRows(result)) },
    { name: 'percentiles.csv', text: csv(PERCENTILE_COLUMNS, percentileRows(result)) },
  ];
}

const TURN_COLUMNS = [
  'contestant',
  'round',
  'wall_ms',
  'started',
  'successful',
  'failed',
  'skipped',
  'rate_per_sec',
  'cpu_us_per_exchange',
  'server_cpu_ns',
  'generator_cpu_ns',
  'harness_cpu_ns',
  'messages_sent',
  'messages_received',
  'retransmissions',
  'drops_server',
  'drops_generator',
  'resident_begin_kib',
  'resident_end_kib',
  'limited_by',
];

function* turnRows({ turns }: BenchResult): Generator<Cell[]> {
  for (const turn of turns) {
    const { exchanges, messages, cpu, drops } = turn;
    yield [
      turn.contestant,
      turn.round,
      turn.wallMs,
      exchanges.started,
      exchanges.successful,
      exchanges.failed,
      exchanges.skipped,
      rateOf(turn),
      cpuUsOf(turn),
      cpu.serverNs,
      cpu.generatorNs.reduce((sum, { ns }) => sum + ns, 0),
      cpu.harnessNs,
      messages.sent,
      messages.received,
      messages.retransmissions,
      drops.server,
      drops.generator,
      turn.residentKib?.begin ?? null,
      turn.residentKib?.end ?? null,
      turn.limitedBy,
    ];
  }
}

const SAMPLE_COLUMNS = [
  'contestant',
  'round',
  'at_ms',
  'length_ms',
  'successful',
  'failed',
  'retransmissions',
  'p50_us',
  'p99_us',
  'max_us',
  'server_cpu_share',
  'generator_cpu_share',
];

function* sampleRows({ turns }: BenchResult): Generator<Cell[]> {
  for (const { contestant, round, series } of turns) {
    for (const sample of series) {
      yield [
        contestant,
        round,
        sample.atMs,
        sample.lengthMs,
        sample.successful,
        sample.failed,
        sample.retransmissions,
        sample.p50Us,
        sample.p99Us,
        sample.maxUs,
        sample.serverCpuShare,
        sample.generatorCpuShare,
      ];
    }
  }
}

const PERCENTILE_COLUMNS = ['contestant', 'round', 'delay', 'percentile', 'us', 'is_corrected'];

function* percentileRows({ turns }: BenchResult): Generator<Cell[]> {
  for (const { contestant, round, delays } of turns) {
    for (const name of DELAYS) {
      const delay = delays[name];
      if (delay === undefined) continue;
      const row = (percentile: string, us: number): Cell[] => [
        contestant,
        round,
        name,
        percentile,
        us,
        String(delay.isCorrected),
      ];
      yield row('0', delay.minUs);
      for (const [percentile, us] of Object.entries(delay.percentilesUs)) yield row(percentile, us);
      yield row('100', delay.maxUs);
    }
  }
}

function csv(columns: readonly string[], rows: Iterable<readonly Cell[]>): string {
  return [columns, ...rows].map((row) => `${row.map(csvCell).join(',')}\r\n`).join('');
}

function csvCell(cell: Cell): string {
  const text = cell === null ? '' : String(cell);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
