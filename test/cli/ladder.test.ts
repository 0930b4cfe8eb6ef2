/** The ladder, as it looks. */

import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Ladder, type LadderLook } from '../../src/cli/ladder.ts';
import type { TracedMessage } from '../../src/runtime/trace/traced-message.ts';

const LOOK: LadderLook = { width: 80, hasColours: false, hasUnicode: true };
const ALICE = '192.0.2.10:5060';
const BOB = '192.0.2.30:5080';
/** Local midnight: the ladder shows the time of the day. */
const START_US = new Date(2025, 10, 24).getTime() * 1000;

function message(
  direction: 'in' | 'out',
  peer: string,
  firstLine: string,
  more: Partial<TracedMessage> = {},
): TracedMessage {
  const status = /^SIP\/2\.0 (\d+)/.exec(firstLine)?.[1];
  return {
    id: '0-0',
    timeUs: START_US + 1234,
    direction,
    transport: 'udp',
    peer,
    local: '192.0.2.254:5060',
    method: status === undefined ? firstLine.split(' ')[0]! : 'INVITE',
    status: status === undefined ? null : Number(status),
    cseq: 1,
    callId: 'a@b',
    from: 'alice@example.org',
    to: 'bob@example.org',
    firstLine,
    bytes: 0,
    isCut: false,
    error: null,
    text: '',
    base64: null,
    ...more,
  };
}

const INVITE = 'INVITE sip:bob@example.org SIP/2.0';
const CALL = [
  message('in', ALICE, INVITE, { text: 'Via: x;branch=1\r\nContent-Type: application/sdp' }),
  message('out', BOB, INVITE, { text: 'Via: x;branch=2' }),
  message('in', BOB, 'SIP/2.0 180 Ringing'),
  message('out', ALICE, 'SIP/2.0 180 Ringing'),
  message('in', BOB, 'SIP/2.0 200 OK', { method: 'BYE', cseq: 2 }),
];

function linesOf(ladder: Ladder, messages: readonly TracedMessage[]): string[] {
  return ladder.render(messages).split('\n');
}

describe('a ladder', () => {
  it('has the caller on the left, the server in the middle, and the called on the right', () => {
    expect(linesOf(new Ladder(LOOK), CALL)).toEqual(
      [
        '',
        '                   192.0.2.10:5060     strowger      192.0.2.30:5080',
        '                                   192.0.2.254:5060',
        '#1  alice@example.org → bob@example.org  Call-ID a@b',
        '00:00:00.001234           │── INVITE (SDP) ──▶│                    │',
        '00:00:00.001234           │                    │───── INVITE ──────▶│',
        '00:00:00.001234           │                    │◀── 180 Ringing ────│',
        '00:00:00.001234           │◀── 180 Ringing ────│                    │',
        '00:00:00.001234           │                    │◀── 200 OK (BYE) ───│',
      ].map((line) => expect.stringMatching(sameButForLengths(line))),
    );
  });

  it('marks what comes again, and what was not sent', () => {
    const again = { text: 'Via: x;branch=2' };
    const ladder = new Ladder(LOOK);
    const lines = linesOf(ladder, [
      message('out', BOB, INVITE, again),
      message('out', BOB, INVITE, again),
      message('out', BOB, INVITE, { text: 'Via: x;branch=3', error: 'ECONNREFUSED' }),
    ]).slice(-3);
    expect(lines[0]).not.toContain('↻');
    expect(lines[1]).toContain('INVITE ↻');
    expect(lines[2]).toMatch(/INVITE ! ECON/);
  });

  it('adds lanes when they are needed, and says so once', () => {
    const ladder = new Ladder({ ...LOOK, width: 140 });
    linesOf(ladder, CALL);
    expect(linesOf(ladder, [CALL[0]!])).toHaveLength(1);
    const lines = linesOf(ladder, [message('out', '192.0.2.31:5080', INVITE, { text: 'branch=9' })]);
    expect(lines).toHaveLength(4);
    expect(lines[1]).toMatch(/10:5060 +strowger +192.0.2.30:5080 +192.0.2.31:5080$/);
  });

  it('has one lane for all others where there is no room', () => {
    const ladder = new Ladder(LOOK);
    const peers = ['10.0.0.1:5060', '10.0.0.2:5060', '10.0.0.3:5060', '10.0.0.4:5060'];
    const lines = linesOf(
      ladder,
      peers.map((peer) => message('out', peer, 'BYE sip:x SIP/2.0')),
    );
    expect(lines[1]).toMatch(/strowger +10.0.0.1:5060 +10.0.0.2:5060 +others$/);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it('tells calls apart where there are several', () => {
    const other = { callId: 'other', from: 'carol@example.org' };
    const lines = linesOf(new Ladder(LOOK), [CALL[0]!, message('in', ALICE, INVITE, other), CALL[3]!]);
    expect(lines.filter((line) => line.startsWith('#'))).toEqual([
      '#1  alice@example.org → bob@example.org  Call-ID a@b',
      '#2  carol@example.org → bob@example.org  Call-ID other',
    ]);
    expect(lines.at(-1)).toContain('#1 180 Ringing');
  });

  it('keeps the port of an address that is too long', () => {
    const [, titles] = linesOf(new Ladder(LOOK), [
      message('in', '[2001:db8:1111:2222:3333:4444:5555:6666]:5060', INVITE),
    ]);
    expect(titles).toMatch(/…\S*:5555:6666\]:5060 +strowger/);
  });

  it('lets nothing speak to the terminal', () => {
    const evil = message('in', ALICE, 'SIP/2.0 200 \u001b[2J\u202e', { callId: '\u001b]0;x\u0007', from: null });
    expect(new Ladder(LOOK).render([evil])).not.toMatch(/[\p{Cf}]|(?!\n)\p{Cc}/u);
  });

  it('has colours where they are wanted, and no others', () => {
    const coloured = new Ladder({ ...LOOK, hasColours: true }).render(CALL);
    expect(coloured).toContain('\u001b[');
    expect(stripVTControlCharacters(coloured)).toBe(new Ladder(LOOK).render(CALL));
  });

  it('can do with ASCII', () => {
    const text = new Ladder({ ...LOOK, hasUnicode: false }).render(CALL);
    expect(text).toMatch(/^[\n -~]*$/);
    expect(text).toMatch(/\|-+ INVITE -+>\|/);
  });
});

/** Spaces and strokes in any number, everything in its order. */
function sameButForLengths(line: string): RegExp {
  const escaped = line.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replace(/ {2,}/g, ' +').replace(/─+/g, '─+')}$`);
}
