/** How long does parseUri take on the URIs that a proxy meets, and on irregular ones?
 *  Goal: well under 100 ns for the usual ones. CPU time of this thread, caches warm. `--quick` runs a few rounds only. */

import { parseUri, UriView } from '../../../src/sip/uri.ts';
import { timeGrammar } from './time-grammar.ts';

const ROUNDS = process.argv.includes('--quick') ? 100 : 60_000;

const INPUTS: Record<string, readonly string[]> = {
  'host and port': [
    'sip:192.0.2.17:5060',
    'sip:198.51.100.4:5080',
    'sip:edge7.example.com:5070',
    'sip:[2001:db8::10]:5060',
  ],
  'user at host': [
    'sip:+12125551212@gateway.example.com',
    'sip:service@127.0.0.1:5060',
    'sip:alice@atlanta.example.com',
  ],
  'route with lr': ['sip:192.0.2.2;lr', 'sip:p1.example.com;lr', 'sip:10.0.0.1:5060;lr;ftag=76aa5f;did=ab1.c3'],
  'contact with parameters': [
    'sip:bob@192.0.2.4:61532;transport=tcp;ob',
    'sips:+49301234567@[2001:db8::9:1]:5061;user=phone;transport=tls',
    'tel:+1-201-555-0123;phone-context=example.com',
  ],
  irregular: [
    "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
    'sip:sips%3Auser%40example.com@example.net',
    'sip:user@example.com;%6C%72;n%61me=v%61lue%25%34%31?Route=%3Csip:example.com%3E',
    'urn:service:sos.fire',
    'sip:user@exa mple.com',
  ],
};

const view = new UriView();
timeGrammar(INPUTS, ROUNDS, (bytes, start, end) => parseUri(bytes, start, end, view) + view.hostEnd + view.port);
