/** The configuration: the one source of its types, defaults, limits, error texts and reference page. Cold.
 *  Each setting says in `about` what it means, what it accepts where the schema cannot say it, and its reload class. */

import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import * as z from 'zod';
import {
  MAX_DATAGRAM_BYTES,
  MAX_SHARDS,
  MAX_SOCKETS,
  RECEIVE_BATCH,
  SLOT_PAYLOAD_BYTES,
  SLOT_STRIDE_BYTES,
} from '../memory/layout.ts';
import { METHOD_NAMES } from '../sip/methods.ts';
import { parseAdminAddress } from './admin-address.ts';
import { parseCidr } from './cidr.ts';
import { parseHepTarget } from './hep-target.ts';
import { isHostName, type ListenPoint, overlap, parseAdvertised, parseListenEntry } from './listen-point.ts';
import { nearest } from './nearest.ts';
import { contactProblem, nextHopProblem, peerProblem, serviceRouteProblem } from './next-hop.ts';
import { originProblem } from './origins.ts';
import { userProblem } from './user-pattern.ts';

/** What is known of a setting beyond its schema. */
export interface About {
  readonly help: string;
  /** 'live': a reload applies it to the running server; 'restart': only a new start does. */
  readonly reload: 'live' | 'restart';
  /** The accepted values in words, where the schema cannot say it. */
  readonly accepted?: string;
  /** The key that a plain string stands for, where a map is expected. */
  readonly shorthand?: string;
  /** Never shown, in whole or, of a URL, its password: neither in logs nor to who asks for the configuration. */
  readonly secret?: 'whole' | 'url';
}

export const aboutSettings = z.registry<About>();

/** Longest list of domains, next hops and trusted blocks. */
const MAX_DOMAINS = 10_000;
const MAX_NEXT_HOPS = 64;
const MAX_TRUSTED = 1024;
/** Most users and patterns of one domain, and contacts of one user. */
const MAX_USERS = 100_000;
const MAX_CONTACTS = 32;
const MAX_PASSWORD_CHARS = 256;
/** Longest list of methods. */
const MAX_METHODS = 64;
const MAX_EXPIRES_SEC = 2 ** 31 - 1;
const MAX_SERVICE_ROUTES = 8;
const MAX_CERTIFICATES = 256;
const MAX_CERTIFICATE_NAMES = 256;
const MAX_ORIGINS = 256;
/** RFC 9325 4.2, and the suites of TLS 1.3. */
const MODERN_CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');
const MAX_DNS_SERVERS = 8;
const MAX_KEPT_CONFIGS = 100;
const MIN_TRACE_KIB = 64;
const MAX_TRACE_KIB = 1_048_576;
const MAX_SAMPLE = 1_000_000;
const MAX_MASKED_HEADERS = 64;
const MAX_HEP_KEY_CHARS = 256;
/** Asks for the hashes alone, whether the table has columns for all of them (OpenSIPS) or for one (Kamailio): naming a column
 *  that is not there would be an error, as a key of a JSON object it is null. */
const SUBSCRIBER_QUERY =
  "SELECT ha1, to_jsonb(s)->>'ha1_sha256' AS ha1_sha256, to_jsonb(s)->>'ha1_sha512t256' AS ha1_sha512t256 " +
  'FROM subscriber s WHERE username = $1 AND domain = $2';
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

/** An entry that is wrong is not the points it should have become. */
const overlapAny = (a: ListenPoint[], b: ListenPoint[]) =>
  Array.isArray(a) && Array.isArray(b) && a.some((point) => b.some((other) => overlap(point, other)));

const sameUri = (a: { uri: string }, b: { uri: string }) => a.uri === b.uri;
const sayUriTwice = ({ uri }: { uri: string }) => `${JSON.stringify(uri)} is there twice`;

const listenAddress = about(parsedString(parseListenEntry), {
  help: 'Transport, IP address and port; without a transport UDP and TCP. IPv6 goes in brackets; `*:5060` takes IPv4 and IPv6; port 0 takes any free port.',
  reload: 'restart',
  accepted: 'ADDRESS:PORT, or udp:, tcp:, tls:, ws: or wss:ADDRESS:PORT, e.g. 0.0.0.0:5060, udp:[::1]:5060, wss:*:443',
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
  ).transform(({ address, advertise, dscp }): ListenPoint[] =>
    address.map((point) => ({
      ...point,
      advertisedHost: advertise?.host ?? null,
      advertisedPort: advertise?.port ?? null,
      dscp,
    })),
  ),
  {
    help: 'One socket, or one for each transport; a plain string stands for `address`.',
    reload: 'restart',
    accepted: 'ADDRESS:PORT, udp:…, tcp:…, tls:…, ws:… or wss:ADDRESS:PORT, or a map with address, advertise and dscp',
    shorthand: 'address',
  },
);

const nextHopEntry = about(
  orString(
    'uri',
    z.strictObject({
      uri: about(checkedString(nextHopProblem), {
        help: 'Where to: a SIP URI, whose host name is resolved by RFC 3263.',
        reload: 'live',
        accepted: 'a SIP URI such as sip:10.0.0.7 or sip:gateway.example.org:5070',
      }),
      priority: about(z.int().min(0).max(65_535).default(0), {
        help: 'The lowest is tried first. Higher ones serve while all lower ones rest, and take over a call that those failed.',
        reload: 'live',
      }),
      weight: about(z.int().min(0).max(65_535).default(1), {
        help: 'Share of the calls among next hops of the same priority; 0: only after the others of that priority.',
        reload: 'live',
      }),
    }),
  ),
  {
    help: 'One next hop; a plain string stands for `uri`.',
    reload: 'live',
    accepted: 'a SIP URI such as sip:10.0.0.7 or sip:gateway.example.org:5070, or a map with uri, priority and weight',
    shorthand: 'uri',
  },
);

function nextHops(help: string) {
  return about(z.array(nextHopEntry).max(MAX_NEXT_HOPS).superRefine(noTwo(sameUri, sayUriTwice)).default([]), {
    help,
    reload: 'live',
    accepted: 'a list of SIP URIs',
  });
}

const contactEntry = about(
  orString(
    'uri',
    z.strictObject({
      uri: about(checkedString(contactProblem), {
        help: 'The URI that takes the place of the Request-URI.',
        reload: 'live',
        accepted: 'a SIP URI such as sip:alice@10.0.0.21:5062',
      }),
      q: about(z.number().min(0).max(1).default(1), {
        help: 'Contacts with the same `q` ring together, the highest first, and lower ones when all of those have failed.',
        reload: 'live',
      }),
    }),
  ),
  {
    help: 'One contact; a plain string stands for `uri`.',
    reload: 'live',
    accepted: 'a SIP URI such as sip:alice@10.0.0.21:5062, or a map with uri and q',
    shorthand: 'uri',
  },
);

const HA1_DIGITS = { MD5: 32, 'SHA-256': 64, 'SHA-512-256': 64 } as const;

function ha1Of(algorithm: keyof typeof HA1_DIGITS) {
  const digits = HA1_DIGITS[algorithm];
  return z
    .string()
    .regex(new RegExp(`^[0-9a-fA-F]{${digits}}$`), `an HA1 by ${algorithm} has ${digits} hexadecimal digits`)
    .transform((hex) => hex.toLowerCase());
}

const userEntry = about(
  orString(
    'user',
    z
      .strictObject({
        user: about(checkedString(userProblem), {
          help: 'The user part of the URI, in its case and without escapes; or between slashes a JavaScript regular expression, without flags, that has to match all of it (keep repetitions out of repetitions: they can take very long).',
          reload: 'live',
          accepted: 'a user name such as alice (a number in quotes: "100"), or a pattern such as /1\\d\\d/',
        }),
        contacts: about(z.array(contactEntry).max(MAX_CONTACTS).superRefine(noTwo(sameUri, sayUriTwice)).default([]), {
          help: 'Where this user is reached besides what he registers; empty: at his bindings, without any at the next hops of the domain, and with none of those callers get 480. Not for patterns. In stateful mode.',
          reload: 'live',
          accepted: 'a list of SIP URIs',
        }),
        password: about(z.string().min(1).max(MAX_PASSWORD_CHARS).optional(), {
          help: 'What this user proves to know (digest authentication); of a pattern: the same for all of them.',
          reload: 'live',
          accepted: `a text of at most ${MAX_PASSWORD_CHARS} characters`,
          secret: 'whole',
        }),
        ha1: about(
          z
            .strictObject({
              MD5: about(ha1Of('MD5').optional(), {
                help: 'For MD5.',
                reload: 'live',
                accepted: '32 hexadecimal digits',
                secret: 'whole',
              }),
              'SHA-256': about(ha1Of('SHA-256').optional(), {
                help: 'For SHA-256.',
                reload: 'live',
                accepted: '64 hexadecimal digits',
                secret: 'whole',
              }),
              'SHA-512-256': about(ha1Of('SHA-512-256').optional(), {
                help: 'For SHA-512-256.',
                reload: 'live',
                accepted: '64 hexadecimal digits',
                secret: 'whole',
              }),
            })
            .optional(),
          {
            help: 'In place of a password the hash of USER:REALM:PASSWORD by each algorithm, so that the file holds no password. Not for patterns.',
            reload: 'live',
          },
        ),
      })
      .superRefine(({ user, contacts, password, ha1 }, context) => {
        const say = (message: string, key: string) =>
          context.addIssue({ code: 'custom', message: `${JSON.stringify(user)}: ${message}`, path: [key] });
        if (password !== undefined && ha1 !== undefined) say('a password or its hashes, not both', 'ha1');
        if (!user.startsWith('/')) return;
        if (contacts.length > 0) say('a pattern stands for many users and has no contacts; use nextHops', 'contacts');
        if (ha1 !== undefined) say('a pattern stands for many users, and no hash fits them all; use password', 'ha1');
      }),
  ),
  {
    help: 'One user or pattern; a plain string stands for `user`.',
    reload: 'live',
    accepted:
      'a user name such as alice (a number in quotes: "100"), a pattern such as /1\\d\\d/, or a map with user and contacts',
    shorthand: 'user',
  },
);

const userList = z
  .array(userEntry)
  .max(MAX_USERS)
  .superRefine((users, context) => {
    const seen = new Set<string>();
    for (const [i, { user }] of users.entries()) {
      if (seen.has(user)) {
        context.addIssue({ code: 'custom', message: `${JSON.stringify(user)} is there twice`, path: [i] });
      }
      seen.add(user);
    }
  });

/** Not a union: its errors would not say which entry is wrong. */
const users = about(
  z
    .preprocess((value) => (value === 'any' ? undefined : value), userList.optional())
    .transform((list) => list ?? ('any' as const))
    .prefault('any'),
  {
    help: 'Which users exist in this domain, all others getting 404. `any`: every user exists, or with a `usersFile` every user of it.',
    reload: 'live',
    accepted: 'any, or a list of user names, /patterns/, and maps with user and contacts',
  },
);

/** Methods that are told apart; a name that is none of them would be a setting without effect. */
const METHODS: readonly string[] = METHOD_NAMES.filter((name) => name !== '');

function methodList(otherwise: string[], { help, accepted }: Pick<Required<About>, 'help' | 'accepted'>) {
  return about(
    z
      .array(
        about(checkedString(methodProblem), {
          help: 'A method.',
          reload: 'live',
          accepted: `one of ${METHODS.join(', ')}`,
        }),
      )
      .max(MAX_METHODS)
      .superRefine(sameText)
      .default(otherwise),
    { help, reload: 'live', accepted },
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
      role: about(z.enum(['proxy', 'redirect']).default('proxy'), {
        help: 'What becomes of requests for users of this domain: forwarded to where they are (RFC 3261 16), or answered 302 with where they are (8.3).',
        reload: 'live',
      }),
      registrar: about(z.enum(['auto', 'on', 'off']).default('auto'), {
        help: 'Whether REGISTER requests for this domain are served here (RFC 3261 10.3). `auto`: unless it has next hops, which get them otherwise.',
        reload: 'live',
      }),
      nextHops: nextHops('Where requests for this domain go; empty: the common `nextHops`.'),
      users,
      usersFile: about(checkedString(filePathProblem).optional(), {
        help: "A file of further users with their HA1s, in the lines of Apache's htdigest: USER:REALM:HA1 by MD5, USER:REALM:SHA-256:HA1, USER:REALM:SHA-512-256:HA1, or USER alone for one without a password. With `users: any` no others exist. It is read again when it changes; while it is wrong the users of before stay.",
        reload: 'live',
        accepted: 'a file, relative to where the server is started',
      }),
      authenticate: methodList([], {
        help: 'Requests by users of this domain that need digest authentication (RFC 3261 22): REGISTER to register (401), others to be forwarded (407, by the user in From). Not those within a dialog that came by our Record-Route.',
        accepted: 'a list of methods in capitals, such as [REGISTER, INVITE]',
      }),
      realm: about(checkedString(realmProblem).optional(), {
        help: 'The realm of its challenges, which is part of every HA1; empty: the name of the domain.',
        reload: 'live',
        accepted: 'a text without quotes and backslashes, e.g. example.org',
      }),
    }),
  ),
  {
    help: 'One domain; a plain string stands for `name`.',
    reload: 'live',
    accepted: 'a domain name, or a map with name, role, registrar, nextHops, users, usersFile, authenticate and realm',
    shorthand: 'name',
  },
);

const settings = z.strictObject({
  mode: about(z.enum(['stateless', 'stateful']).default('stateful'), {
    help: 'How requests are forwarded: with transactions, so that failures are noticed and calls fork (RFC 3261 16), or each message by itself (16.11), which costs less.',
    reload: 'restart',
  }),
  listen: about(
    z
      .array(listenEntry)
      .min(1)
      .max(MAX_SOCKETS)
      .superRefine(
        noTwo<ListenPoint[]>(overlapAny, (points, earlier) => `"${points[0]!.text}" overlaps listen[${earlier}]`),
      )
      .transform((entries) => entries.flat())
      .refine((points) => points.length <= MAX_SOCKETS, `more than ${MAX_SOCKETS} sockets`)
      .prefault(['0.0.0.0:5060']),
    {
      help: 'The sockets.',
      reload: 'restart',
      accepted: 'a list of ADDRESS:PORT, or udp:, tcp:, tls:, ws: or wss:ADDRESS:PORT',
    },
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
    {
      help: 'The domains this server is responsible for, besides the addresses it listens on. Without any, it is the registrar of every domain that a REGISTER names, and finds those users.',
      reload: 'live',
      accepted: 'a list of domain names',
    },
  ),
  registrar: about(
    z
      .strictObject({
        minExpiresSec: about(z.int().min(0).max(3600).default(60), {
          help: 'Shorter registrations are refused with 423 (RFC 3261 10.3 step 7: none of an hour or more may be).',
          reload: 'live',
        }),
        defaultExpiresSec: about(z.int().min(1).max(MAX_EXPIRES_SEC).default(3600), {
          help: 'For registrations that do not say how long.',
          reload: 'live',
        }),
        maxExpiresSec: about(z.int().min(60).max(MAX_EXPIRES_SEC).default(86_400), {
          help: 'Longer registrations are shortened to this.',
          reload: 'live',
        }),
        maxContacts: about(z.int().min(1).max(MAX_CONTACTS).default(16), {
          help: 'Contacts that one user may have; a REGISTER that would make it more is refused with 403.',
          reload: 'live',
        }),
        flowTimerSec: about(z.int().min(0).max(86_400).default(0), {
          help: 'Flow-Timer of registrations by a flow (RFC 5626 4.4): how often a client at least sends a keep-alive; 0: nothing is said, and clients keep to their own times.',
          reload: 'live',
        }),
        serviceRoutes: about(
          z
            .array(
              about(checkedString(serviceRouteProblem), {
                help: 'A SIP URI.',
                reload: 'live',
                accepted: 'a SIP URI such as sip:edge.example.org;lr',
              }),
            )
            .max(MAX_SERVICE_ROUTES)
            .default([]),
          {
            help: 'Service-Route of successful registrations (RFC 3608): the way that requests of the registered user should take.',
            reload: 'live',
            accepted: 'a list of SIP URIs with lr',
          },
        ),
      })
      .superRefine(({ minExpiresSec, defaultExpiresSec, maxExpiresSec }, context) => {
        const say = (message: string, key: string) => context.addIssue({ code: 'custom', message, path: [key] });
        if (maxExpiresSec < minExpiresSec)
          say(`${maxExpiresSec} is less than minExpiresSec, which is ${minExpiresSec}`, 'maxExpiresSec');
        if (defaultExpiresSec < minExpiresSec || defaultExpiresSec > maxExpiresSec)
          say(`${defaultExpiresSec} is not between minExpiresSec and maxExpiresSec`, 'defaultExpiresSec');
      })
      .prefault({}),
    { help: 'Registrations (RFC 3261 10.3).', reload: 'live' },
  ),
  location: about(
    z
      .strictObject({
        capacity: about(z.int().min(1000).max(16_000_000).default(1_000_000), {
          help: 'Users with bindings at once; beyond, registrations get 503. Each takes about 380 bytes once it is used.',
          reload: 'restart',
        }),
        store: about(checkedString(filePathProblem).default('auto'), {
          help: 'Directory in which bindings survive a restart. `auto`: strowger/location-PORT in $XDG_STATE_HOME, for root /var/lib, else ~/.local/state; with port 0 as `off`: in memory alone.',
          reload: 'restart',
          accepted: 'auto, off, or a directory',
        }),
        acknowledge: about(z.enum(['stored', 'at-once']).default('stored'), {
          help: 'When a registration is answered 200: once it is written, so that it survives the death of this process, or at once.',
          reload: 'restart',
        }),
        sync: about(z.boolean().default(false), {
          help: 'Whether `stored` means on the disk, so that acknowledged registrations survive a power failure too. Costs latency.',
          reload: 'restart',
        }),
        hugePages: about(z.boolean().default(true), {
          help: 'Whether the kernel is asked to hold bindings in huge pages, where it has them (`madvise` or `always` in /sys/kernel/mm/transparent_hugepage/enabled): look-ups among very many users are faster. Costs 2 MB at the most, and the index, 16 bytes per AoR of `capacity`, is in memory as a whole from the first users on.',
          reload: 'restart',
        }),
      })
      .prefault({}),
    { help: 'The location service: which bindings every user has.', reload: 'restart' },
  ),
  auth: about(
    z
      .strictObject({
        algorithms: about(
          z
            .array(about(z.enum(['SHA-512-256', 'SHA-256', 'MD5']), { help: 'A hash algorithm.', reload: 'live' }))
            .min(1)
            .max(3)
            .superRefine(sameText)
            .default(['SHA-256', 'MD5']),
          {
            help: 'Algorithms of digest challenges, the preferred one first (RFC 8760 2.3).',
            reload: 'live',
            accepted: 'a list of SHA-512-256, SHA-256, MD5',
          },
        ),
        qop: about(
          z
            .array(about(z.enum(['auth', 'auth-int']), { help: 'A quality of protection.', reload: 'live' }))
            .min(1)
            .max(2)
            .superRefine(sameText)
            .refine((qop) => qop.includes('auth'), 'auth has to be among them: most clients know nothing else')
            .default(['auth', 'auth-int']),
          {
            help: 'What is offered to be protected: the request line, or on demand of the client the body too.',
            reload: 'live',
            accepted: 'a list of auth, auth-int',
          },
        ),
        nonceSec: about(z.int().min(5).max(86_400).default(300), {
          help: 'How long a nonce is accepted; then clients get another one, which costs a round trip but no password.',
          reload: 'live',
        }),
        mutual: about(z.boolean().default(false), {
          help: 'Whether every successful registration proves to the client that the server knows the password too (Authentication-Info, RFC 7616 3.5). Otherwise only those where the client should take another nonce.',
          reload: 'live',
        }),
        exempt: about(
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
            .default([]),
          {
            help: 'Sources that are never challenged, such as gateways that send calls of our own users. By WebSocket everybody is.',
            reload: 'live',
            accepted: 'a list of address blocks',
          },
        ),
        directory: about(
          z
            .strictObject({
              url: about(checkedString(databaseUrlProblem), {
                help: 'The database, to which each shard has four connections at the most. What the URL leaves out, such as the password, comes from PGPASSWORD and its like, or from ~/.pgpass. A unix socket: postgres:///DATABASE?host=/run/postgresql. With TLS: ?sslmode=verify-full.',
                reload: 'restart',
                accepted: 'postgres://USER:PASSWORD@HOST:PORT/DATABASE',
                secret: 'url',
              }),
              query: about(checkedString(queryProblem).default(SUBSCRIBER_QUERY), {
                help: 'Gives one row for the user $1 of the realm $2, with one or more of the columns ha1 (32 digits: by MD5; 64: by SHA-256), ha1_sha256, ha1_sha512t256, and password, of which missing hashes are made. The default fits the `subscriber` table of Kamailio and OpenSIPS.',
                reload: 'restart',
                accepted: 'a SELECT with $1 and $2',
              }),
              timeoutMs: about(z.int().min(10).max(30_000).default(1000), {
                help: 'How long one look-up may take; then the request gets 503.',
                reload: 'restart',
              }),
              cacheSec: about(z.int().min(1).max(86_400).default(300), {
                help: 'How long a user is remembered, and so how long a changed password may take.',
                reload: 'restart',
              }),
              absentSec: about(z.int().min(1).max(86_400).default(30), {
                help: 'How long it is remembered that there is no such user.',
                reload: 'restart',
              }),
              maxPending: about(z.int().min(1).max(65_536).default(256), {
                help: 'Users that one shard looks for at once; beyond, requests get 503.',
                reload: 'restart',
              }),
            })
            .optional(),
          {
            help: 'A database of users in PostgreSQL, for those whose password neither the configuration nor a file has. Set `auth.algorithms` to what it has hashes for: Kamailio keeps those for MD5 alone.',
            reload: 'restart',
          },
        ),
      })
      .prefault({}),
    {
      help: 'Digest authentication (RFC 3261 22, 7616, 8760); which requests need it, each domain says.',
      reload: 'live',
    },
  ),
  nextHops: nextHops('Where requests for our domains go that have no next hops of their own.'),
  nextHopRestSec: about(z.int().min(0).max(3600).default(30), {
    help: 'How long a next hop that did not answer, could not be reached or answered 503 is passed over while others are there. In stateful mode.',
    reload: 'live',
  }),
  redirects: about(z.enum(['pass', 'recurse']).default('pass'), {
    help: 'What becomes of 3xx responses: passed back to the caller, or, to requests for users of ours, their contacts tried in his stead (RFC 3261 16.7 step 4). In stateful mode.',
    reload: 'live',
  }),
  recordRoute: methodList(['INVITE', 'SUBSCRIBE', 'REFER', 'NOTIFY'], {
    help: 'Requests that get a Record-Route, so that the rest of the dialog comes through here too; an empty list: none. In stateful mode.',
    accepted: 'a list of methods in capitals, such as [INVITE, SUBSCRIBE]',
  }),
  maxUdpRequestBytes: about(z.union([z.literal('off'), z.int().min(512).max(65_507)]).default(1300), {
    help: 'Longer requests leave by TCP instead of UDP, and by UDP all the same where nobody takes TCP (RFC 3261 18.1.1); `off`: all leave by UDP. Only where this server listens on both.',
    reload: 'live',
  }),
  maxBreadth: about(z.int().min(1).max(255).default(60), {
    help: 'Max-Breadth given to requests that came without: how many branches a request may have at once, counted over all proxies on its way (RFC 5393 5.3.3). In stateful mode.',
    reload: 'live',
  }),
  timers: about(
    z
      .strictObject({
        t1Ms: about(z.int().min(10).max(10_000).default(500), {
          help: 'T1, the round trip: a request over UDP is repeated after T1, then at intervals that double, and given up after 64 × T1.',
          reload: 'live',
        }),
        t2Ms: about(z.int().min(10).max(60_000).default(4000), {
          help: 'T2, the longest interval between repetitions of responses and of requests other than INVITE; at least `t1Ms`.',
          reload: 'live',
        }),
        t4Ms: about(z.int().min(10).max(60_000).default(5000), {
          help: 'T4, how long a message may linger in the network; late repetitions are absorbed that long.',
          reload: 'live',
        }),
        timerCSec: about(z.int().min(1).max(3600).default(185), {
          help: 'Timer C, how long an INVITE may ring at one place before it is cancelled there. RFC 3261 16.6 step 11 wants more than 180.',
          reload: 'live',
        }),
      })
      .superRefine(({ t1Ms, t2Ms }, context) => {
        if (t2Ms >= t1Ms) return;
        context.addIssue({ code: 'custom', message: `${t2Ms} is less than t1Ms, which is ${t1Ms}`, path: ['t2Ms'] });
      })
      .prefault({}),
    { help: 'Timers of transactions (RFC 3261 17). In stateful mode.', reload: 'live' },
  ),
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
      help: 'Sources that may send requests on to foreign domains; all others get 403, so that nobody runs an open relay by accident. Who comes by WebSocket is not known by his address, and is none of them.',
      reload: 'live',
      accepted: 'a list of address blocks',
    },
  ),
  rehearsalMs: about(z.int().min(0).max(10_000).default(400), {
    help: 'How long each shard plays calls to itself before the server is up, so that the first real ones find it compiled; 0: not at all. Without, the first seconds of a heavy load cost up to twice the CPU.',
    reload: 'restart',
  }),
  dispatcher: about(
    z
      .strictObject({
        thread: about(z.enum(['auto', 'own', 'shard']).default('auto'), {
          help: '`own`: a thread takes datagrams off the sockets and gives them to the shards. `shard`: the only shard does it itself, which spares waking a second thread for each datagram, but keeps no second core busy. `auto`: `shard` where there is one shard and one core for it, else `own`.',
          reload: 'restart',
        }),
        nap: about(z.enum(['adaptive', 'off']).default('adaptive'), {
          help: 'Whether the dispatcher naps so that datagrams gather, unless that slows callers down who wait for answers: it spares a third to a half of the CPU at medium rates, and a message waits for up to `napUs`. `off`: every datagram is served at once.',
          reload: 'restart',
        }),
        napUs: about(z.int().min(50).max(5000).default(2500), {
          help: 'The longest nap in microseconds. One lasts until about 20 datagrams have gathered, but no less than 500 microseconds or this; where naps last a millisecond or more, every other one behind an INVITE lasts 150 microseconds. There are none where fewer than 4 datagrams would gather in the longest.',
          reload: 'restart',
        }),
        batchScheduling: about(z.boolean().default(true), {
          help: 'SCHED_BATCH for the dispatcher and the thread of the connections, so that they do not preempt the shards on a shared core.',
          reload: 'restart',
        }),
      })
      .prefault({}),
    { help: 'How datagrams are taken off the sockets.', reload: 'restart' },
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
        overloadMark: about(z.number().min(0.01).max(1).default(0.125), {
          help: 'Share of the slots queued at one shard above which new out-of-dialog requests are shed.',
          reload: 'restart',
        }),
        rejectMark: about(z.number().min(0.001).max(1).default(0.0625), {
          help: 'Share of the slots queued at one shard above which one in eight new out-of-dialog requests is answered 503, until half of it. In stateful mode.',
          reload: 'restart',
        }),
        shedInKernel: about(z.boolean().default(true), {
          help: 'While more than rejectMark is queued at every shard, the kernel drops at the UDP sockets what is too much of new INVITEs, and one in eight of the others is answered 503.',
          reload: 'restart',
        }),
        parkedRequests: about(z.int().min(1).max(65_536).default(1024), {
          help: 'Messages of one shard that may wait for a name look-up.',
          reload: 'restart',
        }),
        transactions: about(z.int().min(1024).max(4_194_304).default(2_097_152), {
          help: 'Server transactions of one shard at once, and as many client transactions; beyond, new requests get 503.',
          reload: 'restart',
        }),
        messageMemoryMiB: about(z.int().min(16).max(1536).default(1024), {
          help: 'Memory for the messages that transactions keep, of all shards together; without room, new requests get 503.',
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
  streams: about(
    z
      .strictObject({
        connections: about(z.int().min(1).max(1_000_000).default(20_000), {
          help: 'Connections at once, in all. Beyond, new ones are turned away. Each takes a file descriptor: `ulimit -n` allows so many, and the server raises its own soft limit to the hard one.',
          reload: 'restart',
        }),
        connectionsPerSource: about(z.int().min(1).max(1_000_000).default(1000), {
          help: 'Accepted connections at once from one address.',
          reload: 'restart',
        }),
        messageBytes: about(z.int().min(1300).max(MAX_DATAGRAM_BYTES).default(MAX_DATAGRAM_BYTES), {
          help: 'Longest message, headers and body together. A longer one is answered 413, by WebSocket with the close code 1009, and its connection is closed.',
          reload: 'restart',
        }),
        messageSec: about(z.int().min(1).max(3600).default(10), {
          help: 'How long a message may take from its first byte to its last.',
          reload: 'restart',
        }),
        silentSec: about(z.int().min(1).max(86_400).default(60), {
          help: 'How long an accepted connection may take to bring its first message or keep-alive, and before that for the TLS handshake and to ask for a WebSocket.',
          reload: 'restart',
        }),
        idleSec: about(z.int().min(1).max(604_800).default(3900), {
          help: 'How long a connection stays open on which nothing is sent or heard; the default outlasts the hour in which phones register again. RFC 3261 18 wants it to be as long as a transaction at least.',
          reload: 'restart',
        }),
        keepAliveSec: about(z.int().min(1).max(32_767).default(120), {
          help: 'After so long without traffic the kernel asks the peer whether it is still there (SO_KEEPALIVE).',
          reload: 'restart',
        }),
        connectMs: about(z.int().min(100).max(120_000).default(5000), {
          help: 'How long opening a connection may take.',
          reload: 'restart',
        }),
        queueBytes: about(
          z
            .int()
            .min(65_536)
            .max(64 * 1024 * 1024)
            .default(1024 * 1024),
          {
            help: 'What may wait for a peer that reads slowly. Beyond, its connection is closed, and what waited counts as undeliverable.',
            reload: 'restart',
          },
        ),
      })
      .prefault({}),
    { help: 'Connections (TCP, TLS, WebSocket).', reload: 'restart' },
  ),
  webSocket: about(
    z
      .strictObject({
        origins: about(
          z
            .array(
              about(checkedString(originProblem), {
                help: 'An origin as browsers write it, or one with `*.` for the first label of its host; `none`: those that name none, which are no browsers.',
                reload: 'restart',
                accepted: 'https://phone.example.org, https://*.example.org, http://localhost:8080 or none',
              }),
            )
            .max(MAX_ORIGINS)
            .superRefine(sameText)
            .default([]),
          {
            help: 'Web pages whose scripts may connect (RFC 6455 10.2). Others are answered 403. Empty: all may, for SIP asks for credentials all the same.',
            reload: 'restart',
            accepted: 'a list of origins',
          },
        ),
        pingSec: about(z.int().min(0).max(3600).default(30), {
          help: 'A client that has said nothing for so long is sent a ping (RFC 6455 5.5.2), and its connection is closed if nothing comes for as long again. Keeps NATs and HTTP proxies open. 0: never.',
          reload: 'restart',
        }),
      })
      .prefault({}),
    {
      help: 'Browsers and others that come by WebSocket (RFC 7118); what holds for connections holds for theirs.',
      reload: 'restart',
    },
  ),
  tls: about(
    z
      .strictObject({
        certificates: about(
          z
            .array(
              about(
                z.strictObject({
                  certificate: about(checkedString(filePathProblem), {
                    help: 'PEM file with the certificate and those that lead to its authority, in this order. Read again when it changes, without closing a connection.',
                    reload: 'restart',
                    accepted: 'a file',
                  }),
                  key: about(checkedString(filePathProblem), {
                    help: 'PEM file with its private key, without a passphrase.',
                    reload: 'restart',
                    accepted: 'a file',
                  }),
                  names: about(
                    z
                      .array(
                        about(checkedString(certificateNameProblem), {
                          help: 'A domain name, or one with `*.` for its first label.',
                          reload: 'restart',
                          accepted: 'example.org or *.example.org',
                        }),
                      )
                      .max(MAX_CERTIFICATE_NAMES)
                      .default([]),
                    {
                      help: 'Server names (SNI) that it is for; empty: those that it says itself.',
                      reload: 'restart',
                      accepted: 'a list of domain names',
                    },
                  ),
                }),
                { help: 'One certificate and its key.', reload: 'restart' },
              ),
            )
            .max(MAX_CERTIFICATES)
            .default([]),
          {
            help: 'What this server shows of itself. The first is also for whoever names no server, or none that is known.',
            reload: 'restart',
            accepted: 'a list of maps with certificate, key and names',
          },
        ),
        minVersion: about(z.enum(['TLSv1.2', 'TLSv1.3']).default('TLSv1.2'), {
          help: 'Oldest version that is spoken (RFC 9325 3.1.1).',
          reload: 'restart',
        }),
        ciphers: about(z.string().max(4096).default(MODERN_CIPHERS), {
          help: 'Cipher suites as OpenSSL names them. The default has forward secrecy and authenticated encryption only (RFC 9325 4.2), so no `TLS_RSA_WITH_AES_128_CBC_SHA`, which RFC 3261 26.2.1 wanted of its time.',
          reload: 'restart',
          accepted: 'names of suites with colons between them',
        }),
        clientCertificates: about(z.enum(['off', 'optional', 'required']).default('off'), {
          help: 'Whether those who connect are asked for a certificate (mutual TLS). One that is shown must be valid: it leads to `authorities` and has not expired.',
          reload: 'restart',
        }),
        clientNames: about(
          z
            .array(
              about(checkedString(domainProblem), {
                help: 'A domain name.',
                reload: 'restart',
                accepted: 'a domain name',
              }),
            )
            .max(MAX_CERTIFICATE_NAMES)
            .default([]),
          {
            help: 'SIP domains of which one must be an identity in the certificate of whoever connects (RFC 5922 7.1); empty: any valid certificate will do.',
            reload: 'restart',
            accepted: 'a list of domain names',
          },
        ),
        aliases: about(z.boolean().default(true), {
          help: 'Whether connections are used for requests in both directions (RFC 5923): our Via says `alias`, and requests go by the connection of a client that says so, if its certificate is for the domain that they go to. That needs `clientCertificates`.',
          reload: 'restart',
        }),
        authorities: about(checkedString(filePathProblem).optional(), {
          help: 'PEM file of the authorities that certificates of others must lead to; without it those that Node.js brings. Read again when it changes.',
          reload: 'restart',
          accepted: 'a file',
        }),
        verifyServers: about(z.boolean().default(true), {
          help: 'Whether the certificates of servers that we connect to must be valid and name the domain, or at least the address, that we connect to (RFC 5922 7.3).',
          reload: 'restart',
        }),
      })
      .prefault({}),
    { help: 'TLS (RFC 3261 26.2, RFC 5922, RFC 9325).', reload: 'restart' },
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
        naptr: about(z.boolean().default(true), {
          help: 'Whether NAPTR records are asked for before SRV records (RFC 3263 4.1).',
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
        bufferKiB: about(z.int().min(16).max(65_536).default(1024), {
          help: 'Lines that wait while nobody reads them; further ones are lost and counted. The server never waits for its log.',
          reload: 'restart',
        }),
      })
      .prefault({}),
    { help: 'Logs.', reload: 'live' },
  ),
  trace: about(
    z
      .strictObject({
        recentKiB: about(z.int().min(0).max(MAX_TRACE_KIB).default(2048), {
          help: 'Memory of each shard for its latest messages, which `strowger trace` shows; it is rounded down to a power of two. 0: none are kept, and there is no trace.',
          reload: 'restart',
          accepted: `0, or a whole number from 64 to ${MAX_TRACE_KIB.toLocaleString('en-US')}`,
        }),
        sample: about(z.int().min(0).max(MAX_SAMPLE).default(16), {
          help: 'One call in so many is kept with all its messages, chosen by its Call-ID: 1 keeps every call, 0 none. Calls that somebody watches live are kept whatever this says.',
          reload: 'live',
        }),
        messageBytes: about(z.int().min(256).max(65_535).default(4096), {
          help: 'Longer messages are kept without their end; so are those longer than a quarter of the ring.',
          reload: 'restart',
        }),
        maskHeaders: about(
          z
            .array(
              about(checkedString(headerNameProblem), {
                help: 'The name of a header.',
                reload: 'live',
                accepted: 'a header name such as X-Api-Key',
              }),
            )
            .max(MAX_MASKED_HEADERS)
            .superRefine(sameText)
            .default([]),
          {
            help: 'Headers whose values are masked wherever messages are shown, besides credentials, passwords in URIs and keys of media, which always are.',
            reload: 'live',
            accepted: 'a list of header names',
          },
        ),
      })
      .superRefine(({ recentKiB }, context) => {
        if (recentKiB === 0 || recentKiB >= MIN_TRACE_KIB) return;
        const message = `${recentKiB} is too little; 0, or at least ${MIN_TRACE_KIB}`;
        context.addIssue({ code: 'custom', message, path: ['recentKiB'] });
      })
      .prefault({}),
    { help: 'Which messages are kept for `strowger trace`, without tcpdump and without root.', reload: 'live' },
  ),
  drain: about(
    z
      .strictObject({
        deadlineSec: about(z.int().min(0).max(86_400).default(60), {
          help: 'How long `strowger drain` lets running transactions finish, at the most, before the server ends.',
          reload: 'live',
        }),
        signalDeadlineMs: about(z.int().min(0).max(3_600_000).default(1000), {
          help: 'The same for SIGTERM and SIGINT. Whoever sends them waits: keep it below TimeoutStopSec of systemd, stop_grace_period of Compose and terminationGracePeriodSeconds of Kubernetes. A second signal ends the server at once.',
          reload: 'live',
        }),
        takeoverDeadlineSec: about(z.int().min(0).max(86_400).default(300), {
          help: 'How long this server goes on with the transactions it has after `strowger restart`, at the most: more than Timer C, so that what rings is not lost.',
          reload: 'live',
        }),
        peer: about(checkedString(peerProblem).optional(), {
          help: 'Who gets new requests while this server drains, which are answered 503 otherwise: a server that can serve all that this one does and trusts it. In stateful mode.',
          reload: 'live',
          accepted: 'a SIP URI such as sip:10.0.0.8:5060',
        }),
      })
      .prefault({}),
    { help: 'The end of a server that is in use.', reload: 'live' },
  ),
  hep: about(
    z
      .strictObject({
        to: about(checkedString(hepTargetProblem).default('off'), {
          help: 'A collector, such as Homer, that gets a copy of messages by HEP3, secrets masked. A thread of its own sends them; what it cannot send in time is dropped and counted.',
          reload: 'restart',
          accepted: 'off, udp:HOST:PORT or tcp:HOST:PORT, such as udp:homer.example.org:9060',
        }),
        captureId: about(z.int().min(0).max(0xffff_ffff).default(1), {
          help: 'By which the collector tells its sources apart.',
          reload: 'restart',
        }),
        authKey: about(z.string().min(1).max(MAX_HEP_KEY_CHARS).optional(), {
          help: 'What the collector asks its sources for.',
          reload: 'restart',
          accepted: `a text of at most ${MAX_HEP_KEY_CHARS} characters`,
          secret: 'whole',
        }),
        sample: about(z.int().min(1).max(MAX_SAMPLE).default(1), {
          help: 'One call in so many is sent with all its messages, chosen by its Call-ID.',
          reload: 'live',
        }),
      })
      .prefault({}),
    { help: 'Messages for a capture server.', reload: 'live' },
  ),
  reload: about(
    z
      .strictObject({
        keep: about(z.int().min(1).max(MAX_KEPT_CONFIGS).default(10), {
          help: 'How many of the last good configurations are kept, the current one included, so that `strowger reload --rollback` can return to one.',
          reload: 'live',
        }),
        directory: about(checkedString(filePathProblem).default('auto'), {
          help: 'Where they are kept: the texts of the file, passwords included, readable for nobody else. `auto`: strowger/config-PORT in $XDG_STATE_HOME, else in /var/lib for root, else in ~/.local/state; with port 0 as `off`: in memory, until the end of the process.',
          reload: 'restart',
          accepted: 'auto, off, or a directory',
        }),
      })
      .prefault({}),
    { help: 'Reading the configuration again while the server runs (SIGHUP, `strowger reload`).', reload: 'live' },
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
  bans: about(
    z
      .strictObject({
        file: about(checkedString(filePathProblem).default('auto'), {
          help: 'Where the banned sources (`strowger ban add`) are kept, so that they are banned after a restart, too. `auto`: strowger/bans-PORT.json in $XDG_STATE_HOME, else in /var/lib for root, else in ~/.local/state; with port 0, nowhere.',
          reload: 'restart',
          accepted: 'auto, off, or a path',
        }),
      })
      .prefault({}),
    { help: 'Sources whose datagrams are dropped.', reload: 'restart' },
  ),
  control: about(
    z
      .strictObject({
        socket: about(checkedString(socketPathProblem).default('auto'), {
          help: 'Unix socket for `strowger status` and the like (docs/control.md). `auto`: strowger-PORT.sock in $XDG_RUNTIME_DIR, else /run for root, else the temporary directory.',
          reload: 'restart',
          accepted: 'auto, off, or a path of at most 107 bytes',
        }),
        tokenFile: about(checkedString(filePathProblem).optional(), {
          help: 'File with the token that control over HTTP (`POST /rpc` on `admin.listen`, docs/control.md) asks for: a word of 16 characters or more, for instance from `openssl rand -hex 32`. It is read again for each request. Without it, there is no control over HTTP.',
          reload: 'restart',
          accepted: 'a path',
        }),
      })
      .prefault({}),
    { help: 'How a running server is asked and told.', reload: 'restart' },
  ),
  admin: about(
    z
      .strictObject({
        listen: about(checkedString(adminListenProblem).default('off'), {
          help: 'HTTP listener for the live page (`/`), `/metrics` (Prometheus), `/healthz`, `/readyz` and, with a token, control (`POST /rpc`, see `control.tokenFile`). With a token the live page asks for it. The rest has no password: whoever reaches it reads what is there. Off unless it is named, as in Kamailio and Envoy, so that two servers on one machine never fight for a port. docs/metrics.md lists the metrics.',
          reload: 'restart',
          accepted: 'off, or ADDRESS:PORT such as 127.0.0.1:9560, [::1]:9560 or, with allowWildcard, *:9560',
        }),
        allowWildcard: about(z.boolean().default(false), {
          help: 'Whether `listen` may be every interface of this machine (`*`, `0.0.0.0`, `[::]`), for instance in a container.',
          reload: 'restart',
        }),
      })
      .superRefine(({ listen, allowWildcard }, context) => {
        const address = listen === 'off' ? null : parseAdminAddress(listen);
        if (address === null || typeof address === 'string' || !address.isWildcard || allowWildcard) return;
        const message = `${JSON.stringify(listen)} is every interface of this machine, and what is read there has no password: name one address, or add admin.allowWildcard=true (control over HTTP needs a token all the same)`;
        context.addIssue({ code: 'custom', message, path: ['listen'] });
      })
      .prefault({}),
    { help: 'What monitoring asks over HTTP.', reload: 'restart' },
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

export const configSchema = settings.superRefine(({ dispatcher, workers, listen, tls, hep, trace }, context) => {
  if (hep.to !== 'off' && trace.recentKiB === 0) {
    const problem = 'messages are sent from where trace.recentKiB keeps them, and that is 0';
    context.addIssue({ code: 'custom', message: problem, path: ['hep', 'to'] });
  }
  if (dispatcher.thread === 'shard' && workers !== 1) {
    const message = `"shard" is for workers: 1, and there are ${workers}`;
    context.addIssue({ code: 'custom', message, path: ['dispatcher', 'thread'] });
  }
  const secure = listen.find(({ transport }) => transport === 'tls' || transport === 'wss');
  if (secure !== undefined && tls.certificates.length === 0) {
    const message = `there is no certificate, and ${secure.text} needs one`;
    context.addIssue({ code: 'custom', message, path: ['tls', 'certificates'] });
  }
  if (tls.clientCertificates !== 'off' && tls.authorities === undefined) {
    const message =
      'name the file of the authorities whose certificates are accepted: any of those that Node.js brings would be';
    context.addIssue({ code: 'custom', message, path: ['tls', 'authorities'] });
  }
});

/** A valid configuration, complete: every default is filled in. Plain JSON, so it can be sent to any thread. */
export type Config = z.output<typeof configSchema>;

/** Shards to run: `workers`, or for `auto` one fewer than the cores, at least one. */
export function shardCountOf(config: Config, cores: number = availableParallelism()): number {
  return config.workers === 'auto' ? Math.min(MAX_SHARDS, Math.max(1, cores - 1)) : config.workers;
}

/** Whether a thread of its own takes datagrams off the sockets; otherwise the only shard does. */
export function hasDispatcherThread(config: Config, cores: number = availableParallelism()): boolean {
  if (config.dispatcher.thread !== 'auto') return config.dispatcher.thread === 'own';
  return cores > 1 || shardCountOf(config, cores) > 1;
}

export type NextHopEntry = Config['nextHops'][number];
export type DomainEntry = Config['domains'][number];
export type UserEntry = Exclude<DomainEntry['users'], 'any'>[number];

function methodProblem(text: string): string | null {
  if (METHODS.includes(text)) return null;
  const guess = nearest(text.toUpperCase(), METHODS);
  return `${JSON.stringify(text)} is not a method${guess === null ? '' : `; did you mean ${guess}?`}`;
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

function certificateNameProblem(text: string): string | null {
  return domainProblem(text.replace(/^\*\./, ''));
}

function dnsServerProblem(text: string): string | null {
  const [, bracketed, plain, port] = /^(?:\[(.*)\]|(\d+\.\d+\.\d+\.\d+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const isAddress = isIP(text) !== 0 || (bracketed !== undefined ? isIP(bracketed) === 6 : isIP(plain ?? '') === 4);
  if (!isAddress) return `${JSON.stringify(text)} is not an IP address`;
  const isPort = port === undefined || (Number(port) >= 1 && Number(port) <= 65535);
  return isPort ? null : `${JSON.stringify(text)}: ${port} is not a port`;
}

function realmProblem(text: string): string | null {
  if (text.length > 128) return 'is longer than 128 characters';
  return /^[ !#-[\]-~]+$/.test(text) ? null : `${JSON.stringify(text)} cannot stand in a realm`;
}

function databaseUrlProblem(text: string): string | null {
  // Never quoted: there may be a password in it.
  return /^postgres(?:ql)?:\/\/[^\s]+$/.test(text) ? null : 'is not a URL that begins with postgres://';
}

function queryProblem(text: string): string | null {
  if (text.includes('\0')) return 'has a NUL byte in it';
  return text.includes('$1') ? null : 'has no $1, which stands for the user';
}

function filePathProblem(text: string): string | null {
  if (text === '') return 'is empty';
  return text.includes('\0') ? 'has a NUL byte in it' : null;
}

function adminListenProblem(text: string): string | null {
  const parsed = text === 'off' ? null : parseAdminAddress(text);
  return typeof parsed === 'string' ? parsed : null;
}

function hepTargetProblem(text: string): string | null {
  const parsed = text === 'off' ? null : parseHepTarget(text);
  return typeof parsed === 'string' ? parsed : null;
}

function headerNameProblem(text: string): string | null {
  return /^[A-Za-z0-9.!%*_+`'~-]+$/.test(text) ? null : `${JSON.stringify(text)} is not a header name`;
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
