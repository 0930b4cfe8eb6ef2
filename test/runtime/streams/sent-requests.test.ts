import { describe, expect, it } from 'vitest';
import { SentRequests } from '../../../src/runtime/streams/sent-requests.ts';

/** The tags of those that are told of as lost. */
function lostOf(requests: SentRequests, wasReset: boolean): number[] {
  const tags: number[] = [];
  requests.end(wasReset, (_, tag) => tags.push(tag));
  return tags;
}

describe('requests that a connection was given', () => {
  it('are lost if they have not left, and after a reset also those that nothing came back after', () => {
    const requests = new SentRequests();
    requests.add(0, 1, 0);
    requests.noteSent();
    requests.noteHeard();
    requests.add(0, 2, 0);
    requests.noteSent();
    requests.add(0, 3, 0);
    expect(lostOf(requests, true)).toEqual([3, 2]);
    expect(lostOf(requests, true), 'once').toEqual([]);
    requests.add(1, 4, 0);
    requests.noteSent();
    requests.add(1, 5, 0);
    expect(lostOf(requests, false)).toEqual([5]);
  });

  it('are the latest ones, however long the queue of a connection is never empty', () => {
    const requests = new SentRequests();
    const last = 500_000;
    for (let tag = 1; tag <= last; tag++) requests.add(0, tag, 0);
    // More than fits a call as arguments.
    requests.noteSent();
    requests.add(0, last + 1, 0);
    const tags = lostOf(requests, true);
    expect(tags[0]).toBe(last + 1);
    expect(tags.at(-1)).toBe(last);
    expect(tags.length).toBeLessThan(20_000);
    for (let tag = 1; tag <= last; tag++) requests.add(0, tag, 0);
    expect(lostOf(requests, false).at(-1)).toBe(last);
  });
});
