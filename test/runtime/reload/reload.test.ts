/** Reloads of the real process: by the control socket, by signal, by command; what is valid, what is not, and what has to wait. */

import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type ControlClient, openControlClient } from '../../../src/cli/control-client.ts';
import type { ReloadReport } from '../../../src/runtime/running-server.ts';
import { runCommand } from '../../cli/command.ts';
import { PATIENCE_MS } from '../../process/patience.ts';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { callIdOfShard, okTo, optionsRequest } from '../../process/sip-texts.ts';
import { freePort, UdpPeer } from '../../process/udp-peer.ts';

const SHARDS = 2;
const peers: UdpPeer[] = [];
const folders: string[] = [];
let client: ControlClient | null = null;
afterEach(async () => {
  client?.close();
  for (const peer of peers.splice(0)) peer.close();
  await endServers();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'strowger-reload-'));
  folders.push(folder);
  return folder;
}

async function openPeer(): Promise<UdpPeer> {
  const peer = await UdpPeer.open();
  peers.push(peer);
  return peer;
}

/** A gateway that answers everything but an INVITE. */
async function openGateway(): Promise<UdpPeer> {
  const peer = await openPeer();
  peer.onArrival = ({ datagram, from }) => {
    if (!/^(?:SIP|INVITE|ACK)/.test(datagram.toString('latin1', 0, 8))) void peer.send(okTo(datagram), from.port);
  };
  return peer;
}

describe('a reload of the running server', () => {
  it('takes a file over as a whole or not at all, names what has to wait, and can be taken back', async () => {
    const [first, second, caller] = [await openGateway(), await openGateway(), await openPeer()];
    const port = await freePort();
    const folder = newFolder();
    const [file, users, socket, kept] = ['strowger.yaml', 'users', 'control.sock', 'kept'].map((name) =>
      join(folder, name),
    );
    const write = (hop: UdpPeer, ...more: string[]) =>
      writeFileSync(
        file!,
        [
          `domains: [{name: example.org, nextHops: ['sip:127.0.0.1:${hop.port}'], usersFile: ${users}}]`,
          `reload: {directory: ${kept}}`,
          ...more,
          '',
        ].join('\n'),
      );
    writeFileSync(users!, 'bob\n');
    write(first);
    const own = ['--set', `control.socket=${socket}`, '--listen', `udp:127.0.0.1:${port}`, '--mode', 'stateful'];
    const server = await ServerProcess.start('--config', file!, ...own);
    client = await openControlClient(socket!);
    const ask = <Answer>(method: string, params: object = {}) =>
      client!.call(method, params, 30_000) as Promise<Answer>;
    const reload = (params: object = {}) => ask<ReloadReport>('reload', params);
    const goesTo = async (gateway: UdpPeer, shard: number) => {
      const callId = callIdOfShard(shard, SHARDS);
      await caller.send(optionsRequest({ uri: 'sip:bob@example.org', callId, sentBy: caller.hostPort }), port);
      await gateway.receive(`Call-ID: ${callId}`);
      await caller.receive(`Call-ID: ${callId}`);
    };
    const goTo = async (gateway: UdpPeer) => {
      for (let shard = 0; shard < SHARDS; shard++) await goesTo(gateway, shard);
    };
    const logged = (text: string) =>
      until(`the log says ${text}`, () => server.log.some(({ msg }) => msg.includes(text)));
    await goTo(first);

    // Nothing is different; a dry run.
    expect((await reload()).result).toBe('unchanged');
    write(second, 'limits: {parkedRequests: 7}');
    const dry = await reload({ dryRun: true });
    expect(dry.changes.map(({ path, reload: when }) => `${path} ${when}`)).toEqual([
      `domains[example.org].nextHops[sip:127.0.0.1:${first.port}] live`,
      `domains[example.org].nextHops[sip:127.0.0.1:${second.port}] live`,
      'limits.parkedRequests restart',
    ]);
    await goTo(first);

    // Strict, then not.
    await expect(reload({ strict: true })).rejects.toThrow(
      'needs a new start, and nothing has changed: limits.parkedRequests',
    );
    await goTo(first);
    expect(await reload()).toMatchObject({ result: 'applied', generation: 2, isDryRun: false });
    await logged('some settings need a new start');
    await goTo(second);
    const { configuration } = await ask<{ configuration: object }>('status');
    expect(configuration).toMatchObject({
      file,
      generation: 2,
      lastReload: 'applied',
      needsRestart: ['limits.parkedRequests'],
    });

    // Wrong files change nothing.
    write(first, 'nextHop: x');
    await expect(reload()).rejects.toThrow(`${file}:3:1: nextHop: unknown key; did you mean nextHops?`);
    write(first);
    writeFileSync(users!, 'bob:secret\n');
    await expect(reload()).rejects.toThrow(`${users}:1: "bob": one colon only`);
    expect(server.output).not.toContain('secret');
    await goTo(second);
    server.child.kill('SIGHUP');
    const failed = async () => (await ask<Record<string, number>>('stats'))['config_failed_reloads_total'];
    await until('the signal has failed, too', async () => (await failed()) === 4);
    await goTo(second);

    // By signal, with other users.
    writeFileSync(users!, 'bob\ncarol\n');
    write(first, 'log: {level: warn}');
    server.child.kill('SIGHUP');
    await until('it is taken over', async () => (await ask<{ generation: number }>('config.show')).generation === 3);
    await goTo(first);
    expect(server.log.some(({ msg, level }) => level === 'info' && msg.includes('generation 3'))).toBe(false);

    // A shard that starts again begins with it.
    await server.crashShard(1);
    await until('the successor', async () => (await server.observe()).shards[1]!.starts === 2);
    await goTo(first);

    // Back, by the command.
    const rollback = await runCommand('reload', '--rollback', '--control', socket!);
    expect(rollback).toMatchObject({ code: 0, stderr: '' });
    expect(rollback.stdout).toMatch(/^~ log\.level: "warn" → "info"$/m);
    expect(rollback.stdout).toMatch(
      /^generation 4 \([0-9a-f]{12}\) runs; no shard served nothing for longer than [\d.]+ ms$/m,
    );
    await goTo(second);
    await expect(ask('reload.rollback', { back: 50 })).rejects.toThrow('it goes back to');
    const { kept: history } = await ask<{ kept: { back: number }[] }>('config.history');
    expect(history.map(({ back }) => back)).toEqual([0, 1, 2, 3]);
    expect(readdirSync(kept!)).toHaveLength(4);
    for (const name of readdirSync(kept!)) expect(statSync(join(kept!, name)).mode & 0o777).toBe(0o600);

    // What is kept, and how long a drain takes, are live too.
    writeFileSync(
      file!,
      `domains: [{name: example.org, nextHops: ['sip:127.0.0.1:${second.port}']}]\nreload: {keep: 1, directory: ${kept}}\ndrain: {deadlineSec: 1234, signalDeadlineMs: 3600000}\n`,
    );
    await reload();
    expect(readdirSync(kept!)).toHaveLength(1);
    const counters = await ask<Record<string, number>>('stats');
    expect(counters['config_applied_reloads_total']).toBe(4);
    // Strict, two wrong files, a signal, and a step too far back.
    expect(counters['config_failed_reloads_total']).toBe(5);
    const { deadlineInSec } = await ask<{ deadlineInSec: number }>('drain');
    expect(deadlineInSec).toBeGreaterThan(1000);
    await ask('drain', { cancel: true });

    // A call that rings outlives SIGTERM now: the deadline of before was a second.
    const callId = callIdOfShard(0, SHARDS);
    const options = optionsRequest({ uri: 'sip:bob@example.org', callId, sentBy: caller.hostPort });
    await caller.send(Buffer.from(options.toString('latin1').replaceAll('OPTIONS', 'INVITE'), 'latin1'), port);
    const invite = await second.receive(`Call-ID: ${callId}`);
    server.child.kill('SIGTERM');
    await until('it drains for longer than that', async () => {
      const { drain } = await ask<{ drain: { isDraining: boolean; deadlineInSec: number } }>('status');
      return drain.isDraining && drain.deadlineInSec > 1000;
    });
    await second.send(okTo(invite.datagram), port);
    expect((await server.exit).code).toBe(0);
  });

  it('does not wait for shards that die of it: those that follow begin with it', async () => {
    const [first, second, caller] = [await openGateway(), await openGateway(), await openPeer()];
    const port = await freePort();
    const folder = newFolder();
    const [file, socket] = [join(folder, 'strowger.yaml'), join(folder, 'control.sock')];
    const write = (hop: UdpPeer) =>
      writeFileSync(file, `domains: [{name: example.org, nextHops: ['sip:127.0.0.1:${hop.port}']}]\n`);
    write(first);
    const server = await ServerProcess.startPreloaded(
      [new URL('../../process/plant-exchange-fault.ts', import.meta.url)],
      ...['--config', file, '--set', `control.socket=${socket}`, '--listen', `udp:127.0.0.1:${port}`],
    );
    client = await openControlClient(socket);
    write(second);
    expect(await client.call('reload', {}, PATIENCE_MS)).toMatchObject({ result: 'applied' });
    await until('both are back', async () => {
      const { shards } = await server.observe();
      return shards.every(({ starts, isRunning }) => starts === 2 && isRunning);
    });
    for (let shard = 0; shard < SHARDS; shard++) {
      const callId = callIdOfShard(shard, SHARDS);
      await caller.send(optionsRequest({ uri: 'sip:bob@example.org', callId, sentBy: caller.hostPort }), port);
      await second.receive(`Call-ID: ${callId}`);
    }
    expect(
      server.log.filter(({ msg }) => msg.includes('has not said')),
      'none was waited for',
    ).toEqual([]);
  });

  it('reaches what operators look at: next hops in stateless mode, the sample of the trace', async () => {
    const folder = newFolder();
    const [file, socket] = [join(folder, 'strowger.yaml'), join(folder, 'control.sock')];
    const write = (hop: string, sample: number) =>
      writeFileSync(file, `nextHops: ['${hop}']\ntrace: {sample: ${sample}}\n`);
    write('sip:192.0.2.1', 16);
    const own = ['--set', `control.socket=${socket}`, '--listen', 'udp:127.0.0.1:0', '--mode', 'stateless'];
    await ServerProcess.start('--config', file, ...own);
    client = await openControlClient(socket);
    const shown = async () => {
      const { hops } = (await client!.call('hops.list')) as { hops: { uri: string }[] };
      const { sample } = (await client!.call('trace.status')) as { sample: number };
      return [...hops.map(({ uri }) => uri), sample];
    };
    expect(await shown()).toEqual(['sip:192.0.2.1', 16]);
    write('sip:192.0.2.2', 3);
    const report = (await client.call('reload')) as ReloadReport;
    expect(report.changes.map(({ path, reload }) => `${path} ${reload}`)).toContain('trace.sample live');
    expect(await shown()).toEqual(['sip:192.0.2.2', 3]);
  });

  it('is refused where there is no file', async () => {
    const port = await freePort();
    const socket = join(newFolder(), 'control.sock');
    const server = await ServerProcess.start('--set', `control.socket=${socket}`, '--listen', `udp:127.0.0.1:${port}`);
    client = await openControlClient(socket);
    await expect(client.call('reload')).rejects.toThrow('started without --config');
    server.child.kill('SIGHUP');
    await until('the log says so', () => server.log.some(({ msg }) => msg.includes('started without --config')));
    expect(await client.call('config.history')).toEqual({ kept: [] });
    expect(server.child.exitCode).toBeNull();
  });
});
