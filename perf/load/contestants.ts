/** Who is measured: Strowger as `npm start` runs it, the bare relay, Kamailio. Each serves between the two ports of the
 *  load engine, and is set up for one scenario. */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IN_DIALOG, REDUCE_MAX_FORWARDS } from '../bench/kamailio.ts';
import type { Contestant as ContestantOfResult } from '../bench/result.ts';
import { DOMAIN, PASSWORD, type Way } from './flow-settings.ts';
import { SCENARIOS, type Scenario, type ScenarioName } from './scenarios.ts';

const root = join(import.meta.dirname, '..', '..');

export interface Contestant {
  readonly name: string;
  readonly role: ContestantOfResult['role'];
  readonly version: string;
  /** The program and its arguments; what it must write or read goes to `folder`. */
  command(way: Way, folder: string): string[];
}

/** `more`: flags for `strowger start` beyond those that set it up for the scenario. */
export function strowger(name: ScenarioName, revision: string, more: readonly string[]): Contestant {
  const { setUp } = SCENARIOS[name];
  return {
    name: 'strowger',
    role: 'subject',
    version: revision,
    command: ({ serverPort, transport }, folder) => {
      const configuration = strowgerConfiguration(setUp);
      const file = join(folder, 'strowger.yaml');
      if (configuration !== null) writeFileSync(file, configuration);
      return [
        process.execPath,
        join(root, 'bin', 'strowger.js'),
        'start',
        ...(configuration === null ? [] : ['--config', file]),
        ...['--listen', `${transport}:127.0.0.1:${serverPort}`],
        ...['--control', 'off'],
        ...['--set', `crash.directory=${folder}`],
        ...(more.some((word) => word.startsWith('location.store')) ? [] : ['--set', 'location.store=off']),
        ...(more.includes('--workers') ? [] : ['--workers', '1']),
        ...(more.includes('--mode') ? [] : ['--mode', setUp === 'stateless' ? 'stateless' : 'stateful']),
        ...more,
      ];
    },
  };
}

/** Null: the defaults do. */
function strowgerConfiguration(setUp: Scenario['setUp']): string | null {
  switch (setUp) {
    case 'stateless':
    case 'stateful':
      return null;
    case 'registrar':
      return `domains: [{ name: ${DOMAIN} }]\nlocation: { capacity: 2000000 }\n`;
    case 'registrar-digest':
      return [
        `domains: [{ name: ${DOMAIN}, users: [{ user: '/user\\d+/', password: ${PASSWORD} }], authenticate: [REGISTER] }]`,
        'auth: { algorithms: [MD5], qop: [auth] }',
        'location: { capacity: 2000000 }',
        '',
      ].join('\n');
    case 'redirect':
      return `domains: [{ name: ${DOMAIN}, role: redirect }]\nlocation: { capacity: 2000000 }\n`;
  }
}

/** The floor: recvfrom and sendto for each datagram, or recvmmsg and sendmmsg for up to 64; of TCP, whatever a connection brings at
 *  once, to the one that belongs to it. Where a server answers itself, the
 *  relay sends back what it gets: both of its ends are the client then. */
export function relay(name: ScenarioName, mode: 'one' | 'batch' | 'tcp'): Contestant {
  const binary = compileRelay();
  const forwards = SCENARIOS[name].floor === 'forwards';
  return {
    name: mode === 'batch' ? 'relay, batches' : 'relay',
    role: 'relay',
    version: RELAY_CALLS[mode],
    command: ({ serverPort, clientPort, agentPort }) => [
      binary,
      `${serverPort}`,
      `${clientPort}`,
      `${forwards ? agentPort : clientPort}`,
      mode,
    ],
  };
}

const RELAY_CALLS = { one: 'recvfrom/sendto', batch: 'recvmmsg/sendmmsg', tcp: 'epoll, recv/send' } as const;

/** Kamailio, if it is on the PATH. Its fast allocator (-x fm -X fm: Debian's default is the one for debugging, five times
 *  slower), one child for the transport that is measured, nothing logged, no other transport, no DNS, memory touched beforehand, only the modules that the scenario needs. */
export function kamailio(name: ScenarioName): Contestant | null {
  const version = spawnSync('kamailio', ['-v'], { encoding: 'utf8' });
  if (version.status !== 0) return null;
  const { setUp } = SCENARIOS[name];
  const sharedMib = setUp === 'stateless' ? '64' : '2500';
  return {
    name: 'kamailio',
    role: 'against',
    version: /kamailio (\S+)/.exec(version.stdout)?.[1] ?? 'unknown',
    command: (way, folder) => {
      const file = join(folder, 'kamailio.cfg');
      writeFileSync(file, kamailioConfiguration(setUp, way));
      const memory = ['-x', 'fm', '-X', 'fm', '-m', sharedMib, '-M', '32'];
      return ['kamailio', '-DD', '-E', '-f', file, '-w', folder, '-Y', folder, '-P', join(folder, 'pid'), ...memory];
    },
  };
}

function kamailioConfiguration(setUp: Scenario['setUp'], { transport, serverPort }: Way): string {
  const common = `
debug=-1
log_stderror=yes
children=1
listen=${transport}:127.0.0.1:${serverPort}
maxbuffer=4194304
${transport === 'tcp' ? KAMAILIO_TCP : 'disable_tcp=yes'}
disable_sctp=yes
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=no
server_signature=no
sip_warning=no
`;
  if (setUp === 'stateless') {
    return `${common}
loadmodule "sl.so"
loadmodule "maxfwd.so"
request_route {
${REDUCE_MAX_FORWARDS}
  forward();
}
`;
  }
  return `${common}
shm_force_alloc=yes
${setUp === 'stateful' ? PROXY_MODULES : PROXY_MODULES + USER_MODULES}
${setUp === 'registrar-digest' ? 'loadmodule "auth.so"\nmodparam("auth", "nonce_expire", 300)\n' : ''}
request_route {
${ROUTE_BLOCKS[setUp]}
}
`;
}

/** As much at once as Strowger reads; connections stay for longer than a turn. */
const KAMAILIO_TCP = `
tcp_children=1
tcp_async=yes
tcp_rd_buf_size=65536
tcp_connection_lifetime=3600
tcp_max_connections=1024`;

const PROXY_MODULES = `
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "maxfwd.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
modparam("rr", "enable_full_lr", 1)
modparam("rr", "append_fromtag", 0)
`;

const USER_MODULES = `
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "hash_size", 17)
modparam("usrloc", "timer_interval", 600)
modparam("registrar", "max_contacts", 10)
`;

const SAVE = `
  if (is_method("REGISTER")) {
    save("location");
    exit;
  }`;

const LOOK_UP = `
  if (!lookup("location")) {
    sl_send_reply("404", "Not Found");
    exit;
  }`;

const RELAY = `
  if (is_method("INVITE")) record_route();
  t_relay();`;

const ROUTE_BLOCKS = {
  stateful: `${REDUCE_MAX_FORWARDS}${IN_DIALOG}${RELAY}`,
  registrar: `${SAVE}${REDUCE_MAX_FORWARDS}${IN_DIALOG}${LOOK_UP}${RELAY}`,
  'registrar-digest': `
  if (!is_method("REGISTER")) {
    sl_send_reply("405", "Method Not Allowed");
    exit;
  }
  if (!pv_www_authenticate("${DOMAIN}", "${PASSWORD}", "0")) {
    www_challenge("${DOMAIN}", "1");
    exit;
  }
  save("location");`,
  redirect: `${SAVE}
  if (is_method("ACK")) exit;${LOOK_UP}
  sl_send_reply("302", "Moved Temporarily");`,
} as const;

/** Compiles relay.c into the build folder unless that is done. */
function compileRelay(): string {
  const source = join(import.meta.dirname, 'relay.c');
  const folder = join(root, 'build', 'perf');
  const binary = join(folder, 'relay');
  if (existsSync(binary) && statSync(binary).mtimeMs > statSync(source).mtimeMs) return binary;
  mkdirSync(folder, { recursive: true });
  const compiler = process.env['CC'] ?? 'cc';
  // Moved into its place when it is whole: two loads may begin at once.
  const unfinished = `${binary}-${process.pid}`;
  const run = spawnSync(compiler, ['-O2', '-Wall', '-Wextra', '-o', unfinished, source], { encoding: 'utf8' });
  if (run.status === 0) {
    renameSync(unfinished, binary);
    return binary;
  }
  throw new Error(`${compiler} did not compile perf/load/relay.c: ${run.stderr || run.error?.message}`);
}
