/** The live page in Chromium, of a real server: at rest, under the load of SIPp, while shards die, and while the server is away. */

import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LiveHello } from '../../../src/runtime/live/live-feed.ts';
import { METHOD_NAMES } from '../../../src/sip/methods.ts';
import { DESK, focusOn, hasChromium, launchChromium, PHONE, PROBE } from '../../browser/chromium.ts';
import { expectContrast, expectToFit } from '../../browser/page-checks.ts';
import { endServers, ServerProcess, until } from '../../process/server-process.ts';
import { freeTcpPort } from '../../process/tcp-port.ts';
import { freePort } from '../../process/udp-peer.ts';
import { endLoadGenerators, startUac, startUas } from '../load-generator.ts';

const CALLS_PER_SEC = 50;
const SECONDS = 10;
/** A page that waits for the next second, a server that starts: on a busy machine. */
const PATIENCE = { timeout: 20_000 };

interface OpenPage {
  readonly page: Page;
  /** What the browser complained of. */
  readonly complaints: string[];
  /** Where it went. */
  readonly origins: Set<string>;
}

describe.skipIf(!hasChromium)('the live page', () => {
  let browser: Browser;
  let server: ServerProcess;
  let url: string;
  let tcpPort: number;
  let args: string[];

  beforeAll(async () => {
    url = `http://127.0.0.1:${await freeTcpPort()}/`;
    const listen = `udp:127.0.0.1:${await freePort()}`;
    tcpPort = await freeTcpPort();
    args = ['--mode', 'stateful', '--listen', listen, '--listen', `tcp:127.0.0.1:${tcpPort}`];
    // Every call is kept, so that the one that is looked for is there.
    args.push('--admin', new URL(url).host, '--set', 'trace.sample=1');
    server = await ServerProcess.start(...args);
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser?.close();
    await endLoadGenerators();
    await endServers();
  });

  async function open(options: Parameters<Browser['newPage']>[0] = { viewport: DESK }): Promise<OpenPage> {
    const page = await browser.newPage(options);
    const complaints: string[] = [];
    const origins = new Set<string>();
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('request', (request) => origins.add(new URL(request.url()).origin));
    await page.addInitScript({ path: PROBE });
    await page.goto(url);
    await shows(page, '#state-word', 'Ready');
    // The first difference of two readings.
    await page
      .locator('.tile .line[d^=M]')
      .first()
      .waitFor({ state: 'attached', ...PATIENCE });
    return { page, complaints, origins };
  }

  /** Waits until a part of the page has a text in it. */
  async function shows(page: Page, selector: string, text: string): Promise<void> {
    await page.locator(selector, { hasText: text }).first().waitFor(PATIENCE);
  }

  /** The figure of a tile. */
  async function tile(page: Page, name: string): Promise<number> {
    const text = await page.locator(`.tile[aria-label="${name}"] .big`).innerText();
    return Number(text.replaceAll(',', ''));
  }

  async function legend(page: Page, title: string): Promise<Record<string, string>> {
    const rows = await page.locator('figure', { hasText: title }).locator('.legend li').all();
    const texts = await Promise.all(rows.map(async (row) => (await row.innerText()).split('\n')));
    return Object.fromEntries(texts.map(([name, value]) => [name!, value!]));
  }

  /** Requests of a method that the points of the charts add up to, since the first page was opened. */
  async function countedBy(method: string): Promise<number> {
    const abort = new AbortController();
    const response = await fetch(`${url}live/events`, { signal: abort.signal });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('\n\n')) text += (await reader.read()).value ?? '';
    abort.abort();
    const { points } = JSON.parse(/^data: (.*)$/m.exec(text)![1]!) as LiveHello;
    const id = METHOD_NAMES.indexOf(method);
    return points.reduce((sum, { at, requests }, i) => {
      const sec = Math.min(5, (at - (points[i - 1]?.at ?? at - 1000)) / 1000);
      return sum + requests[id]! * sec;
    }, 0);
  }

  describe('of a server without traffic', () => {
    it('says what to try, complains of nothing and asks nobody else', async () => {
      const { page, complaints, origins } = await open();
      await shows(page, '#first-call-lines', 'sipp -sn uac');
      expect(await page.locator('#state-note').innerText()).toMatch(/^(?:just started|up )/);
      expect(await page.locator('#errors').innerText()).toBe('None since the server started.');
      expect(complaints).toEqual([]);
      expect([...origins]).toEqual([new URL(url).origin]);
      expect(await page.evaluate('probe.reachForTheNetwork()')).toEqual(['connect-src', 'img-src']);
      await page.close();
    });

    it('scrolls nothing sideways from a phone to a wide screen, and no labels lie over each other', async () => {
      const { page } = await open();
      await expectToFit(page, [320, 360, 412, 768, 1024, 1280, 1920]);
      await page.close();
    });

    it('has a contrast of 4.5 to 1 in all words, in light and dark', async () => {
      const { page } = await open();
      await expectContrast(page);
      await page.close();
    });
  });

  describe('under load', () => {
    it('shows what SIPp does, on a desk and on a phone', async () => {
      const uas = await startUas();
      const desk = await open();
      const phone = await open({ viewport: PHONE, hasTouch: true, isMobile: true });
      const calls = CALLS_PER_SEC * SECONDS;
      const before = await countedBy('INVITE');
      const target = `127.0.0.1:${uas.port}`;
      const by = new URL(`sip://${args[3]!.slice('udp:'.length)}`).host;
      const uac = await startUac({ target, by, calls, perSec: CALLS_PER_SEC, retransmits: false });
      for (const { page } of [desk, phone]) {
        const isNear = async () => Math.abs((await tile(page, 'Calls')) - CALLS_PER_SEC) < CALLS_PER_SEC / 4;
        await until(`the page shows ${CALLS_PER_SEC} calls a second`, isNear, {
          pollMs: 100,
          explain: () => `${server.output}\n${uac.explain()}`,
        });
        expect(await page.locator('#quiet-server').isVisible()).toBe(false);
      }
      const { page, complaints } = desk;
      await shows(page, '#talkers', '127.0.0.1');
      expect(Number((await legend(page, 'Responses sent'))['2xx'])).toBeGreaterThan(0);
      expect((await legend(page, 'Transit'))['p99']).toMatch(/^[\d.]+\s(?:µs|ms)$/);
      expect((await legend(page, 'Time to the final response'))['INVITE p50']).toMatch(/^[\d.]+\s(?:µs|ms)$/);
      const threads = await page.locator('#shards tbody th').allInnerTexts();
      expect(threads.map((name) => name.trim())).toEqual(['main', 'dispatcher', 'streams', 'shard 0', 'shard 1']);
      expect(await uac.exit, uac.explain()).toBe(0);
      expect(complaints).toEqual([]);
      // Points are a second's rate and an instant of the wall clock; on a busy machine the two are taken some time apart.
      const counted = (await countedBy('INVITE')) - before;
      expect(Math.abs(counted - calls), `${counted} of ${calls}`).toBeLessThan(calls / 5);
      await Promise.all([desk.page.close(), phone.page.close()]);
    });

    it('shows a call message by message', async () => {
      const { page, complaints } = await open();
      await page.locator('#calls-what').fill('sipp');
      await page.keyboard.press('Enter');
      await page.locator('#calls-list li').first().waitFor(PATIENCE);
      expect(await page.locator('#calls-list .outcome').first().innerText()).toBe('INVITE 200');
      const labels = await page.locator('#ladder .label').allInnerTexts();
      const expected = ['INVITE', '100 Trying', '180 Ringing', '200 OK', 'ACK', 'BYE', '200 OK (BYE)'];
      expect(expected.filter((label) => !labels.includes(label))).toEqual([]);
      expect(await page.locator('#ladder .lanes span').count()).toBe(3);
      const rung = page.locator('#ladder .rung').first();
      await rung.focus();
      await page.keyboard.press('Enter');
      expect(await rung.getAttribute('aria-expanded')).toBe('true');
      expect(await page.locator('#ladder pre').first().innerText()).toMatch(
        /^INVITE sip:\S+ SIP\/2\.0\n(?:.*\n)*Call-ID: /,
      );
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name: 'Save as pcap' }).click(),
      ]);
      // The magic number of a capture file.
      expect(readFileSync(await download.path()).readUInt32LE(0)).toBe(0xa1b2c3d4);
      await page.locator('#calls-what').fill('nobody-by-that-name');
      await page.keyboard.press('Enter');
      await shows(page, '#calls-note', 'No such call');
      expect(complaints).toEqual([]);
      await page.close();
    });

    it('shows connections, and who sends over them', async () => {
      const { page } = await open();
      const peer = connect({ port: tcpPort, host: '127.0.0.1', localAddress: '127.0.0.9' });
      const options = (cseq: number) =>
        [
          `OPTIONS sip:127.0.0.1:${tcpPort} SIP/2.0`,
          `Via: SIP/2.0/TCP 127.0.0.9;branch=z9hG4bK${cseq}`,
          'From: <sip:peer@127.0.0.9>;tag=1',
          'To: <sip:127.0.0.1>',
          'Call-ID: pings@127.0.0.9',
          `CSeq: ${cseq} OPTIONS`,
          'Content-Length: 0',
          '\r\n',
        ].join('\r\n');
      let cseq = 0;
      const pings = setInterval(() => peer.write(options(++cseq)), 100);
      await shows(page, '#talkers', '127.0.0.9');
      await shows(page, '#connections', '1 of ');
      clearInterval(pings);
      peer.destroy();
      await shows(page, '#connections', '0 of ');
      await page.close();
    });

    it('is walked through and read by keyboard', async () => {
      const { page } = await open();
      await page.keyboard.press('Tab');
      expect(await page.evaluate('probe.hasFocus(".skip")')).toBe(true);
      await focusOn(page, '[data-span="900"]');
      await page.keyboard.press('Space');
      expect(await page.locator('[data-span="900"]').getAttribute('aria-pressed')).toBe('true');
      expect(await page.locator('.x-axis span').first().innerText()).toBe('−15\u202fmin');

      await focusOn(page, '#pause');
      await page.keyboard.press('Enter');
      await shows(page, '#notice', 'Paused');
      const paused = await page.locator('#state-note').innerText();
      await focusOn(page, '#charts figure:first-child .area');
      await page.keyboard.press('Home');
      await page.keyboard.press('ArrowRight');
      const area = page.locator('#charts figure:first-child .area');
      expect(await area.getAttribute('aria-valuetext')).toMatch(/^\d\d:\d\d:\d\d: INVITE [\d.]+, ACK/);
      expect(await area.getAttribute('aria-valuenow')).toBe('1');
      // All charts are asked about the same second.
      expect(await page.locator('figure.asked').count()).toBe(4);
      await page.keyboard.press('Escape');
      expect(await page.locator('figure.asked').count()).toBe(0);
      expect(await page.locator('#state-note').innerText()).toBe(paused);
      await page.locator('#pause').click();
      expect(await page.locator('#notice').isVisible()).toBe(false);
      await page.close();
    });
  });

  it('shows a shard that died and what the log says about it', async () => {
    const { page } = await open();
    await server.crashShard(1);
    await page.locator('#shards tr:nth-child(5) td:last-child.bad', { hasText: '1' }).waitFor(PATIENCE);
    await shows(page, '#errors', 'shard crashed');
    expect(await page.locator('#errors-link').innerText()).toBe('1 recent error');
    await page.close();
  });

  it('says that the server is away and since when, and goes on with the next one', async () => {
    const { page } = await open();
    server.child.kill('SIGKILL');
    await server.exit;
    await shows(page, '#state-word', 'No connection');
    expect(await page.locator('#notice-text').innerText()).toMatch(/What is shown is of \d\d:\d\d:\d\d\./);
    expect(await page.locator('body.stale').count()).toBe(1);
    server = await ServerProcess.start(...args);
    await shows(page, '#state-word', 'Ready');
    expect(await page.locator('#state-note').innerText()).toMatch(/^just started/);
    expect(await page.locator('#notice').isVisible()).toBe(false);
    await page
      .locator('#charts .restarts[d^=M]')
      .first()
      .waitFor({ state: 'attached', ...PATIENCE });
    await page.close();
  });

  it('asks for the token where there is one, and asks again for a wrong one', async () => {
    const tokenFile = join(server.folder, 'token');
    writeFileSync(tokenFile, 'a-token-of-many-characters');
    const port = await freeTcpPort();
    const locked = await ServerProcess.start(
      ...['--listen', `udp:127.0.0.1:${await freePort()}`, '--admin', `127.0.0.1:${port}`],
      ...['--set', `control.tokenFile=${tokenFile}`],
    );
    const page = await browser.newPage({ viewport: DESK });
    await page.goto(`http://127.0.0.1:${port}/`);
    await shows(page, '#state-word', 'Locked');
    await page.keyboard.type('not-the-right-token');
    await page.keyboard.press('Enter');
    await shows(page, '#token-why', 'That was not the one');
    await page.keyboard.type('a-token-of-many-characters');
    await page.keyboard.press('Enter');
    await shows(page, '#state-word', 'Ready');
    // Kept for as long as the tab.
    await page.reload();
    await shows(page, '#state-word', 'Ready');
    await page.close();
    await locked.kill();
  });

  it('says that the server has stopped', async () => {
    const { page } = await open();
    server.child.kill('SIGTERM');
    await shows(page, '#state-word', 'Stopped');
    expect((await server.exit).code).toBe(0);
    // Also when it has been looked for in vain.
    await page.locator('#notice-action').click();
    await shows(page, '#notice-next', 'The next try is in');
    expect(await page.locator('#notice-text').innerText()).toMatch(/^The server has stopped\. What is shown is of/);
    expect(await page.locator('#state-word').innerText()).toBe('Stopped');
    await page.close();
  });
});
