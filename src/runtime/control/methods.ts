/** The table of all control methods. Main thread, cold; what a row is says method.ts. */

import { z } from 'zod';
import { packageVersion } from '../package-root.ts';
import type { RunningServer } from '../running-server.ts';
import { banMethods } from './ban-methods.ts';
import { configMethods } from './config-methods.ts';
import { drainMethods } from './drain-methods.ts';
import type { Calls } from './json-rpc.ts';
import { locationMethods } from './location-methods.ts';
import { type MethodTable, method, type ProcessOperations } from './method.ts';
import { serverMethods } from './server-methods.ts';
import { shardMethods } from './shard-methods.ts';
import { takeoverMethods } from './takeover-methods.ts';
import { tlsMethods } from './tls-methods.ts';
import { traceMethods } from './trace-methods.ts';

/** Of the OpenRPC specification, which has a document describe the methods of a JSON-RPC server. */
const OPENRPC_VERSION = '1.3.2';

export const METHODS: MethodTable = {
  ...serverMethods,
  ...configMethods,
  ...drainMethods,
  ...shardMethods,
  ...takeoverMethods,
  ...locationMethods,
  ...traceMethods,
  ...banMethods,
  ...tlsMethods,
  'rpc.discover': method({
    help: 'Say what methods there are, and what they take',
    params: z.strictObject({}),
    result: 'an OpenRPC document',
    run: () => describeMethods(packageVersion()),
  }),
};

/** The methods as json-rpc.ts calls them. */
export function callsOf(server: RunningServer, process: ProcessOperations): Calls {
  return Object.fromEntries(
    Object.entries(METHODS).map(([name, { call }]) => [name, (params: unknown) => call(server, params, process)]),
  );
}

function describeMethods(version: string): object {
  return {
    openrpc: OPENRPC_VERSION,
    info: { title: 'Strowger', version },
    methods: Object.entries(METHODS).map(([name, { help, params, result }]) => ({
      name,
      summary: help,
      paramStructure: 'by-name',
      params: Object.entries(params.shape).map(([param, schema]) => ({
        name: param,
        required: !(schema as z.ZodType).safeParse(undefined).success,
        schema: z.toJSONSchema(schema as z.ZodType, { io: 'input' }),
      })),
      result: { name: 'result', description: result, schema: {} },
    })),
  };
}
