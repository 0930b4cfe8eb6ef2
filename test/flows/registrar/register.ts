/** REGISTER requests and what comes back, for tests of the registrar: `registrarOf(...)` is a server that is responsible for
 *  example.org and has no next hops. */

import {
  createElement,
  type ElementOptions,
  type Endpoint,
  type Sent,
  type VirtualElement,
} from '../virtual-network.ts';

export const PHONE: Endpoint = { address: '192.0.2.10', port: 5060 };

export interface RegisterFields {
  /** User part of To and From. */
  readonly user?: string;
  /** Host part of the Request-URI, To and From. */
  readonly domain?: string;
  readonly uri?: string;
  readonly to?: string;
  readonly callId?: string;
  readonly cseq?: number;
  readonly branch?: string;
  /** Value of the top Via behind "SIP/2.0/UDP ". */
  readonly via?: string;
  /** Values of one Contact header each. */
  readonly contacts?: readonly string[];
  readonly expires?: number | string;
  /** 70 unless told. */
  readonly maxForwards?: number;
  /** More header lines. */
  readonly headers?: readonly string[];
}

let branches = 0;

/** The text of a REGISTER: every call makes another transaction unless `branch` says which. */
export function register(fields: RegisterFields = {}): string {
  const {
    user = 'alice',
    domain = 'example.org',
    callId = 'call-1',
    cseq = 1,
    contacts = [],
    expires,
    maxForwards = 70,
    headers = [],
  } = fields;
  const { branch = `z9hG4bK${++branches}`, uri = `sip:${domain}`, to = `<sip:${user}@${domain}>` } = fields;
  const { via = `${PHONE.address}:${PHONE.port};branch=${branch}` } = fields;
  return [
    `REGISTER ${uri} SIP/2.0`,
    `Via: SIP/2.0/UDP ${via}`,
    `From: ${to};tag=from-tag`,
    `To: ${to}`,
    `Call-ID: ${callId}`,
    `CSeq: ${cseq} REGISTER`,
    `Max-Forwards: ${maxForwards}`,
    ...contacts.map((contact) => `Contact: ${contact}`),
    ...(expires === undefined ? [] : [`Expires: ${expires}`]),
    ...headers,
    'Content-Length: 0',
    '',
    '',
  ].join('\r\n');
}

export interface Answer {
  readonly status: number;
  readonly reason: string;
  /** Values of the Contact headers, in order. */
  readonly contacts: readonly string[];
  /** The first value of a header, by its name as we write it. */
  header(name: string): string | undefined;
  headers(name: string): readonly string[];
  readonly sent: Sent;
}

export function answerOf(sent: readonly Sent[]): Answer {
  if (sent.length !== 1)
    throw new Error(`${sent.length} messages were sent: ${sent.map(({ text }) => text).join('\n')}`);
  const { text } = sent[0]!;
  const [, status, reason] = /^SIP\/2\.0 (\d{3}) (.*)\r\n/.exec(text) ?? [];
  const headers = (name: string) =>
    text
      .split('\r\n')
      .filter((line) => line.toLowerCase().startsWith(`${name.toLowerCase()}:`))
      .map((line) => line.slice(name.length + 1).trim());
  return {
    status: Number(status),
    reason: reason ?? '',
    contacts: headers('Contact'),
    headers,
    header: (name) => headers(name)[0],
    sent: sent[0]!,
  };
}

export interface VirtualRegistrar extends VirtualElement {
  register(fields?: RegisterFields, from?: Endpoint): Answer;
  /** What the registrar says alice has: the Contact values of an answer to a query, in alphabetical order. */
  bindings(user?: string): readonly string[];
  /** The URIs of these. */
  uris(user?: string): readonly string[];
}

/** Both modes answer a REGISTER alike. */
export const MODES = ['stateful', 'stateless'] as const;

/** The URI of a Contact value as we write it. */
export function uriIn(contact: string): string {
  return /<([^>]*)>/.exec(contact)![1]!;
}

/** Registers bob of biloxi.example at these contacts, one header each. The datagram comes from where its Via says. */
export function signUp(
  element: VirtualElement,
  contacts: readonly string[],
  fields: RegisterFields = {},
  from: Endpoint = PHONE,
): Answer {
  const all = { user: 'bob', domain: 'biloxi.example', contacts, via: viaOf(from), ...fields };
  const answer = answerOf(element.receive(register(all), from));
  if (answer.status !== 200) throw new Error(answer.sent.text);
  return answer;
}

/** The Via of who sends from there. */
export function viaOf({ address, port }: Endpoint): string {
  return `${address}:${port};branch=z9hG4bK${++branches}`;
}

export function registrarOf(options: ElementOptions = {}): VirtualRegistrar {
  const element = createElement({ mode: 'stateful', domains: ['example.org'], nextHops: [], ...options });
  const send = (fields: RegisterFields, from = PHONE) => answerOf(element.receive(register(fields), from));
  return Object.assign(Object.create(element) as VirtualElement, {
    receive: element.receive,
    register: (fields: RegisterFields = {}, from?: Endpoint) => send(fields, from),
    bindings: (user = 'alice') => [...send({ user, callId: 'query' }).contacts].sort(),
    uris: (user = 'alice') => send({ user, callId: 'query' }).contacts.map(uriIn).sort(),
  });
}
