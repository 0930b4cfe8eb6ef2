/** A record of the trace as people and programs read it: addresses, the fields of the message, its text without secrets. Cold. */

import { getSystemErrorName } from 'node:util';
import { FLAG, RECORD } from '../../observe/trace/trace-layout.ts';
import type { TraceRecord } from '../../observe/trace/trace-ring.ts';
import { maskSecrets } from './mask.ts';
import type { CapturedMessage } from './pcap.ts';

/** What `trace.recent` tells of a message. */
export interface TracedMessage {
  /** Unique while the server runs. */
  readonly id: string;
  /** Microseconds since 1970: of the receipt (recvmmsg), or before the flush (sendmmsg). */
  readonly timeUs: number;
  readonly direction: 'in' | 'out';
  readonly transport: string;
  /** HOST:PORT, IPv6 in brackets. */
  readonly peer: string;
  /** Ours. */
  readonly local: string;
  /** Of a request, or of the CSeq of a response. */
  readonly method: string | null;
  /** null: a request. */
  readonly status: number | null;
  readonly cseq: number | null;
  readonly callId: string | null;
  /** USER@HOST of the URI, or what it is otherwise. */
  readonly from: string | null;
  readonly to: string | null;
  readonly firstLine: string;
  /** Of the message as it was. */
  readonly bytes: number;
  /** The text ends before the message does. */
  readonly isCut: boolean;
  /** Why it was not sent, e.g. ECONNREFUSED. */
  readonly error: string | null;
  /** All of it, without secrets; null if it was not asked for. */
  readonly text: string | null;
  /** The same bytes in base64, for captures; null if they were not asked for. */
  readonly base64: string | null;
}

/** A socket of ours. */
export interface TracedSocket {
  readonly transport: string;
  readonly family: 4 | 6;
  readonly address: string;
  readonly port: number;
  readonly isWildcard: boolean;
}

/** What there is to know of a server to read its records. Plain data, for any thread. */
export interface TraceReading {
  readonly sockets: readonly TracedSocket[];
  /** Literals of the machine's interfaces. */
  readonly localAddresses: readonly string[];
  /** Headers to mask besides the usual ones. */
  readonly maskHeaders: readonly string[];
}

/** The fields by which messages are sorted out. */
export type MessageFields = Pick<
  TracedMessage,
  'method' | 'status' | 'cseq' | 'callId' | 'from' | 'to' | 'firstLine'
> & { readonly requestUri: string | null };

export type TextForm = 'text' | 'base64' | 'none';

export class RecordReader {
  readonly #sockets: readonly TracedSocket[];
  readonly #localAddresses: readonly string[];
  /** Of this server, by their text. */
  readonly #addressBytes = new Map<string, Uint8Array>();
  #maskHeaders: ReadonlySet<string> = new Set();

  constructor({ sockets, localAddresses, maskHeaders }: TraceReading) {
    this.#sockets = sockets;
    this.#localAddresses = localAddresses;
    this.useMaskHeaders(maskHeaders);
  }

  /** From now on. */
  useMaskHeaders(names: readonly string[]): void {
    this.#maskHeaders = new Set(names.map((name) => name.toLowerCase()));
  }

  /** Whether headers are masked besides the usual ones. */
  get masksMore(): boolean {
    return this.#maskHeaders.size > 0;
  }

  /** Latin-1. */
  masked(message: string): string {
    return maskSecrets(message, this.#maskHeaders);
  }

  /** `monotonicToUs`: what makes a time of CLOCK_MONOTONIC one since 1970. */
  message(record: TraceRecord, monotonicToUs: number, form: TextForm): TracedMessage {
    const { header, shard, sequence } = record;
    const raw = latin1(record.bytes);
    const masked = form === 'none' ? '' : maskSecrets(raw, this.#maskHeaders);
    const fields = fieldsOf(raw);
    const error = header[RECORD.ERROR_WORD]!;
    return {
      id: `${shard}-${sequence >>> 0}`,
      timeUs: Math.round(record.timeUs + monotonicToUs),
      direction: isSent(header) ? 'out' : 'in',
      transport: this.#sockets[header[RECORD.SOCKET_WORD]!]?.transport ?? 'udp',
      peer: hostPort(peerOf(header), header[RECORD.PORT_WORD]!),
      local: this.#localOf(header),
      method: fields.method,
      status: fields.status,
      cseq: fields.cseq,
      callId: fields.callId,
      from: fields.from,
      to: fields.to,
      firstLine: utf8(maskSecrets(fields.firstLine, this.#maskHeaders)),
      bytes: header[RECORD.LENGTH_WORD]!,
      isCut: header[RECORD.KEPT_WORD]! < header[RECORD.LENGTH_WORD]!,
      error: error === 0 ? null : getSystemErrorName(-error),
      text: form === 'text' ? utf8(masked) : null,
      base64: form === 'base64' ? Buffer.from(masked, 'latin1').toString('base64') : null,
    };
  }

  /** The same for captures. */
  captured(record: TraceRecord, monotonicToUs: number): CapturedMessage {
    const { header } = record;
    const peer = { address: peerOf(header), port: header[RECORD.PORT_WORD]! };
    const own = this.ownEnd(header);
    const [source, destination] = isSent(header) ? [own, peer] : [peer, own];
    return {
      timeUs: Math.round(record.timeUs + monotonicToUs),
      source,
      destination,
      length: header[RECORD.LENGTH_WORD]!,
      bytes: Buffer.from(maskSecrets(latin1(record.bytes), this.#maskHeaders), 'latin1'),
    };
  }

  isStream(header: Int32Array): boolean {
    return (this.#sockets[header[RECORD.SOCKET_WORD]!]?.transport ?? 'udp') !== 'udp';
  }

  #localOf(header: Int32Array): string {
    const { address, port } = this.ownEnd(header);
    return hostPort(address, port);
  }

  /** A wildcard socket mostly leaves the choice of an address to the kernel; then it is the likeliest one. */
  ownEnd(header: Int32Array): { readonly address: Uint8Array; readonly port: number } {
    const socket = this.#sockets[header[RECORD.SOCKET_WORD]!];
    const family = header[RECORD.FAMILY_WORD] === 6 ? 6 : 4;
    const port = socket?.port ?? 0;
    const at = RECORD.LOCAL_WORD;
    const others = family === 4 ? 0 : header[at + 1]! | header[at + 2]! | header[at + 3]!;
    if ((header[at]! | others) !== 0) return { address: addressOf(header, at, family), port };
    const isOne = socket !== undefined && !socket.isWildcard;
    const text = isOne ? socket.address : likeliestOf(this.#localAddresses, family, peerOf(header));
    let address = this.#addressBytes.get(text);
    if (address === undefined) {
      address = addressBytes(text, family);
      this.#addressBytes.set(text, address);
    }
    return { address, port };
  }
}

export function isSent(header: Int32Array): boolean {
  return (header[RECORD.FLAGS_WORD]! & FLAG.IS_SENT) !== 0;
}

/** Reads as much of a message as a list of messages shows, whatever is wrong with it. Latin-1. */
export function fieldsOf(message: string): MessageFields {
  const text = message.replace(/^[\r\n]+/, '');
  const headersEnd = /\r?\n\r?\n/.exec(text)?.index ?? text.length;
  const lineEnd = /\r?\n/.exec(text)?.index ?? text.length;
  const firstLine = text.slice(0, lineEnd);
  const headers = text.slice(lineEnd, headersEnd).replace(/\r?\n[ \t]+/g, ' ');
  const [, status] = /^SIP\/2\.0 (\d{3})\b/i.exec(firstLine) ?? [];
  const [, requestMethod, requestUri] = /^([^\s]+) +(\S+) +SIP\/2\.0$/i.exec(firstLine) ?? [];
  const [, cseq, cseqMethod] = /^(\d+)\s+(\S+)/.exec(headerOf(headers, 'cseq')) ?? [];
  return {
    method: status === undefined ? (requestMethod ?? null) : (cseqMethod ?? null),
    status: status === undefined ? null : Number(status),
    cseq: cseq === undefined ? null : Number(cseq),
    callId: /^\S+/.exec(headerOf(headers, 'call-id|i'))?.[0] ?? null,
    from: userOf(headerOf(headers, 'from|f')),
    to: userOf(headerOf(headers, 'to|t')),
    firstLine,
    requestUri: requestUri ?? null,
  };
}

/** Where the Call-ID of a whole message begins and ends, null if there is none. Latin-1. */
export function callIdPlaceOf(message: string): readonly [start: number, end: number] | null {
  const found = /^(?:call-id|i)[ \t]*:\s*(\S+)/im.exec(message);
  if (found === null) return null;
  const end = found.index + found[0].length;
  return [end - found[1]!.length, end];
}

function headerOf(headers: string, names: string): string {
  return new RegExp(`^(?:${names})[ \\t]*:[ \\t]*(.*)$`, 'im').exec(headers)?.[1]?.trim() ?? '';
}

/** USER@HOST of a name-addr, an addr-spec or a URI, without password, port and parameters; null for nothing. */
export function userOf(value: string): string | null {
  const uri = /<([^>]*)/.exec(value)?.[1] ?? value.replace(/[;?].*$/, '');
  const [, user, host] = /^sips?:(?:([^@]*)@)?(\[[^\]]*\]|[^:;?]+)/i.exec(uri) ?? [];
  if (host === undefined) return uri === '' ? null : utf8(uri.replace(/;.*$/, ''));
  return utf8(user === undefined ? host : `${user.replace(/:.*$/s, '')}@${host.toLowerCase()}`);
}

/** A message that came as base64, for a capture. */
export function capturedOf({ timeUs, direction, peer, local, bytes, base64 }: TracedMessage): CapturedMessage {
  const [own, other] = [endOf(local), endOf(peer)];
  const [source, destination] = direction === 'in' ? [other, own] : [own, other];
  return { timeUs, source, destination, length: bytes, bytes: Buffer.from(base64 ?? '', 'base64') };
}

function endOf(text: string): CapturedMessage['source'] {
  const colon = text.lastIndexOf(':');
  const host = text.slice(0, colon).replace(/^\[|\]$/g, '');
  return { address: addressBytes(host, host.includes(':') ? 6 : 4), port: Number(text.slice(colon + 1)) };
}

export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

function utf8(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8');
}

export function peerOf(header: Int32Array): Uint8Array {
  return addressOf(header, RECORD.PEER_WORD, header[RECORD.FAMILY_WORD] === 6 ? 6 : 4);
}

function addressOf(header: Int32Array, word: number, family: 4 | 6): Uint8Array {
  return new Uint8Array(header.buffer, header.byteOffset + word * 4, family === 4 ? 4 : 16);
}

function likeliestOf(addresses: readonly string[], family: 4 | 6, peer: Uint8Array): string {
  const isLoopback = family === 4 ? peer[0] === 127 : peer.every((byte, i) => byte === (i === 15 ? 1 : 0));
  const loopback = family === 4 ? '127.0.0.1' : '::1';
  if (isLoopback) return loopback;
  const isOther = (address: string) =>
    address !== loopback && address.includes(':') === (family === 6) && !address.startsWith('fe80:');
  return addresses.find(isOther) ?? loopback;
}

/** 4 or 16 bytes of a literal that is known to be right. */
export function addressBytes(address: string, family: 4 | 6): Uint8Array {
  if (family === 4) return Uint8Array.from(address.split('.'), Number);
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::');
  const groups = (text: string | undefined): number[] =>
    text === undefined || text === ''
      ? []
      : text.split(':').flatMap((group) => {
          if (!group.includes('.')) return [Number.parseInt(group, 16)];
          const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
          return [(a << 8) | b, (c << 8) | d];
        });
  const before = groups(head);
  const after = groups(tail);
  const words = [...before, ...new Array<number>(Math.max(0, 8 - before.length - after.length)).fill(0), ...after];
  return Uint8Array.from(words.flatMap((word) => [(word >> 8) & 0xff, word & 0xff]));
}

export function hostPort(address: Uint8Array, port: number): string {
  if (address.length === 4) return `${address.join('.')}:${port}`;
  const words = Array.from({ length: 8 }, (_, i) => ((address[2 * i]! << 8) | address[2 * i + 1]!).toString(16));
  return `${new URL(`http://[${words.join(':')}]/`).hostname}:${port}`;
}
