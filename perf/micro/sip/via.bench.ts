/** How long does parseVia take on the Vias that a proxy meets, and on irregular ones?
 *  Goal: well under 100 ns for the usual ones. CPU time of this thread, caches warm. `--quick` runs a few rounds only. */

import { parseVia, ViaView } from '../../../src/sip/via.ts';
import { timeGrammar } from './time-grammar.ts';

const ROUNDS = process.argv.includes('--quick') ? 100 : 60_000;

const INPUTS: Record<string, readonly string[]> = {
  'usual (SIPp, phones)': [
    'SIP/2.0/UDP 127.0.0.1:5061;branch=z9hG4bK-2719-1-0',
    'SIP/2.0/UDP 192.0.2.17:5060;rport;branch=z9hG4bKPj3f0Xf2',
    'SIP/2.0/TCP client.example.com:5060;branch=z9hG4bK74bf9',
  ],
  'with received and rport': [
    'SIP/2.0/UDP 10.1.1.1:4540;received=192.0.2.1;rport=9988;branch=z9hG4bKkjshdyff',
    'SIP/2.0/UDP [2001:db8::9:1]:5060;received=2001:db8::9:255;rport=40312;branch=z9hG4bKas3-111',
  ],
  'long branch': ['SIP/2.0/UDP 198.51.100.44:5060;branch=z9hG4bKs0123456789abcdef0123456789abcdef01c6336411aa5;rport'],
  irregular: [
    'SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw',
    'SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  , SIP/2.0/UDP 192.0.2.1',
    'SIP/2.0/UNKNOWN t4.example.com;hidden="a;b,c\\"";ttl=16;maddr=224.2.0.1;branch=z9hG4bKa7c6a8dlze.1',
    'SIP/2.0/UDP 192.0.2.15;;,;,,',
  ],
};

const view = new ViaView();
timeGrammar(INPUTS, ROUNDS, (bytes, start, end) => parseVia(bytes, start, end, view) + view.branchEnd + view.rport);
