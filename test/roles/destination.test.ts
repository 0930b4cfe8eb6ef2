/** Where a message goes, at the first attempt and after others failed (RFC 3263 4.3). */

import { describe, expect, it } from 'vitest';
import { Destination } from '../../src/roles/destination.ts';
import { FOUND, NOT_FOUND, PENDING, type ResolvedAddress, type ResolverPort } from '../../src/roles/ports.ts';
import { HOST_KIND } from '../../src/sip/host.ts';
import { TRANSPORT } from '../../src/sip/transport.ts';

const memory = new SharedArrayBuffer(256);
const bytes = new Uint8Array(memory);

/** Knows two destinations of a name without a port, and is still looking for a third. */
const resolver: ResolverPort = {
  find: (host, port, transport, selector, out) => resolver.findNext(host, port, transport, selector, 0, out),
  findNext(_host, _port, transport, selector, attempt, out: ResolvedAddress) {
    if (attempt > 1) return attempt === 2 ? PENDING : NOT_FOUND;
    out.family = 4;
    out.port = 5060 + attempt;
    out.transport = transport;
    out.words[0] = selector;
    return FOUND;
  },
  whenResolved: () => Promise.resolve(),
};
const destination = new Destination(bytes, new Int32Array(memory), [], resolver);

function find(host: string, attempt?: number): number {
  bytes.set(Buffer.from(host));
  return destination.find(0, host.length, -1, TRANSPORT.TCP, 7, attempt);
}

describe('RFC 3263 4.3: the next attempt', () => {
  it('goes to another destination of a name, until there are no more', () => {
    expect(find('pool.example')).toBe(FOUND);
    expect([destination.a0, destination.port]).toEqual([7, 5060]);
    expect(find('pool.example', 1)).toBe(FOUND);
    expect([destination.a0, destination.port]).toEqual([7, 5061]);
    expect(find('pool.example', 3)).toBe(NOT_FOUND);
  });

  it('waits for a name like the first', () => {
    expect(destination.findName('pool.example', -1, TRANSPORT.TCP, 7, 2)).toBe(PENDING);
    const { pendingHost, pendingPort, pendingTransport } = destination;
    expect([pendingHost, pendingPort, pendingTransport]).toEqual(['pool.example', -1, TRANSPORT.TCP]);
  });

  it('has nowhere to go from an address', () => {
    for (const host of ['192.0.2.1', '[2001:db8::1]']) {
      expect(find(host)).toBe(FOUND);
      expect(find(host, 1)).toBe(NOT_FOUND);
    }
    const literal = { hostStart: 0, hostEnd: 9, hostKind: HOST_KIND.IPV4, hostWord: 0x01020a0a };
    expect(destination.findHost(literal, -1, TRANSPORT.NONE, 7)).toBe(FOUND);
    expect(destination.findHost(literal, -1, TRANSPORT.NONE, 7, 1)).toBe(NOT_FOUND);
  });
});
