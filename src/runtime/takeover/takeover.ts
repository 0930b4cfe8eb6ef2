/** The side of the server that takes over from another one (handover.ts has the whole of it). Main thread, cold. */

import { closeSync, fstatSync, readSync } from 'node:fs';
import { connect } from 'node:net';
import { LAYOUT_VERSION } from '../../memory/layout.ts';
import { createKeyTable } from '../../roles/proxy/predecessor.ts';
import type { PredecessorTask } from '../shard-questions.ts';
import { close, openUnixDatagram, receiveUnixDatagram } from '../udp-socket.ts';
import { type Invitation, TAKEOVER_VERSION } from './handover.ts';
import { type ChannelMessage, LineChannel } from './line-channel.ts';

const ANSWER_LIMIT_MS = 10_000;
/** It serves what it has, and commits its store. */
const SWITCH_LIMIT_MS = 30_000;

/** An expected failure, in one line. */
export class TakeoverError extends Error {
  override name = 'TakeoverError';
}

/** Where descriptors come to. */
interface Inbox {
  readonly fd: number;
  readonly path: string;
}

export class Takeover {
  readonly #channel: LineChannel;
  readonly #inbox: Inbox;
  /** Sockets of the other server, in the order of its indexes; this process' own from now on. */
  readonly fds: readonly number[];
  /** The other server's. */
  readonly mode: string;

  private constructor(channel: LineChannel, inbox: Inbox, fds: readonly number[], mode: string) {
    this.#channel = channel;
    this.#inbox = inbox;
    this.fds = fds;
    this.mode = mode;
  }

  /** Gets the sockets. Throws a TakeoverError; the other server goes on then. */
  static async begin({ path, secret }: Invitation): Promise<Takeover> {
    const channel = new LineChannel(connect(`\0${path}`));
    const inbox = openUnixDatagram('');
    try {
      channel.send({ secret, fdsTo: inbox.path, pid: process.pid });
      const offer = await channel.receive(ANSWER_LIMIT_MS);
      const { version, layout, mode } = offer ?? {};
      if (offer === null) throw new TakeoverError('the other server does not answer');
      if (version !== TAKEOVER_VERSION || layout !== LAYOUT_VERSION) {
        throw new TakeoverError(
          'the other server is of a version that this one cannot take over from; stop it instead',
        );
      }
      return new Takeover(channel, inbox, receiveFds(inbox.fd), String(mode));
    } catch (error) {
      channel.close();
      close(inbox.fd);
      throw error;
    }
  }

  /** The other server takes no more datagrams, and has closed its store. `sockets`: those that were opened here. */
  async switch(sockets: readonly { readonly fd: number }[]): Promise<PredecessorTask> {
    const { switched } = await this.#order('switch', SWITCH_LIMIT_MS);
    if (switched !== true) throw new TakeoverError('the other server did not hand over');
    const [relay, keys] = receiveFds(this.#inbox.fd);
    if (relay === undefined || keys === undefined) throw new TakeoverError('the other server sent no relay');
    return { fd: relay, keys: readKeys(keys), sockets: sockets.map(({ fd }) => this.fds.indexOf(fd)) };
  }

  /** The other server gives up its control socket and admin listener, and finishes what it has. Also when it has died. Throws a
   *  TakeoverError if it lives and has taken everything back: then it serves, and this one must not. */
  async release(): Promise<void> {
    const answer = await this.#order('release', ANSWER_LIMIT_MS).catch(() => null);
    if (answer?.['takenBack'] === true) {
      throw new TakeoverError('the other server has waited too long for this one, and goes on');
    }
    close(this.#inbox.fd);
    this.#channel.unref();
  }

  /** This server has what the other one gave up. */
  confirm(): void {
    this.#channel.send({ do: 'up' });
  }

  /** Resolves when the other server has ended. */
  get gone(): Promise<void> {
    return this.#channel.closed;
  }

  /** The other server takes everything back. */
  abort(): void {
    this.#channel.close();
  }

  async #order(order: string, limitMs: number): Promise<ChannelMessage> {
    this.#channel.send({ do: order });
    const answer = await this.#channel.receive(limitMs);
    if (answer === null) throw new TakeoverError(`the other server has died, or does not answer to ${order}`);
    return answer;
  }
}

/** What the other server has sent before its line. */
function receiveFds(inbox: number): readonly number[] {
  const got = receiveUnixDatagram(inbox);
  if (got === null) throw new TakeoverError('the other server sent no descriptors');
  // Who knows the name of the inbox could have written to it.
  if (got.uid !== process.getuid?.() && got.uid !== 0) {
    for (const fd of got.fds) close(fd);
    throw new TakeoverError(`user ${got.uid} has sent descriptors`);
  }
  return got.fds;
}

function readKeys(fd: number): SharedArrayBuffer {
  const keys = new Int32Array(fstatSync(fd).size >> 2);
  const bytes = new Uint8Array(keys.buffer);
  for (let from = 0; from < bytes.length; ) {
    const count = readSync(fd, bytes, from, bytes.length - from, from);
    if (count === 0) break;
    from += count;
  }
  closeSync(fd);
  return createKeyTable(keys);
}
