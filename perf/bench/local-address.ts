/** The address from which this machine reaches another: the kernel's choice, by a connected UDP socket that sends nothing. */

import { createSocket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { BenchError } from './bench-error.ts';

/** `host` is an IP address. Throws a BenchError with one line if there is no way to it. */
export async function localAddressTowards(host: string): Promise<string> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  try {
    return await new Promise<string>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(9, host, () => resolve(socket.address().address));
    });
  } catch (error) {
    throw new BenchError(`there is no way from here to ${host} (${(error as NodeJS.ErrnoException).code})`);
  } finally {
    socket.close();
  }
}
