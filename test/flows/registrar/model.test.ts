/** Any sequence of REGISTERs against RFC 3261 10.3 steps 6 and 7 written down as simply as can be: a map from contacts to
 *  Call-ID, CSeq and expiry. */

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createElement } from '../virtual-network.ts';
import { answerOf, MODES, PHONE, register } from './register.ts';

/** Contacts, each in spellings that mean the same (19.1.4). */
const CONTACTS = [
  ['sip:alice@192.0.2.1', 'SIP:%61lice@192.0.2.1', 'sip:alice@192.0.2.1;x=1'],
  ['sip:alice@192.0.2.1:5060', 'sip:alice@192.0.2.1:05060'],
  ['sip:a@phone.example;transport=udp', 'sip:a@PHONE.example;Transport=UDP'],
  ['tel:+15550100', 'tel:+1-555-0100'],
  ['sips:alice@192.0.2.1'],
] as const;
const MIN_SEC = 60;
const MAX_SEC = 7200;
const MAX_CONTACTS = 3;

interface Wanted {
  readonly contact: number;
  readonly spelling: number;
  readonly expires: string | undefined;
}

interface Step {
  readonly wanted: readonly Wanted[];
  readonly isStar: boolean;
  readonly callId: string;
  readonly cseq: number;
  readonly expires: string | undefined;
  readonly afterSec: number;
  readonly isRepeated: boolean;
}

interface Binding {
  readonly uri: string;
  readonly callId: string;
  readonly cseq: number;
  readonly untilSec: number;
}

type Bindings = ReadonlyMap<number, Binding>;

const REFUSED = { star: 400, brief: 423, merged: 482, order: 500, many: 403 };
/** For so long a request is known that was carried out (8.2.2.2). */
const RECENT_SEC = 32;

const expiry = fc.option(fc.constantFrom('0', '0', '1', '59', '60', '61', '300', '3600', '9999999', 'never'), {
  nil: undefined,
});

const step: fc.Arbitrary<Step> = fc.record({
  wanted: fc.uniqueArray(fc.record({ contact: fc.nat(CONTACTS.length - 1), spelling: fc.nat(2), expires: expiry }), {
    maxLength: 4,
    selector: ({ contact }) => contact,
  }),
  isStar: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  callId: fc.constantFrom('one', 'two', 'One'),
  cseq: fc.integer({ min: 1, max: 6 }),
  expires: expiry,
  afterSec: fc.constantFrom(0, 0, 0, 1, 59, 300, 4000),
  isRepeated: fc.boolean(),
});

function spelled({ contact, spelling }: Wanted): string {
  const all = CONTACTS[contact]!;
  return all[spelling % all.length]!;
}

function secondsOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return /^\d+$/.test(text) ? Number(text) : 3600;
}

/** What the step makes of the bindings, or the statuses it may be refused with. `order`: the one for what comes late. */
function apply(before: Bindings, step: Step, nowSec: number, order: number): Bindings | number[] {
  const { wanted, isStar, callId, cseq, expires } = step;
  const isLate = (binding: Binding) => binding.callId === callId && cseq <= binding.cseq;
  if (isStar) {
    if (wanted.length > 0 || secondsOf(expires) !== 0) return [REFUSED.star];
    return [...before.values()].some(isLate) ? [order] : new Map();
  }
  const after = new Map(before);
  const refusals: number[] = [];
  for (const one of wanted) {
    const sec = secondsOf(one.expires) ?? secondsOf(expires) ?? 3600;
    if (sec > 0 && sec < MIN_SEC) refusals.push(REFUSED.brief);
    const known = before.get(one.contact);
    if (known !== undefined && isLate(known)) refusals.push(order);
    const untilSec = nowSec + Math.min(sec, MAX_SEC);
    if (sec === 0) after.delete(one.contact);
    else after.set(one.contact, { uri: spelled(one), callId, cseq, untilSec });
  }
  if (wanted.length > 0 && after.size > MAX_CONTACTS) refusals.push(REFUSED.many);
  return refusals.length > 0 ? refusals : after;
}

function listed(bindings: Bindings, nowSec: number): string[] {
  return [...bindings.values()].map(({ uri, untilSec }) => `<${uri}>;expires=${untilSec - nowSec}`).sort();
}

it.each(MODES)('10.3: what is bound is what the steps say, in mode %s', (mode) => {
  const settings = { registrar: { minExpiresSec: MIN_SEC, maxExpiresSec: MAX_SEC, maxContacts: MAX_CONTACTS } };
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 25 }), (steps) => {
      const element = createElement({ mode, domains: ['example.org'], nextHops: [], settings });
      let bindings: Bindings = new Map();
      let nowSec = 0;
      const carriedOutSec = new Map<string, number>();
      for (const one of steps) {
        element.advance(one.afterSec * 1000);
        nowSec += one.afterSec;
        bindings = new Map([...bindings].filter(([, { untilSec }]) => untilSec > nowSec));
        const contacts = one.wanted.map(
          (wanted) => `<${spelled(wanted)}>${wanted.expires === undefined ? '' : `;expires=${wanted.expires}`}`,
        );
        const text = register({
          contacts: one.isStar ? ['*', ...contacts] : contacts,
          callId: one.callId,
          cseq: one.cseq,
          ...(one.expires === undefined ? {} : { expires: one.expires }),
        });
        const sent = element.receive(text, PHONE);
        const { status, contacts: said } = answerOf(sent);
        const transaction = `${one.callId} ${one.cseq}`;
        const isMerged = nowSec - (carriedOutSec.get(transaction) ?? -RECENT_SEC) < RECENT_SEC;
        const result = apply(bindings, one, nowSec, isMerged ? REFUSED.merged : REFUSED.order);
        if (Array.isArray(result)) {
          expect(result).toContain(status);
        } else {
          if (contacts.length > 0 || one.isStar) carriedOutSec.set(transaction, nowSec);
          bindings = result as Bindings;
          expect([status, [...said].sort()]).toEqual([200, listed(bindings, nowSec)]);
        }
        if (one.isRepeated) expect(element.receive(text, PHONE)).toEqual(sent);
        const query = answerOf(element.receive(register({ callId: 'query' }), PHONE));
        expect([...query.contacts].sort()).toEqual(listed(bindings, nowSec));
      }
    }),
    { numRuns: 150 },
  );
});
