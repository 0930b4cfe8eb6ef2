/** Header fields of the IANA registry as small numbers, with their compact forms (RFC 3261 section 7.3.3).
 *  Runs on the shard. Hot: up to once per header line, allocates nothing.
 *
 *  Names a proxy reads come first, so that what it touches of a table by id lies together. test/sip/iana.test.ts compares
 *  the table with the registry. */

import { LOWER } from '../base/char-class.ts';

type Bytes = Uint8Array<SharedArrayBuffer>;

/** 0 stands for every other header field name. */
export const HEADER_ID = {
  OTHER: 0,
  VIA: 1,
  MAX_FORWARDS: 2,
  ROUTE: 3,
  RECORD_ROUTE: 4,
  FROM: 5,
  TO: 6,
  CALL_ID: 7,
  CSEQ: 8,
  CONTENT_LENGTH: 9,
  CONTACT: 10,
  PROXY_REQUIRE: 11,
  PROXY_AUTHORIZATION: 12,
  REQUIRE: 13,
  SUPPORTED: 14,
  TIMESTAMP: 15,
  MAX_BREADTH: 16,
  PATH: 17,
  EXPIRES: 18,
  AUTHORIZATION: 19,
  CONTENT_TYPE: 20,
  UNSUPPORTED: 21,
  MIN_EXPIRES: 22,
  SERVICE_ROUTE: 23,
  DATE: 24,
  USER_AGENT: 25,
  REASON: 26,
  WWW_AUTHENTICATE: 27,
  PROXY_AUTHENTICATE: 28,
  AUTHENTICATION_INFO: 29,
  RETRY_AFTER: 30,
  ALLOW: 31,
  ACCEPT: 32,
  ACCEPT_ENCODING: 33,
  ACCEPT_LANGUAGE: 34,
  EVENT: 35,
  SERVER: 36,
  ORGANIZATION: 37,
  SUBJECT: 38,
  PRIORITY: 39,
  PRIVACY: 40,
  P_ASSERTED_IDENTITY: 41,
  P_PREFERRED_IDENTITY: 42,
  SESSION_EXPIRES: 43,
  MIN_SE: 44,
  REFER_TO: 45,
  REFERRED_BY: 46,
  REPLACES: 47,
  RACK: 48,
  RSEQ: 49,
  SECURITY_CLIENT: 50,
  SECURITY_SERVER: 51,
  SECURITY_VERIFY: 52,
  IDENTITY: 53,
  WARNING: 54,
  RESOURCE_PRIORITY: 55,
  ACCEPT_RESOURCE_PRIORITY: 56,
  FLOW_TIMER: 57,
  GEOLOCATION: 58,
  GEOLOCATION_ERROR: 59,
  GEOLOCATION_ROUTING: 60,
  HISTORY_INFO: 61,
  DIVERSION: 62,
  ACCEPT_CONTACT: 63,
  REJECT_CONTACT: 64,
  REQUEST_DISPOSITION: 65,
  ALLOW_EVENTS: 66,
  SUBSCRIPTION_STATE: 67,
  CONTENT_ENCODING: 68,
  CONTENT_DISPOSITION: 69,
  CONTENT_LANGUAGE: 70,
  CONTENT_ID: 71,
  MIME_VERSION: 72,
  ALERT_INFO: 73,
  CALL_INFO: 74,
  ERROR_INFO: 75,
  IN_REPLY_TO: 76,
  REPLY_TO: 77,
  JOIN: 78,
  SIP_ETAG: 79,
} as const;

/** Those that nobody here reads, apart: an object of more than 128 properties becomes a hash table in V8, and every
 *  HEADER_ID in a hot path would be a look-up. */
export const RARE_HEADER_ID = {
  SIP_IF_MATCH: 80,
  SUPPRESS_IF_MATCH: 81,
  TARGET_DIALOG: 82,
  SESSION_ID: 83,
  USER_TO_USER: 84,
  IDENTITY_INFO: 85,
  ENCRYPTION: 86,
  HIDE: 87,
  RESPONSE_KEY: 88,
  ANSWER_MODE: 89,
  PRIV_ANSWER_MODE: 90,
  FEATURE_CAPS: 91,
  INFO_PACKAGE: 92,
  RECV_INFO: 93,
  POLICY_CONTACT: 94,
  POLICY_ID: 95,
  PERMISSION_MISSING: 96,
  TRIGGER_CONSENT: 97,
  REFER_EVENTS_AT: 98,
  REFER_SUB: 99,
  RESTORATION_INFO: 100,
  RELAYED_CHARGE: 101,
  RESPONSE_SOURCE: 102,
  RESOURCE_SHARE: 103,
  SERVICE_INTERACT_INFO: 104,
  CELLULAR_NETWORK_INFO: 105,
  ADDITIONAL_IDENTITY: 106,
  ATTESTATION_INFO: 107,
  ORIGINATION_ID: 108,
  PRIORITY_SHARE: 109,
  PRIORITY_VERSTAT: 110,
  P_ACCESS_NETWORK_INFO: 111,
  P_ANSWER_STATE: 112,
  P_ASSERTED_SERVICE: 113,
  P_ASSOCIATED_URI: 114,
  P_CALLED_PARTY_ID: 115,
  P_CHARGE_INFO: 116,
  P_CHARGING_FUNCTION_ADDRESSES: 117,
  P_CHARGING_VECTOR: 118,
  P_DCS_TRACE_PARTY_ID: 119,
  P_DCS_OSPS: 120,
  P_DCS_BILLING_INFO: 121,
  P_DCS_LAES: 122,
  P_DCS_REDIRECT: 123,
  P_EARLY_MEDIA: 124,
  P_MEDIA_AUTHORIZATION: 125,
  P_PREFERRED_SERVICE: 126,
  P_PRIVATE_NETWORK_INDICATION: 127,
  P_PROFILE_KEY: 128,
  P_REFUSED_URI_LIST: 129,
  P_SERVED_USER: 130,
  P_USER_DATABASE: 131,
  P_VISITED_NETWORK_ID: 132,
  ALERTMSG_ERROR: 133,
  DC_INFO: 134,
  REASON_PHRASE: 135,
} as const;

/** One more than the largest id. */
export const HEADER_COUNT = 136;

/** Each id with its name as registered, then its compact form if it has one. */
export const HEADER_NAMES: readonly (readonly [id: number, names: readonly [string, ...string[]]])[] = [
  [HEADER_ID.VIA, ['Via', 'v']],
  [HEADER_ID.MAX_FORWARDS, ['Max-Forwards']],
  [HEADER_ID.ROUTE, ['Route']],
  [HEADER_ID.RECORD_ROUTE, ['Record-Route']],
  [HEADER_ID.FROM, ['From', 'f']],
  [HEADER_ID.TO, ['To', 't']],
  [HEADER_ID.CALL_ID, ['Call-ID', 'i']],
  [HEADER_ID.CSEQ, ['CSeq']],
  [HEADER_ID.CONTENT_LENGTH, ['Content-Length', 'l']],
  [HEADER_ID.CONTACT, ['Contact', 'm']],
  [HEADER_ID.PROXY_REQUIRE, ['Proxy-Require']],
  [HEADER_ID.PROXY_AUTHORIZATION, ['Proxy-Authorization']],
  [HEADER_ID.REQUIRE, ['Require']],
  [HEADER_ID.SUPPORTED, ['Supported', 'k']],
  [HEADER_ID.TIMESTAMP, ['Timestamp']],
  [HEADER_ID.MAX_BREADTH, ['Max-Breadth']],
  [HEADER_ID.PATH, ['Path']],
  [HEADER_ID.EXPIRES, ['Expires']],
  [HEADER_ID.AUTHORIZATION, ['Authorization']],
  [HEADER_ID.CONTENT_TYPE, ['Content-Type', 'c']],
  [HEADER_ID.UNSUPPORTED, ['Unsupported']],
  [HEADER_ID.MIN_EXPIRES, ['Min-Expires']],
  [HEADER_ID.SERVICE_ROUTE, ['Service-Route']],
  [HEADER_ID.DATE, ['Date']],
  [HEADER_ID.USER_AGENT, ['User-Agent']],
  [HEADER_ID.REASON, ['Reason']],
  [HEADER_ID.WWW_AUTHENTICATE, ['WWW-Authenticate']],
  [HEADER_ID.PROXY_AUTHENTICATE, ['Proxy-Authenticate']],
  [HEADER_ID.AUTHENTICATION_INFO, ['Authentication-Info']],
  [HEADER_ID.RETRY_AFTER, ['Retry-After']],
  [HEADER_ID.ALLOW, ['Allow']],
  [HEADER_ID.ACCEPT, ['Accept']],
  [HEADER_ID.ACCEPT_ENCODING, ['Accept-Encoding']],
  [HEADER_ID.ACCEPT_LANGUAGE, ['Accept-Language']],
  [HEADER_ID.EVENT, ['Event', 'o']],
  [HEADER_ID.SERVER, ['Server']],
  [HEADER_ID.ORGANIZATION, ['Organization']],
  [HEADER_ID.SUBJECT, ['Subject', 's']],
  [HEADER_ID.PRIORITY, ['Priority']],
  [HEADER_ID.PRIVACY, ['Privacy']],
  [HEADER_ID.P_ASSERTED_IDENTITY, ['P-Asserted-Identity']],
  [HEADER_ID.P_PREFERRED_IDENTITY, ['P-Preferred-Identity']],
  [HEADER_ID.SESSION_EXPIRES, ['Session-Expires', 'x']],
  [HEADER_ID.MIN_SE, ['Min-SE']],
  [HEADER_ID.REFER_TO, ['Refer-To', 'r']],
  [HEADER_ID.REFERRED_BY, ['Referred-By', 'b']],
  [HEADER_ID.REPLACES, ['Replaces']],
  [HEADER_ID.RACK, ['RAck']],
  [HEADER_ID.RSEQ, ['RSeq']],
  [HEADER_ID.SECURITY_CLIENT, ['Security-Client']],
  [HEADER_ID.SECURITY_SERVER, ['Security-Server']],
  [HEADER_ID.SECURITY_VERIFY, ['Security-Verify']],
  [HEADER_ID.IDENTITY, ['Identity', 'y']],
  [HEADER_ID.WARNING, ['Warning']],
  [HEADER_ID.RESOURCE_PRIORITY, ['Resource-Priority']],
  [HEADER_ID.ACCEPT_RESOURCE_PRIORITY, ['Accept-Resource-Priority']],
  [HEADER_ID.FLOW_TIMER, ['Flow-Timer']],
  [HEADER_ID.GEOLOCATION, ['Geolocation']],
  [HEADER_ID.GEOLOCATION_ERROR, ['Geolocation-Error']],
  [HEADER_ID.GEOLOCATION_ROUTING, ['Geolocation-Routing']],
  [HEADER_ID.HISTORY_INFO, ['History-Info']],
  [HEADER_ID.DIVERSION, ['Diversion']],
  [HEADER_ID.ACCEPT_CONTACT, ['Accept-Contact', 'a']],
  [HEADER_ID.REJECT_CONTACT, ['Reject-Contact', 'j']],
  [HEADER_ID.REQUEST_DISPOSITION, ['Request-Disposition', 'd']],
  [HEADER_ID.ALLOW_EVENTS, ['Allow-Events', 'u']],
  [HEADER_ID.SUBSCRIPTION_STATE, ['Subscription-State']],
  [HEADER_ID.CONTENT_ENCODING, ['Content-Encoding', 'e']],
  [HEADER_ID.CONTENT_DISPOSITION, ['Content-Disposition']],
  [HEADER_ID.CONTENT_LANGUAGE, ['Content-Language']],
  [HEADER_ID.CONTENT_ID, ['Content-ID']],
  [HEADER_ID.MIME_VERSION, ['MIME-Version']],
  [HEADER_ID.ALERT_INFO, ['Alert-Info']],
  [HEADER_ID.CALL_INFO, ['Call-Info']],
  [HEADER_ID.ERROR_INFO, ['Error-Info']],
  [HEADER_ID.IN_REPLY_TO, ['In-Reply-To']],
  [HEADER_ID.REPLY_TO, ['Reply-To']],
  [HEADER_ID.JOIN, ['Join']],
  [HEADER_ID.SIP_ETAG, ['SIP-ETag']],
  [RARE_HEADER_ID.SIP_IF_MATCH, ['SIP-If-Match']],
  [RARE_HEADER_ID.SUPPRESS_IF_MATCH, ['Suppress-If-Match']],
  [RARE_HEADER_ID.TARGET_DIALOG, ['Target-Dialog']],
  [RARE_HEADER_ID.SESSION_ID, ['Session-ID']],
  [RARE_HEADER_ID.USER_TO_USER, ['User-to-User']],
  [RARE_HEADER_ID.IDENTITY_INFO, ['Identity-Info', 'n']],
  [RARE_HEADER_ID.ENCRYPTION, ['Encryption']],
  [RARE_HEADER_ID.HIDE, ['Hide']],
  [RARE_HEADER_ID.RESPONSE_KEY, ['Response-Key']],
  [RARE_HEADER_ID.ANSWER_MODE, ['Answer-Mode']],
  [RARE_HEADER_ID.PRIV_ANSWER_MODE, ['Priv-Answer-Mode']],
  [RARE_HEADER_ID.FEATURE_CAPS, ['Feature-Caps']],
  [RARE_HEADER_ID.INFO_PACKAGE, ['Info-Package']],
  [RARE_HEADER_ID.RECV_INFO, ['Recv-Info']],
  [RARE_HEADER_ID.POLICY_CONTACT, ['Policy-Contact']],
  [RARE_HEADER_ID.POLICY_ID, ['Policy-ID']],
  [RARE_HEADER_ID.PERMISSION_MISSING, ['Permission-Missing']],
  [RARE_HEADER_ID.TRIGGER_CONSENT, ['Trigger-Consent']],
  [RARE_HEADER_ID.REFER_EVENTS_AT, ['Refer-Events-At']],
  [RARE_HEADER_ID.REFER_SUB, ['Refer-Sub']],
  [RARE_HEADER_ID.RESTORATION_INFO, ['Restoration-Info']],
  [RARE_HEADER_ID.RELAYED_CHARGE, ['Relayed-Charge']],
  [RARE_HEADER_ID.RESPONSE_SOURCE, ['Response-Source']],
  [RARE_HEADER_ID.RESOURCE_SHARE, ['Resource-Share']],
  [RARE_HEADER_ID.SERVICE_INTERACT_INFO, ['Service-Interact-Info']],
  [RARE_HEADER_ID.CELLULAR_NETWORK_INFO, ['Cellular-Network-Info']],
  [RARE_HEADER_ID.ADDITIONAL_IDENTITY, ['Additional-Identity']],
  [RARE_HEADER_ID.ATTESTATION_INFO, ['Attestation-Info']],
  [RARE_HEADER_ID.ORIGINATION_ID, ['Origination-Id']],
  [RARE_HEADER_ID.PRIORITY_SHARE, ['Priority-Share']],
  [RARE_HEADER_ID.PRIORITY_VERSTAT, ['Priority-Verstat']],
  [RARE_HEADER_ID.P_ACCESS_NETWORK_INFO, ['P-Access-Network-Info']],
  [RARE_HEADER_ID.P_ANSWER_STATE, ['P-Answer-State']],
  [RARE_HEADER_ID.P_ASSERTED_SERVICE, ['P-Asserted-Service']],
  [RARE_HEADER_ID.P_ASSOCIATED_URI, ['P-Associated-URI']],
  [RARE_HEADER_ID.P_CALLED_PARTY_ID, ['P-Called-Party-ID']],
  [RARE_HEADER_ID.P_CHARGE_INFO, ['P-Charge-Info']],
  [RARE_HEADER_ID.P_CHARGING_FUNCTION_ADDRESSES, ['P-Charging-Function-Addresses']],
  [RARE_HEADER_ID.P_CHARGING_VECTOR, ['P-Charging-Vector']],
  [RARE_HEADER_ID.P_DCS_TRACE_PARTY_ID, ['P-DCS-Trace-Party-ID']],
  [RARE_HEADER_ID.P_DCS_OSPS, ['P-DCS-OSPS']],
  [RARE_HEADER_ID.P_DCS_BILLING_INFO, ['P-DCS-Billing-Info']],
  [RARE_HEADER_ID.P_DCS_LAES, ['P-DCS-LAES']],
  [RARE_HEADER_ID.P_DCS_REDIRECT, ['P-DCS-Redirect']],
  [RARE_HEADER_ID.P_EARLY_MEDIA, ['P-Early-Media']],
  [RARE_HEADER_ID.P_MEDIA_AUTHORIZATION, ['P-Media-Authorization']],
  [RARE_HEADER_ID.P_PREFERRED_SERVICE, ['P-Preferred-Service']],
  [RARE_HEADER_ID.P_PRIVATE_NETWORK_INDICATION, ['P-Private-Network-Indication']],
  [RARE_HEADER_ID.P_PROFILE_KEY, ['P-Profile-Key']],
  [RARE_HEADER_ID.P_REFUSED_URI_LIST, ['P-Refused-URI-List']],
  [RARE_HEADER_ID.P_SERVED_USER, ['P-Served-User']],
  [RARE_HEADER_ID.P_USER_DATABASE, ['P-User-Database']],
  [RARE_HEADER_ID.P_VISITED_NETWORK_ID, ['P-Visited-Network-ID']],
  [RARE_HEADER_ID.ALERTMSG_ERROR, ['AlertMsg-Error']],
  [RARE_HEADER_ID.DC_INFO, ['DC-Info']],
  [RARE_HEADER_ID.REASON_PHRASE, ['Reason-Phrase']],
];

/** Names in small letters, one after another; entry e is letters[starts[e] … starts[e + 1]). */
const entryCount = HEADER_NAMES.reduce((count, [, names]) => count + names.length, 0);
const ids = new Uint8Array(entryCount + 1);
const starts = new Uint16Array(entryCount + 2);
const letters = new Uint8Array(HEADER_NAMES.reduce((bytes, [, names]) => bytes + names.join('').length, 0));

/** Hash slots hold an entry number, 0 if free; a taken slot sends to the next. Six times as many slots as names, so that
 *  nearly every name is found at its first. */
const SLOT_BITS = 10;
const SLOT_MASK = (1 << SLOT_BITS) - 1;
const slots = new Uint8Array(1 << SLOT_BITS);

let entry = 0;
for (const [id, names] of HEADER_NAMES) {
  for (const name of names) {
    ids[++entry] = id;
    const start = starts[entry]!;
    starts[entry + 1] = start + name.length;
    for (let i = 0; i < name.length; i++) letters[start + i] = LOWER[name.charCodeAt(i)]!;
    let slot = slotOf(
      letters[start]!,
      letters[start + (name.length >> 1)]!,
      letters[start + name.length - 1]!,
      name.length,
    );
    while (slots[slot] !== 0) slot = (slot + 1) & SLOT_MASK;
    slots[slot] = entry;
  }
}

/** Id of the header field name in [start, end), in long or compact form and any case; HEADER_ID.OTHER if it is none of
 *  the table (a valid name or not). */
export function headerIdOf(bytes: Bytes, start: number, end: number): number {
  const length = end - start;
  if (length <= 0) return HEADER_ID.OTHER;
  const first = LOWER[bytes[start]!]!;
  const middle = LOWER[bytes[start + (length >> 1)]!]!;
  let slot = slotOf(first, middle, LOWER[bytes[end - 1]!]!, length);
  for (let candidate = slots[slot]!; candidate !== 0; candidate = slots[slot]!) {
    const name = starts[candidate]!;
    if (starts[candidate + 1]! - name === length) {
      let i = 0;
      while (i < length && LOWER[bytes[start + i]!] === letters[name + i]) i++;
      if (i === length) return ids[candidate]!;
    }
    slot = (slot + 1) & SLOT_MASK;
  }
  return HEADER_ID.OTHER;
}

/** First, middle and last letter and the length tell nearly all names apart. */
function slotOf(first: number, middle: number, last: number, length: number): number {
  return Math.imul(first | (middle << 8) | (last << 16) | (length << 24), 0x9e3779b1) >>> (32 - SLOT_BITS);
}
