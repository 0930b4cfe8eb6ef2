/** A shard's part of test/process/observer.ts: the fault. */

import { RequestForwarding } from '../../src/roles/proxy/request-forwarding.ts';
import { FATAL_MAX_FORWARDS } from './fatal-request.ts';

const { forward } = RequestForwarding.prototype;
RequestForwarding.prototype.forward = function (this: RequestForwarding, ...args) {
  if (args[0].maxForwards === FATAL_MAX_FORWARDS) throw new Error('the planted fault');
  return forward.apply(this, args);
};
