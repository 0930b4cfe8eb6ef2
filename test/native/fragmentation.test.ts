/** Datagrams larger than the path takes in a piece, and how many sends the kernel gets for those that are not, over a
 *  loopback with the MTU of an Ethernet. The kernel's own loopback takes 64 KiB in a piece and would show nothing. */

import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { FragmentationReport } from './fragmentation-main.ts';

const { EMSGSIZE } = constants.errno;
/** linux/in.h: IP_PMTUDISC_DO. */
const NEVER_FRAGMENT = 2;
/** Each test starts processes, which takes its time on a busy machine. */
const PATIENCE_MS = 120_000;
const main = fileURLToPath(new URL('./fragmentation-main.ts', import.meta.url));

/** Needs root, unshare(1) and ip(8). */
const hasNetworkNamespaces = spawnSync('unshare', ['-n', 'ip', 'link', 'set', 'lo', 'mtu', '1500', 'up']).status === 0;

/** Sends datagrams of these lengths as one batch. */
function send(...lengths: number[]): FragmentationReport {
  return sendOver({ mtu: 1500, batches: 1 }, ...lengths);
}

/** Sends `batches` of datagrams of these lengths and reports on the last. */
function sendOver({ mtu, batches }: { mtu: number; batches: number }, ...lengths: number[]): FragmentationReport {
  const args = ['-n', process.execPath, main, ...[mtu, batches, ...lengths].map(String)];
  const { status, stdout, stderr } = spawnSync('unshare', args, { encoding: 'utf8' });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as FragmentationReport;
}

describe.skipIf(!hasNetworkNamespaces)('a batch over an MTU of 1500 bytes', { timeout: PATIENCE_MS }, () => {
  it('arrives intact and in order, in fragments only where it must be', () => {
    const lengths = [1400, 1472, 1473, 9000, 60_000, 65_507];
    expect(send(...lengths)).toEqual({
      results: lengths.map(() => 0),
      arrived: lengths,
      intact: lengths.map(() => true),
      pathDiscovery: [NEVER_FRAGMENT, NEVER_FRAGMENT],
      sends: lengths.length,
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

  it('gives the kernel messages of one length together', () => {
    const lengths = [700, 700, 700, 90, 90, 1452, 1452, 1453, 1453];
    const report = send(...lengths);
    expect(report).toMatchObject({ results: lengths.map(() => 0), arrived: lengths, fragmented: 0 });
    expect(report.intact).not.toContain(false);
    expect(report.sends).toBe('700 700 700 90, 90, 1452 1452, 1453, 1453'.split(',').length);
  });

  it('joins what may leave in any order by its lengths alone', () => {
    const { sends, arrived } = send(-700, -400, 90, -700, -400, 90, -700, -400);
    expect(sends).toBe('700 700 700, 400 400 400, 90 90'.split(',').length);
    expect(arrived.toSorted()).toEqual([400, 400, 400, 700, 700, 700, 90, 90].toSorted());
  });
});

describe.skipIf(!hasNetworkNamespaces)(
  'messages of one length over a path with a small MTU',
  { timeout: PATIENCE_MS },
  () => {
    const lengths = [1400, 1400, 1400, 1400];

    it('leave one by one, in fragments', () => {
      const report = sendOver({ mtu: 1280, batches: 1 }, ...lengths);
      expect(report).toMatchObject({ results: [0, 0, 0, 0], arrived: lengths, fragmented: 4 });
      expect(report.intact).not.toContain(false);
    });

    it('are not tried together again for a while, nor are others of that socket', () => {
      const { sends } = sendOver({ mtu: 1280, batches: 2 }, ...lengths, 90, 90, 90, 90);
      expect(sends).toBe(8);
    });

    it('are tried together again after 1024 messages', () => {
      const sends = [129, 130].map((batches) => sendOver({ mtu: 1280, batches }, ...lengths, 90, 90, 90, 90).sends);
      // 1400 1400 1400 1400 90 are refused as one, and leave as five; 90 90 90 leave as one.
      expect(sends).toEqual([8, 6]);
    });
  },
);

/** A fragment carries 1480 bytes at the most, and the first the UDP header too. */
function fragmentsOf(length: number): number {
  return Math.ceil((length + 8) / 1480);
}
