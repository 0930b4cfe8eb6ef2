/** The death of a shard at every single step, and what its successor and the dispatcher's sweep make of it: slots go
 *  round from dispatcher to shard and home again over two rings run by the real code. The three loops below follow
 *  DESIGN.md ("The shared structures") in the order of their accesses; what they show is which orders are safe. */

import { describe, expect, it } from 'vitest';
import { RING } from '../../src/memory/layout.ts';
import { type Ending, explore, type Machine, machine } from './explorer.ts';
import { loadRing } from './ring-source.ts';

const { RingProducer, RingConsumer } = loadRing(machine.atomics);

const CAPACITY = 2;
const SLOT_COUNT = 2;
const RING_WORDS = RING.ENTRIES_WORD + CAPACITY;
const INGRESS_WORD = 0;
const RETURN_WORD = RING_WORDS;
const CURSOR_WORD = 2 * RING_WORDS;
const IN_HAND_WORD = CURSOR_WORD + 1;
const SWEPT_WORD = CURSOR_WORD + 2;
const PAYLOAD_WORD = CURSOR_WORD + 3;
const WORD_COUNT = PAYLOAD_WORD + SLOT_COUNT;

const INGRESS_FD = 0;
const DEATH_FD = 1;
const SWEPT_FD = 2;

/** Orders that can be got wrong. */
interface Order {
  readonly successorStartsAt: 'cursor' | 'head';
  readonly successorFirst: 'drains' | 'sleeps';
  readonly cursorAdvances: 'before the datagram is served' | 'after the datagram is served';
  readonly headAdvances: 'before slots go home' | 'after slots went home';
  readonly sweepTakes: 'what is in neither ring' | 'all the shard owns';
  readonly sweepDrainsReturns: 'first' | 'afterwards';
}

const RIGHT: Order = {
  successorStartsAt: 'cursor',
  successorFirst: 'drains',
  cursorAdvances: 'before the datagram is served',
  headAdvances: 'before slots go home',
  sweepTakes: 'what is in neither ring',
  sweepDrainsReturns: 'first',
};

/** Serves until it sleeps, then on every signal; the shard's duty cycle. */
function serve({ words, wait, note }: Machine, order: Order, start: number | undefined): void {
  const ingress = new RingConsumer(words, INGRESS_WORD * 4, CAPACITY, start);
  const returns = new RingProducer(words, RETURN_WORD * 4, CAPACITY);
  if (start !== undefined && order.successorFirst === 'sleeps') wait(INGRESS_FD);
  for (;;) {
    for (let count = ingress.poll(); count > 0; count = ingress.poll()) {
      const slots: number[] = [];
      for (; count > 0; count--) {
        const slot = ingress.take();
        if (order.cursorAdvances === 'before the datagram is served') words[CURSOR_WORD] = ingress.next;
        words[IN_HAND_WORD] = slot + 1;
        note(`serves ${words[PAYLOAD_WORD + slot]}`);
        words[IN_HAND_WORD] = 0;
        if (order.cursorAdvances === 'after the datagram is served') words[CURSOR_WORD] = ingress.next;
        slots.push(slot);
      }
      if (order.headAdvances === 'before slots go home') ingress.release();
      for (const slot of slots) returns.offer(slot);
      returns.publish();
      if (order.headAdvances === 'after slots went home') ingress.release();
    }
    if (ingress.trySleep()) wait(INGRESS_FD);
  }
}

/** Sends each slot once, one of them a second time if it came home early; sweeps once after the death. */
function dispatch({ words, atomics, signal, wait, note }: Machine, order: Order): void {
  const ingress = new RingProducer(words, INGRESS_WORD * 4, CAPACITY);
  const returns = new RingConsumer(words, RETURN_WORD * 4, CAPACITY);
  const isOut = [false, false];
  let serial = 0;
  const send = (slot: number): void => {
    words[PAYLOAD_WORD + slot] = ++serial;
    isOut[slot] = true;
    ingress.offer(slot);
    note(`sends ${serial}`);
    if (ingress.publish()) signal(INGRESS_FD);
  };
  const takeHome = (slot: number): void => {
    if (!isOut[slot]) throw new Error(`slot ${slot} is freed twice`);
    isOut[slot] = false;
  };
  const drainReturns = (): void => {
    const count = returns.poll();
    for (let i = 0; i < count; i++) takeHome(returns.take());
    returns.release();
  };
  for (let slot = 0; slot < SLOT_COUNT; slot++) send(slot);
  drainReturns();
  if (!isOut[0]) send(0);

  wait(DEATH_FD);
  if (order.sweepDrainsReturns === 'first') drainReturns();
  const queued = new Set<number>();
  const tail = atomics.load(words, INGRESS_WORD + RING.TAIL_WORD);
  for (let at = words[CURSOR_WORD]!; at !== tail; at++) {
    queued.add(words[INGRESS_WORD + RING.ENTRIES_WORD + (at & (CAPACITY - 1))]!);
  }
  if (words[IN_HAND_WORD] !== 0) note('saves the datagram in hand');
  for (let slot = 0; slot < SLOT_COUNT; slot++) {
    const isLost = isOut[slot] && (order.sweepTakes === 'all the shard owns' || !queued.has(slot));
    if (isLost) takeHome(slot);
  }
  // Orders the sweep before the successor, as SWEEP_DONE_WORD does.
  atomics.store(words, SWEPT_WORD, 1);
  signal(SWEPT_FD);
  note(`out: ${isOut.flatMap((out, slot) => (out ? [slot] : [])).join(' ')}`);
}

function exploreDeath(order: Order, isEnough: (ending: Ending) => boolean = () => false): readonly Ending[] {
  return explore(
    [
      { name: 'dispatcher', run: (m) => dispatch(m, order) },
      { name: 'shard', run: (m) => serve(m, order, undefined), deathEventFd: DEATH_FD },
      {
        name: 'successor',
        run: (m) => {
          m.wait(SWEPT_FD);
          m.atomics.load(m.words, SWEPT_WORD);
          const head = INGRESS_WORD + RING.HEAD_WORD;
          serve(m, order, order.successorStartsAt === 'cursor' ? m.words[CURSOR_WORD] : m.atomics.load(m.words, head));
        },
      },
    ],
    { wordCount: WORD_COUNT, isEnough },
  ).endings;
}

function serials(ending: Ending, thread: string, verb: string): number[] {
  return ending.stories[thread]!.filter((line) => line.startsWith(verb)).map((line) => Number(line.split(' ')[1]));
}

/** What is wrong with an ending, or null. */
function flawOf(ending: Ending): string | null {
  if (ending.fault !== null) return ending.fault;
  const sent = serials(ending, 'dispatcher', 'sends');
  const served = [...serials(ending, 'shard', 'serves'), ...serials(ending, 'successor', 'serves')];
  if (new Set(served).size < served.length) return 'a datagram is served twice';
  if (served.join() !== served.toSorted((a, b) => a - b).join()) return 'datagrams are served out of order';
  if (sent.length - served.length > ending.dead.length) return 'more than the datagram in hand is lost';
  if (ending.dead.length === 0) return null;
  const missing = slotsNeitherOutNorHome(ending);
  return missing === '' ? null : missing;
}

/** After a death and a sweep: the slots that the dispatcher holds to be out must be in the return ring, each once. */
function slotsNeitherOutNorHome(ending: Ending): string {
  const out = ending.stories['dispatcher']!.findLast((line) => line.startsWith('out:'))!.slice(5);
  const returning: number[] = [];
  const tail = ending.words[RETURN_WORD + RING.TAIL_WORD]!;
  for (let at = ending.words[RETURN_WORD + RING.HEAD_WORD]!; at !== tail; at++) {
    returning.push(ending.words[RETURN_WORD + RING.ENTRIES_WORD + (at & (CAPACITY - 1))]!);
  }
  return returning.toSorted().join(' ') === out ? '' : 'a slot is lost or comes home twice';
}

describe('a shard that dies at any step', () => {
  const endings = exploreDeath(RIGHT);

  it('costs at most the datagram in its hand; nothing is served twice, every slot comes home once', () => {
    expect([...new Set(endings.map(flawOf))]).toEqual([null]);
  });

  it('has these outcomes for two datagrams, and no others', () => {
    const ALLOWED = {
      'shard: 1 2, successor: ': 'It died, if at all, after both were served; the successor found nothing to do.',
      'shard: 1, successor: 2': 'It died after the first and before it reached for the second.',
      'shard: , successor: 1 2': 'It died before it reached for the first.',
      'shard: 1, successor: ': 'It died with the second in hand: that one is lost, and saved as a crash vector.',
      'shard: , successor: 2': 'It died with the first in hand: that one is lost, and saved.',
    };
    const outcomes = endings
      .filter((ending) => serials(ending, 'dispatcher', 'sends').length === 2)
      .map(
        (e) =>
          `shard: ${serials(e, 'shard', 'serves').join(' ')}, successor: ${serials(e, 'successor', 'serves').join(' ')}`,
      );
    expect([...new Set(outcomes)].sort()).toEqual(Object.keys(ALLOWED).sort());
  });

  it('also with a slot that was sent a second time while the first shard lived', () => {
    expect(endings.some((ending) => serials(ending, 'successor', 'serves').includes(3))).toBe(true);
    expect(endings.some((ending) => serials(ending, 'shard', 'serves').includes(3))).toBe(true);
  });

  it('leaves a successor that sleeps and can be woken, never one that missed its wake-up', () => {
    for (const ending of endings.filter(({ dead }) => dead.length === 1)) {
      expect(ending.waiting, ending.schedule).toEqual(['successor']);
      expect(ending.words[INGRESS_WORD + RING.SLEEP_WORD], ending.schedule).toBe(1);
    }
  });
});

describe('an order got wrong is caught', () => {
  it.each<{ wrong: Partial<Order>; flaw: string }>([
    { wrong: { successorStartsAt: 'head' }, flaw: 'a datagram is served twice' },
    { wrong: { successorFirst: 'sleeps' }, flaw: 'more than the datagram in hand is lost' },
    { wrong: { cursorAdvances: 'after the datagram is served' }, flaw: 'a datagram is served twice' },
    { wrong: { sweepTakes: 'all the shard owns' }, flaw: 'a slot is lost or comes home twice' },
    { wrong: { sweepDrainsReturns: 'afterwards' }, flaw: 'a slot is lost or comes home twice' },
    { wrong: { headAdvances: 'after slots went home' }, flaw: 'slot ring overflow' },
  ])('$wrong', ({ wrong, flaw }) => {
    const isCaught = (ending: Ending) => flawOf(ending)?.includes(flaw) ?? false;
    expect(exploreDeath({ ...RIGHT, ...wrong }, isCaught).some(isCaught)).toBe(true);
  });
});
