/** The control methods of the location table. Main thread, cold.
 *
 *  ```
 *  → {"jsonrpc":"2.0","id":1,"method":"location.list","params":{"limit":100,"domain":"example.org"}}
 *  ← {"jsonrpc":"2.0","id":1,"result":{"bindings":[…],"cursor":4711}}
 *  → {"jsonrpc":"2.0","id":2,"method":"location.list","params":{"limit":100,"domain":"example.org","cursor":4711}}
 *  ``` */

import { z } from 'zod';
import { method } from './method.ts';

/** Bindings of one answer. */
const MAX_PAGE = 1000;
const DEFAULT_PAGE = 250;
const DEFAULT_EXPIRES_SEC = 3600;
const MAX_EXPIRES_SEC = 0xffff_ffff;
/** Longer ones do not fit into a binding record with others, and hardly into a datagram. */
const MAX_URI_CHARS = 2048;

const uri = z.string().min(1).max(MAX_URI_CHARS);
const aor = uri.describe('address-of-record, with or without `sip:`');
const cursor = z.int().min(0).default(0).describe('where to go on, from the answer before');
const domain = z.string().min(1).max(MAX_URI_CHARS).optional().describe('users of this domain only');
const BINDING =
  '`aor`, `contact`, `expiresSec`, `q`, `received` (HOST:PORT that the REGISTER came from, or null) and `userAgent`';

export const locationMethods = {
  'location.list': method({
    help: 'Say who is registered, and where, a part at a time',
    params: z.strictObject({
      cursor,
      limit: z.int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE).describe('so many bindings at the most, or a few more'),
      domain,
    }),
    result: `\`bindings\`: a list, each with ${BINDING}; \`cursor\`: where the next part begins, null: this was the last`,
    run: ({ location }, params) => location.list(params),
  }),
  'location.count': method({
    help: 'Say how many are registered, by domain, a part at a time',
    params: z.strictObject({ cursor, domain }),
    result:
      '`domains`: a list of `domain`, `aors` and `bindings`, to be summed up over all parts; `cursor` as in `location.list`',
    run: ({ location }, params) => location.count(params),
  }),
  'location.show': method({
    help: 'Give all that is known of the bindings of one user',
    params: z.strictObject({ aor }),
    result: `\`aor\` and \`bindings\`: each with ${BINDING}, and Call-ID, CSeq, Path, instance and more`,
    run: ({ location }, params) => location.show(params.aor),
  }),
  'location.add': method({
    help: 'Bind a contact to a user by hand',
    params: z.strictObject({
      aor,
      contact: uri.describe('a SIP or tel URI; an equal one of the same user is replaced'),
      expiresSec: z.int().min(1).max(MAX_EXPIRES_SEC).default(DEFAULT_EXPIRES_SEC).describe('how long it lasts'),
      q: z.number().min(0).max(1).default(1).describe('its preference'),
    }),
    result: '`aor`, `contact` and `isNew`',
    isChange: true,
    run: ({ location }, params) => location.add(params),
  }),
  'location.remove': method({
    help: 'Remove one binding of a user, or all',
    params: z.strictObject({ aor, contact: uri.optional().describe('without it, all bindings go') }),
    result: '`aor` and `removed`, how many',
    isChange: true,
    run: ({ location }, params) => location.remove(params),
  }),
};
