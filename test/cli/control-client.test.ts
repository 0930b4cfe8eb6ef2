/** The command line's end of the control socket, with servers that do not do their part. */

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openControlClient } from '../../src/cli/control-client.ts';

const folders: string[] = [];
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function serve(onSocket: (socket: Socket) => void): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'strowger-client-'));
  folders.push(folder);
  const path = join(folder, 'control.sock');
  const server = createServer(onSocket);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return path;
}

describe('a question over the control socket', () => {
  it('of a server that does not answer ends at its limit and says so', async () => {
    const client = await openControlClient(await serve((socket) => socket.resume()));
    await expect(client.call('status', {}, 20)).rejects.toThrow('the server does not answer within 0.02 s');
  });

  it('of a server that goes away says that', async () => {
    const client = await openControlClient(await serve((socket) => socket.on('data', () => socket.destroy())));
    await expect(client.call('status')).rejects.toThrow('the server went away without an answer');
  });

  it('of a server that answers and goes away at once has its answer', async () => {
    const answer = `${JSON.stringify({ jsonrpc: '2.0', id: 1, result: { is: 'there' } })}\n`;
    const client = await openControlClient(await serve((socket) => socket.on('data', () => socket.end(answer))));
    expect(await client.call('status')).toEqual({ is: 'there' });
  });
});
