/** Texts drawn from the grammar of RFC 3261 25.1, for property tests: print, parse, compare the parts. */

import fc from 'fast-check';

const ALPHANUM = 'abcXYZ0189';
const MARK = "-_.!~*'()";

const charactersOf = (characters: string): fc.Arbitrary<string> => fc.constantFrom(...characters);
const escaped = fc.nat(255).map((byte) => `%${byte.toString(16).padStart(2, '0')}`);

export const token = fc.string({ unit: charactersOf(`${ALPHANUM}-.!%*_+\`'~`), minLength: 1, maxLength: 8 });
export const method = fc.oneof(fc.constantFrom('INVITE', 'ACK', 'REGISTER'), token);

/** White space that must be there, and such that need not. */
export const lws = fc.constantFrom(' ', '\t', '  \t ', '\r\n ', ' \r\n\t', '\r\n \r\n ');
export const sws = fc.oneof({ weight: 3, arbitrary: fc.constant('') }, lws);

const quotedUnit = fc.constantFrom(
  'a',
  'B',
  ' ',
  ';',
  ',',
  '<',
  '>',
  '=',
  '\\"',
  '\\\\',
  '\\\u0000',
  '\\\u007f',
  'é',
  '語',
  '\r\n ',
);
export const quotedString = fc.string({ unit: quotedUnit, maxLength: 8 }).map((text) => `"${text}"`);

const domainlabel = fc.constantFrom('a', 'example', 'x-1', '3com', '0', 'a--b', 'host_1');
const toplabel = fc.constantFrom('com', 'a', 'x1', 'C-3');
const hostname = fc
  .tuple(fc.array(domainlabel, { maxLength: 3 }), toplabel, fc.constantFrom('', '.'))
  .map(([labels, top, dot]) => [...labels, top].join('.') + dot);
const ipv4 = fc.ipV4();
export const ipv6 = fc.ipV6();
export const host = fc.oneof(
  hostname,
  ipv4,
  ipv6.map((address) => `[${address}]`),
);
export const address = fc.oneof(ipv4, ipv6);
export const port = fc.integer({ min: 1, max: 65_535 });

const withEscapes = (characters: string, minLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.oneof({ weight: 6, arbitrary: charactersOf(characters) }, escaped), minLength, maxLength: 10 });

export const user = withEscapes(`${ALPHANUM}${MARK}&=+$,;?/`, 1);
export const password = withEscapes(`${ALPHANUM}${MARK}&=+$,`, 0);
/** Names that no parameter of ours has. */
const pname = withEscapes(`${ALPHANUM}${MARK}[]/:&+$`, 1).map((name) => `x${name}`);
const pvalue = withEscapes(`${ALPHANUM}${MARK}[]/:&+$`, 1);
const uriParam = fc
  .tuple(pname, fc.option(pvalue))
  .map(([name, value]) => (value === null ? `;${name}` : `;${name}=${value}`));
const otherUriParams = fc.array(uriParam, { maxLength: 3 }).map((all) => all.join(''));
const hname = withEscapes(`${ALPHANUM}${MARK}[]/?:+$`, 1);
const hvalue = withEscapes(`${ALPHANUM}${MARK}[]/?:+$`, 0);
const uriHeaders = fc
  .array(fc.tuple(hname, hvalue), { minLength: 1, maxLength: 3 })
  .map((all) => all.map(([name, value]) => `${name}=${value}`).join('&'));

export interface UriParts {
  scheme: string;
  user: string | undefined;
  password: string | undefined;
  host: string;
  port: number | undefined;
  params: string | undefined;
  headers: string | undefined;
}

export const uriParts: fc.Arbitrary<UriParts> = fc
  .record({
    scheme: fc.constantFrom('sip', 'sips', 'SIP', 'sIpS'),
    user: fc.option(user, { nil: undefined }),
    password: fc.option(password, { nil: undefined }),
    host,
    port: fc.option(port, { nil: undefined }),
    params: otherUriParams.map((params) => (params === '' ? undefined : params)),
    headers: fc.option(uriHeaders, { nil: undefined }),
  })
  .map((parts) => (parts.user === undefined ? { ...parts, password: undefined } : parts));

export function printUri(parts: UriParts): string {
  const userinfo =
    parts.user === undefined ? '' : `${parts.user}${parts.password === undefined ? '' : `:${parts.password}`}@`;
  const portText = parts.port === undefined ? '' : `:${parts.port}`;
  const headers = parts.headers === undefined ? '' : `?${parts.headers}`;
  return `${parts.scheme}:${userinfo}${parts.host}${portText}${parts.params ?? ''}${headers}`;
}

export const uri = uriParts.map(printUri);

/** A parameter of a header field that is none of ours, with white space where it may stand. */
export const headerParam = fc
  .tuple(
    sws,
    sws,
    token,
    fc.option(
      fc.tuple(
        sws,
        sws,
        fc.oneof(
          token,
          host.filter((text) => text.startsWith('[')),
          quotedString,
        ),
      ),
    ),
  )
  .map(
    ([before, after, name, value]) =>
      `${before};${after}x${name}${value === null ? '' : `${value[0]}=${value[1]}${value[2]}`}`,
  );
