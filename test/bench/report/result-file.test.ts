import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { renderReport } from '../../../perf/bench/report/page.ts';
import { parseResult, readResult, UnreadableResultError } from '../../../perf/bench/report/result-file.ts';
import { STROWGER_AND_KAMAILIO, simulate, simulateSearch } from '../simulated-result.ts';

const folder = mkdtempSync(join(tmpdir(), 'strowger-result-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const result = simulate({
  seed: 1,
  rounds: 2,
  durationSec: 3,
  histogramSize: 200,
  contestants: STROWGER_AND_KAMAILIO,
  title: '</script> & "quoted"',
  search: [simulateSearch(2000)],
});

/** A copy with one thing changed. */
function broken(change: (copy: { turns: Record<string, never>[] } & Record<string, unknown>) => void): string {
  const copy = structuredClone(result) as never;
  change(copy);
  return JSON.stringify(copy);
}

function messageOf(read: () => unknown): string {
  try {
    read();
  } catch (error) {
    expect(error).toBeInstanceOf(UnreadableResultError);
    return (error as Error).message;
  }
  return 'nothing was thrown';
}

describe('a result file', () => {
  it('is read as it was written', () => {
    const file = join(folder, 'run.json');
    writeFileSync(file, JSON.stringify(result, null, 2));
    expect(readResult(file)).toEqual(result);
  });

  it('is read out of a report', () => {
    const file = join(folder, 'run.html');
    writeFileSync(file, renderReport(result));
    expect(readResult(file)).toEqual(result);
  });

  it('may have fields that this version does not know', () => {
    const text = JSON.stringify({ ...result, later: true });
    expect(parseResult(text, 'run.json')).toMatchObject({ later: true });
  });

  it.each([
    ['no JSON', '{', /^run\.json is no JSON \(.*\): give what `strowger bench --json` wrote$/],
    ['no object', 'null', /it names no format, not strowger-bench\/1$/],
    ['of another version', '{"format":"strowger-bench/9"}', /its format is strowger-bench\/9, not strowger-bench\/1$/],
    ['without its turns', broken((copy) => Reflect.deleteProperty(copy, 'turns')), /^run\.json is damaged: turns: /],
    [
      'with a count below nothing',
      broken(({ turns }) => Object.assign(turns[1]!['exchanges']!, { failed: -1 })),
      /^run\.json is damaged: turns\.1\.exchanges\.failed: /,
    ],
    [
      'with a histogram cut short',
      broken(({ turns }) => Object.assign(turns[1]!['delays']!['setup']!, { histogram: 'HISTF' })),
      /^run\.json is damaged: the histogram of setup in round 0 of kamailio: /,
    ],
  ])('%s is one line that says where', (_, text, message) => {
    const found = messageOf(() => parseResult(text, 'run.json'));
    expect(found).toMatch(message);
    expect(found).not.toContain('\n');
  });

  it('that is not there is named', () => {
    const file = join(folder, 'nothing.json');
    expect(messageOf(() => readResult(file))).toBe(`${file} cannot be read (ENOENT)`);
  });
});
