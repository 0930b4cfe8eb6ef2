/** The parts of a flow whose requests the server answers itself, so that nothing may come to the UAS. Hot. */

import { explain } from './explanation.ts';
import { Flow, type FlowParts, numberInVia } from './flow.ts';
import { ServerAnswers, statusAt } from './server-answers.ts';

export abstract class AnsweredFlow extends Flow {
  protected readonly answers: ServerAnswers;
  readonly #numberAt: number;

  /** The first text is the request that is answered. */
  constructor(parts: FlowParts, texts: readonly string[], roomBytes: number) {
    super(parts, texts, roomBytes);
    this.answers = new ServerAnswers(parts.arena, texts[0]!);
    this.#numberAt = numberInVia(parts.way);
  }

  /** A response that is right in all that every response must have. */
  protected abstract answered(index: number, status: number, start: number, end: number, nowUs: number): void;

  override atClient(start: number, end: number, nowUs: number): void {
    const { answers } = this;
    const number = answers.read(start, end, this.#numberAt);
    const index = number < 0 ? -1 : this.exchangeAt(number);
    if (index < 0) {
      this.rejectAnswer(start, end, null);
      return;
    }
    const status = statusAt(this.bytes, start, end);
    const cause = answers.causeOf(this.texts.start(index, 0), end, status >= 200);
    if (cause === null) this.answered(index, status, start, end, nowUs);
    else this.rejectAnswer(start, end, cause);
  }

  /** Cold. `cause`: what of the answer is wrong; null: it is none that may come now. */
  protected rejectAnswer(start: number, end: number, cause: string | null): void {
    this.reject('at the UAC', start, end, (received) => {
      if (cause === null) return explain(received, null);
      return { cause, sentence: `${cause} of the answer is not as it should be` };
    });
  }
}
