/** What the main thread asks of a shard, over the port between them: the shard answers between two turns of its event loop, and
 *  never looks at more than a bounded part of what it has. Cold. */

import type { MessagePort } from 'node:worker_threads';
import type { Element } from '../roles/element.ts';
import type { ListedHop } from '../roles/proxy/hop-health.ts';
import type { TransactionPage, TransactionQuestion } from '../roles/proxy/transaction-list.ts';
import { REFUSED, RequestError } from './request-error.ts';

export type ShardQuestion =
  | { readonly kind: 'transactions'; readonly question: TransactionQuestion }
  | { readonly kind: 'hops' };

/** Hops are null in stateless mode, where nobody watches them. */
export type AnswerTo<Question extends ShardQuestion> = Question extends { readonly kind: 'hops' }
  ? readonly ListedHop[] | null
  : TransactionPage;

/** To the shard. */
export interface AskCommand {
  readonly ask: number;
  readonly question: ShardQuestion;
}

/** From it. */
interface ShardAnswer {
  readonly answer: number;
  readonly value: unknown;
}

/** A shard that has not answered by then is very busy, or hangs. */
const ANSWER_LIMIT_MS = 2000;
/** Questions of one shard that wait for their answers. */
const MAX_WAITING = 64;

/** On the shard. `nowMs` is on the element's clock, `nowUs` on that of the slots' receive time. */
export function answerQuestion(
  port: MessagePort,
  element: Element,
  { ask, question }: AskCommand,
  nowMs: number,
  nowUs: number,
): void {
  const value = question.kind === 'hops' ? element.hops(nowMs) : element.transactions(question.question, nowUs);
  const answer: ShardAnswer = { answer: ask, value };
  port.postMessage(answer);
}

/** Of one shard, on the main thread. */
export class ShardQuestions {
  readonly #shard: number;
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, { resolve(value: unknown): void; readonly timer: NodeJS.Timeout }>();
  #lastAsk = 0;

  constructor(shard: number, port: MessagePort) {
    this.#shard = shard;
    this.#port = port;
    port.on('message', (message: ShardAnswer) => this.#take(message));
    // It must not keep the process.
    port.unref();
  }

  /** Rejects with a RequestError if there is no answer in time. */
  ask<Question extends ShardQuestion>(question: Question): Promise<AnswerTo<Question>> {
    if (this.#waiting.size >= MAX_WAITING) {
      return Promise.reject(new RequestError(REFUSED, `shard ${this.#shard} has too many questions to answer`));
    }
    const ask = ++this.#lastAsk;
    return new Promise((resolve, reject) => {
      const onTimeout = () => {
        this.#waiting.delete(ask);
        reject(new RequestError(REFUSED, `shard ${this.#shard} does not answer: it is busy, or down`));
      };
      const timer = setTimeout(onTimeout, ANSWER_LIMIT_MS);
      this.#waiting.set(ask, { resolve: (value) => resolve(value as AnswerTo<Question>), timer });
      const command: AskCommand = { ask, question };
      this.#port.postMessage(command);
    });
  }

  #take({ answer, value }: ShardAnswer): void {
    const waiting = this.#waiting.get(answer);
    if (waiting === undefined) return;
    this.#waiting.delete(answer);
    clearTimeout(waiting.timer);
    waiting.resolve(value);
  }
}
