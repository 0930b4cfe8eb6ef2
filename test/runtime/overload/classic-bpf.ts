/** What the kernel does with a program of classic BPF at a UDP socket (net/core/filter.c), for the instructions that ours have; any
 *  other is an error. */

const INSTRUCTION_BYTES = 8;
const UDP_HEADER_BYTES = 8;
const RANDOM = 0xffff_f000 + 56;
const MOST_INSTRUCTIONS = 4096;

export interface Instruction {
  readonly code: number;
  readonly onTrue: number;
  readonly onFalse: number;
  readonly operand: number;
}

export function instructionsOf(program: Uint8Array): Instruction[] {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  return Array.from({ length: program.length / INSTRUCTION_BYTES }, (_, i) => {
    const at = i * INSTRUCTION_BYTES;
    const [code, onTrue, onFalse] = [view.getUint16(at, true), view.getUint8(at + 2), view.getUint8(at + 3)];
    return { code, onTrue, onFalse, operand: view.getUint32(at + 4, true) };
  });
}

/** What is wrong with a program, as `bpf_check_classic` would find; null: nothing. */
export function problemOf(instructions: readonly Instruction[]): string | null {
  const { length } = instructions;
  if (length === 0 || length > MOST_INSTRUCTIONS) return `${length} instructions`;
  for (const [i, { code, onTrue, onFalse, operand }] of instructions.entries()) {
    const isJump = (code & 7) === 5;
    const ends = !isJump ? [] : code === 0x05 ? [operand] : [onTrue, onFalse];
    if (ends.some((jump) => i + 1 + jump >= length)) return `the jump at ${i} leaves the program`;
  }
  return (instructions.at(-1)!.code & 7) === 6 ? null : 'no return at its end';
}

/** How much of a datagram the socket takes; 0: it is dropped. `random`: 32 bits. `steps`: called for each instruction. */
export function run(
  instructions: readonly Instruction[],
  payload: Uint8Array,
  random: number,
  step: () => void = () => undefined,
): number {
  const bytes = new Uint8Array(UDP_HEADER_BYTES + payload.length);
  bytes.set(payload, UDP_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  let [a, x] = [0, 0];
  for (let at = 0; ; ) {
    const { code, onTrue, onFalse, operand } = instructions[at++]!;
    step();
    switch (code) {
      case 0x20: // A = word at K, or what the kernel has there
      case 0x40: {
        // A = word at X + K
        if (code === 0x20 && operand === RANDOM) {
          a = random;
          break;
        }
        const from = operand + (code === 0x40 ? x : 0);
        if (from + 4 > bytes.length) return 0;
        a = view.getUint32(from);
        break;
      }
      case 0x80: // A = length
        a = bytes.length;
        break;
      case 0x01: // X = K
        x = operand;
        break;
      case 0x44: // A |= K
        a = (a | operand) >>> 0;
        break;
      case 0x54: // A &= K
        a = (a & operand) >>> 0;
        break;
      case 0x74: // A >>= K
        a >>>= operand;
        break;
      case 0x1c: // A -= X
        a = (a - x) >>> 0;
        break;
      case 0x05:
        at += operand;
        break;
      case 0x15:
        at += a === operand ? onTrue : onFalse;
        break;
      case 0x35:
        at += a >= operand ? onTrue : onFalse;
        break;
      case 0x07:
        x = a;
        break;
      case 0x87:
        a = x;
        break;
      case 0x06:
        return operand;
      default:
        throw new Error(`no such instruction here: ${code.toString(16)}`);
    }
  }
}
