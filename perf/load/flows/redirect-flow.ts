/** INVITE to a registered user, 302 with his contact, ACK. Done once the ACK is on its way. Hot. */

import { AnsweredFlow } from '../answered-flow.ts';
import { sameBytes } from '../byte-compare.ts';
import { type FlowParts, MAX_FORWARDS, message, ownVia } from '../flow.ts';
import { clientPlace, contactPlace, DOMAIN, type Way } from '../flow-settings.ts';
import { LINE } from '../header-lines.ts';
import { Histogram } from '../histogram.ts';
import type { RandomUsers } from '../random-users.ts';
import { GENERATION, INDEX, USER } from '../stamped-texts.ts';

/** The ACK stands around the To of the 302; CONTACT is what the 302 must have. */
const TEXT = { INVITE: 0, ACK: 1, ACK_END: 2, CONTACT: 3 } as const;
const COMMA = 0x2c;

export class RedirectFlow extends AnsweredFlow {
  readonly mainDelay = 'sessionRequest';
  readonly #delay = new Histogram();
  readonly delays = new Map([['sessionRequest', this.#delay] as const]);
  readonly #users: RandomUsers;

  constructor(parts: FlowParts, users: RandomUsers) {
    super(parts, textsOf(parts.way), 0);
    this.#users = users;
  }

  protected override begin(index: number): void {
    this.texts.stampUser(index, this.#users.next());
    this.client.begin(index);
    this.client.add(this.texts.start(index, TEXT.INVITE), this.texts.lengths[TEXT.INVITE]!);
  }

  protected override answered(index: number, status: number, start: number, end: number, nowUs: number): void {
    if (status === 100) return;
    if (status >= 300) this.#acknowledge(index);
    if (status !== 302) this.rejectAnswer(start, end, null);
    else if (!this.#hasContact(index)) this.rejectAnswer(start, end, 'contact');
    else {
      this.recordMain(index, this.#delay, nowUs);
      this.succeed(index);
    }
  }

  /** Just the one contact that was registered, perhaps with parameters. */
  #hasContact(index: number): boolean {
    const { lines } = this.answers;
    const start = lines.starts[LINE.CONTACT]!;
    const end = lines.ends[LINE.CONTACT]!;
    const length = this.texts.lengths[TEXT.CONTACT]!;
    if (lines.counts[LINE.CONTACT] !== 1 || end - start < length) return false;
    if (!sameBytes(this.view, start, this.texts.start(index, TEXT.CONTACT), length)) return false;
    for (let at = start + length; at < end; at++) if (this.bytes[at] === COMMA) return false;
    return true;
  }

  /** RFC 3261 17.1.1.3: with the To of the response. */
  #acknowledge(index: number): void {
    const { lines } = this.answers;
    this.client.begin(index);
    this.client.add(this.texts.start(index, TEXT.ACK), this.texts.lengths[TEXT.ACK]!);
    this.client.add(lines.starts[LINE.TO]!, lines.ends[LINE.TO]! - lines.starts[LINE.TO]!);
    this.client.add(this.texts.start(index, TEXT.ACK_END), this.texts.lengths[TEXT.ACK_END]!);
  }
}

function textsOf(way: Way): string[] {
  const called = `sip:user${USER}@${DOMAIN}`;
  const from = `From: "Alice at Perf" <sip:alice@${DOMAIN}>;tag=a${INDEX}${GENERATION}`;
  const callId = `Call-ID: ${INDEX}${GENERATION}-5f3a9c01@127.0.0.1`;
  return [
    message([
      `INVITE ${called} SIP/2.0`,
      ownVia(way, 'i'),
      `Max-Forwards: ${MAX_FORWARDS}`,
      from,
      `To: <${called}>`,
      callId,
      'CSeq: 1 INVITE',
      `Contact: <sip:alice@${clientPlace(way)}>`,
      'User-Agent: Strowger load engine',
      'Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, REFER, MESSAGE, UPDATE',
      'Supported: replaces, timer',
    ]),
    `${[`ACK ${called} SIP/2.0`, ownVia(way, 'i'), `Max-Forwards: ${MAX_FORWARDS}`, from, ''].join('\r\n')}`,
    `${['', callId, 'CSeq: 1 ACK', 'Content-Length: 0', '', ''].join('\r\n')}`,
    `Contact: <sip:user${USER}@${contactPlace(way)}>`,
  ];
}
