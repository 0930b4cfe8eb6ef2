/** A run of the simulator: worlds by seed, a number of calls in each, and whatever an invariant had against them. */

import { Random } from '../fuzz/random.ts';
import { DrivenElement, type Step } from './driven-element.ts';
import { Message } from './message.ts';
import { Network } from './network.ts';
import { Oracle } from './oracle.ts';
import { UserAgents } from './user-agents.ts';
import { createWorld, type Host, type World } from './world.ts';

/** Calls of one world: few enough to be replayed by themselves, enough to meet in the pools. */
export const CALLS_PER_WORLD = 500;

export interface Fault {
  readonly text: string;
  /** Replays the world it was found in. */
  readonly seed: number;
  readonly calls: number;
  readonly call: number;
  readonly ladder: string;
  /** The whole messages of the call. */
  readonly texts: string;
}

export interface Report {
  calls: number;
  worlds: number;
  /** Datagrams to and from the proxy, lost ones included. */
  carried: number;
  /** First transactions that ended with a final response, and by a timer of the client's own. */
  answered: number;
  gaveUp: number;
  /** Of all messages, in order and with their times. */
  checksum: number;
  /** Most messages that left for one datagram. */
  mostForOne: number;
  virtualMs: number;
  readonly counters: Record<string, number>;
  readonly faults: Fault[];
}

export interface Watching {
  /** Called after each world. */
  readonly progress?: (soFar: Report) => void;
  /** Changes what the proxy did, to see that it is seen: null for a message that does not leave. */
  readonly spoil?: (text: string) => string | null;
}

/** World k of a run has the seed `seed` + k. Stops after the first world with a fault. */
export function simulate(seed: number, calls: number, watching: Watching = {}): Report {
  const report: Report = {
    calls: 0,
    worlds: 0,
    carried: 0,
    answered: 0,
    gaveUp: 0,
    checksum: 0x811c9dc5,
    mostForOne: 0,
    virtualMs: 0,
    counters: {},
    faults: [],
  };
  while (report.calls < calls && report.faults.length === 0) {
    const count = Math.min(CALLS_PER_WORLD, calls - report.calls);
    runWorld(seed + report.worlds, count, report, watching);
    report.calls += count;
    report.worlds++;
    watching.progress?.(report);
  }
  return report;
}

const MAX_FAULTS = 5;
/** One response in so many has a twin with a cookie that somebody guessed. */
const FORGED_ONE_IN = 100;
const COOKIE_AT = 'z9hG4bKs'.length + 8;

function runWorld(seed: number, calls: number, report: Report, { spoil }: Watching): void {
  const world = createWorld(seed);
  const network = new Network(world);
  const fail = (call: number, text: string) => {
    const isKnown = report.faults.some((fault) => fault.text === text);
    if (isKnown || report.faults.length >= MAX_FAULTS) return;
    network.note(call, null, null, `FAULT ${text}\r\n`, '');
    report.faults.push({ text, seed, calls, call, ladder: network.ladderOf(call), texts: network.textsOf(call) });
  };
  const oracle = new Oracle(world, fail);
  const element = new DrivenElement(world, {
    later: (ms, happen) => {
      network.later(ms, happen);
    },
    now: () => network.nowMs,
    observe: (done) => {
      const step = spoil === undefined ? done : spoiled(done, spoil);
      for (const { text, to, errno } of step.sent) {
        const { call } = new Message(text);
        if (errno !== 0) network.note(call, null, to, text, `refused, errno ${errno}`);
        else if (to === null) network.note(call, null, null, text, 'to nobody');
        else network.carry(call, null, to, text, () => agents.receive(to, text));
      }
      oracle.observe(step, network.nowMs);
    },
  });
  const forger = new Random(seed ^ 0x666f7267);
  const send = (call: number, from: Host, text: string) =>
    network.carry(call, from, null, text, () => {
      element.arrive({ text, from });
      if (!text.startsWith('SIP/2.0 ') || !forger.isOneIn(FORGED_ONE_IN)) return;
      const forged = forgedFrom(text);
      network.note(call, from, null, forged, 'forged');
      element.arrive({ text: forged, from });
    });
  const agents = new UserAgents({ world, network, send, fail });
  let atMs = 0;
  for (let call = 0; call < calls; call++) {
    network.queue.add(atMs, () => agents.place(call));
    atMs += world.random.below(2 * world.callGapMs + 1);
  }
  try {
    run(network, element);
    oracle.finish();
    finish(world, element, oracle, agents, fail);
  } catch (error) {
    fail(-1, `throws ${error instanceof Error ? (error.stack ?? error.message) : error}`);
  }
  report.carried += network.carried;
  report.answered += agents.answered;
  report.gaveUp += agents.gaveUp;
  report.virtualMs += network.nowMs;
  report.mostForOne = Math.max(report.mostForOne, oracle.mostForOne);
  report.checksum = (Math.imul(report.checksum, 0x01000193) ^ network.checksum) >>> 0;
  for (const [name, count] of Object.entries(element.counters())) {
    if (count !== 0) report.counters[name] = (report.counters[name] ?? 0) + count;
  }
}

function forgedFrom(text: string): string {
  const at = text.indexOf('z9hG4bKs') + COOKIE_AT;
  return `${text.slice(0, at)}${text[at] === '0' ? '1' : '0'}${text.slice(at + 1)}`;
}

function spoiled({ cause, sent }: Step, spoil: (text: string) => string | null): Step {
  return {
    cause,
    sent: sent.flatMap((departure) => {
      const text = spoil(departure.text);
      return text === null ? [] : [{ ...departure, text }];
    }),
  };
}

/** Until nothing is left to happen. */
function run(network: Network, element: DrivenElement): void {
  const { queue } = network;
  for (;;) {
    const eventMs = queue.nextMs();
    const timerMs = Math.ceil(element.nextDeadlineMs());
    if (eventMs === Number.POSITIVE_INFINITY && timerMs === Number.POSITIVE_INFINITY) return;
    if (timerMs < eventMs) {
      network.nowMs = Math.max(network.nowMs + 1, timerMs);
      element.cycle();
    } else {
      network.nowMs = Math.max(network.nowMs, eventMs);
      queue.take().happen();
    }
  }
}

/** After the quiet: nothing is held, and whoever was told nothing was told so by the network. */
function finish(
  world: World,
  element: DrivenElement,
  oracle: Oracle,
  agents: UserAgents,
  fail: (call: number, fault: string) => void,
): void {
  const { serverTransactions, clientTransactions, keptMessages } = element.occupancy();
  if (serverTransactions + clientTransactions + keptMessages > 0)
    fail(
      -1,
      `held at the end: ${serverTransactions} server, ${clientTransactions} client transactions, ${keptMessages} messages`,
    );
  const counters = element.counters();
  if (counters.server_transactions_total !== counters.server_transactions_ended_total)
    fail(-1, 'server transactions begun and not ended');
  if (counters.client_transactions_total !== counters.client_transactions_ended_total)
    fail(-1, 'client transactions begun and not ended');
  if (counters.forged_responses_total > 0) fail(-1, 'a response of an honest server counts as forged');
  const isLossless = world.loss === 0 && world.congestion === 0;
  for (const outgoing of agents.outgoing.values()) {
    const { call, method, branch } = outgoing.parts;
    if (outgoing.isOpen) fail(call, `a ${method} never ends`);
    if (method !== 'INVITE' || world.isSmall) continue;
    const hasFinal = oracle.hasFinal(branch, method);
    if (hasFinal === undefined && isLossless) fail(call, 'an INVITE did not come through a network without loss');
    if (hasFinal === false) fail(call, 'an INVITE came and has no final response');
  }
}
