/** Every setting that is said to be live is: after a reload the element does what one does that was started with it. */

import { describe, expect, it } from 'vitest';
import { leafSettings } from '../../../src/config/settings.ts';
import { challengesOf, hash } from '../digest/phone.ts';
import { fieldsOf, request } from '../messages.ts';
import { answerOf, type RegisterFields, register } from '../registrar/register.ts';
import { brief, CAROL, DAVE, replyOf } from '../stateful/call.ts';
import { ALICE, BOB, createElement, type Endpoint, STRANGER, type VirtualElement } from '../virtual-network.ts';

interface Case {
  readonly paths: readonly string[];
  readonly before: Readonly<Record<string, unknown>>;
  readonly after: Readonly<Record<string, unknown>>;
  readonly observe: (proxy: VirtualElement) => unknown;
}

/** Shown elsewhere: they are not the element's. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  maxUdpRequestBytes: 'test/flows/streams/requests.test.ts; read where maxForwards is',
  'domains[].usersFile': 'test/runtime/reload/reload.test.ts',
  'dns.servers': 'test/runtime/resolver.test.ts',
  'dns.servers[]': 'test/runtime/resolver.test.ts',
  'dns.timeoutMs': 'test/runtime/resolver.test.ts',
  'dns.negativeTtlSec': 'test/runtime/resolver.test.ts',
  'dns.naptr': 'test/runtime/resolver.test.ts',
  'log.level': 'test/runtime/reload/reload.test.ts',
  'drain.takeoverDeadlineSec': 'read where drain.deadlineSec is',
  'drain.deadlineSec': 'test/runtime/reload/reload.test.ts',
  'drain.signalDeadlineMs': 'test/runtime/reload/reload.test.ts',
  'reload.keep': 'test/runtime/reload/reload.test.ts',
  'trace.sample': 'test/flows/trace.test.ts, test/runtime/reload/reload.test.ts',
  'trace.maskHeaders': 'test/flows/trace.test.ts, test/runtime/trace/hep-export.test.ts',
  'trace.maskHeaders[]': 'read where trace.maskHeaders is',
  'hep.sample': 'read where trace.sample is',
};

const DOMAIN = 'biloxi.example';
const hop = ({ address, port }: Endpoint, more: object = {}) => ({ uri: `sip:${address}:${port}`, ...more });
const users = (...list: readonly unknown[]) => ({ domains: [{ name: DOMAIN, users: list }] });
const at = ({ address, port }: Endpoint) => `sip:bob@${address}:${port}`;

let branches = 0;
const invite = (proxy: VirtualElement, parts: Parameters<typeof request>[0] = {}, from: Endpoint = ALICE) => {
  const via = `SIP/2.0/UDP ${from.address}:${from.port};branch=z9hG4bKlive${++branches}`;
  return proxy.receive(request({ via, callId: 'call@atlanta.example', ...parts }), from);
};
const whereTo = (proxy: VirtualElement) => brief(invite(proxy));
const forwarded = (proxy: VirtualElement, parts: Parameters<typeof request>[0] = {}) =>
  invite(proxy, parts).find(({ text }) => !text.startsWith('SIP/'))!;
const registered = (proxy: VirtualElement, fields: RegisterFields = {}) =>
  answerOf(
    proxy.receive(register({ user: 'bob', domain: DOMAIN, contacts: ['<sip:bob@192.0.2.7>'], ...fields }), ALICE),
  );
/** What a REGISTER with these credentials comes to. */
const loggedIn = (proxy: VirtualElement, algorithm: string, password: string) => {
  const challenge = challengesOf(registered(proxy).sent.text).find((one) => one['algorithm'] === algorithm)!;
  const { nonce, realm } = challenge as { nonce: string; realm: string };
  const uri = `sip:${DOMAIN}`;
  const a1 = hash(algorithm, `bob:${realm}:${password}`);
  const response = hash(algorithm, `${a1}:${nonce}:00000001:c:auth:${hash(algorithm, `REGISTER:${uri}`)}`);
  const value = `Digest username="bob", realm="${realm}", nonce="${nonce}", uri="${uri}", response="${response}", algorithm=${algorithm}, cnonce="c", qop=auth, nc=00000001`;
  return registered(proxy, { headers: [`Authorization: ${value}`] });
};
const asking = (user: object, more: object = {}) => ({
  nextHops: [],
  domains: [{ name: DOMAIN, users: [{ user: 'bob', ...user }], authenticate: ['REGISTER'], ...more }],
});
const ha1 = (algorithm: string, password: string) => ({
  ...asking({ ha1: { [algorithm]: hash(algorithm, `bob:${DOMAIN}:${password}`) } }),
  auth: { algorithms: [algorithm] },
});
const open = { nextHops: [], domains: [DOMAIN] };
const ring = (proxy: VirtualElement) => {
  const sent = forwarded(proxy);
  proxy.receive(replyOf(BOB, sent.text, '180 Ringing'), BOB);
  return brief(proxy.advance(2500));
};
const repeats = (proxy: VirtualElement, parts: Parameters<typeof request>[0] = {}) => {
  const fromMs = proxy.nowMs;
  forwarded(proxy, parts);
  return proxy.advance(10_000).map(({ atMs }) => Math.round((atMs - fromMs) / 10));
};
/** Alice's call to a place that answers like this; what leaves then. */
const answered = (proxy: VirtualElement, status: string, headers: readonly string[] = []) => {
  const sent = forwarded(proxy);
  return brief(proxy.receive(replyOf(sent.to, sent.text, status, { headers, ownContact: null }), sent.to));
};

const CASES: readonly Case[] = [
  {
    paths: ['domains', 'domains[].name'],
    before: { domains: ['a.example'] },
    after: { domains: [DOMAIN] },
    observe: (proxy) => brief(invite(proxy, {}, STRANGER)),
  },
  {
    paths: ['domains[].role'],
    before: users({ user: 'bob', contacts: [at(CAROL)] }),
    after: { domains: [{ name: DOMAIN, role: 'redirect', users: [{ user: 'bob', contacts: [at(CAROL)] }] }] },
    observe: whereTo,
  },
  {
    paths: ['domains[].registrar'],
    before: { domains: [{ name: DOMAIN, registrar: 'off' }], nextHops: [] },
    after: { domains: [{ name: DOMAIN, registrar: 'on' }], nextHops: [] },
    observe: (proxy) => registered(proxy).status,
  },
  {
    paths: ['domains[].nextHops', 'domains[].nextHops[].uri'],
    before: { domains: [{ name: DOMAIN, nextHops: [hop(BOB)] }] },
    after: { domains: [{ name: DOMAIN, nextHops: [hop(CAROL)] }] },
    observe: whereTo,
  },
  {
    paths: ['domains[].nextHops[].priority'],
    before: { domains: [{ name: DOMAIN, nextHops: [hop(BOB), hop(CAROL, { priority: 1 })] }] },
    after: { domains: [{ name: DOMAIN, nextHops: [hop(BOB, { priority: 2 }), hop(CAROL, { priority: 1 })] }] },
    observe: whereTo,
  },
  {
    paths: ['domains[].nextHops[].weight'],
    before: { domains: [{ name: DOMAIN, nextHops: [hop(BOB), hop(CAROL, { weight: 0 })] }] },
    after: { domains: [{ name: DOMAIN, nextHops: [hop(BOB, { weight: 0 }), hop(CAROL)] }] },
    observe: whereTo,
  },
  {
    paths: ['nextHops', 'nextHops[].uri'],
    before: { nextHops: [hop(BOB)] },
    after: { nextHops: [hop(CAROL)] },
    observe: whereTo,
  },
  {
    paths: ['nextHops[].priority'],
    before: { nextHops: [hop(BOB), hop(CAROL, { priority: 1 })] },
    after: { nextHops: [hop(BOB, { priority: 2 }), hop(CAROL, { priority: 1 })] },
    observe: whereTo,
  },
  {
    paths: ['nextHops[].weight'],
    before: { nextHops: [hop(BOB), hop(CAROL, { weight: 0 })] },
    after: { nextHops: [hop(BOB, { weight: 0 }), hop(CAROL)] },
    observe: whereTo,
  },
  {
    paths: ['nextHopRestSec'],
    before: { nextHops: [hop(BOB), hop(CAROL, { priority: 1 })], nextHopRestSec: 30 },
    after: { nextHops: [hop(BOB), hop(CAROL, { priority: 1 })], nextHopRestSec: 5 },
    observe: (proxy) => {
      answered(proxy, '503 Service Unavailable');
      proxy.advance(6000);
      return whereTo(proxy);
    },
  },
  {
    paths: ['domains[].users', 'domains[].users[].user'],
    before: users('alice'),
    after: users('bob'),
    observe: whereTo,
  },
  {
    paths: ['domains[].users[].contacts', 'domains[].users[].contacts[].uri'],
    before: users('bob'),
    after: users({ user: 'bob', contacts: [at(CAROL)] }),
    observe: whereTo,
  },
  {
    paths: ['domains[].users[].contacts[].q'],
    before: users({
      user: 'bob',
      contacts: [
        { uri: at(CAROL), q: 1 },
        { uri: at(DAVE), q: 0.5 },
      ],
    }),
    after: users({
      user: 'bob',
      contacts: [
        { uri: at(CAROL), q: 0.1 },
        { uri: at(DAVE), q: 0.5 },
      ],
    }),
    observe: whereTo,
  },
  {
    paths: ['domains[].users[].password'],
    before: asking({ password: 'old' }),
    after: asking({ password: 'new' }),
    observe: (proxy) => loggedIn(proxy, 'MD5', 'new').status,
  },
  ...['MD5', 'SHA-256', 'SHA-512-256'].map(
    (algorithm): Case => ({
      paths: [`domains[].users[].ha1.${algorithm}`],
      before: ha1(algorithm, 'old'),
      after: ha1(algorithm, 'new'),
      observe: (proxy) => loggedIn(proxy, algorithm, 'new').status,
    }),
  ),
  {
    paths: ['domains[].authenticate', 'domains[].authenticate[]'],
    before: asking({ password: 'x' }, { authenticate: [] }),
    after: asking({ password: 'x' }),
    observe: (proxy) => registered(proxy).status,
  },
  {
    paths: ['domains[].realm'],
    before: asking({ password: 'x' }),
    after: asking({ password: 'x' }, { realm: 'another realm' }),
    observe: (proxy) => [challengesOf(registered(proxy).sent.text)[0]!['realm'], loggedIn(proxy, 'MD5', 'x').status],
  },
  {
    paths: ['auth.algorithms', 'auth.algorithms[]'],
    before: asking({ password: 'x' }),
    after: { ...asking({ password: 'x' }), auth: { algorithms: ['MD5'] } },
    observe: (proxy) => challengesOf(registered(proxy).sent.text).map((one) => one['algorithm']),
  },
  {
    paths: ['auth.qop', 'auth.qop[]'],
    before: asking({ password: 'x' }),
    after: { ...asking({ password: 'x' }), auth: { qop: ['auth'] } },
    observe: (proxy) => challengesOf(registered(proxy).sent.text).map((one) => one['qop']),
  },
  {
    paths: ['auth.mutual'],
    before: asking({ password: 'x' }),
    after: { ...asking({ password: 'x' }), auth: { mutual: true } },
    observe: (proxy) => loggedIn(proxy, 'MD5', 'x').header('Authentication-Info') !== undefined,
  },
  {
    paths: ['auth.exempt', 'auth.exempt[]'],
    before: asking({ password: 'x' }),
    after: { ...asking({ password: 'x' }), auth: { exempt: ['192.0.2.0/24'] } },
    observe: (proxy) => registered(proxy).status,
  },
  {
    paths: ['registrar.flowTimerSec'],
    before: open,
    after: { ...open, registrar: { flowTimerSec: 120 } },
    observe: (proxy) => {
      const contacts = [
        '<sip:bob@192.0.2.10;ob>;reg-id=1;+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"',
      ];
      return registered(proxy, { contacts, headers: ['Supported: path, outbound'] }).header('Flow-Timer');
    },
  },
  {
    paths: ['registrar.minExpiresSec'],
    before: open,
    after: { ...open, registrar: { minExpiresSec: 600 } },
    observe: (proxy) => registered(proxy, { expires: 300 }).status,
  },
  {
    paths: ['registrar.defaultExpiresSec'],
    before: open,
    after: { ...open, registrar: { defaultExpiresSec: 120 } },
    observe: (proxy) => registered(proxy).contacts,
  },
  {
    paths: ['registrar.maxExpiresSec'],
    before: open,
    after: { ...open, registrar: { maxExpiresSec: 4000 } },
    observe: (proxy) => registered(proxy, { expires: 9000 }).contacts,
  },
  {
    paths: ['registrar.maxContacts'],
    before: open,
    after: { ...open, registrar: { maxContacts: 1 } },
    observe: (proxy) => registered(proxy, { contacts: ['<sip:bob@192.0.2.7>', '<sip:bob@192.0.2.8>'] }).status,
  },
  {
    paths: ['registrar.serviceRoutes', 'registrar.serviceRoutes[]'],
    before: open,
    after: { ...open, registrar: { serviceRoutes: ['sip:edge.example.org;lr'] } },
    observe: (proxy) => registered(proxy).headers('Service-Route'),
  },
  {
    paths: ['redirects'],
    before: {},
    after: { redirects: 'recurse' },
    observe: (proxy) => answered(proxy, '302 Moved Temporarily', [`Contact: <${at(CAROL)}>`]),
  },
  {
    paths: ['recordRoute', 'recordRoute[]'],
    before: {},
    after: { recordRoute: [] },
    observe: (proxy) => fieldsOf(forwarded(proxy).text, 'Record-Route'),
  },
  {
    paths: ['maxBreadth'],
    before: {},
    after: { maxBreadth: 7 },
    observe: (proxy) => fieldsOf(forwarded(proxy).text, 'Max-Breadth'),
  },
  {
    paths: ['maxForwards'],
    before: {},
    after: { maxForwards: 9 },
    observe: (proxy) => fieldsOf(forwarded(proxy, { maxForwards: null }).text, 'Max-Forwards'),
  },
  { paths: ['timers.t1Ms'], before: {}, after: { timers: { t1Ms: 200 } }, observe: repeats },
  {
    paths: ['timers.t2Ms'],
    before: {},
    after: { timers: { t2Ms: 1000 } },
    observe: (proxy) => repeats(proxy, { method: 'OPTIONS', cseq: '1 OPTIONS' }),
  },
  {
    paths: ['timers.t4Ms'],
    before: {},
    after: { timers: { t4Ms: 1000 } },
    observe: (proxy) => {
      const sent = forwarded(proxy, { method: 'OPTIONS', cseq: '1 OPTIONS' });
      proxy.receive(replyOf(BOB, sent.text, '200 OK'), BOB);
      proxy.advance(2000);
      return proxy.occupancy().clientTransactions;
    },
  },
  { paths: ['timers.timerCSec'], before: {}, after: { timers: { timerCSec: 2 } }, observe: ring },
  {
    paths: ['trusted', 'trusted[]'],
    before: {},
    after: { trusted: ['203.0.113.0/24'] },
    observe: (proxy) => brief(invite(proxy, { uri: 'sip:bob@chicago.example' }, STRANGER)),
  },
  {
    paths: ['server.name'],
    before: open,
    after: { ...open, server: { name: 'Other/1' } },
    observe: (proxy) => registered(proxy).header('Server'),
  },
  {
    paths: ['drain.peer'],
    before: {},
    after: { drain: { peer: `sip:${CAROL.address}:${CAROL.port}` } },
    observe: (proxy) => {
      proxy.setDraining(true);
      return whereTo(proxy);
    },
  },
  {
    paths: ['auth.nonceSec'],
    before: asking({ password: 'x' }),
    after: { ...asking({ password: 'x' }), auth: { nonceSec: 5 } },
    observe: (proxy) => {
      const [challenge] = challengesOf(registered(proxy).sent.text);
      proxy.advance(8000);
      const again = registered(proxy, { headers: [digestWith(challenge!)] });
      return challengesOf(again.sent.text)[0]?.['stale'] ?? again.status;
    },
  },
];

/** The right answer to a challenge. */
function digestWith({ nonce = '', realm = '', algorithm = 'MD5' }: Readonly<Record<string, string>>): string {
  const uri = `sip:${DOMAIN}`;
  const a1 = hash(algorithm, `bob:${realm}:x`);
  const response = hash(algorithm, `${a1}:${nonce}:00000001:c:auth:${hash(algorithm, `REGISTER:${uri}`)}`);
  return `Authorization: Digest username="bob", realm="${realm}", nonce="${nonce}", uri="${uri}", response="${response}", algorithm=${algorithm}, cnonce="c", qop=auth, nc=00000001`;
}

const start = (settings: Readonly<Record<string, unknown>>) => createElement({ mode: 'stateful', settings });

describe('a live setting', () => {
  it.each(CASES.map((one) => [one.paths[0]!, one] as const))('%s is', (_, { before, after, observe }) => {
    const wanted = observe(start(after));
    expect(observe(start(before))).not.toEqual(wanted);
    const reloaded = start(before);
    // It has served something by then.
    for (const { text, to } of invite(reloaded, { callId: 'earlier@atlanta.example' })) {
      if (!text.startsWith('SIP/')) reloaded.receive(replyOf(to, text, '200 OK'), to);
    }
    reloaded.advance(40_000);
    reloaded.reload(after);
    expect(observe(reloaded)).toEqual(wanted);
  });

  it('is shown here or elsewhere', () => {
    const live = leafSettings().filter(({ about }) => about?.reload === 'live');
    const shown = new Set([...CASES.flatMap(({ paths }) => paths), ...Object.keys(ELSEWHERE)]);
    expect(live.map(({ path }) => path).filter((path) => !shown.has(path))).toEqual([]);
  });
});

describe('nonces', () => {
  it('outlive a reload, also one that puts another domain first', () => {
    const proxy = start(asking({ password: 'x' }));
    const [challenge] = challengesOf(registered(proxy).sent.text);
    const { domains } = asking({ password: 'x' });
    proxy.reload({ ...asking({ password: 'x' }), domains: ['first.example', ...domains] });
    expect(registered(proxy, { headers: [digestWith(challenge!)] }).status).toBe(200);
  });
});
