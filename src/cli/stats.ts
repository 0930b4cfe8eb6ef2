/** `strowger stats` and `strowger status`: a running server's own words, over the control socket. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Arguments } from './arguments.ts';
import { asking, type ControlClient, ControlError } from './control-client.ts';
import { renderCounters, renderRows } from './table.ts';

const WATCH_MS = 1000;

/** The exit code. */
export async function stats(args: Arguments): Promise<number> {
  return asking(args, async (client) => {
    const isJson = args.wants.has('json');
    const isAll = args.wants.has('all');
    let before = await askCounters(client);
    console.log(isJson ? JSON.stringify(before) : renderCounters(before, { isAll }));
    let beforeMs = performance.now();
    while (args.wants.has('watch')) {
      await sleep(WATCH_MS);
      const counters = await askCounters(client);
      const nowMs = performance.now();
      const seconds = (nowMs - beforeMs) / 1000;
      if (process.stdout.isTTY && !isJson) console.clear();
      else if (!isJson) console.log('');
      console.log(isJson ? JSON.stringify(counters) : renderCounters(counters, { isAll, before, seconds }));
      before = counters;
      beforeMs = nowMs;
    }
  });
}

/** The exit code. */
export async function status(args: Arguments): Promise<number> {
  return asking(args, async (client) => {
    const answer = await client.call('status');
    console.log(args.wants.has('json') ? JSON.stringify(answer) : renderRows(flatten(answer, '')));
  });
}

async function askCounters(client: ControlClient): Promise<Record<string, number>> {
  const answer = await client.call('stats');
  if (answer === null || typeof answer !== 'object') throw new ControlError('the server sent no counters');
  return answer as Record<string, number>;
}

/** `{shards: [{state: 'running'}]}` as rows: `shards[0].state  running`. */
function flatten(value: unknown, path: string): [string, string][] {
  if (value === null || typeof value !== 'object') return [[path, String(value)]];
  if (Array.isArray(value) && value.every((entry) => entry === null || typeof entry !== 'object')) {
    return [[path, value.join(', ')]];
  }
  return Object.entries(value).flatMap(([key, inner]) =>
    flatten(inner, Array.isArray(value) ? `${path}[${key}]` : path === '' ? key : `${path}.${key}`),
  );
}
