/** From file, flags and `--set` to a checked configuration, or to the lines that say what is wrong. Cold; never throws. */

import type * as z from 'zod';
import { nearest } from './nearest.ts';
import { applyOverride, type Flags, flagOverrides, formatPath, type Override, setOverride } from './overrides.ts';
import { type Config, configSchema } from './schema.ts';
import { configSetting, leafSettings, settingAt } from './settings.ts';
import { parseYaml, readYamlFile, type Source } from './yaml-source.ts';

export interface LoadRequest {
  /** A YAML file; without one the embedded defaults are the ground that flags stand on. */
  readonly file?: string | undefined;
  readonly flags?: Flags | undefined;
  /** `path=value` each; they override flags, which override the file. */
  readonly sets?: readonly string[] | undefined;
  /** In place of what the file says. */
  readonly text?: string | undefined;
}

export type Loaded =
  | { readonly config: Config; readonly text: string | null; readonly problems?: undefined }
  | { readonly config?: undefined; readonly text?: undefined; readonly problems: readonly string[] };

/** `text` of the result: what was read from the file. */
export function loadConfig({ file, flags = {}, sets = [], text }: LoadRequest = {}): Loaded {
  const source = sourceOf(file, text);
  if (Array.isArray(source)) return { problems: source };
  const overrides: Override[] = flagOverrides(flags);
  const problems: string[] = [];
  for (const text of sets) {
    const override = setOverride(text);
    if (typeof override === 'string') problems.push(override);
    else overrides.push(override);
  }
  let raw: unknown = source?.value ?? {};
  if (typeof raw !== 'object' || Array.isArray(raw)) {
    return { problems: [`${source!.placeOf([])}: a configuration is a map of settings, such as "mode: stateless"`] };
  }
  for (const override of overrides) {
    const applied = applyOverride(raw, override);
    if (typeof applied === 'string') problems.push(applied);
    else raw = applied.value;
  }
  const parsed = configSchema.safeParse(raw);
  const blame = (path: readonly PropertyKey[], key?: string) => placeOf(path, key, source, overrides);
  if (!parsed.success) problems.push(...sayIssues(parsed.error.issues, raw, blame));
  if (!parsed.success || problems.length > 0) return { problems };
  return { config: parsed.data, text: source?.text ?? null };
}

function sourceOf(file: string | undefined, text: string | undefined): Source | string[] | null {
  if (text !== undefined) return parseYaml(text, file ?? 'configuration');
  return file === undefined ? null : readYamlFile(file);
}

type Blame = (path: readonly PropertyKey[], key?: string) => string;

/** Who said it: the last override that set this value or something in or around it, else the place in the file. */
function placeOf(
  path: readonly PropertyKey[],
  key: string | undefined,
  source: Source | null,
  overrides: readonly Override[],
): string {
  const full = key === undefined ? path : [...path, key];
  const covers = (a: readonly PropertyKey[], b: readonly PropertyKey[]) => a.every((step, i) => step === b[i]);
  const override =
    overrides.findLast((candidate) => covers(candidate.path, full)) ??
    (source === null || valueAt(source.value, full) === undefined
      ? overrides.findLast((candidate) => covers(full, candidate.path))
      : undefined);
  return override?.place ?? source?.placeOf(path, key) ?? 'configuration';
}

/** The problems as lines, in the order of the file. */
function sayIssues(issues: readonly z.core.$ZodIssue[], raw: unknown, blame: Blame): string[] {
  const lines = issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => sayUnknownKey(issue.path, key, blame))
      : [sayIssue(issue, raw, blame)],
  );
  const position = (line: string) => /:(\d+):(\d+): /.exec(line)?.slice(1).map(Number) ?? [Number.MAX_SAFE_INTEGER, 0];
  return [...new Set(lines)].sort((a, b) => {
    const [lineA, columnA] = position(a);
    const [lineB, columnB] = position(b);
    return lineA! - lineB! || columnA! - columnB!;
  });
}

function sayUnknownKey(path: readonly PropertyKey[], key: string, blame: Blame): string {
  const here = [...settingAt(path).keys.keys()];
  const guess = nearest(key, here) ?? settingElsewhere(key) ?? nearest(key, configSetting.keys.keys());
  const hint = guess === null ? ';' : `; did you mean ${guess}?`;
  return `${blame(path, key)}: ${formatPath([...path, key])}: unknown key${hint} accepted here: ${here.join(', ')}`;
}

/** The path of a setting of that name in another map: `nap` on the top level is `dispatcher.nap`. */
function settingElsewhere(key: string): string | null {
  const byName = new Map(leafSettings().map(({ path }) => [path.split('.').at(-1)!, path]));
  const name = nearest(key, byName.keys());
  return name === null ? null : byName.get(name)!;
}

function sayIssue(issue: z.core.$ZodIssue, raw: unknown, blame: Blame): string {
  // A plain string may stand for a map (`listen: [udp:…]`): the path then ends where the value does.
  let path = issue.path;
  while (path.length > 0 && isScalarValue(valueAt(raw, path.slice(0, -1)))) path = path.slice(0, -1);
  const setting = settingAt(issue.path);
  const value = valueAt(raw, path);
  let what = `${show(value)} is not accepted`;
  if (issue.code === 'custom') what = issue.message;
  else if (value === undefined) what = 'is missing';
  else if (value === null) what = 'is empty';
  else if (Array.isArray(value) && issue.code === 'too_small') what = 'is an empty list';
  else if (Array.isArray(value) && issue.code === 'too_big') what = `has more than ${issue.maximum} entries`;
  else if (value === '') what = 'is empty';
  else if (typeof value === 'number' && (issue.code === 'too_small' || issue.code === 'too_big')) {
    what = `${show(value)} is out of range`;
  }
  const guess = typeof value === 'string' && issue.code !== 'custom' ? nearest(value, setting.words) : null;
  const accepted = setting.accepted ?? `a map with ${[...setting.keys.keys()].join(', ')}`;
  const hint = guess === null ? '' : `; did you mean ${guess}?`;
  const where = path.length === 0 ? '' : `${formatPath(path)}: `;
  const said = `${where}${what}${hint}`;
  return `${blame(path)}: ${said}${said.endsWith('?') ? '' : ';'} accepted: ${accepted}`;
}

function isScalarValue(value: unknown): boolean {
  return value !== undefined && (value === null || typeof value !== 'object');
}

function valueAt(raw: unknown, path: readonly PropertyKey[]): unknown {
  let value = raw;
  for (const step of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, step)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[step];
  }
  return value;
}

/** A value as messages quote it. */
function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (Array.isArray(value)) return 'a list';
  return value !== null && typeof value === 'object' ? 'a map' : String(value);
}
