/** Writes every generated file. `npm run generate`; with `--check` it writes nothing and fails if one is stale. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

/** One line per generated file: where it lies, who renders it. The module is loaded only when its turn comes. */
const GENERATED: { path: string; source: string; exportName: string }[] = [
  { path: 'native/src/layout.h', source: 'src/memory/generate-layout-header.ts', exportName: 'renderLayoutHeader' },
  { path: 'docs/configuration.md', source: 'src/config/reference.ts', exportName: 'renderReference' },
  { path: 'docs/metrics.md', source: 'src/observe/metrics.ts', exportName: 'renderMetricsReference' },
  { path: 'docs/control.md', source: 'src/runtime/control/reference.ts', exportName: 'renderControlReference' },
  { path: 'deploy/grafana/strowger.json', source: 'deploy/grafana/dashboard.ts', exportName: 'renderDashboard' },
];

const root = new URL('../', import.meta.url);
const checkOnly = process.argv.includes('--check');

for (const { path, source, exportName } of GENERATED) {
  const sourceUrl = new URL(source, root);
  if (!existsSync(sourceUrl)) {
    console.log(`${path}: skipped, ${source} is not there`);
    continue;
  }
  const module = (await import(sourceUrl.href)) as Record<string, () => string>;
  const text = module[exportName]!();
  const target = new URL(path, root);
  if (existsSync(target) && readFileSync(target, 'utf8') === text) continue;
  if (checkOnly) {
    console.error(`${path} is stale: run \`npm run generate\``);
    process.exitCode = 1;
    continue;
  }
  mkdirSync(new URL('./', target), { recursive: true });
  writeFileSync(target, text);
  console.log(`${path}: written`);
}
