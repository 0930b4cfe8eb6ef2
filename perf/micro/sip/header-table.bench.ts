/** How long does headerIdOf take on the header names of real messages, in the spellings that occur, and on names it does
 *  not know? Goal: about 10 ns. CPU time of this thread. `--quick` runs a few rounds only. */

import { headerIdOf } from '../../../src/sip/header-table.ts';
import { timeGrammar } from './time-grammar.ts';

const ROUNDS = process.argv.includes('--quick') ? 100 : 60_000;

const INPUTS: Record<string, readonly string[]> = {
  'INVITE of a phone': [
    'Via',
    'Max-Forwards',
    'From',
    'To',
    'Call-ID',
    'CSeq',
    'Contact',
    'User-Agent',
    'Allow',
    'Supported',
    'Content-Type',
    'Content-Length',
  ],
  'compact forms': ['v', 'f', 't', 'i', 'm', 'l', 'c', 'k'],
  'other case': ['VIA', 'CALL-ID', 'call-id', 'Content-length', 'cseq', 'RECORD-ROUTE'],
  unknown: ['X-Asterisk-HangupCause', 'X-Cid', 'NewFangledHeader', 'P-Hint', "extensionHeader-!.%*+_`'~"],
};

timeGrammar(INPUTS, ROUNDS, headerIdOf);
