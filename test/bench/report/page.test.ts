import { describe, expect, it } from 'vitest';
import { renderReport } from '../../../perf/bench/report/page.ts';
import { STROWGER_AND_KAMAILIO, simulate, simulateSearch } from '../simulated-result.ts';

const quick = { seed: 1, rounds: 3, durationSec: 4, histogramSize: 1500 } as const;
const [STROWGER, KAMAILIO] = STROWGER_AND_KAMAILIO as [
  (typeof STROWGER_AND_KAMAILIO)[number],
  (typeof STROWGER_AND_KAMAILIO)[number],
];

/** What a reader reads: without elements, style and script, with ordinary spaces. */
function wordsOf(page: string): string {
  return page
    .replace(/<(style|script)\b[^>]*>[\s\S]*?<\/\1>/g, ' ')
    .replace(/<[^>]+>/g, ' ')
    .replaceAll('&#39;', "'")
    .replace(/[\s\u00a0]+/g, ' ');
}

describe('the report', () => {
  const full = renderReport(
    simulate({ ...quick, contestants: STROWGER_AND_KAMAILIO, search: [simulateSearch(2000)], warnings: ['Hot day.'] }),
  );
  const words = wordsOf(full);

  it('has every part that there are figures for', () => {
    const headings = [...full.matchAll(/<h2 id="([\w-]+)"/g)].map(([, id]) => id);
    expect(headings).toEqual(['doubts', 'beside', 'delays', 'time', 'search', 'turns', 'method', 'data']);
    const charts = [...full.matchAll(/data-chart="([\w-]+)"/g)].map(([, id]) => id);
    expect(charts).toEqual([
      'percentiles-sessionRequest',
      'percentiles-setup',
      'percentiles-sessionDisconnect',
      'rate-over-time',
      'delay-over-time',
      'cpu-over-time',
    ]);
  });

  it('names nothing that is elsewhere', () => {
    const outside = full.replaceAll('http://www.w3.org/2000/svg', '');
    expect(outside).not.toMatch(/\s(?:src|href)=|url\((?!#)|@import|https?:\/\//);
    expect(full).toContain('default-src &#39;none&#39;');
  });

  it('has no id twice', () => {
    const ids = [...full.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id);
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
  });

  it('says the result first, the machine, and what takes from the figures', () => {
    expect(words).toMatch(/Strowger 0\.1\.0 completed 1\d,\d{3} calls a second; its CPU was the limit\./);
    expect(words).toMatch(
      /Kamailio 5\.6\.3 completed 4,\d{3} calls a second, where Strowger did (?:2\.\d|3\.\d) times as many/,
    );
    expect(words).toContain('Imaginary CPU @ 3.00GHz, 2 cores, 7.75 GiB, Linux 6.1.0, Node 26.10.0, SIPp 3.6.1');
    expect(words).toContain('Hot day.');
  });

  it('fills in the form of RFC 7502', () => {
    expect(words).toContain('Report form, case 6.2');
    expect(words).toContain('SIP Transport Protocol UDP');
    expect(words).toMatch(/Session Establishment Rate, &quot;R&quot; \(sessions\/s\) [12],\d{3}/);
  });

  it('calls a rate that the load generator limited a lower bound, wherever it shows', () => {
    const limited = [
      { ...STROWGER, limitedBy: 'generator' as const },
      { ...KAMAILIO, limitedBy: 'server' as const },
    ];
    const page = renderReport(simulate({ ...quick, contestants: limited }));
    const said = wordsOf(page);
    expect(said).toMatch(/Strowger 0\.1\.0 completed at least 1\d,\d{3} calls a second\./);
    expect(said).toContain('this is a lower bound and no measure of what the server can do');
    // On the tile, on the bar, and in the bar's title.
    expect(said.match(/≥ 1\d,\d{3}/g)).toHaveLength(3);
    expect(said).not.toContain('times as many');
    expect(page).toContain('bars-rate-hatch-0');
    expect(page).not.toContain('bars-rate-hatch-1');
  });

  it('says what failed, and of what', () => {
    const failing = [{ ...STROWGER, failureShare: 0.001 }];
    const said = wordsOf(renderReport(simulate({ ...quick, contestants: failing })));
    expect(said).toMatch(/\d+ of \d+,\d{3} calls failed \(0\.\d+ %\), most of them by timeout\./);
    expect(said).toContain('Failures by cause');
    expect(words).toMatch(/None of \d+,\d{3} calls failed\./);
    expect(words).not.toContain('Failures by cause');
  });

  it('says that the noise of a single round is not known, and leaves out what is not there', () => {
    const lone = { name: '192.0.2.1:5060', role: 'subject', ratePerSec: 2000, cpuUs: null, delayUs: 600 } as const;
    const page = renderReport(
      simulate({
        ...quick,
        rounds: 1,
        scenario: 'register',
        delays: ['registrationRequest'],
        contestants: [{ ...lone, limitedBy: 'unknown' }],
      }),
    );
    expect(wordsOf(page)).toContain('A single round: how much these figures vary by themselves is not known.');
    expect(wordsOf(page)).toContain('Registrations at 192.0.2.1:5060');
    const headings = [...page.matchAll(/<h2 id="([\w-]+)"/g)].map(([, id]) => id);
    expect(headings).toEqual(['doubts', 'delays', 'time', 'turns', 'method', 'data']);
    expect(wordsOf(page)).not.toMatch(/NaN|Infinity|undefined/);
  });

  it('of a run that never got to a turn says so', () => {
    const page = renderReport({ ...simulate({ ...quick, contestants: STROWGER_AND_KAMAILIO }), turns: [] });
    expect(wordsOf(page)).toContain('No turn was played to its end, so there is nothing to say.');
  });

  it('of a turn in which nothing succeeded has no figure that is none', () => {
    const dead = simulate({
      ...quick,
      contestants: [{ ...STROWGER, failureShare: 1, limitedBy: 'neither' }],
      delays: [],
    });
    const turns = dead.turns.map((turn) => ({ ...turn, delays: {} }));
    const begunBefore = turns.map((turn) => ({ ...turn, exchanges: { ...turn.exchanges, started: 0 } }));
    for (const played of [turns, begunBefore]) {
      const said = wordsOf(renderReport({ ...dead, turns: played }));
      expect(said).not.toMatch(/NaN|Infinity|∞|undefined|≥/);
      expect(said).toContain('Strowger 0.1.0 completed none of the calls.');
      expect(said).toMatch(/(\d+,\d{3}) of \1 calls failed \(100 %\)/);
    }
  });

  it('cannot be broken out of by a title, a name or a cause', () => {
    const hostile = '"><script>alert(1)</script><img src=x onerror=alert(2)>\u0000';
    const result = simulate({
      ...quick,
      contestants: [{ ...STROWGER, name: hostile, version: hostile }],
      title: hostile,
    });
    const turns = result.turns.map((turn) => ({
      ...turn,
      exchanges: { ...turn.exchanges, failed: 1, failuresByCause: { [hostile]: 1 } },
    }));
    const page = renderReport({ ...result, turns, warnings: [hostile] });
    expect(page).not.toContain('<script>alert');
    expect(page).not.toContain('<img');
    expect(page).not.toContain('\u0000');
  });
});
