/** What a flow must know of the way its messages take. */

export type Transport = 'udp' | 'tcp';
export const TRANSPORTS: readonly Transport[] = ['udp', 'tcp'];

export interface Way {
  readonly transport: Transport;
  /** Of the UAC to the server, and of the server to the UAS; of UDP 1. */
  readonly connections: number;
  readonly clientPort: number;
  readonly agentPort: number;
  readonly serverPort: number;
  /** Servers that leave Via and, where the flow asks for it, Record-Route: 1, or 0 for the bare relay. */
  readonly hops: 0 | 1;
  /** Whether a request may come twice: a stateful server sends it again while nothing came back. */
  readonly isStateful: boolean;
}

/** A server opens one connection to one address, so of TCP the UAS has an address for each: 127.0.0.10 and those that follow. */
export const FIRST_AGENT = 10;
export const MAX_CONNECTIONS = 90;
/** Stand-in for the last number of the address that an exchange has its UAS at. */
export const AGENT = '\ue004'.repeat(2);

/** The UAS of an exchange, as the end of a SIP URI. */
export function agentPlace(way: Way): string {
  return place(way, way.agentPort, AGENT);
}

/** The UAS that all users are registered with. */
export function contactPlace(way: Way): string {
  return place(way, way.agentPort, `${FIRST_AGENT}`);
}

/** The UAC. */
export function clientPlace(way: Way): string {
  return place(way, way.clientPort, '1');
}

function place({ transport }: Way, port: number, ofTcp: string): string {
  return transport === 'udp' ? `127.0.0.1:${port}` : `127.0.0.${ofTcp}:${port};transport=tcp`;
}

/** What the Via of the server begins with. */
export function serverVia({ transport, serverPort }: Way): string {
  return `SIP/2.0/${transport.toUpperCase()} 127.0.0.1:${serverPort};branch=z9hG4bK`;
}

/** What its Record-Route begins with. */
export function serverRoute({ transport, serverPort }: Way): string {
  return `<sip:127.0.0.1:${serverPort};${transport === 'udp' ? '' : 'transport=tcp;'}lr`;
}

/** Users user0000000 … of DOMAIN, all with one password. */
export interface Users {
  readonly count: number;
  readonly password: string;
}

export const DOMAIN = 'perf.test';
export const PASSWORD = 'secret';
/** Digits of a user's number. */
export const USER_DIGITS = 7;
export const MAX_USERS = 2_000_000;
