/** `npm run soak`: an hour in the life of a server; USAGE has the manual, README.md how to read the result. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { endServers } from '../../test/process/server-process.ts';
import { machineLine } from '../bench/machine.ts';
import { drawSoak } from './picture.ts';
import { soak } from './run.ts';
import { summaryOf } from './summary.ts';

const USAGE = `npm run soak -- [FLAGS]: calls at half of capacity, while the server is reloaded, scraped, and loses shards.

  --minutes N       how long; default: 60
  --capacity N      calls a second that this machine can serve; default: what a saturation of 16 s finds, half of which is the rate
  --rate N          calls a second, whatever the capacity
  --reload SEC      from one reload to the next, each with another configuration; default: 60
  --kill SEC        from the death of one shard to that of the next; default: 300
  --scrape SEC      from one scrape of /metrics to the next; default: 1
  --sample SEC      from one look at its memory to the next; default: 10
  --shards N        default: 2
  --domains N       of the configuration; default: 100
  --set PATH=VALUE  a setting of the server (repeatable)
  --realtime        server and SIPp before all other programs of the machine, where those want it too (chrt; root)
  --out FOLDER      for soak.json, soak.svg and soak.md; default: build/soak
  -h, --help        this text

Exit codes: 0: nothing is wrong; 1: something is, and soak.md says what; 2: called wrongly.
`;

process.on('SIGINT', () => void endServers().finally(() => process.exit(130)));
process.on('SIGTERM', () => void endServers().finally(() => process.exit(143)));
process.exitCode = await main(process.argv.slice(2));

async function main(argv: string[]): Promise<number> {
  const say = (line: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${line}`);
  let values: ReturnType<typeof flagsOf>;
  try {
    values = flagsOf(argv);
  } catch (error) {
    console.error(`soak: ${(error as Error).message}; npm run soak -- --help`);
    return 2;
  }
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const number = (text: string) => {
    if (!(Number(text) > 0)) throw new Error(`${text} is not a number above 0`);
    return Number(text);
  };
  const result = await soak({
    minutes: number(values.minutes),
    callsPerSec: values.rate === undefined ? null : number(values.rate),
    capacityPerSec: values.capacity === undefined ? null : number(values.capacity),
    reloadEverySec: number(values.reload),
    killEverySec: number(values.kill),
    scrapeEverySec: number(values.scrape),
    sampleEverySec: number(values.sample),
    shards: number(values.shards),
    domains: number(values.domains),
    sets: values.set ?? [],
    isLingeringShort: false,
    isRealtime: values.realtime,
    command: ['npm run soak --', ...argv].join(' '),
    say,
  });
  say(machineLine(result.machine));
  mkdirSync(values.out, { recursive: true });
  writeFileSync(join(values.out, 'soak.json'), `${JSON.stringify(result, null, 1)}\n`);
  writeFileSync(join(values.out, 'soak.svg'), drawSoak(result));
  const summary = summaryOf(result);
  writeFileSync(join(values.out, 'soak.md'), summary);
  process.stdout.write(summary);
  return result.problems.length === 0 ? 0 : 1;
}

function flagsOf(args: string[]) {
  const text = (preset: string) => ({ type: 'string', default: preset }) as const;
  const options = {
    ...{ minutes: text('60'), reload: text('60'), kill: text('300'), scrape: text('1'), sample: text('10') },
    ...{ shards: text('2'), domains: text('100'), out: text('build/soak') },
    rate: { type: 'string' },
    realtime: { type: 'boolean', default: false },
    set: { type: 'string', multiple: true },
    capacity: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  } as const;
  return parseArgs({ args, options }).values;
}
