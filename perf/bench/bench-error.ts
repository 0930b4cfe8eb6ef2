/** What the world outside kept the benchmark from: a program that is not there, a server that does not start. One line that
 *  says what to do; no stack. Cold. */

export class BenchError extends Error {
  override name = 'BenchError';
}
