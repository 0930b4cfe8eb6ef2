/** Markup that cannot be broken out of: what is put into a `markup` template is escaped, unless it is markup itself. Cold. */

/** Text that is HTML or SVG already. */
export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

/** Null, undefined and false leave nothing; lists are joined without anything between. */
export type Insert = string | number | Markup | null | undefined | false | readonly Insert[];

/** `markup\`<p title="${title}">${text}</p>\``: safe in text and in attributes with double quotes, nowhere else. */
export function markup(strings: TemplateStringsArray, ...inserts: readonly Insert[]): Markup {
  return new Markup(strings.reduce((text, string, i) => text + insertText(inserts[i - 1]) + string));
}

function insertText(insert: Insert): string {
  if (insert === null || insert === undefined || insert === false) return '';
  if (insert instanceof Markup) return insert.text;
  if (typeof insert === 'object') return insert.map(insertText).join('');
  return escapeMarkup(String(insert));
}

export function escapeMarkup(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')
    .replace(UNPRINTABLE, '\ufffd');
}

/** Control characters and halves of surrogate pairs: neither HTML nor XML allows them in a document, even as references. */
const UNPRINTABLE = /(?![\t\n\r])[\p{Cc}\p{Cs}\ufffe\uffff]/gu;

/** JSON for a script element of type application/json: `</script>` and `<!--` cannot occur in it, and it reads back equal. */
export function embeddedJson(value: unknown): Markup {
  return new Markup(embeddedText(JSON.stringify(value)));
}

function embeddedText(json: string): string {
  return json.replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}
