/** How busy threads are, by what the kernel accounts to them. */

import { expect, it } from 'vitest';
import { cpuNsOfThread, kernelThreadId } from '../../src/runtime/thread-cpu.ts';
import { ThreadLoads } from '../../src/runtime/thread-loads.ts';

function loadsOf(threads: number[]) {
  const state = { nowMs: 0, cpuMs: new Map<number, number>() };
  const loads = new ThreadLoads(
    () => threads,
    (id) => (state.cpuMs.get(id) ?? Number.NaN) * 1e6,
    () => state.nowMs,
  );
  return { state, loads };
}

it('is the share of the time since the sample before last', () => {
  const { state, loads } = loadsOf([7]);
  state.cpuMs.set(7, 100);
  loads.sample();
  state.nowMs = 2000;
  state.cpuMs.set(7, 1100);
  expect(loads.loadOf(7)).toBe(0.5);
  loads.sample();
  state.nowMs = 4000;
  loads.sample();
  state.nowMs = 5000;
  state.cpuMs.set(7, 1850);
  expect(loads.loadOf(7)).toBe(0.25);
});

it('is not known of a thread that is new, gone, or that the kernel says nothing of', () => {
  const threads = [7];
  const { state, loads } = loadsOf(threads);
  loads.sample();
  state.nowMs = 2000;
  expect([loads.loadOf(7), loads.loadOf(8)]).toEqual([null, null]);
  threads[0] = 8;
  state.cpuMs.set(8, 0);
  loads.sample();
  expect([loads.loadOf(7), loads.loadOf(8)]).toEqual([null, null]);
});

it('comes from /proc', () => {
  const id = kernelThreadId();
  expect(id).toBeGreaterThan(0);
  expect(cpuNsOfThread(id)).toBeGreaterThan(0);
  expect(cpuNsOfThread(0)).toBeNaN();
  expect(cpuNsOfThread(2 ** 31 - 1)).toBeNaN();
});
