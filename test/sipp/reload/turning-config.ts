/** A configuration that is another one in every turn, for servers that are reloaded again and again: the next hop, Max-Forwards, the
 *  server's name, and domains that come and go. */

import { renameSync, writeFileSync } from 'node:fs';

export interface TurningParts {
  /** Of the next hops on loopback, which take turns. */
  readonly ports: readonly number[];
  readonly domains: number;
  /** Lines of YAML that are the same in every turn. */
  readonly more?: readonly string[];
}

/** Writes that of turn `turn` to `file`, renamed into place: a reload never sees half of it. */
export function writeTurn(file: string, turn: number, { ports, domains, more = [] }: TurningParts): void {
  const hop = `sip:127.0.0.1:${ports[turn % ports.length]}`;
  const names = Array.from(
    { length: domains },
    (_, i) => `  - {name: d${i + (turn % 7)}.example.org, nextHops: ['${hop}']}`,
  );
  const lines = [
    `nextHops: ['${hop}']`,
    `maxForwards: ${70 + (turn % 3)}`,
    `server: {name: Turn/${turn % 5}}`,
    ...more,
    'domains:',
    ...names,
    '',
  ];
  writeFileSync(`${file}.new`, lines.join('\n'));
  renameSync(`${file}.new`, file);
}
