/** The commands of a first call through this server, for the banner and the live page. Cold. */

import { type ListenAddress, parseListenAddress } from '../config/listen-point.ts';

export interface FirstCall {
  /** HOST:PORT that reaches it from this machine. */
  readonly server: string;
  /** What answers calls. */
  readonly uas: string;
  /** What places them, through the server. */
  readonly uac: string;
}

/** `listening`: sockets as they are bound. null: no UDP socket is among them. */
export function firstCallOf(listening: readonly string[]): FirstCall | null {
  const points = listening
    .map(parseListenAddress)
    .filter((parsed): parsed is ListenAddress => typeof parsed !== 'string');
  // What SIPp speaks unless it is told otherwise.
  const point = points.find(({ transport }) => transport === 'udp');
  if (point === undefined) return null;
  const reach = reachableHost(point);
  const server = `${reach}:${point.port}`;
  const local = reach.startsWith('[') ? ` -i ${reach}` : '';
  const uasPort = point.port === 5070 ? 5072 : 5070;
  return {
    server,
    uas: `sipp -sn uas${local} -p ${uasPort}`,
    uac: `sipp -sn uac${local} -rsa ${server} -r 10 -m 100 ${reach}:${uasPort}`,
  };
}

/** A host that reaches this socket from this machine. */
function reachableHost({ host, family, dualStack }: ListenAddress): string {
  if (dualStack || host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return family === 6 ? `[${host}]` : host;
}
