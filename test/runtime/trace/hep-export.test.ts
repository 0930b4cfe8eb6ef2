/** The export of a real server, to collectors that are there, are not, and are Kamailio. */

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { optionsRequest } from '../../process/sip-texts.ts';
import { freePort, UdpPeer } from '../../process/udp-peer.ts';
import { decodeHep, splitHep } from './hep-decoder.ts';
import { decodeAsHomer, decodeStreamAsHomer, type HomerFields } from './homer-decoder.ts';

const MODULES = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/local/lib64']
  .map((folder) => join(folder, 'kamailio', 'modules'))
  .find((folder) => existsSync(join(folder, 'sipcapture.so')));
const hasKamailio = MODULES !== undefined && spawnSync('kamailio', ['-v']).status === 0;

const folder = mkdtempSync(join(tmpdir(), 'strowger-hep-'));
const peers: UdpPeer[] = [];
afterEach(async () => {
  for (const peer of peers.splice(0)) peer.close();
  await endServers();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function openPeer(): Promise<UdpPeer> {
  const peer = await UdpPeer.open();
  peers.push(peer);
  return peer;
}

interface Exporting {
  readonly server: ServerProcess;
  readonly port: number;
  readonly phone: UdpPeer;
}

function start(to: string, ...sets: string[]): Promise<Exporting> {
  return startWith([], to, ...sets);
}

async function startWith(args: readonly string[], to: string, ...sets: string[]): Promise<Exporting> {
  const settings = [`hep.to=${to}`, 'hep.captureId=2001', ...sets].flatMap((set) => ['--set', set]);
  const server = await ServerProcess.start(...args, '--listen', 'udp:127.0.0.1:0', ...settings);
  const port = Number(/listening +udp:127\.0\.0\.1:(\d+)/.exec(server.stdout)![1]);
  return { server, port, phone: await openPeer() };
}

/** An OPTIONS for the server itself, and its answer. */
async function exchange({ port, phone }: Exporting, callId: string): Promise<void> {
  await phone.send(optionsRequest({ uri: `sip:127.0.0.1:${port}`, sentBy: phone.hostPort, callId }), port);
  await phone.receive(`Call-ID: ${callId}`);
}

describe('the export', () => {
  it('sends what came and what left, over UDP', async () => {
    const collector = await openPeer();
    const exporting = await start(`udp:${collector.hostPort}`, 'hep.authKey=secret');
    await exchange(exporting, 'to-homer');
    await until('both are there', () => collector.arrivals.length === 2);
    const own = `127.0.0.1:${exporting.port}`;
    const [come, go] = collector.arrivals.map(({ datagram }) => decodeHep(datagram));
    expect(come).toMatchObject({
      source: exporting.phone.hostPort,
      destination: own,
      captureId: 2001,
      authKey: 'secret',
      correlationId: 'to-homer',
    });
    expect(come!.payload).toMatch(/^OPTIONS /);
    expect(go).toMatchObject({ source: own, destination: exporting.phone.hostPort, family: 2, protocol: 17, type: 1 });
    expect(go!.payload).toMatch(/^SIP\/2\.0 200 /);
    expect(Math.abs(Date.now() - come!.timeUs / 1000)).toBeLessThan(60_000);
    expect(go!.timeUs).toBeGreaterThanOrEqual(come!.timeUs);
    await until('both are counted', async () => (await exporting.server.counters())['hep_sent_total'] === 2);
  });

  it('sends over TCP, and goes on after the collector was away', async () => {
    let stream = Buffer.alloc(0);
    const collector = createServer((socket) => {
      socket.on('data', (chunk: Buffer) => {
        stream = Buffer.concat([stream, chunk]);
        // Once, after the first call.
        if (stream.includes('SIP/2.0 200') && !stream.includes('Call-ID: second')) socket.destroy();
      });
      socket.on('error', () => undefined);
    }).listen(0, '127.0.0.1');
    await once(collector, 'listening');
    const exporting = await start(`tcp:127.0.0.1:${(collector.address() as AddressInfo).port}`);
    await exchange(exporting, 'first');
    await until('the first call is there', () => splitHep(stream)[0].length >= 2);
    await until('its end is noticed', () => exporting.server.log.some(({ msg }) => msg.includes('cannot be reached')));
    await exchange(exporting, 'second');
    await until(
      'the second call is there',
      () => stream.includes('Call-ID: second') && splitHep(stream)[0].length >= 4,
      { deadlineMs: 30_000 },
    );
    const [packets, rest] = splitHep(stream);
    expect(packets.map((packet) => decodeHep(packet).correlationId)).toEqual(['first', 'first', 'second', 'second']);
    expect(rest).toHaveLength(0);
    collector.close();
  });

  it('masks what a reload says from then on', async () => {
    const collector = await openPeer();
    const file = join(folder, 'masking.yaml');
    writeFileSync(file, 'trace: {maskHeaders: []}\n');
    const { server, port, phone } = await startWith(['--config', file], `udp:${collector.hostPort}`);
    const send = async (callId: string) => {
      const headers = ['X-Token: abcdef'];
      await phone.send(optionsRequest({ uri: `sip:127.0.0.1:${port}`, sentBy: phone.hostPort, callId, headers }), port);
      return decodeHep((await collector.receive(`Call-ID: ${callId}`)).datagram).payload;
    };
    expect(await send('bare')).toContain('X-Token: abcdef');
    writeFileSync(file, 'trace: {maskHeaders: [X-Token]}\n');
    server.child.kill('SIGHUP');
    await until('it is taken over', async () => (await server.counters())['config_applied_reloads_total'] === 1);
    expect(await send('masked')).toContain('X-Token: ******');
  });

  it('to nobody hurts nobody: calls go on, what is lost is counted, and a stop takes no longer', async () => {
    const exporting = await start(`udp:127.0.0.1:${await freePort()}`, 'trace.recentKiB=64');
    for (let i = 0; i < 300; i++) await exchange(exporting, `lost-${i}`);
    const { server } = exporting;
    await until('losses are counted', async () => {
      const { hep_dropped_total: dropped, hep_errors_total: errors } = await server.counters();
      return dropped! + errors! > 0;
    });
    const warnings = server.log.filter(({ msg }) => msg.includes('cannot be reached'));
    expect(warnings).toMatchObject([{ level: 'warn', reason: 'ECONNREFUSED' }]);
    server.child.kill('SIGTERM');
    expect((await server.exit).code).toBe(0);
  });
});

/** What came and what left in an exchange, as Homer's own decoder reads it. */
function expectExchange([come, go]: readonly HomerFields[], { port, phone }: Exporting, callId: string): void {
  const common = { protocolFamily: 2, protocol: 17, payloadType: 1, captureId: 2001, capturePass: 'secret' };
  const [own, its] = [port, phone.port];
  expect(come!.rcinfo).toMatchObject({ ...common, srcIp: '127.0.0.1', srcPort: its, dstIp: '127.0.0.1', dstPort: own });
  expect(go!.rcinfo).toMatchObject({ ...common, srcIp: '127.0.0.1', srcPort: own, dstIp: '127.0.0.1', dstPort: its });
  const times = [come!, go!].map(({ rcinfo }) => rcinfo.timeSeconds * 1e6 + rcinfo.timeUseconds);
  expect(Math.abs(Date.now() - times[0]! / 1000)).toBeLessThan(60_000);
  expect(times[1]).toBeGreaterThanOrEqual(times[0]!);
  for (const { rcinfo, payload } of [come!, go!]) {
    expect(rcinfo.correlation_id).toBe(callId);
    expect(payload).toContain(`Call-ID: ${callId}\r\n`);
  }
  expect(come!.payload).toMatch(/^OPTIONS .*\r\n\r\n$/s);
  expect(go!.payload).toMatch(/^SIP\/2\.0 200 .*\r\n\r\n$/s);
}

describe("sipcapture's own decoder (hep-js)", () => {
  it('reads what is sent over UDP: addresses, times, capture id, auth key, Call-ID and the whole message', async () => {
    const collector = await openPeer();
    const exporting = await start(`udp:${collector.hostPort}`, 'hep.authKey=secret');
    await exchange(exporting, 'homer-by-udp');
    await until('both are there', () => collector.arrivals.length === 2);
    const packets = collector.arrivals.map(({ datagram }) => decodeAsHomer(datagram));
    expectExchange(packets, exporting, 'homer-by-udp');
  });

  it('reads the same over TCP, packet after packet', async () => {
    const chunks: Buffer[] = [];
    const collector = createServer((socket) => socket.on('data', (chunk: Buffer) => chunks.push(chunk)));
    collector.listen(0, '127.0.0.1');
    await once(collector, 'listening');
    const exporting = await start(
      `tcp:127.0.0.1:${(collector.address() as AddressInfo).port}`,
      ...['hep.authKey=secret'],
    );
    const callIds = ['homer-by-tcp-1', 'homer-by-tcp-2'];
    for (const callId of callIds) await exchange(exporting, callId);
    await until('all are counted', async () => (await exporting.server.counters())['hep_sent_total'] === 4);
    await until('all are there', () => splitHep(Buffer.concat(chunks))[0].length === 4);
    const packets = decodeStreamAsHomer(Buffer.concat(chunks));
    for (const callId of callIds) {
      const own = packets.filter(({ rcinfo }) => rcinfo.correlation_id === callId);
      expectExchange(own, exporting, callId);
    }
    collector.close();
  });

  it('refuses what is no HEP3', () => {
    expect(() => decodeAsHomer(Buffer.from('HEP2 and something that is none'))).toThrow('hep-js cannot read');
    expect(() => decodeStreamAsHomer(Buffer.from('HEP3\0\x40x'))).toThrow('are left');
  });
});

/** Kamailio 5.6 forgets the closing zero of a URL that fills its memory, a multiple of 8 bytes, and takes what follows for a part of it. */
function flatstoreOf(path: string): string {
  const url = `flatstore:${path}`;
  return url.length % 8 === 0 ? `${url}/` : url;
}

/** sipcapture is what feeds Homer; it writes a line for each message that it has understood. */
describe('a collector of another make', () => {
  it.skipIf(!hasKamailio)('understands it: Kamailio, module sipcapture', async () => {
    const port = await freePort();
    const file = join(folder, 'kamailio.cfg');
    const lines = join(folder, 'lines');
    mkdirSync(lines);
    writeFileSync(
      file,
      `#!KAMAILIO
debug=0
log_stderror=yes
fork=no
children=1
disable_tcp=yes
listen=udp:127.0.0.1:${port}
mpath="${MODULES}/"
loadmodule "db_flatstore.so"
loadmodule "sipcapture.so"
modparam("sipcapture", "db_url", "${flatstoreOf(lines)}")
modparam("sipcapture", "capture_on", 1)
modparam("sipcapture", "hep_capture_on", 1)
request_route { sip_capture(); exit; }
onreply_route { sip_capture(); }
`,
    );
    const kamailio = spawn('kamailio', ['-f', file, '-DD', '-E'], { stdio: 'ignore' });
    const ended = once(kamailio, 'exit');
    try {
      const exporting = await start(`udp:127.0.0.1:${port}`);
      const captured = () =>
        readdirSync(lines).flatMap((name) =>
          readFileSync(join(lines, name), 'utf8')
            .split('\n')
            .filter((line) => line !== ''),
        );
      // Until Kamailio listens, packets are lost.
      let calls = 0;
      await until(
        'a call is captured',
        async () => {
          await exchange(exporting, `captured-${calls++}`);
          return captured().length >= 2;
        },
        { pollMs: 100 },
      );
      const rows = captured().map((line) => line.split('|'));
      const request = rows.find((row) => row[2] === 'OPTIONS')!;
      const response = rows.find((row) => row[2] === '200')!;
      const own = ['127.0.0.1', String(exporting.port)];
      const phone = ['127.0.0.1', String(exporting.phone.port)];
      expect(request.join('|')).toContain([...phone, ...own].join('|'));
      expect(response.join('|')).toContain([...own, ...phone].join('|'));
      // The node with the capture id, and the correlation.
      const [, callId] = /Call-ID: ([^\\]+)/.exec(request.join('|'))!;
      expect(request.join('|')).toContain(`|homer01:2001|${callId}|`);
      expect(Math.abs(Number(request[1]) / 1000 - Date.now())).toBeLessThan(120_000);
    } finally {
      // Not SIGKILL, which would leave its children.
      kamailio.kill('SIGTERM');
      await ended;
    }
  });
});
