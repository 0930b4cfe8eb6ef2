/** The reference page is fresh and complete, and the example configurations are valid. */

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { FLAG_SETTINGS } from '../../src/config/overrides.ts';
import { renderReference } from '../../src/config/reference.ts';
import { configSetting, leafSettings, type Setting } from '../../src/config/settings.ts';

const root = new URL('../../', import.meta.url);

function everySetting(setting: Setting): Setting[] {
  const below = [...setting.keys.values(), ...(setting.element === null ? [] : [setting.element])];
  return below.flatMap((inner) => [inner, ...everySetting(inner)]);
}

describe('the reference page', () => {
  it('is fresh: `npm run generate` writes it', () => {
    expect(readFileSync(new URL('docs/configuration.md', root), 'utf8')).toBe(renderReference());
  });

  it('has a row for every setting', () => {
    const page = renderReference();
    for (const { path } of leafSettings()) expect(page).toContain(`| \`${path}\` |`);
  });
});

describe('every setting', () => {
  it.each(everySetting(configSetting).map((setting) => [setting.path, setting]))('%s is explained', (_, setting) => {
    expect(setting.about?.help).toMatch(/\w/);
    expect(setting.about?.reload).toMatch(/^(live|restart)$/);
    if (setting.keys.size === 0) expect(setting.accepted).toMatch(/\w/);
  });

  it('that a flag stands for exists', () => {
    const paths = leafSettings().map(({ path }) => path);
    for (const { path } of Object.values(FLAG_SETTINGS)) expect(paths).toContain(path.join('.'));
  });
});

describe('the examples', () => {
  const files = readdirSync(new URL('examples/', root)).filter((name) => name.endsWith('.yaml'));

  it.each(files)('%s is valid', (name) => {
    const { config, problems } = loadConfig({ file: new URL(`examples/${name}`, root).pathname });
    expect(problems).toBeUndefined();
    expect(config!.domains.length).toBeGreaterThan(0);
  });

  it('are there', () => {
    expect(files.length).toBeGreaterThanOrEqual(3);
  });
});
