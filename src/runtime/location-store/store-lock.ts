/** One store, one server: a Unix socket in the store's directory that its owner listens on. Store thread, cold.
 *
 *  Whether somebody listens is known to the kernel, which forgets it with the process: there is no process id that could be
 *  another's by now, or of another container's name space. A socket that nobody listens on is left from a server that died. It
 *  is taken away under a name of its own, and put back should it turn out that another server was faster to put a new one there;
 *  and who has put one there looks after a moment whether it still is. */

import { randomUUID } from 'node:crypto';
import { closeSync, linkSync, openSync, renameSync, statSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** Another server uses the store. */
export class StoreInUseError extends Error {
  override name = 'StoreInUseError';
}

const LOCK_NAME = 'location.lock';
/** More than the time between two steps of a server that takes a dead one's socket away. */
const SETTLE_MS = 50;
const ATTEMPTS = 3;

export class StoreLock {
  readonly #path: string;
  readonly #server: Server;
  readonly #inode: number;

  private constructor(path: string, server: Server, inode: number) {
    this.#path = path;
    this.#server = server;
    this.#inode = inode;
  }

  /** Throws StoreInUseError, or why there can be no socket (no such directory, read-only …). */
  static async acquire(directory: string): Promise<StoreLock> {
    const path = join(directory, LOCK_NAME);
    const own = `${LOCK_NAME}.${randomUUID().slice(0, 8)}`;
    const server = await listenIn(directory, own);
    try {
      await putInPlace(directory, own);
      const inode = statSync(path).ino;
      await pause(SETTLE_MS);
      const lock = new StoreLock(path, server, inode);
      if (!lock.isHeld()) throw new StoreInUseError('another server has just taken it');
      return lock;
    } catch (error) {
      server.close();
      throw error;
    } finally {
      // What `listen` has made; the lock is a second name of it.
      unlinkIfThere(join(directory, own));
    }
  }

  /** False if somebody has removed or replaced the socket. */
  isHeld(): boolean {
    try {
      return statSync(this.#path).ino === this.#inode;
    } catch {
      return false; // it is not there
    }
  }

  release(): void {
    if (this.isHeld()) unlinkIfThere(this.#path);
    this.#server.close();
  }
}

/** The name of a socket has 107 bytes at the most, so it is given by way of the open directory. */
async function listenIn(directory: string, name: string): Promise<Server> {
  const fd = openSync(directory, 'r');
  try {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(`/proc/self/fd/${fd}/${name}`, resolve);
    });
    server.unref();
    return server;
  } finally {
    closeSync(fd);
  }
}

async function putInPlace(directory: string, own: string): Promise<void> {
  const path = join(directory, LOCK_NAME);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      linkSync(join(directory, own), path);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (await isAlive(directory, LOCK_NAME)) break;
    await takeAway(directory, `${own}.old`);
  }
  throw new StoreInUseError(`another server uses the location store in ${directory}`);
}

async function takeAway(directory: string, aside: string): Promise<void> {
  const path = join(directory, LOCK_NAME);
  try {
    renameSync(path, join(directory, aside));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return; // another server has taken it away
    throw error;
  }
  if (await isAlive(directory, aside)) putBack(join(directory, aside), path);
  unlinkIfThere(join(directory, aside));
}

function putBack(aside: string, path: string): void {
  try {
    linkSync(aside, path);
  } catch (error) {
    // A third server has put its own there: who was taken away sees that it no longer holds the lock.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** True if a process listens on this socket. Only a refusal says that none does; what is no socket at all refuses too. */
async function isAlive(directory: string, name: string): Promise<boolean> {
  const fd = openSync(directory, 'r');
  try {
    return await new Promise<boolean>((resolve) => {
      const socket = connect(`/proc/self/fd/${fd}/${name}`);
      socket.once('connect', () => {
        socket.destroy();
        resolve(true);
      });
      socket.once('error', (error: NodeJS.ErrnoException) => {
        resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
      });
    });
  } finally {
    closeSync(fd);
  }
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
