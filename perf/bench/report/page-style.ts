/** The style of the page, and its colours for what is drawn outside of it. Cold. */

import { readFileSync } from 'node:fs';
import { Markup } from './markup.ts';

const palette = readFileSync(new URL('../../../src/runtime/live/page/palette.css', import.meta.url), 'utf8');

export const PAGE_STYLE = new Markup(palette + readFileSync(new URL('page.css', import.meta.url), 'utf8'));

/** The page's custom properties, light and dark, on an `svg` element that stands by itself. */
export const SVG_COLOURS = new Markup(svgColours());

function svgColours(): string {
  const [light, dark] = [...palette.matchAll(/:root \{([^}]*)\}/g)].map(([, block]) => propertiesOf(block!));
  return `svg{${light}}@media (prefers-color-scheme:dark){svg{${dark}}}`;
}

function propertiesOf(block: string): string {
  return [...block.matchAll(/(--\w[\w-]*):\s*([^;]+);/g)].map(([, name, value]) => `${name}:${value}`).join(';');
}
