/** What TLS connections are made with: a context for each certificate of ours, chosen by the server name that the client asks for
 *  (SNI, RFC 6066 3), and the options of connections that we open. Thread of the streams, cold: once per connection.
 *
 *  Departs from RFC 3261 26.2.1, cipher suites: TLS_RSA_WITH_AES_128_CBC_SHA is not spoken by default, since RFC 9325 4.2
 *  forbids key exchange without forward secrecy (`tls.ciphers`).
 *
 *  Contexts are made anew when files have changed, and never touched after that: a connection goes on with the one it began
 *  with. All share one key for session tickets (RFC 5077), so that sessions are resumed whatever has changed. */

import { randomBytes } from 'node:crypto';
import {
  type ConnectionOptions,
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  type TlsOptions,
} from 'node:tls';
import type { Config } from '../../config/schema.ts';
import type { TlsMaterial } from './certificate-files.ts';

const TICKET_KEY_BYTES = 48;

export class SecureContexts {
  readonly #config: Config['tls'];
  readonly #ticketKeys = randomBytes(TICKET_KEY_BYTES);
  #byName = new Map<string, SecureContext>();
  #first: SecureContext | null = null;
  /** With our first certificate, for servers that ask for one. */
  #clientContext: SecureContext;
  #material: TlsMaterial;

  constructor(config: Config['tls'], material: TlsMaterial) {
    this.#config = config;
    this.#material = material;
    this.#clientContext = createSecureContext();
    this.use(material);
  }

  /** From the next connection on. */
  use(material: TlsMaterial): void {
    this.#material = material;
    const common = this.#commonOptions();
    const byName = new Map<string, SecureContext>();
    const contexts = material.certificates.map(({ chain, key, names }) => {
      const context = createSecureContext({ ...common, cert: chain, key });
      // The earlier one has the name.
      for (const name of names) if (!byName.has(name)) byName.set(name, context);
      return context;
    });
    this.#byName = byName;
    this.#first = contexts[0] ?? null;
    this.#clientContext = contexts[0] ?? createSecureContext(common);
  }

  /** The context for a server name, in any case; the first one if no certificate has it. null: there are none. */
  contextFor(serverName: string): SecureContext | null {
    const name = serverName.toLowerCase();
    const wildcard = name.replace(/^[^.]*/, '*');
    return this.#byName.get(name) ?? this.#byName.get(wildcard) ?? this.#first;
  }

  /** Of `tls.createServer` and its `setSecureContext`: the first certificate is for clients that name no server. Whether the
   *  certificate of a client will do is decided once the connection is there. */
  serverOptions(): TlsOptions {
    const [first] = this.#material.certificates;
    return {
      ...this.#commonOptions(),
      ...(first === undefined ? {} : { cert: first.chain, key: first.key }),
      SNICallback: (serverName, choose) => choose(null, this.contextFor(serverName) ?? undefined),
      requestCert: this.#config.clientCertificates !== 'off',
      rejectUnauthorized: false,
    };
  }

  /** Of `tls.connect`. Whether the certificate of the server will do is decided once the connection is there. */
  clientOptions(): ConnectionOptions {
    return { secureContext: this.#clientContext, rejectUnauthorized: false };
  }

  #commonOptions(): SecureContextOptions {
    const { minVersion, ciphers } = this.#config;
    const { authorities } = this.#material;
    const trust = authorities === null ? {} : { ca: authorities };
    return { minVersion, ciphers, honorCipherOrder: true, ticketKeys: this.#ticketKeys, ...trust };
  }
}
