/** Takes HEP3 apart, by the table of the specification and not by our encoder. */

export interface HepFields {
  readonly family: number;
  readonly protocol: number;
  readonly source: string;
  readonly destination: string;
  readonly timeUs: number;
  readonly type: number;
  readonly captureId: number;
  readonly authKey: string | undefined;
  readonly correlationId: string | undefined;
  readonly payload: string;
}

/** Throws if lengths do not add up, or a chunk is there twice. */
export function decodeHep(packet: Buffer): HepFields {
  if (packet.toString('latin1', 0, 4) !== 'HEP3') throw new Error('not HEP3');
  if (packet.readUInt16BE(4) !== packet.length) throw new Error('a length that is not that of the packet');
  const chunks = new Map<number, Buffer>();
  let at = 6;
  while (at < packet.length) {
    const type = packet.readUInt16BE(at + 2);
    const length = packet.readUInt16BE(at + 4);
    if (packet.readUInt16BE(at) !== 0 || length < 6 || chunks.has(type)) throw new Error(`a bad chunk at ${at}`);
    chunks.set(type, packet.subarray(at + 6, at + length));
    at += length;
  }
  if (at !== packet.length) throw new Error('a chunk beyond the end');
  const chunk = (type: number) => {
    const value = chunks.get(type);
    if (value === undefined) throw new Error(`no chunk ${type}`);
    return value;
  };
  const [from, to] = chunks.has(3) ? [chunk(3).join('.'), chunk(4).join('.')] : [hex(chunk(5)), hex(chunk(6))];
  return {
    family: chunk(1).readUInt8(),
    protocol: chunk(2).readUInt8(),
    source: `${from}:${chunk(7).readUInt16BE()}`,
    destination: `${to}:${chunk(8).readUInt16BE()}`,
    timeUs: chunk(9).readUInt32BE() * 1e6 + chunk(10).readUInt32BE(),
    type: chunk(11).readUInt8(),
    captureId: chunk(12).readUInt32BE(),
    authKey: chunks.get(14)?.toString(),
    correlationId: chunks.get(17)?.toString('latin1'),
    payload: chunk(15).toString('latin1'),
  };
}

function hex(address: Buffer): string {
  return address.toString('hex');
}

/** Whole packets at the beginning of a stream, and what is left. */
export function splitHep(stream: Buffer): [packets: Buffer[], rest: Buffer] {
  const packets: Buffer[] = [];
  let rest = stream;
  while (rest.length >= 6 && rest.length >= rest.readUInt16BE(4)) {
    packets.push(rest.subarray(0, rest.readUInt16BE(4)));
    rest = rest.subarray(rest.readUInt16BE(4));
  }
  return [packets, rest];
}
