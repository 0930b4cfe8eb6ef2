/** The machine line: what a figure is worth nothing without. Cold. */

import { spawnSync } from 'node:child_process';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { packageRoot } from '../../src/runtime/package-root.ts';
import type { Machine } from './result.ts';

/** `sippVersion`: null where SIPp has no part in it. */
export function describeMachine(sippVersion: string | null): Machine {
  const all = cpus();
  return {
    cpu: (all[0]?.model ?? 'unknown CPU').trim(),
    cores: Math.max(all.length, availableParallelism()),
    memoryMib: Math.round(totalmem() / 2 ** 20),
    kernel: release(),
    node: process.version,
    nodeFlags: process.execArgv,
    revision: revision(),
    sippVersion,
  };
}

export function machineLine({
  cpu,
  cores,
  memoryMib,
  kernel,
  node,
  nodeFlags,
  revision,
  sippVersion,
}: Machine): string {
  const flags = nodeFlags.length === 0 ? '' : ` ${nodeFlags.join(' ')}`;
  const words = [
    `${cores} × ${cpu}`,
    `${(memoryMib / 1024).toFixed(1)} GiB`,
    `Linux ${kernel}`,
    `Node ${node}${flags}`,
    revision === null ? null : `Strowger ${revision}`,
    sippVersion === null ? null : `SIPp ${sippVersion}`,
  ];
  return words.filter((word) => word !== null).join(', ');
}

function revision(): string | null {
  const git = (...args: string[]) => spawnSync('git', ['-C', packageRoot(), ...args], { encoding: 'utf8' });
  // A package installed within somebody else's repository is not that revision.
  const top = git('rev-parse', '--show-cdup', '--short', 'HEAD');
  const [up = '', commit] = (top.stdout ?? '').split('\n');
  if (top.status !== 0 || up !== '' || commit === undefined) return null;
  return git('status', '--porcelain', '-uno').stdout === '' ? commit : `${commit} and changes`;
}
