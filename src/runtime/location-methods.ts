/** The control methods of the location table (control.ts): what their parameters are. Main thread, cold.
 *
 *  ```
 *  → {"jsonrpc":"2.0","id":1,"method":"location.list","params":{"limit":100,"domain":"example.org"}}
 *  ← {"jsonrpc":"2.0","id":1,"result":{"bindings":[…],"cursor":4711}}
 *  → {"jsonrpc":"2.0","id":2,"method":"location.list","params":{"limit":100,"domain":"example.org","cursor":4711}}
 *  ``` */

import { z } from 'zod';
import { INVALID_PARAMS, RequestError } from './request-error.ts';
import type { LocationOperations } from './running-server.ts';

/** Bindings of one answer. */
const MAX_PAGE = 1000;
const DEFAULT_PAGE = 250;
const DEFAULT_EXPIRES_SEC = 3600;
const MAX_EXPIRES_SEC = 0xffff_ffff;
/** Longer ones do not fit into a binding record with others, and hardly into a datagram. */
const MAX_URI_CHARS = 2048;

const uri = z.string().min(1).max(MAX_URI_CHARS);
const cursor = z.int().min(0).default(0);
const domain = z.string().min(1).max(MAX_URI_CHARS).optional();

const PARAMS = {
  list: z.strictObject({ cursor, limit: z.int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE), domain }),
  count: z.strictObject({ cursor, domain }),
  show: z.strictObject({ aor: uri }),
  add: z.strictObject({
    aor: uri,
    contact: uri,
    expiresSec: z.int().min(1).max(MAX_EXPIRES_SEC).default(DEFAULT_EXPIRES_SEC),
    q: z.number().min(0).max(1).default(1),
  }),
  remove: z.strictObject({ aor: uri, contact: uri.optional() }),
};

export function locationMethods(location: LocationOperations): Readonly<Record<string, (params: unknown) => unknown>> {
  return {
    'location.list': (params) => location.list(read(PARAMS.list, params)),
    'location.count': (params) => location.count(read(PARAMS.count, params)),
    'location.show': (params) => location.show(read(PARAMS.show, params).aor),
    'location.add': (params) => location.add(read(PARAMS.add, params)),
    'location.remove': (params) => location.remove(read(PARAMS.remove, params)),
  };
}

function read<T>(schema: z.ZodType<T>, params: unknown): T {
  const { success, data, error } = schema.safeParse(params ?? {});
  if (success) return data;
  const { path, message } = error.issues[0]!;
  throw new RequestError(INVALID_PARAMS, path.length === 0 ? message : `${path.join('.')}: ${message}`);
}
