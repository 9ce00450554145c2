/** What deploy/ sets in the environment of the server is something the server knows, with a value it takes. */
import { describe, expect, it } from 'vitest';
import { SCHEMA } from '../../../src/config/schema.ts';
import type { Setting } from '../../../src/config/setting.ts';
import { ConfigError, loadConfig } from '../../../src/config.ts';
import { at, listAt, manifest, parse, read, textsAt, type Yaml } from './support/files.ts';

type Env = Readonly<Record<string, string>>;

const SETTINGS = new Set(
  Object.values(SCHEMA).flatMap((section) => Object.values<Setting<unknown>>(section).map(({ env }) => env)),
);
/** Variables of Node's own, not of the server. */
const PLATFORM = new Set(['NODE_OPTIONS']);
/** What the operator brings, as it could be. */
const BROUGHT: Env = {
  AUTH_HS256_SECRET: 'an operator would take more care of this secret',
  AUTH_JWKS_URL: 'https://login.example.org/keys',
  CORS_ORIGINS: 'https://app.example.org',
  MONGODB_URI: 'mongodb+srv://chat:secret@db.example.org/?w=majority',
  REDIS_URL: 'rediss://chat:secret@redis.example.org:6379',
};

/** Puts the operator's values where Compose would. */
function filledIn(env: Env): Env {
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => [
      name,
      value.replace(/\$\{(\w+):-([^}]*)\}/g, (_all, given: string, fallback: string) => BROUGHT[given] ?? fallback),
    ]),
  );
}

function mistakes(env: Env): readonly string[] {
  try {
    loadConfig(env);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.mistakes.map((mistake) => mistake.env);
  }
}

function deploymentEnv(): { readonly own: Env; readonly fromSecret: readonly string[] } {
  const container = at(manifest('Deployment'), 'spec', 'template', 'spec', 'containers', 0);
  expect(at(container, 'envFrom')).toEqual([{ configMapRef: { name: 'carepro-chat' } }]);
  const fromSecret = listAt(container, 'env').map((variable: Yaml) => {
    const name = String(at(variable, 'name'));
    // Not optional: without it the container does not start.
    expect(at(variable, 'valueFrom')).toEqual({ secretKeyRef: { name: 'carepro-chat', key: name } });
    return name;
  });
  return { own: textsAt(manifest('ConfigMap'), 'data'), fromSecret };
}

const [compose = null] = parse('deploy/compose.yaml');

describe.each(['chat-1', 'chat-2'])('The instance %s of Compose', (service) => {
  const env = textsAt(compose, 'services', service, 'environment');

  it('gets only settings that there are', () => {
    expect(Object.keys(env).filter((name) => !SETTINGS.has(name))).toEqual([]);
  });

  it('gets values that the server takes, filled in by the operator', () => {
    expect(mistakes(filledIn(env))).toEqual([]);
    const config = loadConfig(filledIn(env));
    expect(config.storage.mongodbUri?.reveal()).toContain('replicaSet=');
    expect(config.storage.redisUrl).toBeDefined();
    expect(config.http.trustProxy).toBe(true);
    expect(config.production).toBe(true);
  });

  it('does not start before the operator has filled in a key', () => {
    const bare = Object.fromEntries(
      Object.entries(env).map(([name, value]) => [name, value.replace(/\$\{\w+:-([^}]*)\}/g, '$1')]),
    );
    expect(mistakes(bare)).toEqual(['AUTH_HS256_SECRET']);
  });
});

it('the example of the variables names those that Compose asks for, and no other', () => {
  const asked = [...read('deploy/compose.yaml').matchAll(/\$\{(\w+)/g)].map(([, name]) => name);
  const named = [...read('deploy/compose.env.example').matchAll(/^(\w+)=/gm)].map(([, name]) => name);
  expect(named.toSorted()).toEqual([...new Set(asked)].toSorted());
});

describe('The instances of Kubernetes', () => {
  const { fromSecret, own } = deploymentEnv();
  const example = textsAt(manifest('Secret'), 'stringData');

  it('get only settings that there are', () => {
    const names = [...Object.keys(own), ...fromSecret];
    expect(names.filter((name) => !SETTINGS.has(name) && !PLATFORM.has(name))).toEqual([]);
    expect(new Set(names).size).toBe(names.length);
  });

  it('get values that the server takes, with a Secret that is filled in', () => {
    const brought = Object.fromEntries(fromSecret.map((name) => [name, BROUGHT[name] ?? '']));
    expect(mistakes({ ...own, ...brought })).toEqual([]);
    const config = loadConfig({ ...own, ...brought });
    expect(config.storage.mongodbUri).toBeDefined();
    expect(config.storage.redisUrl).toBeDefined();
    expect(config.http.trustProxy).toBe(true);
    expect(config.production).toBe(true);
  });

  it('take all of the example of a Secret, and refuse each of its texts that is left as it is', () => {
    expect(Object.keys(example).toSorted()).toEqual(fromSecret.toSorted());
    for (const [name, text] of Object.entries(example)) {
      expect(mistakes({ ...own, ...BROUGHT, [name]: text })).toEqual([name]);
    }
  });
});
