/** The reporting format of RFC 7502, section 5, filled in: 5.1 says how the test was set up, 5.2 and 5.3 what came of it.
 *  Pure and cold. Labels are the RFC's words; a line of the form that does not apply says why instead of standing empty. */

export interface TestSetup {
  /** The same on both sides of the DUT. */
  readonly transport: 'UDP' | 'TCP';
  /** Null: the transport has no connections. Else whether each side uses one connection for all requests. */
  readonly connections: { readonly receivesOnOne: boolean; readonly sendsOnOne: boolean } | null;
  /** [r] Sessions, or registrations, a second of the first trial. */
  readonly initialRatePerSec: number;
  /** 0: BYE at once after the 200; null: a registration, which has no BYE. */
  readonly sessionDurationSec: number | null;
  /** [N] In each trial. */
  readonly sessionsPerTrial: number;
  readonly trials: number;
  /** Null: no media. */
  readonly media: Media | null;
  readonly establishmentThresholdSec: number;
}

export interface Media {
  readonly streamsPerSession: number;
  readonly protocol: string;
  readonly codec: string;
  /** Audio in a packet, without RTP's header. */
  readonly packetBytes: number;
}

/** Results a second; null: not measured by this test case. */
export interface Benchmarks {
  readonly sessionEstablishmentRatePerSec: number | null;
  readonly isMediaRelay: boolean | null;
  readonly registrationRatePerSec: number | null;
  readonly reregistrationRatePerSec: number | null;
  /** One sentence each: back-end processing, and whatever else bears on the rate. */
  readonly notes: readonly string[];
}

export interface FormRow {
  /** The RFC's words. */
  readonly row: string;
  readonly value: string;
}

const NOT_MEASURED = 'not measured by this test case';

const LABEL_COLUMNS = 46;
const TEXT_COLUMNS = 100;

/** Section 5.1. */
export function setupRows(setup: TestSetup): FormRow[] {
  const { transport, connections, media, sessionDurationSec, sessionsPerTrial, trials } = setup;
  const withoutConnections = `not applicable, ${transport} has none`;
  const isOne = (one: boolean | undefined) => (one === undefined ? withoutConnections : one ? 'yes' : 'no');
  const ofMedia = (value: string | undefined) => value ?? 'not applicable, no media';
  return [
    { row: 'SIP Transport Protocol', value: `${transport}, to the DUT and from it` },
    { row: 'DUT receives requests on one connection', value: isOne(connections?.receivesOnOne) },
    { row: 'DUT sends requests on one connection', value: isOne(connections?.sendsOnOne) },
    { row: 'Session Attempt Rate', value: `${setup.initialRatePerSec} a second (the initial r)` },
    { row: 'Session Duration', value: durationText(sessionDurationSec) },
    {
      row: 'Total Sessions Attempted',
      value: `${sessionsPerTrial} (N) in each trial, ${sessionsPerTrial * trials} in ${trials} trials`,
    },
    { row: 'Media Streams per Session', value: String(media?.streamsPerSession ?? 0) },
    { row: 'Associated Media Protocol', value: ofMedia(media?.protocol) },
    { row: 'Codec', value: ofMedia(media?.codec) },
    {
      row: 'Media Packet Size (audio only)',
      value: ofMedia(media === null ? undefined : `${media.packetBytes} bytes`),
    },
    { row: 'Establishment Threshold time', value: `${setup.establishmentThresholdSec} s` },
    { row: 'TLS ciphersuite used', value: 'none' },
    { row: 'IPsec profile used', value: 'none' },
  ];
}

function durationText(sec: number | null): string {
  if (sec === null) return 'not applicable, a registration';
  return sec === 0 ? '0 s (BYE at once after the 200)' : `${sec} s`;
}

/** Sections 5.2 and 5.3. */
export function benchmarkRows(benchmarks: Benchmarks): FormRow[] {
  return [...sessionRows(benchmarks), ...registrationRows(benchmarks)];
}

function sessionRows({ sessionEstablishmentRatePerSec, isMediaRelay }: Benchmarks): FormRow[] {
  return [
    { row: 'Session Establishment Rate, "R"', value: rateText(sessionEstablishmentRatePerSec, 'sessions') },
    {
      row: 'Is DUT acting as a media relay? (yes/no)',
      value: isMediaRelay === null ? NOT_MEASURED : isMediaRelay ? 'yes' : 'no',
    },
  ];
}

function registrationRows({ registrationRatePerSec, reregistrationRatePerSec, notes }: Benchmarks): FormRow[] {
  return [
    { row: 'Registration Rate', value: rateText(registrationRatePerSec, 'registrations') },
    { row: 'Re-registration Rate', value: rateText(reregistrationRatePerSec, 'registrations') },
    { row: 'Notes', value: notes.length === 0 ? 'none' : notes.join('\n') },
  ];
}

function rateText(ratePerSec: number | null, of: string): string {
  if (ratePerSec === null) return NOT_MEASURED;
  return ratePerSec === 0 ? `none found: some ${of} failed at every rate tried` : `${ratePerSec} ${of} per second`;
}

/** All of section 5 as text, `title` above it; lines of no more than 100 columns, the last without a line end. */
export function renderForm(title: string, setup: TestSetup, benchmarks: Benchmarks): string {
  return [
    title,
    '',
    '  RFC 7502 5.1  Test Setup Report',
    ...setupRows(setup).flatMap(renderRow),
    '',
    '  RFC 7502 5.2  Device Benchmarks for Session Setup',
    ...sessionRows(benchmarks).flatMap(renderRow),
    '',
    '  RFC 7502 5.3  Device Benchmarks for Registrations',
    ...registrationRows(benchmarks).flatMap(renderRow),
  ].join('\n');
}

/** The value is wrapped under itself; notes begin a line each. */
function renderRow({ row, value }: FormRow): string[] {
  const label = `    ${row} `.padEnd(LABEL_COLUMNS);
  const indent = ' '.repeat(label.length + 2);
  const lines = value.split('\n').flatMap((line) => wrap(line, TEXT_COLUMNS - indent.length));
  return lines.map((line, i) => (i === 0 ? `${label}= ${line}` : indent + line));
}

/** `text` in lines of up to `columns` characters; a longer word has a line of its own. */
export function wrap(text: string, columns: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line === '') lines[lines.length - 1] = word;
    else if (line.length + 1 + word.length <= columns) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}
