/** What went wrong lately: a bounded list of distinct errors, each with its count, for operators. Main thread, cold. */

export interface DistinctError {
  /** What makes it distinct: a counter's name, or what the log said. */
  readonly kind: string;
  readonly count: number;
  /** ISO 8601. */
  readonly firstAt: string;
  readonly lastAt: string;
  /** What happened, the last time. */
  readonly text: string;
  /** What to do about it; null: nobody has written it down. */
  readonly hint: string | null;
}

export interface NotedError {
  readonly kind: string;
  readonly text: string;
  readonly hint?: string | null;
  /** How often since it was noted last. */
  readonly count?: number;
}

/** Kinds that are remembered; when there are more, the one that has not come for longest goes. */
const MAX_KINDS = 200;
const MAX_TEXT_CHARS = 500;

interface Entry {
  count: number;
  firstMs: number;
  lastMs: number;
  text: string;
  hint: string | null;
}

export class DistinctErrors {
  /** In the order of their last time. */
  readonly #entries = new Map<string, Entry>();
  readonly #wallMs: () => number;

  constructor(wallMs: () => number = Date.now) {
    this.#wallMs = wallMs;
  }

  note({ kind, text, hint = null, count = 1 }: NotedError): void {
    const nowMs = this.#wallMs();
    const key = kind.slice(0, MAX_TEXT_CHARS);
    const entry = this.#entries.get(key) ?? { count: 0, firstMs: nowMs, lastMs: nowMs, text: '', hint: null };
    entry.count += count;
    entry.lastMs = nowMs;
    entry.text = text.slice(0, MAX_TEXT_CHARS);
    entry.hint = hint;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    if (this.#entries.size <= MAX_KINDS) return;
    const [oldest] = this.#entries.keys();
    this.#entries.delete(oldest!);
  }

  /** The latest first. */
  recent(limit: number = MAX_KINDS): DistinctError[] {
    return [...this.#entries]
      .reverse()
      .slice(0, limit)
      .map(([kind, { count, firstMs, lastMs, text, hint }]) => ({
        kind,
        count,
        firstAt: new Date(firstMs).toISOString(),
        lastAt: new Date(lastMs).toISOString(),
        text,
        hint,
      }));
  }
}
