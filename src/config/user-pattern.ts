/** Users of a domain as the configuration names them: by name, or by a pattern between slashes. Cold. */

/** The longest user part that is compared with anything, its escapes undone; a longer one is no user of ours. Keeps the
 *  time that a pattern takes within bounds. */
export const MAX_USER_BYTES = 256;

/** null when `text` can name a user or is a pattern, else a sentence that says why not. */
export function userProblem(text: string): string | null {
  if (text === '') return 'is empty';
  if (text.startsWith('/')) {
    const pattern = patternOf(text);
    return typeof pattern === 'string' ? pattern : null;
  }
  const shown = JSON.stringify(text);
  if (/^sips?:/i.test(text)) return `${shown}: write the user part of the URI alone`;
  if (text.includes('@')) return `${shown}: a user has no domain; an @ within a name goes into a pattern`;
  if (/%[0-9a-f]{2}/i.test(text)) return `${shown}: write what the escape stands for`;
  if (/[\p{White_Space}\p{Control}\p{Surrogate}]/u.test(text)) return `${shown} is not a user name`;
  const isTooLong = new TextEncoder().encode(text).length > MAX_USER_BYTES;
  return isTooLong ? `a user name longer than ${MAX_USER_BYTES} bytes` : null;
}

/** The regular expression that matches a whole user part, or what is wrong with the pattern. `text` begins with "/". */
export function patternOf(text: string): RegExp | string {
  const shown = JSON.stringify(text);
  const end = text.lastIndexOf('/');
  if (end === 0) return `${shown}: a pattern ends with a slash too`;
  if (end < text.length - 1)
    return `${shown}: nothing may follow the closing slash of a pattern; flags are not accepted`;
  const source = text.slice(1, -1);
  if (source === '') return `${shown} is an empty pattern`;
  try {
    // Alone first: "a)(b" would pass within the group.
    new RegExp(source);
    const whole = new RegExp(`^(?:${source})$`);
    // Compiles it: one that is too large fails here and not at the first call.
    whole.test('');
    return whole;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `${shown} is not a pattern: ${reason.slice(reason.lastIndexOf(': ') + 1).trim()}`;
  }
}
