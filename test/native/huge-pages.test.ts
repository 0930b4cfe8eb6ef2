/** Advice about huge pages, as /proc/self/smaps shows it. */

import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import { adviseHugePages } from '../../src/runtime/udp-socket.ts';
import { advisedAreas, hasHugePages } from './advised-areas.ts';

const MIB = 1024 * 1024;
const MIN_PAGE_BYTES = 4096;
const MAX_PAGE_BYTES = 64 * 1024;

describe('adviseHugePages', () => {
  it('never throws for what the kernel says', () => {
    const results = [0, constants.errno.EINVAL];
    expect(results).toContain(adviseHugePages(new Uint8Array(new SharedArrayBuffer(8 * MIB))));
    expect(results).toContain(adviseHugePages(new Uint8Array(new SharedArrayBuffer(8 * MIB), 3, 5 * MIB + 1)));
  });

  it('has nothing to say of less than a page', () => {
    const buffer = new SharedArrayBuffer(8 * MIB);
    const before = advisedAreas();
    expect(adviseHugePages(new Uint8Array(buffer, 5, MIN_PAGE_BYTES - 1))).toBe(0);
    expect(adviseHugePages(new Uint8Array(buffer, 0, 0))).toBe(0);
    expect(advisedAreas()).toEqual(before);
  });

  // A kernel without CONFIG_TRANSPARENT_HUGEPAGE has no such flag.
  describe.skipIf(!hasHugePages)('on a kernel that has them', () => {
    it('marks the pages within the bytes, and no others', () => {
      const buffer = new SharedArrayBuffer(64 * MIB);
      const before = advisedAreas();
      expect(adviseHugePages(new Uint8Array(buffer, 10 * MIB + 1, 33 * MIB))).toBe(0);
      const added = advisedAreas().filter((bytes) => !before.includes(bytes));
      expect(added).toHaveLength(1);
      expect(33 * MIB - added[0]!).toBeGreaterThanOrEqual(0);
      expect(33 * MIB - added[0]!).toBeLessThan(2 * MAX_PAGE_BYTES);
    });

    it('leaves what is in the memory as it is', () => {
      const bytes = new Uint8Array(new SharedArrayBuffer(6 * MIB));
      for (let i = 0; i < bytes.length; i += 1000) bytes[i] = i % 251;
      expect(adviseHugePages(bytes)).toBe(0);
      for (let i = 0; i < bytes.length; i += 1000) expect(bytes[i]).toBe(i % 251);
    });
  });
});
