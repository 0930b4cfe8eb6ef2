/** Who may have requests sent to foreign places through the stateful proxy: trusted sources, and the parties of a dialog that
 *  our Record-Route keeps on this way (RFC 3261 16.4, 16.12). */

import { describe, expect, it } from 'vitest';
import { request, startLineOf, statusOf } from '../messages.ts';
import { STRANGER } from '../virtual-network.ts';
import { openProxy } from './call.ts';

const FOREIGN = 'sip:bob@198.51.100.9:5070';
const OURS = '<sip:192.0.2.254:5060;lr>';
const WITHIN = { method: 'BYE', uri: FOREIGN, to: '<sip:bob@biloxi.example>;tag=1', cseq: '2 BYE' };

describe('a source that is not trusted', () => {
  it('has requests within a dialog forwarded along our Record-Route', () => {
    const [bye] = openProxy().receive(request({ ...WITHIN, route: [OURS] }), STRANGER);
    expect(startLineOf(bye!.text)).toBe(`BYE ${FOREIGN} SIP/2.0`);
    expect(bye!.to).toEqual({ address: '198.51.100.9', port: 5070 });
  });

  it('has the ACK to a 2xx forwarded', () => {
    const ack = { ...WITHIN, method: 'ACK', cseq: '1 ACK', route: [OURS] };
    expect(
      openProxy()
        .receive(request(ack), STRANGER)
        .map(({ text }) => startLineOf(text)),
    ).toEqual([`ACK ${FOREIGN} SIP/2.0`]);
  });

  it('gets 403 without our Route, and for what begins a dialog with it', () => {
    const refused = [{ ...WITHIN }, { uri: FOREIGN, route: [OURS] }, { ...WITHIN, route: ['<sip:198.51.100.10;lr>'] }];
    for (const parts of refused) {
      expect(statusOf(openProxy().receive(request(parts), STRANGER)[0]!.text)).toBe(403);
    }
  });

  it('gets 403 where no Record-Route of ours is there to follow', () => {
    for (const options of [{ mode: 'stateless' as const }, { settings: { recordRoute: [] } }]) {
      expect(statusOf(openProxy(options).receive(request({ ...WITHIN, route: [OURS] }), STRANGER)[0]!.text)).toBe(403);
    }
  });
});
