/** The side of the server that is taken over from. Its successor is there already, and has asked for an invitation over the control
 *  socket; what follows goes over a stream of their own, which also tells each that the other has died:
 *
 *  ```
 *  successor                                      this server
 *  its secret, where descriptors go to      →
 *                                           ←     an offer: mode, versions; the sockets, as descriptors
 *      starts its threads, reads the store, whose journal is kept meanwhile
 *  switch                                   →     takes datagrams by the relay only; serves what it has; closes its store
 *                                           ←     switched; the relay and the keys of its transactions, as descriptors
 *      reads what the journal has more, opens the store, serves
 *  release                                  →     closes control socket and admin listener, names its successor to systemd
 *                                           ←     released; then finishes its transactions, and ends
 *      has them
 *  up                                       →
 *  ```
 *  Until the release this server takes everything back when its successor dies or takes too long; one that only was slow finds
 *  { takenBack: true } in the place of an answer, and ends. Main thread, cold. */

import { randomUUID } from 'node:crypto';
import { closeSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { LAYOUT_VERSION } from '../../memory/layout.ts';
import { REFUSED, RequestError } from '../request-error.ts';
import { close, createRelay, sendUnixDatagram } from '../udp-socket.ts';
import { type ChannelMessage, LineChannel } from './line-channel.ts';

/** Of what goes between the two, of keys and of branches: only servers of one version understand each other. */
export const TAKEOVER_VERSION = 1;

/** For the first line, and for the orders after the switch. */
const GREETING_LIMIT_MS = 10_000;
/** Callers that have not said the secret; the one that came first goes. */
const MAX_STRANGERS = 64;
/** A start, with its rehearsal. */
const START_LIMIT_MS = 120_000;
/** The successor's store: nobody takes datagrams meanwhile. */
const RELEASE_LIMIT_MS = 60_000;

export interface Invitation {
  /** In the abstract name space, without its zero. */
  readonly path: string;
  readonly secret: string;
}

interface Greeting {
  readonly pid: number;
  /** Where descriptors go to. */
  readonly fdsTo: string;
}

export interface HandoverPorts {
  readonly mode: string;
  /** In the order of their indexes. */
  readonly sockets: readonly { readonly fd: number; readonly text: string }[];
  /** A successor reads the store from now on, or does not come after all. */
  readonly prepare: (isExpected: boolean) => void;
  /** Takes datagrams by the relay only, serves what has come before, and closes the store. The keys of all transactions. */
  readonly switchTo: (relayFd: number) => Promise<readonly Int32Array[]>;
  /** Undoes that. */
  readonly takeBack: () => Promise<void>;
  /** Gives up what there can be one of: control socket, admin listener, being the service. */
  readonly release: (successorPid: number) => Promise<void>;
  /** Nothing comes any more but what belongs to transactions here. */
  readonly onReleased: () => void;
  /** The successor has taken what was released. */
  readonly onSuccessorUp: (successorPid: number) => void;
  readonly log: Logger;
}

export class Handover {
  readonly #ports: HandoverPorts;
  #isBusy = false;
  /** Where datagrams come from after the switch. */
  #relayFd = -1;

  constructor(ports: HandoverPorts) {
    this.#ports = ports;
  }

  /** For a successor, who has to come soon. Throws a RequestError if there is one already.
   *
   *  Every user of the machine sees the path (/proc/net/unix) and may call there; only whoever knows the secret is the successor, and
   *  others do not use up the invitation. */
  async invite(): Promise<Invitation> {
    if (this.#isBusy) throw new RequestError(REFUSED, 'another server is taking over from this one');
    this.#isBusy = true;
    const invitation = { path: `strowger-takeover-${randomUUID()}`, secret: randomUUID() };
    const strangers = new Set<LineChannel>();
    let isOpen = true;
    const end = () => {
      isOpen = false;
      clearTimeout(timer);
      server.close();
      for (const stranger of strangers) stranger.close();
      strangers.clear();
    };
    const welcome = async (channel: LineChannel) => {
      strangers.add(channel);
      if (strangers.size > MAX_STRANGERS) strangers.values().next().value!.close();
      const greeting = greetingOf(await channel.receive(GREETING_LIMIT_MS), invitation.secret);
      strangers.delete(channel);
      if (greeting === null || !isOpen) {
        channel.close();
        if (isOpen) this.#ports.log.warn('a takeover is awaited, and somebody has called who was not invited');
        return;
      }
      end();
      await this.#handOver(channel, greeting).finally(() => {
        this.#isBusy = false;
      });
    };
    const server = createServer((socket) => void welcome(new LineChannel(socket)));
    const timer = setTimeout(() => {
      end();
      this.#isBusy = false;
    }, GREETING_LIMIT_MS);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(`\0${invitation.path}`, resolve);
    });
    return invitation;
  }

  async #handOver(channel: LineChannel, successor: Greeting): Promise<void> {
    const { log } = this.#ports;
    let isSwitched = false;
    try {
      this.#offer(channel, successor);
      if ((await channel.receive(START_LIMIT_MS))?.['do'] !== 'switch') throw new Error('it did not start');
      isSwitched = true;
      log.info({ successor: successor.pid }, 'handing over: the successor is up');
      await this.#switch(channel, successor.fdsTo);
      if ((await channel.receive(RELEASE_LIMIT_MS))?.['do'] !== 'release') throw new Error('it does not serve');
      await this.#ports.release(successor.pid);
      channel.send({ released: true });
      // Open until this process ends: that is how the successor hears of it.
      channel.unref();
      // It has control socket and admin listener then, or has died.
      await channel.receive(GREETING_LIMIT_MS);
      this.#ports.onSuccessorUp(successor.pid);
      log.info({ successor: successor.pid }, 'handed over: finishing what runs here');
      this.#ports.onReleased();
    } catch (error) {
      // A successor that is only slow must not serve, too.
      if (isSwitched) channel.send({ takenBack: true });
      channel.close();
      log.error({ err: error }, 'the takeover failed: this server goes on');
      if (isSwitched) await this.#takeBack();
      else this.#ports.prepare(false);
    }
  }

  async #takeBack(): Promise<void> {
    const { log, takeBack } = this.#ports;
    try {
      await takeBack();
    } catch (error) {
      log.error({ err: error }, 'after the takeover that failed something does not work as before');
      // Somebody may still read from the relay.
      return;
    }
    if (this.#relayFd !== -1) close(this.#relayFd);
    this.#relayFd = -1;
  }

  #offer(channel: LineChannel, { fdsTo }: Greeting): void {
    const { mode, sockets, prepare } = this.#ports;
    prepare(true);
    sendUnixDatagram(
      fdsTo,
      Buffer.from('sockets'),
      sockets.map(({ fd }) => fd),
    );
    const texts = sockets.map(({ text }) => text);
    channel.send({ version: TAKEOVER_VERSION, layout: LAYOUT_VERSION, mode, sockets: texts });
  }

  async #switch(channel: LineChannel, fdsTo: string): Promise<void> {
    const relay = createRelay();
    this.#relayFd = relay.receiver;
    try {
      const keys = fileOf(await this.#ports.switchTo(relay.receiver));
      try {
        sendUnixDatagram(fdsTo, Buffer.from('relay'), [relay.sender, keys]);
      } finally {
        closeSync(keys);
      }
      channel.send({ switched: true });
    } finally {
      close(relay.sender);
    }
  }
}

/** null: whoever says this was not invited. */
function greetingOf(message: ChannelMessage | null, secret: string): Greeting | null {
  const { pid, fdsTo } = message ?? {};
  if (message?.['secret'] !== secret || typeof pid !== 'number' || typeof fdsTo !== 'string') return null;
  return { pid, fdsTo };
}

/** A file without a name. */
function fileOf(arrays: readonly Int32Array[]): number {
  const path = join(tmpdir(), `strowger-keys-${randomUUID()}`);
  const fd = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  for (const { buffer, byteOffset, byteLength } of arrays) {
    const bytes = new Uint8Array(buffer, byteOffset, byteLength);
    for (let from = 0; from < bytes.length; ) from += writeSync(fd, bytes, from);
  }
  return fd;
}
