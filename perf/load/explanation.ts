/** What is wrong with a message, in words. Cold: only for messages that were not, byte for byte, what had to come. */

import { serverRoute, serverVia, type Way } from './flow-settings.ts';

/** The cause is what failures are counted by; the sentence is for people. */
export interface Finding {
  readonly cause: string;
  readonly sentence: string;
}

/** What had to arrive, and what a server may have put between its start line and the rest. */
export interface Expectation {
  readonly text: string;
  readonly addedVias: number;
  readonly addedRecordRoutes: number;
  readonly way: Way;
}

/** Headers whose values belong to the exchange, in the order in which a wrong one is named. */
const NAMED = ['Via', 'Max-Forwards', 'Call-ID', 'CSeq', 'From', 'To', 'Contact', 'Content-Length'];

export function explain(received: string, expected: Expectation | null): Finding {
  const startLine = received.split('\r\n', 1)[0]!;
  const split = received.indexOf('\r\n\r\n');
  if (split < 0) return { cause: 'parse', sentence: 'no empty line ends the header' };
  if (expected === null) return unexpected(startLine);
  const head = received.slice(0, split).split('\r\n');
  const wanted = expected.text.slice(0, expected.text.indexOf('\r\n\r\n')).split('\r\n');
  return (
    ofStartLine(head[0]!, wanted[0]!) ??
    ofVias(valuesOf(head, 'Via'), valuesOf(wanted, 'Via'), expected) ??
    ofRoutes(head, wanted, expected) ??
    ofHeaders(head, wanted) ??
    ofBody(received.slice(split + 4), expected.text.slice(expected.text.indexOf('\r\n\r\n') + 4)) ?? {
      cause: 'other',
      sentence: 'it differs in the order of its headers, or in a line that the server added',
    }
  );
}

/** A message that has no place in the exchange, such as a 503. */
function unexpected(startLine: string): Finding {
  const status = /^SIP\/2\.0 (\d{3})/.exec(startLine)?.[1];
  const cause = status === undefined ? 'parse' : unexpectedStatus(status);
  return { cause, sentence: `not what was to come: ${startLine.slice(0, 80)}` };
}

/** The cause of an exchange that was to end in another way. */
export function unexpectedStatus(status: number | string): string {
  return `unexpected ${status}`;
}

function ofStartLine(received: string, expected: string): Finding | null {
  if (received === expected) return null;
  const [what, target] = received.split(' ');
  const [expectedWhat, expectedTarget] = expected.split(' ');
  if (what === expectedWhat && target !== expectedTarget && what !== 'SIP/2.0') {
    return { cause: 'request-uri', sentence: `Request-URI ${target} instead of ${expectedTarget}` };
  }
  return unexpected(received);
}

function ofVias(received: string[], expected: string[], { addedVias, way }: Expectation): Finding | null {
  const own = expected[0]!;
  if (!received.includes(own)) return { cause: 'via', sentence: 'own Via changed or gone' };
  const added = received.length - expected.length;
  if (added !== addedVias) return { cause: 'via', sentence: `${added} Vias added instead of ${addedVias}` };
  if (received.at(-1) !== own) return { cause: 'via', sentence: 'something under the own Via' };
  const isServers = (via: string) => via.startsWith(serverVia(way));
  if (received.slice(0, -1).every(isServers)) return null;
  return { cause: 'via', sentence: 'the added Via is not that of the server, or has no branch of RFC 3261' };
}

function ofRoutes(head: string[], wanted: string[], expected: Expectation): Finding | null {
  if (valuesOf(head, 'Route').length > 0) return { cause: 'route', sentence: 'Route is still there' };
  const added = valuesOf(head, 'Record-Route').length - valuesOf(wanted, 'Record-Route').length;
  if (added !== expected.addedRecordRoutes) {
    return { cause: 'record-route', sentence: `${added} Record-Routes added instead of ${expected.addedRecordRoutes}` };
  }
  const isServers = (route: string) => route.startsWith(serverRoute(expected.way));
  if (valuesOf(head, 'Record-Route').every(isServers)) return null;
  return { cause: 'record-route', sentence: 'the Record-Route is not that of the server, or has no lr' };
}

function ofHeaders(head: string[], wanted: string[]): Finding | null {
  const others = wanted.slice(1).map((line) => line.split(':')[0]!);
  for (const name of [...NAMED, ...others]) {
    if (name === 'Via' || name === 'Record-Route') continue;
    const received = valuesOf(head, name).join(', ');
    const expected = valuesOf(wanted, name).join(', ');
    if (received === expected) continue;
    return { cause: name.toLowerCase(), sentence: `${name} is ${quoted(received)} instead of ${quoted(expected)}` };
  }
  const known = new Set([...others, 'Via', 'Record-Route']);
  const extra = head.slice(1).find((line) => !known.has(line.split(':')[0]!));
  return extra === undefined
    ? null
    : { cause: 'header', sentence: `a header that was not sent: ${extra.slice(0, 80)}` };
}

function ofBody(received: string, expected: string): Finding | null {
  if (received === expected) return null;
  return { cause: 'body', sentence: `body changed (${received.length} bytes instead of ${expected.length})` };
}

function valuesOf(lines: string[], name: string): string[] {
  const prefix = `${name}: `;
  return lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length));
}

function quoted(text: string): string {
  return text === '' ? 'gone' : JSON.stringify(text.slice(0, 100));
}
