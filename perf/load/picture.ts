/** Draws the figures of a run: `node perf/load/picture.ts RUN.json > docs/forward.svg`, where RUN.json is what
 *  `npm run perf -- --json RUN.json` wrote. Bars of CPU per message with the range of the rounds; readable in light and dark. */

import { readFileSync } from 'node:fs';
import { machineLine } from '../bench/machine.ts';
import { type BenchResult, RESULT_FORMAT, type Turn } from '../bench/result.ts';
import { isScenario, SCENARIOS } from './scenarios.ts';
import { spreadOf } from './spread.ts';

const WIDTH = 760;
const LABEL_WIDTH = 150;
const BAR_HEIGHT = 34;
const ROW_HEIGHT = 58;
const TOP = 64;
const BAR_WIDTH = 370;

const file = process.argv[2];
if (file === undefined) {
  console.error('usage: node perf/load/picture.ts RUN.json > FILE.svg');
  process.exit(2);
}
const run = JSON.parse(readFileSync(file, 'utf8')) as BenchResult;
if (run.format !== RESULT_FORMAT || run.load.generator !== 'engine') {
  console.error(`${file} is not what npm run perf -- --json writes`);
  process.exit(2);
}
process.stdout.write(draw(run));

function draw({ machine, load, contestants, turns }: BenchResult): string {
  const names = [...new Set(turns.map(({ contestant }) => contestant))];
  const summaries = names.map((contestant) => {
    const own = turns.filter((turn) => turn.contestant === contestant);
    return { contestant, cpuUs: spreadOf(own.map(cpuUsPerMessage)), perSec: spreadOf(own.map(messagesPerSec)) };
  });
  const longest = Math.max(...summaries.map(({ cpuUs }) => cpuUs.max));
  const x = (us: number) => (LABEL_WIDTH + (us / longest) * BAR_WIDTH).toFixed(1);
  const rows = summaries.map(({ contestant, cpuUs, perSec }, row) => {
    const top = TOP + row * ROW_HEIGHT;
    const middle = top + BAR_HEIGHT / 2;
    const thousands = Math.round(perSec.median / 1000);
    const width = (Number(x(cpuUs.median)) - LABEL_WIDTH).toFixed(1);
    const isOurs = contestants.some(({ name, role }) => name === contestant && role === 'subject');
    return [
      `<text class="label" x="${LABEL_WIDTH - 12}" y="${middle + 5}" text-anchor="end">${escapeXml(contestant)}</text>`,
      `<rect class="${isOurs ? 'ours' : 'other'}" x="${LABEL_WIDTH}" y="${top}" width="${width}" height="${BAR_HEIGHT}" rx="3"/>`,
      `<path class="range" d="M${x(cpuUs.min)} ${middle}H${x(cpuUs.max)}"/>`,
      `<text class="value" x="${Number(x(cpuUs.max)) + 10}" y="${middle + 5}">${cpuUs.median.toFixed(2)} µs · ${thousands} k messages/s</text>`,
    ].join('\n');
  });
  const height = TOP + summaries.length * ROW_HEIGHT + 40;
  const pace = load.ratePerSec === null ? `${load.window} exchanges in flight` : `${load.ratePerSec} exchanges/s`;
  const title = isScenario(load.scenario) ? SCENARIOS[load.scenario].title : load.scenario;
  const rounds = 1 + Math.max(...turns.map(({ round }) => round));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="CPU per message">
<style>
svg{font:14px system-ui,sans-serif;background:#fff}text{fill:#1f2328}.small{font-size:11px;fill:#59636e}.title{font-size:16px;font-weight:600}
.ours{fill:#0969da}.other{fill:#afb8c1}.range{stroke:#1f2328;stroke-width:2}
@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.small{fill:#9198a1}.ours{fill:#4493f8}.other{fill:#484f58}.range{stroke:#e6edf3}}
</style>
<text class="title" x="20" y="28">CPU per message sent, one core</text>
<text class="small" x="20" y="47">${escapeXml(title)}; ${pace}; medians and range of ${rounds} rounds in turns. Shorter is better.</text>
${rows.join('\n')}
<text class="small" x="20" y="${height - 14}">${escapeXml(machineLine(machine))}</text>
</svg>
`;
}

function cpuUsPerMessage({ cpu, messages }: Turn): number {
  return (cpu.serverNs ?? 0) / 1000 / messages.received;
}

function messagesPerSec({ messages, wallMs }: Turn): number {
  return (messages.received * 1000) / wallMs;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
