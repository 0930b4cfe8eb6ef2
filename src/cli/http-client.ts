/** Asks a running server over HTTP (runtime/control/http-routes.ts), from wherever it can be reached. */

import { readToken } from '../runtime/control/token-gate.ts';
import { type ControlClient, ControlError, resultOf } from './control-client.ts';

const ANSWER_LIMIT_MS = 10_000;

/** `url`: of the admin listener, e.g. `http://192.0.2.10:9560`. Throws a ControlError for what cannot be used. */
export function openHttpClient(url: string, tokenFile: string): ControlClient {
  const rpc = rpcUrlOf(url);
  const read = readToken(tokenFile);
  if ('problem' in read) throw new ControlError(read.problem);
  const headers = { authorization: `Bearer ${read.token}`, 'content-type': 'application/json' };
  let lastId = 0;
  return {
    async call(method, params) {
      lastId++;
      const body = JSON.stringify({ jsonrpc: '2.0', id: lastId, method, params });
      let status: number;
      let text: string;
      try {
        const signal = AbortSignal.timeout(ANSWER_LIMIT_MS);
        const response = await fetch(rpc, { method: 'POST', headers, body, signal, redirect: 'error' });
        status = response.status;
        text = await response.text();
      } catch (error) {
        throw new ControlError(`${url}: ${sayFailure(error)}`);
      }
      if (status !== 200) throw new ControlError(`${url}: ${status} ${text.trim().split('\n')[0]}`);
      return resultOf(text, url);
    },
    close: () => undefined,
  };
}

function rpcUrlOf(text: string): URL {
  const url = URL.parse(/^https?:\/\//i.test(text) ? text : `http://${text}`);
  if (url === null) throw new ControlError(`--admin ${text} is not a URL such as http://127.0.0.1:9560`);
  return new URL('/rpc', url);
}

function sayFailure(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'the server does not answer';
  const { code, message = error.message } = (error.cause ?? {}) as Partial<NodeJS.ErrnoException>;
  if (code === 'ECONNREFUSED') return 'nobody listens there; is the server running, with admin.listen?';
  return code === undefined ? message : `cannot be reached (${code})`;
}
