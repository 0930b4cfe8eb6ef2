/** What /proc says of processes, sockets and CPUs. Read at the edges of a measured window.
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

/** Nanoseconds that all threads of these processes have been on a CPU. */
export function cpuNsOf(pids: readonly number[]): number {
  let sum = 0;
  for (const pid of pids) {
    for (const thread of pidsIn(`/proc/${pid}/task`)) {
      sum += Number(readOrEmpty(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0] ?? 0);
    }
  }
  return sum;
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

/** Datagrams dropped at the IPv4 sockets bound to `port` because their receive buffer was full. */
export function receiveDropsAt(port: number): number {
  return udpRowsAt(port).reduce((sum, row) => sum + Number(row.at(-1)), 0);
}

export function isBound(port: number): boolean {
  return udpRowsAt(port).length > 0;
}

/** The CPUs this process may run on. */
export function allowedCpus(): number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)/m.exec(readOrEmpty('/proc/self/status'))?.[1] ?? '0';
  return list.split(',').flatMap((range) => {
    const [first, last] = range.split('-').map(Number);
    return Array.from({ length: (last ?? first!) - first! + 1 }, (_, i) => first! + i);
  });
}

function udpRowsAt(port: number): string[][] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const rows = readOrEmpty('/proc/net/udp').trim().split('\n').slice(1);
  return rows.map((row) => row.trim().split(/\s+/)).filter((row) => row[1]?.endsWith(`:${hex}`));
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
