/** Questions of the main thread to another one, over a channel of their own and to real threads. */

import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { type Answering, type AskCommand, answer, isAskCommand, Questions } from '../../src/runtime/question.ts';

type Question = { readonly kind: 'double'; readonly value: number } | { readonly kind: 'later' };

interface Answers {
  readonly double: number;
  readonly later: string;
}

/** Longer than any test: what ends before has not waited for it. */
const FOREVER_MS = 2 ** 31 - 1;

const ports: MessagePort[] = [];
const workers: Worker[] = [];
afterEach(async () => {
  for (const port of ports.splice(0)) port.close();
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()));
});

/** The asking side, and the other with what is to be done about 'later'. */
function open() {
  const { port1, port2 } = new MessageChannel();
  ports.push(port1, port2);
  const later: ((text: string) => void)[] = [];
  const answering: Answering<Question, Answers> = {
    double: ({ value }, reply) => reply(2 * value),
    later: (_, reply) => later.push(reply),
  };
  port2.on('message', (command) => {
    if (isAskCommand<Question>(command)) answer(port2, command, answering);
  });
  return { questions: new Questions<Question, Answers>('the other', port1), port1, port2, later };
}

async function untilAsked(port: MessagePort): Promise<void> {
  await once(port, 'message');
}

describe('a question to another thread', () => {
  it('gets the answer to itself, in whatever order answers come', async () => {
    const { questions, port2, later } = open();
    const [first, second] = [
      questions.ask({ kind: 'later' }, FOREVER_MS),
      questions.ask({ kind: 'later' }, FOREVER_MS),
    ];
    await untilAsked(port2);
    expect(await questions.ask({ kind: 'double', value: 21 }, FOREVER_MS)).toBe(42);
    later[1]!('second');
    later[0]!('first');
    expect(await Promise.all([first, second])).toEqual(['first', 'second']);
  });

  it('is late after its limit, and what comes then is nobody’s', async () => {
    const { questions, later } = open();
    await expect(questions.ask({ kind: 'later' }, 1)).rejects.toMatchObject({
      message: 'the other does not answer: it is busy, or down',
      isGone: false,
    });
    const second = questions.ask({ kind: 'later' }, FOREVER_MS);
    // Asked behind the two, so they have come when it is answered.
    await questions.ask({ kind: 'double', value: 1 }, FOREVER_MS);
    later[0]!('too late');
    later[1]!('in time');
    expect(await second).toBe('in time');
  });

  it('is refused while too many wait', async () => {
    const { questions, later } = open();
    const waiting = Array.from({ length: 64 }, () => questions.ask({ kind: 'later' }, FOREVER_MS));
    await expect(questions.ask({ kind: 'double', value: 1 }, FOREVER_MS)).rejects.toMatchObject({
      message: 'the other has too many questions to answer',
      isGone: false,
    });
    await expect.poll(() => later.length).toBe(64);
    for (const reply of later) reply('');
    await Promise.all(waiting);
    expect(await questions.ask({ kind: 'double', value: 1 }, FOREVER_MS)).toBe(2);
  });

  it.each(['port1', 'port2'] as const)('has no answer once %s is closed', async (end) => {
    const opened = open();
    const { questions } = opened;
    const waiting = questions.ask({ kind: 'later' }, FOREVER_MS);
    opened[end].close();
    const gone = { message: 'the other is down', isGone: true };
    await expect(waiting).rejects.toMatchObject(gone);
    await expect(questions.ask({ kind: 'double', value: 1 }, FOREVER_MS)).rejects.toMatchObject(gone);
  });

  it.each(['throw new Error("it died")', 'process.exit(0)', 'while (true);'])(
    'has no answer from a thread that goes on with: %s',
    async (end) => {
      const { port1, port2 } = new MessageChannel();
      ports.push(port1);
      const script = `
        const { workerData } = require('node:worker_threads');
        workerData.on('message', ({ ask, question }) => {
          if (question.kind === 'double') workerData.postMessage({ answer: ask, value: 2 * question.value });
          else { ${end} }
        });`;
      const worker = new Worker(script, { eval: true, workerData: port2, transferList: [port2] });
      workers.push(worker);
      worker.on('error', () => undefined);
      const questions = new Questions<Question, Answers>('the thread', port1);
      expect(await questions.ask({ kind: 'double', value: 4 }, FOREVER_MS)).toBe(8);
      const waiting = expect(questions.ask({ kind: 'later' }, FOREVER_MS)).rejects.toMatchObject({
        message: 'the thread is down',
        isGone: true,
      });
      // As the supervisor ends a shard that hangs.
      if (end.startsWith('while')) await worker.terminate();
      await waiting;
    },
  );

  it('may be sent by a way of its own', async () => {
    const { port1, port2 } = new MessageChannel();
    ports.push(port1, port2);
    const sent: AskCommand<Question>[] = [];
    const questions = new Questions<Question, Answers>('the other', port1, (command) => sent.push(command));
    const waiting = questions.ask({ kind: 'double', value: 3 }, FOREVER_MS);
    port2.postMessage({ answer: sent[0]!.ask, value: 6 });
    expect(await waiting).toBe(6);
  });
});
