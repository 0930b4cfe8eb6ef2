/** The browser that people have: Chromium from the system's packages, driven by playwright-core. */

import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';

const path = ['chromium', 'chromium-browser', 'google-chrome']
  .flatMap((name) => (process.env['PATH'] ?? '').split(':').map((folder) => join(folder, name)))
  .find(isExecutable);

export const hasChromium = path !== undefined;

/** No sandbox: tests also run as root. The others keep the browser itself off the network. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** What a test asks a page from inside: `probe` in its globals. */
export const PROBE = fileURLToPath(new URL('page-probe.js', import.meta.url));

export const PHONE = { width: 360, height: 740 };
export const DESK = { width: 1280, height: 900 };

/** `flags`: more of them. */
export function launchChromium(...flags: string[]): Promise<Browser> {
  return chromium.launch({ executablePath: path!, args: [...FLAGS, ...flags] });
}

/** Puts the focus there by the tab key alone, as often as there are things to stop at. */
export async function focusOn(page: Page, selector: string): Promise<void> {
  for (let presses = 0; presses < 80; presses++) {
    if (await page.evaluate(`probe.hasFocus(${JSON.stringify(selector)})`)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`the tab key does not lead to ${selector}`);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
