/** What is in deploy/, parsed. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

export const root = join(import.meta.dirname, '../../../..');

/** Any part of a YAML document. */
export type Yaml = string | number | boolean | null | readonly Yaml[] | { readonly [key: string]: Yaml };

export interface Manifest {
  readonly file: string;
  readonly apiVersion: string;
  readonly kind: string;
  readonly value: Yaml;
}

/** Every YAML file of deploy/, from the root. */
export const yamlFiles: readonly string[] = globSync('deploy/**/*.{yaml,yml}', { cwd: root }).toSorted();

export function read(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

/** The documents of a file. @throws Error for each text that is no YAML, a key given twice among it. */
export function parse(file: string): readonly Yaml[] {
  const documents = parseAllDocuments(read(file), { merge: true });
  if (!Array.isArray(documents)) throw new Error(`${file} is empty`);
  for (const { errors, warnings } of documents) for (const problem of [...errors, ...warnings]) throw problem;
  return documents.map((document) => document.toJS() as Yaml);
}

/** The value at a path of keys and places. @throws Error if there is none. */
export function at(value: Yaml, ...path: readonly (string | number)[]): Yaml {
  let here: Yaml | undefined = value;
  for (const key of path) {
    here = typeof here === 'object' && here !== null ? (here as Record<string | number, Yaml>)[key] : undefined;
    if (here === undefined) throw new Error(`There is no ${path.join('.')}`);
  }
  return here;
}

/** The list at a path. */
export function listAt(value: Yaml, ...path: readonly (string | number)[]): readonly Yaml[] {
  const list = at(value, ...path);
  if (!Array.isArray(list)) throw new Error(`${path.join('.')} is no list`);
  return list;
}

/** Names and texts at a path. */
export function textsAt(value: Yaml, ...path: readonly (string | number)[]): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(at(value, ...path) as Record<string, Yaml>).map(([k, v]) => [k, `${v}`]));
}

/** Every Kubernetes object of deploy/kubernetes. */
export const manifests: readonly Manifest[] = yamlFiles
  .filter((file) => file.startsWith('deploy/kubernetes/'))
  .flatMap((file) =>
    parse(file).map((value) => ({
      file,
      apiVersion: String(at(value, 'apiVersion')),
      kind: String(at(value, 'kind')),
      value,
    })),
  );

/** The only object of a kind, or that with a name. */
export function manifest(kind: string, name = 'carepro-chat'): Yaml {
  const found = manifests.filter((each) => each.kind === kind && at(each.value, 'metadata', 'name') === name);
  const [only] = found;
  if (only === undefined || found.length > 1) throw new Error(`${found.length} of ${kind} ${name}, not one`);
  return only.value;
}

/** Every key of a value, at any depth. */
export function keysOf(value: Yaml): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(keysOf);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [key, ...keysOf(inner)]);
}
