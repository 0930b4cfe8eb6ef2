/** A call through the stateful proxy as the people around it see it: who sends what, and who gets what because of it. Every
 *  proxy opened here has to hold nothing once a test is over and its timers have run out. */

import { expect, onTestFinished } from 'vitest';
import { fieldsOf, type RequestParts, replyTo, request, startLineOf, statusOf } from '../messages.ts';
import {
  ALICE,
  BOB,
  createElement,
  type ElementOptions,
  type Endpoint,
  type Sent,
  type VirtualElement,
} from '../virtual-network.ts';

export const CAROL: Endpoint = { address: '192.0.2.31', port: 5080 };
export const DAVE: Endpoint = { address: '192.0.2.32', port: 5080 };
export const EVE: Endpoint = { address: '192.0.2.33', port: 5080 };

export const NOTHING_HELD = { serverTransactions: 0, clientTransactions: 0, keptMessages: 0 };

/** Longer than any timer runs: C, then the wait for a cancelled branch, then H. */
const LONG_MS = 900_000;

const NAMES: readonly (readonly [string, Endpoint])[] = [
  ['Alice', ALICE],
  ['Bob', BOB],
  ['Carol', CAROL],
  ['Dave', DAVE],
  ['Eve', EVE],
];

/** The proxy of most tests: mode stateful, Bob's server for a next hop. */
export function openProxy(options: ElementOptions = {}): VirtualElement {
  const proxy = createElement({ mode: 'stateful', ...options });
  onTestFinished(() => {
    proxy.advance(LONG_MS);
    expect(proxy.occupancy()).toEqual(NOTHING_HELD);
    const counters = proxy.counters();
    expect(counters.server_transactions_ended_total).toBe(counters.server_transactions_total);
    expect(counters.client_transactions_ended_total).toBe(counters.client_transactions_total);
  });
  return proxy;
}

export type Contact = Endpoint | { readonly at: Endpoint; readonly q: number };

/** Settings with which Bob is reached at these places: a fork. */
export function forkTo(...contacts: readonly Contact[]): { readonly domains: readonly unknown[] } {
  const fixed = contacts.map((contact) =>
    'at' in contact ? { uri: uriAt(contact.at), q: contact.q } : { uri: uriAt(contact), q: 1 },
  );
  return { domains: [{ name: 'biloxi.example', users: [{ user: 'bob', contacts: fixed }] }] };
}

export function uriAt({ address, port }: Endpoint, user = 'bob'): string {
  return `sip:${user}@${address}:${port}`;
}

export interface ReplyParts {
  readonly headers?: readonly string[];
  readonly tag?: string;
  readonly body?: string;
  /** null: without the Contact that all responses have. */
  readonly ownContact?: null;
}

/** What the UA at `from` answers to a request that reached it: a tag for each place, so that forks differ. */
export function replyOf(from: Endpoint, requestText: string, status: string, parts: ReplyParts = {}): string {
  const tag = parts.tag ?? `at-${from.address}`;
  const text = replyTo(requestText, status, parts.body).replace(';tag=314159', `;tag=${tag}`);
  const untagged = status.startsWith('100') ? text.replace(`;tag=${tag}`, '') : text;
  const plain = parts.ownContact === null ? untagged.replace(/\r\nContact: [^\r]*/, '') : untagged;
  return (parts.headers ?? []).reduce((all, line) => all.replace('\r\n\r\n', `\r\n${line}\r\n\r\n`), plain);
}

/** What left, as "INVITE to Bob" or "180 to Alice", in alphabetical order: messages of one moment have none. */
export function brief(sent: readonly Sent[]): string[] {
  return sent.map(told).sort();
}

/** What left and when: "0.5 INVITE to Bob". Seconds since `fromMs`, to a tenth. */
export function timeline(sent: readonly (Sent & { readonly atMs: number })[], fromMs = 0): string[] {
  return sent.map((one) => `${Math.round((one.atMs - fromMs) / 100) / 10} ${told(one)}`);
}

function told(one: Sent): string {
  const name = NAMES.find(([, { address, port }]) => address === one.to.address && port === one.to.port)?.[0];
  return `${statusOf(one.text) || startLineOf(one.text).split(' ')[0]} to ${name ?? `${one.to.address}:${one.to.port}`}`;
}

/** The one of these messages that is a response of that status. */
export function responseOf(sent: readonly Sent[], status: number): Sent {
  const found = sent.filter(({ text }) => statusOf(text) === status);
  expect(found.length, `of ${brief(sent)}, those that are ${status}`).toBe(1);
  return found[0]!;
}

/** The one of these messages that is a request of that method. */
export function requestOf(sent: readonly Sent[], method: string, to?: Endpoint): Sent {
  const found = sent.filter(
    (one) => one.text.startsWith(`${method} `) && (to === undefined || one.to.address === to.address),
  );
  expect(found.length, `of ${brief(sent)}, those that are ${method}`).toBe(1);
  return found[0]!;
}

export interface CallOptions {
  readonly proxy?: VirtualElement;
  /** Any settings. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly element?: ElementOptions;
  /** What is special about Alice's request. */
  readonly request?: RequestParts;
}

/** Alice sends a request, an INVITE unless told, and the others answer it. */
export class Call {
  readonly proxy: VirtualElement;
  /** Alice's request. */
  readonly text: string;
  /** What left because of it. */
  readonly first: readonly Sent[];
  readonly #parts: RequestParts;
  /** All that left so far. */
  readonly sent: Sent[] = [];

  constructor(options: CallOptions = {}) {
    this.proxy =
      options.proxy ??
      openProxy({ ...options.element, ...(options.settings === undefined ? {} : { settings: options.settings }) });
    this.#parts = options.request ?? {};
    this.text = request(this.#parts);
    this.first = this.fromAlice(this.text);
  }

  fromAlice(text: string): Sent[] {
    return this.#note(this.proxy.receive(text, ALICE));
  }

  /** The last request of that method that a UA got. */
  reached(ua: Endpoint, method = this.text.split(' ')[0]!): Sent {
    const all = this.sent.filter(
      ({ text, to }) => text.startsWith(`${method} `) && to.address === ua.address && to.port === ua.port,
    );
    expect(all.length, `${method} to ${ua.address}; sent were ${brief(this.sent)}`).toBeGreaterThan(0);
    return all.at(-1)!;
  }

  /** The UA answers the last request of that method it got. */
  reply(ua: Endpoint, status: string, method?: string, parts?: ReplyParts): Sent[] {
    return this.#note(this.proxy.receive(replyOf(ua, this.reached(ua, method).text, status, parts), ua));
  }

  /** Alice acknowledges a final response other than 2xx: hop by hop, with the branch of the INVITE (17.1.1.3). */
  acknowledge(final: Sent): Sent[] {
    const to = fieldsOf(final.text, 'To')[0]!;
    return this.fromAlice(request({ ...this.#parts, method: 'ACK', cseq: '1 ACK', to, headers: [], body: '' }));
  }

  cancel(parts: RequestParts = {}): Sent[] {
    const common = { ...this.#parts, method: 'CANCEL', cseq: '1 CANCEL', headers: [], body: '' };
    return this.fromAlice(request({ ...common, ...parts }));
  }

  advance(ms: number): (Sent & { readonly atMs: number })[] {
    const sent = this.proxy.advance(ms);
    this.#note(sent);
    return sent;
  }

  async settleLookUps(): Promise<Sent[]> {
    return this.#note(await this.proxy.settleLookUps());
  }

  #note(sent: Sent[]): Sent[] {
    this.sent.push(...sent);
    return sent;
  }
}
