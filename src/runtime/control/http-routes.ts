/** JSON-RPC over HTTP: POST /rpc on the admin listener, for whoever has the token. Main thread, cold.
 *
 *  A page from elsewhere that a browser shows gets nowhere: it has no token, its Origin gives it away, its requests cannot be of
 *  type application/json without being asked about first, and nobody answers that. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { answerText, type Calls, MAX_REQUEST_BYTES, tooLong } from './json-rpc.ts';
import type { Admission, TokenGate } from './token-gate.ts';

export const RPC_PATH = '/rpc';

/** What serves; null until the server does. */
export interface ControlServed {
  readonly calls: Calls;
  readonly log: Logger;
  /** Counts a request that had no right to come. */
  readonly onUnauthorized: () => void;
}

export interface ControlRoutesOptions {
  /** null: there is no token, and so nobody may. */
  readonly gate: TokenGate | null;
  readonly served: () => ControlServed | null;
  /** Whether a Host header is one that this listener is reached by. */
  readonly isOwnHost: (host: string | undefined) => boolean;
}

const SAID: { readonly [admission in Exclude<Admission, 'granted'>]: readonly [status: number, text: string] } = {
  'no token': [401, 'give the token: Authorization: Bearer TOKEN'],
  'wrong token': [401, 'this is not the token'],
  limited: [429, 'too many wrong tokens from this address: try again later'],
  unreadable: [503, 'the file of the token (control.tokenFile) cannot be used; the log of the server says more'],
};

export function addControlRoutes(app: FastifyInstance, { gate, served, isOwnHost }: ControlRoutesOptions): void {
  // Before the body is read.
  const onRequest = async (request: FastifyRequest, reply: FastifyReply) => {
    if (!isOwnHost(request.headers.host) || !isOwnOrigin(request)) {
      return say(reply, 403, 'control is for programs on their own, not for pages from elsewhere');
    }
    if (gate === null) return say(reply, 403, 'control over HTTP is off: it needs a token (setting control.tokenFile)');
    const admission = gate.admit(request.headers.authorization, request.ip);
    if (admission === 'granted') return undefined;
    const running = served();
    if (admission !== 'unreadable') running?.onUnauthorized();
    else running?.log.warn('the file of the token (control.tokenFile) cannot be used: control over HTTP is refused');
    if (admission === 'limited') reply.header('retry-after', String(gate.retryAfterSec(request.ip)));
    else reply.header('www-authenticate', 'Bearer realm="strowger"');
    return say(reply, ...SAID[admission]);
  };
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_, body, done) => done(null, body));
  app.post<{ Body: string }>(
    RPC_PATH,
    {
      bodyLimit: MAX_REQUEST_BYTES,
      onRequest,
      errorHandler: (error, _, reply) => {
        if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return json(reply.code(413), tooLong());
        if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return say(reply, 415, 'send application/json');
        return say(reply, error.statusCode ?? 400, error.message);
      },
    },
    async (request, reply) => {
      const running = served();
      if (running === null) return say(reply, 503, 'starting');
      const answer = await answerText(request.body ?? '', running.calls, running.log);
      return answer === null ? reply.code(204).send() : json(reply, answer);
    },
  );
  app.route({
    method: ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'],
    url: RPC_PATH,
    handler: (_, reply) => say(reply.header('allow', 'POST'), 405, 'requests come by POST'),
  });
}

/** A browser says where a page is from that sends something; programs do not. */
function isOwnOrigin({ headers: { origin, host, 'sec-fetch-site': site } }: FastifyRequest): boolean {
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false;
  return origin === undefined || origin === `http://${host}` || origin === `https://${host}`;
}

function json(reply: FastifyReply, text: string): FastifyReply {
  return reply.header('cache-control', 'no-store').type('application/json; charset=utf-8').send(text);
}

function say(reply: FastifyReply, status: number, text: string): FastifyReply {
  return reply
    .code(status)
    .header('cache-control', 'no-store')
    .header('x-content-type-options', 'nosniff')
    .type('text/plain; charset=utf-8')
    .send(`${text}\n`);
}
