/** The control methods of banned sources. Main thread, cold. */

import { z } from 'zod';
import { MAX_REASON_CHARS } from '../bans/ban-list.ts';
import { method } from './method.ts';

const MAX_PAGE = 1000;
const DEFAULT_PAGE = 250;
/** Ten years. */
const MAX_DURATION_SEC = 315_360_000;

const source = z.string().min(1).max(64).describe('an IPv4 or IPv6 address, or a block such as `192.0.2.0/24`');

export const banMethods = {
  'ban.list': method({
    help: 'List the sources whose datagrams are dropped, the latest first',
    params: z.strictObject({
      limit: z.int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE).describe('so many at the most'),
    }),
    result:
      '`total`, and `bans`: a list, each with `source`, `reason`, `addedAt` (ISO 8601) and `expiresSec` (null: for good)',
    run: ({ bans }, { limit }) => bans.list(limit),
  }),
  'ban.add': method({
    help: 'Drop the datagrams of a source, unread',
    params: z.strictObject({
      source,
      durationSec: z.int().min(1).max(MAX_DURATION_SEC).optional().describe('how long; without it, for good'),
      reason: z.string().max(MAX_REASON_CHARS).default('').describe('why, for whoever reads the list'),
      force: z.boolean().default(false).describe('also loopback, a trusted source or a next hop'),
    }),
    result: '`source` as it is written in the list, `isNew`, and `isStored`: whether it outlives the process',
    isChange: true,
    run: ({ bans }, { force, ...ban }) => bans.add({ ...ban, isForced: force }),
  }),
  'ban.remove': method({
    help: 'Take the datagrams of a source again',
    params: z.strictObject({ source }),
    result: '`source` and `isStored`',
    isChange: true,
    run: ({ bans }, params) => bans.remove(params.source),
  }),
};
