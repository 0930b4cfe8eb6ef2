/** A configuration as a file would write it, for who wants to see the one that runs: whole, or what differs from the defaults,
 *  without secrets. Cold. */

import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { ListenPoint } from './listen-point.ts';
import { type Config, configSchema } from './schema.ts';
import { configSetting, type Setting } from './settings.ts';

export type Written = { readonly [key: string]: unknown };

export const MASK = '***';

/** Plain JSON by the keys of the schema: read again, it is the same configuration. */
export function writtenConfig(config: Config): Written {
  const { listen } = config;
  const entries = listen.flatMap((point, i) => {
    if (point.hasPortOfPrevious) return [];
    return [writtenEntry(point, listen[i + 1]?.hasPortOfPrevious === true)];
  });
  return { ...config, listen: entries };
}

/** `isForBoth`: the entry names no transport, and stands for a TCP point too. */
function writtenEntry({ text, advertisedHost, advertisedPort, dscp }: ListenPoint, isForBoth: boolean): Written {
  const advertise = advertisedPort === null ? advertisedHost : `${advertisedHost}:${advertisedPort}`;
  const address = isForBoth ? text.replace(/^udp:/, '') : text;
  return { address, ...(advertise === null ? {} : { advertise }), dscp };
}

/** The same with MASK in place of secrets. */
export function withoutSecrets(written: Written): Written {
  return mapSetting(configSetting, written, (value, setting) => maskOf(setting, value)) as Written;
}

/** A value as it may be shown: a secret is masked, of a URL its password. */
export function maskOf({ about }: Setting, value: unknown): unknown {
  if (about?.secret === undefined || typeof value !== 'string') return value;
  return about.secret === 'whole' ? MASK : value.replace(/^([a-z]+:\/\/[^:/@]*):[^/@]*@/i, `$1:${MASK}@`);
}

/** What is not as it would be without being written. */
export function withoutDefaults(written: Written): Written {
  const preset = writtenConfig(configSchema.parse({}));
  return (prune(configSetting, written, preset) ?? {}) as Written;
}

/** undefined: as the default has it. */
function prune(setting: Setting, value: unknown, preset: unknown): unknown {
  if (isDeepStrictEqual(value, preset)) return undefined;
  if (isMap(value) && setting.keys.size > 0) {
    const presets = isMap(preset) ? preset : {};
    const entries = Object.entries(value).flatMap(([key, inner]) => {
      const below = setting.keys.get(key);
      const left = below === undefined ? inner : prune(below, inner, presets[key] ?? below.defaultValue);
      return left === undefined ? [] : [[key, left]];
    });
    return Object.fromEntries(entries);
  }
  if (!Array.isArray(value) || setting.element === null) return value;
  const { element } = setting;
  return value.map((entry) => briefEntry(element, entry));
}

/** An entry of a list as most people would write it: without defaults, and `example.org` in place of `name: example.org`. */
export function briefEntry(element: Setting, entry: unknown): unknown {
  if (!isMap(entry)) return entry;
  const left = prune(element, entry, undefined) as Written;
  const shorthand = element.about?.shorthand;
  const isShort = shorthand !== undefined && Object.keys(left).join() === shorthand;
  return isShort ? left[shorthand] : left;
}

/** Tells configurations apart, secrets left out: 12 hexadecimal digits, the same on all machines. */
export function fingerprintOf(config: Config): string {
  const text = JSON.stringify(withoutSecrets(writtenConfig(config)));
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

/** A copy with `map` applied to every value that is no map and no list, or of which the schema knows no more. */
function mapSetting(setting: Setting, value: unknown, map: (value: unknown, setting: Setting) => unknown): unknown {
  if (isMap(value) && setting.keys.size > 0) {
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => {
        const below = setting.keys.get(key);
        return [key, below === undefined ? inner : mapSetting(below, inner, map)];
      }),
    );
  }
  const { element } = setting;
  if (Array.isArray(value) && element !== null) return value.map((entry) => mapSetting(element, entry, map));
  return map(value, setting);
}

export function isMap(value: unknown): value is Written {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
