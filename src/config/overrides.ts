/** What the command line says over the file: the everyday flags, and `--set path=value` for any other setting. Cold. */

import { settingAt } from './settings.ts';
import { parseYaml } from './yaml-source.ts';

/** Flags as the command line gives them: text, unchecked. */
export interface Flags {
  readonly mode?: string | undefined;
  readonly listen?: readonly string[] | undefined;
  readonly workers?: string | undefined;
  readonly domain?: readonly string[] | undefined;
  readonly nextHop?: readonly string[] | undefined;
  readonly trusted?: readonly string[] | undefined;
  readonly control?: string | undefined;
  readonly admin?: string | undefined;
}

/** Each flag's name on the command line and the setting it stands for. */
export const FLAG_SETTINGS: { readonly [flag in keyof Required<Flags>]: { name: string; path: readonly string[] } } = {
  mode: { name: '--mode', path: ['mode'] },
  listen: { name: '--listen', path: ['listen'] },
  workers: { name: '--workers', path: ['workers'] },
  domain: { name: '--domain', path: ['domains'] },
  nextHop: { name: '--next-hop', path: ['nextHops'] },
  trusted: { name: '--trusted', path: ['trusted'] },
  control: { name: '--control', path: ['control', 'socket'] },
  admin: { name: '--admin', path: ['admin', 'listen'] },
};

export type Path = readonly (string | number)[];

export interface Override {
  /** What to blame in messages, e.g. `--listen` or `--set dispatcher.nap`. */
  readonly place: string;
  readonly path: Path;
  readonly value: unknown;
}

export function flagOverrides(flags: Flags): Override[] {
  const overrides: Override[] = [];
  for (const [flag, { name, path }] of Object.entries(FLAG_SETTINGS)) {
    const given = flags[flag as keyof Flags];
    if (given === undefined) continue;
    const isNumber = flag === 'workers' && typeof given === 'string' && /^\d+$/.test(given);
    overrides.push({ place: name, path, value: isNumber ? Number(given) : given });
  }
  return overrides;
}

/** One `--set`, or what is wrong with it. */
export function setOverride(text: string): Override | string {
  const equals = text.indexOf('=');
  if (equals < 1) return `--set ${text}: write --set path=value, e.g. --set dispatcher.nap=off`;
  const written = text.slice(0, equals);
  const place = `--set ${written}`;
  const path = parsePath(written);
  if (path === null) return `${place}: not a path; write it like dispatcher.nap or domains[0].name`;
  const valueText = text.slice(equals + 1);
  if (valueText.trim() === '') return { place, path, value: '' };
  const parsed = parseYaml(valueText, 'value');
  if (!Array.isArray(parsed)) return { place, path, value: parsed.value };
  const isNull = /^\s*(~|null)\s*(#.*)?$/i.test(valueText);
  return isNull ? { place, path, value: null } : `${place}: ${parsed[0]!.replace(/^value:\d+:\d+: /, '')}`;
}

/** `raw` with the override applied; `raw` itself is left as it is. A string: why it cannot be applied. */
export function applyOverride(raw: unknown, { place, path, value }: Override): { value: unknown } | string {
  return replaceAt(raw, path, 0, value, place);
}

function replaceAt(
  raw: unknown,
  path: Path,
  depth: number,
  value: unknown,
  place: string,
): { value: unknown } | string {
  if (depth === path.length) return { value };
  const step = path[depth]!;
  const container = openContainer(raw, path, depth);
  if (container === null) {
    return `${place}: ${formatPath(path.slice(0, depth))} is not a ${typeof step === 'number' ? 'list' : 'map'}`;
  }
  if (Array.isArray(container) && (step as number) > container.length) {
    const list = formatPath(path.slice(0, depth));
    return `${place}: there is no ${list}[${step}] to change or append; file and flags give ${container.length} of them`;
  }
  const child = Object.hasOwn(container, step) ? (container as Record<PropertyKey, unknown>)[step] : undefined;
  const replaced = replaceAt(child, path, depth + 1, value, place);
  if (typeof replaced === 'string') return replaced;
  // Not by assignment: a key called __proto__ must become an unknown key like any other.
  Object.defineProperty(container, step, {
    value: replaced.value,
    enumerable: true,
    writable: true,
    configurable: true,
  });
  return { value: container };
}

/** A copy of the list or map at path[0, depth), made when it is missing; null when something else is there. */
function openContainer(raw: unknown, path: Path, depth: number): object | null {
  if (typeof path[depth] === 'number') {
    if (raw === undefined || raw === null) return [];
    return Array.isArray(raw) ? [...raw] : null;
  }
  if (raw === undefined || raw === null) return {};
  const shorthand = settingAt(path.slice(0, depth)).about?.shorthand;
  if (typeof raw === 'string' && shorthand !== undefined) return { [shorthand]: raw };
  return typeof raw === 'object' && !Array.isArray(raw) ? { ...raw } : null;
}

/** `domains[0].name` → ['domains', 0, 'name']; null when it is no path. */
function parsePath(text: string): Path | null {
  if (!/^[^.[\]\s]+(\[\d{1,6}\])*(\.[^.[\]\s]+(\[\d{1,6}\])*)*$/.test(text)) return null;
  return text
    .split('.')
    .flatMap((part) => part.split('['))
    .map((step) => (step.endsWith(']') ? Number(step.slice(0, -1)) : step));
}

export function formatPath(path: readonly PropertyKey[]): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else text += (text === '' ? '' : '.') + String(step);
  }
  return text;
}
