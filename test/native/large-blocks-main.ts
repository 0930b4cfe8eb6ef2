/** The process of test/native/large-blocks.test.ts: threads with large tables, of which they touch a little, live and die one after
 *  the other. Prints the anonymous memory of the process in KiB, while each of them lived. */

import { readFileSync } from 'node:fs';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import { threadCpuNs } from '../../src/runtime/udp-socket.ts';

const THREADS = 6;
const TABLES = 8;
const TABLE_WORDS = 2 * 1024 * 1024;

// The addon is loaded with its first function.
threadCpuNs();
if (isMainThread) await main();
else live();

async function main(): Promise<void> {
  const readings: number[] = [];
  for (let i = 0; i < THREADS; i++) {
    const thread = new Worker(new URL(import.meta.url));
    const gone = new Promise((resolve) => thread.once('exit', resolve));
    await new Promise((resolve) => thread.once('message', resolve));
    readings.push(Number(/RssAnon:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))![1]));
    thread.postMessage('end');
    await gone;
  }
  process.stdout.write(JSON.stringify(readings));
}

function live(): void {
  const tables = Array.from({ length: TABLES }, () => new Int32Array(TABLE_WORDS).fill(1, 0, TABLE_WORDS / 64));
  parentPort!.postMessage('ready');
  parentPort!.once('message', () => process.exit(tables.length - TABLES));
}
