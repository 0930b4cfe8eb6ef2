/** `npm run bench [-- flags]`: sets up what is missing, then is `strowger bench [flags]`, at a rate that SIPp keeps on any
 *  machine and with a page to look at, unless the flags say otherwise. */

import { runCommand } from './run-command.mjs';

const REPORT = 'build/bench/report.html';
const RATE = '1000';
/** With one of these it is said how fast, or that it is to be found out. */
const PACES = ['--rate', '--window', '--search'];

const words = process.argv.slice(2);
const has = (flag) => words.some((word) => word === flag || word.startsWith(`${flag}=`));
const isRun = words[0] !== 'compare' && !has('--help') && !has('-h');
const defaults = [...(PACES.some(has) ? [] : ['--rate', RATE]), ...(has('--report') ? [] : ['--report', REPORT])];
await runCommand(['bench', ...words, ...(isRun ? defaults : [])]);
