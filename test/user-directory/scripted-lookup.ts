/** A directory that answers when the test says so. */

import type { Ha1s, UserLookup } from '../../src/runtime/user-directory/user-lookup.ts';

export interface Question {
  readonly realm: string;
  readonly user: string;
  readonly signal: AbortSignal;
  readonly answer: (ha1s: Ha1s | null) => void;
  readonly fail: (error: Error) => void;
}

export class ScriptedLookup implements UserLookup {
  readonly questions: Question[] = [];
  isClosed = false;

  find(realm: string, user: string, signal: AbortSignal): Promise<Ha1s | null> {
    return new Promise((answer, fail) => this.questions.push({ realm, user, signal, answer, fail }));
  }

  async close(): Promise<void> {
    this.isClosed = true;
  }
}
