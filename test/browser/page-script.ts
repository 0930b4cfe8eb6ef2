/** A package of CommonJS modules as one script for a page: no bundler is among what this project depends on. */

import { readFileSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';

const REQUIRE = /\brequire\((['"])([^'"]+)\1\)/g;

/** Declares the global `name`: what `entry`, a package or a file, exports. */
export function scriptOf(entry: string, name: string): string {
  const modules = new Map<string, string>();
  const main = collect(entry, import.meta.filename, modules);
  const texts = [...modules].map(([file, text]) => `${JSON.stringify(file)}: ${text}`);
  return `globalThis.${name} = ((modules) => {
  const loaded = {};
  const load = (file) => {
    if (loaded[file] === undefined) {
      const module = (loaded[file] = { exports: {} });
      modules[file](module, module.exports, load);
    }
    return loaded[file].exports;
  };
  return load(${JSON.stringify(main)});
})({${texts.join(',\n')}});`;
}

/** Adds what `specifier` names in the file `from`, and what that needs. Returns its file. */
function collect(specifier: string, from: string, modules: Map<string, string>): string {
  const file = fileOf(specifier, from);
  if (modules.has(file)) return file;
  modules.set(file, '');
  const text = readFileSync(file, 'utf8');
  if (file.endsWith('.json')) {
    modules.set(file, `(module) => { module.exports = ${text}; }`);
    return file;
  }
  const resolved = text.replace(
    REQUIRE,
    (_, _quote, needed) => `require(${JSON.stringify(collect(needed, file, modules))})`,
  );
  modules.set(file, `(module, exports, require) => {${resolved}\n}`);
  return file;
}

function fileOf(specifier: string, from: string): string {
  const require = createRequire(from);
  // A package may have the name of a module of Node's.
  const wanted = isBuiltin(specifier) && !specifier.startsWith('node:') ? `${specifier}/` : specifier;
  if (wanted.startsWith('.')) return require.resolve(wanted);
  const folder = packageFolder(wanted.replace(/\/$/, ''), from);
  const { browser } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { browser?: unknown };
  return typeof browser === 'string' ? join(folder, browser) : require.resolve(wanted);
}

function packageFolder(name: string, from: string): string {
  for (let folder = dirname(from); ; folder = dirname(folder)) {
    try {
      readFileSync(join(folder, 'node_modules', name, 'package.json'));
      return join(folder, 'node_modules', name);
    } catch (error) {
      if (folder === dirname(folder)) throw error;
    }
  }
}
