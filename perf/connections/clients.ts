/** The phones of `connections.ts`: a process that holds many connections, TCP, TLS or WebSocket, and registers a user over each. The
 *  parent says what to do next, and is told how it went. Loopback only. */

import { connect as connectByTcp, type Socket } from 'node:net';
import { connect as connectByTls, createSecureContext } from 'node:tls';
import { WebSocket } from 'ws';

export type By = 'tcp' | 'tls' | 'ws' | 'wss';

export type Order =
  | { readonly what: 'open'; readonly count: number }
  | { readonly what: 'register' }
  | { readonly what: 'reopen'; readonly count: number };

export interface Report {
  /** Connections that are open now. */
  readonly open: number;
  /** Connections that closed although nobody here closed them, since the start. */
  readonly lost: number;
  /** Orders that failed, by what was wrong. */
  readonly failures: Readonly<Record<string, number>>;
  /** Registrations that were told to come again (503), and did. */
  readonly postponed: number;
  readonly tookMs: number;
}

/** Handshakes and registrations on their way at once. */
const AT_ONCE = 64;
const PATIENCE_MS = 20_000;
/** After a 503 that does not say when. */
const RETRY_AFTER_SEC = 1;
/** 127.0.0.1 … 127.0.0.8: so many ports are not to be had from one address. */
const SOURCES = 8;

interface Phone {
  readonly user: string;
  socket: Socket | null;
  /** What goes over the socket, if that is not what is sent. */
  webSocket: WebSocket | null;
  cseq: number;
  text: string;
  answered: (status: string, retryAfterSec: number) => void;
  /** Of TLS, to be resumed. */
  session: Buffer | null;
}

const [port, transport, authority, prefix] = process.argv.slice(2) as [string, By, string, string];
const isSecure = transport === 'tls' || transport === 'wss';
const isWebSocket = transport === 'ws' || transport === 'wss';
const phones: Phone[] = [];
const context = createSecureContext({ ca: authority });
const failures: Record<string, number> = {};
let lost = 0;
let postponed = 0;
let isClosing = false;

function count(what: string): void {
  failures[what] = (failures[what] ?? 0) + 1;
}

function openSocket(phone: Phone, index: number): Promise<void> {
  return new Promise((resolve) => {
    const where = { host: '127.0.0.1', port: Number(port), localAddress: `127.0.0.${1 + (index % SOURCES)}` };
    const socket = isSecure
      ? connectByTls({
          ...where,
          secureContext: context,
          servername: 'one.example',
          ...(phone.session === null ? {} : { session: phone.session }),
        })
      : connectByTcp({ ...where, noDelay: true });
    phone.socket = socket;
    socket.on('session', (session: Buffer) => {
      phone.session = session;
    });
    const timer = setTimeout(() => {
      count('not open in time');
      socket.destroy();
      resolve();
    }, PATIENCE_MS);
    const opened = () => {
      clearTimeout(timer);
      resolve();
    };
    if (isWebSocket) upgrade(phone, socket, opened);
    else socket.once(isSecure ? 'secureConnect' : 'connect', opened);
    socket.on('error', (error: NodeJS.ErrnoException) => count(error.code ?? error.message));
    socket.on('close', () => {
      clearTimeout(timer);
      if (phone.socket === socket) {
        phone.socket = null;
        phone.webSocket = null;
        if (!isClosing) lost++;
      }
      resolve();
    });
    if (!isWebSocket) socket.on('data', (chunk: Buffer) => take(phone, chunk));
  });
}

function upgrade(phone: Phone, socket: Socket, opened: () => void): void {
  const webSocket = new WebSocket(`ws://one.example:${port}/`, 'sip', { createConnection: () => socket });
  phone.webSocket = webSocket;
  webSocket.once('open', opened);
  // The socket tells of its own.
  webSocket.on('error', () => undefined);
  webSocket.on('message', (message: Buffer) => take(phone, message));
}

function take(phone: Phone, chunk: Buffer): void {
  phone.text += chunk.toString('latin1');
  if (!phone.text.includes('\r\n\r\n')) return;
  const status = phone.text.slice(8, 11);
  const [, retryAfterSec = RETRY_AFTER_SEC] = /^Retry-After: *(\d+)/im.exec(phone.text) ?? [];
  phone.text = '';
  phone.answered(status, Number(retryAfterSec));
}

function register(phone: Phone): Promise<void> {
  const { socket, webSocket, user } = phone;
  if (socket === null) {
    count('no connection to register over');
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      count('no answer');
      resolve();
    }, PATIENCE_MS);
    phone.answered = (status, retryAfterSec) => {
      clearTimeout(timer);
      if (status === '503') {
        postponed++;
        setTimeout(() => resolve(register(phone)), 1000 * retryAfterSec);
        return;
      }
      if (status !== '200') count(`answered ${status}`);
      resolve();
    };
    phone.cseq++;
    const at = `${socket.localAddress}:${socket.localPort}`;
    const parameter = isWebSocket ? 'ws' : transport;
    const request =
      `REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/${transport.toUpperCase()} ${at};branch=z9hG4bK${user}${phone.cseq}\r\n` +
      `Max-Forwards: 70\r\nFrom: <sip:${user}@example.org>;tag=1\r\nTo: <sip:${user}@example.org>\r\n` +
      `Call-ID: ${user}@phones\r\nCSeq: ${phone.cseq} REGISTER\r\nContact: <sip:${user}@${at};transport=${parameter}>\r\n` +
      'Expires: 3600\r\nContent-Length: 0\r\n\r\n';
    if (webSocket === null) socket.write(request);
    else webSocket.send(request);
  });
}

/** Does `work` for each, a few at a time. */
async function forEach(some: readonly Phone[], work: (phone: Phone, index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < some.length; i = next++) await work(some[i]!, i);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function obey(order: Order): Promise<void> {
  if (order.what === 'open') {
    for (let i = 0; i < order.count; i++) {
      phones.push({
        user: `${prefix}${phones.length}`,
        socket: null,
        webSocket: null,
        cseq: 0,
        text: '',
        answered: () => undefined,
        session: null,
      });
    }
    await forEach(phones, openSocket);
  } else if (order.what === 'register') {
    await forEach(phones, register);
  } else {
    // All at once, as after an outage of a network.
    const some = phones.slice(0, order.count);
    isClosing = true;
    for (const { socket } of some) socket?.destroy();
    await new Promise((resolve) => setImmediate(resolve));
    isClosing = false;
    await Promise.all(
      some.map(async (phone, i) => {
        await openSocket(phone, i);
        await register(phone);
      }),
    );
  }
}

process.on('message', async (order: Order) => {
  const startedMs = performance.now();
  await obey(order);
  const open = phones.filter(({ socket }) => socket !== null).length;
  const report: Report = { open, lost, failures, postponed, tookMs: performance.now() - startedMs };
  process.send!(report);
});
