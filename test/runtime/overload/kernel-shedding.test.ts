/** The kernel drops new INVITEs at a real socket: what comes through, and whose drops are whose. The clock is the test's. */

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DISPATCHER, RECEIVE_BATCH } from '../../../src/memory/layout.ts';
import { COUNTER, Counters } from '../../../src/observe/counters.ts';
import { KERNEL } from '../../../src/runtime/intake-kernel.ts';
import { forgetDrops, overflowsOf } from '../../../src/runtime/overload/filter-drops.ts';
import { InviteFilter } from '../../../src/runtime/overload/invite-filter.ts';
import { KernelShedding, removeFilters } from '../../../src/runtime/overload/kernel-shedding.ts';
import { receiveBatch, sendBatch, setFilter } from '../../../src/runtime/udp-socket.ts';
import { arena, open, putEgress } from '../../native/loopback.ts';

const hasIpv6 = existsSync('/proc/net/if_inet6') && readFileSync('/proc/net/if_inet6', 'utf8') !== '';
const MARK = 100;
/** Long after the look before. */
const LATER_MS = 1000;
const REST = '\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContact: <sip:a@192.0.2.1>\r\nContent-Length: 0\r\n\r\n'.padEnd(
  220,
  'x',
);
const NEW_INVITE = `INVITE sip:b@c SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nTo: <sip:b@c>${REST}`;
const RE_INVITE = NEW_INVITE.replace('<sip:b@c>', '<sip:b@c>;tag=1');
const BYE = NEW_INVITE.replaceAll('INVITE', 'BYE');
const SHED_WORD = (arena.map.dispatcher >> 2) + DISPATCHER.SHEDDING_WORD;

/** A socket with a server's thread behind it that has the intake. */
function shedding(options: Parameters<typeof open>[0] = {}) {
  const server = open(options);
  const client = open({
    host: options.host === '::' ? '::1' : (options.host ?? '127.0.0.1'),
    family: options.family ?? 4,
  });
  const { words, map } = arena;
  words.fill(
    0,
    (map.dispatcher >> 2) + DISPATCHER.SHEDDING_WORD,
    (map.dispatcher >> 2) + DISPATCHER.OVERFLOWS_WORD + 64,
  );
  const sockets = [{ socket: server.index, receiveBufferBytes: server.receiveBufferBytes }];
  const counters = new Counters(arena, map.shardCount);
  const filteredBefore = counters.valueOf(COUNTER.filtered_requests_total);
  const shed = new KernelShedding({ arena, counters, sockets, mark: MARK, kernel: KERNEL });
  forgetDrops(arena, sockets);
  const send = (text: string, count = 1) => {
    for (let i = 0; i < count; i++) {
      const address = options.family === 6 ? { family: 6, address: [...Array<number>(15).fill(0), 1] } : {};
      putEgress(0, { socket: client.index, port: server.port, spans: [text], ...address });
      sendBatch(0, 0, 1);
    }
  };
  /** How many of them come. */
  const arriving = (text: string, count = 1) => {
    let come = 0;
    for (let i = 0; i < count; i++) {
      send(text);
      for (let got = receiveBatch(RECEIVE_BATCH, 0); got > 0; got = receiveBatch(RECEIVE_BATCH, 0)) come += got;
    }
    return come;
  };
  let nowMs = 0;
  return {
    ...{ server, sockets, shed, counters, send, arriving },
    look: (depth: number) => {
      nowMs += LATER_MS;
      shed.look(depth, 0, nowMs);
    },
    filtered: () => counters.valueOf(COUNTER.filtered_requests_total) - filteredBefore,
    overflows: () => overflowsOf(arena, server.index),
  };
}

/** SO_LOCK_FILTER: no filter comes or goes any more. */
function lockFilter(fd: number): void {
  const script = 'import socket; socket.socket(fileno=3).setsockopt(socket.SOL_SOCKET, 44, 1)';
  execFileSync('python3', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit', fd] });
}

const MANY = 200;

describe('above the mark', () => {
  it.each([
    ['IPv4', {}],
    ...(hasIpv6
      ? ([
          ['IPv6', { host: '::1', family: 6 }],
          ['every address', { host: '::', family: 6 }],
        ] as const)
      : []),
  ] as const)('the kernel drops some new INVITEs and nothing else (%s)', (_, options) => {
    const { shed, arriving, look, filtered, overflows } = shedding(options);
    shed.start();
    look(MARK);
    expect(shed.isOn).toBe(false);
    look(MARK + 1);
    expect(shed.isOn).toBe(true);
    expect(arena.words[SHED_WORD]).toBe(1);
    const come = arriving(NEW_INVITE, MANY);
    expect(come).toBeGreaterThan(MANY / 4);
    expect(come).toBeLessThan((3 * MANY) / 4);
    for (const other of [RE_INVITE, BYE, '\r\n\r\n', 'SIP/2.0 200 OK']) expect(arriving(other, 50), other).toBe(50);
    // Not of the kernel's count for a full buffer, not even before the next look.
    expect(overflows()).toBe(0);
    look(MARK);
    expect(filtered()).toBe(MANY - come);
    expect(overflows()).toBe(0);
    shed.stop();
  });

  it('it drops more as more waits, and nothing once the queue stays empty', () => {
    const { shed, arriving, look, filtered, overflows } = shedding();
    shed.start();
    for (let i = 0; i < 100; i++) look(20 * MARK);
    expect(arriving(NEW_INVITE, MANY)).toBeLessThan(MANY / 10);
    for (let i = 0; shed.isOn; i++) {
      look(0);
      expect(i).toBeLessThan(20);
    }
    expect(arena.words[SHED_WORD]).toBe(0);
    const dropped = filtered();
    expect(dropped).toBeGreaterThan((9 * MANY) / 10);
    expect(arriving(NEW_INVITE, MANY)).toBe(MANY);
    expect([filtered(), overflows()]).toEqual([dropped, 0]);
  });

  it('it is not asked again before there is something new to see', () => {
    const { shed } = shedding();
    shed.start();
    shed.look(2 * MARK, 0, 1000);
    expect(shed.isOn).toBe(true);
    // A dozen looks at an empty queue would end it.
    for (let i = 0; i < 50; i++) shed.look(0, 0, 1001);
    expect(shed.isOn).toBe(true);
    expect(shed.bounded(-1)).toBeLessThanOrEqual(100);
    expect(shed.bounded(0)).toBe(0);
    expect(shed.bounded(7)).toBe(7);
    shed.stop();
    expect(shed.bounded(-1)).toBe(-1);
  });
});

describe('drops at a full receive buffer', () => {
  it('are told as such without a filter, and while there is one', () => {
    const { shed, send, look, filtered, overflows, arriving } = shedding({ receiveBufferBytes: 8192 });
    shed.start();
    send(BYE, MANY);
    const before = overflows();
    expect(before).toBeGreaterThan(MANY / 2);
    while (receiveBatch(RECEIVE_BATCH, 0) > 0);
    expect(arriving(BYE, 2)).toBe(2);
    expect(overflows()).toBe(before);
    look(2 * MARK);
    send(BYE, MANY);
    look(2 * MARK);
    expect(overflows()).toBeGreaterThan(before + MANY / 2);
    expect(filtered()).toBe(0);
    shed.stop();
  });
});

describe('a socket that goes to another', () => {
  it('keeps no filter', () => {
    const { shed, arriving, look, overflows } = shedding();
    shed.start();
    for (let i = 0; i < 100; i++) look(20 * MARK);
    shed.stop();
    expect(arriving(NEW_INVITE, MANY)).toBe(MANY);
    for (let i = 0; i < 3; i++) look(20 * MARK);
    expect(shed.isOn).toBe(false);
    expect(arriving(NEW_INVITE, MANY)).toBe(MANY);
    expect(overflows()).toBe(0);
  });

  it("is not looked at for drops any more: they are the other server's", () => {
    const { shed, send, server, overflows } = shedding({ receiveBufferBytes: 8192 });
    shed.start();
    shed.stop();
    send(BYE, MANY);
    expect(overflows()).toBe(0);
    expect(receiveBatch(1, 0)).toBe(1);
    expect(server.index).toBe(0);
  });

  it('loses what another left there: a thread that died, or a server', () => {
    const first = shedding();
    first.shed.start();
    for (let i = 0; i < 100; i++) first.look(20 * MARK);
    expect(first.arriving(NEW_INVITE, MANY)).toBeLessThan(MANY / 10);
    const successor = new KernelShedding({ ...first, arena, mark: MARK, kernel: KERNEL });
    successor.start();
    expect(first.arriving(NEW_INVITE, MANY)).toBe(MANY);
    // What the dead one had not counted yet.
    expect(first.filtered()).toBeGreaterThan((9 * MANY) / 10);
    expect(first.overflows()).toBe(0);
  });

  it('loses it also where there is to be none (limits.shedInKernel)', () => {
    const { server, sockets, arriving } = shedding();
    const filter = new InviteFilter();
    filter.share = 1;
    expect(setFilter(server.index, filter.program)).toBe(0);
    expect(arriving(NEW_INVITE, MANY)).toBe(0);
    removeFilters(sockets, KERNEL);
    expect(arriving(NEW_INVITE, MANY)).toBe(MANY);
  });

  it('has dropped nothing yet, as far as its new server tells', () => {
    const { sockets, send, overflows } = shedding({ receiveBufferBytes: 8192 });
    send(BYE, MANY);
    expect(overflows()).toBeGreaterThan(0);
    forgetDrops(arena, sockets);
    expect(overflows()).toBe(0);
  });
});

describe('a kernel that refuses', () => {
  it('is asked once, and all goes on as without', () => {
    const { shed, counters, look, server, arriving, filtered, overflows } = shedding();
    const refused = () => counters.valueOf(COUNTER.filters_refused_total);
    const before = refused();
    shed.start();
    lockFilter(server.fd);
    for (let i = 0; i < 3; i++) look(2 * MARK);
    expect(refused()).toBe(before + 1);
    expect(shed.isOn).toBe(false);
    expect(arena.words[SHED_WORD]).toBe(0);
    expect(arriving(NEW_INVITE, MANY)).toBe(MANY);
    expect([filtered(), overflows()]).toEqual([0, 0]);
  });
});
