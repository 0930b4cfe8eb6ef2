/** Web pages that may connect by WebSocket: their origins, as a browser says them in its Origin header (RFC 6454 6.2, RFC 6455 10.2).
 *  Cold. */

/** Stands for requests without an Origin, which come from no browser. */
export const NO_ORIGIN = 'none';

const ORIGIN = /^([a-z][a-z\d+.-]*):\/\/(\*\.)?([^/?#@*\s]+)$/i;

/** What is wrong with an entry of the list; null: nothing. */
export function originProblem(text: string): string | null {
  const shown = JSON.stringify(text);
  if (text === NO_ORIGIN) return null;
  const match = ORIGIN.exec(text);
  if (match === null) return `${shown} is not an origin: a scheme, a host and, if need be, a port`;
  const [, scheme, , host] = match;
  if (!URL.canParse(`${scheme}://${host}`)) return `${shown}: ${JSON.stringify(host)} is not a host`;
  return null;
}

export class Origins {
  readonly #exact: ReadonlySet<string>;
  /** Scheme and what the host ends with. */
  readonly #below: readonly { readonly scheme: string; readonly ending: string }[];

  /** An empty list: all may. */
  constructor(list: readonly string[]) {
    const entries = list.map((entry) => entry.toLowerCase());
    this.#exact = new Set(entries.filter((entry) => !entry.includes('*')).map(withoutDefaultPort));
    this.#below = entries
      .filter((entry) => entry.includes('*'))
      .map((entry) => {
        const [scheme, rest] = withoutDefaultPort(entry).split('*') as [string, string];
        return { scheme, ending: rest };
      });
  }

  /** `origin`: of the request; undefined: it has none. */
  has(origin: string | undefined): boolean {
    if (this.#exact.size === 0 && this.#below.length === 0) return true;
    if (origin === undefined) return this.#exact.has(NO_ORIGIN);
    const asked = origin.toLowerCase();
    if (asked === NO_ORIGIN) return false;
    return this.#exact.has(asked) || this.#below.some((entry) => isBelow(asked, entry));
  }
}

/** As TLS has it, the asterisk is one label. */
function isBelow(asked: string, { scheme, ending }: { readonly scheme: string; readonly ending: string }): boolean {
  if (!asked.startsWith(scheme) || !asked.endsWith(ending)) return false;
  const label = asked.slice(scheme.length, asked.length - ending.length);
  return label !== '' && !/[./:@]/.test(label);
}

/** Browsers leave it out. */
function withoutDefaultPort(origin: string): string {
  if (origin.startsWith('https:')) return origin.replace(/:443$/, '');
  return origin.startsWith('http:') ? origin.replace(/:80$/, '') : origin;
}
