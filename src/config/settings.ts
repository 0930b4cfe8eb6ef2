/** The schema as a tree of settings: what the reference page prints, what error lines quote, what typos are compared
 *  with. Walks zod's definitions once, at import. Cold. */

import type * as z from 'zod';
import { type About, aboutSettings, configSchema } from './schema.ts';

export interface Setting {
  /** As written in messages, e.g. `listen[].dscp`; empty for the whole configuration. */
  readonly path: string;
  readonly about: About | null;
  /** The accepted values in words; null for maps. */
  readonly accepted: string | null;
  /** The words an enumeration accepts, else empty. */
  readonly words: readonly string[];
  /** As the user would write it; undefined when there is none. */
  readonly defaultValue: unknown;
  readonly keys: ReadonlyMap<string, Setting>;
  readonly element: Setting | null;
}

// The few fields of zod's definitions that are read here; zod documents `_zod.def` for libraries that walk schemas.
interface Definition {
  readonly type: string;
  readonly innerType?: z.ZodType;
  readonly in?: z.ZodType;
  readonly out?: z.ZodType;
  readonly element?: z.ZodType;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly options?: readonly z.ZodType[];
  readonly values?: readonly unknown[];
  readonly entries?: Readonly<Record<string, string>>;
  readonly defaultValue?: unknown;
}

export const configSetting: Setting = describe(configSchema, '');

/** The setting at a path such as ['listen', 0, 'dscp'], or the nearest one above it. */
export function settingAt(path: readonly PropertyKey[]): Setting {
  let setting = configSetting;
  for (const step of path) {
    const next: Setting | null | undefined =
      typeof step === 'number' ? setting.element : setting.keys.get(String(step));
    if (next === null || next === undefined) return setting;
    setting = next;
  }
  return setting;
}

/** Every setting that is not a map, in the order of the schema, entries of lists included. */
export function leafSettings(setting: Setting = configSetting): Setting[] {
  const below = [...setting.keys.values(), ...(setting.element === null ? [] : [setting.element])].flatMap(
    leafSettings,
  );
  return setting.keys.size > 0 ? below : [setting, ...below];
}

function describe(schema: z.ZodType, path: string): Setting {
  let about: About | null = null;
  let defaultValue: unknown;
  let inner = schema;
  for (;;) {
    about ??= aboutSettings.get(inner) ?? null;
    const { type, innerType, in: input, out, defaultValue: given } = definitionOf(inner);
    if (type === 'default' || type === 'prefault') defaultValue ??= given;
    if (innerType !== undefined) inner = innerType;
    else if (type === 'pipe') inner = definitionOf(input!).type === 'transform' ? out! : input!;
    else break;
  }
  const { shape, element } = definitionOf(inner);
  const keys = new Map<string, Setting>();
  for (const [key, value] of Object.entries(shape ?? {})) {
    keys.set(key, describe(value, path === '' ? key : `${path}.${key}`));
  }
  return {
    path,
    about,
    accepted: about?.accepted ?? (shape === undefined ? acceptedBy(inner) : null),
    words: wordsOf(inner),
    defaultValue: shape === undefined ? defaultValue : undefined,
    keys,
    element: element === undefined ? null : describe(element, `${path}[]`),
  };
}

function definitionOf(schema: z.ZodType): Definition {
  return schema._zod.def as unknown as Definition;
}

function acceptedBy(schema: z.ZodType): string | null {
  const { type, options } = definitionOf(schema);
  if (type === 'number') {
    const { minValue, maxValue, format } = schema as z.ZodNumber;
    return `a ${format === 'safeint' ? 'whole ' : ''}number from ${minValue} to ${maxValue}`;
  }
  if (type === 'union') return options!.map(acceptedBy).join(' or ');
  const words = wordsOf(schema);
  return words.length > 0 ? words.join(', ') : null;
}

function wordsOf(schema: z.ZodType): string[] {
  const { type, options, values, entries } = definitionOf(schema);
  if (type === 'boolean') return ['true', 'false'];
  if (type === 'literal') return values!.map(String);
  if (type === 'enum') return Object.values(entries!);
  return type === 'union' ? options!.flatMap(wordsOf) : [];
}
