/** What /proc says of processes and CPUs (of sockets: ../bench/udp-sockets.ts). Read at the edges of a measured window.
 *
 *  CPU time comes from schedstat: nanoseconds on a CPU, exact to the scheduler's last look at a running thread (a tick).
 *  getrusage and utime are samples of the tick and mean nothing when a server mostly sleeps. A thread that ends within the
 *  window takes its time with it; none of the servers here does that. */

import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ, the unit of /proc/stat, is 100 on every architecture Node runs on. */
const TICKS_PER_SEC = 100;

/** A process and all its descendants. */
export function processTree(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const pid of pidsIn('/proc')) {
    const stat = readOrEmpty(`/proc/${pid}/stat`);
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const tree = [root];
  for (let i = 0; i < tree.length; i++) tree.push(...(children.get(tree[i]!) ?? []));
  return tree;
}

/** Nanoseconds that each thread of these processes has been on a CPU, by `PID/TID`. Those that have ended are not there. */
export function threadNsOf(pids: readonly number[]): Map<string, number> {
  const times = new Map<string, number>();
  for (const pid of pids) {
    for (const tid of pidsIn(`/proc/${pid}/task`)) {
      const ns = schedstatNs(`/proc/${pid}/task/${tid}`);
      if (ns > 0) times.set(`${pid}/${tid}`, ns);
    }
  }
  return times;
}

/** What the busiest thread had between two readings; null if one of them is. A server with one thread at its limit is at its
 *  limit, whatever the others have left. */
export function busiestThreadNs(
  first: ReadonlyMap<string, number> | null,
  last: ReadonlyMap<string, number> | null,
): number | null {
  if (first === null || last === null) return null;
  return Math.max(0, ...[...last].map(([thread, ns]) => ns - (first.get(thread) ?? 0)));
}

/** Nanoseconds that all threads of these processes have been on a CPU. */
export function cpuNsOf(pids: readonly number[]): number {
  return [...threadNsOf(pids).values()].reduce((sum, ns) => sum + ns, 0);
}

/** Nanoseconds that the calling thread has been on a CPU. */
export function cpuNsOfThisThread(): number {
  return schedstatNs('/proc/thread-self');
}

/** One thread of a server within a window. */
export interface ThreadFigures {
  readonly pid: number;
  readonly tid: number;
  readonly name: string;
  /** On a CPU, in nanoseconds. */
  readonly ns: number;
  /** By the tick's samples, in ticks of 10 ms: good for their proportion over seconds, not for their sum. */
  readonly userTicks: number;
  readonly systemTicks: number;
}

/** All threads of these processes, with what they have used since they began. */
export function threadsOf(pids: readonly number[]): ThreadFigures[] {
  return pids.flatMap((pid) =>
    pidsIn(`/proc/${pid}/task`).map((tid) => {
      const folder = `/proc/${pid}/task/${tid}`;
      const stat = readOrEmpty(`${folder}/stat`);
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return {
        pid,
        tid,
        name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
        ns: schedstatNs(folder),
        userTicks: Number(fields[11] ?? 0),
        systemTicks: Number(fields[12] ?? 0),
      };
    }),
  );
}

/** What each thread used between two readings, the busiest first; those that used nothing are left out. */
export function threadDifferences(begin: readonly ThreadFigures[], end: readonly ThreadFigures[]): ThreadFigures[] {
  const before = new Map(begin.map((thread) => [thread.tid, thread]));
  return end
    .map((thread) => {
      const { ns = 0, userTicks = 0, systemTicks = 0 } = before.get(thread.tid) ?? {};
      return {
        ...thread,
        ns: thread.ns - ns,
        userTicks: thread.userTicks - userTicks,
        systemTicks: thread.systemTicks - systemTicks,
      };
    })
    .filter(({ ns }) => ns > 0)
    .sort((a, b) => b.ns - a.ns);
}

/** Resident memory in KiB; pages that processes share count in each. */
export function residentKibOf(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) sum += Number(/^VmRSS:\s+(\d+)/m.exec(readOrEmpty(`/proc/${pid}/status`))?.[1] ?? 0);
  return sum;
}

/** Nanoseconds that a CPU was busy for anybody, interrupts and time stolen by the host included. Good to a few ticks. */
export function busyNsOf(cpu: number): number {
  const line = new RegExp(`^cpu${cpu} (.*)$`, 'm').exec(readOrEmpty('/proc/stat'))?.[1] ?? '';
  const [user, nice, system, , , irq, softirq, steal] = line.split(' ').map(Number);
  const ticks = (user ?? 0) + (nice ?? 0) + (system ?? 0) + (irq ?? 0) + (softirq ?? 0) + (steal ?? 0);
  return (ticks / TICKS_PER_SEC) * 1e9;
}

/** Nanoseconds that all CPUs together had nothing to do, by whoever. Not sampled by the tick, which a CPU that sleeps has none of. */
export function idleNs(): number {
  const [, , , idle, wait] = (/^cpu +(.*)$/m.exec(readOrEmpty('/proc/stat'))?.[1] ?? '').split(' ').map(Number);
  return (((idle ?? 0) + (wait ?? 0)) / TICKS_PER_SEC) * 1e9;
}

/** The CPUs this process may run on. */
export function allowedCpus(): number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)/m.exec(readOrEmpty('/proc/self/status'))?.[1] ?? '0';
  return list.split(',').flatMap((range) => {
    const [first, last] = range.split('-').map(Number);
    return Array.from({ length: (last ?? first!) - first! + 1 }, (_, i) => first! + i);
  });
}

function schedstatNs(folder: string): number {
  return Number(readOrEmpty(`${folder}/schedstat`).split(' ')[0] ?? 0);
}

function pidsIn(folder: string): number[] {
  try {
    return readdirSync(folder).map(Number).filter(Number.isInteger);
  } catch {
    return []; // The process is gone.
  }
}

/** Empty if the process is gone by now. */
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
