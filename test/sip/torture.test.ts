/** RFC 4475 and RFC 5118 through the element: each message as its datagram, each verdict of the tables beside the bytes. */

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fieldsOf, message, startLineOf, statusOf, valuesOf, withoutOurLines } from '../flows/messages.ts';
import { createElement, type ElementOptions, type Endpoint, type Sent } from '../flows/virtual-network.ts';
import { RFC_4475 } from '../vectors/rfc4475/verdicts.ts';
import { RFC_5118 } from '../vectors/rfc5118/verdicts.ts';
import type { Forward, Vector, Verdict } from '../vectors/verdict.ts';

const NETWORK: ElementOptions = {
  listen: ['udp:192.0.2.254:5060', 'udp:[2001:db8::53]:5060'],
  domains: ['strowger.example'],
  nextHops: [],
  trusted: ['0.0.0.0/0', '::/0'],
  hosts: {
    'example.com': ['203.0.113.1'],
    'chair-dnrc.example.com': ['203.0.113.1'],
    'example.net': ['203.0.113.2'],
    'example.org': ['203.0.113.3'],
    'company.com': ['203.0.113.4'],
    'services.example.com': ['203.0.113.5'],
    'host.example.net': ['203.0.113.6'],
    'registrar.example.com': ['203.0.113.8'],
  },
};
const element = createElement(NETWORK);
const OUR_VIA = /^SIP\/2\.0\/UDP (192\.0\.2\.254|\[2001:db8::53\])(:5060)?;branch=z9hG4bK/;

describe.each([
  ['rfc4475', RFC_4475, 49],
  ['rfc5118', RFC_5118, 14],
] as const)('%s', (directory, vectors, count) => {
  it(`has its ${count} messages`, () => {
    expect(new Set(vectors.map((vector) => vector.name)).size).toBe(count);
  });

  it.each(vectors.map((vector) => [vector.section, vector.name, vector] as const))(
    '%s %s',
    (_section, name, vector) => {
      const received = readVector(directory, name);
      const sent = element.receive(received, endpoint(vector.source ?? '192.0.2.200:5060'), socketFor(vector));
      const faults = vector.expected.map((verdict) => faultOf(verdict, received.toString('latin1'), sent));
      if (!faults.includes(undefined)) expect.fail(`${faults[0]}\n${vector.why}`);
    },
  );
});

/** The verdicts are the same: a stateful proxy says 100 to an INVITE before anything else, and may record its route. */
describe.each([
  ['rfc4475', RFC_4475],
  ['rfc5118', RFC_5118],
] as const)('%s, with transactions', (directory, vectors) => {
  it.each(vectors.map((vector) => [vector.section, vector.name, vector] as const))(
    '%s %s',
    (_section, name, vector) => {
      const stateful = createElement({ ...NETWORK, mode: 'stateful', settings: { recordRoute: [] } });
      const received = readVector(directory, name);
      const sent = stateful
        .receive(received, endpoint(vector.source ?? '192.0.2.200:5060'), socketFor(vector))
        .filter((one) => statusOf(one.text) !== 100);
      const faults = vector.expected.map((verdict) => faultOf(verdict, received.toString('latin1'), sent));
      if (!faults.includes(undefined)) expect.fail(`${faults[0]}\n${vector.why}`);
      stateful.advance(300_000);
      expect(stateful.occupancy()).toEqual({ serverTransactions: 0, clientTransactions: 0, keptMessages: 0 });
    },
  );
});

describe('RFC 4475, responses with our Via on top', () => {
  /** The Via our element puts on a request. */
  function ourVia(): string {
    const probe = message('OPTIONS sip:user@example.com SIP/2.0', [
      'Via: SIP/2.0/UDP 192.0.2.105;branch=z9hG4bK2398ndaoe',
      'To: <sip:user@example.com>',
      'From: <sip:a@example.com>;tag=1',
      'Call-ID: 1',
      'CSeq: 1 OPTIONS',
      'Max-Forwards: 70',
    ]);
    const [out] = element.receive(probe, { address: '192.0.2.105', port: 5060 });
    return valuesOf(out!.text, 'Via')[0]!;
  }

  const receiveBelowOurVia = (text: string) =>
    element.receive(text.replace('\r\n', `\r\nVia: ${ourVia()}\r\n`), { address: '203.0.113.1', port: 5060 });

  it.each([
    ['unreason', { address: '192.0.2.198', port: 5060 }],
    ['noreason', { address: '192.0.2.105', port: 5060 }],
  ])('%s is forwarded byte for byte', (name, to) => {
    const original = readVector('rfc4475', name).toString('latin1');
    const sent = receiveBelowOurVia(original);
    expect(sent.map((one) => one.to)).toEqual([to]);
    expect(sent[0]!.text).toBe(original);
  });

  it.each(['bigcode', 'scalarlg'])('%s is dropped', (name) => {
    expect(receiveBelowOurVia(readVector('rfc4475', name).toString('latin1'))).toEqual([]);
  });

  it('bcast is not sent to the broadcast address', () => {
    const original = readVector('rfc4475', 'bcast').toString('latin1');
    const broadcastNext = original.replace(/Via: SIP\/2\.0\/UDP 192\.0\.2\.198[^\r]*\r\n/, '');
    expect(fieldsOf(broadcastNext, 'Via')).toEqual(['SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK1saber23']);
    expect(receiveBelowOurVia(broadcastNext)).toEqual([]);
  });
});

describe('RFC 4475 3.2.1, a bare magic cookie', () => {
  it('does not give two transactions one branch', () => {
    const text = readVector('rfc4475', 'badbranch').toString('latin1');
    const branches = [text, text.replace('badbranch.', 'other.')].map((one) => {
      const [sent] = element.receive(one, endpoint('192.0.2.1:5060'));
      return valuesOf(sent!.text, 'Via')[0];
    });
    if (!branches.includes(undefined)) expect(branches[0]).not.toBe(branches[1]);
  });
});

describe('damaged messages', () => {
  const all = [...RFC_4475.map(({ name }) => `rfc4475/${name}`), ...RFC_5118.map(({ name }) => `rfc5118/${name}`)];
  const from = { address: '192.0.2.200', port: 5060 };

  /** Whatever came in: at most one message out, and that one well-formed as far as we made it. */
  function expectSane(received: Buffer): void {
    const sent = element.receive(received, from);
    const start = received.toString('latin1').trimStart();
    const seen = JSON.stringify(received.toString('latin1'));
    expect(sent.length, seen).toBeLessThanOrEqual(1);
    if (sent.length === 0) return;
    const [{ text }] = sent as [Sent];
    expect(text.indexOf('\r\n\r\n'), seen).toBeGreaterThan(0);
    if (statusOf(text) === 0) expect(valuesOf(text, 'Via')[0], seen).toMatch(OUR_VIA);
    else expect(/^([Ss][Ii][Pp]\/|ACK )/.test(start), seen).toBe(false);
  }

  it.each(all)('%s cut short anywhere', (path) => {
    const [directory, name] = path.split('/') as [string, string];
    const received = readVector(directory, name);
    for (let length = 0; length < received.length; length += received.length > 1000 ? 7 : 1) {
      expectSane(received.subarray(0, length));
    }
  });

  it.each(all)('%s with one octet of its header changed', (path) => {
    const [directory, name] = path.split('/') as [string, string];
    const received = readVector(directory, name);
    const end = Math.max(received.indexOf('\r\n\r\n'), 100);
    for (let at = 0; at < end; at += end > 1000 ? 7 : 1) {
      for (const octet of [0x00, 0x0d, 0x0a, 0x22, 0x2c, 0x3a, 0x3b, 0x3c, 0xff]) {
        const changed = Buffer.from(received);
        changed[at] = octet;
        expectSane(changed);
      }
    }
  });
});

function readVector(directory: string, name: string): Buffer {
  return readFileSync(new URL(`../vectors/${directory}/${name}.dat`, import.meta.url));
}

function endpoint(text: string): Endpoint {
  const [, address, port] = /^\[?([^\]]+?)\]?:(\d+)$/.exec(text)!;
  return { address: address!, port: Number(port) };
}

function socketFor(vector: Vector): number {
  return vector.source?.startsWith('[') === true ? 1 : 0;
}

/** What keeps `sent` from being that verdict; undefined if nothing does. */
function faultOf(verdict: Verdict, received: string, sent: readonly Sent[]): string | undefined {
  const seen = sent.map((one) => startLineOf(one.text)).join(' + ') || 'nothing';
  if (verdict.kind === 'drop') return sent.length === 0 ? undefined : `expected nothing, sent ${seen}`;
  const [one] = sent;
  if (one === undefined || sent.length > 1) return `expected to ${verdict.kind}, sent ${seen}`;
  if (verdict.kind === 'forward') return faultOfForwarded(verdict, received, one);
  const wanted = typeof verdict.status === 'number' ? [verdict.status] : verdict.status;
  if (!wanted.includes(statusOf(one.text))) return `expected ${wanted.join(' or ')}, sent ${seen}`;
  for (const header of verdict.headers ?? []) {
    const [name, value] = header.split(': ') as [string, string];
    if (valuesOf(one.text, name).join(', ') !== value)
      return `expected ${header}, sent ${fieldsOf(one.text, name).join(' | ')}`;
  }
  return undefined;
}

function faultOfForwarded(verdict: Forward, received: string, sent: Sent): string | undefined {
  if (statusOf(sent.text) !== 0) return `expected to forward, sent ${startLineOf(sent.text)}`;
  const to = `${sent.to.address.includes(':') ? `[${sent.to.address}]` : sent.to.address}:${sent.to.port}`;
  if (to !== verdict.to) return `expected to forward to ${verdict.to}, sent to ${to}`;
  if (!OUR_VIA.test(fieldsOf(sent.text, 'Via')[0]!)) return `top Via is ${fieldsOf(sent.text, 'Via')[0]}`;
  let wanted = cutToContentLength(received);
  for (const [from, replacement] of verdict.edits ?? []) wanted = wanted.replace(from, replacement);
  const left = withoutProxyTraces(wanted);
  const right = withoutProxyTraces(withoutOurLines(sent.text, received));
  return left === right
    ? undefined
    : `bytes differ\nexpected ${JSON.stringify(left)}\nsent     ${JSON.stringify(right)}`;
}

function cutToContentLength(text: string): string {
  const body = text.indexOf('\r\n\r\n') + 4;
  const length = /\r\n(?:content-length|l)[ \t]*:[ \t]*(\d+)/i.exec(text.slice(0, body))?.[1];
  return length === undefined ? text : text.slice(0, body + Number(length));
}

/** What every proxy changes, made equal on both sides: Max-Forwards (its value is tested in flows/), received and rport. */
function withoutProxyTraces(text: string): string {
  const body = text.indexOf('\r\n\r\n');
  const header = text
    .slice(0, body)
    .replace(/\r\nmax-forwards[ \t]*:[^\r]*/i, '')
    .replace(/;received=[^;,\s]+/g, '')
    .replace(/;rport=\d+/g, ';rport');
  return header + text.slice(body);
}
