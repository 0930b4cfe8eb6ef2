/** The calls of the live page, message by message: the trace over HTTP, for reading alone, on the admin listener. Main thread, cold.
 *
 *  `/live/calls?user=|callId=|from=` lists calls, `/live/messages?callId=&after=` has the messages of one, or those that came since,
 *  `/live/calls.pcap?callId=` is a capture file of them. What is asked and answered is that of `trace.calls`, `trace.recent` and
 *  `trace.pcap` (docs/trace.md); secrets are masked. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Calls } from '../control/json-rpc.ts';
import { INVALID_PARAMS, RequestError } from '../request-error.ts';
import { type Refusal, refuse, STARTING } from './refusal.ts';

const MAX_CALLS = 40;
const MAX_MESSAGES = 500;

export interface CallRoutesOptions {
  /** Control methods; null: the server does not serve yet. */
  readonly calls: () => Calls | null;
  /** null: the request may see calls. */
  readonly refusal: (request: FastifyRequest) => Refusal | null;
}

type Query = Readonly<Record<string, unknown>>;

export function addCallRoutes(app: FastifyInstance, { calls, refusal }: CallRoutesOptions): void {
  const answer = async (
    request: FastifyRequest,
    reply: FastifyReply,
    ask: (methods: Calls, query: Query) => unknown,
  ): Promise<FastifyReply> => {
    const refused = refusal(request);
    if (refused !== null) return refuse(reply, refused);
    const methods = calls();
    if (methods === null) return refuse(reply, STARTING);
    try {
      const result = await ask(methods, request.query as Query);
      return reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff').send(result);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      return refuse(reply, { status: error.code === INVALID_PARAMS ? 400 : 409, text: error.message });
    }
  };
  app.get('/live/calls', (request, reply) =>
    answer(request, reply, (methods, { user, callId, from }) =>
      methods['trace.calls']!({ filter: { user, callId, from }, limit: MAX_CALLS }),
    ),
  );
  app.get('/live/messages', (request, reply) =>
    answer(request, reply, (methods, { callId, after }) =>
      methods['trace.recent']!({ filter: { callId }, after, limit: MAX_MESSAGES }),
    ),
  );
  app.get('/live/calls.pcap', (request, reply) =>
    answer(request, reply, async (methods, { callId }) => {
      const { base64 } = (await methods['trace.pcap']!({ filter: { callId } })) as { base64: string };
      reply.type('application/vnd.tcpdump.pcap').header('content-disposition', 'attachment; filename="call.pcap"');
      return Buffer.from(base64, 'base64');
    }),
  );
}
