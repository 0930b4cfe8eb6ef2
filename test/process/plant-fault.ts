/** A shard's part of test/process/observer.ts: the faults. */

import { RequestForwarding } from '../../src/roles/proxy/request-forwarding.ts';
import { FATAL_MAX_FORWARDS, HANGING_MAX_FORWARDS } from './fatal-request.ts';

const { forward } = RequestForwarding.prototype;
RequestForwarding.prototype.forward = function (this: RequestForwarding, ...args) {
  if (args[0].maxForwards === FATAL_MAX_FORWARDS) throw new Error('the planted fault');
  while (args[0].maxForwards === HANGING_MAX_FORWARDS);
  return forward.apply(this, args);
};
