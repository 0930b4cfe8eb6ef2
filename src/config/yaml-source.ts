/** A configuration file: its text, what it says, and where it says it. Cold. */

import { closeSync, openSync, readSync } from 'node:fs';
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { sayErrno } from './file-error.ts';

/** A configuration of 10,000 domains is a tenth of this. */
const MAX_FILE_BYTES = 4 * 1024 * 1024;

export interface Source {
  readonly text: string;
  readonly value: unknown;
  /** `FILE:LINE:COLUMN` of the value at `path`, or of the nearest thing above it. With `key`: of that key in it. */
  placeOf(path: readonly PropertyKey[], key?: string): string;
}

/** The file's content, or what is wrong with it, a line each. Throws nothing. */
export function readYamlFile(file: string): Source | string[] {
  const read = readText(file);
  return typeof read === 'string' ? [`${file}: ${read}`] : parseYaml(read.text, file);
}

/** The same for a text; `name` stands for the file in places. */
export function parseYaml(text: string, name: string): Source | string[] {
  const lines = new LineCounter();
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${name}:${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  try {
    const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
    const faults = [...document.errors, ...document.warnings];
    if (faults.length > 0)
      return faults.map((fault) => `${place(fault.pos[0])}: ${sayYaml(fault.code, fault.message)}`);
    if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
      return [`${name}: has no settings in it; leave the file out for the defaults, or see docs/configuration.md`];
    }
    const root: Node = document.contents;
    return {
      text,
      value: document.toJS({ maxAliasCount: 100 }),
      placeOf: (path, key) => place(offsetOf(root, path, key)),
    };
  } catch (error) {
    // What the parser reports only while it builds the values: aliases to nowhere, or too many of them.
    return [`${name}: ${error instanceof Error ? error.message : String(error)}`];
  }
}

function sayYaml(code: string, message: string): string {
  if (code === 'DUPLICATE_KEY') return 'this key is there twice';
  if (code === 'TAB_AS_INDENT') return 'YAML does not indent with tabs; use spaces';
  if (code === 'MULTIPLE_DOCS') return 'a second document begins here; a configuration is one document';
  return `not valid YAML: ${message}`;
}

function offsetOf(root: Node, path: readonly PropertyKey[], key: string | undefined): number {
  let node: Node | null = resolved(root, root);
  let offset = node?.range?.[0] ?? 0;
  const steps = key === undefined ? path : [...path, key];
  for (const [i, step] of steps.entries()) {
    let next: unknown = null;
    if (isSeq(node) && typeof step === 'number') next = node.items[step];
    if (isMap(node)) {
      const pair = node.items.find((item) => String(isScalar(item.key) ? item.key.value : item.key) === String(step));
      next = pair?.value;
      const isWanted = key !== undefined && i === steps.length - 1;
      const keyNode = pair?.key as Node | undefined;
      if (isWanted || next === null || (isScalar(next) && next.value === null)) offset = keyNode?.range?.[0] ?? offset;
    }
    if (next === null || next === undefined) return offset;
    if (key !== undefined && i === steps.length - 1) return offset;
    const found = next as Node;
    if (!(isScalar(found) && found.value === null)) offset = found.range?.[0] ?? offset;
    node = resolved(found, root);
  }
  return offset;
}

/** The node itself, or the one its alias stands for. */
function resolved(node: Node, root: Node): Node | null {
  if (!isAlias(node)) return node;
  let target: Node | null = null;
  const seen = new Set<unknown>();
  const visit = (candidate: unknown): void => {
    if (candidate === null || typeof candidate !== 'object' || seen.has(candidate)) return;
    seen.add(candidate);
    if ((isMap(candidate) || isSeq(candidate) || isScalar(candidate)) && candidate.anchor === node.source) {
      target = candidate;
    }
    if (isMap(candidate)) for (const pair of candidate.items) visit(pair.value);
    if (isSeq(candidate)) for (const item of candidate.items) visit(item);
  };
  visit(root);
  return target;
}

function readText(file: string): { text: string } | string {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (error) {
    return sayErrno(error);
  }
  try {
    const buffer = Buffer.allocUnsafe(MAX_FILE_BYTES + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(descriptor, buffer, length, buffer.length - length, null);
    }
    if (length > MAX_FILE_BYTES) return `is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB: not a configuration`;
    if (length === 0) return 'is empty; leave the file out for the defaults, or see docs/configuration.md';
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length)) };
  } catch (error) {
    return error instanceof TypeError ? 'is not UTF-8 text' : sayErrno(error);
  } finally {
    closeSync(descriptor);
  }
}
