/** Requests of a call and responses to them as bytes, for tests that send what no SIPp scenario would. */

const CRLF = '\r\n';

export interface CallFields {
  readonly method: 'INVITE' | 'ACK' | 'CANCEL';
  readonly uri: string;
  readonly callId: string;
  /** Of the Via: sent-by, `HOST:PORT`, and branch without the magic cookie. */
  readonly sentBy: string;
  readonly branch: string;
  readonly toTag?: string;
}

export function callRequest({ method, uri, callId, sentBy, branch, toTag }: CallFields): Buffer {
  const lines = [
    `${method} ${uri} SIP/2.0`,
    `Via: SIP/2.0/UDP ${sentBy};branch=z9hG4bK${branch}`,
    'Max-Forwards: 70',
    'From: <sip:tester@test.invalid>;tag=1',
    `To: <sip:bob@example.test>${toTag === undefined ? '' : `;tag=${toTag}`}`,
    `Call-ID: ${callId}`,
    `CSeq: 1 ${method}`,
    `Contact: <sip:tester@${sentBy}>`,
    'Content-Length: 0',
  ];
  return Buffer.from(lines.join(CRLF) + CRLF + CRLF);
}

/** A response with the headers that section 8.2.6 wants back, and a tag. */
export function responseTo(request: Buffer, statusLine: string): Buffer {
  const head = request.subarray(0, request.indexOf('\r\n\r\n')).toString('latin1').split(CRLF).slice(1);
  const kept = head.filter((line) => /^(?:via|from|to|call-id|cseq|record-route):/i.test(line));
  const tagged = kept.map((line) => (/^to:(?!.*;tag=)/i.test(line) ? `${line};tag=callee` : line));
  return Buffer.from(['SIP/2.0 ' + statusLine, ...tagged, 'Content-Length: 0', '', ''].join(CRLF), 'latin1');
}
