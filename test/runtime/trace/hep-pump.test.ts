/** What of a ring comes to the collector, and what is counted as dropped. */

import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../src/config/schema.ts';
import { EXPORT, openTrace } from '../../../src/observe/trace/trace-layout.ts';
import type { HepLink } from '../../../src/runtime/trace/hep-link.ts';
import { MAX_HEP_BYTES } from '../../../src/runtime/trace/hep-packet.ts';
import { HepPump } from '../../../src/runtime/trace/hep-pump.ts';
import { TraceService } from '../../../src/runtime/trace/trace-service.ts';
import { replyTo, request } from '../../flows/messages.ts';
import { ALICE, BOB, createElement, PROXY } from '../../flows/virtual-network.ts';
import { decodeHep, type HepFields } from './hep-decoder.ts';

const READING = {
  sockets: [{ transport: 'udp', family: 4, ...PROXY, isWildcard: false }],
  localAddresses: [],
  maskHeaders: [],
} as const;
const MESSAGES_OF_A_CALL = 5;

/** A collector with room for so many packets. */
class Collector implements HepLink {
  readonly packets: HepFields[] = [];
  room = Infinity;

  get hasRoom(): boolean {
    return this.room > 0;
  }

  readonly area = Buffer.alloc(MAX_HEP_BYTES);
  readonly next = 0;

  add(end: number): void {
    this.room--;
    this.packets.push(decodeHep(this.area.subarray(0, end)));
  }

  flush(): void {}

  close(): void {
    this.room = 0;
  }
}

function exporting(settings: object = {}) {
  const config = configSchema.parse({
    trace: { sample: 0, recentKiB: 64 },
    hep: { to: 'udp:homer:9060', ...settings },
  });
  const service = new TraceService(config, 1, READING);
  const element = createElement({ mode: 'stateful', trace: service.buffer });
  const memory = openTrace(service.buffer);
  const open = (isSuccessor = false) =>
    new HepPump(memory, READING, { captureId: 7, authKey: 'k' }, () => 1e15, isSuccessor);
  const call = (callId: string) => {
    const [, forwarded] = element.receive(
      request({ callId, via: `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK${callId}` }),
      ALICE,
    );
    element.receive(replyTo(forwarded!.text), BOB);
  };
  const dropped = () => memory.doubles[memory.map.exportDouble + EXPORT.DROPPED]!;
  return { open, call, dropped, element };
}

function drain(pump: HepPump, link: HepLink): void {
  while (pump.pump(link));
}

describe('the pump', () => {
  it('sends every message of a call, both directions, whatever the sample of the trace', () => {
    const { open, call } = exporting();
    const [pump, link] = [open(), new Collector()];
    call('one');
    drain(pump, link);
    expect(
      link.packets.map(({ source, destination, correlationId, payload }) => [
        source,
        destination,
        correlationId,
        payload.split(' ')[0],
      ]),
    ).toEqual([
      ['192.0.2.10:5060', '192.0.2.254:5060', 'one', 'INVITE'],
      ['192.0.2.254:5060', '192.0.2.10:5060', 'one', 'SIP/2.0'],
      ['192.0.2.254:5060', '192.0.2.30:5080', 'one', 'INVITE'],
      ['192.0.2.30:5080', '192.0.2.254:5060', 'one', 'SIP/2.0'],
      ['192.0.2.254:5060', '192.0.2.10:5060', 'one', 'SIP/2.0'],
    ]);
    expect(link.packets[0]).toMatchObject({
      family: 2,
      protocol: 17,
      type: 1,
      captureId: 7,
      authKey: 'k',
      timeUs: 1e15,
    });
  });

  it('leaves in the ring what the link has no room for, and sends it later', () => {
    const { open, call, dropped } = exporting();
    const [pump, link] = [open(), new Collector()];
    link.room = 2;
    call('one');
    drain(pump, link);
    expect(link.packets).toHaveLength(2);
    link.room = Infinity;
    drain(pump, link);
    expect([link.packets.length, dropped()]).toEqual([MESSAGES_OF_A_CALL, 0]);
  });

  it('counts what was overwritten meanwhile, to a message', () => {
    const { open, call, dropped } = exporting();
    const [pump, link] = [open(), new Collector()];
    link.room = 3;
    for (let i = 0; i < 100; i++) call(`call-${i}`);
    drain(pump, link);
    link.room = Infinity;
    drain(pump, link);
    expect(dropped()).toBeGreaterThan(300);
    expect(link.packets.length + dropped()).toBe(100 * MESSAGES_OF_A_CALL);
  });

  it('sends the sample of calls that hep.sample says, whole', () => {
    const { open, call, dropped } = exporting({ sample: 4 });
    const [pump, link] = [open(), new Collector()];
    for (let i = 0; i < 200; i++) {
      call(`call-${i}`);
      drain(pump, link);
    }
    const calls = new Map<string, number>();
    for (const { correlationId } of link.packets) calls.set(correlationId!, (calls.get(correlationId!) ?? 0) + 1);
    expect(calls.size).toBeGreaterThan(25);
    expect(calls.size).toBeLessThan(85);
    expect(new Set(calls.values())).toEqual(new Set([MESSAGES_OF_A_CALL]));
    expect(dropped()).toBe(0);
  });

  it('that follows a dead one goes on with what comes', () => {
    const { open, call, dropped } = exporting();
    call('before');
    const [pump, link] = [open(true), new Collector()];
    call('after');
    drain(pump, link);
    expect(new Set(link.packets.map(({ correlationId }) => correlationId))).toEqual(new Set(['after']));
    expect(dropped()).toBe(0);
  });

  it('shows no secrets', () => {
    const { open, element } = exporting();
    const [pump, link] = [open(), new Collector()];
    element.receive(request({ headers: ['Authorization: Digest response="0123456789"'] }), ALICE);
    drain(pump, link);
    expect(link.packets[0]!.payload).toContain('response="**********"');
  });
});
