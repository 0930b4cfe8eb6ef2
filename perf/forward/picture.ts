/** Draws the figures of a run: `node perf/forward/picture.ts RUN.json > docs/forward.svg`, where RUN.json is what
 *  `npm run perf:forward -- --json RUN.json` wrote. Bars of CPU per message with the range of the rounds; readable in light
 *  and dark. */

import { readFileSync } from 'node:fs';

interface Range {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

interface Run {
  readonly machine: string;
  readonly options: { readonly rounds: number; readonly window: number; readonly rate: number };
  readonly summaries: readonly {
    readonly contestant: string;
    readonly cpuUsPerMessage: Range;
    readonly messagesPerSec: Range;
  }[];
}

const WIDTH = 760;
const LABEL_WIDTH = 150;
const BAR_HEIGHT = 34;
const ROW_HEIGHT = 58;
const TOP = 64;
const BAR_WIDTH = 370;

const file = process.argv[2];
if (file === undefined) {
  console.error('usage: node perf/forward/picture.ts RUN.json > FILE.svg');
  process.exit(2);
}
process.stdout.write(draw(JSON.parse(readFileSync(file, 'utf8')) as Run));

function draw({ machine, options, summaries }: Run): string {
  const longest = Math.max(...summaries.map(({ cpuUsPerMessage }) => cpuUsPerMessage.max));
  const x = (us: number) => (LABEL_WIDTH + (us / longest) * BAR_WIDTH).toFixed(1);
  const rows = summaries.map(({ contestant, cpuUsPerMessage: us, messagesPerSec }, row) => {
    const top = TOP + row * ROW_HEIGHT;
    const middle = top + BAR_HEIGHT / 2;
    const thousands = Math.round(messagesPerSec.median / 1000);
    const width = (Number(x(us.median)) - LABEL_WIDTH).toFixed(1);
    return [
      `<text class="label" x="${LABEL_WIDTH - 12}" y="${middle + 5}" text-anchor="end">${escapeXml(contestant)}</text>`,
      `<rect class="${contestant === 'strowger' ? 'ours' : 'other'}" x="${LABEL_WIDTH}" y="${top}" width="${width}" height="${BAR_HEIGHT}" rx="3"/>`,
      `<path class="range" d="M${x(us.min)} ${middle}H${x(us.max)}"/>`,
      `<text class="value" x="${Number(x(us.max)) + 10}" y="${middle + 5}">${us.median.toFixed(2)} µs · ${thousands} k messages/s</text>`,
    ].join('\n');
  });
  const height = TOP + summaries.length * ROW_HEIGHT + 40;
  const load = options.rate > 0 ? `${options.rate} exchanges/s` : `${options.window} exchanges in flight`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="CPU per message">
<style>
svg{font:14px system-ui,sans-serif;background:#fff}text{fill:#1f2328}.small{font-size:11px;fill:#59636e}.title{font-size:16px;font-weight:600}
.ours{fill:#0969da}.other{fill:#afb8c1}.range{stroke:#1f2328;stroke-width:2}
@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.small{fill:#9198a1}.ours{fill:#4493f8}.other{fill:#484f58}.range{stroke:#e6edf3}}
</style>
<text class="title" x="20" y="28">CPU per message forwarded, one core, saturated</text>
<text class="small" x="20" y="47">OPTIONS and its 200, ${load}; medians and range of ${options.rounds} rounds in turns. Shorter is better.</text>
${rows.join('\n')}
<text class="small" x="20" y="${height - 14}">${escapeXml(machine)}</text>
</svg>
`;
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
