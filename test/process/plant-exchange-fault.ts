/** Preloaded into a server, makes every shard throw as it is given another configuration. */

import { isMainThread } from 'node:worker_threads';

if (!isMainThread) {
  const { Element } = await import('../../src/roles/element.ts');
  Element.prototype.use = () => {
    throw new Error('the planted fault of an exchange');
  };
}
