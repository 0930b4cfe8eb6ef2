/** A certificate authority for tests, in a temporary folder: made by openssl when it is needed. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface IssuedCertificate {
  /** Names of files, PEM. */
  readonly certificate: string;
  readonly key: string;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const YEAR_DAYS = 365;

export class Authority {
  readonly folder = mkdtempSync(join(tmpdir(), 'strowger-authority-'));
  /** The authority's own certificate. */
  readonly file = join(this.folder, 'authority.pem');
  readonly #key = join(this.folder, 'authority.key');

  constructor(name = 'Test Authority') {
    const subject = ['-subj', `/CN=${name}`, '-days', String(YEAR_DAYS)];
    openssl('req', '-x509', ...KEY, '-keyout', this.#key, '-out', this.file, ...subject);
  }

  get pem(): string {
    return readFileSync(this.file, 'latin1');
  }

  /** `names` as a subjectAltName has them: `DNS:a.example`, `URI:sip:a.example`. `days` from now on; negative: it has expired. */
  issue(file: string, names: readonly string[], { days = YEAR_DAYS, commonName = 'server' } = {}): IssuedCertificate {
    const at = (ending: string) => join(this.folder, `${file}.${ending}`);
    openssl('req', ...KEY, '-keyout', at('key'), '-out', at('csr'), '-subj', `/CN=${commonName}`);
    writeFileSync(at('ext'), names.length > 0 ? `subjectAltName=${names.join(',')}` : 'basicConstraints=CA:FALSE');
    const by = ['-CA', this.file, '-CAkey', this.#key, '-CAcreateserial'];
    openssl('x509', '-req', '-in', at('csr'), ...by, '-out', at('pem'), '-days', String(days), '-extfile', at('ext'));
    return { certificate: at('pem'), key: at('key') };
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function readPair({ certificate, key }: IssuedCertificate): { readonly cert: string; readonly key: string } {
  return { cert: readFileSync(certificate, 'latin1'), key: readFileSync(key, 'latin1') };
}

function openssl(...args: string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
