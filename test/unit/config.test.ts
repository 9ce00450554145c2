import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { SCHEMA } from '../../src/config/schema.ts';
import { ConfigError, describeConfig, loadConfig } from '../../src/config.ts';

const secret = 'a-secret-of-more-than-thirty-two-bytes';

function mistakesOf(env: Record<string, string>): Record<string, string> {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return Object.fromEntries(error.mistakes.map((each) => [each.env, each.problem]));
    throw error;
  }
  return {};
}

describe('loadConfig', () => {
  it('starts with nothing set', () => {
    const config = loadConfig({});
    expect(config.server).toMatchObject({ host: '127.0.0.1', port: 8080, dataDir: './data', logLevel: 'info' });
    expect(config.auth).toMatchObject({ issuer: 'CarePro', audience: 'CarePro', hubExpiryGraceMs: 86_400_000 });
    expect(config.auth.hs256Secret).toBeUndefined();
    expect(config.presence).toEqual({ audience: 'everyone', graceMs: 5000 });
    expect(config.http.corsOrigins).toBe('loopback');
    expect(config).toMatchObject({ production: false, tls: undefined });
  });

  it('reads what is set', () => {
    const config = loadConfig({
      HOST: '::',
      PORT: '0',
      AUTH_HS256_SECRET: secret,
      AUTH_JWKS_URL: 'https://id.example.org/jwks',
      CORS_ORIGINS: 'https://app.example.org, HTTP://LocalHost:5173/',
      TLS_CERT_FILE: 'cert.pem',
      TLS_KEY_FILE: 'key.pem',
      PRESENCE_AUDIENCE: 'contacts',
      AUTH_HUB_EXPIRY_GRACE_MS: '0',
      TRUST_PROXY: 'TRUE',
      NODE_ENV: 'production',
    });
    expect(config.server).toMatchObject({ host: '::', port: 0 });
    expect(config.auth.hs256Secret?.reveal()).toBe(secret);
    expect(config.http).toMatchObject({
      corsOrigins: ['https://app.example.org', 'http://localhost:5173'],
      trustProxy: true,
    });
    expect(config.tls).toEqual({ certFile: 'cert.pem', keyFile: 'key.pem' });
    expect(config.production).toBe(true);
  });

  it('takes empty variables as not set', () => {
    expect(loadConfig({ PORT: '', HOST: ' ', CORS_ORIGINS: '', AUTH_HS256_SECRET: '' })).toEqual(loadConfig({}));
  });

  it('lists all mistakes at once, each with what was expected', () => {
    const env = { PORT: '70000', LOG_LEVEL: 'loud', AUTH_HS256_SECRET: 'too-short', TRUST_PROXY: 'maybe' };
    const mistakes = mistakesOf(env);
    expect(Object.keys(mistakes).sort()).toEqual(Object.keys(env).sort());
    expect(mistakes.PORT).toBe('expected a whole number from 0 to 65535; leave it out for the default (8080)');
    expect(mistakes.AUTH_HS256_SECRET).toContain('at least 32 bytes');
    expect(() => loadConfig(env)).toThrow(/4 mistakes:\n {2}PORT: /);
  });

  it.each(['1.5', '1e3', '-1', 'x', '99999999999999999999'])('refuses %s as a number', (given) => {
    expect(mistakesOf({ MAX_CONNECTIONS_PER_USER: given })).toHaveProperty('MAX_CONNECTIONS_PER_USER');
  });

  it('never repeats what was given', () => {
    const given = 'hunter2';
    for (const settings of Object.values(SCHEMA)) {
      for (const { env } of Object.values(settings)) {
        expect(Object.values(mistakesOf({ [env]: given })).join()).not.toContain(given);
      }
    }
  });

  it('shows no secret, however the result is printed', () => {
    const config = loadConfig({ AUTH_HS256_SECRET: secret });
    for (const shown of [
      inspect(config, { depth: 9, showHidden: true }),
      JSON.stringify(config),
      `${config.auth.hs256Secret}`,
    ]) {
      expect(shown).not.toContain(secret);
      expect(shown).toContain('[secret]');
    }
  });

  it('refuses production without a key', () => {
    expect(mistakesOf({ NODE_ENV: 'production' })).toHaveProperty('AUTH_HS256_SECRET');
    expect(mistakesOf({ NODE_ENV: 'production', AUTH_HS256_SECRET: secret })).toEqual({});
    expect(mistakesOf({ NODE_ENV: 'production', AUTH_JWKS_URL: 'https://id.example.org/' })).toEqual({});
    expect(mistakesOf({ NODE_ENV: 'prod' })).toHaveProperty('NODE_ENV');
  });

  it('lets no foreign page in by default in production', () => {
    expect(loadConfig({ NODE_ENV: 'production', AUTH_HS256_SECRET: secret }).http.corsOrigins).toEqual([]);
  });

  it('refuses a wildcard origin and says why', () => {
    expect(mistakesOf({ CORS_ORIGINS: 'https://a.example.org,*' }).CORS_ORIGINS).toContain('credentials');
  });

  it.each([
    'app.example.org',
    'ftp://a.example',
    'https://a.example/path',
    'https://*.example.org',
    'null',
    'https://u@a.example',
  ])('refuses %s as an origin', (given) => {
    expect(mistakesOf({ CORS_ORIGINS: given })).toHaveProperty('CORS_ORIGINS');
  });

  it.each([
    ['https://id.example.org/jwks', true],
    ['http://127.0.0.1:9000/jwks', true],
    ['http://localhost/jwks', true],
    ['http://[::1]:9000/jwks', true],
    ['http://id.example.org/jwks', false],
    ['http://127.0.0.1.example.org/jwks', false],
    ['https://user:password@id.example.org/', false],
    ['file:///etc/keys', false],
  ])('judges %s as a key set URL', (given, accepted) => {
    expect(Object.keys(mistakesOf({ AUTH_JWKS_URL: given }))).toEqual(accepted ? [] : ['AUTH_JWKS_URL']);
  });

  it.each([
    [{ TLS_KEY_FILE: 'k' }, 'TLS_CERT_FILE'],
    [{ TLS_CERT_FILE: 'c' }, 'TLS_KEY_FILE'],
    [{ HEADER_TIMEOUT_MS: '40000' }, 'REQUEST_TIMEOUT_MS'],
    [{ SEND_BURST: '1' }, 'SEND_BURST'],
    [{ MAX_REQUEST_BYTES: '2000' }, 'MAX_REQUEST_BYTES'],
  ])('holds settings against each other: %j', (env, wrong) => {
    expect(Object.keys(mistakesOf(env as unknown as Record<string, string>))).toEqual([wrong]);
  });

  it('gives a result that nobody can change', () => {
    const config = loadConfig({ CORS_ORIGINS: 'https://a.example.org' });
    for (const part of [config, ...Object.values(config), config.http.corsOrigins])
      expect(Object.isFrozen(part)).toBe(true);
  });
});

describe('the schema', () => {
  const settings = Object.values(SCHEMA).flatMap((section) => Object.values(section));

  it('names every variable once', () => {
    expect(new Set(settings.map(({ env }) => env)).size).toBe(settings.length);
  });

  it('has defaults that pass its own checks', () => {
    for (const { fallback, parser } of settings) {
      if (['string', 'number', 'boolean'].includes(typeof fallback)) {
        expect(parser.safeParse(String(fallback))).toEqual({ success: true, data: fallback });
      }
    }
  });

  it('is all in the help, which fits a terminal', () => {
    const help = describeConfig();
    for (const { env, description } of settings) {
      expect(help).toContain(`  ${env}\n`);
      expect(help.replaceAll(/\s+/g, ' ')).toContain(description);
    }
    for (const line of help.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });
});
