/** Takes secrets out of a message before anybody sees it. Cold, pure.
 *
 *  Works on Latin-1, a character for a byte, and puts an asterisk for each, so that lengths stay true. Masked are
 *  - what digest credentials prove themselves by (RFC 7616 3.4, 3.5): `response`, `cnonce`, `rspauth`, `auts`: with them a
 *    password can be guessed at leisure. Of other schemes (Basic, Bearer) all of the credentials;
 *  - passwords in URIs (RFC 3261 19.1.1);
 *  - keys of media in SDP: `a=crypto` (RFC 4568), `k=` (RFC 8866 5.12), `a=key-mgmt` (RFC 4567), `a=ice-pwd` (RFC 8839). A body
 *    that is encoded, so that its keys cannot be seen, is masked as a whole;
 *  - headers that the configuration names.
 *  A message that was cut short is masked as far as it is there. */

const CREDENTIALS = new Set([
  'authorization',
  'proxy-authorization',
  'authentication-info',
  'proxy-authentication-info',
]);
/** Name, colon and white space; then the value, folds included. */
const HEADER_LINE = /^([A-Za-z0-9.!%*_+`'~-]+)([ \t]*:[ \t]*)((?:.|\r?\n[ \t])*)/gm;
const DIGEST_SECRETS = /\b((?:response|cnonce|rspauth|auts)\s*=\s*"?)([^",\s]+)/gi;
const SCHEME = /^(\w+\s+)([\s\S]+)$/;
/** Bounded: without an end each `sip:` of a long line would look through all of it. */
const URI_PASSWORD = /(\bsips?:[^\s@:<>";]{1,256}:)([^\s@<>";]{1,256})(?=@)/gi;
const CONTENT_ENCODING = /^(?:content-encoding|e)[ \t]*:[ \t]*(?!identity\b)\S/im;
const SDP_KEYS: readonly RegExp[] = [
  /^(k=[^:\s]{1,32}:)([^\r\n]+)/gim,
  /^(a=key-mgmt:\s*\S+\s+)([^\r\n]+)/gim,
  /^(a=ice-pwd:)([^\r\n]+)/gim,
];
const CRYPTO_LINE = /^a=crypto:[^\r\n]+/gim;
const INLINE_KEY = /(inline:)([^|;\s]+)/gi;
/** A crypto attribute whose key is of no method that is known: the method's name, then all. */
const OTHER_KEY = /^(a=crypto:\S+\s+\S+\s+)(?!inline:)([^\r\n]+)/gim;

/** In every message that has something to mask, and in few others: most messages are done with after one look. */
const MAY_HAVE_SECRETS =
  /^(?:proxy-)?auth|^k=|^a=(?:crypto|key-mgmt|ice-pwd)|^(?:content-encoding|e)[ \t]*:|\bsips?:[^\s@:<>";]{1,256}:[^\s@<>";]{1,256}@/im;

/** The message without its secrets, as long as it was. `headers`: names of further ones, in lower case. */
export function maskSecrets(message: string, headers: ReadonlySet<string>): string {
  if (headers.size === 0 && !MAY_HAVE_SECRETS.test(message)) return message;
  const blank = /\r?\n\r?\n/.exec(message);
  const headersEnd = blank === null ? message.length : blank.index + blank[0].length;
  const head = message.slice(0, headersEnd);
  return maskHead(head, headers) + maskBody(message.slice(headersEnd), CONTENT_ENCODING.test(head));
}

function maskHead(head: string, headers: ReadonlySet<string>): string {
  return head
    .replace(HEADER_LINE, (line, name: string, colon: string, value: string) => {
      const key = name.toLowerCase();
      if (headers.has(key)) return name + colon + stars(value);
      return CREDENTIALS.has(key) ? name + colon + maskCredentials(value, key) : line;
    })
    .replace(URI_PASSWORD, starSecond);
}

function maskCredentials(value: string, header: string): string {
  const [, scheme, rest] = SCHEME.exec(value) ?? [];
  const isDigest = header.endsWith('-info') || scheme?.trim().toLowerCase() === 'digest';
  if (isDigest) return value.replace(DIGEST_SECRETS, starSecond);
  return scheme === undefined ? stars(value) : scheme + stars(rest!);
}

function maskBody(body: string, isEncoded: boolean): string {
  if (isEncoded) return stars(body);
  let masked = body;
  for (const key of SDP_KEYS) masked = masked.replace(key, starSecond);
  return masked
    .replace(OTHER_KEY, starSecond)
    .replace(CRYPTO_LINE, (line) => line.replace(INLINE_KEY, starSecond))
    .replace(URI_PASSWORD, starSecond);
}

function starSecond(_: string, kept: string, secret: string): string {
  return kept + stars(secret);
}

/** White space stays, so that lines and folds do. */
function stars(text: string): string {
  return text.replace(/\S/g, '*');
}
