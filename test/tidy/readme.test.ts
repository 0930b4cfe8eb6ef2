/** What the README and its sisters tell a newcomer to type exists: npm scripts, flags, files, settings. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FLAG_ROWS } from '../../src/cli/arguments.ts';
import { readSourceFiles, root } from './source-files.ts';

const NPM_BUILT_IN = new Set(['ci', 'install', 'rebuild']);

const folder = mkdtempSync(join(tmpdir(), 'strowger-readme-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The fenced blocks of one language. */
function fencedBlocks(markdown: string, language: string): string[] {
  return [...markdown.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].filter((m) => m[1] === language).map((m) => m[2]!);
}

/** The commands of a shell block: comments dropped, continued lines joined. */
function commandsOf(block: string): string[] {
  const lines = block.replace(/\s*\\\n\s*/g, ' ').split('\n');
  return lines.map((line) => line.replace(/(?:^|\s)#.*$/, '').trim()).filter((line) => line !== '');
}

/** What does not exist among the npm scripts and Strowger's flags that a command uses. */
function findingsOfCommand(command: string, scripts: ReadonlySet<string>, flags: ReadonlySet<string>): string[] {
  const findings: string[] = [];
  const npm = /^(?:\w+=\S+ )*npm (?:run )?([\w:-]+)/.exec(command);
  if (npm && !scripts.has(npm[1]!) && !NPM_BUILT_IN.has(npm[1]!))
    findings.push(`no npm script "${npm[1]}": ${command}`);
  const ours = /\bnpm start -- (.*)$|\bstrowger(?:\.js)? (.*)$/.exec(command);
  for (const flag of (ours?.[1] ?? ours?.[2] ?? '').matchAll(/(?<=^|\s)--[\w-]+/g)) {
    if (!flags.has(flag[0])) findings.push(`no flag ${flag[0]}: ${command}`);
  }
  return findings;
}

function strowger(...args: string[]) {
  return spawnSync(process.execPath, ['bin/strowger.js', ...args], { cwd: root, encoding: 'utf8' });
}

const documents = readSourceFiles('*.md', 'src/**/*.md', 'docs/*.md', 'perf/**/*.md', 'test/**/*.md', 'deploy/**/*.md');

describe('documents', () => {
  it('commands exist, with their flags', () => {
    const scripts = new Set(Object.keys(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts));
    const flags = new Set(FLAG_ROWS.map(({ name }) => `--${name}`));
    const commands = documents.flatMap(({ text }) => fencedBlocks(text, 'sh')).flatMap(commandsOf);
    expect(commands.flatMap((command) => findingsOfCommand(command, scripts, flags))).toEqual([]);
  });

  it('configurations pass `strowger check`', () => {
    const blocks = documents.flatMap(({ text }) => fencedBlocks(text, 'yaml'));
    expect(blocks.length).toBeGreaterThan(0);
    for (const [index, block] of blocks.entries()) {
      const file = join(folder, `${index}.yaml`);
      writeFileSync(file, block);
      const check = strowger('check', '--config', file);
      expect(check.stderr + check.stdout + block, block).not.toMatch(/error/i);
      expect(check.status, check.stderr + check.stdout).toBe(0);
    }
  });

  it('links to files lead somewhere', () => {
    const broken: string[] = [];
    for (const { path, text } of documents) {
      for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)) {
        if (!existsSync(join(root, dirname(path), target!))) broken.push(`${path}: ${target}`);
      }
    }
    expect(broken).toEqual([]);
  });

  it('finds what it looks for', () => {
    const findings = (command: string) =>
      findingsOfCommand(command, new Set(['start', 'test', 'perf:scale']), new Set(['--listen', '--help']));
    expect(findings('npm start')).toEqual([]);
    expect(findings('npm run perf:scale')).toEqual([]);
    expect(findings('npm run stop')).toHaveLength(1);
    expect(findings('npm start -- --listen udp:127.0.0.1:5070')).toEqual([]);
    expect(findings('npm start -- --bind udp:127.0.0.1:5070')).toHaveLength(1);
    expect(findings('npx strowger check --conf a.yaml')).toHaveLength(1);
    expect(findings('sipp --bind 127.0.0.1')).toEqual([]);
    expect(commandsOf('# first\nnpm start -- \\\n  --help # shows\n')).toEqual(['npm start -- --help']);
    expect(fencedBlocks('a\n```sh\nnpm test\n```\n```yaml\na: 1\n```\n', 'sh')).toEqual(['npm test\n']);
  });
});
