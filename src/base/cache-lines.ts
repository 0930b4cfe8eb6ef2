/** Memory in which 64 bytes at a multiple of 64 are one cache line. V8 has its buffers from the C library, whose large blocks begin
 *  16 bytes behind a page: what lies at a multiple of 64 in such a buffer is in two lines, and where it is looked up at random costs
 *  two misses (a look-up of an AoR among a million: 455 ns, in lines 415). So what is laid out in lines begins FIRST_LINE bytes into
 *  its buffer. With an allocator that does otherwise this changes nothing but the speed. Any thread. */

const LINE_BYTES = 64;
/** What the C library keeps before a block. */
const BLOCK_HEADER_BYTES = 16;
/** Offset of the first whole line in a buffer. */
export const FIRST_LINE = LINE_BYTES - BLOCK_HEADER_BYTES;

/** A buffer with `bytes` bytes from FIRST_LINE on. The kernel gives the pages as they are first touched. */
export function allocateLines(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(FIRST_LINE + bytes);
}

/** The words of such a buffer. */
export function wordsOf(buffer: SharedArrayBuffer): Int32Array<SharedArrayBuffer> {
  return new Int32Array(buffer, FIRST_LINE);
}

/** Its bytes, with what Node.js knows to do with them. */
export function bufferOf(buffer: SharedArrayBuffer): Buffer {
  return Buffer.from(buffer, FIRST_LINE);
}

/** Words of one thread. */
export function ownWords(count: number): Int32Array<ArrayBuffer> {
  return new Int32Array(new ArrayBuffer(FIRST_LINE + count * 4), FIRST_LINE);
}
