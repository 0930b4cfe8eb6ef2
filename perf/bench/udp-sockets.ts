/** UDP sockets of this machine: free ports, whose a port is, how large its receive buffer is and what was dropped there.
 *  Cold: /proc is read at the edges of a window. */

import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { processTree } from '../load/process-figures.ts';
import { isOnPath } from './owned-process.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** `host:port`, an IPv6 address in brackets. */
export function textOf({ host, port }: HostPort): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** Ports that are free now, taken together so that they differ. */
export async function freePorts(address: string, count: number): Promise<number[]> {
  const sockets = Array.from({ length: count }, () => createSocket(isIPv6(address) ? 'udp6' : 'udp4'));
  try {
    return await Promise.all(
      sockets.map(
        (socket) =>
          new Promise<number>((resolve, reject) => {
            socket.once('error', reject).bind(0, address, () => resolve(socket.address().port));
          }),
      ),
    );
  } finally {
    for (const socket of sockets) socket.close();
  }
}

export function isBound(port: number, transport: 'udp' | 'tcp' = 'udp'): boolean {
  return rowsAt(port, transport).length > 0;
}

/** Datagrams that were dropped since these sockets were opened because their receive buffer was full; 0 for a port that
 *  nobody has. */
export function dropsAt(port: number): number {
  return rowsAt(port).reduce((sum, row) => sum + Number(row[12]), 0);
}

/** The size that the kernel gave; null: `ss` is not there or knows no such socket. */
export function receiveBufferBytesAt(port: number): number | null {
  if (!isOnPath('ss')) return null;
  const { stdout } = spawnSync('ss', ['-uamnH', `sport = :${port}`], { encoding: 'utf8' });
  const size = /skmem:\(r\d+,rb(\d+)/.exec(stdout ?? '')?.[1];
  return size === undefined ? null : Number(size);
}

/** Whether packets to this address stay on this machine. */
export function isLocalAddress(host: string): boolean {
  if (/^127\./.test(host) || host === '::1' || host === 'localhost') return true;
  return Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === host));
}

/** The processes that have this port and their children; null: nobody has it, or they are not ours to look at. */
export function ownersOf(port: number): number[] | null {
  const wanted = new Set(rowsAt(port).map((row) => `socket:[${row[9]}]`));
  if (wanted.size === 0) return null;
  const owners = readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && hasOpen(pid, wanted));
  if (owners.length === 0) return null;
  return [...new Set(owners.flatMap((pid) => processTree(Number(pid))))];
}

function hasOpen(pid: string, links: ReadonlySet<string>): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => links.has(linkOf(`/proc/${pid}/fd/${fd}`)));
  } catch {
    return false; // Gone, or another user's.
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // Closed meanwhile.
  }
}

/** Rows of /proc/net/udp and udp6: the inode is in column 9, the drops in column 12. */
function rowsAt(port: number, transport: 'udp' | 'tcp' = 'udp'): string[][] {
  const hex = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return ['', '6'].flatMap((family) =>
    textOfTable(`/proc/net/${transport}${family}`)
      .split('\n')
      .slice(1)
      .map((row) => row.trim().split(/\s+/))
      .filter((row) => row[1]?.endsWith(hex)),
  );
}

function textOfTable(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return ''; // No IPv6 here.
  }
}
