/** The control method of the drain (runtime/drain.ts). Main thread, cold.
 *
 *  ```
 *  → {"jsonrpc":"2.0","id":1,"method":"drain","params":{"deadlineSec":30}}
 *  ← {"jsonrpc":"2.0","id":1,"result":{"isDraining":true,"pending":12,"held":40,"deadlineInSec":30}}
 *  → {"jsonrpc":"2.0","id":2,"method":"drain","params":{"cancel":true}}
 *  ← {"jsonrpc":"2.0","id":2,"result":{"isDraining":false,"pending":12,"held":40,"deadlineInSec":0}}
 *  ``` */

import { z } from 'zod';
import type { DrainCancellation } from '../drain.ts';
import { INVALID_PARAMS, REFUSED, RequestError } from '../request-error.ts';
import { method } from './method.ts';

const MAX_DEADLINE_SEC = 86_400;

/** By what became of it; null: it was called off. */
const REFUSALS: Readonly<Record<DrainCancellation, string | null>> = {
  cancelled: null,
  'not draining': 'this server does not drain',
  final: 'this server ends because of a signal or a takeover: that cannot be called off',
};

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
      cancel: z
        .boolean()
        .default(false)
        .describe('call the drain off: new requests are taken again; not one that a signal or a takeover began'),
    }),
    result:
      '`isDraining`; `pending`: transactions that still have something to do; `held`: those that only absorb what is sent again, too; `deadlineInSec`. `status` has the same as `drain`',
    isChange: true,
    run: (server, { deadlineSec, cancel }) => {
      if (cancel && deadlineSec !== undefined)
        throw new RequestError(INVALID_PARAMS, 'deadlineSec means nothing with cancel');
      if (!cancel) server.drain(deadlineSec === undefined ? {} : { deadlineMs: deadlineSec * 1000 });
      else {
        const refusal = REFUSALS[server.cancelDrain()];
        if (refusal !== null) throw new RequestError(REFUSED, refusal);
      }
      return server.drainStatus();
    },
  }),
};
