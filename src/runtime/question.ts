/** A question of the main thread to another one, by the port between them: a command, and the one message that answers it. Main
 *  thread, cold. */

import type { MessagePort } from 'node:worker_threads';

/** What the other thread answers under `key`; null: not within `limitMs`. The question itself must have been posted, or be posted by
 *  `post`. Questions of one key must not overlap. */
export function ask<Key extends string, Answer>(
  port: MessagePort,
  post: () => void,
  key: Key,
  limitMs: number,
): Promise<Answer | null> {
  return new Promise((resolve) => {
    const settle = (answer: Answer | null) => {
      clearTimeout(timer);
      port.off('message', onMessage);
      resolve(answer);
    };
    const onMessage = (message: unknown) => {
      if (typeof message === 'object' && message !== null && key in message) {
        settle((message as Record<Key, Answer>)[key]);
      }
    };
    const timer = setTimeout(() => settle(null), limitMs);
    port.on('message', onMessage);
    // A server that ends must not be kept by a question.
    port.unref();
    post();
  });
}
