/** HEP3 as those who invented it read it: hep-js of the sipcapture project, which Homer's own programs use. It knows IPv4 only. */

import { createRequire } from 'node:module';

export interface HomerFields {
  readonly rcinfo: {
    /** 2: IPv4. */
    readonly protocolFamily: number;
    /** 17: UDP, 6: TCP. */
    readonly protocol: number;
    readonly srcIp: string;
    readonly srcPort: number;
    readonly dstIp: string;
    readonly dstPort: number;
    readonly timeSeconds: number;
    readonly timeUseconds: number;
    /** 1: SIP. */
    readonly payloadType: number;
    readonly captureId: number;
    /** The auth key. */
    readonly capturePass?: string;
    readonly correlation_id?: string;
  };
  readonly payload: string;
}

const { decapsulate } = createRequire(import.meta.url)('hep-js') as {
  decapsulate(packet: Buffer): HomerFields | false;
};

/** Throws if it is nothing that Homer reads. */
export function decodeAsHomer(packet: Buffer): HomerFields {
  const fields = decapsulate(packet);
  if (fields === false) throw new Error(`hep-js cannot read ${packet.toString('hex', 0, 32)}…`);
  return fields;
}

/** The packets of a stream, by the lengths that they say themselves. Throws if something is left. */
export function decodeStreamAsHomer(stream: Buffer): HomerFields[] {
  const packets: HomerFields[] = [];
  for (let at = 0; at < stream.length; ) {
    const length = stream.length - at < 6 ? 0 : stream.readUInt16BE(at + 4);
    if (length < 6 || at + length > stream.length) throw new Error(`${stream.length - at} bytes are left`);
    packets.push(decodeAsHomer(stream.subarray(at, at + length)));
    at += length;
  }
  return packets;
}
