/** The files that the tidy tests read: everything git would track, whether committed yet or not. */

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const root = join(import.meta.dirname, '..', '..');

export interface SourceFile {
  /** From the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

const SKIPPED_FOLDERS = ['node_modules', 'dist', 'build', 'coverage', 'crashes', '.git'];

/** Files that match any of the globs, sorted by path. */
export function readSourceFiles(...globs: string[]): SourceFile[] {
  const paths = globSync(globs, { cwd: root, exclude: (path) => SKIPPED_FOLDERS.includes(path) }).sort();
  return paths.map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }));
}

/** Line number, from 1, of the character at `index`. */
export function lineOf(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}
