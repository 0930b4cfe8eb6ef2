/** The admin HTTP listener: /metrics, /healthz, /readyz, the live page (live/) and control (control/http-routes.ts). Main thread,
 *  cold. It is open before the server serves, so that whoever probes is told that it is not ready yet instead of finding nobody. */

import { isIPv6 } from 'node:net';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { type AdminAddress, parseAdminAddress } from '../config/admin-address.ts';
import { CONTENT_TYPE } from '../observe/exposition.ts';
import { addControlRoutes, type ControlServed, RPC_PATH } from './control/http-routes.ts';
import { TokenGate } from './control/token-gate.ts';
import { addCallRoutes } from './live/call-routes.ts';
import { LiveFeed, type LiveFeedOptions } from './live/live-feed.ts';
import { addLiveRoutes, isNamedByAddress, LIVE_PATHS } from './live/live-routes.ts';
import { readPageFiles } from './live/page-files.ts';
import { type Refusal, refusalByToken } from './live/refusal.ts';
import type { RunningServer } from './running-server.ts';

/** A request has a few hundred bytes, and no body but for control. */
const MAX_BODY_BYTES = 1024;
const MAX_CONNECTIONS = 64;
const REQUEST_LIMIT_MS = 5000;
const IDLE_LIMIT_MS = 75_000;

const PATHS = [...LIVE_PATHS, '/metrics', '/healthz', '/readyz', RPC_PATH] as const;

const FOREIGN_NAME: Refusal = {
  status: 403,
  text: 'this listener is for its own machine: address it as 127.0.0.1, [::1] or localhost',
};

const OPEN_TO_OTHERS: Refusal = {
  status: 403,
  text: 'calls are shown to other machines only with a token (setting control.tokenFile); strowger trace shows them here',
};

/** What the live page shows beside the server. */
export type PageOptions = Omit<LiveFeedOptions, 'view' | 'pageVersion'>;

export interface AdminListener {
  /** Where it listens, e.g. `http://127.0.0.1:9560`. */
  readonly url: string;
  /** From now on there is something to tell. */
  serve(server: RunningServer, page: PageOptions, control?: ControlServed): void;
  /** Gives its address up, so that another process can have it; requests that are being answered stay. */
  release(): void;
  close(): Promise<void>;
}

/** What `openAdmin` throws when its address cannot be had. */
export interface AdminListenError extends Error {
  /** As in errno. */
  readonly code: string;
  readonly adminListen: string;
}

/** Opens the listener at `listen` (setting admin.listen, checked before); `tokenFile`: control.tokenFile. Rejects with an
 *  AdminListenError. */
export async function openAdmin(listen: string, tokenFile?: string): Promise<AdminListener> {
  const address = parseAdminAddress(listen) as AdminAddress;
  const app = fastify({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_LIMIT_MS,
    keepAliveTimeout: IDLE_LIMIT_MS,
    // A scraper keeps its connection: it must not hold up a stop.
    forceCloseConnections: true,
  });
  app.server.maxConnections = MAX_CONNECTIONS;
  let server: RunningServer | null = null;
  let feed: LiveFeed | null = null;
  let control: ControlServed | null = null;
  const files = readPageFiles();
  addRoutes(app, () => server);
  const isLoopback = address.host === '::1' || address.host.startsWith('127.');
  const gate = tokenFile === undefined ? null : new TokenGate(tokenFile);
  const refusal = (request: FastifyRequest) => {
    if (isLoopback && !isNamedByAddress(request.headers.host)) return FOREIGN_NAME;
    return gate === null ? null : refusalByToken(gate, request, () => control?.onUnauthorized());
  };
  addLiveRoutes(app, { files, feed: () => feed, refusal });
  const isOpenToOthers = !isLoopback && gate === null;
  addCallRoutes(app, {
    calls: () => control?.calls ?? null,
    refusal: (request) => (isOpenToOthers ? OPEN_TO_OTHERS : refusal(request)),
  });
  // Only control takes anything, and only as JSON.
  app.removeAllContentTypeParsers();
  addControlRoutes(app, {
    gate,
    served: () => control,
    isOwnHost: (name) => !isLoopback || isNamedByAddress(name),
  });
  try {
    await app.listen({ host: address.host, port: address.port, ipv6Only: isIPv6(address.host) && listen[0] !== '*' });
  } catch (error) {
    await app.close();
    throw Object.assign(error as Error, { adminListen: listen });
  }
  const bound = app.server.address();
  const port = typeof bound === 'object' && bound !== null ? bound.port : address.port;
  const host = address.isWildcard ? 'localhost' : isIPv6(address.host) ? `[${address.host}]` : address.host;
  return {
    url: `http://${host}:${port}`,
    serve: (running, page, controlled) => {
      server = running;
      control = controlled ?? null;
      feed = new LiveFeed({ ...page, view: running.live, pageVersion: files.version });
    },
    release: () => {
      feed?.close();
      app.server.close();
      app.server.closeIdleConnections();
    },
    close: () => {
      feed?.close();
      return app.close();
    },
  };
}

function addRoutes(app: FastifyInstance, server: () => RunningServer | null): void {
  app.get('/healthz', (_, reply) => answer(reply, 200, 'ok'));
  app.get('/readyz', (_, reply) => {
    const reasons = server()?.notReadyBecause() ?? ['starting'];
    return reasons.length === 0 ? answer(reply, 200, 'ready') : answer(reply, 503, reasons.join('\n'));
  });
  app.get('/metrics', (_, reply) => {
    const running = server();
    return running === null ? answer(reply, 503, 'starting') : reply.type(CONTENT_TYPE).send(running.metrics());
  });
  app.setNotFoundHandler((_, reply) => answer(reply, 404, `there are ${PATHS.join(', ')}`));
}

function answer(reply: FastifyReply, status: number, text: string): FastifyReply {
  // Readiness is of now.
  return reply.code(status).header('cache-control', 'no-store').type('text/plain; charset=utf-8').send(`${text}\n`);
}
