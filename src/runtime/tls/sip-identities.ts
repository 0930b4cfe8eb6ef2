/** Whom a certificate is for, as SIP understands it (RFC 5922 7.1, 7.2). Cold: once per TLS connection. */

import { isIPv6 } from 'node:net';
import { canonicalHost } from '../../config/listen-point.ts';

/** What is read of an X509Certificate. */
export interface CertificateNames {
  /** As Node has it: `DNS:a.example, URI:sip:a.example, IP Address:192.0.2.1`; undefined: there is none. */
  readonly subjectAltName: string | undefined;
  /** Lines such as `CN=a.example`. */
  readonly subject: string | undefined;
}

interface AltName {
  readonly type: string;
  readonly value: string;
}

/** Names whose characters could be mistaken for the list's own are written as JSON strings. */
const ALT_NAME = /([A-Za-z][A-Za-z ]*):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g;
const SIP_URI = /^sip:([^@;?]+)(?:[;?].*)?$/i;

function altNamesOf(text: string): AltName[] {
  return [...text.matchAll(ALT_NAME)].map(([, type, value]) => ({ type: type!, value: unquoted(value!) }));
}

function unquoted(value: string): string {
  if (!value.startsWith('"')) return value;
  try {
    return String(JSON.parse(value));
  } catch {
    return ''; // no name that anything could be compared with
  }
}

/** The SIP domain identities: of URIs with the scheme sip and no user; only if there are none, DNS names; only without any
 *  subjectAltName the common name. In small letters, in the order of the certificate. */
export function sipIdentities({ subjectAltName, subject }: CertificateNames): string[] {
  if (subjectAltName === undefined) {
    const name = /(?:^|\n)CN=([^\n]+)/.exec(subject ?? '')?.[1];
    return name === undefined ? [] : [name.toLowerCase()];
  }
  const names = altNamesOf(subjectAltName);
  const uris = names.flatMap(({ type, value }) => {
    const hostPort = type === 'URI' ? SIP_URI.exec(value)?.[1] : undefined;
    return hostPort === undefined ? [] : [hostPort.replace(/:\d+$/, '').toLowerCase()];
  });
  if (uris.length > 0) return uris;
  return names.flatMap(({ type, value }) => (type === 'DNS' ? [value.toLowerCase()] : []));
}

/** Whether a certificate is for a domain. Section 7.2: names match in their entirety, and wildcards never do.
 *
 *  Departs from RFC 5922 7.1: an IP address is looked for among the addresses of the certificate, since a next hop that is
 *  configured by its address has no other name. */
export function isFor(names: CertificateNames, host: string): boolean {
  const bare = host
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')
    .toLowerCase();
  if (!isIPv6(bare) && !/^\d+\.\d+\.\d+\.\d+$/.test(bare)) return sipIdentities(names).includes(bare);
  const wanted = canonicalHost(bare);
  return altNamesOf(names.subjectAltName ?? '').some(
    ({ type, value }) => type === 'IP Address' && canonicalHost(value.toLowerCase()) === wanted,
  );
}
