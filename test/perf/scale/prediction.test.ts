import { describe, expect, it } from 'vitest';
import type { EngineResult } from '../../../perf/load/engine-result.ts';
import { Histogram } from '../../../perf/load/histogram.ts';
import { pointOf, predict, renderPoints, renderPrediction } from '../../../perf/scale/prediction.ts';
import { stagesOf } from '../../../perf/scale/stages.ts';

const RECEIVED = 100_000;

/** A turn of a second with so many µs of CPU per message at each stage, a quarter of it in the kernel. */
function turn(workers: number, dispatcherUs: number, shardsUs: number): EngineResult {
  const thread = (name: string, us: number, tid: number) => {
    const ns = us * 1000 * RECEIVED;
    return { pid: 1, tid, name, ns, userTicks: (0.75 * ns) / 1e7, systemTicks: (0.25 * ns) / 1e7 };
  };
  const shards = Array.from({ length: workers }, (_, i) => thread('WorkerThread', shardsUs / workers, 10 + i));
  const none = new Histogram().toJSON();
  return {
    wallMs: 1000,
    started: 0,
    successful: RECEIVED / 2,
    skipped: 0,
    sent: RECEIVED,
    received: RECEIVED,
    failed: 0,
    failuresByCause: {},
    retransmissions: 0,
    stale: 0,
    serverCpuNs: (dispatcherUs + shardsUs + 0.1) * 1000 * RECEIVED,
    threads: [...shards, thread('dispatcher', dispatcherUs, 2), thread('node-V8Worker', 0.1, 3)],
    foreignCpuNs: 0,
    residentKib: [0, 0],
    generatorBusy: 0.5,
    generatorOnCpu: 1,
    generatorAllocatedBytes: 0,
    serverDrops: 0,
    ownDrops: 0,
    receiveBufferBytes: 0,
    delays: {},
    transit: none,
    series: [],
  };
}

describe('stages', () => {
  it('are told apart by the names of the threads, of all turns together', () => {
    const { dispatcher, shards, others } = stagesOf([turn(3, 2, 7), turn(3, 4, 9)]);
    expect(dispatcher.usPerMessage).toBeCloseTo(3);
    expect(shards.usPerMessage).toBeCloseTo(8);
    expect(others.usPerMessage).toBeCloseTo(0.1);
    expect(dispatcher.kernelShare).toBeCloseTo(0.25);
  });

  it('without a dispatcher are no stages of Strowger', () => {
    const relay = { ...turn(1, 1, 1), threads: [] };
    expect(() => stagesOf([relay])).toThrow("none of the server's threads is known as dispatcher");
  });
});

describe('prediction', () => {
  it('goes by the stages where threads took turns on one CPU: σ is what only the dispatcher can do', () => {
    const points = [1, 2, 3, 4].map((workers) => pointOf(workers, [turn(workers, 2, 8)], 1));
    const prediction = predict(points);
    expect(prediction.basis).toBe('stages');
    expect(prediction.law.sigma).toBeCloseTo(0.2, 6);
    expect(prediction.law.kappa).toBeCloseTo(0, 6);
    expect(prediction.kneeWorkers).toBeCloseTo(5, 3);
    expect(prediction.fullDispatcherWorkers).toBeCloseTo(4, 6);
    expect(prediction.ceilingPerSec).toBeCloseTo(500_000, 0);
    const eight = prediction.machines.find(({ cores }) => cores === 8)!;
    expect(eight.perSec).toBeCloseTo(1e6 / (2 + 8 / 7), 0);
    expect(eight.overlappedPerSec).toBeCloseTo(500_000, 0);
  });

  it('goes by messages/s where each thread had a CPU and the server was the limit', () => {
    // A shard that is always busy.
    const points = [1, 2, 3].map((workers) => pointOf(workers, [turn(workers, 1, 10 * workers)], 8));
    expect(points.map(({ isParallel }) => isParallel)).toEqual([true, true, true]);
    expect(predict(points).basis).toBe('measured');
    expect(predict([...points, pointOf(4, [turn(4, 1, 1)], 8)]).basis).toBe('stages');
  });

  it('says that it is one, and what it stands on', () => {
    const points = [1, 2, 3].map((workers) => pointOf(workers, [turn(workers, 2, 8)], 1));
    const text = renderPrediction(predict(points), 1);
    expect(text).toContain('PREDICTION, not measured:\n  knee at 5.0 workers; never more than 500,000 messages/s');
    expect(text).toContain('here they shared 1');
    expect(renderPoints(points).split('\n')[1]).toMatch(/^1 worker +100000 .* 2\.00 \(25 %\) +8\.00 \(25 %\)/);
  });
});
