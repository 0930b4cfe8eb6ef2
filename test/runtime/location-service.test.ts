/** The location table for operators, in this thread: a shard is another LocationTable over the same memory. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { BindingView, NewBinding } from '../../src/location/bindings.ts';
import { LocationTable, UPDATE } from '../../src/location/location-table.ts';
import { BINDING_FLAG } from '../../src/location/table-layout.ts';
import { LocationService } from '../../src/runtime/location-service.ts';
import { RequestError } from '../../src/runtime/request-error.ts';
import type { DomainCount, ListedBinding } from '../../src/runtime/running-server.ts';
import { TRANSPORT } from '../../src/sip/transport.ts';
import { advisedAreas, hasHugePages } from '../native/advised-areas.ts';

const SOCKET = {
  socket: 0,
  transport: TRANSPORT.UDP,
  family: 4,
  isDualStack: false,
  address: '192.0.2.1',
  port: 5070,
  isWildcard: false,
  advertisedHost: null,
  advertisedPort: null,
  text: 'udp:192.0.2.1:5070',
} as const;

const DOMAINS =
  'domains=[{name: example.org, users: [alice, bob, "/1[0-9]{3}/"]}, {name: example.net}, ' +
  '{name: "[2001:db8::5]"}, {name: gateway.example, nextHops: [sip:10.0.0.7]}]';

function serviceOf(...sets: readonly string[]): LocationService {
  const { config, problems } = loadConfig({ flags: {}, sets: ['location.capacity=1000', ...sets] });
  if (config === undefined) throw new Error(problems!.join('\n'));
  return new LocationService({
    config,
    fileUsers: null,
    shardCount: 1,
    sockets: [SOCKET],
    localAddresses: ['192.0.2.1'],
  });
}

function refusalOf(ask: () => unknown): string {
  try {
    ask();
  } catch (error) {
    if (error instanceof RequestError) return error.message;
    throw error;
  }
  throw new Error('not refused');
}

const HOUR = { expiresSec: 3600, q: 1 };

/** What a shard does: puts bindings in. */
class Shard {
  readonly table: LocationTable;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  #end = 0;

  constructor(service: LocationService) {
    const source = new SharedArrayBuffer(64 * 1024);
    this.#bytes = new Uint8Array(source);
    this.table = new LocationTable(service.buffer, 0, { bytes: this.#bytes, words: new Int32Array(source) });
  }

  put(aor: string, fill: (binding: NewBinding, text: (text: string) => [number, number]) => void): number {
    this.#end = 0;
    const [start, end] = this.#text(aor);
    const binding = new NewBinding();
    binding.expiresMs = Date.now() + 60_000;
    fill(binding, (text) => this.#text(text));
    this.table.quiesce();
    return this.table.update(start, end, (current, next) => {
      while (current.next()) next.keep(current);
      next.add(binding);
      return true;
    });
  }

  #text(text: string): [number, number] {
    const start = this.#end;
    this.#bytes.set(Buffer.from(text), start);
    this.#end += Buffer.byteLength(text);
    return [start, this.#end];
  }
}

function putContact(shard: Shard, aor: string, contact: string, expiresMs = Date.now() + 60_000): void {
  const outcome = shard.put(aor, (binding, text) => {
    [binding.contactStart, binding.contactEnd] = text(contact);
    binding.expiresMs = expiresMs;
  });
  expect(outcome).toBe(UPDATE.DONE);
}

/** All parts of a list, and how many there were. */
function listAll(
  service: LocationService,
  limit: number,
  domain?: string,
): { bindings: ListedBinding[]; parts: number } {
  const bindings: ListedBinding[] = [];
  let parts = 0;
  for (let cursor: number | null = 0; cursor !== null; parts++) {
    const page = service.list({ cursor, limit, domain });
    // Seven AoRs may share a bucket, and one of them has two bindings.
    expect(page.bindings.length).toBeLessThan(limit + 8);
    bindings.push(...page.bindings);
    cursor = page.cursor;
  }
  return { bindings, parts };
}

function countAll(service: LocationService, domain?: string): Record<string, [number, number]> {
  const counts: Record<string, [number, number]> = {};
  for (let cursor: number | null = 0; cursor !== null; ) {
    const page: { domains: readonly DomainCount[]; cursor: number | null } = service.count({ cursor, domain });
    for (const { domain: name, aors, bindings } of page.domains) {
      const [aorsBefore, bindingsBefore] = counts[name] ?? [0, 0];
      counts[name] = [aorsBefore + aors, bindingsBefore + bindings];
    }
    cursor = page.cursor;
  }
  return counts;
}

describe('show', () => {
  it('tells all that a REGISTER left', () => {
    const service = serviceOf(DOMAINS);
    const shard = new Shard(service);
    const updatedMs = Date.parse('2026-11-25T08:00:00Z');
    shard.put('sip:alice@example.org', (binding, text) => {
      [binding.contactStart, binding.contactEnd] = text('sip:alice@10.0.0.9');
      [binding.callIdStart, binding.callIdEnd] = text('call-1@phone');
      [binding.pathStart, binding.pathEnd] = text('<sip:edge;lr>, <sip:core;lr>');
      [binding.instanceStart, binding.instanceEnd] = text('"<urn:uuid:1>"');
      [binding.userAgentStart, binding.userAgentEnd] = text('Telefon Größe 3');
      [binding.paramsStart, binding.paramsEnd] = text(';audio;video');
      binding.updatedMs = updatedMs;
      binding.cseq = 4_000_000_000;
      binding.q = 25;
      binding.regId = 2;
      binding.flags = BINDING_FLAG.AT_SOURCE;
      binding.family = 6;
      binding.port = 40_000;
      binding.source.set(new Int32Array(Uint8Array.of(0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 9).buffer));
      binding.local.set(new Int32Array(Uint8Array.of(...Array(15).fill(0), 1).buffer));
    });
    shard.put('sip:alice@example.org', (binding, text) => {
      [binding.contactStart, binding.contactEnd] = text('sip:alice@10.0.0.10');
      [binding.callIdStart, binding.callIdEnd] = text('call-2');
      binding.flags = BINDING_FLAG.AT_SOURCE;
      binding.port = 5060;
      binding.source[0] = new Int32Array(Uint8Array.of(10, 0, 0, 10).buffer)[0]!;
    });
    const { aor, bindings } = service.show('alice@EXAMPLE.org');
    expect(aor).toBe('sip:alice@example.org');
    expect(bindings).toEqual([
      {
        aor: 'sip:alice@example.org',
        contact: 'sip:alice@10.0.0.9',
        expiresSec: 60,
        q: 0.025,
        callId: 'call-1@phone',
        cseq: 4_000_000_000,
        path: '<sip:edge;lr>, <sip:core;lr>',
        instance: '"<urn:uuid:1>"',
        regId: 2,
        received: '[2001:db8::9]:40000',
        socket: 'udp:192.0.2.1:5070',
        localAddress: '::1',
        isReachedAtSource: false,
        userAgent: 'Telefon Größe 3',
        parameters: ';audio;video',
        updated: '2026-11-25T08:00:00.000Z',
      },
      expect.objectContaining({
        contact: 'sip:alice@10.0.0.10',
        received: '10.0.0.10:5060',
        localAddress: null,
        isReachedAtSource: true,
        path: null,
        instance: null,
        regId: null,
        userAgent: null,
        parameters: null,
      }),
    ]);
  });

  it('says whether there is nobody, or nothing', () => {
    const service = serviceOf(DOMAINS);
    expect(refusalOf(() => service.show('alice@example.org'))).toBe('sip:alice@example.org has no bindings');
    expect(refusalOf(() => service.show('zoe@example.org'))).toBe('there is no such user: example.org has no zoe');
  });

  it('leaves out what has expired', () => {
    const service = serviceOf(DOMAINS);
    const shard = new Shard(service);
    putContact(shard, 'sip:alice@example.org', 'sip:gone@10.0.0.1', Date.now() - 1);
    expect(refusalOf(() => service.show('alice@example.org'))).toBe('sip:alice@example.org has no bindings');
    expect(refusalOf(() => service.remove({ aor: 'alice@example.org' }))).toBe('sip:alice@example.org has no bindings');
    expect(listAll(service, 10).bindings).toEqual([]);
    expect(countAll(service)).toEqual({});
  });
});

describe('an AoR', () => {
  it.each([
    ['alice@example.org', 'sip:alice@example.org'],
    ['sip:alice@example.org', 'sip:alice@example.org'],
    ['SIP:%61lice@Example.ORG:5070;transport=udp', 'sip:alice@example.org'],
    ['sips:alice@example.org', 'sip:alice@example.org'],
    ['a@[2001:db8:0::5]', 'sip:a@[2001:db8::5]'],
  ])('may be written as %s', (written, canonical) => {
    const service = serviceOf(DOMAINS);
    expect(service.add({ aor: written, contact: 'sip:c@10.0.0.1', ...HOUR }).aor).toBe(canonical);
    expect(service.show(canonical).bindings).toHaveLength(1);
  });

  it.each([
    'alice',
    'example.org',
    'sip:example.org',
    '@example.org',
    'tel:+4930',
    'a b@example.org',
    'mailto:a@b',
    'é@a',
  ])('is not %s', (text) => {
    const service = serviceOf(DOMAINS);
    expect(refusalOf(() => service.show(text))).toBe(
      `${text} is not a SIP URI of a user; write it like alice@example.org`,
    );
  });

  it('is at most 1023 bytes', () => {
    const service = serviceOf();
    expect(refusalOf(() => service.show(`${'a'.repeat(1100)}@example.org`))).toMatch(/more than 1023 bytes/);
    expect(refusalOf(() => service.show(`${'a'.repeat(100_000)}@example.org`))).toMatch(/at most 8192 bytes/);
  });
});

describe('add', () => {
  it('puts in what the shards then find', () => {
    const service = serviceOf(DOMAINS);
    const shard = new Shard(service);
    expect(service.add({ aor: 'bob@example.org', contact: 'sip:bob@10.0.0.1', expiresSec: 60, q: 0.333 })).toEqual({
      aor: 'sip:bob@example.org',
      contact: 'sip:bob@10.0.0.1',
      isNew: true,
    });
    expect(service.aorCount).toBe(1);
    const view = new BindingView(shard.table);
    shard.table.quiesce();
    shard.table.list(0, Infinity, (record) => view.open(record));
    expect(view.next()).toBe(true);
    expect([view.q, Math.ceil(view.remainingMs(Date.now()) / 1000), view.flags]).toEqual([333, 60, 0]);
    expect(Buffer.from(view.bytes.slice(view.contactStart, view.contactEnd)).toString()).toBe('sip:bob@10.0.0.1');
    expect(view.next()).toBe(false);
    expect(service.show('bob@example.org').bindings[0]).toMatchObject({ callId: null, cseq: null, received: null });
  });

  it('takes the place of an equal contact (RFC 3261 19.1.4), and leaves others and flows alone', () => {
    const service = serviceOf(DOMAINS);
    const shard = new Shard(service);
    const add = (contact: string) => service.add({ aor: 'alice@example.org', contact, ...HOUR }).isNew;
    shard.put('sip:alice@example.org', (binding, text) => {
      [binding.contactStart, binding.contactEnd] = text('sip:alice@10.0.0.1');
      [binding.instanceStart, binding.instanceEnd] = text('"<urn:uuid:1>"');
      binding.regId = 1;
    });
    putContact(shard, 'sip:alice@example.org', 'sip:alice@phone.example.org;x=1');
    putContact(shard, 'sip:alice@example.org', 'sip:ALICE@phone.example.org');
    expect(add('sip:%61lice@PHONE.example.org;x=1')).toBe(false);
    expect(add('sip:alice@10.0.0.1')).toBe(true);
    expect(add('sip:alice@10.0.0.1')).toBe(false);
    expect(service.show('alice@example.org').bindings.map(({ contact, regId }) => [contact, regId])).toEqual([
      ['sip:alice@10.0.0.1', 1],
      ['sip:%61lice@PHONE.example.org;x=1', null],
      ['sip:ALICE@phone.example.org', null],
      ['sip:alice@10.0.0.1', null],
    ]);
  });

  it.each([
    ['zoe@example.org', 'there is no such user: example.org has no zoe'],
    ['zoe@foreign.example', 'foreign.example is none of our domains, so nobody would look for sip:zoe@foreign.example'],
    [
      'zoe@gateway.example',
      'gateway.example is a domain without a registrar, so nobody would look for sip:zoe@gateway.example',
    ],
    ['zoe@192.0.2.2', '192.0.2.2 is none of our domains, so nobody would look for sip:zoe@192.0.2.2'],
  ])('refuses %s, who would not be looked for', (aor, message) => {
    const service = serviceOf(DOMAINS);
    expect(refusalOf(() => service.add({ aor, contact: 'sip:c@10.0.0.1', ...HOUR }))).toBe(message);
    expect(service.aorCount).toBe(0);
  });

  it.each(['1234@example.org', 'anybody@example.net', 'zoe@192.0.2.1'])('knows %s', (aor) => {
    const service = serviceOf(DOMAINS);
    expect(service.add({ aor, contact: 'sip:c@10.0.0.1', ...HOUR }).isNew).toBe(true);
  });

  it('takes everybody where the server registers everybody', () => {
    const service = serviceOf();
    expect(service.add({ aor: 'zoe@anywhere.example', contact: 'tel:+4930', ...HOUR }).isNew).toBe(true);
  });

  it.each(['alice@10.0.0.1', 'sip:', '<sip:a@b>', 'sip:a@b c', 'host:5060', '10.0.0.1', 'mailto:a@b'])(
    'refuses the contact %s',
    (contact) => {
      const service = serviceOf();
      expect(refusalOf(() => service.add({ aor: 'a@b', contact, ...HOUR }))).toBe(
        `${contact} is not a SIP or tel URI; write a contact like sip:alice@192.0.2.10:5060`,
      );
    },
  );

  it('heeds registrar.maxContacts', () => {
    const service = serviceOf('registrar.maxContacts=2');
    const add = (contact: string) => service.add({ aor: 'a@b.example', contact, ...HOUR });
    add('sip:1@10.0.0.1');
    add('sip:2@10.0.0.1');
    expect(refusalOf(() => add('sip:3@10.0.0.1'))).toBe(
      'sip:a@b.example has 2 contacts already, and registrar.maxContacts allows no more',
    );
    expect(add('sip:2@10.0.0.1').isNew).toBe(false);
    expect(service.show('a@b.example').bindings).toHaveLength(2);
  });

  it('says when the table is full', () => {
    const service = serviceOf();
    const message = refusalOf(() => {
      for (let i = 0; i < 10_000; i++) service.add({ aor: `user${i}@example.org`, contact: 'sip:c@10.0.0.1', ...HOUR });
    });
    expect(message).toBe('the location table is full: raise location.capacity, which is 1000, and restart');
    expect(service.aorCount).toBeGreaterThanOrEqual(1000);
  });
});

describe('remove', () => {
  it('takes one contact, or all', () => {
    const service = serviceOf();
    const shard = new Shard(service);
    for (const user of ['1', '2', '3']) putContact(shard, 'sip:a@b.example', `sip:${user}@10.0.0.1`);
    expect(service.remove({ aor: 'a@b.example', contact: 'sip:%32@10.0.0.1' }).removed).toBe(1);
    expect(service.show('a@b.example').bindings.map(({ contact }) => contact)).toEqual([
      'sip:1@10.0.0.1',
      'sip:3@10.0.0.1',
    ]);
    expect(service.remove({ aor: 'a@b.example' })).toEqual({ aor: 'sip:a@b.example', removed: 2 });
    expect(service.aorCount).toBe(0);
  });

  it('says what was not there', () => {
    const service = serviceOf(DOMAINS);
    const remove = (aor: string, contact?: string) => refusalOf(() => service.remove({ aor, contact }));
    service.add({ aor: 'alice@example.org', contact: 'sip:c@10.0.0.1', ...HOUR });
    expect(remove('bob@example.org')).toBe('sip:bob@example.org has no bindings');
    expect(remove('zoe@example.org')).toBe('there is no such user: example.org has no zoe');
    expect(remove('alice@example.org', 'sip:d@10.0.0.1')).toBe(
      'sip:alice@example.org has no binding with the contact sip:d@10.0.0.1',
    );
    expect(service.show('alice@example.org').bindings).toHaveLength(1);
  });
});

describe('onChange', () => {
  it('is told of what has changed, and of nothing else', () => {
    const service = serviceOf(DOMAINS);
    const changed: string[] = [];
    service.onChange = (aor) => changed.push(Buffer.from(aor).toString());
    service.add({ aor: 'alice@EXAMPLE.org', contact: 'sip:c@10.0.0.1', ...HOUR });
    refusalOf(() => service.add({ aor: 'zoe@example.org', contact: 'sip:c@10.0.0.1', ...HOUR }));
    refusalOf(() => service.remove({ aor: 'bob@example.org' }));
    service.show('alice@example.org');
    expect(changed).toEqual(['sip:alice@example.org']);
    service.remove({ aor: 'alice@example.org' });
    expect(changed).toEqual(['sip:alice@example.org', 'sip:alice@example.org']);
  });
});

describe('list and count', () => {
  const service = serviceOf();
  const users = Array.from({ length: 600 }, (_, i) => `sip:user${i}@${i % 3 === 0 ? 'example.org' : 'example.net'}`);
  const shard = new Shard(service);
  for (const aor of users) putContact(shard, aor, 'sip:c@10.0.0.1');
  putContact(shard, 'sip:user0@example.org', 'sip:d@10.0.0.1');
  putContact(shard, 'sip:example.com', 'sip:domain@10.0.0.1');

  it('show everything once, whatever the size of the parts', () => {
    const aors = [...users, 'sip:user0@example.org', 'sip:example.com'].sort();
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), (limit) => {
        const { bindings, parts } = listAll(service, limit);
        expect(bindings.map(({ aor }) => aor).sort()).toEqual(aors);
        if (limit < 100) expect(parts).toBeGreaterThan(602 / 107);
      }),
      { numRuns: 20 },
    );
  });

  it('keep to one domain, however it is written', () => {
    expect(listAll(service, 50, 'Example.ORG.').bindings).toHaveLength(201);
    expect(listAll(service, 50, 'example').bindings).toEqual([]);
    expect(countAll(service, 'example.net')).toEqual({ 'example.net': [400, 400] });
    expect(countAll(service)).toEqual({
      'example.org': [200, 201],
      'example.net': [400, 400],
      'example.com': [1, 1],
    });
    expect(refusalOf(() => service.list({ cursor: 0, limit: 1, domain: 'a b' }))).toBe('a b is not a domain name');
    expect(refusalOf(() => service.count({ cursor: 0, domain: 'a@b' }))).toBe('a@b is not a domain name');
  });

  it('end at once for a cursor behind the end', () => {
    expect(service.list({ cursor: 2 ** 40, limit: 1 })).toEqual({ bindings: [], cursor: null });
    expect(service.count({ cursor: 2 ** 40 })).toEqual({ domains: [], cursor: null });
  });
});

describe('between questions', () => {
  it('the main thread holds no record that others retire', () => {
    const service = serviceOf();
    const shard = new Shard(service);
    service.add({ aor: 'a@b.example', contact: 'sip:c@10.0.0.1', ...HOUR });
    refusalOf(() => service.show('nobody@b.example'));
    service.list({ cursor: 0, limit: 1 });
    service.count({ cursor: 0 });
    service.bury(0);
    const rounds = (service.buffer.byteLength / 64) * 2;
    for (let i = 0; i < rounds; i++) {
      const outcome = shard.put('sip:x@b.example', () => undefined);
      expect(outcome).toBe(UPDATE.DONE);
      shard.table.remove(0, 'sip:x@b.example'.length);
    }
  });
});

// A kernel without CONFIG_TRANSPARENT_HUGEPAGE takes no advice.
describe.skipIf(!hasHugePages)('location.hugePages', () => {
  const MAX_PAGE_BYTES = 64 * 1024;
  /** Areas that the kernel was asked to back by huge pages, of the length of what look-ups touch of this table. */
  const areasOf = ({ buffer }: LocationService): number[] => {
    const { searchedArea } = new LocationTable(buffer, 0, {
      bytes: new Uint8Array(buffer),
      words: new Int32Array(buffer),
    });
    return advisedAreas().filter((bytes) => Math.abs(searchedArea.length - bytes) <= 2 * MAX_PAGE_BYTES);
  };

  it('asks for them for buckets and records', () => {
    const service = serviceOf('location.capacity=54321');
    expect(areasOf(service)).toHaveLength(1);
    expect(service.buffer.byteLength - areasOf(service)[0]!).toBeLessThan(16 * 54_321);
  });

  it('off: does not', () => {
    expect(areasOf(serviceOf('location.capacity=43210', 'location.hugePages=false'))).toEqual([]);
  });
});
