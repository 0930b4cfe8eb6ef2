/** Says in the log what requests this server turns away, and why: a line per reason and minute with their count and one of them as
 *  an example. Runs on the shard. Asking is hot; a line is cold. */

import type { Arena } from '../memory/arena.ts';
import { SLOT } from '../memory/layout.ts';
import { HEADER_ID } from '../sip/header-table.ts';
import { formatIpHost, MAX_ADDRESS_BYTES } from '../sip/ip-address.ts';
import type { ElementClock } from './ports.ts';
import type { ReceivedRequest } from './received-request.ts';
import type { Rejection } from './rejection.ts';

/** Between two lines of one reason. */
const LINE_INTERVAL_MS = 60_000;
const MAX_TEXT_CHARS = 256;

/** As pino numbers them. */
const WARN = 40;
const DEBUG = 20;
const SILENT = 0;

export interface AnswerLine {
  readonly call_id: string | null;
  readonly method: string;
  readonly code: number;
  /** HOST:PORT that it came from. */
  readonly source: string;
  /** Requests since the line before. */
  readonly count: number;
}

export interface AnswerLogPort {
  /** The least urgent lines that are wanted, as pino numbers them; 0: none. Read for each answer. */
  readonly level: () => number;
  /** `counter`: what counts such answers. */
  readonly write: (level: 'debug' | 'warn', line: AnswerLine, text: string, counter: number) => void;
}

interface Reason {
  nextMs: number;
  count: number;
}

export class AnswerLog {
  readonly #arena: Arena;
  readonly #clock: ElementClock;
  readonly #port: AnswerLogPort;
  readonly #reasons = new Map<Rejection, Reason>();
  readonly #text = new Uint8Array(new SharedArrayBuffer(MAX_ADDRESS_BYTES + 4));

  constructor(arena: Arena, clock: ElementClock, port: AnswerLogPort) {
    this.#arena = arena;
    this.#clock = clock;
    this.#port = port;
  }

  /** A request is answered so. */
  note(request: ReceivedRequest, rejection: Rejection): void {
    const wanted = this.#port.level();
    // What a server answers because of its own state is its operator's business; the rest is the client's.
    const isOurs = rejection.status === 500 || rejection.status === 503;
    if (wanted === SILENT || wanted > (isOurs ? WARN : DEBUG)) return;
    let reason = this.#reasons.get(rejection);
    if (reason === undefined) {
      reason = { nextMs: Number.NEGATIVE_INFINITY, count: 0 };
      this.#reasons.set(rejection, reason);
    }
    reason.count++;
    if (this.#clock.nowMs < reason.nextMs) return;
    reason.nextMs = this.#clock.nowMs + LINE_INTERVAL_MS;
    this.#say(request, rejection, isOurs, reason.count);
    reason.count = 0;
  }

  #say(request: ReceivedRequest, rejection: Rejection, isOurs: boolean, count: number): void {
    const { index, slotWord } = request;
    const { words } = this.#arena;
    const callId = index.first[HEADER_ID.CALL_ID]!;
    const end = formatIpHost(words, slotWord + SLOT.SOURCE_WORD, words[slotWord + SLOT.FAMILY_WORD]!, this.#text, 0);
    const line: AnswerLine = {
      call_id: callId === -1 ? null : this.#latin1(index.valueStart(callId), index.valueEnd(callId)),
      method: this.#latin1(index.methodStart, index.methodEnd),
      code: rejection.status,
      source: `${textOf(this.#text, 0, end)}:${words[slotWord + SLOT.PORT_WORD]!}`,
      count,
    };
    // Without "SIP/2.0 " and the end of the line.
    const answer = textOf(rejection.statusLine.bytes, 8, rejection.statusLine.length - 2);
    this.#port.write(isOurs ? 'warn' : 'debug', line, `answered ${answer}`, rejection.counter);
  }

  #latin1(start: number, end: number): string {
    return textOf(this.#arena.bytes, start, Math.min(end, start + MAX_TEXT_CHARS));
  }
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end));
}
