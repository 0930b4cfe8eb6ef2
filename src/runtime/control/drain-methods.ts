/** The control method of the drain (runtime/drain.ts). Main thread, cold.
 *
 *  ```
 *  → {"jsonrpc":"2.0","id":1,"method":"drain","params":{"deadlineSec":30}}
 *  ← {"jsonrpc":"2.0","id":1,"result":{"isDraining":true,"pending":12,"held":40,"deadlineInSec":30}}
 *  → {"jsonrpc":"2.0","id":2,"method":"drain","params":{"cancel":true}}
 *  ← {"jsonrpc":"2.0","id":2,"result":{"isDraining":false,"pending":12,"held":40,"deadlineInSec":0}}
 *  ``` */

import { z } from 'zod';
import { INVALID_PARAMS, REFUSED, RequestError } from '../request-error.ts';
import { method } from './method.ts';

const MAX_DEADLINE_SEC = 86_400;

export const drainMethods = {
  drain: method({
    help: 'End the server once what runs on it is over; new requests are turned away meanwhile',
    params: z.strictObject({
      deadlineSec: z
        .int()
        .min(0)
        .max(MAX_DEADLINE_SEC)
        .optional()
        .describe('when it ends at the latest; without it, `drain.deadlineSec`. Given again, it counts anew'),
      cancel: z.boolean().default(false).describe('call the drain off: new requests are taken again'),
    }),
    result:
      '`isDraining`; `pending`: transactions that still have something to do; `held`: those that only absorb what is sent again, too; `deadlineInSec`. `status` has the same as `drain`',
    isChange: true,
    run: (server, { deadlineSec, cancel }) => {
      if (cancel && deadlineSec !== undefined)
        throw new RequestError(INVALID_PARAMS, 'deadlineSec means nothing with cancel');
      if (!cancel) server.drain(deadlineSec === undefined ? {} : { deadlineMs: deadlineSec * 1000 });
      else if (!server.cancelDrain()) throw new RequestError(REFUSED, 'this server does not drain');
      return server.drainStatus();
    },
  }),
};
