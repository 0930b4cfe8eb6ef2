/** A skipped test names its reason: `it.skip('… (skipped: reason)')`, a comment `// Skipped: reason` above it, or a
 *  condition that is a claim by its name, as in `skipIf(!hasIpv6)`.
 *  Focused tests are never left behind. The number of skips is fixed here, so that a new one shows in the diff. */

import { describe, expect, it } from 'vitest';
import { lineOf, readSourceFiles, type SourceFile } from './source-files.ts';

/** Seven need IPv6 on loopback (test/runtime/udp-socket.test.ts, test/native/segmentation.test.ts, test/runtime/streams), two a network namespace
 *  (test/native/fragmentation.test.ts), two Chromium (test/bench/report/browser.test.ts, test/browser), one docker-compose
 *  (test/deploy/compose.test.ts), six Kamailio or tshark (test/sipp/bench, test/sipp/reference, test/runtime/trace), two a kernel with huge pages
 *  (test/native/huge-pages.test.ts, test/runtime/location-service.test.ts). */
const ALLOWED_SKIPS = 22;

const SKIP = /\b(?:it|test|describe|bench)(?:\.\w+)*\.(?:skip|skipIf|runIf|todo)\b|\bcontext\.skip\(|\bskip\(\)/g;
const FOCUS = /\b(?:it|test|describe|bench)(?:\.\w+)*\.only\b/g;
const NAMED_CONDITION = /^\w+\.(?:skipIf|runIf)\(!?(?:has|is|can)[A-Z]\w*\)/;
const MIN_REASON_WORDS = 3;

function skipsIn({ text }: SourceFile): number[] {
  return [...text.matchAll(SKIP)].map(({ index }) => index);
}

function findingsOfSkips(file: SourceFile): string[] {
  const { path, text } = file;
  const findings: string[] = [];
  for (const index of skipsIn(file)) {
    const lineStart = text.lastIndexOf('\n', index) + 1;
    const above = text.slice(0, lineStart).trimEnd().split('\n').at(-1) ?? '';
    const line = text.slice(index, text.indexOf('\n', index) < 0 ? undefined : text.indexOf('\n', index));
    const reason = /skipped: ([^)'`]+)/.exec(line)?.[1] ?? /\/\/ Skipped: (.+)$/.exec(above)?.[1] ?? '';
    if (NAMED_CONDITION.test(line)) continue;
    if (reason.trim().split(/\s+/).length >= MIN_REASON_WORDS) continue;
    findings.push(`${path}:${lineOf(text, index)}: a skip without its reason`);
  }
  for (const match of text.matchAll(FOCUS))
    findings.push(`${path}:${lineOf(text, match.index)}: ${match[0]} left behind`);
  return findings;
}

function readTests(): SourceFile[] {
  return readSourceFiles('test/**/*.ts').filter(({ path }) => path !== 'test/tidy/skips.test.ts');
}

describe('skips', () => {
  it('every skip names its reason, nothing is focused', () => {
    expect(readTests().flatMap(findingsOfSkips)).toEqual([]);
  });

  it('there are as many as there were', () => {
    const skips = readTests().flatMap((file) =>
      skipsIn(file).map((index) => `${file.path}:${lineOf(file.text, index)}`),
    );
    expect(skips, 'change ALLOWED_SKIPS with the skip').toHaveLength(ALLOWED_SKIPS);
  });

  it('finds what it looks for', () => {
    const findings = (text: string) => findingsOfSkips({ path: 'test/a.test.ts', text });
    expect(findings("it.skip('answers')")).toHaveLength(1);
    expect(findings("it.skip('answers (skipped: no IPv6 in CI)')")).toEqual([]);
    expect(findings("// Skipped: the machine has no IPv6.\nit.skipIf(!ipv6)('answers')")).toEqual([]);
    expect(findings("it.skipIf(!ipv6)('answers')")).toHaveLength(1);
    expect(findings("it.skipIf(!hasIpv6)('answers')")).toEqual([]);
    expect(findings("describe.only('answers')")).toHaveLength(1);
    expect(findings("it('skips what it must')")).toEqual([]);
  });
});
