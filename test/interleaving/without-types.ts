/** Node's `stripTypeScriptTypes`, which warns once that it is experimental: that is no news to a reader of test output. */

import { stripTypeScriptTypes } from 'node:module';

export function withoutTypes(text: string): string {
  const emitWarning = process.emitWarning;
  process.emitWarning = () => {};
  try {
    return stripTypeScriptTypes(text);
  } finally {
    process.emitWarning = emitWarning;
  }
}
