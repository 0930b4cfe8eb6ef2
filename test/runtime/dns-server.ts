/** A name server on loopback for tests: answers from a list of records, counts what it is asked, and can be told to be
 *  silent, to fail, or to hold its answers back. */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createRequire } from 'node:module';

type RecordType = 'A' | 'AAAA' | 'CNAME' | 'SRV';

interface Question {
  readonly name: string;
  readonly type: RecordType;
}

export interface DnsRecord {
  readonly type: RecordType;
  readonly name: string;
  readonly ttl: number;
  readonly data: string | { priority: number; weight: number; port: number; target: string };
}

/** The part of dns-packet that is used; the package brings no types. */
interface DnsPacket {
  readonly RECURSION_DESIRED: number;
  readonly RECURSION_AVAILABLE: number;
  encode(packet: object): Uint8Array;
  decode(datagram: Uint8Array): { readonly id: number; readonly questions: readonly Question[] };
}

const packet = createRequire(import.meta.url)('dns-packet') as DnsPacket;

const SERVFAIL = 2;
const NXDOMAIN = 3;

export class DnsServer {
  /** May be changed between questions. */
  records: DnsRecord[];
  /** `answers` by its records; `fails` with SERVFAIL; `is silent`; `holds back` until `release`. */
  mood: 'answers' | 'fails' | 'is silent' | 'holds back' = 'answers';
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
    for (const answer of this.#held.splice(0)) answer();
  }

  close(): void {
    this.#socket.close();
  }

  #take(datagram: Uint8Array, peer: RemoteInfo): void {
    const { id, questions } = packet.decode(datagram);
    const question = questions[0]!;
    this.asked.push(`${question.type} ${question.name.toLowerCase()}`);
    const answer = () => this.#answer(id, question, peer);
    if (this.mood === 'holds back') this.#held.push(answer);
    else if (this.mood !== 'is silent') answer();
  }

  #answer(id: number, question: Question, peer: RemoteInfo): void {
    const answers = this.mood === 'fails' ? [] : this.#answersTo(question.name.toLowerCase(), question.type);
    const exists = answers.length > 0 || this.records.some(({ name }) => name === question.name.toLowerCase());
    const code = this.mood === 'fails' ? SERVFAIL : exists ? 0 : NXDOMAIN;
    const flags = packet.RECURSION_DESIRED | packet.RECURSION_AVAILABLE | code;
    const datagram = packet.encode({ type: 'response', id, flags, questions: [question], answers });
    this.#socket.send(datagram, peer.port, peer.address);
  }

  /** As a recursive server does, follows aliases. */
  #answersTo(name: string, type: RecordType): DnsRecord[] {
    const alias = this.records.find((record) => record.name === name && record.type === 'CNAME');
    if (alias !== undefined) return [alias, ...this.#answersTo(alias.data as string, type)];
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

export function srv(host: string, priority: number, weight: number, port: number, target: string): DnsRecord {
  return { type: 'SRV', name: `_sip._udp.${host}`, ttl: 60, data: { priority, weight, port, target } };
}
