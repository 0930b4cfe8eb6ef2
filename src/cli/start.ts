/** `strowger start`: from a configuration to a running server, and to an orderly end. */

import { networkInterfaces } from 'node:os';
import type { Logger } from 'pino';
import { parseListenAddress } from '../config/listen-point.ts';
import { loadConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { DistinctErrors } from '../observe/distinct-errors.ts';
import type { AdminListenError, AdminListener, PageOptions } from '../runtime/admin-http.ts';
import type { Calls } from '../runtime/control/json-rpc.ts';
import type { ProcessOperations } from '../runtime/control/method.ts';
import { callsOf } from '../runtime/control/methods.ts';
import { readToken } from '../runtime/control/token-gate.ts';
import { type ControlSocket, controlPath, openControlSocket } from '../runtime/control.ts';
import type { GivenSockets } from '../runtime/given-sockets.ts';
import { openServerLog, type ServerLog } from '../runtime/log.ts';
import { LogSink } from '../runtime/log-sink.ts';
import type { StartOptions } from '../runtime/main.ts';
import type { ListenError, RunningServer } from '../runtime/running-server.ts';
import type { ServiceNotifier } from '../runtime/service-notify.ts';
import type { Invitation } from '../runtime/takeover/handover.ts';
import { Successor } from '../runtime/takeover/successor.ts';
import type { Takeover } from '../runtime/takeover/takeover.ts';
import type { Arguments } from './arguments.ts';
import { renderBanner, selfCommand } from './banner.ts';
import { countOf } from './check.ts';
import { type ControlClient, ControlError, locateControlSocket, openControlClient } from './control-client.ts';
import { firstCallOf } from './first-call.ts';
import { renderCounters } from './table.ts';

const STDOUT = 1;
/** Signals closer together than this are one. */
const SAME_SIGNAL_MS = 200;
/** The server promises to stop within 2 s; a process that hangs for longer is ended all the same. */
const STOP_LIMIT_MS = 5000;

/** What one line says. */
class StartError extends Error {
  readonly code = 'START';
}

export type StartServer = (config: Config, log: Logger, options: StartOptions) => Promise<RunningServer>;

/** Runs until a signal or the server's own end. The exit code. */
export async function start(args: Arguments, version: string): Promise<number> {
  const { config: file, flags, sets } = args;
  const origin = { file, flags, sets };
  const { config, text, problems } = loadConfig(origin);
  if (problems !== undefined) {
    console.error(problems.join('\n'));
    return 1;
  }
  const errors = new DistinctErrors();
  const serverLog = openServerLog(config.log, errors);
  const { log } = serverLog;
  process.on('exit', () => serverLog.end());
  let admin: AdminListener | null = null;
  let server: RunningServer;
  let notifier: ServiceNotifier;
  let status = '';
  const holdings = new Holdings();
  let takeover: Takeover | null = null;
  try {
    takeover = args.wants.has('takeover') ? await beginTakeover(args, config, log) : null;
    // The other server still has its address.
    if (takeover === null) admin = await openAdminOf(config);
    notifier = await openNotifier(log);
    const onDrain = (isDraining: boolean) => notifier.status(isDraining ? `draining; ${status}` : status);
    server = await (await importStartServer())(config, log, {
      version,
      given: await givenSockets(takeover),
      takeover,
      onRelease: (successorPid) => holdings.release(successorPid, notifier),
      onSuccessorUp: (pid) => holdings.successor.serves(pid),
      lostLines: () => serverLog.lostLines,
      onDrain,
      origin,
      text,
      useLogLevel: (level) => serverLog.setLevel(level, null),
    });
    if (takeover !== null) {
      await takeover.release();
      admin = await openAdminOf(config).catch((error: unknown) => {
        // Not worth a server that serves.
        log.error(explainStartError(error, config));
        return null;
      });
    }
  } catch (error) {
    await admin?.close();
    console.error(`strowger: ${explainStartError(error, config)}`);
    return 1;
  }
  const recentErrors = (limit: number) => errors.recent(limit);
  const call = firstCallOf(server.describe().listening);
  serverLog.whenLevels(({ level, modules }) => server.useCallLevel(modules.calls ?? level));
  const operations: ProcessOperations = {
    logs: logOperations(serverLog, recentErrors),
    restart: () => holdings.successor.start(),
  };
  const calls = callsOf(server, operations);
  const page: PageOptions = {
    recentErrors,
    firstCall: call === null ? [] : [call.uas, call.uac],
    onError: (error) => log.error({ err: error }, 'the live page failed'),
  };
  admin?.serve(server, page, {
    calls,
    log: log.child({ module: 'control' }),
    onUnauthorized: () => server.noteUnauthorized(),
  });
  holdings.admin = admin;
  status = statusOf(server);
  const adminUrl = admin?.url ?? null;
  const surroundings = { log, version, serverLog, adminUrl, calls, notifier, status, holdings, takeover };
  const code = await runUntilEnd(server, config, surroundings);
  await admin?.close();
  return code;
}

function logOperations(
  serverLog: ServerLog,
  recentErrors: ProcessOperations['logs']['recentErrors'],
): ProcessOperations['logs'] {
  return {
    recentErrors,
    levels: () => serverLog.levels,
    setLevel: (to, module) => {
      serverLog.setLevel(to, module);
      serverLog.log.info({ to: to ?? 'default', of: module ?? 'all' }, 'log level changed');
      return serverLog.levels;
    },
  };
}

/** Imported late: who has none needs no HTTP server. */
async function openAdminOf({ admin, control }: Config): Promise<AdminListener | null> {
  if (admin.listen === 'off') return null;
  const { openAdmin } = await import('../runtime/admin-http.ts');
  if (control.tokenFile !== undefined) {
    const read = readToken(control.tokenFile);
    if ('problem' in read) throw new StartError(`control.tokenFile: ${read.problem}`);
  }
  return openAdmin(admin.listen, control.tokenFile);
}

/** Imported late: `--help` and `check` need neither the addon nor the threads. */
async function importStartServer(): Promise<StartServer> {
  const { startServer } = await import('../runtime/main.ts');
  return startServer;
}

async function openNotifier(log: Logger): Promise<ServiceNotifier> {
  const { ServiceNotifier } = await import('../runtime/service-notify.ts');
  return new ServiceNotifier(process.env, (text) => log.warn(text));
}

/** What there can be one of, and a successor wants. */
class Holdings {
  readonly successor = new Successor();
  control: ControlSocket | null = null;
  admin: AdminListener | null = null;

  async release(successorPid: number, notifier: ServiceNotifier): Promise<void> {
    this.control?.release();
    this.admin?.release();
    notifier.succeededBy(successorPid);
  }
}

/** The sockets of the server that has them now; null: there is none. */
async function beginTakeover(args: Arguments, { control, listen }: Config, log: Logger): Promise<Takeover | null> {
  let client: ControlClient;
  try {
    // Where this server will have its own.
    const flags = { ...args.flags, control: control.socket, listen: [listen[0]!.text] };
    client = await openControlClient(await locateControlSocket({ ...args, config: undefined, flags }));
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    log.info(`nobody to take over from: ${error.message}`);
    return null;
  }
  try {
    const invitation = (await client.call('takeover.invite')) as Invitation;
    const { Takeover } = await import('../runtime/takeover/takeover.ts');
    return await Takeover.begin(invitation);
  } finally {
    client.close();
  }
}

/** Those of the other server and those of a service manager. */
async function givenSockets(takeover: Takeover | null): Promise<GivenSockets> {
  const { GivenSockets, takeActivatedFds } = await import('../runtime/given-sockets.ts');
  return new GivenSockets([...(takeover?.fds ?? []), ...takeActivatedFds(process.env)]);
}

/** One line for `systemctl status`. */
function statusOf(server: RunningServer): string {
  const { listening, mode, shards } = server.describe();
  return `${listening.join(', ')}; ${mode}, ${countOf(shards, 'shard')}`;
}

interface Surroundings {
  readonly log: Logger;
  readonly version: string;
  readonly adminUrl: string | null;
  readonly calls: Calls;
  readonly serverLog: ServerLog;
  readonly notifier: ServiceNotifier;
  readonly status: string;
  readonly holdings: Holdings;
  /** null: this server has taken over from nobody. */
  readonly takeover: Takeover | null;
}

async function runUntilEnd(server: RunningServer, config: Config, surroundings: Surroundings): Promise<number> {
  const { log, version, adminUrl, calls, serverLog, notifier, status, holdings, takeover } = surroundings;
  const ended = endOf(server, log, notifier);
  process.on('SIGHUP', () => void reloadOnSignal(server, notifier, status));
  process.on('SIGUSR2', () => serverLog.writeText(`${renderCounters(server.stats())}\n`));
  const description = server.describe();
  const path = controlPath(config.control.socket, firstPort(description.listening, config));
  const control = path === null ? null : await openControlSocket(path, calls, log.child({ module: 'control' }));
  holdings.control = control;
  const banner = renderBanner({
    version,
    pid: process.pid,
    config,
    description,
    controlPath: control?.path ?? null,
    adminUrl,
    self: selfCommand(),
  });
  // Whoever does not read it holds up nobody.
  const stdout = new LogSink(STDOUT);
  stdout.write(`${banner}\n`);
  process.on('exit', () => stdout.end());
  takeover?.confirm();
  notifier.ready(status);
  notifier.watch(() => server.isAlive());
  const code = await ended;
  notifier.close();
  await control?.close();
  return code;
}

/** What came of it, the log says. */
async function reloadOnSignal(
  { configuration, tls }: RunningServer,
  notifier: ServiceNotifier,
  status: string,
): Promise<void> {
  notifier.reloading();
  await configuration.reload({ isDryRun: false, isStrict: false }).catch(() => undefined);
  tls.reload();
  notifier.ready(status);
}

/** The exit code, once a signal has stopped the server or it has ended by itself. What runs when the signal comes may finish until
 *  the deadline. A second signal exits at once. */
function endOf(server: RunningServer, log: Logger, notifier: ServiceNotifier): Promise<number> {
  return new Promise((resolve) => {
    let isStopping = false;
    let stoppedAt = 0;
    const stop = (signal: NodeJS.Signals) => {
      // Ctrl-C under `npm start` arrives twice, from the terminal and from npm; a second one later means it.
      if (isStopping && performance.now() - stoppedAt < SAME_SIGNAL_MS) return;
      if (isStopping) process.exit(1);
      isStopping = true;
      stoppedAt = performance.now();
      const deadlineMs = server.settings().drain.signalDeadlineMs;
      log.info({ signal }, 'stopping');
      notifier.stopping(`stopping after ${signal}`, deadlineMs + STOP_LIMIT_MS);
      const limit = setTimeout(() => {
        log.fatal({ limitMs: deadlineMs + STOP_LIMIT_MS }, 'the server does not stop; ended anyway');
        resolve(1);
      }, deadlineMs + STOP_LIMIT_MS);
      server.drain({ deadlineMs, lingerMs: 0, isFinal: true });
      server.finished.then(
        (code) => {
          clearTimeout(limit);
          log.info('stopped');
          resolve(code);
        },
        (error: unknown) => {
          clearTimeout(limit);
          log.fatal({ err: error }, 'the stop failed');
          resolve(1);
        },
      );
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    server.finished.then(
      (code) => {
        if (!isStopping) resolve(code);
      },
      (error: unknown) => {
        log.fatal({ err: error }, 'the server failed');
        if (!isStopping) resolve(1);
      },
    );
  });
}

function firstPort(listening: readonly string[], config: Config): number {
  const bound = parseListenAddress(listening[0] ?? '');
  return typeof bound === 'string' ? config.listen[0]!.port : bound.port;
}

/** One line that says what to do; a stack only for our own mistakes, which carry no code. */
export function explainStartError(error: unknown, config: Config): string {
  if (!(error instanceof Error)) return String(error);
  const { code, listen } = error as Partial<ListenError>;
  const { adminListen } = error as Partial<AdminListenError>;
  if (adminListen !== undefined) return explainAdminError(code, adminListen, error.message);
  const text = listen ?? config.listen.map((point) => point.text).join(' or ');
  const point = config.listen.find((candidate) => candidate.text === text) ?? config.listen[0]!;
  const isUdp = point.transport === 'udp';
  const another = `choose another with --listen ${point.transport}:ADDRESS:PORT`;
  switch (code) {
    case 'EADDRINUSE':
      return `${text} is taken by another program; "ss -l${isUdp ? 'u' : 't'}np sport = :${point.port}" shows which: stop it, or ${another}`;
    case 'EACCES':
    case 'EPERM':
      if (point.port === 0 || point.port >= 1024) break;
      return `${text}: ports below 1024 need root or CAP_NET_BIND_SERVICE; grant it, or ${another}`;
    case 'EADDRNOTAVAIL':
      return `${text}: this machine has no address ${point.host}, it has ${localAddresses().join(', ')}; ${another}`;
    case 'EAFNOSUPPORT':
      return `${text}: IPv${point.family} is switched off on this machine; ${another}`;
  }
  // runtime/udp-socket.ts says it in one line, with what to do.
  if (error.message.startsWith('The native addon')) return error.message;
  if (error.name === 'ControlError' || error.name === 'TakeoverError') return error.message;
  if (error.name === 'StoreInUseError') return `${error.message}; choose another with --set location.store=DIRECTORY`;
  return code === undefined ? (error.stack ?? error.message) : error.message;
}

function explainAdminError(code: string | undefined, listen: string, message: string): string {
  const port = /\d+$/.exec(listen)?.[0];
  const another = 'choose another with --admin ADDRESS:PORT';
  const place = `admin.listen ${listen}`;
  switch (code) {
    case 'EADDRINUSE':
      return `${place} is taken by another program; "ss -ltnp sport = :${port}" shows which: stop it, or ${another}`;
    case 'EACCES':
    case 'EPERM':
      return `${place}: ports below 1024 need root or CAP_NET_BIND_SERVICE; grant it, or ${another}`;
    case 'EADDRNOTAVAIL':
      return `${place}: this machine has no such address, it has ${localAddresses().join(', ')}; ${another}`;
    default:
      return `${place}: ${message}; ${another}`;
  }
}

function localAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).filter(({ address }) => !address.startsWith('fe80:')).map(({ address }) => address),
  );
}
