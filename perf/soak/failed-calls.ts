/** Whose fault is it that a call failed? Each failed call is told by SIPp's error trace, belongs to a shard by its Call-ID, and was
 *  begun when its number came up. One that was in the hands of a shard that was killed is lost with it; any other is a fault. Pure. */

import type { StatRow } from '../bench/sipp-traces.ts';

/** A shard's death. Milliseconds of the epoch. */
export interface Kill {
  readonly atMs: number;
  readonly shard: number;
  readonly way: 'datagram' | 'command';
  /** When its successor served. */
  readonly backAtMs: number;
}

export interface FailedCall {
  readonly callId: string;
  readonly shard: number;
  /** When it was begun: not before, and not after. */
  readonly begunMs: readonly [number, number];
  /** The first line about it. */
  readonly why: string;
  /** It was refused, for instance by a 503, though it came through when SIPp sent its INVITE again. */
  readonly isRefused: boolean;
}

/** Each entry of SIPp's error trace begins so, in the midst of a line if the one before had no end. */
const ENTRY = /(?=\d{4}-\d\d-\d\d\t\d\d:\d\d:\d\d\.\d+\t)/;
const CALL_ID = /Call-I[dD]:? '?(\d+-\d+@[^\s,;']+)/;
/** SIPp's calls go on, with -nd, and send their INVITE again. Those of others would not. */
const GOES_ON = 'Continuing call';
const REFUSED = /received 'SIP\/2\.0 [3-6]\d\d/;
const SHOWN_CHARS = 160;

/** Call-IDs of failed calls in an error trace, each with the first words about it, or about its end. */
export function namedCalls(errors: string): Map<string, Pick<FailedCall, 'why' | 'isRefused'>> {
  const named = new Map<string, Pick<FailedCall, 'why' | 'isRefused'>>();
  for (const entry of errors.split(ENTRY)) {
    const words = entry.split('\t').at(-1)!.split('\n', 1)[0]!;
    const callId = CALL_ID.exec(words)?.[1];
    if (callId === undefined) continue;
    const goesOn = words.includes(GOES_ON);
    if ((goesOn && !REFUSED.test(words)) || named.get(callId)?.isRefused === goesOn) continue;
    if (goesOn && named.has(callId)) continue;
    named.set(callId, { why: words.replace(/^[\d.]+: /, '').slice(0, SHOWN_CHARS), isRefused: goesOn });
  }
  return named;
}

/** When call `callId` of the UAC with these rows was begun. */
export function begunBetween(callId: string, rows: readonly StatRow[]): readonly [number, number] {
  const number = Number.parseInt(callId, 10);
  const at = rows.findIndex(({ started }) => started >= number);
  if (at < 0) return [rows.at(-1)?.atMs ?? 0, Number.POSITIVE_INFINITY];
  return [rows[at - 1]?.atMs ?? 0, rows[at]!.atMs];
}

/** Messages that were sent again keep a call for longer than it should take. */
const LONGEST_CALL_MS = 5000;
/** The successor begins with what has gathered meanwhile; above the reject mark, new calls are answered 503 until it is through. */
const BACKLOG_MS = 1000;

/** The death of the shard that had this call; null: none had it. */
export function killThatTook({ shard, begunMs: [earliest, latest] }: FailedCall, kills: readonly Kill[]): Kill | null {
  const took = (kill: Kill) =>
    kill.shard === shard && latest >= kill.atMs - LONGEST_CALL_MS && earliest <= kill.backAtMs + BACKLOG_MS;
  return kills.find(took) ?? null;
}
