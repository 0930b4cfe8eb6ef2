/** A phone that registers by digest, over UDP, with a fresh challenge each time. */

import { type Account, credentialsOf, paramsOf } from '../auth/digest-client.ts';
import { UdpPeer } from '../process/udp-peer.ts';

const REALM = 'example.org';
let last = 0;

export class Phone {
  readonly #peer: UdpPeer;
  readonly #port: number;

  private constructor(peer: UdpPeer, port: number) {
    this.#peer = peer;
    this.#port = port;
  }

  static async open(port: number): Promise<Phone> {
    return new Phone(await UdpPeer.open(), port);
  }

  /** The status of the last answer. `callId`: a new one. */
  async register(
    user: string,
    password: string,
    algorithm = 'MD5',
    callId = `register-${process.pid}-${++last}`,
  ): Promise<number> {
    const challenged = await this.#send('REGISTER', user, callId, 1, []);
    if (statusOf(challenged) !== 401) return statusOf(challenged);
    const authorization = answerTo(challenged, { user, password }, algorithm);
    return statusOf(await this.#send('REGISTER', user, callId, 2, [`Authorization: ${authorization}`]));
  }

  /** An OPTIONS for a user who has not registered: 480 if there is such a user, 404 if not. */
  async ask(to: string): Promise<number> {
    return statusOf(await this.#send('OPTIONS', to, `options-${process.pid}-${++last}`, 1, []));
  }

  /** The same by a user who proves who he is when asked. */
  async askAs(user: string, password: string, to: string): Promise<number> {
    const callId = `options-${process.pid}-${++last}`;
    const challenged = await this.#send('OPTIONS', to, callId, 1, [], user);
    if (statusOf(challenged) !== 407) return statusOf(challenged);
    const authorization = answerTo(challenged, { user, password }, 'MD5', 'OPTIONS', `sip:${to}@${REALM}`);
    return statusOf(await this.#send('OPTIONS', to, callId, 2, [`Proxy-Authorization: ${authorization}`], user));
  }

  close(): void {
    this.#peer.close();
  }

  async #send(
    method: string,
    user: string,
    callId: string,
    cseq: number,
    lines: readonly string[],
    from = user,
  ): Promise<Buffer> {
    const uri = method === 'REGISTER' ? `sip:${REALM}` : `sip:${user}@${REALM}`;
    const branch = `z9hG4bK-${callId}-${cseq}`;
    const text = [
      `${method} ${uri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${this.#peer.hostPort};branch=${branch}`,
      'Max-Forwards: 70',
      `From: <sip:${from}@${REALM}>;tag=1`,
      `To: <sip:${user}@${REALM}>`,
      `Call-ID: ${callId}`,
      `CSeq: ${cseq} ${method}`,
      `Contact: <sip:${user}@${this.#peer.hostPort}>`,
      ...lines,
      'Content-Length: 0',
    ].join('\r\n');
    await this.#peer.send(Buffer.from(`${text}\r\n\r\n`), this.#port);
    return (await this.#peer.receive(branch)).datagram;
  }
}

function answerTo(
  challenged: Buffer,
  account: Account,
  algorithm: string,
  method = 'REGISTER',
  uri = `sip:${REALM}`,
): string {
  const lines = challenged.toString('latin1').split('\r\n');
  const challenges = lines.filter((line) => /^(?:WWW|Proxy)-Authenticate:/.test(line)).map((line) => paramsOf(line));
  const { nonce } = challenges.find((challenge) => challenge['algorithm'] === algorithm)!;
  return credentialsOf(account, { method, uri, realm: REALM, nonce: nonce!, algorithm, qop: 'auth' });
}

function statusOf(answer: Buffer): number {
  return Number(answer.toString('latin1').split(' ', 2)[1]);
}
