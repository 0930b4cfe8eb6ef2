import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { renderPicture } from '../../../perf/bench/report/picture.ts';
import { STROWGER_AND_KAMAILIO, simulate } from '../simulated-result.ts';

const render = fileURLToPath(new URL('../../../perf/bench/report/render.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'strowger-picture-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const result = simulate({
  seed: 1,
  rounds: 3,
  durationSec: 3,
  histogramSize: 1500,
  contestants: STROWGER_AND_KAMAILIO,
});
const picture = renderPicture(result);

/** Widths of the bars of one panel, in the order of the contestants. */
function barsOf(svg: string): number[] {
  return [...svg.matchAll(/<rect class="s\d" x="24" y="[\d.]+" width="([\d.]+)"/g)].map(([, width]) => Number(width));
}

describe('the picture', () => {
  it('has bars as long as the figures are large', () => {
    const [rate, rivalRate, cpu, rivalCpu] = barsOf(picture) as [number, number, number, number];
    expect(rivalRate / rate).toBeCloseTo(4300 / 12_400, 1);
    expect(cpu / rivalCpu).toBeCloseTo(71 / 221, 1);
    expect(barsOf(picture)).toHaveLength(6);
  });

  it('has a curve for each, on the axis of percentiles', () => {
    const curves = [...picture.matchAll(/<path class="line s(\d)" d="(M[^"]*L[^"]*)"/g)];
    expect(curves.map(([, colour]) => colour)).toEqual(['0', '1']);
    for (const [, , path] of curves) {
      const heights = [...path!.matchAll(/[ML][\d.]+ ([\d.]+)/g)].map(([, y]) => Number(y));
      // A higher percentile is never lower.
      expect(heights).toEqual([...heights].sort((a, b) => b - a));
    }
  });

  it('says what it shows, for whoever cannot see it, and on what machine', () => {
    const words = picture.replaceAll('\u00a0', ' ');
    expect(words).toMatch(/<desc id="description">Successful calls a second: Strowger 1\d,\d{3}\/s, Kamailio 4,\d{3}/);
    expect(words).toContain('Imaginary CPU @ 3.00GHz, 2 cores');
    expect(words).toContain('with a mark for each of 3 rounds');
  });

  it('knows light and dark, and needs nothing else', () => {
    expect(picture).toContain('prefers-color-scheme:dark');
    expect(picture.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/\bhref=|url\((?!#)|https?:|<script/);
    expect(picture).not.toMatch(/NaN|undefined/);
  });

  it('hatches a lower bound and says so', () => {
    const limited = STROWGER_AND_KAMAILIO.map((one) => ({ ...one, limitedBy: 'generator' as const }));
    const svg = renderPicture(
      simulate({ seed: 1, rounds: 1, durationSec: 3, histogramSize: 100, contestants: limited }),
    );
    expect(svg).toMatch(/≥ 1\d,\d{3}/);
    expect(svg).toContain('fill="url(#bars-rate-hatch-0)"');
  });

  it('escapes what is not ours', () => {
    expect(renderPicture({ ...result, title: '<b>&' })).toContain('&lt;b&gt;&amp;');
  });

  it('of nothing is refused', () => {
    expect(() => renderPicture({ ...result, turns: [] })).toThrow('nobody had a turn');
  });
});

describe('npm run bench:render', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [render, ...args], { cwd: folder, encoding: 'utf8' });

  it('draws a report, and from the report the picture', () => {
    writeFileSync(join(folder, 'run.json'), JSON.stringify(result));
    expect(run('run.json', 'run.html')).toMatchObject({ status: 0, stderr: '' });
    expect(run('run.html', 'run.svg')).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(join(folder, 'run.svg'), 'utf8')).toBe(picture);
  });

  it('says in one line what it cannot do', () => {
    expect(run('run.json')).toMatchObject({ status: 2, stderr: expect.stringMatching(/^usage: .*\n$/) });
    expect(run('run.json', 'run.png')).toMatchObject({ status: 2, stderr: expect.stringMatching(/^usage: .*\n$/) });
    const missing = run('nothing.json', 'run.html');
    expect(missing).toMatchObject({ status: 2, stderr: 'nothing.json cannot be read (ENOENT)\n' });
  });
});
