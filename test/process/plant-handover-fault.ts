/** Preloaded into a server, makes a shard throw when it is asked for its transactions, as long as the file HANDOVER_FAULT is there. */

import { existsSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

if (!isMainThread) {
  const { Element } = await import('../../src/roles/element.ts');
  const { transactionKeys } = Element.prototype;
  Element.prototype.transactionKeys = function (this: InstanceType<typeof Element>) {
    if (existsSync(process.env['HANDOVER_FAULT'] ?? '')) throw new Error('the planted fault of a handover');
    return transactionKeys.call(this);
  };
}
