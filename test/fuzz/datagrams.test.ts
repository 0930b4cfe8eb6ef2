import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { request } from '../flows/messages.ts';
import { datagramOf, faultOfDatagram, runCampaign, runSessions } from './campaign.ts';
import { type Delivery, FuzzedServer } from './fuzzed-server.ts';
import { faultOf } from './invariants.ts';
import { runSession, SESSION } from './stateful-session.ts';

const VECTORS = new URL('../vectors/fuzz/', import.meta.url);
const COUNT = 50_000;
const SESSIONS = 8;
/** Each seed is a source, a socket, a configuration and a temper of the resolver. */
const SURROUNDINGS = 32;
/** V8 goes on compiling; a leak of one object per datagram would be ten times this. */
const MAX_GROWTH_BYTES = 4 * 1024 * 1024;
const PAD = 256;

/** `SEED=… npx vitest run test/fuzz` runs others. */
const seed = Number(process.env['SEED'] ?? 1);

describe('spoiled datagrams', () => {
  it(`${COUNT} from seed ${seed} break no invariant`, () => {
    const result = runCampaign({ seed, count: COUNT, seconds: 60 });
    expect(result.failures.map(({ fault, seed }) => `${fault} (--seed ${seed} --count 1)`)).toEqual([]);
    expect(result.served).toBe(COUNT);
    // It is not all noise: messages of every kind still get through.
    expect(result.sent).toBeGreaterThan(COUNT / 4);
    expect(result.heapGrowthBytes).toBeLessThan(MAX_GROWTH_BYTES);
  });

  it('are the same for the same seed', () => {
    const digest = (from: number) =>
      Array.from({ length: 100 }, (_, i) => Buffer.from(datagramOf(from + i).bytes).toString('hex'));
    expect(digest(7)).toEqual(digest(7));
    expect(new Set(digest(7)).size).toBeGreaterThan(80);
  });
});

describe('spoiled datagrams that meet transactions', () => {
  it(`break no invariant in ${SESSIONS} sessions from seed ${seed}, and leave nothing held`, () => {
    const result = runSessions({ seed, count: SESSIONS * SESSION, seconds: 60 });
    expect(result.failures.map(({ fault, seed }) => `${fault} (--stateful --seed ${seed} --count ${SESSION})`)).toEqual(
      [],
    );
    expect(result.served).toBe(SESSIONS * SESSION);
  });

  it('meet what they are meant to, the same for the same seed', () => {
    const { counters, sent } = runSession(seed);
    const met = [
      'request_retransmissions_total',
      'late_responses_total',
      'forged_responses_total',
      'cancels_sent_total',
    ];
    for (const name of [...met, 'failovers_total', 'forks_total', 'redirects_followed_total', 'timeouts_total']) {
      expect(counters[name], name).toBeGreaterThan(0);
    }
    const again = runSession(seed);
    expect(again.sent).toBe(sent);
    expect(again.counters).toEqual(counters);
  });
});

describe('datagrams that broke an invariant once', () => {
  const names = existsSync(VECTORS) ? readdirSync(VECTORS).filter((file) => file.endsWith('.dat')) : [];

  it.each(names)('%s does no more', (name) => {
    const bytes = readFileSync(new URL(name, VECTORS));
    for (let surroundings = 0; surroundings < SURROUNDINGS; surroundings++) {
      expect(faultOfDatagram({ seed: surroundings, bytes })).toBeNull();
    }
  });
});

describe('the invariants', () => {
  const server = new FuzzedServer();
  const bytes = (text: string) => Buffer.from(text, 'latin1');

  /** The delivery of a text under the first seed that suits, and what would be said if `sent` had been sent instead. */
  function faultIf(text: string, sent: (out: string | undefined) => readonly string[]): string | null {
    let fault: string | null = null;
    server.serve([{ seed: 0, bytes: bytes(text) }], true, (delivery: Delivery) => {
      expect(faultOf(server.arena, delivery, PAD)).toBeNull();
      const changed = { ...delivery, sent: [...sent(delivery.sent[0])] };
      fault = faultOf(server.arena, changed, PAD);
    });
    return fault;
  }

  const ACK = request({ method: 'ACK' });
  const OPTIONS = request({ method: 'OPTIONS', uri: 'sip:bob@192.0.2.77' });
  const OK = 'SIP/2.0 200 OK\r\n\r\n';

  it.each([
    ['two messages are sent for one', OPTIONS, (out: string | undefined) => [out!, out!]],
    ['an ACK is answered', ACK, () => [OK]],
    ['a response becomes a request', OK, () => [OPTIONS]],
    ['what is no SIP is answered', '\0', () => [OK]],
    ['a STUN answer is malformed', '\0\x01\0\0\x21\x12\xa4\x42123456789012', () => [OK]],
    ['an own response has other Vias', OPTIONS, () => [OK]],
    ['a forwarded request does not parse', OPTIONS, () => [OPTIONS.replace(/\r\n\r\n$/, '')]],
    ['the top Via of a forwarded request is not ours', OPTIONS, () => [OPTIONS]],
    ['a forwarded request goes to another shard', OPTIONS, () => [OPTIONS.replace('Call-ID: ', 'Call-ID: x')]],
    [
      'a forwarded response has not one Via less',
      `SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\nv: SIP/2.0/UDP b\r\n\r\n`,
      () => [`SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\n\r\n`],
    ],
  ])('see that %s', (fault, text, sent) => {
    expect(faultIf(text, sent)).toBe(fault);
  });

  it.each([
    ['another header is changed', /Call-ID: (.*)/, 'Call-ID:  $1'],
    ['Max-Forwards is not one less', /Max-Forwards: 69/, 'Max-Forwards: 68'],
    ['a request has not our Max-Breadth behind our Via', /Max-Breadth: 60\r\n/, ''],
    ['a request has not our Max-Breadth behind our Via', /Max-Breadth: 60/, 'Max-Breadth: 61'],
    ['the body is changed', /body$/, 'bodies'],
    ['more than received and rport is changed in a Via', /branch=z9hG4bK74bf9/, 'branch=z9hG4bK74bf8'],
    ['a Request-URI is changed without a cause', /sip:bob@192\.0\.2\.77/, 'sip:eve@192.0.2.77'],
  ])('see that %s', (fault, from, to) => {
    // The first surroundings in which the request is forwarded.
    const text = request({ method: 'OPTIONS', uri: 'sip:bob@192.0.2.77', body: 'body' });
    for (let seed = 0; seed < SURROUNDINGS; seed++) {
      let seen: string | null | undefined;
      server.serve([{ seed, bytes: bytes(text) }], true, (delivery) => {
        const [out] = delivery.sent;
        if (out === undefined || !out.startsWith('OPTIONS')) return;
        expect(out).toMatch(from);
        seen = faultOf(server.arena, { ...delivery, sent: [out.replace(from, to)] }, PAD);
      });
      if (seen === undefined) continue;
      expect(seen).toBe(fault);
      return;
    }
    expect.fail('is not forwarded anywhere');
  });
});
