/** What the scheduler says of threads. */

import { describe, expect, it } from 'vitest';
import { kernelThreadId, parseSchedstat, readThreadCpu, readThreadState } from '../../src/runtime/thread-cpu.ts';

describe('the CPU time of a thread', () => {
  it('grows while the thread works', () => {
    const id = kernelThreadId();
    expect(id).toBe(process.pid);
    const before = readThreadCpu(id)!;
    let checksum = 0;
    for (const endMs = performance.now() + 20; performance.now() < endMs; ) checksum++;
    expect(checksum).toBeGreaterThan(0);
    expect(readThreadCpu(id)!.ranNs).toBeGreaterThan(before.ranNs);
  });

  it('is not known of a thread that is not there', () => {
    expect(readThreadCpu(0)).toBeNull();
    expect(readThreadCpu(2 ** 22 + 1)).toBeNull();
  });

  it.each(['', '1 2', 'a b c', '1 2 3 4', '-1 2 3'])('is not known from %j', (text) => {
    expect(parseSchedstat(text)).toBeNull();
  });

  it('is read as the kernel writes it', () => {
    expect(parseSchedstat('4711 12 3\n')).toEqual({ ranNs: 4711, waitedNs: 12 });
  });
});

describe('what a thread does', () => {
  it('is to run, of this one', () => {
    expect(readThreadState(kernelThreadId())).toBe('R');
  });

  it('is not known of a thread that is not there', () => {
    expect(readThreadState(0)).toBeNull();
    expect(readThreadState(2 ** 22 + 1)).toBeNull();
  });
});
