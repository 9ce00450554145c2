import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { decodeJwt } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadOrCreateDevelopmentSecret } from '../../../src/auth/development-secret.ts';
import { JwtVerifier } from '../../../src/auth/verifier.ts';
import { parseDurationMs } from '../../../src/cli/duration.ts';
import { tokenCommand } from '../../../src/cli/token-command.ts';
import { systemClock } from '../../../src/time/clock.ts';

const run = promisify(execFile);
const text = 'a-secret-of-more-than-thirty-two-bytes';
const issuer = 'CarePro';
const audience = 'CarePro';

describe('tokenCommand', () => {
  let dataDir: string;

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'carepro-token-'));
  });

  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  function verify(token: string, secret: Uint8Array) {
    return new JwtVerifier({ clock: systemClock, issuer, audience, secret }).verify(token.trim());
  }

  it('prints a token that the server with the same settings accepts', async () => {
    const args = ['--user', 'alice', '--role', 'Admin', '--ttl', '2h', '--name', 'Alice'];
    const result = await tokenCommand(args, { AUTH_HS256_SECRET: text });
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await verify(result.stdout, new TextEncoder().encode(text))).toMatchObject({
      ok: true,
      identity: { userId: 'alice', roleClaim: 'Admin', name: 'Alice', roles: new Set(['user', 'Admin']) },
    });
    const { exp = 0, iat = 0 } = decodeJwt(result.stdout.trim());
    expect(exp - iat).toBe(7200);
  });

  it('signs with the development secret where no key is set, as the server does', async () => {
    const result = await tokenCommand(['--user', 'bob'], { DATA_DIR: dataDir });
    const { secret, created } = await loadOrCreateDevelopmentSecret(dataDir);
    expect(created).toBe(false);
    expect(await verify(result.stdout, secret)).toMatchObject({ ok: true, identity: { userId: 'bob' } });
    const { exp = 0, iat = 0 } = decodeJwt(result.stdout.trim());
    expect(exp - iat).toBe(1800);
  });

  it('refuses where tokens come from somebody else, and says from whom', async () => {
    const env = { AUTH_JWKS_URL: 'https://id.example.org/jwks', DATA_DIR: dataDir };
    const result = await tokenCommand(['--user', 'alice'], env);
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toContain('AUTH_JWKS_URL');
  });

  it('makes no development secret in production', async () => {
    const result = await tokenCommand(['--user', 'alice'], { NODE_ENV: 'production', DATA_DIR: dataDir });
    expect(result).toMatchObject({ exitCode: 1, stdout: '' });
    expect(result.stderr).toContain('AUTH_HS256_SECRET');
  });

  it.each([
    [[], '--user is missing'],
    [['--user', ''], '--user is missing'],
    [['--user', 'x'.repeat(129)], '--user: expected at most 128'],
    [['--user', 'a', '--ttl', 'soon'], '--ttl: expected'],
    [['--user', 'a', '--ttl', '400d'], '--ttl: expected'],
    [['--user', 'a', '--admin'], "Unknown option '--admin'"],
    [['alice'], 'Unexpected argument'],
  ])('explains %j', async (args, problem) => {
    const result = await tokenCommand(args, { AUTH_HS256_SECRET: text });
    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(result.stderr).toContain(problem);
    expect(result.stderr).toContain('Usage:');
  });

  it('helps on demand', async () => {
    expect(await tokenCommand(['--help'], {})).toMatchObject({ exitCode: 0, stderr: '' });
  });

  it('runs as a program whose stdout is the token alone', async () => {
    const entry = join(import.meta.dirname, '../../../bin/token.mjs');
    const { stdout, stderr } = await run(process.execPath, [entry, '--user', 'carol'], {
      env: { ...process.env, DATA_DIR: dataDir, NODE_ENV: 'development', AUTH_HS256_SECRET: text },
    });
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(stderr).toBe('');
  });
});

describe('parseDurationMs', () => {
  it.each([
    ['45s', 45_000],
    ['30m', 1_800_000],
    ['12h', 43_200_000],
    ['7d', 604_800_000],
    ['0m', undefined],
    ['-1m', undefined],
    ['1.5h', undefined],
    ['30', undefined],
    ['m', undefined],
    ['', undefined],
  ])('reads %j as %j', (given, expected) => {
    expect(parseDurationMs(given)).toBe(expected);
  });
});
