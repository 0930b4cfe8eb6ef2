/** A name server on loopback for tests: answers from a list of records, counts what it is asked, and can be told to be
 *  silent, to fail, or to hold its answers back. */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { assert } from '../../src/base/assert.ts';

type RecordType = 'A' | 'AAAA' | 'CNAME' | 'NAPTR' | 'SRV';

/** `answers` by its records; `fails` with SERVFAIL; `is silent`; `holds back` until `release`. */
type Mood = 'answers' | 'fails' | 'is silent' | 'holds back';

interface Question {
  readonly name: string;
  readonly type: RecordType;
}

export interface DnsRecord {
  readonly type: RecordType;
  readonly name: string;
  readonly ttl: number;
  readonly data: string | object;
}

/** The part of dns-packet that is used; the package brings no types. */
interface DnsPacket {
  readonly RECURSION_DESIRED: number;
  readonly RECURSION_AVAILABLE: number;
  encode(packet: object): Uint8Array;
  decode(datagram: Uint8Array): { readonly id: number; readonly questions: readonly Question[] };
}

const packet = createRequire(import.meta.url)('dns-packet') as DnsPacket;

const MAX_ALIASES = 8;
const SERVFAIL = 2;
const NXDOMAIN = 3;

export class DnsServer {
  /** May be changed between questions. */
  records: DnsRecord[];
  mood: Mood = 'answers';
  /** The mood at questions of one type, where that differs. */
  readonly moodAt: Partial<Record<RecordType, Mood>> = {};
  /** What was asked, as `TYPE name`. */
  readonly asked: string[] = [];
  readonly #socket: Socket;
  readonly #held: (() => void)[] = [];

  private constructor(socket: Socket, records: DnsRecord[]) {
    this.#socket = socket;
    this.records = records;
    socket.on('message', (datagram, peer) => this.#take(datagram, peer));
  }

  static async start(records: DnsRecord[] = []): Promise<DnsServer> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new DnsServer(socket, records);
  }

  /** As the resolver's `servers` wants it. */
  get address(): string {
    return `127.0.0.1:${this.#socket.address().port}`;
  }

  /** Gives the answers that were held back, and holds none from now on. */
  release(): void {
    this.mood = 'answers';
    for (const type of Object.keys(this.moodAt) as RecordType[]) delete this.moodAt[type];
    for (const answer of this.#held.splice(0)) answer();
  }

  close(): void {
    this.#socket.close();
  }

  #take(datagram: Uint8Array, peer: RemoteInfo): void {
    const { id, questions } = packet.decode(datagram);
    const question = questions[0]!;
    this.asked.push(`${question.type} ${question.name.toLowerCase()}`);
    const mood = this.moodAt[question.type] ?? this.mood;
    const answer = () => this.#answer(id, question, peer, mood === 'fails');
    if (mood === 'holds back') this.#held.push(answer);
    else if (mood !== 'is silent') answer();
  }

  #answer(id: number, question: Question, peer: RemoteInfo, isFailure: boolean): void {
    const answers = isFailure ? [] : this.#answersTo(question.name.toLowerCase(), question.type);
    const exists = answers.length > 0 || this.records.some(({ name }) => name === question.name.toLowerCase());
    const code = isFailure ? SERVFAIL : exists ? 0 : NXDOMAIN;
    const flags = packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | code;
    const datagram = packet.encode({ type: 'response', id, flags, questions: [question], answers });
    this.#socket.send(datagram, peer.port, peer.address);
  }

  /** As a recursive server does, follows aliases, but not in circles. Adds no records that were not asked for. */
  #answersTo(name: string, type: RecordType, hops = 0): DnsRecord[] {
    if (hops > MAX_ALIASES) return [];
    const alias = this.records.find((record) => record.name === name && record.type === 'CNAME');
    if (alias !== undefined) return [alias, ...this.#answersTo(alias.data as string, type, hops + 1)];
    return this.records.filter((record) => record.name === name && record.type === type);
  }
}

export function a(name: string, address: string, ttl = 60): DnsRecord {
  return { type: 'A', name, ttl, data: address };
}

export function aaaa(name: string, address: string, ttl = 60): DnsRecord {
  return { type: 'AAAA', name, ttl, data: address };
}

export function cname(name: string, target: string, ttl = 60): DnsRecord {
  return { type: 'CNAME', name, ttl, data: target };
}

/** For SIP over UDP of the host. */
export function srv(host: string, priority: number, weight: number, port: number, target: string): DnsRecord {
  return srvAt(`_sip._udp.${host}`, priority, weight, port, target);
}

export function srvAt(name: string, priority: number, weight: number, port: number, target: string): DnsRecord {
  return { type: 'SRV', name, ttl: 60, data: { priority, weight, port, target } };
}

/** `rule` is as in a zone file: ORDER PREFERENCE "FLAGS" "SERVICES" "REGEXP" REPLACEMENT. */
export function naptr(name: string, rule: string): DnsRecord {
  const [, order, preference, flags, services, regexp, replacement] =
    /^(\d+) (\d+) "(.*)" "(.*)" "(.*)" (\S+)$/.exec(rule) ?? [];
  assert(replacement !== undefined, `not a NAPTR record: ${rule}`);
  const data = { order: Number(order), preference: Number(preference), flags, services, regexp, replacement };
  return { type: 'NAPTR', name, ttl: 60, data };
}
