/** What the intake asks of the kernel. The rehearsal has one of its own. */

import { receiveBatch, receiveDrops, receiveQueued, setFilter, signal } from './udp-socket.ts';

export interface IntakeKernel {
  readonly receiveBatch: typeof receiveBatch;
  readonly receiveDrops: typeof receiveDrops;
  readonly receiveQueued: typeof receiveQueued;
  readonly setFilter: typeof setFilter;
  readonly signal: typeof signal;
}

/** What filters are set by, and what they are judged by. */
export type FilteringKernel = Pick<IntakeKernel, 'setFilter' | 'receiveDrops' | 'receiveQueued'>;

export const KERNEL: IntakeKernel = { receiveBatch, receiveDrops, receiveQueued, setFilter, signal };
