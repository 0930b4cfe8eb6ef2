import { describe, expect, it } from 'vitest';
import type { FlowParts } from '../../../perf/load/flow.ts';
import { CallFlow } from '../../../perf/load/flows/call-flow.ts';
import { OptionsFlow } from '../../../perf/load/flows/options-flow.ts';
import { RandomUsers } from '../../../perf/load/random-users.ts';
import {
  answer,
  ExchangeLine,
  type Forwarding,
  forwardRequest,
  forwardResponse,
  RELAY,
  STATEFUL,
  STATELESS,
} from './exchange-line.ts';

type Change = (text: string) => string;
const unchanged: Change = (text) => text;

/** What a server may do wrong to a request, and what that is counted as. */
const WRONG_REQUESTS: readonly (readonly [what: string, change: Change, cause: string])[] = [
  ['does not count Max-Forwards down', (text) => text.replace('Max-Forwards: 69', 'Max-Forwards: 70'), 'max-forwards'],
  ['adds no Via', forwardResponse, 'via'],
  ['adds two Vias', (text) => text.replace(/\r\n(Via: [^\r]*)/, '\r\n$1\r\n$1'), 'via'],
  ['adds a Via without the cookie', (text) => text.replace('branch=z9hG4bK1', 'branch=1'), 'via'],
  ['adds the Via of somebody else', (text) => text.replace('127.0.0.1:6003', '127.0.0.2:6003'), 'via'],
  ['changes our Via', (text) => text.replace(/(127\.0\.0\.1:6001;branch=z9hG4bK\w*)/, '$1;x'), 'via'],
  ['adds another header', (text) => text.replace('\r\nFrom:', '\r\nX-Other: 1\r\nFrom:'), 'header'],
  ['drops a header', (text) => text.replace(/\r\nUser-Agent: [^\r]*/, ''), 'user-agent'],
  ['changes the Call-ID', (text) => text.replace(/Call-ID: \w/, 'Call-ID: z'), 'call-id'],
  ['changes a tag', (text) => text.replace(/;tag=a/, ';tag=c'), 'from'],
  ['changes the Request-URI', (text) => text.replace(/ sip:bob@/, ' sip:rob@'), 'request-uri'],
  [
    'changes the order of headers',
    (text) => text.replace(/\r\n(From: [^\r]*)\r\n(To: [^\r]*)/, '\r\n$2\r\n$1'),
    'other',
  ],
  ['ends lines by LF', (text) => text.replace('\r\nFrom', '\nFrom'), 'from'],
  ['sends nothing but a start line', (text) => text.split('\r\n')[0]!, 'via'],
];

const WRONG_RESPONSES: typeof WRONG_REQUESTS = [
  [
    'leaves its own Via',
    (text) => text.replace('\r\nVia', '\r\nVia: SIP/2.0/UDP 127.0.0.1:6003;branch=z9hG4bK1.2\r\nVia'),
    'via',
  ],
  ['changes the status', (text) => text.replace('200 OK', '202 OK'), 'unexpected 202'],
  ['changes the reason', (text) => text.replace('200 OK', '200 Ok'), 'unexpected 200'],
  ['drops the tag of To', (text) => text.replace(/;tag=b\w+/, ''), 'to'],
  ['adds a header', (text) => text.replace('\r\nFrom:', '\r\nX-Other: 1\r\nFrom:'), 'header'],
];

describe('OPTIONS through a server', () => {
  const play = (line: ExchangeLine<OptionsFlow>, onRequest: Change, onResponse: Change) => {
    const [ok] = line.atAgent(onRequest(forwardRequest(line.start())));
    if (ok !== undefined) line.atClient(onResponse(forwardResponse(ok)));
    return line.outcome();
  };
  const newLine = (way = STATELESS) => new ExchangeLine(way, (parts) => new OptionsFlow(parts));

  it('by TCP wants a Via that says so, and finds the UAS at an address for each connection', () => {
    const line = newLine({ ...STATELESS, transport: 'tcp', connections: 2 });
    const [first, second, third] = [line.start(), line.start(), line.start()];
    const [uri, otherUri, sameUri] = [first, second, third].map((text) => text.split(' ')[1]);
    expect(uri).toBe('sip:bob@127.0.0.10:6002;transport=tcp');
    expect(otherUri).toBe('sip:bob@127.0.0.11:6002;transport=tcp');
    expect(sameUri).toBe(uri);
    const byTcp = forwardRequest(first).replace('SIP/2.0/UDP', 'SIP/2.0/TCP');
    const [ok] = line.atAgent(byTcp);
    line.atClient(forwardResponse(ok!));
    expect(line.outcome()).toEqual(['successful']);
    line.atAgent(forwardRequest(second));
    expect(line.outcome()).toEqual(['successful', 'via']);
  });

  it('is right if the server adds its Via, counts Max-Forwards down, and does nothing else', () => {
    const line = newLine();
    for (let i = 0; i < 10; i++) expect(play(line, unchanged, unchanged)).toEqual(Array(i + 1).fill('successful'));
    expect(line.flow.delays.get('response')!.total).toBe(10);
    expect(line.flow.inFlight).toBe(0);
  });

  it.each(WRONG_REQUESTS)('fails if the server %s', (_, change, cause) => {
    const line = newLine();
    expect(play(line, change, unchanged)).toEqual([cause]);
    expect(line.printed[0]).toMatch(/^failed at the UAS: /);
  });

  it.each(WRONG_RESPONSES)('fails if on the way back the server %s', (_, change, cause) => {
    expect(play(newLine(), unchanged, change)).toEqual([cause]);
  });

  it('goes through a bare relay as it is, and fails if that changes anything', () => {
    const line = newLine(RELAY);
    const [ok] = line.atAgent(line.start());
    line.atClient(ok!);
    expect(line.outcome()).toEqual(['successful']);
    expect(play(newLine(RELAY), unchanged, unchanged)).not.toContain('successful');
  });

  it('fails if a stateless server sends anything twice, and counts it if a stateful one does', () => {
    for (const [way, outcome] of [
      [STATELESS, ['repeated']],
      [STATEFUL, []],
    ] as const) {
      const line = newLine(way);
      const request = forwardRequest(line.start());
      line.atAgent(request);
      expect(line.atAgent(request)).toEqual([]);
      expect(line.outcome()).toEqual(outcome);
      expect(line.tally.retransmissions).toBe(outcome.length === 0 ? 1 : 0);
    }
  });

  it('fails after its patience, and what comes then is stale and not wrong', () => {
    const line = newLine();
    const [ok] = line.atAgent(forwardRequest(line.start()));
    line.flow.giveUpOverdue(1_000_001, 1_000_000);
    expect(line.outcome()).toEqual(['timeout']);
    line.atClient(forwardResponse(ok!));
    expect(line.outcome()).toEqual(['timeout']);
    expect(line.tally.stale).toBe(1);
  });

  it('is not shaken by bytes that are no SIP', () => {
    const line = newLine();
    line.start();
    for (const text of ['', '\r\n\r\n', '\0\0\0', 'SIP/2.0 200 OK', 'x'.repeat(2000), `${'\r\n'.repeat(500)}`]) {
      line.atAgent(text);
      line.atClient(text);
    }
    expect(line.tally.successful).toBe(0);
    expect(line.tally.failed).toBe(12);
  });
});

interface CallChanges {
  readonly onInvite?: Change;
  readonly onRinging?: Change;
  readonly onOk?: Change;
  readonly onAck?: Change;
  readonly onBye?: Change;
  readonly onByeOk?: Change;
}

describe('a call through a server', () => {
  const newLine = (users: RandomUsers | null = null) =>
    new ExchangeLine(STATEFUL, (parts: FlowParts) => new CallFlow(parts, users));

  /** The whole call; each change stands in for what the server does wrong. */
  const play = (line: ExchangeLine<CallFlow>, changes: CallChanges, forwarding: Forwarding = {}) => {
    const { onInvite, onRinging, onOk, onAck, onBye, onByeOk } = changes;
    const invite = line.start();
    line.atClient(answer(invite, '100 Trying'));
    const forwarded = forwardRequest(invite, { recordRoute: true, ...forwarding });
    const [ringing, ok] = line.atAgent((onInvite ?? unchanged)(forwarded));
    if (ringing === undefined || ok === undefined) return line.outcome();
    line.atClient((onRinging ?? unchanged)(forwardResponse(ringing)));
    const [ack, bye] = line.atClient((onOk ?? unchanged)(forwardResponse(ok)));
    if (ack === undefined || bye === undefined) return line.outcome();
    expect(ack).toMatch(/\r\nRoute: <sip:127\.0\.0\.1:6003;lr>\r\n/);
    line.atAgent((onAck ?? unchanged)(forwardRequest(ack)));
    const [byeOk] = line.atAgent((onBye ?? unchanged)(forwardRequest(bye)));
    if (byeOk !== undefined) line.atClient((onByeOk ?? unchanged)(forwardResponse(byeOk)));
    return line.outcome();
  };

  it('is right if the server records its route and takes it off again', () => {
    const line = newLine();
    for (let i = 0; i < 10; i++) expect(play(line, {})).toEqual(Array(i + 1).fill('successful'));
    for (const name of ['setup', 'sessionRequest', 'sessionDisconnect'] as const) {
      expect(line.flow.delays.get(name)!.total).toBe(10);
    }
  });

  it('is right to a registered user if his contact is in the place of the Request-URI, and fails if it is not', () => {
    const line = newLine(new RandomUsers(1));
    const contact = 'sip:user0000000@127.0.0.1:6002';
    expect(play(line, {}, { contact })).toEqual(['successful']);
    expect(play(newLine(new RandomUsers(1)), {})).toEqual(['request-uri']);
    expect(play(newLine(new RandomUsers(1)), {}, { contact: `${contact};x` })).toEqual(['request-uri']);
  });

  it.each(WRONG_REQUESTS)('fails if of the INVITE the server %s', (_, onInvite, cause) => {
    expect(play(newLine(), { onInvite })).toEqual([cause]);
  });

  it.each(WRONG_RESPONSES)('fails if of the 200 to the BYE the server %s', (_, onByeOk, cause) => {
    expect(play(newLine(), { onByeOk })).toEqual([cause]);
  });

  it.each<readonly [what: string, changes: CallChanges, cause: string]>([
    ['records no route', { onInvite: (text) => text.replace(/\r\nRecord-Route: [^\r]*/, '') }, 'record-route'],
    ['records a route without lr', { onInvite: (text) => text.replace(';lr>', '>') }, 'record-route'],
    ['changes the offer', { onInvite: (text) => text.replace('m=audio 49170', 'm=audio 49172') }, 'body'],
    ['changes the answer', { onOk: (text) => text.replace('m=audio 49174', 'm=audio 49172') }, 'body'],
    ['drops the route from the 200', { onOk: (text) => text.replace(/\r\nRecord-Route: [^\r]*/, '') }, 'record-route'],
    ['changes the route in the 180', { onRinging: (text) => text.replace(';lr>', ';lr;x>') }, 'record-route'],
    [
      'leaves its Route in the ACK',
      { onAck: (text) => text.replace('\r\nVia', '\r\nRoute: <sip:127.0.0.1:6003;lr>\r\nVia') },
      'route',
    ],
    [
      'records a route in the BYE',
      { onBye: (text) => text.replace('\r\nVia', '\r\nRecord-Route: <sip:127.0.0.1:6003;lr>\r\nVia') },
      'record-route',
    ],
  ])('fails if the server %s', (_, changes, cause) => {
    expect(play(newLine(), changes)).toContain(cause);
    expect(play(newLine(), changes)).not.toContain('successful');
  });

  it('fails if the 180 never comes', () => {
    const line = newLine();
    const [, ok] = line.atAgent(forwardRequest(line.start(), { recordRoute: true }));
    const [ack, bye] = line.atClient(forwardResponse(ok!));
    line.atAgent(forwardRequest(ack!));
    const [byeOk] = line.atAgent(forwardRequest(bye!));
    line.atClient(forwardResponse(byeOk!));
    expect(line.outcome()).toEqual(['no 180']);
  });

  it('acknowledges a refusal and fails by its status', () => {
    const line = newLine();
    const invite = line.start();
    const [ack] = line.atClient(answer(invite, '503 Service Unavailable'));
    expect(ack).toMatch(/^ACK sip:bob@127\.0\.0\.1:6002 SIP\/2\.0\r\n/);
    expect(ack).toContain(';tag=314159\r\n');
    expect(ack).toContain(/^Via: .*(?=\r)/m.exec(invite)![0]);
    expect(line.outcome()).toEqual(['unexpected 503']);
  });
});
