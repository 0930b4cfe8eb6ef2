/** Datagrams over Unix sockets, with descriptors, and sockets that somebody else has opened. */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  close,
  inspectSocket,
  openUdp,
  openUnixDatagram,
  receiveUnixDatagram,
  sendUnixDatagram,
} from '../../src/runtime/udp-socket.ts';

let folder = '';
const open: number[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'strowger-unix-'));
});
afterEach(() => {
  for (const fd of open.splice(0)) close(fd);
  rmSync(folder, { recursive: true });
});

const opened = (path: string) => {
  const socket = openUnixDatagram(path);
  open.push(socket.fd);
  return socket;
};
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

describe('a Unix datagram', () => {
  it.each([
    ['at a path', () => join(folder, 'a.sock')],
    ['in the abstract name space', () => `@strowger-test-${process.pid}`],
    ['at a name that the kernel picks', () => ''],
  ])('arrives %s, with who sent it', (_, pathOf) => {
    const { fd, path } = opened(pathOf());
    expect(path).toMatch(pathOf() === '' ? /^@.{5}$/ : new RegExp(`^${pathOf()}$`));
    expect(receiveUnixDatagram(fd)).toBeNull();
    sendUnixDatagram(path, Buffer.from('READY=1'), []);
    sendUnixDatagram(path, Buffer.from(''), []);
    const first = receiveUnixDatagram(fd)!;
    expect(text(first.bytes)).toBe('READY=1');
    expect(first).toMatchObject({ fds: [], pid: process.pid, uid: process.getuid!() });
    expect(receiveUnixDatagram(fd)!.bytes).toHaveLength(0);
    expect(receiveUnixDatagram(fd)).toBeNull();
  });

  it('brings descriptors, which are others for the same files', () => {
    const { fd, path } = opened('');
    const files = ['one', 'two'].map((name) => {
      writeFileSync(join(folder, name), name);
      return openSync(join(folder, name), 'r');
    });
    sendUnixDatagram(path, Buffer.from('fds'), files);
    for (const file of files) closeSync(file);
    const { fds } = receiveUnixDatagram(fd)!;
    expect(fds).toHaveLength(2);
    for (const [i, name] of ['one', 'two'].entries()) {
      const content = Buffer.alloc(8);
      expect(content.toString('utf8', 0, readSync(fds[i]!, content))).toBe(name);
      closeSync(fds[i]!);
    }
  });

  it('to nobody is an error with a code', () => {
    const { path } = opened(join(folder, 'a.sock'));
    close(open.pop()!);
    expect(() => sendUnixDatagram(path, Buffer.from('x'), [])).toThrow(
      expect.objectContaining({ code: 'ECONNREFUSED' }),
    );
    expect(() => sendUnixDatagram(join(folder, 'b'), Buffer.from('x'), [])).toThrow(
      expect.objectContaining({ code: 'ENOENT' }),
    );
    expect(() => opened(path)).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }));
  });

  it('called wrongly throws and sends nothing', () => {
    const { fd, path } = opened('');
    expect(() => sendUnixDatagram('x'.repeat(108), Buffer.from('x'), [])).toThrow(RangeError);
    expect(() => sendUnixDatagram(`${folder}\0x`, Buffer.from('x'), [])).toThrow(TypeError);
    expect(() => sendUnixDatagram(path, 'x' as never, [])).toThrow(TypeError);
    expect(() => sendUnixDatagram(path, Buffer.from('x'), 1 as never)).toThrow(TypeError);
    expect(() => sendUnixDatagram(path, Buffer.from('x'), [-1])).toThrow(RangeError);
    expect(() => sendUnixDatagram(path, Buffer.from('x'), Array(254).fill(0))).toThrow(TypeError);
    expect(() => sendUnixDatagram(path, Buffer.from('x'), [1_000_000])).toThrow(
      expect.objectContaining({ code: 'EBADF' }),
    );
    expect(() => receiveUnixDatagram(-1)).toThrow(RangeError);
    expect(receiveUnixDatagram(fd)).toBeNull();
  });
});

describe('a socket that somebody else has opened', () => {
  const OPTIONS = { receiveBufferBytes: 65_536, sendBufferBytes: 65_536, dscp: 0, reusePort: false };

  it('is known for what it is', async () => {
    const at = (host: string, family: 4 | 6, dualStack: boolean) => {
      const socket = openUdp({ ...OPTIONS, host, port: 0, family, dualStack });
      open.push(socket.fd);
      return { ...inspectSocket(socket.fd)!, isPort: inspectSocket(socket.fd)!.port === socket.port };
    };
    const udp = { transport: 'udp', isListening: false, isPort: true };
    expect(at('127.0.0.1', 4, false)).toMatchObject({ ...udp, host: '127.0.0.1', family: 4, dualStack: false });
    expect(at('::1', 6, false)).toMatchObject({ ...udp, host: '::1', family: 6, dualStack: false });
    expect(at('::', 6, true)).toMatchObject({ ...udp, host: '::', family: 6, dualStack: true });
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle;
    expect(inspectSocket(fd)).toMatchObject({ transport: 'tcp', host: '127.0.0.1', isListening: true });
    server.close();
    expect(inspectSocket(opened('').fd), 'a Unix socket').toBeNull();
    const file = openSync(join(folder, 'file'), 'w');
    expect(inspectSocket(file), 'a file').toBeNull();
    closeSync(file);
  });

  it('is set up and used like one of our own', async () => {
    const first = openUdp({ ...OPTIONS, host: '127.0.0.1', port: 0, family: 4, dualStack: false });
    const { fds } = (() => {
      const channel = opened('');
      sendUnixDatagram(channel.path, Buffer.from('x'), [first.fd]);
      return receiveUnixDatagram(channel.fd)!;
    })();
    close(first.fd);
    const given = openUdp({
      ...OPTIONS,
      host: '127.0.0.1',
      port: first.port,
      family: 4,
      dualStack: false,
      fd: fds[0]!,
    });
    open.push(given.fd);
    expect(given).toMatchObject({ fd: fds[0], port: first.port });
    const client = createSocket('udp4');
    client.bind(0, '127.0.0.1');
    await once(client, 'listening');
    expect(() => openUdp({ ...OPTIONS, host: '127.0.0.1', port: first.port, family: 4, dualStack: false })).toThrow(
      expect.objectContaining({ code: 'EADDRINUSE' }),
    );
    client.close();
    expect(fstatSync(given.fd).isSocket()).toBe(true);
  });
});
