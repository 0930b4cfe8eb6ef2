/** Draws a soak: memory, what is in use, CPU and retransmissions over time, with a line where a shard was killed. Readable in
 *  light and dark. Pure. */

import { machineLine } from '../bench/machine.ts';
import type { Sample, SoakResult } from './result.ts';

const WIDTH = 860;
const LEFT = 64;
const PLOT_WIDTH = 770;
const PLOT_HEIGHT = 92;
const PLOT_STEP = 136;
const TOP = 84;

interface Plot {
  readonly title: string;
  readonly of: (sample: Sample, before: Sample | undefined) => number;
}

const PLOTS: readonly Plot[] = [
  { title: 'Resident memory, MB', of: ({ rssMb }) => rssMb },
  { title: 'Transactions in use, those that linger included', of: ({ transactions }) => transactions },
  { title: 'CPU of the server, cores', of: ({ serverCpus }) => serverCpus },
  { title: 'CPU of all programs on the machine, cores', of: ({ busyCpus }) => busyCpus },
  {
    title: 'Messages that SIPp sent again, per sample',
    of: ({ retransmissions }, before) => retransmissions - (before?.retransmissions ?? 0),
  },
  { title: 'Calls that failed so far', of: ({ failed }) => failed },
];

export function drawSoak(result: SoakResult): string {
  const { settings, samples, kills, machine, startedAt } = result;
  const endSec = Math.max(1, ...samples.map(({ atSec }) => atSec));
  const x = (sec: number) => (LEFT + (sec / endSec) * PLOT_WIDTH).toFixed(1);
  const killSecs = kills.map(({ atMs }) => (atMs - Date.parse(startedAt)) / 1000);
  const plots = PLOTS.map(({ title, of }, row) => {
    const top = TOP + row * PLOT_STEP;
    const values = samples.map((sample, i) => of(sample, samples[i - 1]));
    const most = Math.max(1e-9, ...values);
    const y = (value: number) => (top + PLOT_HEIGHT * (1 - value / most)).toFixed(1);
    const points = samples.map(({ atSec }, i) => `${x(atSec)},${y(values[i]!)}`).join(' ');
    return [
      `<text class="label" x="${LEFT}" y="${top - 10}">${title}</text>`,
      `<path class="frame" d="M${LEFT} ${top}H${LEFT + PLOT_WIDTH}M${LEFT} ${top + PLOT_HEIGHT}H${LEFT + PLOT_WIDTH}"/>`,
      ...killSecs.map((sec) => `<path class="kill" d="M${x(sec)} ${top}V${top + PLOT_HEIGHT}"/>`),
      `<text class="small" x="${LEFT - 8}" y="${top + 4}" text-anchor="end">${tidy(most)}</text>`,
      `<text class="small" x="${LEFT - 8}" y="${top + PLOT_HEIGHT + 4}" text-anchor="end">0</text>`,
      `<polyline class="line" points="${points}"/>`,
    ].join('\n');
  });
  const height = TOP + PLOTS.length * PLOT_STEP + 10;
  const { minutes, callsPerSec, reloadEverySec } = settings;
  const title = `${callsPerSec} calls/s for ${minutes} minutes, a reload every ${reloadEverySec} s`;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="A soak over time">
<style>
svg{font:14px system-ui,sans-serif;background:#fff}text{fill:#1f2328}.small{font-size:11px;fill:#59636e}.title{font-size:16px;font-weight:600}
.line{fill:none;stroke:#0969da;stroke-width:1.5}.frame{stroke:#d1d9e0}.kill{stroke:#cf222e;stroke-dasharray:2 3}
@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.small{fill:#9198a1}.line{stroke:#4493f8}.frame{stroke:#3d444d}.kill{stroke:#f85149}}
</style>
<text class="title" x="20" y="28">${title}</text>
<text class="small" x="20" y="47">A dotted line: a shard was killed. ${machineLine(machine).replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</text>
${plots.join('\n')}
<text class="small" x="${LEFT + PLOT_WIDTH}" y="${height - 8}" text-anchor="end">${tidy(endSec / 60)} minutes</text>
</svg>
`;
}

function tidy(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
}
