/** Assertions about our own mistakes. They stay on in production: a shard whose assumption broke must die and be
 *  started again rather than serve on. Any thread; hot callers pass a constant message. */

/** Throws an AssertionError with `message` unless `condition` holds. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

export class AssertionError extends Error {
  override name = 'AssertionError';
}
