/** A message of the simulation, read with plain string searches and not with the parser under test. All of them are written
 *  here or by the proxy: long header names, one space behind the colon, no folds. Text is Latin-1. */

export class Message {
  readonly text: string;
  readonly startLine: string;
  /** Header lines in their order. */
  readonly lines: readonly string[];
  readonly body: string;
  /** 0 for a request. */
  readonly status: number;
  /** The request's own, or that of the CSeq. */
  readonly method: string;
  /** '' for a response. */
  readonly uri: string;
  /** Values from the top. */
  readonly vias: readonly string[];
  readonly branch: string;
  readonly cseq: number;
  /** Number of the call in its Call-ID, −1 if it has none of ours. */
  readonly call: number;

  constructor(text: string) {
    const end = text.indexOf('\r\n\r\n');
    const lines = text.slice(0, end).split('\r\n');
    const startLine = lines.shift() ?? '';
    this.text = text;
    this.startLine = startLine;
    this.lines = lines;
    this.body = text.slice(end + 4);
    this.vias = viasOf(lines);
    this.branch = this.vias.length === 0 ? '' : branchOf(this.vias[0]!);
    const cseq = this.value('CSeq');
    const space = cseq.indexOf(' ');
    this.cseq = Number(cseq.slice(0, space));
    const isResponse = startLine.startsWith('SIP/2.0 ');
    this.status = isResponse ? Number(startLine.slice(8, 11)) : 0;
    this.method = isResponse ? cseq.slice(space + 1) : startLine.slice(0, startLine.indexOf(' '));
    this.uri = isResponse ? '' : startLine.slice(this.method.length + 1, startLine.lastIndexOf(' '));
    const callId = this.value('Call-ID');
    this.call = callId.endsWith('@sim') ? Number(callId.slice(1, callId.length - 4)) : -1;
  }

  /** Value of the first header line of that name, '' without. */
  value(name: string): string {
    for (const line of this.lines) if (isNamed(line, name)) return line.slice(name.length + 2);
    return '';
  }

  values(name: string): string[] {
    return this.lines.filter((line) => isNamed(line, name)).map((line) => line.slice(name.length + 2));
  }

  /** Tag of the To, '' without. */
  get toTag(): string {
    return tagOf(this.value('To'));
  }
}

export function isNamed(line: string, name: string): boolean {
  return line.startsWith(name) && line.startsWith(': ', name.length);
}

export function tagOf(value: string): string {
  const at = value.lastIndexOf(';tag=');
  return at === -1 ? '' : value.slice(at + 5);
}

/** The URI between angle brackets. */
export function uriIn(value: string): string {
  return value.slice(value.indexOf('<') + 1, value.indexOf('>'));
}

function viasOf(lines: readonly string[]): string[] {
  const vias: string[] = [];
  for (const line of lines) {
    if (!line.startsWith('Via: ')) continue;
    const value = line.slice(5);
    if (value.includes(', ')) vias.push(...value.split(', '));
    else vias.push(value);
  }
  return vias;
}

function branchOf(via: string): string {
  const at = via.indexOf(';branch=');
  if (at === -1) return '';
  const end = via.indexOf(';', at + 1);
  return via.slice(at + 8, end === -1 ? via.length : end);
}
