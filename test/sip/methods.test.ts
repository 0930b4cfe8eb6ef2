import { describe, expect, it } from 'vitest';
import { METHOD, METHOD_NAMES, methodIdOf } from '../../src/sip/methods.ts';
import { bytes, place } from './arena-text.ts';

describe('7.1 Method', () => {
  it('knows every method of the table', () => {
    for (const [name, id] of Object.entries(METHOD)) {
      if (id === METHOD.OTHER) continue;
      expect(idOf(name)).toBe(id);
      expect(METHOD_NAMES[id]).toBe(name);
    }
  });

  it.each(['invite', 'Invite', 'INVITES', 'INVIT', 'IN', '', 'ACKACK', 'XNVITE', 'INVITX', 'SUBSCRIBESUBSCRIBE'])(
    'takes %o for another method',
    (text) => {
      expect(idOf(text)).toBe(METHOD.OTHER);
    },
  );
});

function idOf(text: string): number {
  const { start, end } = place(text);
  return methodIdOf(bytes, start, end);
}
