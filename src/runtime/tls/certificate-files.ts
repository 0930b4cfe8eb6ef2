/** The files of certificates and keys (`tls.certificates`, `tls.authorities`): read at the start and again whenever they change.
 *  Main thread, cold. As texts they go to the thread of the streams, which makes contexts of them for new connections; those that
 *  are open go on as they are. What cannot be used changes nothing.
 *
 *  A file is looked at once a second and read once it has been the same at two looks, so that a certificate and its key, which
 *  never change at the same instant, are read together. */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { Logger } from 'pino';
import type { Config } from '../../config/schema.ts';
import { sipIdentities } from './sip-identities.ts';

const LOOK_MS = 1000;
const DAY_MS = 86_400_000;
/** A certificate that expires within this many days is worth a line in the log. */
const WARNING_DAYS = 14;
const MISSING = 'missing';
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** What the thread of the streams needs. PEM. */
export interface TlsMaterial {
  readonly certificates: readonly TlsCertificate[];
  /** null: those that Node.js brings. */
  readonly authorities: string | null;
}

export interface TlsCertificate {
  readonly chain: string;
  readonly key: string;
  /** Server names it is for, in small letters; the first label may be `*`. */
  readonly names: readonly string[];
}

/** As `strowger tls list` has it. */
export interface ListedCertificate {
  readonly file: string;
  readonly names: readonly string[];
  readonly issuer: string;
  readonly serialNumber: string;
  /** Of the certificate, SHA-256, hexadecimal digits with colons. */
  readonly fingerprint: string;
  /** ISO 8601. */
  readonly notBefore: string;
  readonly notAfter: string;
  /** Whole days until then, negative once it has expired. */
  readonly daysLeft: number;
}

/** What `new CertificateFiles` throws: `message` is a line for each problem. The code tells it from mistakes of our own. */
export class CertificateFilesError extends Error {
  readonly code = 'ECERTIFICATES';

  constructor(problems: readonly string[]) {
    super(['certificates cannot be used', ...problems].join('\n'));
  }
}

interface Loaded {
  readonly material: TlsMaterial;
  readonly parsed: readonly {
    readonly file: string;
    readonly names: readonly string[];
    readonly own: X509Certificate;
  }[];
}

export class CertificateFiles {
  readonly #config: Config['tls'];
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #files: readonly string[];
  #read: readonly string[];
  #seen: readonly string[];
  #loaded: Loaded;
  #timer: NodeJS.Timeout | undefined;
  #onChange: (material: TlsMaterial) => void = () => undefined;
  /** What was wrong with the files at the last reload; null: nothing. */
  #problem: string | null = null;
  reloads = 0;
  failedReloads = 0;

  /** Reads the files. Throws a CertificateFilesError that says everything that is wrong with them. */
  constructor(config: Config['tls'], log: Logger, now: () => number = Date.now) {
    this.#config = config;
    this.#log = log;
    this.#now = now;
    this.#files = [
      ...config.certificates.flatMap(({ certificate, key }) => [certificate, key]),
      ...(config.authorities === undefined ? [] : [config.authorities]),
    ];
    this.#read = this.#seen = this.#files.map(fingerprintOf);
    const loaded = this.#load();
    if (!('material' in loaded)) throw new CertificateFilesError(loaded);
    this.#loaded = loaded;
    this.#warn();
  }

  get material(): TlsMaterial {
    return this.#loaded.material;
  }

  list(): ListedCertificate[] {
    return this.#loaded.parsed.map(({ file, names, own }) => ({
      file,
      names,
      issuer: own.issuer.replaceAll('\n', ', '),
      serialNumber: own.serialNumber,
      fingerprint: own.fingerprint256,
      notBefore: own.validFromDate.toISOString(),
      notAfter: own.validToDate.toISOString(),
      daysLeft: Math.floor((own.validToDate.getTime() - this.#now()) / DAY_MS),
    }));
  }

  /** Calls `onChange` whenever the files have changed and are fine. */
  watch(onChange: (material: TlsMaterial) => void): void {
    this.#onChange = onChange;
    if (this.#files.length === 0) return;
    this.#timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Reads the files now, if they have changed, whether they are settled or not. */
  reload(): { readonly isChanged: boolean; readonly problem: string | null } {
    const before = this.reloads;
    this.#look(true);
    return { isChanged: this.reloads > before, problem: this.#problem };
  }

  /** Looks at the files once. */
  look(): void {
    this.#look(false);
  }

  #look(isNow: boolean): void {
    const now = this.#files.map(fingerprintOf);
    const isChanged = now.some((fingerprint, i) => fingerprint !== this.#read[i]);
    const isSettled = isNow || now.every((fingerprint, i) => fingerprint === this.#seen[i]);
    this.#seen = now;
    if (!isChanged || !isSettled) return;
    this.#read = now;
    const loaded = this.#load();
    this.#problem = 'material' in loaded ? null : loaded.join('; ');
    if (!('material' in loaded)) {
      this.failedReloads++;
      this.#log.warn(`certificates changed and cannot be used, so those of before stay: ${this.#problem}`);
      return;
    }
    this.reloads++;
    this.#loaded = loaded;
    this.#onChange(loaded.material);
    this.#log.info({ certificates: loaded.parsed.length, reloads: this.reloads }, 'certificates changed: exchanged');
    this.#warn();
  }

  /** Or what is wrong, a line each. */
  #load(): Loaded | string[] {
    const problems: string[] = [];
    const certificates: TlsCertificate[] = [];
    const parsed: Loaded['parsed'][number][] = [];
    for (const entry of this.#config.certificates) {
      const loaded = loadPair(entry);
      if (typeof loaded === 'string') problems.push(loaded);
      else {
        certificates.push(loaded.certificate);
        parsed.push({ file: entry.certificate, names: loaded.certificate.names, own: loaded.own });
      }
    }
    const authorities = this.#config.authorities === undefined ? null : loadAuthorities(this.#config.authorities);
    if (authorities !== null && typeof authorities !== 'string') problems.push(authorities.problem);
    if (problems.length > 0) return problems;
    return { material: { certificates, authorities: authorities as string | null }, parsed };
  }

  #warn(): void {
    for (const { file, notAfter, notBefore, daysLeft } of this.list()) {
      if (daysLeft < 0) this.#log.warn({ file, notAfter }, 'a certificate has expired');
      else if (daysLeft < WARNING_DAYS) this.#log.warn({ file, notAfter, daysLeft }, 'a certificate expires soon');
      if (Date.parse(notBefore) > this.#now()) this.#log.warn({ file, notBefore }, 'a certificate is not valid yet');
    }
  }
}

/** A certificate with its key, or what is wrong with them. */
function loadPair({ certificate: file, key: keyFile, names }: Config['tls']['certificates'][number]) {
  const chain = readText(file);
  if (typeof chain !== 'string') return chain.problem;
  const key = readText(keyFile);
  if (typeof key !== 'string') return key.problem;
  let own: X509Certificate;
  try {
    own = new X509Certificate(chain);
  } catch {
    return `${file}: there is no certificate in it (PEM)`;
  }
  try {
    if (!own.checkPrivateKey(createPrivateKey(key))) return `${keyFile} is not the key of ${file}`;
  } catch {
    return `${keyFile}: there is no private key in it that can be read without a passphrase (PEM)`;
  }
  try {
    createSecureContext({ cert: chain, key });
  } catch (error) {
    return `${file}: ${(error as Error).message}`;
  }
  const ownNames = names.length > 0 ? names : sipIdentities(own);
  return { certificate: { chain, key, names: ownNames.map((name) => name.toLowerCase()) }, own };
}

function loadAuthorities(file: string): string | { readonly problem: string } {
  const text = readText(file);
  if (typeof text !== 'string') return text;
  const certificates = text.match(CERTIFICATE) ?? [];
  try {
    for (const pem of certificates) new X509Certificate(pem);
  } catch (error) {
    return { problem: `${file}: ${(error as Error).message}` };
  }
  return certificates.length > 0 ? text : { problem: `${file}: there is no certificate in it (PEM)` };
}

function readText(file: string): string | { readonly problem: string } {
  try {
    return readFileSync(file, 'latin1');
  } catch (error) {
    return { problem: `${file}: cannot be read (${(error as NodeJS.ErrnoException).code})` };
  }
}

function fingerprintOf(file: string): string {
  try {
    const { dev, ino, size, mtimeMs } = statSync(file);
    return `${dev}:${ino}:${size}:${mtimeMs}`;
  } catch {
    return MISSING; // why, the reading says
  }
}
