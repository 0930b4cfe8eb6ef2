/** A second opinion about a message: split at CRLF, join folds, cut at the first colon. Written from RFC 3261 section 7 in
 *  strings, without a look at src/sip, so that tests and the fuzzer do not ask the parser whether the parser is right.
 *  Text is Latin-1: one character per octet. Only for messages that are well-formed. */

export interface NaiveHeader {
  /** Long form in small letters for the names a proxy reads, else the name in small letters. */
  readonly name: string;
  /** The whole line with folds and its CRLF. */
  readonly line: string;
  /** Where the line begins in the text. */
  readonly lineStart: number;
  /** Without the white space around it; folds inside are kept. */
  readonly value: string;
  readonly valueStart: number;
}

export interface NaiveMessage {
  /** Without its CRLF. */
  readonly startLine: string;
  readonly start: number;
  readonly headers: readonly NaiveHeader[];
  /** Everything behind the empty line, or '' if there is none. */
  readonly rest: string;
}

const LONG_FORMS: Readonly<Record<string, string>> = {
  v: 'via',
  f: 'from',
  t: 'to',
  i: 'call-id',
  l: 'content-length',
  m: 'contact',
};
const BLANK = ' \t\r\n';

export function readNaively(text: string): NaiveMessage {
  let start = 0;
  while (text[start] === '\r' || text[start] === '\n') start++;
  let at = lineEndOf(text, start);
  const startLine = text.slice(start, at - 2);
  const headers: NaiveHeader[] = [];
  while (at < text.length && !text.startsWith('\r\n', at)) {
    let end = lineEndOf(text, at);
    while (text[end] === ' ' || text[end] === '\t') end = lineEndOf(text, end);
    headers.push(headerOf(text, at, end));
    at = end;
  }
  return { startLine, start, headers, rest: text.slice(at + 2) };
}

/** The first header of a name in its long form, small letters. */
export function naiveHeader(message: NaiveMessage, name: string): NaiveHeader | undefined {
  return message.headers.find((header) => header.name === name);
}

/** What a message without its Content-Length's excess is. */
export function naiveBody(message: NaiveMessage): string {
  const length = naiveHeader(message, 'content-length');
  return length === undefined ? message.rest : message.rest.slice(0, Number(length.value));
}

/** Items of a comma list, commas in quotes and angle brackets aside. */
export function splitList(value: string): string[] {
  const items: string[] = [];
  let from = 0;
  let isQuoted = false;
  let isBracketed = false;
  for (let i = 0; i < value.length; i++) {
    const c = value[i];
    if (isQuoted) {
      if (c === '\\') i++;
      else if (c === '"') isQuoted = false;
    } else if (c === '"') isQuoted = true;
    else if (c === '<') isBracketed = true;
    else if (c === '>') isBracketed = false;
    else if (c === ',' && !isBracketed) {
      items.push(value.slice(from, i));
      from = i + 1;
    }
  }
  items.push(value.slice(from));
  return items;
}

function headerOf(text: string, start: number, end: number): NaiveHeader {
  const line = text.slice(start, end);
  const colon = line.indexOf(':');
  const name = line.slice(0, colon).trimEnd().toLowerCase();
  let valueStart = colon + 1;
  let valueEnd = line.length;
  while (valueEnd > valueStart && BLANK.includes(line[valueEnd - 1]!)) valueEnd--;
  while (valueStart < valueEnd && BLANK.includes(line[valueStart]!)) valueStart++;
  return {
    name: LONG_FORMS[name] ?? name,
    line,
    lineStart: start,
    value: line.slice(valueStart, valueEnd),
    valueStart: start + valueStart,
  };
}

/** One past the CRLF of the line at `at`, or the end of the text. */
function lineEndOf(text: string, at: number): number {
  const end = text.indexOf('\r\n', at);
  return end === -1 ? text.length : end + 2;
}
