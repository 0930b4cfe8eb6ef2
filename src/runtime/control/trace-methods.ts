/** The control methods of the trace: recent messages, live ones, calls. Main thread, cold; docs/trace.md shows them at work.
 *
 *  ```
 *  → {"jsonrpc":"2.0","id":1,"method":"trace.recent","params":{"filter":{"user":"alice"},"live":true}}
 *  ← {"jsonrpc":"2.0","id":1,"result":{"messages":[],"after":"mjk1x2.a3","lost":0,"sample":8}}
 *  → {"jsonrpc":"2.0","id":2,"method":"trace.recent","params":{"filter":{"user":"alice"},"live":true,"after":"mjk1x2.a3"}}
 *  ``` */

import { z } from 'zod';
import { REFUSED, RequestError } from '../request-error.ts';
import type { RunningServer } from '../running-server.ts';
import type { TraceOperations } from '../trace/trace-service.ts';
import { method } from './method.ts';

const MAX_MESSAGES = 500;
const DEFAULT_MESSAGES = 100;
const MAX_CALLS = 1000;
const DEFAULT_CALLS = 50;
const MAX_CAPTURED = 10_000;
const MAX_TEXT_CHARS = 1024;
/** A number and a point for each shard. */
const MAX_CURSOR_CHARS = 1024;

const text = z.string().min(1).max(MAX_TEXT_CHARS).optional();
const filter = z
  .strictObject({ callId: text, user: text, from: text })
  .default({})
  .describe(
    'which calls: by `callId`, by `user` (in From, To or the Request-URI, with or without @HOST), and by `from`, an address block that one of their messages came from',
  );

export const traceMethods = {
  'trace.recent': method({
    help: 'Give messages as they came and went, secrets masked: the latest ones, or those after an earlier answer',
    params: z.strictObject({
      filter,
      after: z
        .string()
        .min(1)
        .max(MAX_CURSOR_CHARS)
        .optional()
        .describe('where the answer before ended; without it: the latest, or with `live` none yet'),
      limit: z.int().min(1).max(MAX_MESSAGES).default(DEFAULT_MESSAGES).describe('so many at the most'),
      live: z
        .boolean()
        .default(false)
        .describe(
          'from now on every message of the calls is kept, and not of one call in `trace.sample` only; until 10 s after the last question',
        ),
      form: z
        .enum(['text', 'base64', 'none'])
        .default('text')
        .describe('how each message comes along; `base64` keeps bytes that are not UTF-8'),
    }),
    result:
      '`messages` by their time, each with `id`, `timeUs` (µs since 1970), `direction` (in, out), `transport`, `peer` and `local` (HOST:PORT), `method`, `status` (null: a request), `cseq`, `callId`, `from` and `to` (USER@HOST), `firstLine`, `bytes`, `isCut`, `error` (why it was not sent), `text` and `base64`; `after`: for the next question; `lost`: messages of any call that were overwritten meanwhile; `sample`',
    run: (server, params) => traceOf(server).recent(params),
  }),
  'trace.calls': method({
    help: 'List the calls whose messages are kept, the latest first',
    params: z.strictObject({
      filter,
      limit: z.int().min(1).max(MAX_CALLS).default(DEFAULT_CALLS).describe('so many at the most'),
    }),
    result:
      '`calls`, each with `callId`, `method`, `status`, `from`, `to`, `firstUs`, `lastUs`, `messages` and `peers`; `sample`: one call in so many is kept',
    run: (server, params) => traceOf(server).calls(params),
  }),
  'trace.pcap': method({
    help: 'Give the kept messages of calls as a capture file for Wireshark, secrets masked',
    params: z.strictObject({
      filter,
      limit: z
        .int()
        .min(1)
        .max(MAX_CAPTURED)
        .default(MAX_CAPTURED)
        .describe('so many messages at the most, the latest; the file has 1 MiB at the most'),
    }),
    result: '`base64`: a pcap file; its IP and UDP headers are made from the addresses',
    run: (server, params) => traceOf(server).pcap(params),
  }),
  'trace.status': method({
    help: 'Say how much the trace holds, and who watches',
    params: z.strictObject({}),
    result:
      '`ringKiB` (of each shard), `sample`, `messages`, `oldestUs`, `live`: the filters of those who watch now, and `hep`: null, or `to`, `isConnected`, `sent`, `dropped` and `errors` of the export',
    run: (server) => traceOf(server).status(),
  }),
};

function traceOf({ trace }: RunningServer): TraceOperations {
  if (trace !== null) return trace;
  throw new RequestError(REFUSED, 'this server keeps no messages: trace.recentKiB is 0');
}
