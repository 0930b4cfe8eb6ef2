/** Is there anybody? An OPTIONS with Max-Forwards 0, which every SIP element answers for itself (RFC 3261 11, 16.3), again and
 *  again until something comes back. Cold. */

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { type HostPort, textOf } from './udp-sockets.ts';

const REPEAT_MS = 50;

/** What became of it: `silent` is nothing at all within `limitMs`, `refused` that the machine says nobody has the port. */
export type Presence = 'answered' | 'silent' | 'refused';

/** `at.host` is an IP address. */
export async function untilAnswering(at: HostPort, limitMs: number): Promise<Presence> {
  const socket = createSocket(isIPv6(at.host) ? 'udp6' : 'udp4');
  const { promise, resolve } = Promise.withResolvers<Presence>();
  const limit = setTimeout(() => resolve('silent'), limitMs);
  let isRefused = false;
  socket.on('message', () => resolve('answered'));
  socket.on('error', () => {
    // A server that is just starting refuses at first.
    if (isRefused) resolve('refused');
    isRefused = true;
  });
  socket.connect(at.port, at.host);
  await once(socket, 'connect');
  const { address, port } = socket.address();
  let count = 0;
  const send = () => socket.send(pingTo(at, { host: address, port }, ++count));
  send();
  const repetition = setInterval(send, REPEAT_MS);
  try {
    return await promise;
  } finally {
    clearTimeout(limit);
    clearInterval(repetition);
    socket.close();
  }
}

function pingTo(at: HostPort, own: HostPort, number: number): string {
  const lines = [
    `OPTIONS sip:${textOf(at)} SIP/2.0`,
    `Via: SIP/2.0/UDP ${textOf(own)};branch=z9hG4bK-ping-${own.port}-${number};rport`,
    'Max-Forwards: 0',
    `From: <sip:ping@${textOf(own)}>;tag=${own.port}`,
    `To: <sip:${textOf(at)}>`,
    `Call-ID: ping-${own.port}-${number}@bench.invalid`,
    'CSeq: 1 OPTIONS',
    'Content-Length: 0',
  ];
  return `${lines.join('\r\n')}\r\n\r\n`;
}
