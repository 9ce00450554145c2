/** What the page about deployment says is so. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { SCHEMA } from '../../../src/config/schema.ts';
import type { Setting } from '../../../src/config/setting.ts';
import { COLLECTION_NAMES, declarationOf } from '../../../src/store/mongo/schema.ts';
import { read, root } from './support/files.ts';

const page = read('docs/deployment.md');
const settings = Object.values(SCHEMA).flatMap((section) => Object.values<Setting<unknown>>(section));
/** Variables of compose.yaml and haproxy.cfg, not of the server. */
const OF_COMPOSE = ['CHAT_3', 'PUBLISH_TLS', 'TLS_PEM'];

describe('The page about deployment', () => {
  it('tells the shard key of each collection that has one', () => {
    const told = [...page.matchAll(/^ {2}\| `(\w+)` \| `(\{[^`]*\})` \|$/gm)].map(([, name, key]) => [name, key]);
    const declared = COLLECTION_NAMES.flatMap((name) => {
      const { shardKey } = declarationOf(name);
      if (shardKey === undefined) return [];
      const parts = Object.entries(shardKey).map(([field, how]) => `${field}: ${how === 1 ? how : `'${how}'`}`);
      return [[name, `{ ${parts.join(', ')} }`]];
    });
    expect(told).toEqual(declared);
  });

  it('names only settings that there are', () => {
    const named = [...page.matchAll(/`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b/g)].map(([, name]) => name);
    const known = new Set([...settings.map(({ env }) => env), ...OF_COMPOSE]);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => name === undefined || !known.has(name))).toEqual([]);
  });

  it('names only files that there are', () => {
    const named = [...page.matchAll(/\b(?:deploy|docs|src)\/[\w./-]+\w/g)].map(([name]) => name);
    expect(named.length).toBeGreaterThan(5);
    // The operator's own.
    expect(named.filter((name) => name !== 'deploy/.env' && !existsSync(join(root, name)))).toEqual([]);
  });
});
