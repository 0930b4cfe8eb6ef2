/** What SIPp plays in a trial of RFC 7502: a session that begins and ends, with media or without, and a registration. Cold.
 *  The UAS answers 200 to the INVITE at once (4.9), and nothing is said in between: early dialogs are out of scope
 *  (RFC 7501 3.1.7). What is not answered in time fails (RFC 7501 3.3.2). Texts in [brackets] are SIPp's own, or:
 *
 *    [uas]     host and port of the UAS, which the request is for; it is sent to the DUT, or to the UAS where there is none
 *    [domain]  whose registrar the DUT is
 *    [field0]  the user whose turn it is
 *
 *  The calling side writes two times for each exchange that was established: when it was begun, and the 200. */

import type { Media } from './form.ts';

/** Media of test case 6.3: what SIPp streams by itself, to the other side's port, where nobody listens to it. */
export const PCMU: Media = {
  streamsPerSession: 1,
  protocol: 'RTP',
  codec: 'PCMU (ITU-T G.711 mu-law, RFC 3551 payload type 0)',
  packetBytes: 160,
};

/** A second of silence in PCMU; SIPp repeats it for as long as the session lasts. */
export function silence(): Buffer {
  const SAMPLES_PER_SEC = 8000;
  const SILENT_SAMPLE = 0xff;
  return Buffer.alloc(SAMPLES_PER_SEC, SILENT_SAMPLE);
}

export interface SessionScenario {
  /** Path of raw PCMU, sent from the 200 to the BYE; null: no media. */
  readonly audioFile: string | null;
  /** From the ACK to the BYE. */
  readonly durationMs: number;
  /** The Establishment Threshold Time. */
  readonly thresholdMs: number;
}

/** Both sides have the times of a line in these places. */
export const TIME_COUNT = 2;

/** Test cases 6.1 to 6.3, the calling side. */
export function sessionUac({ audioFile, durationMs, thresholdMs }: SessionScenario): string {
  return scenario('Session, the calling side', [
    send(
      `INVITE sip:session@[uas] SIP/2.0
${VIA}
Max-Forwards: 70
From: <sip:caller@[local_ip]:[local_port]>;tag=[pid]c[call_number]
To: <sip:session@[uas]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:caller@[local_ip]:[local_port];transport=[transport]>
${offer('caller')}`,
      true,
      BEGUN,
    ),
    ...[100, 180, 183].map((code) => `<recv response="${code}" optional="true" timeout="${thresholdMs}"/>`),
    `<recv response="200" rrs="true" timeout="${thresholdMs}">${ESTABLISHED}</recv>`,
    send(inDialog('ACK', 1), false),
    ...stream(audioFile),
    ...(durationMs > 0 ? [`<pause milliseconds="${durationMs}"/>`] : []),
    ...(audioFile === null ? [] : ['<nop><action><exec rtp_stream="pause"/></action></nop>']),
    send(inDialog('BYE', 2), true),
    `<recv response="200" timeout="${thresholdMs}"/>`,
  ]);
}

/** Test cases 6.1 to 6.3, the called side. A BYE that overtook the ACK ends the session as well. */
export function sessionUas({ audioFile }: Pick<SessionScenario, 'audioFile'>): string {
  return scenario('Session, the called side', [
    '<recv request="INVITE" rrs="true"/>',
    send(
      `SIP/2.0 200 OK
[last_Via:]
[last_Record-Route:]
[last_From:]
[last_To:];tag=[pid]s[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:session@[local_ip]:[local_port];transport=[transport]>
${offer('called')}`,
      true,
    ),
    '<recv request="ACK" optional="true" next="established"/>',
    '<recv request="BYE" next="bye"/>',
    '<label id="established"/>',
    ...stream(audioFile),
    '<recv request="BYE"/>',
    '<label id="bye"/>',
    send(
      `SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0`,
      false,
    ),
  ]);
}

/** Test cases 6.7 and 6.8: a REGISTER and its 200. The same user again re-registers: its contact is always the same, on
 *  whatever port this is sent. */
export function registration({ expiresSec, thresholdMs }: { expiresSec: number; thresholdMs: number }): string {
  return scenario('Registration', [
    send(
      `REGISTER sip:[domain] SIP/2.0
${VIA}
Max-Forwards: 70
From: <sip:[field0]@[domain]>;tag=[pid]r[call_number]
To: <sip:[field0]@[domain]>
Call-ID: [call_id]
CSeq: 1 REGISTER
Contact: <sip:[field0]@[local_ip];transport=[transport]>
Expires: ${expiresSec}
Content-Length: 0`,
      true,
      BEGUN,
    ),
    `<recv response="100" optional="true" timeout="${thresholdMs}"/>`,
    `<recv response="200" timeout="${thresholdMs}">${ESTABLISHED}</recv>`,
  ]);
}

const BEGUN = '<action><gettimeofday assign_to="s0,u0"/></action>';
const ESTABLISHED =
  '<action><gettimeofday assign_to="s1,u1"/><log message="[call_number];[$s0];[$u0];[$s1];[$u1]"/></action>';

const VIA = 'Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]';

function scenario(name: string, steps: readonly string[]): string {
  return `<?xml version="1.0" encoding="ISO-8859-1" ?>\n<scenario name="${name}">\n${steps.join('\n')}\n</scenario>\n`;
}

/** SIPp wants the blank line that ends the header fields, but not one at the end of a body. */
function send(message: string, isRetransmitted: boolean, action = ''): string {
  const end = message.includes('\n\n') ? '\n' : '\n\n';
  return `<send${isRetransmitted ? ' retrans="500"' : ''}><![CDATA[\n${message}${end}]]>${action}</send>`;
}

function inDialog(method: 'ACK' | 'BYE', sequence: number): string {
  return `${method} [next_url] SIP/2.0
${VIA}
[routes]
Max-Forwards: 70
From: <sip:caller@[local_ip]:[local_port]>;tag=[pid]c[call_number]
To: <sip:session@[uas]>[peer_tag_param]
Call-ID: [call_id]
CSeq: ${sequence} ${method}
Content-Length: 0`;
}

function offer(user: string): string {
  return `Content-Type: application/sdp
Content-Length: [len]

v=0
o=${user} 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 0
a=rtpmap:0 PCMU/8000`;
}

function stream(audioFile: string | null): string[] {
  return audioFile === null ? [] : [`<nop><action><exec rtp_stream="${audioFile},-1,0"/></action></nop>`];
}
