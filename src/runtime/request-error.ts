/** What a control method throws so that its message is told to the client (control/json-rpc.ts). Main thread, cold. */

/** Of JSON-RPC 2.0. */
export const PARSE_ERROR = -32700;
export const INVALID_REQUEST = -32600;
export const METHOD_NOT_FOUND = -32601;
export const INVALID_PARAMS = -32602;
export const INTERNAL_ERROR = -32603;
/** Ours: well formed, and the server says no. */
export const REFUSED = 1;

export class RequestError extends Error {
  override name = 'RequestError';
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}
