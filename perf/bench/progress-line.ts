/** How a run goes, on stderr while it lasts: one line that is drawn over and over on a terminal, one for each turn
 *  elsewhere. Cold: once a second. */

import { counted, percent, plainNumber, seconds, wholeNumber } from './report/figures.ts';
import type { Noun } from './report/vocabulary.ts';
import type { TurnProgress } from './run.ts';

export interface Terminal {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const ERASED_LINE = '\r\x1b[2K';
const BAR_CELLS = 20;
const DEFAULT_COLUMNS = 80;

const PHASES: { readonly [phase in TurnProgress['phase']]: string } = {
  registering: 'getting ready',
  'warm-up': 'warming up',
  measuring: 'measuring',
  drain: 'draining',
};

export class ProgressLine {
  readonly #terminal: Terminal;
  readonly #noun: Noun;
  #turn = '';

  constructor(terminal: Terminal, noun: Noun) {
    this.#terminal = terminal;
    this.#noun = noun;
  }

  show(progress: TurnProgress): void {
    const { isTTY, columns = DEFAULT_COLUMNS } = this.#terminal;
    if (isTTY === true) {
      this.#terminal.write(ERASED_LINE + progressText(progress, this.#noun).slice(0, columns - 1));
      return;
    }
    const turn = turnName(progress);
    if (turn !== this.#turn) this.#terminal.write(`${turn} …\n`);
    this.#turn = turn;
  }

  /** Leaves no trace on a terminal. */
  end(): void {
    if (this.#terminal.isTTY === true) this.#terminal.write(ERASED_LINE);
  }
}

function turnName({ contestant, role, round, rounds }: TurnProgress): string {
  return role === 'baseline' || rounds === 1 ? contestant : `${contestant}, round ${round + 1} of ${rounds}`;
}

/** `strowger, round 1 of 3  ████░░░░  warming up  1,012 calls/s  none failed  server 34 %  SIPp 98 %` */
function progressText(progress: TurnProgress, [, many]: Noun): string {
  const { phase, elapsedMs, totalMs, successful, failed, ratePerSec, serverCpuShare, generatorCpuShare } = progress;
  const parts = [turnName(progress)];
  if (totalMs !== null) parts.push(bar(elapsedMs / totalMs));
  parts.push(`${PHASES[phase]} ${seconds(Math.round(elapsedMs / 1000) * 1000)}`);
  if (phase !== 'registering') {
    parts.push(`${plainNumber(ratePerSec)} ${many}/s`);
    parts.push(failed === 0 ? `${wholeNumber(successful)} so far` : counted(failed, ['failure', 'failures']));
    if (serverCpuShare !== null) parts.push(`server ${percent(Math.round(serverCpuShare * 100) / 100)}`);
    parts.push(`SIPp ${percent(Math.round(generatorCpuShare * 100) / 100)}`);
  }
  return parts.join('  ').replaceAll('\u00a0', ' ');
}

function bar(share: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR_CELLS);
  return '█'.repeat(full) + '░'.repeat(BAR_CELLS - full);
}
