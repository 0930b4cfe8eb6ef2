/** The control methods of shards, and of what they serve. Main thread, cold. */

import { z } from 'zod';
import { MAX_SHARDS } from '../../memory/layout.ts';
import { SERVER_STATES } from '../../roles/proxy/transaction-list.ts';
import { method } from './method.ts';

const MAX_PAGE = 1000;
const DEFAULT_PAGE = 100;
const MAX_TEXT_CHARS = 1024;

const shard = z
  .int()
  .min(0)
  .max(MAX_SHARDS - 1);

export const shardMethods = {
  'shard.list': method({
    help: 'List the shards: how busy each is, what waits for it, and what it died of last',
    params: z.strictObject({}),
    result:
      '`shards`: a list, each with `shard`, `isRunning`, `starts`, `crashes`, `load` (share of a core over the last seconds, or null), `ring` (`waiting`, `high` and `shedMark`: datagrams that wait, the most that waited lately, and when new requests are dropped), `transactions`, `parked`, and `lastCrash` (`at`, `error` and `vector`, the file of its datagram) or null',
    run: ({ shards }) => ({ shards: shards.list() }),
  }),
  'shard.restart': method({
    help: 'Start a shard again, between two datagrams: none is lost, its transactions are',
    params: z.strictObject({ shard: shard.describe('its number, from 0') }),
    result: '`shard`, `starts` (how often it was started by now) and `tookMs`, once the successor serves',
    isChange: true,
    run: ({ shards }, params) => shards.restart(params.shard),
  }),
  'transaction.list': method({
    help: 'List the transactions that the shards have, with their branches (stateful mode)',
    params: z.strictObject({
      limit: z.int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE).describe('so many at the most'),
      cursor: z
        .string()
        .regex(/^\d{1,2}:\d{1,10}$/, 'is not a cursor')
        .optional()
        .describe('where to go on, from the answer before'),
      shard: shard.optional().describe('of this shard only'),
      callId: z.string().min(1).max(MAX_TEXT_CHARS).optional().describe('of this Call-ID only'),
      method: z.string().min(1).max(32).optional().describe('of this method only, such as `INVITE`'),
      state: z.enum(SERVER_STATES).optional().describe('in this state only; `proceeding` is what rings'),
    }),
    result:
      '`transactions`: a list, each with `shard`, `method`, `state`, `peer` (HOST:PORT that its responses go to), `callId`, `requestUri` and `ageMs` (null where no message is kept any more, as after a 2xx to an INVITE), `pending` (branches without a final response) and `branches` (each with `method`, `state` and `peer`); `cursor`: where the next part begins, null: this was the last',
    run: ({ shards }, params) => shards.transactions(params),
  }),
  'hops.list': method({
    help: 'List the next hops: which are up, which rest after a failure',
    params: z.strictObject({}),
    result:
      '`hops`: a list, each with `uri`, `state` (`up`, `resting`, or `unwatched` in stateless mode), `restingOn` (how many shards pass it over), `restsForSec`, `failures` and `lastFailedAt` (ISO 8601 or null)',
    run: async ({ shards }) => ({ hops: await shards.hops() }),
  }),
};
