import { describe, expect, it } from 'vitest';
import { EGRESS_FLAG, RETURNED } from '../../../src/memory/layout.ts';
import { returnedAs, type SentRequest, SentRequests } from '../../../src/runtime/streams/sent-requests.ts';

function request(tag: number, shard = 0, origin: Buffer | null = null): SentRequest {
  return { shard, tag, flags: 0, origin };
}

/** The tags of those that are told of as lost. */
function lostOf(requests: SentRequests, wasReset: boolean): number[] {
  const tags: number[] = [];
  requests.end(wasReset, ({ tag }) => void tags.push(tag));
  return tags;
}

describe('requests that a connection was given', () => {
  it('are lost if they have not left, and after a reset also those that nothing came back after', () => {
    const requests = new SentRequests();
    requests.add(request(1));
    requests.noteSent();
    requests.noteHeard();
    requests.add(request(2));
    requests.noteSent();
    requests.add(request(3));
    expect(lostOf(requests, true)).toEqual([3, 2]);
    expect(lostOf(requests, true), 'once').toEqual([]);
    requests.add(request(4, 1));
    requests.noteSent();
    requests.add(request(5, 1));
    expect(lostOf(requests, false)).toEqual([5]);
  });

  it('are the latest ones, however long the queue of a connection is never empty', () => {
    const requests = new SentRequests();
    const last = 500_000;
    for (let tag = 1; tag <= last; tag++) requests.add(request(tag));
    // More than fits a call as arguments.
    requests.noteSent();
    requests.add(request(last + 1));
    const tags = lostOf(requests, true);
    expect(tags[0]).toBe(last + 1);
    expect(tags.at(-1)).toBe(last);
    expect(tags.length).toBeLessThan(20_000);
    for (let tag = 1; tag <= last; tag++) requests.add(request(tag));
    expect(lostOf(requests, false).at(-1)).toBe(last);
  });

  it('are forgotten as they were received where the peer says nothing, but for a few: they are still told of', () => {
    const requests = new SentRequests();
    const send = (tag: number) => {
      requests.add(request(tag, 0, Buffer.alloc(4096)));
      requests.noteSent();
    };
    const tagsWithOrigin = () => {
      const tags: number[] = [];
      requests.end(true, ({ tag, origin }) => {
        if (origin !== null) tags.push(tag);
      });
      return tags;
    };
    for (let tag = 1; tag <= 10; tag++) send(tag);
    expect(tagsWithOrigin()).toEqual([1, 2, 3, 4]);
    for (let tag = 11; tag <= 13; tag++) send(tag);
    requests.noteHeard();
    send(14);
    expect(tagsWithOrigin()).toEqual([14]);
  });

  it('come back for one reason, and by UDP instead of TCP only once', () => {
    const { MOVED, ONLY_CONNECTION } = EGRESS_FLAG;
    expect(returnedAs(0, 0)).toBe(RETURNED.UNDELIVERED);
    expect(returnedAs(MOVED, 0)).toBe(RETURNED.MOVED);
    expect(returnedAs(MOVED, RETURNED.MOVED)).toBe(RETURNED.UNDELIVERED);
    expect(returnedAs(ONLY_CONNECTION, 0)).toBe(RETURNED.FLOW);
  });
});
