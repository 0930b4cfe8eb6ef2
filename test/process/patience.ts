/** How long tests wait for what should come at once. A machine that is four times slower, busy with other tests and now and then
 *  held up for a second must not fail them: what comes ends the wait, so that patience costs nothing where all is well. Tests
 *  assert what became of a thing, and how fast only against what is a timer's business, which is seconds away. */

/** For anything that another process, thread or socket has to do. */
export const PATIENCE_MS = 30_000;
/** For the start of a server, a database, a browser. */
export const START_PATIENCE_MS = 60_000;
/** From SIGTERM to the exit. The server promises two seconds where it has a CPU, and ends itself after five: whoever takes
 *  longer than this hangs. */
export const STOP_PATIENCE_MS = 15_000;
