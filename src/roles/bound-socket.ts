/** A socket this server listens on, as the roles see it: plain data, the same on every thread. */

export interface BoundSocket {
  /** Index in the socket table and in slot headers. */
  readonly socket: number;
  /** One of TRANSPORT (sip/transport.ts): of a stream transport this is a listening point, whose connections have numbers of
   *  their own in CONNECTION_WORD. */
  readonly transport: number;
  readonly family: 4 | 6;
  /** Also takes IPv4, which slot headers show as IPv4. */
  readonly isDualStack: boolean;
  /** Literal, without brackets. */
  readonly address: string;
  readonly port: number;
  /** Bound to all addresses of the machine. */
  readonly isWildcard: boolean;
  /** What goes into our Via instead of the address, IPv6 in brackets; null: the address itself. */
  readonly advertisedHost: string | null;
  /** null: the port itself. */
  readonly advertisedPort: number | null;
}

/** A socket with its properties in one order, whoever made it. What V8 has compiled for objects of another shape it throws away:
 *  a rehearsal (runtime/rehearsal.ts) would be for nothing, and the code of every later message for two shapes. */
export function inOneShape(socket: BoundSocket): BoundSocket {
  return {
    socket: socket.socket,
    transport: socket.transport,
    family: socket.family,
    isDualStack: socket.isDualStack,
    address: socket.address,
    port: socket.port,
    isWildcard: socket.isWildcard,
    advertisedHost: socket.advertisedHost,
    advertisedPort: socket.advertisedPort,
  };
}
