/** Datagrams larger than the path takes in a piece, over a loopback with the MTU of an Ethernet. The kernel's own loopback
 *  takes 64 KiB in a piece and would show nothing. */

import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { FragmentationReport } from './fragmentation-main.ts';

const { EMSGSIZE } = constants.errno;
/** linux/in.h: IP_PMTUDISC_DO. */
const NEVER_FRAGMENT = 2;
const main = fileURLToPath(new URL('./fragmentation-main.ts', import.meta.url));

/** Needs root, unshare(1) and ip(8). */
const hasNetworkNamespaces = spawnSync('unshare', ['-n', 'ip', 'link', 'set', 'lo', 'mtu', '1500', 'up']).status === 0;

/** Sends datagrams of these lengths as one batch. */
function send(...lengths: number[]): FragmentationReport {
  const args = ['-n', process.execPath, main, ...lengths.map(String)];
  const { status, stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as FragmentationReport;
}

describe.skipIf(!hasNetworkNamespaces)('a batch over an MTU of 1500 bytes', () => {
  it('arrives intact and in order, in fragments only where it must be', () => {
    const lengths = [1400, 1472, 1473, 9000, 60_000, 65_507];
    expect(send(...lengths)).toEqual({
      results: lengths.map(() => 0),
      arrived: lengths,
      intact: lengths.map(() => true),
      pathDiscovery: [NEVER_FRAGMENT, NEVER_FRAGMENT],
      fragmented: 4,
      fragments: [1473, 9000, 60_000, 65_507].reduce((sum, length) => sum + fragmentsOf(length), 0),
    });
  });

  it('goes on after a datagram that no IPv4 packet holds', () => {
    const report = send(9000, 65_508, 1473, 100);
    expect(report).toMatchObject({ results: [0, EMSGSIZE, 0, 0], arrived: [9000, 1473, 100] });
    expect(report.intact).toEqual([true, true, true]);
    expect(report.pathDiscovery).toEqual([NEVER_FRAGMENT, NEVER_FRAGMENT]);
  });
});

/** A fragment carries 1480 bytes at the most, and the first the UDP header too. */
function fragmentsOf(length: number): number {
  return Math.ceil((length + 8) / 1480);
}
