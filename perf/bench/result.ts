/** What a benchmark found, as it is written to JSON: the contract between the harness, the load engine, the report and
 *  `strowger bench compare`. Cold. Times of series and spans count from the run's start. Nothing in it is an average of
 *  percentiles: histograms come whole, so that whoever reads the file can add them up. */

export const RESULT_FORMAT = 'strowger-bench/1';

export interface BenchResult {
  readonly format: typeof RESULT_FORMAT;
  readonly title: string | null;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly machine: Machine;
  readonly load: LoadDescription;
  /** Who was measured, in the order of the tables. The first is the one that the run is about. */
  readonly contestants: readonly Contestant[];
  /** One for each time that a contestant had its turn, in the order they were played. */
  readonly turns: readonly Turn[];
  /** What `--search 7502` found, for each test case and contestant; null: it was not asked for. */
  readonly search: readonly SearchResult[] | null;
  /** One sentence each: whatever makes a figure worth less than it looks. */
  readonly warnings: readonly string[];
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMib: number;
  readonly kernel: string;
  readonly node: string;
  /** V8 and Node flags the harness was run with. */
  readonly nodeFlags: readonly string[];
  /** Of Strowger; ends in ` and changes` if the tree was not clean; null outside of git. */
  readonly revision: string | null;
  readonly sippVersion: string | null;
}

export interface LoadDescription {
  /** call, register … or the path of a scenario file. */
  readonly scenario: string;
  readonly generator: 'sipp' | 'engine';
  readonly transport: string;
  /** Calls (or other exchanges) a second that were asked for; null: as many as come back (closed loop). */
  readonly ratePerSec: number | null;
  /** Closed loop: exchanges in flight; open loop: at the most. */
  readonly window: number | null;
  /** SIPp processes, or 1. */
  readonly connections: number;
  readonly users: number | null;
  readonly durationMs: number | null;
  /** Exchanges that were asked for; null: as many as fit into the duration. */
  readonly amount: number | null;
  readonly warmUpMs: number;
  /** The command line, for whoever wants to repeat it. */
  readonly command: string;
}

export interface Contestant {
  /** strowger, kamailio, baseline (UAC straight to UAS, RFC 7502 6.1), relay, or the address that was given. */
  readonly name: string;
  readonly role: 'subject' | 'against' | 'baseline' | 'relay';
  readonly version: string | null;
  /** How it was started; null: it ran already. */
  readonly command: string | null;
  /** sip:HOST:PORT. */
  readonly target: string;
}

/** What limited a turn. `generator`: the server waited for the load, so the rate is a lower bound. `rate`: it was given and
 *  was kept. `others`: other programs had the server's CPU. `neither`: both waited. `unknown`: the server's processes cannot
 *  be seen from here. */
export type LimitedBy = 'server' | 'generator' | 'rate' | 'others' | 'neither' | 'unknown';

export interface Turn {
  /** Name of the contestant. */
  readonly contestant: string;
  /** From 0. */
  readonly round: number;
  /** The measured window, without warm-up and drain. */
  readonly wallMs: number;
  readonly exchanges: {
    readonly started: number;
    readonly successful: number;
    readonly failed: number;
    /** By what SIPp or the engine calls it: timeout, unexpected 503 … */
    readonly failuresByCause: { readonly [cause: string]: number };
    /** Open loop: were due while the window was full. */
    readonly skipped: number;
  };
  readonly messages: { readonly sent: number; readonly received: number; readonly retransmissions: number };
  /** By name of DELAYS; those that the scenario does not have are not there. */
  readonly delays: { readonly [name in DelayName]?: Delay };
  readonly cpu: {
    /** Nanoseconds on a CPU within the window; null: its processes are not known. */
    readonly serverNs: number | null;
    /** Of each SIPp or engine process that plays the UAC or the UAS. */
    readonly generatorNs: readonly { readonly name: string; readonly ns: number }[];
    /** Of the harness itself. */
    readonly harnessNs: number;
  };
  readonly drops: { readonly server: number | null; readonly generator: number };
  /** As the kernel gave them; null: not known. */
  readonly receiveBufferBytes: { readonly server: number | null; readonly generator: number | null };
  readonly residentKib: { readonly begin: number; readonly end: number } | null;
  readonly limitedBy: LimitedBy;
  /** One for about each second, of the measured window only. */
  readonly series: readonly Sample[];
}

/** RFC 6076: session request delay (4.3.1: INVITE to the first response that tells the caller something, here 180 or the
 *  final one), registration request delay (4.2), session disconnect delay (4.4), and what that RFC has no name for:
 *  `setup`, INVITE to 200; `response`, any other request to its final response. */
export const DELAYS = ['sessionRequest', 'registrationRequest', 'sessionDisconnect', 'setup', 'response'] as const;
export type DelayName = (typeof DELAYS)[number];

export interface Delay {
  readonly count: number;
  readonly minUs: number;
  readonly maxUs: number;
  readonly meanUs: number;
  /** By percentile as text: '2.5', '50', '97.5', '99', '99.9', '99.99' … in microseconds. */
  readonly percentilesUs: { readonly [percentile: string]: number };
  /** The whole, in microseconds: HdrHistogram's V2 encoding, compressed, base64. */
  readonly histogram: string;
  /** Counted from when the exchange was due, not from when it was sent (coordinated omission). */
  readonly isCorrected: boolean;
}

export interface Sample {
  /** From the window's start to the sample's end. */
  readonly atMs: number;
  readonly lengthMs: number;
  readonly successful: number;
  readonly failed: number;
  readonly retransmissions: number;
  /** Sent by the load, retransmissions left out; not there: the generator counts none by the second. */
  readonly messages?: number;
  /** Of the scenario's main delay; null: nothing ended in it. */
  readonly p50Us: number | null;
  readonly p99Us: number | null;
  readonly maxUs: number | null;
  /** 1 is a whole core; null: not known. */
  readonly serverCpuShare: number | null;
  readonly generatorCpuShare: number;
}

/** RFC 7502 4.10, and its report (section 5), of one test case on one contestant. Where it says sessions, a registration is
 *  one too (RFC 7501 3.1.1). */
export interface SearchResult {
  /** Name of the contestant. */
  readonly contestant: string;
  /** 6.1, 6.2 … or `extra` for what the RFC's set excludes. */
  readonly testCase: string;
  /** Value of each parameter of section 5.1, by the RFC's words. */
  readonly parameters: { readonly [name: string]: string };
  /** Those of the algorithm, then those of the bisection. */
  readonly trials: readonly SearchTrial[];
  /** Session establishment rate: the highest at which no session failed; 0: none was found. */
  readonly establishmentRatePerSec: number;
  /** By bisection beyond the RFC's steps; null: not asked for, or nothing to bisect. */
  readonly refinedRatePerSec: number | null;
  /** Rows of the forms of sections 5.2 and 5.3: words of the RFC, and the result. */
  readonly form: readonly { readonly row: string; readonly value: string }[];
  /** Whose limit the rate is. */
  readonly limitedBy: LimitedBy;
}

export interface SearchTrial {
  /** Asked for. */
  readonly ratePerSec: number;
  /** Offered; null: too few sessions to tell. */
  readonly attemptedPerSec: number | null;
  readonly sessions: number;
  readonly failed: number;
  /** No session failed, and the rate was offered. */
  readonly hasPassed: boolean;
  /** Of the bisection, not of the RFC's algorithm. */
  readonly isRefinement: boolean;
}
