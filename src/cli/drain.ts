/** `strowger drain`: has a running server end once what runs on it is over, and watches that. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { DrainStatus } from '../runtime/drain.ts';
import { type Arguments, UsageError } from './arguments.ts';
import { countOf } from './check.ts';
import { asking, type ControlClient, ControlError } from './control-client.ts';

const LOOK_MS = 200;
/** Between two lines. */
const TELL_MS = 1000;

/** The exit code. */
export function drain(args: Arguments): Promise<number> {
  const deadline = args.valueFor('deadline');
  const isCancel = args.wants.has('cancel');
  if (isCancel && deadline !== undefined) throw new UsageError('--deadline means nothing with --cancel');
  return asking(args, async (client) => {
    const params = isCancel ? { cancel: true } : deadline === undefined ? {} : { deadlineSec: Number(deadline) };
    const status = (await client.call('drain', params)) as DrainStatus;
    if (args.wants.has('json')) console.log(JSON.stringify(status));
    else console.log(isCancel ? 'the server takes new requests again' : sayStatus(status));
    if (!isCancel && !args.wants.has('no-wait')) await untilGone(client, args.wants.has('json'));
  });
}

/** Resolves when the server has ended; rejects with a ControlError when the drain was called off. */
async function untilGone(client: ControlClient, isJson: boolean): Promise<void> {
  let toldAtMs = performance.now();
  for (;;) {
    await sleep(LOOK_MS);
    let status: DrainStatus;
    try {
      status = ((await client.call('status')) as { drain: DrainStatus }).drain;
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      if (!isJson) console.log('the server has ended');
      return;
    }
    if (!status.isDraining) throw new ControlError('the drain was called off');
    if (performance.now() - toldAtMs < TELL_MS) continue;
    toldAtMs = performance.now();
    console.log(isJson ? JSON.stringify(status) : sayStatus(status));
  }
}

function sayStatus({ pending, held, deadlineInSec }: DrainStatus): string {
  const rest = held > pending ? `, ${held - pending} are over and absorb what is sent again` : '';
  return `draining: ${countOf(pending, 'transaction')} pending${rest}; the end comes in ${deadlineInSec} s at the latest`;
}
