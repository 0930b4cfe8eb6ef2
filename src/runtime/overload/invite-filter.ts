/** A program for the kernel (classic BPF, SO_ATTACH_FILTER) that drops a share of the new INVITEs that come to a socket, before they
 *  take room in its buffer and a call to take them out of it. All else comes through, and so does an INVITE of which the
 *  program cannot tell that it is new. What is dropped it decides as `isSheddable` does (sip/scan.ts): an INVITE whose To has no tag
 *  (RFC 3261 12.2). So INVITEs of dialogs come through; a trusted source has no privilege, nor has it there. An INVITE that is sent again may be
 *  dropped although its first has a transaction, and nothing is lost: the 100 was sent (17.2.1), and if that was lost it comes again. A new
 *  one that is dropped also comes again (17.1.1.2), and is let through some time. Cold.
 *
 *  The language has no loops, no jumps back and 4,096 instructions; a load from beyond the datagram ends the program, and drops
 *  it. So lengths are compared first, and the search is written out byte for byte:
 *
 *  ```
 *  INVITE? ── no ──► accept
 *  chance? ── no ──► accept
 *  the first line that begins with T, among the first SEARCHED_BYTES ── none ──► accept
 *  is it To, written plainly? ── no ──► accept
 *  ";tag" or " tag" before the end of that line, or too long a line ── yes ──► accept
 *  drop
 *  ``` */

/** Bytes in which the line of To has to begin. Limited by net.core.optmem_max: two such programs must fit while one takes the
 *  place of the other. */
export const SEARCHED_BYTES = 420;
/** Bytes of that line in which its end has to be. */
export const LINE_BYTES = 144;

/** Of an instruction: code (16 bits), jumps if true and if false (8 each), operand (32). */
const INSTRUCTION_BYTES = 8;

/** The kernel shows the program a datagram from its UDP header on. */
const UDP_HEADER_BYTES = 8;

const LD_ABS_W = 0x20;
const LD_IND_W = 0x40;
const LD_LEN = 0x80;
const LDX_IMM = 0x01;
const OR = 0x44;
const AND = 0x54;
const RSH = 0x74;
const SUB_X = 0x1c;
const JA = 0x05;
const JEQ = 0x15;
const JGE = 0x35;
const RET = 0x06;
const TAX = 0x07;
const TXA = 0x87;

/** SKF_AD_OFF + SKF_AD_RANDOM: a number of the kernel's generator. */
const RANDOM = 0xffff_f000 + 56;
const WHOLE = 0xffff_ffff;
const DROP = 0;

const SHARES = 2 ** 32;
/** Every bit that tells a small letter from a capital one; it makes '*' of a line feed. */
const SMALL = 0x2020_2020;
/** Bytes between two looks at the length. */
const GUARDED_BYTES = 24;

/** A line feed and T, as SMALL leaves them. */
const LINE_OF_T = 0x2a74;

export class InviteFilter {
  /** For `setFilter`. */
  readonly program: Uint8Array;
  readonly #view: DataView;
  readonly #shareAt: number;

  constructor() {
    const code = new Code();
    this.#shareAt = write(code);
    this.program = code.bytes();
    this.#view = new DataView(this.program.buffer);
  }

  /** The share of new INVITEs to be dropped, from 0 to 1. */
  set share(share: number) {
    const operand = this.#shareAt * INSTRUCTION_BYTES + 4;
    this.#view.setUint32(operand, Math.min(SHARES - 1, Math.round(share * SHARES)), true);
  }
}

/** Returns the place of the instruction that compares chance with the share. */
function write(code: Code): number {
  const first = UDP_HEADER_BYTES;
  code.acceptShorterThan(first + 16);
  code.add(LD_ABS_W, first);
  code.acceptUnless(word('INVI'));
  code.add(LD_ABS_W, first + 3);
  code.acceptUnless(word('ITE '));
  code.add(LD_ABS_W, RANDOM);
  const shareAt = code.add(JGE, 0, 0, 1);
  code.add(RET, WHOLE);
  // Three places of a line's end in each word of four bytes.
  const found: number[] = [];
  for (let at = first + 'INVITE '.length, guarded = 0; at < first + SEARCHED_BYTES; at += 3) {
    if (at >= guarded) {
      guarded = at + GUARDED_BYTES;
      code.acceptShorterThan(guarded + 4);
    }
    code.add(LD_ABS_W, at);
    code.add(OR, SMALL);
    code.add(TAX);
    code.add(RSH, 16);
    found.push(code.foundAt(LINE_OF_T, at));
    code.add(TXA);
    code.add(RSH, 8);
    code.add(AND, 0xffff);
    found.push(code.foundAt(LINE_OF_T, at + 1));
    code.add(TXA);
    code.add(AND, 0xffff);
    found.push(code.foundAt(LINE_OF_T, at + 2));
  }
  code.add(RET, WHOLE);
  code.land(found);
  writeLine(code);
  return shareAt;
}

/** X: where the line feed is in front of a line that begins with T. */
function writeLine(code: Code): void {
  code.acceptShorterBehindX(12);
  // "\nto:" in any case, or "\nt:". A star in the place of the line feed is none.
  code.add(LD_IND_W, 0);
  code.add(RSH, 24);
  code.acceptUnless(0x0a);
  code.add(LD_IND_W, 0);
  code.add(OR, SMALL);
  const long = code.add(JEQ, word('*to:'));
  code.add(RSH, 8);
  code.acceptUnless(word('*t:\0') >>> 8);
  code.add(LD_IND_W, '*t:'.length);
  code.add(JA, 1);
  code.setTrue(long, code.length);
  code.add(LD_IND_W, '*to:'.length);
  // A value, at once or after a blank: where there is none, another To may follow.
  code.add(JGE, 0x2021_0000, 1, 0);
  code.add(RET, WHOLE);
  const ends: number[] = [];
  for (let at = 3, guarded = 0; at < LINE_BYTES; at++) {
    if (at >= guarded) {
      guarded = at + GUARDED_BYTES;
      code.acceptShorterBehindX(guarded + 4);
    }
    code.add(LD_IND_W, at);
    code.add(OR, SMALL & 0xff_ffff);
    code.add(JEQ, word(';tag'), 2, 0);
    code.add(JEQ, word(' tag'), 1, 0);
    // The first byte is more than a line feed: on.
    code.add(JGE, 0x0b00_0000, 1, 0);
    ends.push(code.add(JA, 0));
  }
  code.add(RET, WHOLE);
  code.land(ends);
  // A line that white space follows goes on (RFC 3261 7.3.1): nobody looks there.
  code.add(TAX);
  code.add(RSH, 16);
  code.acceptIf(0x0a20);
  code.acceptIf(0x0a00 | 0x09 | 0x20);
  code.add(RSH, 8);
  code.acceptUnless(0x0a);
  code.add(RET, DROP);
}

/** Four characters as a load of them gives them. */
function word(text: string): number {
  let value = 0;
  for (let i = 0; i < 4; i++) value = value * 256 + text.charCodeAt(i);
  return value;
}

class Code {
  readonly #instructions: { readonly code: number; onTrue: number; readonly onFalse: number; operand: number }[] = [];

  get length(): number {
    return this.#instructions.length;
  }

  /** Returns its place. */
  add(code: number, operand = 0, onTrue = 0, onFalse = 0): number {
    return this.#instructions.push({ code, onTrue, onFalse, operand }) - 1;
  }

  acceptUnless(value: number): void {
    this.add(JEQ, value, 1, 0);
    this.add(RET, WHOLE);
  }

  acceptIf(value: number): void {
    this.add(JEQ, value, 0, 1);
    this.add(RET, WHOLE);
  }

  acceptShorterThan(bytes: number): void {
    this.add(LD_LEN);
    this.add(JGE, bytes, 1, 0);
    this.add(RET, WHOLE);
  }

  acceptShorterBehindX(bytes: number): void {
    this.add(LD_LEN);
    this.add(SUB_X);
    this.add(JGE, bytes, 1, 0);
    this.add(RET, WHOLE);
  }

  /** Where the accumulator has `value`, X becomes `at`, and the jump goes on whose place is returned. */
  foundAt(value: number, at: number): number {
    this.add(JEQ, value, 0, 2);
    this.add(LDX_IMM, at);
    return this.add(JA);
  }

  /** Makes jumps end here. */
  land(jumps: readonly number[]): void {
    for (const jump of jumps) this.#instructions[jump]!.operand = this.length - jump - 1;
  }

  setTrue(jump: number, target: number): void {
    this.#instructions[jump]!.onTrue = target - jump - 1;
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.length * INSTRUCTION_BYTES);
    const view = new DataView(bytes.buffer);
    for (const [i, { code, onTrue, onFalse, operand }] of this.#instructions.entries()) {
      const at = i * INSTRUCTION_BYTES;
      view.setUint16(at, code, true);
      view.setUint8(at + 2, onTrue);
      view.setUint8(at + 3, onFalse);
      view.setUint32(at + 4, operand, true);
    }
    return bytes;
  }
}
