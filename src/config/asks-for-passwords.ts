/** Whether users have to prove who they are. Any thread, cold. */

import type { Config } from './schema.ts';

/** True if some domain asks for passwords, by whatever method. */
export function asksForPasswords({ domains }: Pick<Config, 'domains'>): boolean {
  return domains.some(({ authenticate }) => authenticate.length > 0);
}
