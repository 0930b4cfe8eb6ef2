/** The configuration: the one source of its types, defaults, limits, error texts and reference page. Cold.
 *  Each setting says in `about` what it means, what it accepts where the schema cannot say it, and its reload class. */

import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import * as z from 'zod';
import { MAX_SHARDS, MAX_SOCKETS, RECEIVE_BATCH, SLOT_PAYLOAD_BYTES, SLOT_STRIDE_BYTES } from '../memory/layout.ts';
import { parseCidr } from './cidr.ts';
import { isHostName, type ListenPoint, overlap, parseAdvertised, parseListenAddress } from './listen-point.ts';
import { nextHopProblem } from './next-hop.ts';

/** What is known of a setting beyond its schema. */
export interface About {
  readonly help: string;
  /** 'live': a reload will apply it to the running server; 'restart': only a new start does. */
  readonly reload: 'live' | 'restart';
  /** The accepted values in words, where the schema cannot say it. */
  readonly accepted?: string;
  /** The key that a plain string stands for, where a map is expected. */
  readonly shorthand?: string;
}

export const aboutSettings = z.registry<About>();

/** Longest list of domains, next hops and trusted blocks. */
const MAX_DOMAINS = 10_000;
const MAX_NEXT_HOPS = 64;
const MAX_TRUSTED = 1024;
const MAX_DNS_SERVERS = 8;
/** sockaddr_un holds 108 bytes, one of them the closing zero. */
const MAX_SOCKET_PATH_BYTES = 107;
/** The kernel doubles the figure in a signed 32-bit integer. */
const MAX_SOCKET_BUFFER_BYTES = 1024 ** 3 - 1;

function about<Schema extends z.ZodType>(schema: Schema, what: About): Schema {
  aboutSettings.add(schema, what);
  return schema;
}

/** A string with a check that returns null or what is wrong. */
function checkedString(problemOf: (text: string) => string | null) {
  return z.string().superRefine((text, context) => {
    const problem = problemOf(text);
    if (problem !== null) context.addIssue({ code: 'custom', message: problem });
  });
}

/** A string that is replaced by what `parse` makes of it; a string from `parse` is what is wrong. */
function parsedString<Parsed extends object>(parse: (text: string) => Parsed | string) {
  return z.string().transform((text, context): Parsed => {
    const parsed = parse(text);
    if (typeof parsed !== 'string') return parsed;
    context.addIssue({ code: 'custom', message: parsed });
    return z.NEVER;
  });
}

/** A map that may be written as the plain string of its main key. */
function orString<Schema extends z.ZodType>(key: string, schema: Schema) {
  return z.preprocess((value) => (typeof value === 'string' ? { [key]: value } : value), schema);
}

/** Reports every entry that `clash` says repeats an earlier one. */
function noTwo<Entry>(clash: (a: Entry, b: Entry) => boolean, say: (entry: Entry, earlier: number) => string) {
  return (entries: Entry[], context: z.RefinementCtx<Entry[]>) => {
    for (const [i, entry] of entries.entries()) {
      const earlier = entries.findIndex((other, j) => j < i && clash(other, entry));
      if (earlier >= 0) context.addIssue({ code: 'custom', message: say(entry, earlier), path: [i] });
    }
  };
}

const sameText = noTwo<string>(
  (a, b) => a === b,
  (text) => `${JSON.stringify(text)} is there twice`,
);

const listenAddress = about(parsedString(parseListenAddress), {
  help: 'Transport, IP address and port. IPv6 goes in brackets; `udp:*:5060` is one socket for IPv4 and IPv6; port 0 takes any free port.',
  reload: 'restart',
  accepted: 'udp:ADDRESS:PORT, e.g. udp:0.0.0.0:5060, udp:[::1]:5060, udp:*:5060',
});

const listenEntry = about(
  orString(
    'address',
    z.strictObject({
      address: listenAddress,
      advertise: about(parsedString(parseAdvertised).optional(), {
        help: 'What our Via and Record-Route say instead of the address: for a server behind NAT or a load balancer.',
        reload: 'restart',
        accepted: 'HOST or HOST:PORT',
      }),
      dscp: about(z.int().min(0).max(63).default(0), {
        help: 'DiffServ code point of what this socket sends; 24 (CS3) and 40 (CS5) are usual for signalling.',
        reload: 'restart',
      }),
    }),
  ).transform(
    ({ address, advertise, dscp }): ListenPoint => ({
      ...address,
      advertisedHost: advertise?.host ?? null,
      advertisedPort: advertise?.port ?? null,
      dscp,
    }),
  ),
  {
    help: 'One socket; a plain string stands for `address`.',
    reload: 'restart',
    accepted: 'udp:ADDRESS:PORT, or a map with address, advertise and dscp',
    shorthand: 'address',
  },
);

function nextHops(help: string) {
  return about(
    z
      .array(
        about(checkedString(nextHopProblem), {
          help: 'A SIP URI; a host name is resolved by RFC 3263.',
          reload: 'live',
          accepted: 'a SIP URI such as sip:10.0.0.7 or sip:gateway.example.org:5070',
        }),
      )
      .max(MAX_NEXT_HOPS)
      .superRefine(sameText)
      .default([]),
    { help, reload: 'live', accepted: 'a list of SIP URIs' },
  );
}

const domainName = about(
  checkedString(domainProblem).transform((name) => name.toLowerCase()),
  {
    help: 'Host part of the URIs that are ours: a name or an IP address, without port.',
    reload: 'live',
    accepted: 'a domain name or an IP address, e.g. example.org',
  },
);

const domainEntry = about(
  orString(
    'name',
    z.strictObject({
      name: domainName,
      nextHops: nextHops('Where requests for this domain go; empty: the common `nextHops`.'),
    }),
  ),
  {
    help: 'One domain; a plain string stands for `name`.',
    reload: 'live',
    accepted: 'a domain name, or a map with name and nextHops',
    shorthand: 'name',
  },
);

export const configSchema = z.strictObject({
  mode: about(z.enum(['stateless', 'stateful']).default('stateless'), {
    help: 'How requests are forwarded: stateless by RFC 3261 16.11, or with transactions (not there yet).',
    reload: 'restart',
  }),
  listen: about(
    z
      .array(listenEntry)
      .min(1)
      .max(MAX_SOCKETS)
      .superRefine(noTwo<ListenPoint>(overlap, (point, earlier) => `"${point.text}" overlaps listen[${earlier}]`))
      .prefault(['udp:0.0.0.0:5060']),
    { help: 'The sockets.', reload: 'restart', accepted: 'a list of udp:ADDRESS:PORT' },
  ),
  workers: about(z.union([z.literal('auto'), z.int().min(1).max(MAX_SHARDS)]).default('auto'), {
    help: 'Shards, each a thread. `auto`: one fewer than there are cores, the last one being for the dispatcher.',
    reload: 'restart',
  }),
  domains: about(
    z
      .array(domainEntry)
      .max(MAX_DOMAINS)
      .superRefine((domains, context) => {
        const seen = new Set<string>();
        for (const [i, { name }] of domains.entries()) {
          if (seen.has(name))
            context.addIssue({ code: 'custom', message: `"${name}" is there twice`, path: [i, 'name'] });
          seen.add(name);
        }
      })
      .default([]),
    { help: 'The domains this server is responsible for.', reload: 'live', accepted: 'a list of domain names' },
  ),
  nextHops: nextHops('Where requests for our domains go that have no next hops of their own.'),
  trusted: about(
    z
      .array(
        about(checkedString(cidrProblem), {
          help: 'An address block; a bare address is a block of one.',
          reload: 'live',
          accepted: 'an address block such as 10.0.0.0/8, fd00::/8 or 192.0.2.7',
        }),
      )
      .max(MAX_TRUSTED)
      .superRefine(sameText)
      .default(['127.0.0.0/8', '::1/128']),
    {
      help: 'Sources that may send requests on to foreign domains; all others get 403, so that nobody runs an open relay by accident.',
      reload: 'live',
      accepted: 'a list of address blocks',
    },
  ),
  dispatcher: about(
    z
      .strictObject({
        nap: about(z.enum(['adaptive', 'off']).default('adaptive'), {
          help: 'Whether the dispatcher naps so that datagrams gather: half the CPU at medium rates for up to `napUs` of latency.',
          reload: 'restart',
        }),
        napUs: about(z.int().min(50).max(5000).default(500), {
          help: 'Length of a nap in microseconds.',
          reload: 'restart',
        }),
        batchScheduling: about(z.boolean().default(true), {
          help: 'SCHED_BATCH for the dispatcher, so that it does not preempt the shards on a shared core.',
          reload: 'restart',
        }),
      })
      .prefault({}),
    { help: 'The thread that takes datagrams off the sockets.', reload: 'restart' },
  ),
  limits: about(
    z
      .strictObject({
        slots: about(
          z
            .int()
            .min(2 * RECEIVE_BATCH)
            .max(262_144)
            .default(16_384),
          {
            help: `Datagrams in hand at once, at ${SLOT_STRIDE_BYTES.toLocaleString('en-US')} bytes of memory each.`,
            reload: 'restart',
          },
        ),
        jumboSlots: about(z.int().min(1).max(4096).default(256), {
          help: `Datagrams longer than ${SLOT_PAYLOAD_BYTES.toLocaleString('en-US')} bytes in hand at once, at 64 KiB each.`,
          reload: 'restart',
        }),
        overloadMark: about(z.number().min(0.01).max(1).default(0.5), {
          help: 'Share of the slots queued at one shard above which new out-of-dialog requests are shed.',
          reload: 'restart',
        }),
        parkedRequests: about(z.int().min(1).max(65_536).default(1024), {
          help: 'Messages of one shard that may wait for a name look-up.',
          reload: 'restart',
        }),
      })
      .prefault({}),
    { help: 'What the server holds at most.', reload: 'restart' },
  ),
  socket: about(
    z
      .strictObject({
        receiveBufferBytes: about(
          z
            .int()
            .min(4096)
            .max(MAX_SOCKET_BUFFER_BYTES)
            .default(4 * 1024 * 1024),
          {
            help: 'Receive buffer of each socket. Without CAP_NET_ADMIN the kernel clamps it to net.core.rmem_max.',
            reload: 'restart',
          },
        ),
        sendBufferBytes: about(
          z
            .int()
            .min(4096)
            .max(MAX_SOCKET_BUFFER_BYTES)
            .default(4 * 1024 * 1024),
          {
            help: 'Send buffer of each socket. Without CAP_NET_ADMIN the kernel clamps it to net.core.wmem_max.',
            reload: 'restart',
          },
        ),
      })
      .prefault({}),
    { help: 'Kernel buffers of the sockets.', reload: 'restart' },
  ),
  dns: about(
    z
      .strictObject({
        servers: about(
          z
            .array(
              about(checkedString(dnsServerProblem), {
                help: 'An IP address, with a port if it is not 53.',
                reload: 'live',
                accepted: 'ADDRESS or ADDRESS:PORT, e.g. 192.0.2.53, 192.0.2.53:5353, [2001:db8::53]:53',
              }),
            )
            .max(MAX_DNS_SERVERS)
            .superRefine(sameText)
            .default([]),
          {
            help: 'Name servers to ask; empty: those of the system.',
            reload: 'live',
            accepted: 'a list of IP addresses',
          },
        ),
        timeoutMs: about(z.int().min(50).max(30_000).default(2000), {
          help: 'How long one look-up may take.',
          reload: 'live',
        }),
        negativeTtlSec: about(z.int().min(0).max(3600).default(30), {
          help: 'How long a failed look-up is remembered.',
          reload: 'live',
        }),
      })
      .prefault({}),
    { help: 'How host names are resolved (RFC 3263).', reload: 'live' },
  ),
  maxForwards: about(z.int().min(1).max(255).default(70), {
    help: 'Max-Forwards given to requests that came without (RFC 3261 16.6 step 3).',
    reload: 'live',
  }),
  log: about(
    z
      .strictObject({
        level: about(z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'), {
          help: 'The least urgent lines that are written.',
          reload: 'live',
        }),
        format: about(z.enum(['auto', 'json', 'pretty']).default('auto'), {
          help: '`auto`: pretty on a terminal, JSON otherwise. Logs go to stderr.',
          reload: 'restart',
        }),
      })
      .prefault({}),
    { help: 'Logs.', reload: 'live' },
  ),
  crash: about(
    z
      .strictObject({
        directory: about(z.string().min(1).default('./crashes'), {
          help: 'Where the datagram that a shard died on is saved; made when needed.',
          reload: 'restart',
          accepted: 'a directory',
        }),
      })
      .prefault({}),
    { help: 'Crashes of shards.', reload: 'restart' },
  ),
  control: about(
    z
      .strictObject({
        socket: about(checkedString(socketPathProblem).default('auto'), {
          help: 'Unix socket for `strowger stats` and `strowger status`. `auto`: strowger-PORT.sock in $XDG_RUNTIME_DIR, else /run for root, else the temporary directory.',
          reload: 'restart',
          accepted: 'auto, off, or a path of at most 107 bytes',
        }),
      })
      .prefault({}),
    { help: 'The control socket.', reload: 'restart' },
  ),
  server: about(
    z
      .strictObject({
        name: about(checkedString(serverNameProblem).default('Strowger'), {
          help: 'Server header of our own responses (RFC 3261 20.35); empty: none.',
          reload: 'live',
          accepted: 'product names such as Strowger or Edge/2.1 (site A), or nothing',
        }),
      })
      .prefault({}),
    { help: 'How the server presents itself.', reload: 'live' },
  ),
});

/** A valid configuration, complete: every default is filled in. Plain JSON, so it can be sent to any thread. */
export type Config = z.output<typeof configSchema>;

/** Shards to run: `workers`, or for `auto` one fewer than the cores, at least one. */
export function shardCountOf(config: Config, cores: number = availableParallelism()): number {
  return config.workers === 'auto' ? Math.min(MAX_SHARDS, Math.max(1, cores - 1)) : config.workers;
}

/** Next hops of each of our domains, by lower-case name: its own, else the common ones. May be empty lists. */
export function nextHopsByDomain(config: Config): Map<string, readonly string[]> {
  return new Map(config.domains.map(({ name, nextHops: own }) => [name, own.length > 0 ? own : config.nextHops]));
}

function cidrProblem(text: string): string | null {
  const cidr = parseCidr(text);
  return typeof cidr === 'string' ? cidr : null;
}

function domainProblem(text: string): string | null {
  const shown = JSON.stringify(text);
  const bare = /^\[(.*)\]$/.exec(text)?.[1];
  if (bare !== undefined) return isIP(bare) === 6 ? null : `${shown} is not an IPv6 address`;
  if (isIP(text) === 4) return null;
  if (isIP(text) === 6) return `${shown}: an IPv6 address goes in brackets`;
  if (/^sips?:/i.test(text)) return `${shown}: a domain has no sip: before it`;
  if (/:\d+$/.test(text)) return `${shown}: a domain has no port`;
  if (text.endsWith('.')) return `${shown}: leave the closing dot out`;
  return isHostName(text) ? null : `${shown} is not a domain name`;
}

function dnsServerProblem(text: string): string | null {
  const [, bracketed, plain, port] = /^(?:\[(.*)\]|(\d+\.\d+\.\d+\.\d+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const isAddress = isIP(text) !== 0 || (bracketed !== undefined ? isIP(bracketed) === 6 : isIP(plain ?? '') === 4);
  if (!isAddress) return `${JSON.stringify(text)} is not an IP address`;
  const isPort = port === undefined || (Number(port) >= 1 && Number(port) <= 65535);
  return isPort ? null : `${JSON.stringify(text)}: ${port} is not a port`;
}

function socketPathProblem(text: string): string | null {
  if (text === '') return 'is empty';
  if (text.includes('\0')) return 'has a NUL byte in it';
  const bytes = Buffer.byteLength(text);
  return bytes > MAX_SOCKET_PATH_BYTES ? `is ${bytes} bytes long, too long for a unix socket` : null;
}

/** Server = server-val *(LWS server-val); a server-val is a product or a comment (RFC 3261 25.1). */
function serverNameProblem(text: string): string | null {
  const token = "[A-Za-z0-9.!%*_+`'~-]+";
  const value = `(?:${token}(?:/${token})?|\\([ !-'*-\\[\\]-~]*\\))`;
  if (text.length > 128) return 'is longer than 128 characters';
  if (text === '' || new RegExp(`^${value}(?: ${value})*$`).test(text)) return null;
  return `${JSON.stringify(text)} cannot stand in a Server header`;
}
