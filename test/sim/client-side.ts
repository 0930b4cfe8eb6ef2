/** The client side of a simulated user agent: transactions as RFC 3261 17.1 has them, written anew and not with the tables
 *  under test. */

import type { SimEvent } from './event-queue.ts';
import { isNamed, type Message } from './message.ts';
import type { Network } from './network.ts';
import type { Host, World } from './world.ts';

export interface ClientPorts {
  readonly world: World;
  readonly network: Network;
  /** Has a text go from a host to the proxy. */
  readonly send: (call: number, from: Host, text: string) => void;
}

export interface OutgoingParts {
  readonly call: number;
  readonly from: Host;
  readonly branch: string;
  readonly text: string;
  readonly method: string;
  /** A provisional response but 100 came. */
  readonly onRinging?: () => void;
  /** Each 2xx to an INVITE, also those that come again; the only final one of others. */
  readonly onSuccess?: (response: Message) => void;
  /** The final response if it is no 2xx. */
  readonly onFailure?: (response: Message) => void;
  readonly onTimeout?: () => void;
}

export type OutgoingState = 'calling' | 'proceeding' | 'completed' | 'accepted' | 'terminated';

/** A request on its way, and what comes back. */
export class Outgoing {
  readonly parts: OutgoingParts;
  readonly #ports: ClientPorts;
  readonly #isInvite: boolean;
  state: OutgoingState = 'calling';
  #intervalMs: number;
  #resend: SimEvent;
  #giveUp: SimEvent;
  #ack = '';
  #wantsCancel = false;
  cancelling: Outgoing | null = null;
  /** Told of the CANCEL's transaction, which has the same branch. */
  readonly #register: (outgoing: Outgoing) => void;

  constructor(ports: ClientPorts, parts: OutgoingParts, register: (outgoing: Outgoing) => void) {
    const { network, world } = ports;
    this.parts = parts;
    this.#ports = ports;
    this.#isInvite = parts.method === 'INVITE';
    this.#intervalMs = world.t1Ms;
    this.#register = register;
    register(this);
    this.#send();
    this.#resend = network.later(this.#intervalMs, () => this.#sendAgain());
    this.#giveUp = network.later(64 * world.t1Ms, () => this.#timeOut());
  }

  get isOpen(): boolean {
    return this.state === 'calling' || this.state === 'proceeding';
  }

  receive(response: Message): void {
    const { status } = response;
    if (this.state === 'terminated') return;
    if (status < 200) this.#provisional(status);
    else if (status < 300) this.#success(response);
    else this.#failure(response);
  }

  /** 9.1: not before a provisional response. After 64 × T1 without a final one it counts as cancelled. */
  cancel(): void {
    if (!this.#isInvite || this.cancelling !== null || !this.isOpen) return;
    if (this.state === 'calling') {
      this.#wantsCancel = true;
      return;
    }
    const { parts } = this;
    const text = derived(parts.text, 'CANCEL', '');
    this.cancelling = new Outgoing(
      this.#ports,
      {
        ...parts,
        method: 'CANCEL',
        text,
        onRinging: nothing,
        onSuccess: nothing,
        onFailure: nothing,
        onTimeout: nothing,
      },
      this.#register,
    );
    this.#giveUp.isOff = true;
    this.#giveUp = this.#ports.network.later(64 * this.#ports.world.t1Ms, () => this.#timeOut());
  }

  #provisional(status: number): void {
    if (!this.isOpen) return;
    if (this.state === 'calling') {
      this.state = 'proceeding';
      if (this.#isInvite) {
        this.#resend.isOff = true;
        this.#giveUp.isOff = true;
      }
    }
    if (this.#wantsCancel) this.cancel();
    if (status > 100) this.parts.onRinging?.();
  }

  #success(response: Message): void {
    if (this.state === 'completed') return;
    const isFirst = this.isOpen;
    if (isFirst) this.#end('accepted', 64 * this.#ports.world.t1Ms);
    if (this.#isInvite || isFirst) this.parts.onSuccess?.(response);
  }

  #failure(response: Message): void {
    if (this.state === 'accepted') return;
    const isFirst = this.isOpen;
    if (this.#isInvite) {
      // 17.1.1.3: with the To of the response, on the branch of the INVITE.
      if (isFirst) this.#ack = derived(this.parts.text, 'ACK', response.value('To'));
      this.#ports.send(this.parts.call, this.parts.from, this.#ack);
    }
    if (!isFirst) return;
    this.#end('completed', this.#isInvite ? Math.max(32_000, 64 * this.#ports.world.t1Ms) : this.#ports.world.t4Ms);
    this.parts.onFailure?.(response);
  }

  #end(state: OutgoingState, lingerMs: number): void {
    this.state = state;
    this.#resend.isOff = true;
    this.#giveUp.isOff = true;
    this.#ports.network.later(lingerMs, () => {
      this.state = 'terminated';
    });
  }

  #timeOut(): void {
    this.state = 'terminated';
    this.#resend.isOff = true;
    this.parts.onTimeout?.();
  }

  /** Timer A doubles without end, E up to T2. */
  #sendAgain(): void {
    const { world, network } = this.#ports;
    this.#send();
    const doubled = this.#intervalMs * 2;
    this.#intervalMs = this.#isInvite
      ? doubled
      : this.state === 'proceeding'
        ? world.t2Ms
        : Math.min(doubled, world.t2Ms);
    this.#resend = network.later(this.#intervalMs, () => this.#sendAgain());
  }

  #send(): void {
    this.#ports.send(this.parts.call, this.parts.from, this.parts.text);
  }
}

const nothing = () => {};

/** The CANCEL of an INVITE (9.1) or the ACK to its failure (17.1.1.3): top Via, Route, From, Call-ID and the CSeq's number. */
function derived(invite: string, method: string, to: string): string {
  const [start, ...lines] = invite.slice(0, invite.indexOf('\r\n\r\n')).split('\r\n');
  const kept: string[] = [`${method}${start!.slice(start!.indexOf(' '))}`];
  let hasVia = false;
  for (const line of lines) {
    if (isNamed(line, 'Via')) {
      if (!hasVia) kept.push(line);
      hasVia = true;
    } else if (isNamed(line, 'To') && to !== '') kept.push(`To: ${to}`);
    else if (isNamed(line, 'CSeq')) kept.push(`CSeq: ${line.slice(6, line.lastIndexOf(' '))} ${method}`);
    else if (
      !isNamed(line, 'Contact') &&
      !isNamed(line, 'Content-Length') &&
      !isNamed(line, 'Max-Breadth') &&
      !line.startsWith('X-')
    )
      kept.push(line);
  }
  return `${kept.join('\r\n')}\r\nContent-Length: 0\r\n\r\n`;
}
