/** The second thread of the addon's tests: does what `workerData.task` says. */

import { parentPort, workerData } from 'node:worker_threads';
import { signal, threadCpuNs, watch } from '../../src/runtime/udp-socket.ts';

const { task, fd, gate } = workerData as { task: string; fd: number; gate: Int32Array };

switch (task) {
  case 'signal when the gate opens':
    parentPort!.postMessage('ready');
    Atomics.wait(gate, 0, 0);
    signal(fd);
    break;
  case 'watch three signals, then close': {
    let calls = 0;
    const handle = watch(fd, () => {
      calls++;
      parentPort!.postMessage({ calls, cpuNs: threadCpuNs() });
      if (calls < 3) return;
      handle.close();
      handle.close();
    });
    parentPort!.postMessage('ready');
    break;
  }
  case 'watch for ever':
    watch(fd, () => parentPort!.postMessage('called'));
    parentPort!.postMessage('ready');
    break;
  case 'throw from the callback':
    watch(fd, () => {
      throw new Error('thrown on purpose');
    });
    parentPort!.postMessage('ready');
    break;
  case 'exit from the callback':
    watch(fd, () => process.exit(7));
    parentPort!.postMessage('ready');
    break;
}
