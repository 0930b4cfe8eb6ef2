/** Questions of the main thread to another one, over the port between them. They are numbered, so that several may wait for their
 *  answers, and a thread that ends answers none: who waits is told so at once. Cold. */

import type { MessagePort } from 'node:worker_threads';
import { REFUSED, RequestError } from './request-error.ts';

interface AnyQuestion {
  readonly kind: string;
}

/** To the other thread. */
export interface AskCommand<Question extends AnyQuestion> {
  readonly ask: number;
  readonly question: Question;
}

/** From it. */
interface AnswerMessage {
  readonly answer: number;
  readonly value: unknown;
}

/** Questions of one thread that wait for their answers. */
const MAX_WAITING = 64;

/** What the thread that is asked does about each kind of question: it replies once, now or later. */
export type Answering<Question extends AnyQuestion, Answers extends Record<Question['kind'], unknown>> = {
  readonly [Kind in Question['kind']]: (
    question: Extract<Question, { readonly kind: Kind }>,
    reply: (value: Answers[Kind]) => void,
  ) => void;
};

/** On the thread that is asked: whether it is a question that `Questions` has sent. */
export function isAskCommand<Question extends AnyQuestion>(command: unknown): command is AskCommand<Question> {
  return typeof command === 'object' && command !== null && 'ask' in command;
}

/** On the thread that is asked. */
export function answer<Question extends AnyQuestion, Answers extends Record<Question['kind'], unknown>>(
  port: MessagePort,
  { ask, question }: AskCommand<Question>,
  answering: Answering<Question, Answers>,
): void {
  const kind: Question['kind'] = question.kind;
  answering[kind](question as never, (value) => {
    const message: AnswerMessage = { answer: ask, value };
    port.postMessage(message);
  });
}

/** There is no answer. */
export class UnansweredError extends RequestError {
  /** There will be none, either: the thread is over. */
  readonly isGone: boolean;

  constructor(message: string, isGone: boolean) {
    super(REFUSED, message);
    this.isGone = isGone;
  }
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: UnansweredError): void;
  readonly timer: NodeJS.Timeout;
}

/** What one thread is asked. `Answers` has the type of the answer to each kind of question. */
export class Questions<Question extends AnyQuestion, Answers extends Record<Question['kind'], unknown>> {
  readonly #who: string;
  readonly #post: (command: AskCommand<Question>) => void;
  readonly #waiting = new Map<number, Waiting>();
  #lastAsk = 0;
  #isGone = false;

  /** `who`: for people. `post`: how it is told, where a message alone does not wake it. */
  constructor(who: string, port: MessagePort, post = (command: AskCommand<Question>) => port.postMessage(command)) {
    this.#who = who;
    this.#post = post;
    port.on('message', (message: unknown) => {
      if (typeof message === 'object' && message !== null && 'answer' in message) this.#take(message as AnswerMessage);
    });
    // Of either end: also a thread that ends in whatever way closes its own.
    port.on('close', () => this.#end());
    // A server that ends must not be kept by a question.
    port.unref();
  }

  /** Rejects with an UnansweredError if there is no answer within `limitMs`, and at once if there cannot be one. */
  ask<Asked extends Question>(question: Asked, limitMs: number): Promise<Answers[Asked['kind']]> {
    return new Promise((resolve, reject) => {
      if (this.#isGone) {
        reject(this.#gone());
        return;
      }
      if (this.#waiting.size >= MAX_WAITING) {
        reject(new UnansweredError(`${this.#who} has too many questions to answer`, false));
        return;
      }
      const ask = ++this.#lastAsk;
      const timer = setTimeout(() => {
        this.#waiting.delete(ask);
        reject(new UnansweredError(`${this.#who} does not answer: it is busy, or down`, false));
      }, limitMs);
      this.#waiting.set(ask, { resolve: (value) => resolve(value as Answers[Asked['kind']]), reject, timer });
      this.#post({ ask, question });
    });
  }

  #take({ answer, value }: AnswerMessage): void {
    const waiting = this.#waiting.get(answer);
    if (waiting === undefined) return;
    this.#waiting.delete(answer);
    clearTimeout(waiting.timer);
    waiting.resolve(value);
  }

  #end(): void {
    this.#isGone = true;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(this.#gone());
    }
    this.#waiting.clear();
  }

  #gone(): UnansweredError {
    return new UnansweredError(`${this.#who} is down`, true);
  }
}
