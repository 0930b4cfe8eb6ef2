import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { EchoFlow } from '../../../perf/load/flows/echo-flow.ts';
import { RedirectFlow } from '../../../perf/load/flows/redirect-flow.ts';
import { RegisterFlow, type RegisteringUsers } from '../../../perf/load/flows/register-flow.ts';
import { RandomUsers } from '../../../perf/load/random-users.ts';
import { answer, ExchangeLine, RELAY, STATEFUL } from './exchange-line.ts';

const headerOf = (text: string, name: string) => new RegExp(`^${name}: (.*)\r`, 'm').exec(text)![1]!;
const binding = (register: string, seconds = 3600) => `Contact: ${headerOf(register, 'Contact')};expires=${seconds}`;

describe('REGISTER', () => {
  const newLine = (withDigest = false, who: RegisteringUsers = { kind: 'any', users: new RandomUsers(10) }) =>
    new ExchangeLine(STATEFUL, (parts) => new RegisterFlow(parts, who, new Int32Array(10), withDigest));
  const play = (line: ReturnType<typeof newLine>, respond: (register: string) => string) => {
    line.atClient(respond(line.start()));
    return line.outcome();
  };

  it('is right if the 200 has the binding, and each has a higher CSeq than the one before', () => {
    const line = newLine(false, { kind: 'any', users: new RandomUsers(1) });
    let cseq = 0;
    for (let i = 0; i < 5; i++) {
      const register = line.start();
      line.atClient(answer(register, '200 OK', [binding(register)]));
      expect(Number.parseInt(headerOf(register, 'CSeq'), 10)).toBeGreaterThan(cseq);
      cseq = Number.parseInt(headerOf(register, 'CSeq'), 10);
    }
    expect(line.outcome()).toEqual(Array(5).fill('successful'));
  });

  it.each<readonly [what: string, respond: (register: string) => string, cause: string]>([
    ['has no binding', (register) => answer(register, '200 OK'), 'contact'],
    ['has a binding that is over', (register) => answer(register, '200 OK', [binding(register, 0)]), 'contact'],
    ['has a binding for too long', (register) => answer(register, '200 OK', [binding(register, 3601)]), 'contact'],
    ['has two bindings', (register) => answer(register, '200 OK', [binding(register), binding(register)]), 'contact'],
    [
      'has the contact of another',
      (register) => answer(register, '200 OK', [binding(register).replace('@127', '@128')]),
      'contact',
    ],
    [
      'has no expires',
      (register) => answer(register, '200 OK', [`Contact: ${headerOf(register, 'Contact')}`]),
      'contact',
    ],
    ['is a 500', (register) => answer(register, '500 Server Error'), 'unexpected 500'],
    ['is a 401 without need', (register) => answer(register, '401 Unauthorized'), 'unexpected 401'],
    ['has no tag', (register) => answer(register, '200 OK', [binding(register)]).replace(';tag=314159', ''), 'to'],
    [
      'has another CSeq',
      (register) => answer(register, '200 OK', [binding(register)]).replace('CSeq: 1', 'CSeq: 2'),
      'cseq',
    ],
    [
      'has another Call-ID',
      (register) => answer(register, '200 OK', [binding(register)]).replace('reg0', 'reg1'),
      'call-id',
    ],
    [
      'says it has a body',
      (register) => answer(register, '200 OK', [binding(register)]).replace('Length: 0', 'Length: 3'),
      'content-length',
    ],
  ])('fails if the answer %s', (_, respond, cause) => {
    expect(play(newLine(), respond)).toEqual([cause]);
  });

  it('of each user is over with the last of them, and begins anew when asked to', () => {
    const line = newLine(false, { kind: 'each', first: 2, end: 4 });
    const register = () => {
      const text = line.start();
      line.atClient(answer(text, '200 OK', [binding(text)]));
      return headerOf(text, 'To');
    };
    expect([register(), register()]).toEqual(['<sip:user0000002@perf.test>', '<sip:user0000003@perf.test>']);
    expect(line.flow.hasMore).toBe(false);
    line.flow.restart();
    expect(register()).toBe('<sip:user0000002@perf.test>');
  });

  describe('with digest (RFC 7616)', () => {
    const CHALLENGE =
      'WWW-Authenticate: Digest realm="perf.test", nonce="n0nce", algorithm=MD5, qop="auth-int, auth", opaque="o"';
    const md5 = (text: string) => createHash('md5').update(text).digest('hex');
    const parameter = (authorization: string, name: string) =>
      new RegExp(`\\b${name}="?([^",]*)`).exec(authorization)?.[1];

    it('answers the challenge as RFC 7616 3.4.1 computes it, and is right with the 200', () => {
      const line = newLine(true);
      const bare = line.start();
      const [register] = line.atClient(answer(bare, '401 Unauthorized', [CHALLENGE]));
      const authorization = headerOf(register!, 'Authorization');
      const user = /sip:(user\d+)@/.exec(register!)![1]!;
      const ha1 = md5(`${user}:perf.test:secret`);
      const ha2 = md5('REGISTER:sip:perf.test');
      const cnonce = parameter(authorization, 'cnonce');
      expect(parameter(authorization, 'response')).toBe(md5(`${ha1}:n0nce:00000001:${cnonce}:auth:${ha2}`));
      expect(parameter(authorization, 'username')).toBe(user);
      expect(parameter(authorization, 'opaque')).toBe('o');
      expect(headerOf(register!, 'Via')).not.toBe(headerOf(bare, 'Via'));
      line.atClient(answer(register!, '200 OK', [binding(register!)]));
      expect(line.outcome()).toEqual(['successful']);
    });

    it('answers without qop as RFC 2069 did', () => {
      const line = newLine(true);
      const challenge = 'WWW-Authenticate: Digest realm="r", nonce=token';
      const [register] = line.atClient(answer(line.start(), '401 Unauthorized', [challenge]));
      const user = /sip:(user\d+)@/.exec(register!)![1]!;
      const response = md5(`${md5(`${user}:r:secret`)}:token:${md5('REGISTER:sip:perf.test')}`);
      expect(parameter(headerOf(register!, 'Authorization'), 'response')).toBe(response);
    });

    it('fails if the server lets it in without a password, or never does', () => {
      expect(play(newLine(true), (register) => answer(register, '200 OK', [binding(register)]))).toEqual([
        'authentication',
      ]);
      const line = newLine(true);
      const [register] = line.atClient(answer(line.start(), '401 Unauthorized', [CHALLENGE]));
      line.atClient(answer(register!, '401 Unauthorized', [CHALLENGE]));
      expect(line.outcome()).toEqual(['unexpected 401']);
    });

    it.each([
      ['of another scheme', 'WWW-Authenticate: Basic realm="perf.test"'],
      ['without nonce', 'WWW-Authenticate: Digest realm="perf.test"'],
      ['with a nonce that is too long', `WWW-Authenticate: Digest realm="r", nonce="${'n'.repeat(201)}"`],
      ['that wants auth-int', 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth-int"'],
      ['that ends within a quote', 'WWW-Authenticate: Digest realm="r'],
    ])('fails by a challenge %s', (_, challenge) => {
      expect(play(newLine(true), (register) => answer(register, '401 Unauthorized', [challenge]))).toEqual([
        'authentication',
      ]);
    });
  });
});

describe('INVITE to a redirect server', () => {
  const newLine = () => new ExchangeLine(STATEFUL, (parts) => new RedirectFlow(parts, new RandomUsers(1)));
  const CONTACT = 'Contact: <sip:user0000000@127.0.0.1:6002>';

  it('is right if the 302 has the contact, and is acknowledged with the To of the 302 (RFC 3261 17.1.1.3)', () => {
    const line = newLine();
    const invite = line.start();
    expect(line.atClient(answer(invite, '100 Trying'))).toEqual([]);
    const [ack] = line.atClient(answer(invite, '302 Moved Temporarily', [`${CONTACT};q=0.5`]));
    expect(headerOf(ack!, 'To')).toBe(`${headerOf(invite, 'To')};tag=314159`);
    expect(headerOf(ack!, 'Via')).toBe(headerOf(invite, 'Via'));
    expect(line.outcome()).toEqual(['successful']);
  });

  it.each<readonly [what: string, status: string, headers: readonly string[], cause: string]>([
    ['has no contact', '302 Moved Temporarily', [], 'contact'],
    ['has another contact', '302 Moved Temporarily', [CONTACT.replace('6002', '6009')], 'contact'],
    ['has two contacts', '302 Moved Temporarily', [`${CONTACT}, <sip:b@c>`], 'contact'],
    ['is a 404', '404 Not Found', [], 'unexpected 404'],
    ['has a Record-Route', '302 Moved Temporarily', [CONTACT, 'Record-Route: <sip:127.0.0.1:6003;lr>'], 'record-route'],
  ])('fails if the answer %s', (_, status, headers, cause) => {
    const line = newLine();
    line.atClient(answer(line.start(), status, headers));
    expect(line.outcome()).toEqual([cause]);
  });
});

describe('the echo of a bare relay', () => {
  it.each([1, 2] as const)('is right if all comes back as it was sent, %i times', (rounds) => {
    const line = new ExchangeLine(RELAY, (parts) => new EchoFlow(parts, 'registrationRequest', rounds));
    let next: string | undefined = line.start();
    for (let i = 0; i < rounds; i++) {
      expect(line.outcome()).toEqual([]);
      [next] = line.atClient(next!);
    }
    expect(line.outcome()).toEqual(['successful']);
  });

  it('fails if a byte of it is another one', () => {
    const line = new ExchangeLine(RELAY, (parts) => new EchoFlow(parts, 'registrationRequest', 1));
    line.atClient(line.start().replace('Expires: 3600', 'Expires: 3601'));
    expect(line.outcome()).toEqual(['expires']);
  });
});
