/** What is different between two configurations, setting by setting, and what of it a running server can take over. Cold. */

import { isDeepStrictEqual } from 'node:util';
import type { Config } from './schema.ts';
import { configSetting, type Setting } from './settings.ts';
import { briefEntry, isMap, MASK, maskOf, type Written, writtenConfig } from './written.ts';

/** Changes that are told one by one. */
export const MAX_CHANGES = 1000;
/** Longer values are cut. */
const MAX_SHOWN_CHARS = 120;
/** Longer lists of plain values are compared entry by entry. */
const MAX_WHOLE_LIST = 8;

export interface ConfigChange {
  /** The setting, entries of lists by what they are called: `domains[example.org].nextHops[sip:10.0.0.7].weight`. */
  readonly path: string;
  /** JSON, cut where it is long, without secrets; null: it was not there, or is not there any more. */
  readonly before: string | null;
  readonly after: string | null;
  /** 'live': a reload takes it over. */
  readonly reload: 'live' | 'restart';
}

export interface ConfigChanges {
  readonly changes: readonly ConfigChange[];
  /** Beyond MAX_CHANGES, and not in the list. */
  readonly omitted: number;
}

/** In the order of the schema. */
export function changesBetween(before: Config, after: Config): ConfigChanges {
  const found = new Changes();
  found.compare(configSetting, writtenConfig(before), writtenConfig(after), '');
  return { changes: found.list, omitted: found.omitted };
}

/** `next` with the settings of `running` that only a new start changes: what a running server can have of it. */
export function liveConfig(running: Config, next: Config): Config {
  return takeOver(configSetting, running, next) as Config;
}

/** Whether anything is different at all. */
export function areEqual(one: Config, other: Config): boolean {
  return isDeepStrictEqual(one, other);
}

function takeOver(setting: Setting, running: unknown, next: unknown): unknown {
  if (setting.keys.size > 0 && isMap(running) && isMap(next)) {
    const keys = [...setting.keys.entries()];
    const entries = keys.map(([key, below]) => [key, takeOver(below, running[key], next[key])] as const);
    return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  }
  return reloadOf(setting) === 'live' ? next : running;
}

function reloadOf(setting: Setting): 'live' | 'restart' {
  return setting.about?.reload ?? 'restart';
}

class Changes {
  readonly list: ConfigChange[] = [];
  omitted = 0;

  compare(setting: Setting, before: unknown, after: unknown, path: string): void {
    if (isDeepStrictEqual(before, after)) return;
    if (setting.keys.size > 0 && isMap(before) && isMap(after)) {
      for (const [key, below] of setting.keys) {
        this.compare(below, before[key], after[key], path === '' ? key : `${path}.${key}`);
      }
    } else if (Array.isArray(before) && Array.isArray(after) && setting.element !== null) {
      this.#compareLists(setting, before, after, path);
    } else {
      this.#add(setting, path, before, after);
    }
  }

  #compareLists(setting: Setting, before: readonly unknown[], after: readonly unknown[], path: string): void {
    const element = setting.element!;
    const isPlain = [...before, ...after].every((entry) => !isMap(entry));
    if (isPlain && before.length <= MAX_WHOLE_LIST && after.length <= MAX_WHOLE_LIST) {
      this.#add(setting, path, before, after);
      return;
    }
    const earlier = byName(element, before);
    const later = byName(element, after);
    const foundBefore = this.list.length + this.omitted;
    for (const [name, entry] of earlier) {
      if (!later.has(name)) this.#add(element, `${path}[${name}]`, briefEntry(element, entry), undefined);
      else this.compare(element, entry, later.get(name), `${path}[${name}]`);
    }
    for (const [name, entry] of later) {
      if (!earlier.has(name)) this.#add(element, `${path}[${name}]`, undefined, briefEntry(element, entry));
    }
    if (this.list.length + this.omitted === foundBefore) {
      this.#add(setting, path, [...earlier.keys()], [...later.keys()]);
    }
  }

  #add(setting: Setting, path: string, before: unknown, after: unknown): void {
    if (this.list.length === MAX_CHANGES) {
      this.omitted++;
      return;
    }
    this.list.push({ path, before: shown(setting, before), after: shown(setting, after), reload: reloadOf(setting) });
  }
}

/** Entries by the value of their main key, in their order. */
function byName(element: Setting, entries: readonly unknown[]): Map<string, unknown> {
  const key = element.about?.shorthand;
  return new Map(entries.map((entry) => [String(isMap(entry) && key !== undefined ? entry[key] : entry), entry]));
}

function shown(setting: Setting, value: unknown): string | null {
  if (value === undefined) return null;
  const text = JSON.stringify(masked(setting, value));
  return text.length > MAX_SHOWN_CHARS ? `${text.slice(0, MAX_SHOWN_CHARS - 1)}…` : text;
}

/** Maps without what is not set, secrets masked. */
function masked(setting: Setting, value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map((entry) => (setting.element === null ? entry : masked(setting.element, entry)));
  }
  if (!isMap(value)) return maskOf(setting, value);
  const entries = Object.entries(value as Written).map(([key, inner]) => {
    const below = setting.keys.get(key);
    return [key, below === undefined ? MASK : masked(below, inner)];
  });
  return Object.fromEntries(entries);
}
