/** Kamailio's configuration for what a scenario needs, tuned for throughput: nothing logged, no TCP, no DNS, its fast allocator,
 *  a large receive buffer, bindings in memory alone, only the modules that this needs. Cold. */

import type { Service } from './scenario.ts';
import { type HostPort, textOf } from './udp-sockets.ts';

/** Shared and private memory and the allocator: Debian's default is the one for debugging, five times slower. */
export const KAMAILIO_MEMORY: readonly string[] = ['-x', 'fm', '-X', 'fm', '-m', '512', '-M', '16'];

/** RFC 3261 16.3. */
export const REDUCE_MAX_FORWARDS = `
  if (!mf_process_maxfwd_header("70")) {
    sl_send_reply("483", "Too Many Hops");
    exit;
  }`;

/** Requests within a dialog follow their route set. */
export const IN_DIALOG = `
  if (has_totag()) {
    if (loose_route()) {
      t_relay();
      exit;
    }
    if (is_method("ACK")) {
      if (t_check_trans()) t_relay();
      exit;
    }
    sl_send_reply("404", "Not Here");
    exit;
  }`;

export interface KamailioNeeds {
  readonly at: HostPort;
  readonly processes: number;
  readonly services: ReadonlySet<Service>;
  readonly domain: string;
  readonly password: string;
}

export function kamailioConfiguration({ at, processes, services, domain, password }: KamailioNeeds): string {
  const isRegistrar = services.has('register');
  const modules = ['sl', 'tm', 'rr', 'maxfwd', 'pv', 'siputils', 'textops'];
  if (isRegistrar) modules.push('usrloc', 'registrar');
  if (services.has('authenticate')) modules.push('auth');
  return `
debug=-1
log_stderror=yes
children=${processes}
listen=udp:${textOf(at)}
maxbuffer=4194304
disable_tcp=yes
disable_sctp=yes
auto_aliases=no
alias=${domain}
dns=no
rev_dns=no
use_dns_cache=no
server_signature=no
sip_warning=no
${modules.map((name) => `loadmodule "${name}.so"`).join('\n')}
modparam("rr", "enable_full_lr", 1)
modparam("rr", "append_fromtag", 0)
${isRegistrar ? REGISTRAR_PARAMETERS : ''}${services.has('authenticate') ? 'modparam("auth", "nonce_expire", 300)\n' : ''}
request_route {
${isRegistrar ? registerRoute(services, domain, password) : ''}${REDUCE_MAX_FORWARDS}${IN_DIALOG}
  if (is_method("CANCEL")) {
    if (t_check_trans()) t_relay();
    exit;
  }
${isRegistrar ? lookUpRoute(services) : ''}
  if (is_method("INVITE")) record_route();
  t_relay();
}
`;
}

const REGISTRAR_PARAMETERS = `modparam("usrloc", "db_mode", 0)
modparam("usrloc", "hash_size", 17)
modparam("usrloc", "timer_interval", 600)
modparam("registrar", "max_contacts", 16)
`;

function registerRoute(services: ReadonlySet<Service>, domain: string, password: string): string {
  const challenge = `    if (!pv_www_authenticate("${domain}", "${password}", "0")) {
      www_challenge("${domain}", "1");
      exit;
    }
`;
  return `  if (is_method("REGISTER")) {
${services.has('authenticate') ? challenge : ''}    save("location");
    exit;
  }`;
}

function lookUpRoute(services: ReadonlySet<Service>): string {
  const redirect = `    if (is_method("ACK")) exit;
    if (!lookup("location")) {
      sl_send_reply("404", "Not Found");
      exit;
    }
    sl_send_reply("302", "Moved Temporarily");
    exit;
`;
  const locate = `    if (!lookup("location")) {
      sl_send_reply("404", "Not Found");
      exit;
    }
`;
  return `  if (uri == myself) {
${services.has('redirect') ? redirect : locate}  }`;
}
