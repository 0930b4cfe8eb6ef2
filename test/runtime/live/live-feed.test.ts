/** One reading a second for all who watch, none while nobody does, and nobody who does not read holds up the others. */

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LiveFeed, type LiveHello, MAX_WATCHERS, type Watcher } from '../../../src/runtime/live/live-feed.ts';
import type { LiveFrame } from '../../../src/runtime/live/live-frame.ts';
import type { ListedHop } from '../../../src/runtime/shard-service.ts';
import { CountingView as View } from './counting-view.ts';
import { FACTS } from './readings.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

class Page implements Watcher {
  text = '';
  unreadBytes = 0;
  isEnded = false;
  isCutOff = false;
  write(text: string) {
    this.text += text;
  }
  end() {
    this.isEnded = true;
  }
  cutOff() {
    this.isCutOff = true;
  }
  /** What came, as name and data. */
  get events(): [string, unknown][] {
    const events = this.text.split('\n\n').slice(0, -1);
    return events.map((event) => {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event)!;
      return [name!, JSON.parse(data!)];
    });
  }
  get names(): string[] {
    return this.events.map(([name]) => name);
  }
}

function feedOf(view: View, errors: unknown[] = []) {
  return new LiveFeed({
    view,
    pageVersion: 'v1',
    firstCall: ['sipp'],
    recentErrors: () => [],
    onError: (error) => errors.push(error),
  });
}

describe('a feed', () => {
  it('reads nothing until somebody watches, then once a second for all, and nothing once all have left', () => {
    const view = new View();
    const feed = feedOf(view);
    vi.advanceTimersByTime(5000);
    expect([view.reads, view.isWatched]).toEqual([0, false]);
    const pages = [new Page(), new Page(), new Page()];
    for (const page of pages) expect(feed.add(page)).toBe(true);
    vi.advanceTimersByTime(3000);
    expect([view.reads, view.isWatched]).toEqual([4, true]);
    for (const page of pages) expect(page.names).toEqual(['hello', 'frame', 'frame', 'frame', 'frame']);
    for (const page of pages) feed.remove(page);
    feed.remove(pages[0]!);
    vi.advanceTimersByTime(5000);
    expect([view.reads, view.isWatched]).toEqual([4, false]);
  });

  it('says hello with what does not change, and then the frames with their rates', () => {
    const feed = feedOf(new View());
    const page = new Page();
    feed.add(page);
    vi.advanceTimersByTime(1000);
    const [hello, first, second] = page.events.map(([, data]) => data) as [LiveHello, LiveFrame, LiveFrame];
    expect(hello).toEqual({
      facts: FACTS,
      pageVersion: 'v1',
      firstCall: ['sipp'],
      intervalMs: 1000,
      windowSec: 10,
      points: [],
    });
    expect(first.point).toBeNull();
    expect(second.point!.received).toBe(100);
  });

  it('gives who comes later the points that there are, also those from before a pause', () => {
    const feed = feedOf(new View());
    const early = new Page();
    feed.add(early);
    vi.advanceTimersByTime(3000);
    feed.remove(early);
    vi.advanceTimersByTime(60_000);
    const late = new Page();
    feed.add(late);
    expect((late.events[0]![1] as LiveHello).points).toHaveLength(3);
    // Nothing is compared with a reading of a minute ago.
    expect((late.events[1]![1] as LiveFrame).point).toBeNull();
  });

  it('keeps the points of five minutes', () => {
    const feed = feedOf(new View());
    feed.add(new Page());
    vi.advanceTimersByTime(400_000);
    const page = new Page();
    feed.add(page);
    expect((page.events[0]![1] as LiveHello).points).toHaveLength(300);
  });

  it('turns away who is too many, and counts it', () => {
    const view = new View();
    const feed = feedOf(view);
    const pages = Array.from({ length: MAX_WATCHERS }, () => new Page());
    for (const page of pages) expect(feed.add(page)).toBe(true);
    const late = new Page();
    expect(feed.add(late)).toBe(false);
    expect([late.text, view.refused]).toEqual(['', 1]);
    feed.remove(pages[0]!);
    expect(feed.add(late)).toBe(true);
  });

  it('cuts off who does not read, and counts it', () => {
    const view = new View();
    const feed = feedOf(view);
    const slow = new Page();
    const other = new Page();
    feed.add(slow);
    feed.add(other);
    slow.unreadBytes = 1 << 20;
    vi.advanceTimersByTime(1000);
    expect([slow.isCutOff, view.cutOff, feed.watcherCount]).toEqual([true, 1, 1]);
    vi.advanceTimersByTime(1000);
    expect(slow.names).toEqual(['hello', 'frame']);
    expect(other.names).toEqual(['hello', 'frame', 'frame', 'frame']);
  });

  it('says that the server stops', () => {
    const view = new View();
    const feed = feedOf(view);
    const page = new Page();
    feed.add(page);
    feed.close();
    feed.close();
    expect([page.names.at(-1), page.isEnded, view.isWatched]).toEqual(['bye', true, false]);
    expect(feed.add(new Page())).toBe(false);
  });

  it('is not begun by a first reading that fails', () => {
    const view = new View();
    const feed = feedOf(view);
    view.failure = new Error('a mistake of ours');
    expect(() => feed.add(new Page())).toThrow('a mistake of ours');
    expect([view.isWatched, feed.watcherCount]).toEqual([false, 0]);
  });

  it('outlives a reading that fails, and begins again', () => {
    const view = new View();
    const errors: unknown[] = [];
    const feed = feedOf(view, errors);
    const page = new Page();
    feed.add(page);
    view.failure = new Error('a mistake of ours');
    vi.advanceTimersByTime(3000);
    expect([errors, page.isCutOff, feed.watcherCount]).toEqual([[view.failure], true, 0]);
    view.failure = null;
    const next = new Page();
    feed.add(next);
    vi.advanceTimersByTime(1000);
    expect(next.names).toEqual(['hello', 'frame', 'frame']);
  });
});

describe('next hops', () => {
  const HOP: ListedHop = {
    uri: 'sip:192.0.2.1',
    state: 'up',
    restingOn: 0,
    restsForSec: 0,
    failures: 0,
    lastFailedAt: null,
  };
  const hopsOf = (page: Page) =>
    page.events.filter(([name]) => name === 'frame').map(([, frame]) => (frame as LiveFrame).hops);

  it('are asked for once a second, and in the frame after the answer', async () => {
    const view = new View();
    view.hopsSaid = [HOP];
    const page = new Page();
    feedOf(view).add(page);
    await vi.advanceTimersByTimeAsync(2000);
    expect(hopsOf(page)).toEqual([null, [HOP], [HOP]]);
    expect(view.hopQuestions).toBe(3);
  });

  it('are not known while a shard does not answer, and known again after that', async () => {
    const view = new View();
    view.hopsSaid = null;
    const page = new Page();
    feedOf(view).add(page);
    await vi.advanceTimersByTimeAsync(1000);
    view.hopsSaid = [];
    await vi.advanceTimersByTimeAsync(2000);
    expect(hopsOf(page)).toEqual([null, null, null, []]);
  });

  it('are not asked for again while an answer is out', async () => {
    const view = new View();
    view.hops = () => {
      view.hopQuestions++;
      return new Promise(() => undefined);
    };
    feedOf(view).add(new Page());
    await vi.advanceTimersByTimeAsync(5000);
    expect(view.hopQuestions).toBe(1);
  });
});

describe('a snapshot', () => {
  it('takes a second, to have two readings to compare', async () => {
    const view = new View();
    const feed = feedOf(view);
    const snapshot = feed.snapshot();
    vi.advanceTimersByTime(1000);
    const { frame, facts } = (await snapshot)!;
    expect([frame.point!.received, facts]).toEqual([100, FACTS]);
    expect([view.isWatched, feed.watcherCount]).toEqual([false, 0]);
  });

  it('comes at once while others watch', async () => {
    const feed = feedOf(new View());
    feed.add(new Page());
    vi.advanceTimersByTime(1000);
    expect((await feed.snapshot())!.frame.point!.received).toBe(100);
    expect(feed.watcherCount).toBe(1);
  });

  it('is none where too many watch, or the server stops meanwhile', async () => {
    const feed = feedOf(new View());
    const waiting = Array.from({ length: MAX_WATCHERS }, () => feed.snapshot());
    expect(await feed.snapshot()).toBeNull();
    feed.close();
    expect(await Promise.all(waiting)).toEqual(new Array(MAX_WATCHERS).fill(null));
  });
});
