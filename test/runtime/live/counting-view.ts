/** A stand-in for a server that is watched: a hundred datagrams arrive with every reading. */

import type { LiveView } from '../../../src/runtime/live/live-feed.ts';
import type { ListedHop } from '../../../src/runtime/shard-service.ts';
import { FACTS, reading } from './readings.ts';

export class CountingView implements LiveView {
  readonly facts = FACTS;
  isWatched = false;
  reads = 0;
  refused = 0;
  cutOff = 0;
  failure: Error | null = null;
  watch() {
    this.isWatched = true;
  }
  rest() {
    this.isWatched = false;
  }
  read() {
    if (this.failure !== null) throw this.failure;
    this.reads++;
    return reading(this.reads, { counters: { datagrams_received_total: this.reads * 100 } });
  }
  /** What the shards say; null: they do not answer. */
  hopsSaid: readonly ListedHop[] | null = [];
  hopQuestions = 0;
  async hops() {
    this.hopQuestions++;
    if (this.hopsSaid === null) throw new Error('shard 0 does not answer');
    return this.hopsSaid;
  }
  noteRefused() {
    this.refused++;
  }
  noteCutOff() {
    this.cutOff++;
  }
}
