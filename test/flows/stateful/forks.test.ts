/** Target sets worked off: serial forks by q (RFC 3261 16.6), recursion on 3xx (16.7 step 4), Max-Breadth (RFC 5393 5). */

import { describe, expect, it } from 'vitest';
import { fieldsOf, uriOf } from '../messages.ts';
import { BOB, CHICAGO, PROXY } from '../virtual-network.ts';
import { brief, CAROL, Call, type Contact, DAVE, EVE, forkTo, responseOf, timeline, uriAt } from './call.ts';

const ALL = [BOB, CAROL, DAVE, EVE];
const serially = (...contacts: readonly Contact[]) => new Call({ settings: forkTo(...contacts) });
const end = (call: Call, status: number) => call.acknowledge(responseOf(call.sent, status));

describe('16.6, one q after the other', () => {
  it('tries the next when the one before has failed', () => {
    const call = serially({ at: BOB, q: 0.2 }, { at: CAROL, q: 0.9 }, { at: DAVE, q: 0.5 });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Carol']);
    expect(brief(call.reply(CAROL, '486 Busy Here'))).toEqual(['ACK to Carol', 'INVITE to Dave']);
    expect(brief(call.reply(DAVE, '480 Temporarily Unavailable'))).toEqual(['ACK to Dave', 'INVITE to Bob']);
    expect(brief(call.reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('those of one q together, and the next when all of those have failed', () => {
    const call = serially({ at: BOB, q: 1 }, { at: CAROL, q: 1 }, { at: DAVE, q: 0.5 });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Bob', 'INVITE to Carol']);
    expect(brief(call.reply(CAROL, '486 Busy Here'))).toEqual(['ACK to Carol']);
    expect(brief(call.reply(BOB, '486 Busy Here'))).toEqual(['ACK to Bob', 'INVITE to Dave']);
    call.reply(DAVE, '486 Busy Here');
    end(call, 486);
  });

  it('nothing after a 2xx or 6xx', () => {
    expect(brief(serially(BOB, { at: CAROL, q: 0.5 }).reply(BOB, '200 OK'))).toEqual(['200 to Alice']);
    const declined = serially(BOB, { at: CAROL, q: 0.5 });
    expect(brief(declined.reply(BOB, '603 Decline'))).toEqual(['603 to Alice', 'ACK to Bob']);
    end(declined, 603);
  });

  it('nothing else in place of a failed one after a 6xx (RFC 3263 4.3)', () => {
    const call = new Call({
      element: { hosts: { 'two.example': ['192.0.2.31', '192.0.2.32'] } },
      settings: {
        domains: [
          { name: 'biloxi.example', users: [{ user: 'bob', contacts: [uriAt(BOB), 'sip:bob@two.example:5080'] }] },
        ],
      },
    });
    const other = call.sent.at(-1)!.to.address === CAROL.address ? CAROL : DAVE;
    call.reply(BOB, '603 Decline');
    const sent = brief(call.reply(other, '503 Service Unavailable'));
    expect(sent).toHaveLength(2);
    expect(sent).toContain('603 to Alice');
    end(call, 603);
  });

  it('after a timeout', () => {
    const call = serially(BOB, { at: CAROL, q: 0.5 });
    expect(timeline(call.advance(32_100)).at(-1)).toBe('32 INVITE to Carol');
    call.reply(CAROL, '200 OK');
  });

  it('after Timer C, once what rang has ended', () => {
    const call = serially(BOB, { at: CAROL, q: 0.5 });
    call.reply(BOB, '180 Ringing');
    expect(brief(call.advance(185_200))).toEqual(['CANCEL to Bob']);
    call.reply(BOB, '200 OK', 'CANCEL');
    expect(brief(call.reply(BOB, '487 Request Terminated', 'INVITE'))).toEqual(['ACK to Bob', 'INVITE to Carol']);
    call.reply(CAROL, '200 OK');
  });

  it('the best of all of them goes back at the end', () => {
    const call = serially(BOB, { at: CAROL, q: 0.5 }, { at: DAVE, q: 0.1 });
    call.reply(BOB, '415 Unsupported Media Type');
    call.reply(CAROL, '486 Busy Here');
    call.reply(DAVE, '500 Server Internal Error');
    end(call, 415);
  });

  it('works for other methods, too', () => {
    const call = new Call({ settings: forkTo(BOB, { at: CAROL, q: 0.5 }), request: { method: 'MESSAGE' } });
    expect(brief(call.reply(BOB, '404 Not Found'))).toEqual(['MESSAGE to Carol']);
    expect(brief(call.reply(CAROL, '202 Accepted'))).toEqual(['202 to Alice']);
  });

  it('not to more places than there are after a CANCEL', () => {
    const call = serially(BOB, { at: CAROL, q: 0.5 });
    call.reply(BOB, '180 Ringing');
    expect(brief(call.cancel())).toEqual(['200 to Alice', 'CANCEL to Bob']);
    call.reply(BOB, '200 OK', 'CANCEL');
    expect(brief(call.reply(BOB, '487 Request Terminated', 'INVITE'))).toEqual(['487 to Alice', 'ACK to Bob']);
    end(call, 487);
  });

  it('a late 200 from the first place still goes back while the second rings', () => {
    const call = serially(BOB, { at: CAROL, q: 0.5 });
    call.reply(BOB, '180 Ringing');
    call.advance(185_200);
    call.reply(BOB, '200 OK', 'CANCEL');
    call.reply(BOB, '487 Request Terminated', 'INVITE');
    call.reply(CAROL, '180 Ringing');
    expect(brief(call.reply(CAROL, '200 OK'))).toEqual(['200 to Alice']);
  });
});

describe('16.10, a CANCEL amid a fork', () => {
  it('of a place that has said nothing: the next is not tried when it times out', () => {
    const call = serially(BOB, { at: CAROL, q: 0.5 });
    call.cancel();
    const sent = timeline(call.advance(32_100));
    expect(sent.filter((line) => line.endsWith('Carol'))).toEqual([]);
    expect(sent.at(-1)).toMatch(/^32 (487|408) to Alice$/);
    call.acknowledge(call.sent.at(-1)!);
  });

  it('ends those that wait for breadth', () => {
    const call = new Call({ settings: forkTo(BOB, CAROL), request: { headers: ['Max-Breadth: 1'] } });
    call.reply(BOB, '180 Ringing');
    expect(brief(call.cancel())).toEqual(['200 to Alice', 'CANCEL to Bob']);
    call.reply(BOB, '200 OK', 'CANCEL');
    expect(brief(call.reply(BOB, '487 Request Terminated', 'INVITE'))).toEqual(['487 to Alice', 'ACK to Bob']);
    end(call, 487);
  });

  it('with one branch done: the best of what there is', () => {
    const call = serially(BOB, CAROL);
    call.reply(BOB, '486 Busy Here');
    call.reply(CAROL, '180 Ringing');
    expect(brief(call.cancel())).toEqual(['200 to Alice', 'CANCEL to Carol']);
    const sent = brief(call.reply(CAROL, '487 Request Terminated', 'INVITE'));
    expect(sent).toHaveLength(2);
    expect(sent.some((line) => /^48[67] to Alice$/.test(line))).toBe(true);
    call.acknowledge(call.sent.find(({ text }) => /^SIP\/2.0 48[67]/.test(text))!);
  });
});

describe('16.8, Timer C in a fork', () => {
  it('is of each branch: the others ring on', () => {
    const call = serially(BOB, CAROL);
    call.reply(BOB, '180 Ringing');
    call.advance(25_000);
    call.reply(CAROL, '180 Ringing');
    expect(brief(call.advance(160_300))).toEqual(['CANCEL to Bob']);
    call.reply(BOB, '200 OK', 'CANCEL');
    expect(brief(call.reply(BOB, '487 Request Terminated', 'INVITE'))).toEqual(['ACK to Bob']);
    expect(brief(call.reply(CAROL, '200 OK'))).toEqual(['200 to Alice']);
  });
});

describe('16.6, contacts that lead nowhere', () => {
  const users = (...contacts: readonly string[]) => ({
    domains: [{ name: 'biloxi.example', users: [{ user: 'bob', contacts }] }],
  });

  it('leave those that do not', () => {
    const call = new Call({
      settings: users('sip:bob@unknown.invalid', uriAt(CAROL)),
    });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Carol']);
    expect(brief(call.reply(CAROL, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('all of them: an error goes back', () => {
    const call = new Call({ settings: users('sip:bob@unknown.invalid', 'sip:bob@other.invalid') });
    const finals = call.first.filter(({ text }) => !text.startsWith('SIP/2.0 100'));
    expect(brief(finals)).toHaveLength(1);
    call.acknowledge(finals[0]!);
  });

  it('are passed over for the next q at once', () => {
    const call = new Call({
      settings: {
        domains: [
          {
            name: 'biloxi.example',
            users: [{ user: 'bob', contacts: ['sip:bob@unknown.invalid', { uri: uriAt(CAROL), q: 0.1 }] }],
          },
        ],
      },
    });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Carol']);
    call.reply(CAROL, '200 OK');
  });
});

describe('16.7 step 4, a 3xx that is passed', () => {
  it('goes back as it came', () => {
    const call = new Call();
    const headers = ['Contact: <sip:carol@chicago.example>;q=0.5'];
    const final = responseOf(call.reply(BOB, '302 Moved Temporarily', 'INVITE', { headers }), 302);
    expect(fieldsOf(final.text, 'Contact')).toContain('<sip:carol@chicago.example>;q=0.5');
    call.acknowledge(final);
  });
});

describe('16.7 step 4, a 3xx that is followed', () => {
  const recursing = (...contacts: readonly Contact[]) =>
    new Call({ settings: { redirects: 'recurse', ...(contacts.length === 0 ? {} : forkTo(...contacts)) } });
  // The UAS of these tests puts a Contact of its own first: client.biloxi.example, which nobody can resolve.
  const moved = (call: Call, from: typeof BOB, ...contacts: readonly string[]) => {
    const headers = contacts.map((contact) => `Contact: ${contact}`);
    return call.reply(from, '302 Moved Temporarily', undefined, { headers, ownContact: null });
  };

  it('goes to its contacts, highest q first', () => {
    const call = recursing();
    const sent = moved(call, BOB, `<${uriAt(DAVE)}>;q=0.3, <${uriAt(CAROL)}>;q=0.7`, `<${uriAt(EVE)}>;q=0.5`);
    expect(brief(sent)).toEqual(['ACK to Bob', 'INVITE to Carol']);
    expect(uriOf(call.reached(CAROL).text)).toBe(uriAt(CAROL));
    expect(brief(call.reply(CAROL, '486 Busy Here'))).toEqual(['ACK to Carol', 'INVITE to Eve']);
    expect(brief(call.reply(EVE, '486 Busy Here'))).toEqual(['ACK to Eve', 'INVITE to Dave']);
    expect(brief(call.reply(DAVE, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('to those of equal q at once', () => {
    const call = recursing();
    expect(brief(moved(call, BOB, `<${uriAt(CAROL)}>, <${uriAt(DAVE)}>;q=1.0`))).toEqual([
      'ACK to Bob',
      'INVITE to Carol',
      'INVITE to Dave',
    ]);
    call.reply(CAROL, '200 OK');
  });

  it('adds them to what is left to try, in the order of q', () => {
    const call = recursing(BOB, { at: DAVE, q: 0.5 });
    expect(brief(moved(call, BOB, `<${uriAt(CAROL)}>;q=0.7`, `<${uriAt(EVE)}>;q=0.2`))).toEqual([
      'ACK to Bob',
      'INVITE to Carol',
    ]);
    expect(brief(call.reply(CAROL, '486 Busy Here'))).toContain('INVITE to Dave');
    expect(brief(call.reply(DAVE, '486 Busy Here'))).toContain('INVITE to Eve');
    call.reply(EVE, '200 OK');
  });

  it('tries no URI twice: not the Request-URI, not a known contact, not an equal one (19.1.4)', () => {
    const call = recursing(BOB, { at: CAROL, q: 0.5 });
    const sent = moved(
      call,
      BOB,
      '<sip:bob@BILOXI.example>',
      `<${uriAt(BOB)}>`,
      `<${uriAt(CAROL)}>`,
      '<sip:%62ob@192.0.2.31:5080>;q=0.9',
      'sip:bob@192.0.2.32:5080',
      '<SIP:bob@192.0.2.32:5080>',
    );
    expect(brief(sent)).toEqual(['ACK to Bob', 'INVITE to Dave']);
    expect(brief(call.reply(DAVE, '486 Busy Here'))).toEqual(['ACK to Dave', 'INVITE to Carol']);
    expect(brief(moved(call, CAROL, `<${uriAt(DAVE)}>`))).toContain('ACK to Carol');
    expect(call.sent.filter(({ text }) => text.startsWith('INVITE '))).toHaveLength(3);
    const final = call.sent.at(-1)!;
    call.acknowledge(final);
  });

  it('two places that name each other do not go on for ever', () => {
    const call = recursing();
    moved(call, BOB, `<${uriAt(CAROL)}>`);
    moved(call, CAROL, `<${uriAt(DAVE)}>`);
    moved(call, DAVE, `<${uriAt(CAROL)}>`, `<${uriAt(BOB)}>`);
    moved(call, BOB, `<${uriAt(CAROL)}>`, `<${uriAt(DAVE)}>`, `<${uriAt(BOB)}>`);
    end(call, 302);
    expect(call.sent.filter(({ text }) => text.startsWith('INVITE '))).toHaveLength(4);
  });

  it('a 3xx without a contact that can be tried goes back, or a better answer does', () => {
    const call = recursing();
    moved(call, BOB, '<mailto:bob@biloxi.example>, <tel:+1-555-0100>');
    end(call, 302);
  });

  it('what cannot be tried of one that is followed goes back, without what was (MUST remove)', () => {
    const call = recursing(BOB, { at: EVE, q: 0.1 });
    const mail = '"B, <x>" <mailto:bob@biloxi.example>;q=0.1';
    moved(
      call,
      BOB,
      `<${uriAt(CAROL)}>;q=0.7, <tel:+1-555-0100> , <${uriAt(DAVE)}>`,
      `<${uriAt(EVE)}>`,
      mail,
      `<${uriAt(BOB)}>, <sips:bob@biloxi.example>`,
    );
    for (const one of [DAVE, CAROL, EVE]) call.reply(one, '486 Busy Here');
    const final = responseOf(call.sent, 302);
    expect(fieldsOf(final.text, 'Contact')).toEqual(['<tel:+1-555-0100>', mail, '<sips:bob@biloxi.example>']);
    expect(fieldsOf(final.text, 'Content-Length')).toEqual(['0']);
    end(call, 302);
  });

  it('what is left is nothing where one of the contacts answers', () => {
    const call = recursing();
    moved(call, BOB, `<${uriAt(CAROL)}>, <tel:+1-555-0100>`);
    expect(brief(call.reply(CAROL, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('of several each leaves what it has, and the first that is left goes back', () => {
    const call = recursing();
    moved(call, BOB, `<${uriAt(CAROL)}>, <mailto:first@biloxi.example>`);
    moved(call, CAROL, `<${uriAt(DAVE)}>, <mailto:second@biloxi.example>`);
    call.reply(DAVE, '404 Not Found');
    expect(fieldsOf(responseOf(call.sent, 302).text, 'Contact')).toEqual(['<mailto:first@biloxi.example>']);
    end(call, 302);
  });

  it('one that leads nowhere leaves what came from its contacts', () => {
    const call = recursing();
    moved(call, BOB, `<${uriAt(CAROL)}>`);
    call.reply(CAROL, '404 Not Found');
    end(call, 404);
  });

  it.each([
    ['a method', `<${uriAt(CAROL)};method=MESSAGE>`, uriAt(CAROL)],
    ['headers', `<${uriAt(CAROL)}?Subject=hi&Route=%3Csip:evil.example%3E>`, uriAt(CAROL)],
    ['both, amid others', `<${uriAt(CAROL)};a=b;method=BYE;lr?X=y>;q=0.4`, `${uriAt(CAROL)};a=b;lr`],
  ])('%s of a contact is not in the Request-URI (16.6 step 2)', (_, contact, uri) => {
    const call = recursing();
    moved(call, BOB, contact);
    const invite = call.reached(CAROL).text;
    expect(uriOf(invite)).toBe(uri);
    expect(invite.startsWith('INVITE ')).toBe(true);
    expect(fieldsOf(invite, 'Route')).toEqual([]);
    expect(fieldsOf(invite, 'Subject')).toEqual([]);
    call.reply(CAROL, '200 OK');
  });

  it('a maddr of a contact says where to, and stays in the Request-URI', () => {
    const call = recursing();
    moved(call, BOB, '<sip:bob@chicago.example:5080;maddr=192.0.2.31>');
    const invite = call.reached(CAROL).text;
    expect(uriOf(invite)).toBe('sip:bob@chicago.example:5080;maddr=192.0.2.31');
    call.reply(CAROL, '200 OK');
  });

  it('names are looked up', () => {
    const call = recursing();
    expect(brief(moved(call, BOB, '<sip:bob@chicago.example>'))).toEqual([
      'ACK to Bob',
      `INVITE to ${CHICAGO.address}:${CHICAGO.port}`,
    ]);
    call.reply(CHICAGO, '200 OK');
  });

  it('305 and 380 are not followed', () => {
    for (const status of ['305 Use Proxy', '380 Alternative Service']) {
      const call = recursing();
      call.reply(BOB, status, undefined, { headers: [`Contact: <${uriAt(CAROL)}>`], ownContact: null });
      end(call, Number.parseInt(status, 10));
    }
  });

  it('contacts that cannot be reached leave those that can', () => {
    const call = recursing();
    const sent = moved(
      call,
      BOB,
      '<sip:x@unknown.invalid>',
      '<sip:x@192.0.2.32:5080;transport=tcp>',
      `<${uriAt(CAROL)}>`,
    );
    expect(brief(sent)).toEqual(['ACK to Bob', 'INVITE to Carol']);
    call.reply(CAROL, '200 OK');
  });

  it('contacts none of which can be reached: an error goes back', () => {
    const call = recursing();
    const sent = moved(call, BOB, '<sip:x@unknown.invalid>', '<sip:x@192.0.2.32:5080;transport=tcp>');
    const finals = sent.filter(({ text }) => text.startsWith('SIP/2.0 '));
    expect(finals).toHaveLength(1);
    call.acknowledge(finals[0]!);
  });

  it('a contact that is this proxy itself, for a user of ours, is no way to loop', () => {
    const call = recursing();
    const sent = moved(call, BOB, '<sip:bob@192.0.2.254>');
    expect(sent.filter(({ text }) => text.startsWith('INVITE ')).length).toBeLessThanOrEqual(1);
  });

  it('contacts in a 3xx to a branch of a fork join while the others ring', () => {
    const call = recursing(BOB, CAROL);
    call.reply(CAROL, '180 Ringing');
    expect(brief(moved(call, BOB, `<${uriAt(DAVE)}>;q=0.2`))).toEqual(['ACK to Bob']);
    expect(brief(call.reply(CAROL, '486 Busy Here'))).toEqual(['ACK to Carol', 'INVITE to Dave']);
    call.reply(DAVE, '200 OK');
  });

  it('a broken list of contacts does no harm', () => {
    for (const list of [
      '*',
      '<sip:',
      '"',
      '<>',
      ',,,',
      `<${uriAt(CAROL)}`,
      'sip:;q=',
      `<${uriAt(CAROL)}>;q=2,<${uriAt(DAVE)}>;q=x`,
    ]) {
      const call = recursing();
      moved(call, BOB, list);
      for (const one of call.sent.filter(({ text }) => /^SIP\/2.0 [3-6]/.test(text))) call.acknowledge(one);
    }
  });

  it('a flood of contacts is bounded', () => {
    const call = recursing();
    const contacts = Array.from({ length: 200 }, (_, i) => `<sip:u${i}@10.0.${i >> 8}.${i & 255}>`);
    const sent = moved(call, BOB, contacts.join(', '));
    const invites = sent.filter(({ text }) => text.startsWith('INVITE '));
    expect(invites.length).toBeGreaterThan(1);
    expect(invites.length).toBeLessThanOrEqual(60);
  });

  it.each([
    ['of another domain', uriAt(BOB), []],
    ['of another domain by way of our Route', uriAt(BOB), [`<sip:${PROXY.address}:${PROXY.port};lr>`]],
    ['of ours whose maddr is elsewhere', `sip:bob@biloxi.example:${BOB.port};maddr=${BOB.address}`, []],
  ])('not for a Request-URI %s (16.5)', (_, uri, route) => {
    const call = new Call({ settings: { redirects: 'recurse' }, request: { uri, route } });
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Bob']);
    const sent = moved(call, BOB, `<${uriAt(CAROL)}>`);
    expect(brief(sent)).toEqual(['302 to Alice', 'ACK to Bob']);
    expect(fieldsOf(responseOf(sent, 302).text, 'Contact')).toEqual([`<${uriAt(CAROL)}>`]);
    end(call, 302);
  });

  it('for a telephone number, which goes where we say', () => {
    const call = new Call({ settings: { redirects: 'recurse' }, request: { uri: 'tel:+15550100' } });
    expect(brief(moved(call, BOB, `<${uriAt(CAROL)}>`))).toEqual(['ACK to Bob', 'INVITE to Carol']);
    call.reply(CAROL, '200 OK');
  });

  it('works for other methods, too', () => {
    const call = new Call({ settings: { redirects: 'recurse' }, request: { method: 'OPTIONS' } });
    expect(brief(moved(call, BOB, `<${uriAt(CAROL)}>`))).toEqual(['OPTIONS to Carol']);
    expect(brief(call.reply(CAROL, '200 OK'))).toEqual(['200 to Alice']);
  });

  it('not after a 6xx', () => {
    const call = recursing(BOB, CAROL);
    call.reply(BOB, '603 Decline');
    expect(brief(moved(call, CAROL, `<${uriAt(DAVE)}>`))).toEqual(['603 to Alice', 'ACK to Carol']);
    end(call, 603);
  });

  it('not after a CANCEL', () => {
    const call = recursing();
    call.reply(BOB, '180 Ringing');
    call.cancel();
    call.reply(BOB, '200 OK', 'CANCEL');
    const sent = brief(
      call.reply(BOB, '302 Moved', 'INVITE', { headers: [`Contact: <${uriAt(CAROL)}>`], ownContact: null }),
    );
    expect(sent).not.toContain('INVITE to Carol');
    call.acknowledge(call.sent.at(-1)!);
  });
});

describe('RFC 5393 5.3.3, Max-Breadth', () => {
  const breadths = (call: Call) =>
    call.sent
      .filter(({ text }) => /^(INVITE|OPTIONS) /.test(text))
      .map(({ text }) => fieldsOf(text, 'Max-Breadth').map(Number));
  const withBreadth = (value: number | string, ...contacts: readonly Contact[]) =>
    new Call({ settings: forkTo(...contacts), request: { headers: [`Max-Breadth: ${value}`] } });

  it('is shared out among the branches of a fork', () => {
    const call = new Call({ settings: forkTo(...ALL) });
    const shares = breadths(call).flat();
    expect(shares).toHaveLength(4);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBe(60);
    expect(Math.min(...shares)).toBeGreaterThan(0);
  });

  it.each([4, 5, 7, 60])('of %i never adds up to more', (whole) => {
    const call = withBreadth(whole, ...ALL);
    const shares = breadths(call).flat();
    expect(shares).toHaveLength(4);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeLessThanOrEqual(whole);
    expect(Math.min(...shares)).toBeGreaterThan(0);
  });

  it('too small for all branches at once has the rest wait for those before (5.3.3.1, 5.5)', () => {
    const call = withBreadth(2, ...ALL);
    expect(brief(call.first)).toEqual(['100 to Alice', 'INVITE to Bob', 'INVITE to Carol']);
    expect(brief(call.reply(CAROL, '486 Busy Here'))).toEqual(['ACK to Carol', 'INVITE to Dave']);
    expect(brief(call.reply(BOB, '486 Busy Here'))).toEqual(['ACK to Bob', 'INVITE to Eve']);
    expect(breadths(call)).toEqual([[1], [1], [1], [1]]);
    call.reply(DAVE, '404 Not Found');
    call.reply(EVE, '404 Not Found');
    call.acknowledge(call.sent.at(-1)!);
  });

  it('of 1 forks serially, or not at all with 440', () => {
    const call = withBreadth(1, BOB, CAROL);
    const first = brief(call.first);
    if (first.includes('440 to Alice')) {
      end(call, 440);
      return;
    }
    expect(first).toEqual(['100 to Alice', 'INVITE to Bob']);
    expect(brief(call.reply(BOB, '486 Busy Here'))).toEqual(['ACK to Bob', 'INVITE to Carol']);
    call.reply(CAROL, '200 OK');
  });

  it('comes back for the next q', () => {
    const call = withBreadth(6, BOB, CAROL, { at: DAVE, q: 0.5 });
    expect(breadths(call)).toEqual([[3], [3]]);
    call.reply(BOB, '486 Busy Here');
    call.reply(CAROL, '486 Busy Here');
    expect(breadths(call).at(-1)).toEqual([6]);
    call.reply(DAVE, '200 OK');
  });

  it('comes back after a timeout and a transport error', () => {
    const call = withBreadth(1, BOB, CAROL);
    expect(brief(call.advance(32_100))).toContain('INVITE to Carol');
    call.reply(CAROL, '200 OK');
  });

  it('of 0 is not forwarded', () => {
    const call = withBreadth(0, BOB, CAROL);
    expect(call.first).toHaveLength(1);
    call.acknowledge(call.first[0]!);
  });

  it('above our maximum is brought down before it is shared', () => {
    const shares = breadths(withBreadth(1000, BOB, CAROL)).flat();
    expect(shares.reduce((sum, share) => sum + share, 0)).toBe(60);
  });

  it('follows the settings', () => {
    const call = new Call({ settings: { ...forkTo(BOB, CAROL, DAVE), maxBreadth: 9 } });
    expect(breadths(call)).toEqual([[3], [3], [3]]);
  });

  it('is there also where a share is all that there is', () => {
    const call = new Call({ settings: { ...forkTo(BOB, CAROL), maxBreadth: 1 } });
    expect(breadths(call)).toEqual([[1]]);
    call.reply(BOB, '200 OK');
  });

  it('is one, also where one came', () => {
    for (const one of breadths(withBreadth('10', BOB, CAROL))) expect(one).toHaveLength(1);
  });

  it('is not counted twice when a branch says 2xx twice', () => {
    const call = withBreadth(2, BOB, CAROL);
    call.reply(BOB, '200 OK');
    call.reply(BOB, '200 OK');
    expect(brief(call.reply(CAROL, '180 Ringing'))).toEqual(['CANCEL to Carol']);
  });

  it('is kept by a failover to the next address', () => {
    const hosts = { 'two.example': ['192.0.2.31', '192.0.2.32'] };
    const call = new Call({
      element: { hosts },
      settings: {
        domains: [
          { name: 'biloxi.example', users: [{ user: 'bob', contacts: [uriAt(BOB), 'sip:bob@two.example:5080'] }] },
        ],
      },
    });
    expect(breadths(call)).toEqual([[30], [30]]);
    const to = call.sent.at(-1)!.to.address === CAROL.address ? CAROL : DAVE;
    call.reply(to, '503 Service Unavailable');
    expect(breadths(call).at(-1)![0]).toBeLessThanOrEqual(30);
    call.reply(BOB, '200 OK');
  });
});
