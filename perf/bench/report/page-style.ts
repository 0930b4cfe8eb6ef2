/** The style of the page, and its colours for what is drawn outside of it. Cold. */

import { readFileSync } from 'node:fs';
import { Markup } from './markup.ts';

const css = readFileSync(new URL('page.css', import.meta.url), 'utf8');

export const PAGE_STYLE = new Markup(css);

/** The page's custom properties, light and dark, on an `svg` element that stands by itself. */
export const SVG_COLOURS = new Markup(svgColours());

function svgColours(): string {
  const [light, dark] = [...css.matchAll(/:root \{([^}]*)\}/g)].map(([, block]) => propertiesOf(block!));
  return `svg{${light}}@media (prefers-color-scheme:dark){svg{${dark}}}`;
}

function propertiesOf(block: string): string {
  return [...block.matchAll(/(--\w[\w-]*):\s*([^;]+);/g)].map(([, name, value]) => `${name}:${value}`).join(';');
}
