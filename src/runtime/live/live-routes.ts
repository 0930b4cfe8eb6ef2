/** The live page over HTTP, on the admin listener: `/`, its files under `/live/`, `/live/events` and `/live.json`. Main thread, cold.
 *  The files are for everybody who reaches the listener and say nothing of the server; the data is for whom `refusal` lets in. */

import type { ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { LiveFeed, Watcher } from './live-feed.ts';
import type { PageFiles } from './page-files.ts';
import { type Refusal, refuse, STARTING } from './refusal.ts';

/** Nothing from elsewhere, nothing inline, in nobody's frame. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const HEADERS = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
} as const;

export const LIVE_PATHS = ['/', '/live.json'] as const;

export interface LiveRoutesOptions {
  readonly files: PageFiles;
  /** null: the server does not serve yet. */
  readonly feed: () => LiveFeed | null;
  /** null: the request may see the server's data. */
  readonly refusal: (request: FastifyRequest) => Refusal | null;
}

export function addLiveRoutes(app: FastifyInstance, { files, feed, refusal }: LiveRoutesOptions): void {
  const sendFile = (request: FastifyRequest, reply: FastifyReply, name: string) => {
    const file = files.byName.get(name);
    if (file === undefined) return reply.callNotFound();
    // Asked again each time, so that a page is never older than the server.
    reply.headers({ ...HEADERS, 'cache-control': 'no-cache', etag: file.etag });
    if (request.headers['if-none-match'] === file.etag) return reply.code(304).send();
    return reply.type(file.type).send(file.text);
  };
  app.get('/', (request, reply) => sendFile(request, reply, 'index.html'));
  app.get<{ Params: { name: string } }>('/live/:name', (request, reply) =>
    sendFile(request, reply, request.params.name),
  );
  app.get('/live/events', (request, reply) => {
    const refused = refusal(request);
    if (refused !== null) return refuse(reply, refused);
    const running = feed();
    if (running === null) return refuse(reply, STARTING);
    const watcher = watcherOf(reply.raw);
    reply.raw.once('close', () => running.remove(watcher));
    if (!running.add(watcher)) return refuse(reply, TOO_MANY);
    reply.hijack();
    return reply;
  });
  app.get('/live.json', async (request, reply) => {
    const refused = refusal(request);
    if (refused !== null) return refuse(reply, refused);
    const running = feed();
    if (running === null) return refuse(reply, STARTING);
    const snapshot = await running.snapshot();
    if (snapshot === null) return refuse(reply, TOO_MANY);
    return reply.headers({ ...HEADERS, 'cache-control': 'no-store' }).send(snapshot);
  });
}

/** Whether a Host header names an address or this machine itself. A page from elsewhere that has its own name resolve to 127.0.0.1 (DNS
 *  rebinding) makes a browser read a listener of loopback for it, but under that name. */
export function isNamedByAddress(host: string | undefined): boolean {
  const name = /^(?:\[([^\]]+)\]|([^:]*))(?::\d+)?$/.exec(host ?? '');
  const bare = name?.[1] ?? name?.[2] ?? '';
  return isIP(bare) !== 0 || bare.toLowerCase() === 'localhost';
}

const TOO_MANY: Refusal = { status: 503, text: 'too many pages are open on this server: close some of them' };

/** Begins the answer with the first event. */
function watcherOf(response: ServerResponse): Watcher {
  return {
    write: (text) => {
      if (!response.headersSent) {
        response.writeHead(200, {
          ...HEADERS,
          'content-type': 'text/event-stream; charset=utf-8',
          'cache-control': 'no-store',
          // Asks proxies such as nginx not to gather events.
          'x-accel-buffering': 'no',
        });
      }
      response.write(text);
    },
    get unreadBytes() {
      return response.writableLength;
    },
    end: () => void response.end(),
    cutOff: () => void response.destroy(),
  };
}
