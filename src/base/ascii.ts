/** Constant text as bytes. Any thread; called while modules load, never per datagram. */

export function ascii(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
