/** What every page of ours must be: asked of it by `probe` (page-probe.js). */

import type { Page } from 'playwright-core';
import { expect } from 'vitest';

const PAPERS = { light: 'rgb(247, 247, 245)', dark: 'rgb(16, 19, 22)' } as const;

/** Nothing scrolls sideways and no labels lie over each other, at any of these widths. */
export async function expectToFit(page: Page, widths: readonly number[]): Promise<void> {
  for (const width of widths) {
    await page.setViewportSize({ width, height: 800 });
    expect(await page.evaluate('probe.sideways()'), `at ${width} px`).toEqual({ pageWidth: width, sticksOut: [] });
    expect(await page.evaluate('probe.overlappingLabels()'), `at ${width} px`).toEqual([]);
  }
}

/** All words have a contrast of 4.5 to 1, in light and dark (WCAG 2.2, 1.4.3). */
export async function expectContrast(page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await page.evaluate('probe.contrast()')).toEqual({ paper: PAPERS[colorScheme], faint: [] });
  }
}
