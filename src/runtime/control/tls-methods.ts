/** The control methods of certificates. Main thread, cold. */

import { z } from 'zod';
import { REFUSED, RequestError } from '../request-error.ts';
import { method } from './method.ts';

export const tlsMethods = {
  'tls.list': method({
    help: 'List the certificates that this server shows, and when they expire',
    params: z.strictObject({}),
    result:
      '`certificates`: a list, each with `file`, `names`, `issuer`, `serialNumber`, `fingerprint` (SHA-256), `notBefore`, `notAfter` (ISO 8601) and `daysLeft`',
    run: ({ tls }) => ({ certificates: tls.list() }),
  }),
  'tls.reload': method({
    help: 'Read certificates and keys again, now',
    params: z.strictObject({}),
    result: '`isChanged`: whether the files were other than before',
    isChange: true,
    run: ({ tls }) => {
      const { isChanged, problem } = tls.reload();
      if (problem !== null) throw new RequestError(REFUSED, problem);
      return { isChanged };
    },
  }),
};
