/** A server that is going to be killed: changes AoRs as fast as the store takes them, and says on stdout which of its changes are
 *  committed. `killed-server DIRECTORY FIRST [LIFE]`: FIRST is the number of its first change; after LIFE ms it
 *  exits by itself, without closing anything. Which AoR a change is of, and whether it
 *  removes it, follows from its number. */

import { writeSync } from 'node:fs';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { phone, SHARDS, StoreWorld } from './store-world.ts';

const AORS = 120;
const MAX_OUTSTANDING = 500;
const CHANGES_PER_TURN = 40;
const EXPIRES_MS = 4_000_000_000_000;

/** An AoR is changed by one shard only, so that its changes have an order. */
export function aorOf(change: number): string {
  return `sip:user${(change * 7) % AORS}@example.com`;
}

function isRemoval(change: number): boolean {
  return change % 5 === 0;
}

export function bindingsAfter(change: number) {
  return isRemoval(change) ? [] : [phone(change, EXPIRES_MS), { ...phone(change, EXPIRES_MS), q: change % 1000 }];
}

async function run(directory: string, first: number, lifeMs: number | undefined): Promise<never> {
  const world = await new StoreWorld(directory).open();
  writeSync(1, `loaded ${world.store.report.loaded} lost ${world.store.report.lost}\n`);
  if (lifeMs !== undefined) setTimeout(() => process.exit(0), lifeMs);
  const outstanding: { change: number; sequence: number; shard: number }[] = [];
  for (let change = first; ; ) {
    for (let i = 0; i < CHANGES_PER_TURN && outstanding.length < MAX_OUTSTANDING; i++) {
      const shard = ((change * 7) % AORS) % SHARDS;
      outstanding.push({ change, sequence: world.set(aorOf(change), bindingsAfter(change), shard), shard });
      change++;
    }
    let said = '';
    const isDone = ({ sequence, shard }: { sequence: number; shard: number }) =>
      world.producers[shard]!.isCommitted(sequence);
    while (outstanding.length > 0 && isDone(outstanding[0]!)) said += `${outstanding.shift()!.change}\n`;
    if (said !== '') writeSync(1, said);
    await nextTurn();
  }
}

const [, script = '', directory, first, lifeMs] = process.argv;
if (script.endsWith('killed-server.ts')) {
  await run(directory!, Number(first), lifeMs === undefined ? undefined : Number(lifeMs));
}
