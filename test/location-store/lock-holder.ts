/** A process that takes the lock of a directory, says so, and stays. */

import { StoreLock } from '../../src/runtime/location-store/store-lock.ts';

const lock = await StoreLock.acquire(process.argv[2]!);
process.send!(lock.isHeld());
setInterval(() => undefined, 1000);
