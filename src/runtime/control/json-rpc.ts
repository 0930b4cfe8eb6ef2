/** JSON-RPC 2.0: a text in, a text out, whatever carries them (control.ts: a unix socket; admin-http.ts: POST /rpc). Batches
 *  are answered in order, notifications not at all. Main thread, cold. */

import type { Logger } from 'pino';
import { INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR, RequestError } from '../request-error.ts';

/** Longest request or batch; the methods take little. */
export const MAX_REQUEST_BYTES = 64 * 1024;
const MAX_BATCH = 64;

/** Methods by name. What one returns is the result; what it throws as a RequestError is told to the client. */
export type Calls = Readonly<Record<string, (params: unknown) => unknown>>;

type Answer = object | null;

/** The answer to a request or a batch, as one line without its end; null: there is none, all were notifications. */
export async function answerText(text: string, calls: Calls, log: Logger): Promise<string | null> {
  const answer = await answerOf(text, calls, log);
  return answer === null ? null : JSON.stringify(answer);
}

/** The answer to what is too long to be read. */
export function tooLong(): string {
  return JSON.stringify(failure(null, INVALID_REQUEST, `a request is at most ${MAX_REQUEST_BYTES} bytes`));
}

async function answerOf(text: string, calls: Calls, log: Logger): Promise<Answer> {
  let request: unknown;
  try {
    request = JSON.parse(text);
  } catch {
    return failure(null, PARSE_ERROR, 'not JSON');
  }
  if (!Array.isArray(request)) return answerRequest(request, calls, log);
  if (request.length === 0 || request.length > MAX_BATCH) {
    return failure(null, INVALID_REQUEST, `a batch is 1 to ${MAX_BATCH} requests`);
  }
  const answers: object[] = [];
  for (const one of request) {
    const answer = await answerRequest(one, calls, log);
    if (answer !== null) answers.push(answer);
  }
  return answers.length > 0 ? answers : null;
}

async function answerRequest(request: unknown, calls: Calls, log: Logger): Promise<Answer> {
  if (request === null || typeof request !== 'object' || Array.isArray(request)) {
    return failure(null, INVALID_REQUEST, 'a request is an object');
  }
  const { jsonrpc, id, method, params } = request as Record<string, unknown>;
  const isIdValid = id === undefined || id === null || typeof id === 'string' || typeof id === 'number';
  if (jsonrpc !== '2.0' || typeof method !== 'string' || !isIdValid) {
    return failure(isIdValid ? (id ?? null) : null, INVALID_REQUEST, 'not a JSON-RPC 2.0 request');
  }
  const isNotification = id === undefined;
  try {
    if (!Object.hasOwn(calls, method)) {
      throw new RequestError(METHOD_NOT_FOUND, `no such method; there are ${Object.keys(calls).join(', ')}`);
    }
    const result = (await calls[method]!(params)) ?? null;
    return isNotification ? null : { jsonrpc: '2.0', id, result };
  } catch (error) {
    if (!(error instanceof RequestError)) log.error({ err: error, method }, 'control method failed');
    if (isNotification) return null;
    return error instanceof RequestError
      ? failure(id, error.code, error.message)
      : failure(id, INTERNAL_ERROR, 'internal error; the log of the server says more');
  }
}

function failure(id: unknown, code: number, message: string): object {
  return { jsonrpc: '2.0', id, error: { code, message } };
}
