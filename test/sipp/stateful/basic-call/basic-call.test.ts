/** A call with Record-Route (RFC 3261 16.6 step 4, 16.12), ended by the caller or by the callee: both follow the route set. */

import { afterAll, describe, expect, it } from 'vitest';
import { endServers } from '../../../process/server-process.ts';
import { endLoadGenerators, figuresOfUas, runUac, startUas } from '../../load-generator.ts';
import {
  countersOnceIdle,
  expectBothShardsServed,
  HARMLESS,
  type StatefulOptions,
  startStateful,
} from '../stateful-server.ts';

afterAll(async () => {
  await endLoadGenerators();
  await endServers();
});

const CALLS = 50;

describe('a call', () => {
  it.concurrent.each([
    ['the caller', './uac.xml', './uas.xml'],
    ['the callee', './waiting-uac.xml', './hanging-up-uas.xml'],
    ['the caller', './uac.xml', './uas.xml', { shards: 1, sets: { 'dispatcher.thread': 'shard' } }],
  ])(
    'that %s ends crosses the proxy with every message, by the route set',
    async (_, calling, called, options: StatefulOptions = {}) => {
      const proxy = await startStateful(options);
      const uas = await startUas({ retransmits: false, scenario: new URL(called, import.meta.url) });
      const target = `127.0.0.1:${uas.port}`;
      const scenario = new URL(calling, import.meta.url);
      const figures = await runUac({ retransmits: false, scenario, target, by: proxy.by, calls: CALLS, perSec: 100 });
      expect(figures).toMatchObject({ successful: CALLS, failed: 0 });
      expect(await figuresOfUas(uas, CALLS)).toMatchObject({ incoming: CALLS, failed: 0 });
      expect(await countersOnceIdle(proxy)).toMatchObject({
        ...HARMLESS,
        // INVITE, ACK, BYE; 180, 200, 200. The ACK to a 2xx has no transaction.
        requests_forwarded_total: CALLS * 3,
        responses_forwarded_total: CALLS * 3,
        server_transactions_total: CALLS * 2,
        client_transactions_total: CALLS * 2,
        requests_answered_total: 0,
        timeouts_total: 0,
      });
      if (options.shards !== 1) await expectBothShardsServed(proxy);
    },
  );
});
