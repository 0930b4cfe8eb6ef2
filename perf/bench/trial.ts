/** One trial: so many exchanges at one rate on a server that was started for it, and how many of them failed. What a search for
 *  the highest rate repeats. Cold. */

import { type ContestantKind, startContestant } from './contestant.ts';
import { servicesOf } from './scenario.ts';
import { type Load, type PlayedTurn, playTurn } from './turn.ts';

/** `turn.exchanges.failed` and `.successful` add up to `amount`, unless the turn bailed out. Throws a BenchError with one line if
 *  server or SIPp do not start. */
export async function playTrial(
  kind: ContestantKind,
  load: Load,
  { ratePerSec, amount }: { readonly ratePerSec: number; readonly amount: number },
): Promise<PlayedTurn> {
  const server = await startContestant(kind, kind.kind === 'baseline' ? 'baseline' : 'subject', {
    services: servicesOf(load.parts),
    domain: load.domain,
    users: load.users,
    password: load.password,
  });
  try {
    return await playTurn(server, 0, { ...load, ratePerSec, amount });
  } finally {
    await server.stop();
  }
}
