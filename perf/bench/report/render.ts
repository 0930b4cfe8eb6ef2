/** Draws a result again: `node perf/bench/report/render.ts RUN.json OUT.html` makes the report that `strowger bench --report`
 *  makes, `… OUT.svg` the picture for a README. RUN.json is what `strowger bench --json` wrote, or a report. Cold. */

import { writeFileSync } from 'node:fs';
import { renderReport } from './page.ts';
import { renderPicture, UndrawableError } from './picture.ts';
import { readResult, UnreadableResultError } from './result-file.ts';

const [source, target, ...more] = process.argv.slice(2);
const draw = target?.endsWith('.html') ? renderReport : target?.endsWith('.svg') ? renderPicture : null;
if (source === undefined || target === undefined || draw === null || more.length > 0) {
  console.error('usage: node perf/bench/report/render.ts RUN.json OUT.html|OUT.svg');
  process.exitCode = 2;
} else {
  try {
    writeFileSync(target, draw(readResult(source)));
  } catch (error) {
    const isOurs = error instanceof UnreadableResultError || error instanceof UndrawableError;
    const isExpected = isOurs || (error as NodeJS.ErrnoException).code !== undefined;
    if (!isExpected) throw error;
    console.error((error as Error).message);
    process.exitCode = 2;
  }
}
