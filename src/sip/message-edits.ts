/** What forwarding changes in a message: a few replacements, in the order of their place. The rest of the message is not
 *  touched, not even copied. Runs on the shard. Hot: once per message forwarded, allocates nothing. */

import { assert } from '../base/assert.ts';
import { MAX_HEADERS } from './message-index.ts';
import type { Outbound } from './outbound.ts';

/** Two for each header line there can be, and a few. */
const MAX_EDITS = 2 * MAX_HEADERS + 16;
const WORDS_PER_EDIT = 4;

export class MessageEdits {
  /** (start, end) of what goes, (start, end) of what comes instead; all in the arena. */
  readonly #edits = new Int32Array(MAX_EDITS * WORDS_PER_EDIT);
  #count = 0;

  clear(): void {
    this.#count = 0;
  }

  /** Puts [textStart, textEnd) in place of [start, end); either may be empty. Edits at one place keep their order. */
  replace(start: number, end: number, textStart: number, textEnd: number): void {
    assert(this.#count < MAX_EDITS, 'too many edits in one message');
    const edits = this.#edits;
    let at = this.#count * WORDS_PER_EDIT;
    // What goes on where the last removal ended is one with it: a hundred Route lines are one edit.
    if (textStart === textEnd && at > 0 && edits[at - 3] === start && edits[at - 2] === edits[at - 1]) {
      edits[at - 3] = end;
      return;
    }
    // Nearly always added in order, so this loop hardly ever turns.
    while (at > 0 && edits[at - WORDS_PER_EDIT]! > start) {
      edits.copyWithin(at, at - WORDS_PER_EDIT, at);
      at -= WORDS_PER_EDIT;
    }
    edits[at] = start;
    edits[at + 1] = end;
    edits[at + 2] = textStart;
    edits[at + 3] = textEnd;
    this.#count++;
  }

  remove(start: number, end: number): void {
    this.replace(start, end, 0, 0);
  }

  insert(at: number, textStart: number, textEnd: number): void {
    this.replace(at, at, textStart, textEnd);
  }

  /** Appends the message [start, end) with the edits made to what `outbound` is putting together. */
  apply(outbound: Outbound, start: number, end: number): void {
    const edits = this.#edits;
    let from = start;
    for (let at = 0, last = this.#count * WORDS_PER_EDIT; at < last; at += WORDS_PER_EDIT) {
      outbound.keep(from, edits[at]!);
      outbound.keep(edits[at + 2]!, edits[at + 3]!);
      from = edits[at + 1]!;
    }
    outbound.keep(from, end);
  }
}
