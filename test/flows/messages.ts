/** The texts that flow tests send and the questions they ask of what comes out. Text is Latin-1: a character per octet. */

export interface RequestParts {
  readonly method?: string;
  readonly uri?: string;
  readonly version?: string;
  /** One Via line per value; null for none. */
  readonly via?: string | readonly string[] | null;
  readonly maxForwards?: string | number | null;
  /** One Route line per value. */
  readonly route?: readonly string[];
  readonly from?: string | null;
  readonly to?: string | null;
  readonly callId?: string | null;
  /** With the method: "1 INVITE". */
  readonly cseq?: string | null;
  /** Further header lines, before Content-Length. */
  readonly headers?: readonly string[];
  readonly body?: string;
  readonly contentLength?: string | number | null;
}

/** Alice's Via as she sends it from 192.0.2.10:5060. */
export const ALICE_VIA = 'SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK74bf9';

/** A request as in RFC 3665: Alice calls Bob. Null leaves a header field out. */
export function request(parts: RequestParts = {}): string {
  const { method = 'INVITE', uri = 'sip:bob@biloxi.example', version = 'SIP/2.0', body = '' } = parts;
  const {
    via = ALICE_VIA,
    maxForwards = 70,
    from = 'Alice <sip:alice@atlanta.example>;tag=9fxced76sl',
    to = 'Bob <sip:bob@biloxi.example>',
    callId = '2xTb9vxSit55XU7p8@atlanta.example',
    cseq = `1 ${method}`,
    contentLength = body.length,
  } = parts;
  const vias = via === null ? [] : typeof via === 'string' ? [via] : via;
  return (
    message(`${method} ${uri} ${version}`, [
      ...vias.map((value) => `Via: ${value}`),
      ...(maxForwards === null ? [] : [`Max-Forwards: ${maxForwards}`]),
      ...(parts.route ?? []).map((value) => `Route: ${value}`),
      ...(from === null ? [] : [`From: ${from}`]),
      ...(to === null ? [] : [`To: ${to}`]),
      ...(callId === null ? [] : [`Call-ID: ${callId}`]),
      ...(cseq === null ? [] : [`CSeq: ${cseq}`]),
      ...(parts.headers ?? []),
      ...(contentLength === null ? [] : [`Content-Length: ${contentLength}`]),
    ]) + body
  );
}

/** A start line and header lines, closed by the empty line. */
export function message(startLine: string, lines: readonly string[]): string {
  return `${[startLine, ...lines].join('\r\n')}\r\n\r\n`;
}

/** What the UAS sends back for a request that reached it. */
export function replyTo(requestText: string, status = '200 OK', body = ''): string {
  const copied = linesOf(requestText).filter((line) => /^(via|v|from|f|call-id|i|cseq)\s*:/i.test(line));
  const to = fieldsOf(requestText, 'To')[0]!;
  return (
    message(`SIP/2.0 ${status}`, [
      ...copied,
      `To: ${/;tag=/.test(to) ? to : `${to};tag=314159`}`,
      'Contact: <sip:bob@client.biloxi.example>',
      `Content-Length: ${body.length}`,
    ]) + body
  );
}

const COMPACT: Readonly<Record<string, string>> = {
  via: 'v',
  from: 'f',
  to: 't',
  'call-id': 'i',
  'content-length': 'l',
  contact: 'm',
  supported: 'k',
  'content-type': 'c',
};

export function startLineOf(text: string): string {
  return text.slice(0, text.indexOf('\r\n'));
}

/** Status code of a response, 0 for a request. */
export function statusOf(text: string): number {
  return Number(/^SIP\/2\.0 (\d{3}) /.exec(text)?.[1] ?? 0);
}

export function uriOf(text: string): string {
  return startLineOf(text).split(' ')[1]!;
}

/** The unfolded header lines. */
export function linesOf(text: string): string[] {
  const header = text.slice(0, text.indexOf('\r\n\r\n'));
  return header
    .replace(/\r\n[ \t]+/g, ' ')
    .split('\r\n')
    .slice(1);
}

/** The values of every header line of that name, long or compact, in order; comma lists are not taken apart. */
export function fieldsOf(text: string, name: string): string[] {
  const wanted = name.toLowerCase();
  return linesOf(text).flatMap((line) => {
    const [, field, value] = /^([^:\s]+)\s*:\s*(.*)$/.exec(line) ?? [];
    const key = field?.toLowerCase();
    return key === wanted || (key !== undefined && key === COMPACT[wanted]) ? [value!.trimEnd()] : [];
  });
}

/** The list items of every header line of that name (the values here have no comma inside quotes). */
export function valuesOf(text: string, name: string): string[] {
  return fieldsOf(text, name).flatMap((field) => field.split(',').map((value) => value.trim()));
}

/** The branch of a message's n-th Via. */
export function branchOf(text: string, index = 0): string {
  return parameterOf(valuesOf(text, 'Via')[index]!, 'branch')!;
}

/** A parameter of a Via value; undefined if absent, '' if without a value. */
export function parameterOf(via: string, name: string): string | undefined {
  for (const parameter of via.split(';').slice(1)) {
    const [key, value] = parameter.split('=');
    if (key!.trim().toLowerCase() === name) return (value ?? '').trim();
  }
  return undefined;
}

/** The tag of a To or From value. */
export function tagOf(value: string): string | undefined {
  return /;\s*tag\s*=\s*([^;\s]+)\s*$/.exec(value)?.[1];
}

/** The message without its first Via line: what a proxy received, but for its edits. */
export function withoutTopViaLine(text: string): string {
  return text.replace(/\r\n(?:via|v)[ \t]*:[^\r\n]*(?:\r\n[ \t][^\r\n]*)*/i, '');
}

/** A forwarded request without our Via line and, if `received` came without one, without our Max-Breadth line right behind
 *  it (RFC 5393 5.3.3): what came, but for the other edits. */
export function withoutOurLines(sent: string, received: string): string {
  const hadBreadth = fieldsOf(received, 'Max-Breadth').length > 0;
  const ours = hadBreadth || startLineOf(sent).startsWith('CANCEL ') ? '' : '\r\nMax-Breadth: 60';
  const via = /\r\n(?:via|v)[ \t]*:[^\r\n]*/i.exec(sent)!;
  const end = via.index + via[0].length;
  // Left in place where it is not what it should be, so that a comparison shows it.
  return sent.slice(0, via.index) + sent.slice(sent.startsWith(ours, end) ? end + ours.length : end);
}

export function bodyOf(text: string): string {
  return text.slice(text.indexOf('\r\n\r\n') + 4);
}
