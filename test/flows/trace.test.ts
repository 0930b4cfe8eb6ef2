/** What the trace keeps of calls through the element: both directions, whole calls, whoever sends. */

import { describe, expect, it } from 'vitest';
import { configSchema } from '../../src/config/schema.ts';
import { type RecentQuestion, type TraceQuestion, TraceService } from '../../src/runtime/trace/trace-service.ts';
import { replyTo, request } from './messages.ts';
import {
  ALICE,
  BOB,
  createElement,
  type ElementOptions,
  PROXY,
  STRANGER,
  type VirtualElement,
} from './virtual-network.ts';

interface Traced {
  readonly element: VirtualElement;
  readonly trace: TraceService;
}

function traced(trace: object = { sample: 1 }, options: ElementOptions = { mode: 'stateful' }): Traced {
  const config = configSchema.parse({ trace });
  const service = new TraceService(config, 1, {
    sockets: [{ transport: 'udp', family: 4, ...PROXY, isWildcard: false }],
    localAddresses: [],
    maskHeaders: config.trace.maskHeaders,
  });
  return { element: createElement({ ...options, trace: service.buffer }), trace: service };
}

function ask(filter: TraceQuestion = {}, more: Partial<RecentQuestion> = {}): RecentQuestion {
  return { filter, limit: 100, live: false, form: 'text', ...more };
}

/** `in 192.0.2.10:5060 INVITE`, `out 192.0.2.10:5060 100 INVITE`. */
async function linesOf(trace: TraceService, question: RecentQuestion = ask()): Promise<string[]> {
  const { messages } = await trace.recent(question);
  return messages.map(({ direction, peer, status, method }) =>
    [direction, peer, ...(status === null ? [] : [status]), method].join(' '),
  );
}

const CALL = '2xTb9vxSit55XU7p8@atlanta.example';

function call(element: VirtualElement, callId: string): void {
  const [, forwarded] = element.receive(
    request({ callId, via: `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK${callId}` }),
    ALICE,
  );
  element.receive(replyTo(forwarded!.text), BOB);
}

describe('what goes by a connection', () => {
  const by = (mode: 'stateful' | 'stateless'): Traced => {
    const config = configSchema.parse({ trace: { sample: 1 } });
    const listen = ['192.0.2.254:5060', 'ws:192.0.2.254:80'];
    const service = new TraceService(config, 1, {
      sockets: ['udp', 'tcp', 'ws'].map((transport) => ({
        ...{ transport, family: 4, address: PROXY.address, isWildcard: false },
        port: transport === 'ws' ? 80 : 5060,
      })),
      localAddresses: [],
      maskHeaders: config.trace.maskHeaders,
    });
    return { element: createElement({ mode, listen, trace: service.buffer }), trace: service };
  };

  it.each(['stateful', 'stateless'] as const)(
    'goes to where that comes from, whatever port its Via has, in mode %s',
    async (mode) => {
      for (const [transport, socket] of [
        ['TCP', 1],
        ['WS', 2],
      ] as const) {
        const { element, trace } = by(mode);
        const via = `SIP/2.0/${transport} 192.0.2.10;branch=z9hG4bKfar`;
        const from = { address: '192.0.2.10', port: 50_001, connection: -7 };
        const parts = { method: 'OPTIONS', uri: 'sip:192.0.2.254', cseq: '1 OPTIONS', via };
        element.receive(request(parts), from, socket);
        expect(await linesOf(trace)).toEqual(['in 192.0.2.10:50001 OPTIONS', 'out 192.0.2.10:50001 200 OPTIONS']);
      }
    },
  );

  it('and a datagram to the port of its Via, though its scope may look like a connection', async () => {
    const { element, trace } = by('stateless');
    const parts = { method: 'OPTIONS', uri: 'sip:192.0.2.254', cseq: '1 OPTIONS' };
    const via = 'SIP/2.0/UDP 192.0.2.10:5090;branch=z9hG4bKnear';
    element.receive(request({ ...parts, via }), { address: '192.0.2.10', port: 50_002, connection: 3 }, 0);
    expect(await linesOf(trace)).toEqual(['in 192.0.2.10:50002 OPTIONS', 'out 192.0.2.10:5090 200 OPTIONS']);
  });
});

describe('a call through the stateful proxy', () => {
  it('is kept with both sides of it', async () => {
    const { element, trace } = traced();
    const [trying, forwarded] = element.receive(request(), ALICE);
    element.receive(replyTo(forwarded!.text, '180 Ringing'), BOB);
    const { messages, lost } = await trace.recent(ask());
    expect(await linesOf(trace)).toEqual([
      'in 192.0.2.10:5060 INVITE',
      'out 192.0.2.10:5060 100 INVITE',
      'out 192.0.2.30:5080 INVITE',
      'in 192.0.2.30:5080 180 INVITE',
      'out 192.0.2.10:5060 180 INVITE',
    ]);
    expect(messages[0]).toMatchObject({
      callId: CALL,
      cseq: 1,
      from: 'alice@atlanta.example',
      to: 'bob@biloxi.example',
      firstLine: 'INVITE sip:bob@biloxi.example SIP/2.0',
      local: '192.0.2.254:5060',
      transport: 'udp',
      isCut: false,
      error: null,
      text: request(),
    });
    expect([messages[1]!.text, messages[2]!.text]).toEqual([trying!.text, forwarded!.text]);
    expect(lost).toBe(0);
    expect(element.counters()['traced_messages_total']).toBe(5);
  });

  it('is kept with what timers send', async () => {
    const { element, trace } = traced();
    element.receive(request(), ALICE);
    element.advance(1600);
    expect((await linesOf(trace)).slice(3)).toEqual(['out 192.0.2.30:5080 INVITE', 'out 192.0.2.30:5080 INVITE']);
    const { messages } = await trace.recent(ask());
    expect(messages.map(({ timeUs }) => Math.round((timeUs - messages[0]!.timeUs) / 1000))).toEqual([
      0, 0, 0, 500, 1500,
    ]);
  });

  it('shows what could not be sent, and why', async () => {
    const { element, trace } = traced(
      { sample: 1 },
      { mode: 'stateful', refuse: ({ to }) => (to.port === BOB.port ? 111 : 0) },
    );
    element.receive(request(), ALICE);
    const { messages } = await trace.recent(ask());
    expect(messages.map(({ status, error }) => [status, error])).toEqual([
      [null, null],
      [100, null],
      [null, 'ECONNREFUSED'],
      [500, null],
    ]);
  });
});

describe('the stateless proxy', () => {
  it('is traced as well', async () => {
    const { element, trace } = traced({ sample: 1 }, { mode: 'stateless' });
    const [forwarded] = element.receive(request(), ALICE);
    element.receive(replyTo(forwarded!.text), BOB);
    expect(await linesOf(trace)).toEqual([
      'in 192.0.2.10:5060 INVITE',
      'out 192.0.2.30:5080 INVITE',
      'in 192.0.2.30:5080 200 INVITE',
      'out 192.0.2.10:5060 200 INVITE',
    ]);
  });
});

describe('what is broken', () => {
  it('is kept with what it was answered', async () => {
    const { element, trace } = traced();
    element.receive(request({ maxForwards: 'many' }), ALICE);
    expect(await linesOf(trace)).toEqual(['in 192.0.2.10:5060 INVITE', 'out 192.0.2.10:5060 400 INVITE']);
  });

  it('is kept without a Call-ID, too', async () => {
    const { element, trace } = traced();
    element.receive(request({ callId: null }), ALICE);
    const { messages } = await trace.recent(ask());
    expect(messages.map(({ callId, status }) => [callId, status])).toEqual([
      [null, null],
      [null, 400],
    ]);
  });

  it('keep-alives, STUN and junk are not kept', async () => {
    const { element, trace } = traced();
    element.receive('\r\n\r\n', ALICE);
    element.receive('hello\r\n\r\n', ALICE);
    const stun = Buffer.from('000100002112a442aabbccddeeff001122334455', 'hex');
    expect(element.receive(stun, ALICE)).toHaveLength(1);
    expect(await linesOf(trace)).toEqual([]);
  });
});

describe('the sample', () => {
  it('is of whole calls', async () => {
    const { element, trace } = traced({ sample: 4 });
    for (let i = 0; i < 200; i++) call(element, `call-${i}`);
    const { calls, sample } = await trace.calls({ filter: {}, limit: 1000 });
    expect(sample).toBe(4);
    expect(calls.length).toBeGreaterThan(25);
    expect(calls.length).toBeLessThan(85);
    expect(new Set(calls.map(({ messages }) => messages))).toEqual(new Set([5]));
    expect(calls[0]).toMatchObject({ method: 'INVITE', status: 200, peers: ['192.0.2.10:5060', '192.0.2.30:5080'] });
  });

  it('of 0 is empty', async () => {
    const { element, trace } = traced({ sample: 0 });
    call(element, 'a');
    expect(await linesOf(trace)).toEqual([]);
    expect(element.counters()['traced_messages_total']).toBeUndefined();
  });
});

describe('calls', () => {
  it('are told by what they began with, and its outcome', async () => {
    const { element, trace } = traced();
    const [, forwarded] = element.receive(request({ callId: 'one' }), ALICE);
    element.receive(replyTo(forwarded!.text, '180 Ringing'), BOB);
    const ringing = await trace.calls({ filter: {}, limit: 10 });
    element.receive(replyTo(forwarded!.text, '200 OK'), BOB);
    const [bye] = element.receive(
      request({ method: 'BYE', callId: 'one', via: 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKbye' }),
      ALICE,
    );
    element.receive(replyTo(bye!.text, '481 Gone'), BOB);
    const over = await trace.calls({ filter: {}, limit: 10 });
    expect([ringing.calls, over.calls].map(([call]) => [call!.method, call!.status, call!.messages])).toEqual([
      ['INVITE', 180, 5],
      ['INVITE', 200, 11],
    ]);
    expect(over.calls[0]).toMatchObject({
      from: 'alice@atlanta.example',
      peers: ['192.0.2.10:5060', '192.0.2.30:5080'],
    });
  });

  it('come the latest first, as many as were asked for', async () => {
    const { element, trace } = traced();
    for (let i = 0; i < 9; i++) {
      call(element, `call-${i}`);
      element.advance(10);
    }
    const { calls } = await trace.calls({ filter: {}, limit: 3 });
    expect(calls.map(({ callId, messages }) => [callId, messages])).toEqual([
      ['call-8', 5],
      ['call-7', 5],
      ['call-6', 5],
    ]);
    expect((await trace.calls({ filter: { user: 'bob' }, limit: 100 })).calls).toHaveLength(9);
  });

  it('are captured, the latest messages of them', async () => {
    const { element, trace } = traced();
    for (let i = 0; i < 3; i++) call(element, `call-${i}`);
    const sizes = [
      { filter: {}, limit: 10_000 },
      { filter: { callId: 'call-1' }, limit: 10_000 },
      { filter: {}, limit: 2 },
    ].map(
      async (question) =>
        Buffer.from((await trace.pcap(question)).base64, 'base64')
          .toString('latin1')
          .match(/Call-ID: /g)?.length,
    );
    expect(await Promise.all(sizes)).toEqual([15, 5, 2]);
  });

  it('reach as far back as the status says', async () => {
    const { element, trace } = traced();
    expect(trace.status()).toMatchObject({ messages: 0, oldestUs: null, hep: null, sample: 1 });
    call(element, 'one');
    const { messages } = await trace.recent(ask());
    expect(trace.status()).toMatchObject({ messages: 5, oldestUs: messages[0]!.timeUs, ringKiB: 2048 });
  });
});

describe('a live filter', () => {
  const WHOLE_CALL = [
    'in 192.0.2.10:5060 INVITE',
    'out 192.0.2.10:5060 100 INVITE',
    'out 192.0.2.30:5080 INVITE',
    'in 192.0.2.30:5080 200 INVITE',
    'out 192.0.2.10:5060 200 INVITE',
  ];

  it.each<[TraceQuestion]>([
    [{ callId: 'wanted' }],
    [{ user: 'alice' }],
    [{ user: 'alice@Atlanta.Example' }],
    [{ user: 'bob@biloxi.example' }],
    [{ from: '192.0.2.10' }],
    [{ from: '192.0.2.0/24' }],
    [{ callId: 'wanted', user: 'bob', from: '192.0.2.8/29' }],
    [{}],
  ])('%j has every message of the call, whatever the sample', async (filter) => {
    const { element, trace } = traced({ sample: 0 });
    const { messages, after } = await trace.recent(ask(filter, { live: true }));
    expect(messages).toEqual([]);
    call(element, 'wanted');
    expect(await linesOf(trace, ask(filter, { live: true, after }))).toEqual(WHOLE_CALL);
  });

  it.each<[TraceQuestion]>([
    [{ callId: 'wanted-not' }],
    [{ user: 'ALICE' }],
    [{ user: 'alice@example.org' }],
    [{ from: '192.0.2.11' }],
    [{ from: '2001:db8::/32' }],
    [{ callId: 'wanted', user: 'carol' }],
  ])('%j has nothing of another', async (filter) => {
    const { element, trace } = traced({ sample: 0 });
    const { after } = await trace.recent(ask(filter, { live: true }));
    call(element, 'wanted');
    expect(await linesOf(trace, ask(filter, { live: true, after }))).toEqual([]);
    expect(element.counters()['traced_messages_total']).toBeUndefined();
  });

  it('has the timers of its calls, by their Call-ID', async () => {
    const { element, trace } = traced({ sample: 0 });
    const { after } = await trace.recent(ask({ user: 'bob' }, { live: true }));
    element.receive(request(), ALICE);
    element.advance(600);
    expect((await linesOf(trace, ask({ user: 'bob' }, { live: true, after }))).at(-1)).toBe(
      'out 192.0.2.30:5080 INVITE',
    );
  });

  it('has its own calls only, beside others', async () => {
    const { element, trace } = traced({ sample: 0 });
    const [one, two] = [{ callId: 'one' }, { callId: 'two' }];
    const first = await trace.recent(ask(one, { live: true }));
    const second = await trace.recent(ask(two, { live: true }));
    for (const callId of ['one', 'two', 'three']) call(element, callId);
    const ones = await trace.recent(ask(one, { live: true, after: first.after }));
    const twos = await trace.recent(ask(two, { live: true, after: second.after }));
    expect(ones.messages.map(({ callId }) => callId)).toEqual(Array(5).fill('one'));
    expect(twos.messages.map(({ callId }) => callId)).toEqual(Array(5).fill('two'));
    expect(trace.status().live).toEqual([one, two]);
  });

  it('is refused where eight are there', async () => {
    const { trace } = traced();
    for (let i = 0; i < 8; i++) await trace.recent(ask({ user: `user${i}` }, { live: true }));
    await trace.recent(ask({ user: 'user3' }, { live: true }));
    await expect(trace.recent(ask({ user: 'ninth' }, { live: true }))).rejects.toThrow('8 live traces are running');
    await trace.close();
  });
});

describe('recent messages', () => {
  it('are asked for by call, user and source: whole calls of them', async () => {
    const { element, trace } = traced();
    call(element, 'one');
    element.receive(request({ method: 'OPTIONS', callId: 'two', from: '<sip:carol@example.net>;tag=1' }), STRANGER);
    const sizes = [
      { callId: 'one' },
      { user: 'carol' },
      { user: 'alice' },
      { from: STRANGER.address },
      { from: ALICE.address },
      { user: 'nobody' },
    ].map(async (filter) => (await trace.recent(ask(filter))).messages.length);
    expect(await Promise.all(sizes)).toEqual([5, 2, 5, 2, 5, 0]);
  });

  it('are the latest ones, and then those after an answer', async () => {
    const { element, trace } = traced();
    for (let i = 0; i < 4; i++) call(element, `call-${i}`);
    const latest = await trace.recent(ask({}, { limit: 3 }));
    expect(latest.messages.map(({ callId, status }) => `${callId} ${status}`)).toEqual([
      'call-3 null',
      'call-3 200',
      'call-3 200',
    ]);
    call(element, 'call-4');
    const next = await trace.recent(ask({}, { limit: 3, after: latest.after }));
    const rest = await trace.recent(ask({}, { limit: 3, after: next.after }));
    const all = [...next.messages, ...rest.messages];
    expect(all.map(({ callId }) => callId)).toEqual(Array(5).fill('call-4'));
    expect((await trace.recent(ask({}, { after: rest.after }))).messages).toEqual([]);
  });

  it('that were overwritten are counted', async () => {
    const { element, trace } = traced({ sample: 1, recentKiB: 64 });
    const { after } = await trace.recent(ask());
    for (let i = 0; i < 100; i++) call(element, `call-${i}`);
    const { messages, lost } = await trace.recent(ask({}, { after, limit: 500 }));
    expect(messages.length + lost).toBe(500);
    expect(lost).toBeGreaterThan(100);
    expect(trace.lost).toBe(lost);
  });

  it('of another run begin anew, and nonsense is refused', async () => {
    const { element, trace } = traced();
    call(element, 'one');
    expect((await trace.recent(ask({}, { after: 'abc.0' }))).messages).toHaveLength(5);
    await expect(trace.recent(ask({}, { after: 'x' }))).rejects.toThrow('after: is not what an answer has ended with');
    await expect(trace.recent(ask({ from: '192.0.2.300' }))).rejects.toThrow(
      'from: "192.0.2.300" is not an address block',
    );
  });

  it('are cut where they are too long', async () => {
    const { element, trace } = traced({ sample: 1, messageBytes: 256 });
    call(element, 'one');
    const { messages } = await trace.recent(ask());
    expect([messages[0]!.isCut, messages[2]!.isCut]).toEqual([false, true]);
    expect(messages[2]!.text).toHaveLength(256);
    expect(messages[2]!.bytes).toBeGreaterThan(256);
  });

  it('come without their secrets', async () => {
    const { element, trace } = traced({ sample: 1, maskHeaders: ['X-Token'] });
    element.receive(
      request({
        headers: ['Proxy-Authorization: Digest username="alice", response="0123456789abcdef"', 'X-Token: abc'],
      }),
      ALICE,
    );
    const { messages } = await trace.recent(ask());
    for (const { text } of messages.filter(({ method, status }) => method === 'INVITE' && status === null)) {
      expect(text).toContain('response="****************"');
      expect(text).toContain('X-Token: ***');
    }
    const [bare] = (await trace.recent(ask({}, { form: 'base64', limit: 500 }))).messages;
    expect(Buffer.from(bare!.base64!, 'base64').toString()).toBe(messages[0]!.text);
  });
});

describe('a reload', () => {
  it('changes the sample and what is masked, without a new start', async () => {
    const { element, trace } = traced({ sample: 0 });
    const send = (callId: string) =>
      element.receive(
        request({ callId, headers: ['X-Token: abc'], via: `SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK${callId}` }),
        ALICE,
      );
    const texts = async () => (await trace.recent(ask())).messages.map(({ text }) => text).join('\n');
    send('before');
    expect(await texts()).toBe('');
    trace.useConfig(configSchema.parse({ trace: { sample: 1 } }));
    send('after');
    expect(await texts()).toContain('X-Token: abc');
    expect(trace.status().sample).toBe(1);
    trace.useConfig(configSchema.parse({ trace: { sample: 1, maskHeaders: ['x-token'] } }));
    expect(await texts()).toContain('X-Token: ***');
    expect(await texts()).not.toContain('abc');
    trace.useConfig(configSchema.parse({ trace: { sample: 0 } }));
    send('last');
    expect(await texts()).not.toContain('Call-ID: last');
  });
});
