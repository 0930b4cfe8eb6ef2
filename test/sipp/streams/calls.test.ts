/** Calls of SIPp over TCP, from TCP to UDP and the other way round: with Record-Route, so that ACK and BYE cross the proxy, too. */

import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { freeTcpPort } from '../../process/tcp-port.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUac, startUas } from '../load-generator.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 30;
const MANY = ['-max_socket', '1000'];
const here = (name: string) => new URL(`./${name}.xml`, import.meta.url);
const stateful = (name: string) => new URL(`../stateful/${name}.xml`, import.meta.url);
const TCP = ['-key', 'callee_params', ';transport=tcp'];
const UNSAID = ['-key', 'callee_params', ''];
const subject = (text: string) => ['-key', 'subject', text];
/** Too long for UDP (18.1.1). */
const LONG = 'x'.repeat(1200);

const bracketed = (address: string) => (address.includes(':') ? `[${address}]` : address);

describe('a call', () => {
  it.each([
    { caller: 't1', callee: 't1', flags: [] },
    { caller: 'tn', callee: 't1', flags: ['--workers', '1', '--set', 'dispatcher.thread=shard'] },
    { caller: 't1', callee: 'u1', flags: [] },
    { caller: 'u1', callee: 't1', flags: [] },
  ])('from $caller to $callee crosses the proxy with every message', async ({ caller, callee, flags }) => {
    const port = await freeTcpPort();
    const server = await ServerProcess.start('--mode', 'stateful', '--listen', `127.0.0.1:${port}`, ...flags);
    const uas = await startUas({ retransmits: false, scenario: here('uas'), args: ['-t', callee, ...MANY] });
    const figures = await runUac({
      retransmits: false,
      scenario: here('uac'),
      target: `127.0.0.1:${uas.port}`,
      by: `127.0.0.1:${port}`,
      calls: CALLS,
      perSec: 50,
      args: ['-t', caller, ...MANY, ...(callee === 'u1' ? UNSAID : TCP), ...subject('a call')],
    });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    await until('all are counted', async () => (await server.counters())['responses_forwarded_total'] === 3 * CALLS);
    expect(await server.counters()).toMatchObject({
      requests_forwarded_total: CALLS * 3,
      malformed_requests_total: 0,
      stray_responses_total: 0,
      stream_undelivered_total: 0,
      // One to the called side for all calls, if it is by TCP.
      stream_opened_total: callee === 'u1' ? 0 : 1,
    });
  });

  it.each([
    { from: '127.0.0.1', to: '::1', caller: 't1', callee: 't1' },
    { from: '::1', to: '127.0.0.1', caller: 'tn', callee: 't1' },
    { from: '::1', to: '127.0.0.1', caller: 't1', callee: 'u1' },
    { from: '127.0.0.1', to: '::1', caller: 'u1', callee: 't1' },
  ])(
    'from $from by $caller to $to by $callee has a Record-Route for each side',
    async ({ from, to, caller, callee }) => {
      const [port, toPort] = [await freeTcpPort(), await freeTcpPort()];
      const uas = await startUas({
        retransmits: false,
        address: to,
        scenario: here('uas'),
        args: ['-t', callee, ...MANY],
      });
      const hop = `sip:${bracketed(to)}:${uas.port}${callee === 'u1' ? '' : ';transport=tcp'}`;
      const listen = [`${bracketed(from)}:${port}`, `${bracketed(to)}:${toPort}`].flatMap((each) => ['--listen', each]);
      const server = await ServerProcess.start('--mode', 'stateful', ...listen, '--next-hop', hop);
      const figures = await runUac({
        retransmits: false,
        address: from,
        scenario: here('uac'),
        // Ours, since SIPp sends to one family only.
        target: `${bracketed(from)}:${port}`,
        calls: CALLS,
        perSec: 50,
        args: ['-t', caller, ...MANY, ...UNSAID, ...subject('families')],
      });
      expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
      expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
      expect(await server.counters()).toMatchObject({
        requests_forwarded_total: CALLS * 3,
        stream_undelivered_total: 0,
      });
    },
  );

  describe.each(['stateful', 'stateless'])('in mode %s', (mode) => {
    async function startBefore(callee: 't1' | 'u1', scenario: string | URL) {
      const port = await freeTcpPort();
      const uas = await startUas({ retransmits: false, scenario, args: ['-t', callee, ...MANY] });
      const hop = `sip:127.0.0.1:${uas.port}${callee === 'u1' ? '' : ';transport=tcp'}`;
      const server = await ServerProcess.start('--mode', mode, '--listen', `127.0.0.1:${port}`, '--next-hop', hop);
      return { server, uas, target: `127.0.0.1:${port}` };
    }

    it.each([
      { caller: 't1', callee: 't1' },
      { caller: 'tn', callee: 't1' },
      { caller: 'tn', callee: 'u1' },
      { caller: 'u1', callee: 't1' },
    ] as const)('from $caller to $callee by a next hop', async ({ caller, callee }) => {
      const { uas, target } = await startBefore(callee, 'uas');
      const figures = await runUac({
        retransmits: false,
        target,
        calls: CALLS,
        perSec: 50,
        args: ['-t', caller, ...MANY],
      });
      expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
      expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    });

    /** Calls by UDP that are too long for it, to who takes what `called` says. */
    async function callAtLength(called: readonly string[]): Promise<ServerProcess> {
      const port = await freeTcpPort();
      const server = await ServerProcess.start('--mode', mode, '--listen', `127.0.0.1:${port}`);
      const uas = await startUas({ retransmits: false, scenario: here('invite-uas'), args: called });
      const figures = await runUac({
        retransmits: false,
        scenario: here('invite-uac'),
        target: `127.0.0.1:${uas.port}`,
        by: `127.0.0.1:${port}`,
        calls: CALLS,
        perSec: 50,
        args: [...UNSAID, ...subject(LONG)],
      });
      expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
      return server;
    }

    it('that is too long for UDP goes by TCP', async () => {
      const server = await callAtLength(['-t', 't1', ...MANY]);
      expect(await server.counters()).toMatchObject({ stream_opened_total: 1, stream_undelivered_total: 0 });
    });

    it('that is too long for UDP goes by UDP where nobody takes TCP', async () => {
      const server = await callAtLength([]);
      expect((await server.counters())['stream_undelivered_total']).toBeGreaterThan(0);
    });
  });

  it.each([
    {
      what: 'that is given up',
      calling: 'cancel/while-ringing-uac',
      called: 'cancel/ringing-uas',
      caller: 't1',
      callee: 't1',
    },
    {
      what: 'that is given up',
      calling: 'cancel/while-ringing-uac',
      called: 'cancel/ringing-uas',
      caller: 'tn',
      callee: 'u1',
    },
    {
      what: 'that is given up',
      calling: 'cancel/while-ringing-uac',
      called: 'cancel/ringing-uas',
      caller: 'u1',
      callee: 't1',
    },
    { what: 'to somebody busy', calling: 'busy/uac', called: 'busy/uas', caller: 't1', callee: 't1' },
    { what: 'to somebody busy', calling: 'busy/uac', called: 'busy/uas', caller: 'tn', callee: 'u1' },
    { what: 'to somebody busy', calling: 'busy/uac', called: 'busy/uas', caller: 'u1', callee: 't1' },
  ])('$what, from $caller to $callee', async ({ calling, called, caller, callee }) => {
    const port = await freeTcpPort();
    const uas = await startUas({ retransmits: false, scenario: stateful(called), args: ['-t', callee, ...MANY] });
    const hop = `sip:127.0.0.1:${uas.port}${callee === 'u1' ? '' : ';transport=tcp'}`;
    const server = await ServerProcess.start('--mode', 'stateful', '--listen', `127.0.0.1:${port}`, '--next-hop', hop);
    const figures = await runUac({
      retransmits: false,
      scenario: stateful(calling),
      target: `127.0.0.1:${port}`,
      calls: CALLS,
      perSec: 50,
      args: ['-t', caller, ...MANY],
    });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
    // No timer of a reliable transport (17.1.1.2, 17.2.1).
    expect((await server.counters())['stream_undelivered_total']).toBe(0);
  });

  it('reaches who registered, by the connection of the REGISTER', async () => {
    const port = await freeTcpPort();
    const server = await ServerProcess.start(
      ...['--mode', 'stateful', '--listen', `127.0.0.1:${port}`, '--set', 'domains=[example.org]'],
    );
    // Its calls are out of the one that registers and then waits.
    const phone = await startUac({
      retransmits: false,
      scenario: here('phone'),
      target: `127.0.0.1:${port}`,
      calls: 1,
      perSec: 1,
      args: ['-t', 't1', '-oocsf', fileURLToPath(here('uas')), '-s', 'phone'],
    });
    await until('it is registered', async () => (await server.counters())['registrations_total'] === 1, {
      explain: () => phone.explain(),
    });
    const figures = await runUac({
      retransmits: false,
      scenario: here('registered-uac'),
      target: `127.0.0.1:${port}`,
      calls: CALLS,
      perSec: 50,
      args: ['-s', 'phone'],
    });
    expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
    expect(await server.counters()).toMatchObject({ stream_opened_total: 0, stream_accepted_total: 1 });
  });
});
