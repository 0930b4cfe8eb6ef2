/** What the main thread and the export thread say to each other. Cold. */

import type { HepTarget } from '../../config/hep-target.ts';
import type { HepAgent } from './hep-packet.ts';
import type { TraceReading } from './traced-message.ts';

export interface HepTask {
  readonly trace: SharedArrayBuffer;
  readonly reading: TraceReading;
  readonly target: HepTarget;
  readonly agent: HepAgent;
  /** One before has died. */
  readonly isSuccessor: boolean;
}

/** To the main thread, for the log. */
export interface HepState {
  readonly isUp: boolean;
  readonly reason: string;
}

/** From the main thread: send what is there, and end. */
export const HEP_STOP = 'stop';

/** From the main thread. */
export type HepOrder = typeof HEP_STOP | { readonly maskHeaders: readonly string[] };
