/** Constant text as bytes. Any thread; made while modules load or settings change, never per datagram. */

import { copyBytes, viewOf } from './spans.ts';

export function ascii(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Text of our own, ready to be copied into messages. Its length is a field: the one of a DataView is a call. */
export class Literal {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly length: number;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = viewOf(bytes);
    this.length = bytes.length;
  }

  /** Copies it to `target` from `at` on. Returns where it ends there. Hot. */
  copyTo(target: DataView, at: number): number {
    return copyBytes(this.view, 0, this.length, target, at);
  }
}

export function literal(text: string): Literal {
  return new Literal(ascii(text));
}
