/** A request of the live page that is turned away, with a line that says why. Main thread, cold. */

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { TokenGate } from '../control/token-gate.ts';

export interface Refusal {
  readonly status: number;
  readonly text: string;
}

export const STARTING: Refusal = { status: 503, text: 'starting' };

/** null: the request has the token. `onWrong` is called for one that has another. */
export function refusalByToken(
  gate: TokenGate,
  { headers: { authorization }, ip }: FastifyRequest,
  onWrong: () => void,
): Refusal | null {
  // A page begins without one and then asks its reader: that is no wrong guess.
  if (authorization === undefined) return { status: 401, text: 'give the token: Authorization: Bearer TOKEN' };
  const admission = gate.admit(authorization, ip);
  if (admission === 'granted') return null;
  if (admission === 'unreadable') return { status: 503, text: 'the file of the token cannot be used' };
  onWrong();
  if (admission === 'limited') {
    return { status: 429, text: `too many wrong tokens: try again in ${gate.retryAfterSec(ip)} s` };
  }
  return { status: 401, text: 'this is not the token' };
}

export function refuse(reply: FastifyReply, { status, text }: Refusal): FastifyReply {
  reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff');
  return reply.code(status).type('text/plain; charset=utf-8').send(`${text}\n`);
}
