/** Datagrams by socket, beyond 32 bits. */

import { expect, it } from 'vitest';
import { createArena } from '../../src/memory/arena.ts';
import { DISPATCHER, DISPATCHER_BYTES, MAX_SOCKETS } from '../../src/memory/layout.ts';
import { SocketTraffic } from '../../src/runtime/socket-traffic.ts';

it('goes on where the words of the intake begin again', () => {
  const arena = createArena({ shardCount: 1, slotCount: 128, jumboCount: 1 });
  const traffic = new SocketTraffic(arena);
  const word = (arena.map.dispatcher >> 2) + DISPATCHER.SOCKET_COUNTS_WORD;
  arena.words[word] = 0x7fff_fff0;
  expect(traffic.received(0)).toBe(0x7fff_fff0);
  arena.words[word] = -0x10;
  expect(traffic.received(0)).toBe(0xffff_fff0);
  arena.words[word] = 0x10;
  arena.words[word + 1] = 5;
  expect([traffic.received(0), traffic.received(1)]).toEqual([0x1_0000_0010, 5]);
});

it('has a word for each socket', () => {
  expect(DISPATCHER.SOCKET_COUNTS_WORD + MAX_SOCKETS).toBeLessThanOrEqual(DISPATCHER_BYTES / 4);
});
