/** Preloaded into a server: no thread can start while the file exists that STROWGER_TEST_THREADS_FAIL names. */

import { existsSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

if (!isMainThread && existsSync(process.env['STROWGER_TEST_THREADS_FAIL'] ?? '')) {
  throw new Error('the planted fault of a start');
}
