/** Comments that promise something keep it: a departure from an RFC has its reason, a TODO its issue. Every module says
 *  what it is; a test may leave that to its `describe`. */

import { describe, expect, it } from 'vitest';
import { lineOf, readSourceFiles, type SourceFile } from './source-files.ts';

const TODO = /\b(?:TODO|FIXME|XXX|HACK)\b(?!\s*\(#\d+\))/g;
const DEPARTURE = /Departs from RFC/g;
const DEPARTURE_WITH_SECTION = /^Departs from RFC \d{3,5}(?: (?:§ ?)?[\d.]+)?(?:, [^:]{1,60})?:/;
const MIN_REASON_WORDS = 5;

function findingsOfComments({ path, text }: SourceFile): string[] {
  const findings: string[] = [];
  const report = (index: number, what: string) => findings.push(`${path}:${lineOf(text, index)}: ${what}`);
  for (const match of text.matchAll(TODO)) report(match.index, `${match[0]} without an issue, as in TODO (#12)`);
  for (const match of text.matchAll(DEPARTURE)) {
    const comment = commentFrom(text, match.index);
    const colon = comment.indexOf(':');
    if (!DEPARTURE_WITH_SECTION.test(comment)) report(match.index, 'write `Departs from RFC NNNN SECTION: reason`');
    else if (
      comment
        .slice(colon + 1)
        .trim()
        .split(/\s+/).length < MIN_REASON_WORDS
    ) {
      report(match.index, 'a departure from an RFC needs its reason');
    }
  }
  return findings;
}

/** The rest of the comment from `index` on, its lines joined, without comment marks. */
function commentFrom(text: string, index: number): string {
  const lines = text.slice(index).split('\n');
  let comment = lines[0]!;
  for (const line of lines.slice(1)) {
    if (comment.includes('*/') || !/^\s*(?:\/\/|\*|#)/.test(line)) break;
    comment += ` ${line.replace(/^\s*(?:\/\/|\*\/?|#)\s?/, '')}`;
  }
  return comment.replace(/\*\/.*$/, '').trim();
}

function findingsOfModuleComment({ path, text }: SourceFile): string[] {
  return /^(?:#!.*\n)?\s*\/\*\*/.test(text) ? [] : [`${path}: opens without saying what it is`];
}

describe('comments', () => {
  it('TODO has an issue, a departure from an RFC its reason', () => {
    const files = readSourceFiles('{src,test,perf,scripts,native}/**/*.{ts,mjs,js,cc,h,xml}', 'bin/*.js');
    const others = files.filter(({ path }) => path !== 'test/tidy/comments.test.ts');
    expect(others.flatMap(findingsOfComments)).toEqual([]);
  });

  it('every module opens with what it is', () => {
    const modules = readSourceFiles('{src,test,perf,scripts}/**/*.ts').filter(({ path }) => !path.endsWith('.test.ts'));
    expect(modules.flatMap(findingsOfModuleComment)).toEqual([]);
  });

  it('finds what it looks for', () => {
    const findings = (text: string) => findingsOfComments({ path: 'src/a.ts', text });
    expect(findings('// TODO later')).toHaveLength(1);
    expect(findings('// TODO (#12): later')).toEqual([]);
    expect(findings('// FIXME')).toHaveLength(1);
    expect(findings('// Departs from RFC 3261 16.3: every proxy in the field does so too.')).toEqual([]);
    expect(findings('/* Departs from RFC 3261 §25.1, hostname: underscores\n * are common in real names. */')).toEqual(
      [],
    );
    expect(findings('// Departs from RFC 3261 16.3:\nconst a = 1 + 2 + 3 + 4;')).toHaveLength(1);
    expect(findings('// Departs from RFC here.')).toHaveLength(1);
    expect(findingsOfModuleComment({ path: 'src/a.ts', text: '/** A. */' })).toEqual([]);
    expect(findingsOfModuleComment({ path: 'src/a.ts', text: "import 'b';" })).toHaveLength(1);
  });
});
