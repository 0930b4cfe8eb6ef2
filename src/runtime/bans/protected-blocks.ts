/** Sources that nobody bans but by mistake: this machine, who is trusted, and the next hops that are addresses. Cold. */

import { isIP } from 'node:net';
import { parseCidr } from '../../config/cidr.ts';
import type { Config } from '../../config/schema.ts';
import type { ProtectedBlock } from './ban-list.ts';

const HOST_OF_URI = /^sips?:(?:[^@]*@)?(?:\[([^\]]+)\]|([^:;?]+))/i;

export function protectedBlocks(config: Config): ProtectedBlock[] {
  const hops = [config, ...config.domains].flatMap(({ nextHops }) => nextHops.map(({ uri }) => uri));
  return [
    ...blocks(['127.0.0.0/8', '::1'], 'loopback'),
    ...blocks(config.trusted, 'trusted'),
    ...blocks(hops.map(hostOf).filter(isAddress), 'a next hop'),
  ];
}

function blocks(texts: readonly string[], what: string): ProtectedBlock[] {
  return texts.flatMap((text) => {
    const cidr = parseCidr(text);
    return typeof cidr === 'string' ? [] : [{ cidr, what }];
  });
}

function hostOf(uri: string): string {
  const [, bracketed, plain = ''] = HOST_OF_URI.exec(uri) ?? [];
  return bracketed ?? plain;
}

function isAddress(host: string): boolean {
  return isIP(host) !== 0;
}
