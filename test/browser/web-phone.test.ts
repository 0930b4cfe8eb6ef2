/** RFC 7118 with the real thing: JsSIP in Chromium registers by WS and by WSS, is called by a phone that speaks UDP and by another
 *  browser, and hangs up. The media of browsers runs between them over loopback; that of the phone is only negotiated. */

import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLOSE_REASONS } from '../../src/observe/counters.ts';
import { START_PATIENCE_MS } from '../process/patience.ts';
import { endServers, ServerProcess, until } from '../process/server-process.ts';
import { bodyOf, headerOf, okTo } from '../process/sip-texts.ts';
import { UdpPeer } from '../process/udp-peer.ts';
import { Authority } from '../runtime/tls/authority.ts';
import { hasChromium, launchChromium } from './chromium.ts';
import { scriptOf } from './page-script.ts';

const DOMAIN = 'phones.example';
const WAYS = ['ws', 'wss'] as const;
/** What a phone with ICE and DTLS offers; nobody is at its addresses. */
const OFFER = [
  'v=0',
  'o=- 1 1 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'm=audio 9 UDP/TLS/RTP/SAVPF 0',
  'c=IN IP4 127.0.0.1',
  'a=rtpmap:0 PCMU/8000',
  'a=mid:0',
  'a=sendrecv',
  'a=rtcp-mux',
  'a=ice-ufrag:abcd',
  'a=ice-pwd:abcdefghijklmnopqrstuvwx',
  'a=setup:actpass',
  `a=fingerprint:sha-256 ${Array(32).fill('AB').join(':')}`,
  '',
].join('\r\n');

/** Users that there are: each phone is another one. */
const MAX_PHONES = 60;

describe.skipIf(!hasChromium)('JsSIP in Chromium', () => {
  const authority = new Authority();
  const trusted = authority.issue('trusted', ['IP:127.0.0.1']);
  const strange = authority.issue('strange', ['IP:127.0.0.1']);
  let browser: Browser;
  let web: Server;
  let webPort: number;
  let server: ServerProcess;
  /** Its certificate is of another key. */
  let stranger: ServerProcess;
  let page: Page;
  const ports = new Map<string, number>();
  const complaints: string[] = [];
  const udpPhones: UdpPhone[] = [];
  let phoneCount = 0;

  beforeAll(async () => {
    await servePage();
    const config = {
      listen: ['udp:127.0.0.1:0', 'ws:127.0.0.1:0', 'wss:127.0.0.1:0'],
      'tls.certificates': [{ certificate: trusted.certificate, key: trusted.key }],
      'webSocket.origins': [`http://127.0.0.1:${webPort}`],
      domains: [{ name: DOMAIN, authenticate: ['REGISTER'], users: users() }],
    };
    const sets = Object.entries(config).flatMap(([name, value]) => ['--set', `${name}=${JSON.stringify(value)}`]);
    const shown = `tls.certificates=${JSON.stringify([{ certificate: strange.certificate, key: strange.key }])}`;
    [server, stranger, browser] = await Promise.all([
      ServerProcess.start('--mode', 'stateful', ...sets),
      ServerProcess.start('--workers', '1', '--listen', 'wss:127.0.0.1:0', '--set', shown),
      // The browser trusts this one key as if its authority were installed, and no other.
      launchChromium(
        `--ignore-certificate-errors-spki-list=${keyHash(trusted.certificate)}`,
        '--use-fake-device-for-media-stream',
        '--use-fake-ui-for-media-stream',
        '--allow-loopback-in-peer-connection',
      ),
    ]);
    for (const [, transport, port] of server.stdout.matchAll(/(udp|wss?):127\.0\.0\.1:(\d+)/g)) {
      ports.set(transport!, Number(port));
    }
    page = await open();
  }, 2 * START_PATIENCE_MS);

  afterAll(async () => {
    await browser?.close();
    web?.close();
    for (const opened of udpPhones) opened.close();
    authority.close();
    await endServers();
  });

  async function servePage(): Promise<void> {
    const script = scriptOf('jssip', 'JsSIP') + readFileSync(new URL('web-phone.js', import.meta.url), 'utf8');
    const html = '<!doctype html><link rel="icon" href="data:,"><script src="phone.js"></script>';
    web = createServer((request, response) => {
      const isScript = request.url === '/phone.js';
      response.writeHead(200, { 'content-type': isScript ? 'text/javascript' : 'text/html' });
      response.end(isScript ? script : html);
    }).listen(0, '127.0.0.1');
    await once(web, 'listening');
    webPort = (web.address() as AddressInfo).port;
  }

  async function open(host = '127.0.0.1'): Promise<Page> {
    const opened = await browser.newPage();
    opened.on('pageerror', (error) => complaints.push(error.message));
    await opened.goto(`http://${host}:${webPort}/`);
    return opened;
  }

  /** A phone of its own user, which is to connect to `url`. */
  async function start(url: string, on = page): Promise<WebPhone> {
    const phone = new WebPhone(
      on,
      `user${++phoneCount}`,
      () => `${complaints.join(', ')} ${server.stderr.slice(-500)}`,
    );
    await phone.ask('start', { url, uri: phone.uri, password: `${phone.name}-secret` });
    return phone;
  }

  async function registered(way: 'ws' | 'wss', on = page): Promise<WebPhone> {
    const phone = await start(`${way}://127.0.0.1:${ports.get(way)}/sip`, on);
    await phone.noticed('registered');
    return phone;
  }

  async function udpPhone(): Promise<UdpPhone> {
    const opened = await UdpPhone.open(ports.get('udp')!);
    udpPhones.push(opened);
    return opened;
  }

  it.each(WAYS)('by %s, is called from UDP, answers, and hangs up', async (way) => {
    const phone = await registered(way);
    const caller = await udpPhone();
    const dialog = await caller.invite(phone.uri);
    await phone.noticed(`call from ${caller.user}`);
    await caller.response(180);
    await phone.ask('answer');
    const ok = await caller.response(200);
    expect(bodyOf(ok).toString()).toMatch(/^m=audio \d+ UDP\/TLS\/RTP\/SAVPF 0\r$/m);
    expect(headerOf(ok, 'Contact')).toMatch(/\.invalid;transport=ws>/);
    await caller.send(dialog.within('ACK', ok));
    await phone.noticed('confirmed');
    await phone.ask('hangUp');
    await caller.answer('BYE');
    await phone.noticed('ended');
  });

  it.each(WAYS)('by %s, is called from UDP, and the caller hangs up before the answer', async (way) => {
    const phone = await registered(way);
    const caller = await udpPhone();
    const dialog = await caller.invite(phone.uri);
    await phone.noticed(`call from ${caller.user}`);
    await caller.response(180);
    await caller.send(dialog.cancel());
    await caller.response(487);
    await phone.noticed('failed: Canceled');
  });

  it.each(WAYS)('by %s, is called from UDP, and the caller hangs up after the answer', async (way) => {
    const phone = await registered(way);
    const caller = await udpPhone();
    const dialog = await caller.invite(phone.uri);
    await phone.noticed(`call from ${caller.user}`);
    await phone.ask('answer');
    const ok = await caller.response(200);
    await caller.send(dialog.within('ACK', ok));
    await phone.noticed('confirmed');
    await caller.send(dialog.within('BYE', ok));
    await phone.noticed('ended');
  });

  it('calls another browser, the one by WS, the other by WSS, and they hear each other', async () => {
    const [caller, callee] = [await registered('ws'), await registered('wss')];
    await caller.ask('call', callee.uri);
    await callee.noticed(`call from ${caller.name}`);
    await callee.ask('answer');
    for (const phone of [caller, callee]) {
      await phone.noticed('confirmed');
      await phone.noticed('media connected');
    }
    await callee.ask('hangUp');
    await caller.noticed('ended');
  });

  it('sends a text that is more than ASCII', async () => {
    const [sender, receiver] = [await registered('wss'), await registered('ws')];
    await sender.ask('sendMessage', receiver.uri, 'Grüße, 你好');
    await receiver.noticed('message: Grüße, 你好');
  });

  it('does not connect where the certificate is one that it does not trust', async () => {
    const [, port] = /wss:127\.0\.0\.1:(\d+)/.exec(stranger.stdout)!;
    const phone = await start(`wss://127.0.0.1:${port}`);
    await phone.noticed('disconnected 1006');
    await phone.ask('stop');
    const count = async (name: string) => (await stranger.counters())[name]!;
    await until('the server has noticed', async () => (await count('stream_closed_handshake_total')) > 0);
    expect(await count('stream_upgrades_total')).toBe(0);
  });

  it('does not connect from a page of another origin', async () => {
    const elsewhere = await open('localhost');
    const phone = await start(`ws://127.0.0.1:${ports.get('ws')}`, elsewhere);
    await phone.noticed('disconnected 1006');
    await elsewhere.close();
    expect((await server.counters())['stream_foreign_origins_total']).toBeGreaterThan(0);
  });

  it.each(WAYS)('by %s, whose page is closed, is not there any more: 480', async (way) => {
    const leaving = await open();
    const phone = await registered(way, leaving);
    const connections = await openConnections();
    await leaving.close();
    await until('its connection is gone', async () => (await openConnections()) < connections);
    const caller = await udpPhone();
    await caller.invite(phone.uri);
    await caller.response(480);
    expect(complaints).toEqual([]);
  });

  async function openConnections(): Promise<number> {
    const counters = await server.counters();
    const closed = CLOSE_REASONS.reduce((sum, reason) => sum + counters[`stream_closed_${reason}_total`]!, 0);
    return counters['stream_accepted_total']! - closed;
  }
});

/** A phone in a page (web-phone.js). */
class WebPhone {
  readonly name: string;
  readonly uri: string;
  readonly #page: Page;
  readonly #explain: () => string;

  constructor(page: Page, name: string, explain: () => string) {
    this.#page = page;
    this.name = name;
    this.uri = `sip:${name}@${DOMAIN}`;
    this.#explain = explain;
  }

  ask(method: string, ...args: unknown[]): Promise<unknown> {
    return this.#page.evaluate(`webPhone.${method}(...${JSON.stringify([this.name, ...args])})`);
  }

  /** Waits until it has noticed `event`. */
  noticed(event: string): Promise<void> {
    let events: string[] = [];
    const hasNoticed = async () => {
      events = (await this.ask('events')) as string[];
      return events.includes(event);
    };
    const explain = () => `so far: ${events.join(', ')} ${this.#explain()}`;
    return until(`${this.name} notices "${event}"`, hasNoticed, { pollMs: 20, explain });
  }
}

function users() {
  return Array.from({ length: MAX_PHONES }, (_, i) => ({ user: `user${i + 1}`, password: `user${i + 1}-secret` }));
}

/** As --ignore-certificate-errors-spki-list wants it. */
function keyHash(file: string): string {
  const key = new X509Certificate(readFileSync(file)).publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(key).digest('base64');
}

let calls = 0;

/** A phone that speaks UDP, one call each. */
class UdpPhone {
  readonly user = `udp-${++calls}`;
  readonly #peer: UdpPeer;
  readonly #server: number;

  private constructor(peer: UdpPeer, server: number) {
    this.#peer = peer;
    this.#server = server;
  }

  static async open(server: number): Promise<UdpPhone> {
    return new UdpPhone(await UdpPeer.open(), server);
  }

  async invite(uri: string): Promise<OutgoingDialog> {
    const dialog = new OutgoingDialog(this.user, uri, this.#peer.hostPort);
    await this.send(dialog.invite());
    return dialog;
  }

  send(message: string): Promise<void> {
    return this.#peer.send(Buffer.from(message, 'latin1'), this.#server);
  }

  async response(status: number): Promise<Buffer> {
    return (await this.#peer.receive(`SIP/2.0 ${status} `)).datagram;
  }

  /** Says 200 to a request of the other side. */
  async answer(method: string): Promise<void> {
    const { datagram } = await this.#peer.receive(`${method} sip:`);
    await this.#peer.send(okTo(datagram), this.#server);
  }

  close(): void {
    this.#peer.close();
  }
}

/** What a caller says, who has no transactions: one message after the other. */
class OutgoingDialog {
  readonly #caller: string;
  readonly #uri: string;
  readonly #hostPort: string;
  readonly #callId = `browser-${process.pid}-${calls}`;
  #cseq = 1;

  constructor(caller: string, uri: string, hostPort: string) {
    this.#caller = caller;
    this.#uri = uri;
    this.#hostPort = hostPort;
  }

  invite(): string {
    const headers = [`To: <${this.#uri}>`, `Contact: <sip:${this.#caller}@${this.#hostPort}>`];
    return this.#request('INVITE', this.#uri, [...headers, 'Content-Type: application/sdp'], OFFER);
  }

  cancel(): string {
    return this.#request('CANCEL', this.#uri, [`To: <${this.#uri}>`]);
  }

  /** RFC 3261 12.2.1.1: to the contact, by the recorded route. */
  within(method: 'ACK' | 'BYE', ok: Buffer): string {
    if (method === 'BYE') this.#cseq++;
    const head = ok.toString('latin1');
    const routes = [...head.matchAll(/^Record-Route: (.*)\r$/gm)].map(([, route]) => `Route: ${route}`).reverse();
    const [, contact] = /<([^>]*)>/.exec(headerOf(ok, 'Contact')!)!;
    return this.#request(method, contact!, [...routes, `To: ${headerOf(ok, 'To')}`]);
  }

  #request(method: string, uri: string, headers: readonly string[], body = ''): string {
    const branch = method === 'CANCEL' ? 'INVITE' : method;
    const lines = [
      `${method} ${uri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${this.#hostPort};branch=z9hG4bK${this.#callId}-${branch}`,
      'Max-Forwards: 70',
      `From: <sip:${this.#caller}@caller.example>;tag=caller`,
      `Call-ID: ${this.#callId}`,
      `CSeq: ${this.#cseq} ${method}`,
      ...headers,
      `Content-Length: ${body.length}`,
    ];
    return `${lines.join('\r\n')}\r\n\r\n${body}`;
  }
}
