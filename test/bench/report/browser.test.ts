/** The page in the browser that people have: Chromium, at a phone's and at a desk's width, in both colour schemes. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { renderReport } from '../../../perf/bench/report/page.ts';
import { csvFilesOf } from '../../../perf/bench/report/raw-data.ts';
import { DESK, focusOn, hasChromium, launchChromium, PHONE, PROBE } from '../../browser/chromium.ts';
import { expectContrast, expectToFit } from '../../browser/page-checks.ts';
import { STROWGER_AND_KAMAILIO, simulate, simulateSearch } from '../simulated-result.ts';

const result = simulate({
  seed: 1,
  rounds: 3,
  durationSec: 8,
  histogramSize: 3000,
  contestants: [
    ...STROWGER_AND_KAMAILIO,
    { name: 'baseline', role: 'baseline', ratePerSec: 15_000, cpuUs: null, delayUs: 300, failureShare: 0.0001 },
  ],
  title: 'A-title-without-any-place-to-break-it-that-is-longer-than-a-phone-is-wide </script>',
  search: [simulateSearch(2000)],
  warnings: ['A warning.'],
});

describe.skipIf(!hasChromium)('the report in a browser', () => {
  const folder = mkdtempSync(join(tmpdir(), 'strowger-browser-'));
  const address = pathToFileURL(join(folder, 'report.html')).href;
  let browser: Browser;

  beforeAll(async () => {
    writeFileSync(join(folder, 'report.html'), renderReport(result));
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The page, and all that the browser complained of or asked for. */
  async function open(options: Parameters<Browser['newPage']>[0] = { viewport: DESK }) {
    const page = await browser.newPage(options);
    const complaints: string[] = [];
    const requests: string[] = [];
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('request', (request) => requests.push(request.url()));
    await page.addInitScript({ path: PROBE });
    await page.goto(address);
    return { page, complaints, requests };
  }

  it('loads without a complaint and asks for nothing but itself', async () => {
    const { page, complaints, requests } = await open();
    await page.evaluate('probe.nextFrame()');
    expect(complaints).toEqual([]);
    expect(requests).toEqual([address]);
    await page.close();
  });

  it('could not fetch anything if it wanted to', async () => {
    const { page } = await open();
    expect(await page.evaluate('probe.reachForTheNetwork()')).toEqual(['connect-src', 'img-src']);
    await page.close();
  });

  it('scrolls nothing sideways, from the narrowest phone to a desk, and no labels lie over each other', async () => {
    const { page } = await open();
    await expectToFit(page, [320, 360, 412, 768, 1280]);
    await page.close();
  });

  it('has a contrast of 4.5 to 1 in all words, in light and dark', async () => {
    const { page } = await open();
    await expectContrast(page);
    await page.close();
  });

  it('is read by keyboard: tabs, values of a curve, contestants, and no trap', async () => {
    const { page } = await open();
    await focusOn(page, '[role=tab][aria-selected=true]');
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('[role=tabpanel]:visible').getAttribute('data-tab')).toBe('Set-up delay');
    await page.keyboard.press('ArrowLeft');

    await focusOn(page, '[data-chart=percentiles-sessionRequest] .area');
    await page.keyboard.press('End');
    const area = page.locator('[data-chart=percentiles-sessionRequest] .area');
    expect(await area.getAttribute('aria-valuetext')).toMatch(/^99\.9\d*\s%: Strowger [\d.]+\s(?:µs|ms), Kamailio/);
    expect(await area.locator('.readout').isVisible()).toBe(true);
    const last = Number(await area.getAttribute('aria-valuenow'));
    await page.keyboard.press('ArrowLeft');
    expect(await area.getAttribute('aria-valuenow')).toBe(String(last - 1));
    await page.keyboard.press('Escape');
    expect(await area.locator('.readout').isVisible()).toBe(false);

    const figure = page.locator('figure', { has: page.locator('[data-chart=rate-over-time]') });
    await focusOn(page, 'figure:has([data-chart=rate-over-time]) button[data-toggle="1"]');
    await page.keyboard.press('Space');
    expect(await figure.locator('.line[data-series="1"]').isVisible()).toBe(false);
    expect(await figure.locator('.line[data-series="0"]').isVisible()).toBe(true);
    await focusOn(page, '[data-download="percentiles.csv"]');
    await page.close();
  });

  it('shows by touch what a curve is at a place', async () => {
    const { page } = await open({ viewport: PHONE, hasTouch: true, isMobile: true });
    const area = page.locator('[data-chart=rate-over-time] .area');
    await area.scrollIntoViewIfNeeded();
    await area.tap({ position: { x: 100, y: 40 } });
    expect(await area.locator('.readout').innerText()).toMatch(/Strowger\s+1\d,\d{3}/);
    expect(await page.evaluate(`probe.isWithin('.reading .readout')`)).toBe(true);
    await page.close();
  });

  it('gives back its data: the JSON as it was, and CSV', async () => {
    const { page, complaints } = await open();
    for (const { name, text } of [{ name: 'result.json', text: null }, ...csvFilesOf(result)]) {
      const [download] = await Promise.all([page.waitForEvent('download'), page.click(`[data-download="${name}"]`)]);
      expect(download.suggestedFilename()).toBe(name);
      const saved = readFileSync(await download.path(), 'utf8');
      if (text === null) expect(JSON.parse(saved)).toEqual(result);
      else expect(saved).toBe(text);
    }
    expect(complaints).toEqual([]);
    await page.close();
  });

  it('says everything without scripts', async () => {
    const { page } = await open({ viewport: PHONE, javaScriptEnabled: false });
    const panels = page.locator('[data-tab]');
    expect(await panels.count()).toBe(3);
    for (const panel of await panels.all()) expect(await panel.isVisible()).toBe(true);
    await page.close();
  });
});
