/** Who gives way; that V8's threads do, is seen in a real server (supervisor.test.ts). */

import { describe, expect, it } from 'vitest';
import { giveWay } from '../../src/runtime/thread-priority.ts';

describe('a thread that is not there', () => {
  it('gives no way', () => {
    expect(giveWay(2 ** 22 + 1)).toBe(false);
  });
});
