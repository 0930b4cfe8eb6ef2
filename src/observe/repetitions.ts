/** One line per distinct error: the first is said at once, what comes again within a minute is counted, and said with its count when the
 *  minute is over. Main thread, cold. */

/** Between two lines of one kind. */
export const REPETITION_WINDOW_MS = 60_000;
/** Kinds that are remembered; when there are more, the one said longest ago goes, with its count if it has one. */
const MAX_KINDS = 200;

export interface Repeated<Line> {
  /** The latest of them. */
  readonly line: Line;
  readonly count: number;
}

interface Kind<Line> {
  saidMs: number;
  count: number;
  line: Line;
}

export class Repetitions<Line> {
  /** In the order in which they were said. */
  readonly #kinds = new Map<string, Kind<Line>>();
  readonly #nowMs: () => number;

  /** `nowMs`: a clock that never goes back. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Whether a line is to be said now; otherwise it is counted. What is forgotten because of it comes to `onForgotten`. */
  isFirst(key: string, line: Line, onForgotten: (repeated: Repeated<Line>) => void): boolean {
    const nowMs = this.#nowMs();
    const kind = this.#kinds.get(key);
    if (kind !== undefined && nowMs - kind.saidMs < REPETITION_WINDOW_MS) {
      kind.count++;
      kind.line = line;
      return false;
    }
    if (kind !== undefined) this.#forget(key, kind, onForgotten);
    this.#kinds.set(key, { saidMs: nowMs, count: 0, line });
    if (this.#kinds.size > MAX_KINDS) {
      const [oldest, forgotten] = this.#kinds.entries().next().value!;
      this.#forget(oldest, forgotten, onForgotten);
    }
    return true;
  }

  /** What was counted and is to be said by now, with `count` times beside the one that was said. */
  due(): Repeated<Line>[] {
    const nowMs = this.#nowMs();
    const due: Repeated<Line>[] = [];
    for (const [key, kind] of this.#kinds) {
      if (nowMs - kind.saidMs < REPETITION_WINDOW_MS) break;
      this.#kinds.delete(key);
      if (kind.count === 0) continue;
      due.push({ line: kind.line, count: kind.count });
      // It may go on: the next minute begins.
      this.#kinds.set(key, { saidMs: nowMs, count: 0, line: kind.line });
    }
    return due;
  }

  #forget(key: string, kind: Kind<Line>, onForgotten: (repeated: Repeated<Line>) => void): void {
    this.#kinds.delete(key);
    if (kind.count > 0) onForgotten({ line: kind.line, count: kind.count });
  }
}
