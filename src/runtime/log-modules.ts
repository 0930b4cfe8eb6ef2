/** The parts of the server that log, each with a level of its own if somebody sets one. Cold. */

export const LOG_MODULES = [
  'server',
  'shards',
  'calls',
  'location',
  'users',
  'bans',
  'control',
  'tls',
  'streams',
] as const;
export type LogModule = (typeof LOG_MODULES)[number];
