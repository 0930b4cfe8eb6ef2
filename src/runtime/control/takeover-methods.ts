/** The control methods by which one server takes over from another (runtime/takeover/). Main thread, cold. */

import { z } from 'zod';
import { method } from './method.ts';

export const takeoverMethods = {
  restart: method({
    help: 'Have another process take over, without losing a call',
    params: z.strictObject({}),
    result: '`pid` of the process that serves from now on, `predecessor`: of the one that finishes what it has begun',
    isChange: true,
    run: (_, __, { restart }) => restart(),
  }),
  'takeover.invite': method({
    help: 'Let a server that starts take over from this one: what `strowger start --takeover` asks',
    params: z.strictObject({}),
    result: '`path` of a stream in the abstract name space, and the `secret` that opens it',
    isChange: true,
    run: (server) => server.invite(),
  }),
};
