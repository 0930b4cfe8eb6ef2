/** Flow tokens (RFC 5626 5.2): what is written can be read again, and nothing else. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createArena } from '../../src/memory/arena.ts';
import type { BoundSocket } from '../../src/roles/bound-socket.ts';
import { FlowTokens, TOKEN } from '../../src/roles/flow-tokens.ts';
import { Outbound, ROUTE_WORDS } from '../../src/sip/outbound.ts';
import { TRANSPORT } from '../../src/sip/transport.ts';

const arena = createArena({ shardCount: 1, slotCount: 128, jumboCount: 1 });
const outbound = new Outbound(arena, 0, () => undefined);
const socketOf = (socket: number, transport: number): BoundSocket => ({
  socket,
  transport,
  family: 4,
  isDualStack: false,
  address: '192.0.2.254',
  port: 5060,
  isWildcard: false,
  advertisedHost: null,
  advertisedPort: null,
});
const SOCKETS = [socketOf(0, TRANSPORT.UDP), socketOf(1, TRANSPORT.TCP)];
const KEY = Int32Array.of(1, -2, 3, -4);
const tokensWith = (key = KEY, sockets = SOCKETS) => new FlowTokens(arena.bytes, arena.words, sockets, key);
const tokens = tokensWith();

function write(route: Int32Array): string {
  outbound.begin();
  const from = outbound.cursor;
  tokens.put(outbound, route, 0);
  return Buffer.from(arena.bytes.slice(from, outbound.cursor)).toString();
}

function read(text: string, by = tokens): number {
  outbound.begin();
  const at = outbound.cursor;
  arena.bytes.set(Buffer.from(text), at);
  return by.read(at, at + text.length);
}

const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const routes = fc
  .record({
    socket: fc.integer({ min: 0, max: 1 }),
    family: fc.constantFrom(4, 6),
    port: fc.integer({ min: 1, max: 65_535 }),
    words: fc.array(word, { minLength: 9, maxLength: 9 }),
  })
  .map(({ socket, family, port, words }) => {
    const route = Int32Array.of(socket, family, port, ...words);
    if (family === 4) for (const i of [4, 5, 6, 8, 9, 10]) route[i] = 0;
    return route;
  });

describe('RFC 5626 5.2: a flow token', () => {
  it('is a flow, and can stand in the user part of a URI', () => {
    fc.assert(
      fc.property(routes, (route) => {
        const token = write(route);
        expect(token).toMatch(/^flow[0-9a-f]+$/);
        expect(token).toHaveLength(route[1] === 4 ? 60 : 108);
        expect(read(token)).toBe(TOKEN.VALID);
        expect([...tokens.route.subarray(0, ROUTE_WORDS)]).toEqual([...route]);
      }),
    );
  });

  it('is none once a digit of it is another', () => {
    fc.assert(
      fc.property(routes, fc.nat(), fc.integer({ min: 1, max: 15 }), (route, place, change) => {
        const token = write(route);
        const at = 4 + (place % (token.length - 4));
        const digit = (Number.parseInt(token[at]!, 16) ^ change).toString(16);
        expect(read(token.slice(0, at) + digit + token.slice(at + 1))).toBe(TOKEN.FORGED);
      }),
    );
  });

  it('is none by another key', () => {
    fc.assert(
      fc.property(routes, (route) => {
        expect(read(write(route), tokensWith(Int32Array.of(1, -2, 3, -5)))).toBe(TOKEN.FORGED);
      }),
    );
  });

  it.each(['', 'f', 'flo', 'bob', 'Flow00'])('%j is no token', (text) => {
    expect(read(text)).toBe(TOKEN.NONE);
  });

  it.each(['flow', 'flower', 'flow0', `flow${'0'.repeat(56)}`, `flow${'0'.repeat(104)}`, `flow${'g'.repeat(56)}`])(
    '%s is a forged one',
    (text) => {
      expect(read(text)).toBe(TOKEN.FORGED);
    },
  );

  it('is of a flow that is gone where its socket is no more, or another', () => {
    const token = write(Int32Array.of(1, 4, 5060, 7, 0, 0, 0, 0, 0, 0, 0, 9));
    expect(read(token, tokensWith(KEY, SOCKETS.slice(0, 1)))).toBe(TOKEN.GONE);
    expect(read(token, tokensWith(KEY, [socketOf(0, TRANSPORT.UDP), socketOf(1, TRANSPORT.UDP)]))).toBe(TOKEN.GONE);
  });
});
