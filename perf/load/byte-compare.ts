/** Comparing bytes of the arena, four at a time wherever they lie. Hot: several times per message, allocates nothing. */

/** Whether `length` bytes at `a` and at `b` are the same. */
export function sameBytes(view: DataView, a: number, b: number, length: number): boolean {
  const words = length & ~3;
  let i = 0;
  for (; i < words; i += 4) if (view.getInt32(a + i, true) !== view.getInt32(b + i, true)) return false;
  for (; i < length; i++) if (view.getUint8(a + i) !== view.getUint8(b + i)) return false;
  return true;
}

/** The number that `digits` small hexadecimal digits at `at` say, or −1; 32 bits at the most. */
export function hexAt(bytes: Uint8Array, at: number, digits: number): number {
  let value = 0;
  for (let i = 0; i < digits; i++) {
    const byte = bytes[at + i]!;
    const digit = byte <= 0x39 ? byte - 0x30 : byte >= 0x61 ? byte - 0x57 : -1;
    if (digit < 0 || digit > 15) return -1;
    value = (value << 4) | digit;
  }
  return value;
}
