/** The files of the live page, as they lie in page/. Main thread, cold: read once, when the admin listener is opened. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';

export interface PageFile {
  readonly type: string;
  readonly etag: string;
  readonly text: string;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

const FOLDER = new URL('page/', import.meta.url);

/** Stands in the page for `assetsVersion`. */
const VERSION_MARK = 'ASSETS_VERSION';

export interface PageFiles {
  /** Changes with any of the files. A page of another version loads itself again. */
  readonly version: string;
  /** By name, e.g. `live.css`. */
  readonly byName: ReadonlyMap<string, PageFile>;
}

export function readPageFiles(): PageFiles {
  const names = readdirSync(FOLDER)
    .filter((name) => TYPES[extname(name)] !== undefined)
    .sort();
  const texts = names.map((name) => readFileSync(new URL(name, FOLDER), 'utf8'));
  const version = digestOf(texts.join('\0'));
  const byName = new Map(
    names.map((name, i): [string, PageFile] => {
      const text = texts[i]!.replaceAll(VERSION_MARK, version);
      return [name, { type: TYPES[extname(name)]!, etag: `"${digestOf(text)}"`, text }];
    }),
  );
  return { version, byName };
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 16);
}
