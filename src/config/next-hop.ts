/** URIs of the configuration that requests are sent to: next hops, and the contacts of users (RFC 3261 19.1.1). Cold. */

import { HOST_KIND, parseUri, SCHEME, TRANSPORT, transportAskedBy, UriView } from '../sip/uri.ts';

const MAX_URI_BYTES = 512;
// A SharedArrayBuffer like everywhere else, so that parseUri only ever meets one kind of array.
const bytes = new Uint8Array(new SharedArrayBuffer(MAX_URI_BYTES));
const view = new UriView();

/** null when `text` can serve as a next hop, else a sentence that says why not. */
export function nextHopProblem(text: string): string | null {
  return uriProblem(text, 'a next hop');
}

/** null when `text` can serve as a contact, which becomes a Request-URI: no headers and no method in it (RFC 3261
 *  19.1.1, table 1). Else a sentence that says why not. */
export function contactProblem(text: string): string | null {
  const problem = uriProblem(text, 'a contact');
  if (problem !== null) return problem;
  return view.methodStart >= 0 ? `${JSON.stringify(text)}: a contact cannot carry a method parameter` : null;
}

/** null when `text` can stand in a Service-Route, else a sentence that says why not (RFC 3608 5: with lr). */
export function serviceRouteProblem(text: string): string | null {
  const problem = uriProblem(text, 'a service route');
  if (problem !== null) return problem;
  return view.isLoose ? null : `${JSON.stringify(text)}: a service route needs ;lr`;
}

/** null when `text` can be the peer of a server that drains, else a sentence that says why not. */
export function peerProblem(text: string): string | null {
  const problem = uriProblem(text, 'a peer');
  if (problem !== null) return problem;
  return view.paramsStart >= 0 ? `${JSON.stringify(text)}: a peer is a host and a port, without parameters` : null;
}

function uriProblem(text: string, noun: string): string | null {
  const shown = JSON.stringify(text);
  const encoded = new TextEncoder().encode(text);
  if (encoded.length > MAX_URI_BYTES) return `a URI longer than ${MAX_URI_BYTES} bytes`;
  bytes.set(encoded);
  if (parseUri(bytes, 0, encoded.length, view) < 0) {
    return /^sips?:/i.test(text)
      ? `${shown} is not a valid SIP URI`
      : `${shown} is not a SIP URI; write sip:HOST or sip:HOST:PORT`;
  }
  if (view.scheme > SCHEME.SIPS) return `${shown} is not a SIP URI`;
  if (transportAskedBy(view) > TRANSPORT.TLS) {
    return `${shown}: only udp, tcp and tls are there; use one of them, or leave the transport parameter out`;
  }
  if (view.headersStart >= 0) return `${shown}: ${noun} cannot carry headers (?…)`;
  if (view.hostKind === HOST_KIND.NAME && /^[\d.]+$/.test(text.slice(view.hostStart, view.hostEnd))) {
    return `${shown} has a broken IPv4 address`;
  }
  return null;
}
