/** The import rule between folders (docs/architecture.md, "Layout"): each may import only what its row names. */
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '..');

/** Folder → folders it may import, besides itself. The first row whose folder is a prefix of the file counts. */
type Rule = readonly [folder: string, allowed: readonly string[]];

const RULES: readonly Rule[] = [
  ['src/core', ['src/time']],
  ['src/time', []],
  ['src/bridge/signalr/endpoint', ['src/time']],
  ['src/bridge/signalr/protocol', []],
  ['src/bridge/signalr/hub', ['src/bridge/signalr/endpoint', 'src/bridge/signalr/protocol', 'src/time']],
  ['src/bridge', ['src/core', 'src/time', 'src/bridge/signalr']],
  ['src/rpc', ['src/core', 'src/time', 'gen']],
  ['src/store', ['src/core', 'src/time']],
  ['src/broker', ['src/core', 'src/time']],
  ['src/auth', ['src/core', 'src/time']],
  ['src/http', ['src/time']],
  ['src/ops', ['src/core', 'src/time']],
  ['src/config', ['src/core']],
  ['src/config.ts', ['src/config', 'src/core']],
  ['src/cli', ['src/config.ts', 'src/config', 'src/auth', 'src/store', 'src/core', 'src/time']],
  ['src/compose', ['src']],
  ['src/compose.ts', ['src']],
  ['src/main.ts', ['src']],
];

/** Packages that only the named folders may import. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  ws: ['src/bridge/signalr/endpoint'],
  '@msgpack/msgpack': ['src/bridge/signalr/protocol'],
  jose: ['src/auth'],
  mongodb: ['src/store/mongo'],
  pino: ['src/ops'],
  'prom-client': ['src/ops'],
  redis: ['src/broker/redis'],
  zod: ['src/config', 'src/config.ts'],
  '@bufbuild/protobuf': ['src/rpc'],
  '@connectrpc/connect': ['src/rpc'],
  '@connectrpc/connect-node': ['src/rpc'],
};

interface Import {
  readonly file: string;
  readonly target: string;
}

const sources = globSync('src/**/*.ts', { cwd: root }).map((file) => file.split(sep).join('/'));

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const specifiers = [
    ...text.matchAll(/(?:^|\n)(?:import|export)\b[^;]*?from '([^']+)'|\bimport\('([^']+)'\)|(?:^|\n)import '([^']+)'/g),
  ];
  return specifiers.map((match) => {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    const target = specifier.startsWith('.')
      ? relative(root, normalize(join(root, dirname(file), specifier)))
          .split(sep)
          .join('/')
      : specifier;
    return { file, target };
  });
}

const within = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);

const imports = sources.flatMap(importsOf);

describe('The import rule', () => {
  test('every source file belongs to a row of the table', () => {
    const homeless = sources.filter((file) => !RULES.some(([folder]) => within(file, folder)));
    expect(homeless).toEqual([]);
    expect(imports.length).toBeGreaterThan(100);
  });

  test('folders import only what their row names', () => {
    const broken = imports.filter(({ file, target }) => {
      if (!within(target, 'src') && !within(target, 'gen')) return false;
      const rule = RULES.find(([folder]) => within(file, folder));
      if (rule === undefined) return true;
      const [folder, allowed] = rule;
      if (within(target, folder)) return false;
      return !allowed.some((prefix) => within(target, prefix));
    });
    expect(broken).toEqual([]);
  });

  test('packages are imported only where their concern lives', () => {
    const broken = imports.filter(({ file, target }) => {
      const name = target.startsWith('@') ? target.split('/').slice(0, 2).join('/') : (target.split('/')[0] ?? '');
      const homes = PACKAGES[name];
      if (homes !== undefined) return !homes.some((folder) => within(file, folder));
      return !target.startsWith('node:') && !within(target, 'src') && !within(target, 'gen');
    });
    expect(broken).toEqual([]);
  });
});
