/** Bindings as Contact header lines: in the 200 of a registrar (RFC 3261 10.3 step 8) and in the 302 of a redirect server
 *  (8.3). Runs on the shard. Hot: once per answer, allocates nothing. */

import { type Literal, literal } from '../../base/ascii.ts';
import type { BindingView } from '../../location/bindings.ts';
import type { Outbound } from '../../sip/outbound.ts';
import { Q_ONE } from '../../sip/q-value.ts';

const CONTACT = literal('Contact: <');
const CONTACT_END = literal('>');
const EXPIRES = literal('>;expires=');
const Q = literal(';q=');
const INSTANCE = literal(';+sip.instance=');
const REG_ID = literal(';reg-id=');
const POINT = literal('0.');
const CRLF = literal('\r\n');

/** Writes a line for each binding that has not expired, from where the view stands on. Returns how many. */
export function putBindings(outbound: Outbound, view: BindingView, nowMs: number): number {
  let count = 0;
  while (view.next()) {
    if (view.remainingMs(nowMs) <= 0) continue;
    putBinding(outbound, view, nowMs);
    count++;
  }
  return count;
}

/** The line of the binding that the view stands at. */
export function putBinding(outbound: Outbound, view: BindingView, nowMs: number): void {
  outbound.put(CONTACT);
  outbound.putFrom(view.text, view.contactStart, view.contactEnd);
  outbound.put(EXPIRES);
  outbound.putDecimal(Math.ceil((view.expiresMs - nowMs) / 1000));
  putQ(outbound, view.q);
  if (view.instanceEnd > view.instanceStart) {
    outbound.put(INSTANCE);
    outbound.putFrom(view.text, view.instanceStart, view.instanceEnd);
    if (view.regId !== 0) {
      outbound.put(REG_ID);
      outbound.putDecimal(view.regId);
    }
  }
  outbound.putFrom(view.text, view.paramsStart, view.paramsEnd);
  outbound.put(CRLF);
}

/** A line for a contact of the configuration. */
export function putFixedContact(outbound: Outbound, { uri, q }: { readonly uri: Literal; readonly q: number }): void {
  outbound.put(CONTACT);
  outbound.put(uri);
  outbound.put(CONTACT_END);
  putQ(outbound, q);
  outbound.put(CRLF);
}

/** ;q=0.5 for 500, ;q=0.025 for 25, ;q=0 for 0, and nothing for 1000. */
function putQ(outbound: Outbound, q: number): void {
  if (q === Q_ONE) return;
  outbound.put(Q);
  if (q === 0) {
    outbound.putDecimal(0);
    return;
  }
  outbound.put(POINT);
  if (q < 100) outbound.putDecimal(0);
  if (q < 10) outbound.putDecimal(0);
  let rest = q;
  while (rest % 10 === 0) rest /= 10;
  outbound.putDecimal(rest);
}
