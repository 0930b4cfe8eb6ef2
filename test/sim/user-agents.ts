/** All user agents of a world: they call each other by the proxy, answer, hang up, and keep the rules while they do. */

import { type ClientPorts, Outgoing, type OutgoingParts } from './client-side.ts';
import { Message, tagOf, uriIn } from './message.ts';
import type { Network } from './network.ts';
import { Incoming } from './server-side.ts';
import { DOMAIN, type Host, uriAt, type World } from './world.ts';

/** One side of a dialog (section 12). */
interface Dialog {
  readonly call: number;
  readonly host: Host;
  /** Values of From and To as this side sends them. */
  readonly local: string;
  readonly remote: string;
  readonly remoteUri: string;
  readonly routes: readonly string[];
  cseq: number;
  /** CSeq number and text of the ACKs sent. */
  readonly acks: Map<number, string>;
  isOver: boolean;
}

const FIRST_METHODS = ['OPTIONS', 'MESSAGE', 'SUBSCRIBE', 'NOTIFY', 'INFO', 'REFER'] as const;
const DEEP_VIA = 'SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKdeep';
const OUR_ROUTE = '<sip:192.0.2.254:5060;lr>';

export interface AgentsPorts {
  readonly world: World;
  readonly network: Network;
  /** Has a text go to the proxy. */
  readonly send: (call: number, from: Host, text: string) => void;
  readonly fail: (call: number, fault: string) => void;
}

export class UserAgents {
  readonly #ports: AgentsPorts;
  readonly #client: ClientPorts;
  /** By branch and method, of the INVITE and of its CANCEL. */
  readonly outgoing = new Map<string, Outgoing>();
  readonly #incoming = new Map<string, Incoming>();
  /** INVITEs answered, by host, call, CSeq and own tag: what an ACK to a 2xx is for. */
  readonly #dialogs = new Map<string, Dialog>();
  #serial = 0;
  /** First transactions of calls that ended with a final response, and by themselves. */
  answered = 0;
  gaveUp = 0;

  constructor(ports: AgentsPorts) {
    this.#ports = ports;
    this.#client = ports;
  }

  /** Somebody begins call number `call`. */
  place(call: number): void {
    const { world } = this.#ports;
    const { random } = world;
    const host = random.pick(world.callers);
    const user =
      world.unknownUser !== null && random.isOneIn(30) ? world.unknownUser : random.pick([...world.users.keys()]);
    const uri = `sip:${user}@${DOMAIN}`;
    const from = `<sip:caller@${host.address}>;tag=f${call}`;
    const isInvite = !random.isOneIn(4);
    const method = isInvite ? 'INVITE' : random.pick(FIRST_METHODS);
    this.#first(call, host, uri, from, `<${uri}>`, method, 1);
  }

  #first(call: number, host: Host, uri: string, from: string, to: string, method: string, cseq: number): void {
    const { world, network } = this.#ports;
    const { random, t1Ms } = world;
    const end = (isAnswered: boolean) => {
      if (isAnswered) this.answered++;
      else this.gaveUp++;
    };
    const branch = `z9hG4bKu${this.#serial++}`;
    const outgoing = this.#request({
      call,
      from: host,
      branch,
      method,
      text: this.#compose(host, { method, uri, branch, routes: [], from, to, call, cseq }),
      onSuccess: (response) => {
        if (method === 'INVITE') this.#answered(response, host, cseq);
        if (response.cseq === cseq && !isEnded) end(true);
        isEnded = true;
      },
      onFailure: (response) => {
        end(true);
        isEnded = true;
        const isChallenge = response.status === 401 || response.status === 407;
        if (isChallenge && cseq === 1 && random.isOneIn(2)) {
          this.answered--;
          this.#first(call, host, uri, from, to, method, 2);
        }
      },
      onTimeout: () => {
        if (!isEnded) end(false);
        isEnded = true;
      },
    });
    let isEnded = false;
    if (method !== 'INVITE') return;
    if (random.isOneIn(5))
      network.later(random.below(random.isOneIn(2) ? 3 * t1Ms : 30 * t1Ms), () => outgoing.cancel());
    // Nobody waits for ever.
    network.later(64 * t1Ms + random.below(300 * t1Ms), () => outgoing.cancel());
  }

  // ---- Receiving --------------------------------------------------------------------------------------------------

  receive(host: Host, text: string): void {
    const message = new Message(text);
    if (message.status !== 0) {
      this.outgoing.get(`${message.branch} ${message.method}`)?.receive(message);
      return;
    }
    if (host.kind === 'dead') return;
    if (message.method === 'ACK') this.#acknowledged(host, message);
    else if (message.method === 'CANCEL') this.#cancelled(host, message);
    else this.#requested(host, message);
  }

  #requested(host: Host, request: Message): void {
    const key = `${host.address} ${request.branch} ${request.method}`;
    const known = this.#incoming.get(key);
    if (known !== undefined) {
      known.repeat();
      return;
    }
    const { world, network, send } = this.#ports;
    const serial = this.#serial++;
    const onAnswered = (at: Host, invite: Message, toTag: string) => this.#calleeAnswered(at, invite, toTag);
    const incoming = new Incoming({ world, network, send, onAnswered }, host, request, serial);
    this.#incoming.set(key, incoming);
    if (request.method === 'BYE') this.#hungUp(host, request);
    const tag = request.toTag || `t${serial}`;
    if (request.method === 'INVITE') this.#incoming.set(ackKey(host, request.call, request.cseq, tag), incoming);
  }

  /** To a failure by the branch, to a 2xx by the dialog and the CSeq. */
  #acknowledged(host: Host, ack: Message): void {
    const incoming =
      this.#incoming.get(`${host.address} ${ack.branch} INVITE`) ??
      this.#incoming.get(ackKey(host, ack.call, ack.cseq, ack.toTag));
    incoming?.acknowledge();
  }

  #cancelled(host: Host, cancel: Message): void {
    const { send } = this.#ports;
    const incoming = this.#incoming.get(`${host.address} ${cancel.branch} INVITE`);
    const lines = [
      incoming === undefined ? 'SIP/2.0 481 No Such Transaction' : 'SIP/2.0 200 OK',
      ...cancel.vias.map((via) => `Via: ${via}`),
      `From: ${cancel.value('From')}`,
      `To: ${cancel.value('To')};tag=c`,
      `Call-ID: ${cancel.value('Call-ID')}`,
      `CSeq: ${cancel.value('CSeq')}`,
      `X-Reply: cancel ${cancel.branch} ${this.#serial++}`,
      'Content-Length: 0',
    ];
    send(cancel.call, host, `${lines.join('\r\n')}\r\n\r\n`);
    incoming?.cancel();
  }

  // ---- Dialogs ----------------------------------------------------------------------------------------------------

  /** A 2xx came to the caller's INVITE: each is acknowledged; what is a second dialog of a fork is hung up at once. */
  #answered(response: Message, host: Host, cseq: number): void {
    const { random, t1Ms } = this.#ports.world;
    const { call } = response;
    const key = `caller ${call} ${response.toTag}`;
    let dialog = this.#dialogs.get(key);
    const isNew = dialog === undefined;
    if (dialog === undefined) {
      dialog = {
        call,
        host,
        local: response.value('From'),
        remote: response.value('To'),
        remoteUri: uriIn(response.value('Contact')),
        routes: response.values('Record-Route').reverse(),
        cseq,
        acks: new Map(),
        isOver: false,
      };
      const isSecond = [...this.#dialogs.values()].some(
        (one) => one.call === call && one.host === host && one.local === dialog!.local,
      );
      this.#dialogs.set(key, dialog);
      if (isSecond) this.#later(1, () => this.#bye(dialog!));
    }
    this.#sendAck(dialog, cseq);
    if (isNew && !dialog.isOver) this.#talk(dialog, random.below(10 * t1Ms));
  }

  #sendAck(dialog: Dialog, cseq: number): void {
    const { call, host, remoteUri, routes, local, remote, acks } = dialog;
    let ack = acks.get(cseq);
    if (ack === undefined) {
      const branch = `z9hG4bKa${this.#serial++}`;
      ack = this.#compose(host, { method: 'ACK', uri: remoteUri, branch, routes, from: local, to: remote, call, cseq });
      acks.set(cseq, ack);
    }
    if (routes.length > 0) this.#ports.send(call, host, ack);
    else this.#direct(call, ack, remoteUri);
  }

  /** Without a Record-Route the rest of a dialog goes past the proxy: only what others wait for is simulated. */
  #direct(call: number, ack: string, uri: string): void {
    const { world, network } = this.#ports;
    const to = [...world.callees, ...world.callers].find(
      (host) => uriAt(host, 'ua') === uri || uriAt(host, 'caller') === uri,
    );
    if (to !== undefined) network.carry(call, to, to, ack, () => this.receive(to, ack));
  }

  /** The one who was called learns that his 2xx arrived. */
  #calleeAnswered(host: Host, invite: Message, toTag: string): void {
    const { random, t1Ms } = this.#ports.world;
    if (invite.toTag !== '' || !random.isOneIn(3)) return;
    const dialog: Dialog = {
      call: invite.call,
      host,
      local: `${invite.value('To')};tag=${toTag}`,
      remote: invite.value('From'),
      remoteUri: uriIn(invite.value('Contact')),
      routes: invite.values('Record-Route'),
      cseq: 100,
      acks: new Map(),
      isOver: false,
    };
    this.#dialogs.set(`callee ${invite.call} ${toTag}`, dialog);
    this.#talk(dialog, random.below(20 * t1Ms));
  }

  /** Things said within a dialog, one after the other, and a BYE. */
  #talk(dialog: Dialog, afterMs: number): void {
    if (dialog.routes.length === 0) return;
    const { random, t1Ms } = this.#ports.world;
    this.#later(afterMs, () => {
      if (dialog.isOver) return;
      if (random.isOneIn(2)) {
        this.#bye(dialog);
        return;
      }
      this.#inDialog(dialog, random.pick(['INVITE', 'INVITE', 'OPTIONS', 'INFO', 'MESSAGE', 'UPDATE']), () =>
        this.#talk(dialog, random.below(4 * t1Ms)),
      );
    });
  }

  #bye(dialog: Dialog): void {
    if (dialog.isOver || dialog.routes.length === 0) return;
    dialog.isOver = true;
    this.#inDialog(dialog, 'BYE', () => {});
  }

  #hungUp(host: Host, bye: Message): void {
    for (const side of ['caller', 'callee']) {
      for (const tag of [bye.toTag, tagOf(bye.value('From'))]) {
        const dialog = this.#dialogs.get(`${side} ${bye.call} ${tag}`);
        if (dialog !== undefined && dialog.host === host) dialog.isOver = true;
      }
    }
  }

  #inDialog(dialog: Dialog, method: string, after: () => void): void {
    const { random, t1Ms } = this.#ports.world;
    const { call, host, remoteUri: uri, routes, local, remote } = dialog;
    const cseq = ++dialog.cseq;
    const branch = `z9hG4bKd${this.#serial++}`;
    let isOver = false;
    const once = () => {
      if (!isOver) after();
      isOver = true;
    };
    const outgoing = this.#request({
      call,
      from: host,
      branch,
      method,
      text: this.#compose(host, { method, uri, branch, routes, from: local, to: remote, call, cseq }),
      onSuccess: () => {
        if (method === 'INVITE') this.#sendAck(dialog, cseq);
        once();
      },
      onFailure: once,
      onTimeout: once,
    });
    if (method === 'INVITE') this.#later(70 * t1Ms + random.below(100 * t1Ms), () => outgoing.cancel());
  }

  // ---- Sending ----------------------------------------------------------------------------------------------------

  #request(parts: OutgoingParts): Outgoing {
    return new Outgoing(this.#client, parts, (one) =>
      this.outgoing.set(`${one.parts.branch} ${one.parts.method}`, one),
    );
  }

  #later(ms: number, happen: () => void): void {
    this.#ports.network.later(ms, happen);
  }

  #compose(
    host: Host,
    parts: {
      readonly method: string;
      readonly uri: string;
      readonly branch: string;
      readonly routes: readonly string[];
      readonly from: string;
      readonly to: string;
      readonly call: number;
      readonly cseq: number;
    },
  ): string {
    const { random } = this.#ports.world;
    const { method, uri, branch, routes, from, to, call, cseq } = parts;
    const isAck = method === 'ACK';
    const body = !isAck && random.isOneIn(3) ? 'a=b\r\n'.repeat(1 + random.below(random.isOneIn(20) ? 700 : 60)) : '';
    const isRelayed = !isAck && random.isOneIn(10);
    return [
      `${method} ${uri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${host.address}:${host.port};branch=${branch}${random.isOneIn(4) ? ';rport' : ''}`,
      ...(isRelayed ? [`Via: ${DEEP_VIA}${branch}`] : []),
      ...(random.isOneIn(20) ? [] : [`Max-Forwards: ${random.pick([70, 70, 70, 9, 2, 1])}`]),
      ...(routes.length > 0
        ? routes.map((route) => `Route: ${route}`)
        : random.isOneIn(8)
          ? [`Route: ${OUR_ROUTE}`]
          : []),
      `From: ${from}`,
      `To: ${to}`,
      `Call-ID: c${call}@sim`,
      `CSeq: ${cseq} ${method}`,
      ...(isAck ? [] : [`Contact: <${uriAt(host, 'caller')}>`]),
      ...(!isAck && random.isOneIn(6) ? [`Max-Breadth: ${random.pick([1, 2, 4, 60, 100])}`] : []),
      ...(random.isOneIn(10) ? ['X-Note: to be left as it is;  "quoted, twice"'] : []),
      `Content-Length: ${body.length}`,
      '',
      body,
    ].join('\r\n');
  }
}

function ackKey(host: Host, call: number, cseq: number, tag: string): string {
  return `${host.address} ack ${call} ${cseq} ${tag}`;
}
