/** docs/configuration.md, written from the schema (`npm run generate`; a test checks that it is fresh). Cold. */

import { FLAG_SETTINGS } from './overrides.ts';
import { configSetting, leafSettings, type Setting } from './settings.ts';

export function renderReference(): string {
  return `# Configuration

<!-- Generated from src/config/schema.ts by \`npm run generate\`. Do not edit. -->

A configuration is one YAML file, given with \`--config FILE\`. Every setting has a default, so a file names only what
differs, and no file at all is a valid configuration. Flags override the file; \`--set path=value\` (the value is YAML,
the path is written as in the first column with a number in the brackets, such as \`--set listen[0].dscp=24\`) overrides
both. A list given on the command line replaces the list of the file.

\`strowger check --config FILE\` says what is wrong with a file, a line for each problem:

\`\`\`
strowger.yaml:7:8: dispatcher.napUs: 5 is out of range; accepted: a whole number from 50 to 5000
\`\`\`

Unknown keys and keys given twice are errors. *live* settings are applied by a reload ([reload.md](reload.md)), *restart*
settings need a new start. Units are the last word of a name: \`Us\`, \`Ms\`, \`Sec\`, \`Bytes\`.

\`\`\`yaml
listen:
  - 192.0.2.10:5060
domains:
  - name: example.org
    nextHops: [sip:10.0.0.7]
trusted: [127.0.0.0/8, 10.0.0.0/8]
\`\`\`

More complete ones are in \`examples/\`.

## At a glance

| setting | default | flag |
|---|---|---|
${leafSettings()
  .filter((setting) => !setting.path.includes('[]'))
  .map((setting) => `| [\`${setting.path}\`](#${anchorOf(setting)}) | ${defaultOf(setting)} | ${flagOf(setting)} |`)
  .join('\n')}

## Settings

${[...configSetting.keys.values()].map(renderSection).join('\n\n')}
`;
}

function renderSection(setting: Setting): string {
  const rows = leafSettings(setting).map(
    (leaf) =>
      `| \`${leaf.path}\` | ${cell(leaf.accepted ?? '')} | ${defaultOf(leaf)} | ${leaf.about?.reload ?? ''} | ${cell(leaf.about?.help ?? '')} |`,
  );
  const intro = setting.keys.size > 0 && setting.about !== null ? `${setting.about.help}\n\n` : '';
  return `### ${setting.path}

${intro}| setting | accepted | default | reload | meaning |
|---|---|---|---|---|
${rows.join('\n')}`;
}

function anchorOf(setting: Setting): string {
  return setting.path.split('.')[0]!.toLowerCase();
}

function defaultOf(setting: Setting): string {
  return setting.defaultValue === undefined ? '' : `\`${JSON.stringify(setting.defaultValue).replaceAll(',', ', ')}\``;
}

function flagOf(setting: Setting): string {
  const flag = Object.values(FLAG_SETTINGS).find(({ path }) => path.join('.') === setting.path);
  return flag === undefined ? '' : `\`${flag.name}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}
